"""``callable``: a function of the user's own, ``module:callable``, seeded like every other effect.

``function(samples, sample_rate_hz, rng, **parameters)`` gets float64 samples of shape (samples,) and a numpy generator,
and returns the new samples, or the samples and a mapping of what it achieved (numbers or texts by name). What it draws
from the global ``random`` or ``numpy.random`` is seeded as well. The module is imported, so its code runs: use profiles
with a ``callable`` only from people whose code you would run.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pydantic

from asrfair.acoustics.effects.base import (
    Achieved,
    Effect,
    EffectContext,
    EffectParams,
    EffectTraits,
    Inspection,
    Samples,
)
from asrfair.acoustics.global_random import seeded_globals
from asrfair.errors import InputError


class CallableParams(EffectParams):
    """``function`` as ``module:callable``, its ``parameters``, and the facts about it that the renderer relies on.

    ``adds_noise``: it returns the input plus something that is not speech. ``changes_length``: it may return another
    number of samples.
    """

    function: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$", max_length=300)]
    parameters: dict[str, Any] = pydantic.Field(default_factory=dict, max_length=100)
    adds_noise: bool = False
    changes_length: bool = False


class CallableEffect(Effect):
    """One call of the user's function."""

    params: ClassVar[type[EffectParams]] = CallableParams
    traits: ClassVar[EffectTraits] = EffectTraits(changes_length=True, keeps_alignment=False)

    def traits_of(self, params: Any) -> EffectTraits:
        """Return the traits, as the profile states them."""
        return EffectTraits(changes_length=params.changes_length, keeps_alignment=False, adds_noise=params.adds_noise)

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- a module, not a file
        """Import the function, check that it takes the parameters, and hash the module's source.

        Raises:
            InputError: There is no such function, or it takes other parameters.
        """
        assert isinstance(params, CallableParams)
        function = load(params.function)
        try:
            inspect.signature(function).bind(np.zeros(1), 16_000, np.random.default_rng(0), **params.parameters)
        except TypeError as error:
            raise InputError(
                f"the function does not take these arguments: {error}",
                value=params.function,
                remedy="It is called as function(samples, sample_rate_hz, rng, **parameters)",
            ) from error
        except ValueError:  # built-in without a signature: it will say so itself
            pass
        module = sys.modules[params.function.partition(":")[0]]
        source = getattr(module, "__file__", None)
        if source is None or not Path(source).is_file():
            return Inspection()
        return Inspection(files={params.function: hashlib.sha256(Path(source).read_bytes()).hexdigest()})

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Call the function; see ``Effect.apply``.

        Raises:
            InputError: It failed, or returned something that is not mono audio.
        """
        function = load(params.function)
        try:
            with seeded_globals(int(rng.integers(2**32))):
                returned = function(samples.copy(), sample_rate_hz, rng, **params.parameters)
        except Exception as error:
            raise InputError(
                f"{params.function} failed on utterance {context.utterance_id!r}: {type(error).__name__}: {error}",
                remedy="Call it yourself with these parameters to see where",
            ) from error
        achieved: Achieved = {"function": params.function}
        if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Mapping):
            returned, facts = returned
            achieved |= {
                str(key): value if isinstance(value, str) else float(value) for key, value in sorted(facts.items())
            }
        try:
            result = np.array(returned, dtype=np.float64)
        except (TypeError, ValueError):
            result = np.empty((0, 0))
        if result.ndim != 1 or result.size == 0:
            raise InputError(
                f"{params.function} returned no mono audio for utterance {context.utterance_id!r}",
                remedy="Return an array of shape (samples,), or (array, {name: value})",
            )
        return result, achieved


def load(target: str) -> Callable[..., Any]:
    """Import ``module:callable``.

    Raises:
        InputError: The module cannot be imported, or holds no such callable.
    """
    module, _, name = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise InputError(
            f"the module cannot be imported: {type(error).__name__}: {error}",
            value=target,
            remedy="It must be installed, or lie in a folder of PYTHONPATH",
        ) from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError("the module holds no such callable", value=target)
    return found  # type: ignore[no-any-return]
