"""``audiomentations``: any of its transforms by name, seeded per utterance. Needs the extra ``augment``.

These effects come as they are. Their SNR is over the whole clip, pauses included, and some rescale the peak: see
docs/effects.md before a benchmark rests on one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pydantic
import soundfile

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
from asrfair.acoustics.level import fit_length
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import EnvironmentFailedError, InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOISE = frozenset({"AddBackgroundNoise", "AddColorNoise", "AddGaussianNoise", "AddGaussianSNR", "AddShortNoises"})
"""Transforms that add something which is not speech: around them, level and SNR stay those of the speech alone."""

_NOT_FROM_A_FILE = frozenset({"Compose", "OneOf", "SomeOf", "Lambda"})
_SILENT = 1e-4


class AudiomentationsParams(EffectParams):
    """``transform`` by its class name, with its own ``parameters``; paths in them start at the profile's folder.

    ``p`` is 1 unless ``parameters`` say otherwise. The length is kept (cut, or filled with silence) unless
    ``keep_length = false``. A transform that changes nothing is an error unless ``allow_unchanged = true``.
    """

    transform: Annotated[str, pydantic.Field(min_length=1, max_length=100)]
    parameters: dict[str, Any] = pydantic.Field(default_factory=dict, max_length=100)
    keep_length: bool = True
    allow_unchanged: bool = False


class AudiomentationsEffect(Effect):
    """One transform of audiomentations."""

    params: ClassVar[type[EffectParams]] = AudiomentationsParams
    traits: ClassVar[EffectTraits] = EffectTraits(changes_length=True, keeps_alignment=False, level="restored")

    def traits_of(self, params: Any) -> EffectTraits:
        """Return the traits, which depend on the transform."""
        return EffectTraits(
            changes_length=not params.keep_length,
            keeps_alignment=False,
            level="restored",
            adds_noise=params.transform in NOISE,
        )

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:
        """Build the transform once, and listen to the files that it will use.

        Raises:
            MissingExtraError: audiomentations is not installed.
            EnvironmentFailedError: What the transform itself needs is not installed.
            InputError: There is no such transform, its parameters are wrong, or a file is missing or silent.
        """
        assert isinstance(params, AudiomentationsParams)
        files = {"audiomentations": _version()}
        for path in _files(params.parameters, folder):
            files[str(path)] = _checked(path)
        transform = _transform(params.transform, _resolved(params.parameters, folder))
        try:
            # Some import what they need only when they are called. What else goes wrong is said for real speech.
            with seeded_globals(0):
                transform(np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32), 16_000)
        except ImportError as error:
            raise _lacking(params.transform, error) from error
        except Exception:  # noqa: BLE001, S110 -- see above
            pass
        return Inspection(files=files)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Call the transform; see ``Effect.apply``.

        Raises:
            InputError: It failed, changed nothing, or returned silence.
        """
        transform = _transform(params.transform, _resolved(params.parameters, context.folder))
        given = samples.astype(np.float32)
        # Two of its transforms cannot stand samples above full scale: scale down before, up after.
        scale = max(1.0, float(np.max(np.abs(given), initial=0.0)))
        try:
            with seeded_globals(int(rng.integers(2**32))):
                result = np.asarray(transform(given / np.float32(scale), sample_rate_hz), dtype=np.float64)
        except Exception as error:
            raise InputError(
                f"the transform {params.transform} failed on utterance {context.utterance_id!r}: "
                f"{type(error).__name__}: {error}",
                remedy="Check its parameters in audiomentations' documentation",
            ) from error
        applied = bool(transform.parameters.get("should_apply", True))
        same = result.shape == given.shape and np.array_equal(result.astype(np.float32), given / np.float32(scale))
        if applied and same and not params.allow_unchanged:
            raise InputError(
                f"the transform {params.transform} changed nothing in utterance {context.utterance_id!r}",
                remedy="Is its noise silent, or are its parameters without effect? Else write allow_unchanged = true",
            )
        if given.any() and not result.any():
            raise InputError(f"the transform {params.transform} made silence of utterance {context.utterance_id!r}")
        achieved: Achieved = {"transform": params.transform, "applied": float(applied)}
        achieved["length_change_s"] = (result.size - samples.size) / sample_rate_hz
        for name, value in sorted(transform.parameters.items()):
            if name != "should_apply" and isinstance(value, int | float | np.integer | np.floating):
                achieved[f"drew_{name}"] = float(value)
        if params.keep_length:
            result = fit_length(result, samples.size)
        return result * scale, achieved


def _version() -> str:
    try:
        return importlib.metadata.version("audiomentations")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(
            extra="augment", package="audiomentations", needed_for="The effect 'audiomentations'"
        ) from error


def _lacking(transform: str, error: ImportError) -> EnvironmentFailedError:
    return EnvironmentFailedError(
        f"the transform {transform} needs the Python package {error.name!r}, which is not installed",
        remedy="Run: pip install 'audiomentations[extras]'",
    )


def _is_path(name: str) -> bool:
    return name.endswith(("_path", "_paths"))


def _files(parameters: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the audio files that the parameters name, folders opened, in an order that is the same everywhere."""
    found: list[Path] = []
    for name in sorted(parameters):
        if not _is_path(name):
            continue
        value = parameters[name]
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str) or "\0" in entry:
                raise InputError(f"{name} is a path or a list of paths", value=entry)
            path = folder / entry
            if path.is_dir():
                known = tuple(f".{name.lower()}" for name in soundfile.available_formats())
                inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in {*known, ".mp3"} and p.is_file())
                if not inside:
                    raise InputError("the folder holds no audio files", file=path)
                found += inside
            elif path.is_file():
                found.append(path)
            else:
                raise InputError(
                    "there is no such file or folder", file=path, remedy="Paths start at the profile's own folder"
                )
    return found


def _checked(path: Path) -> str:
    """Hash an audio file; refuse what is silent or cannot be read."""
    try:
        peak = 0.0
        with soundfile.SoundFile(path) as file:
            for block in file.blocks(blocksize=1 << 18, dtype="float32"):
                peak = max(peak, float(np.max(np.abs(block), initial=0.0)))
        with path.open("rb") as raw:
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(f"the audio file cannot be read: {error}", file=path) from error
    if peak < _SILENT:
        raise InputError("the audio file is silent", file=path, remedy="Use another recording")
    return digest


def _resolved(parameters: Mapping[str, Any], folder: Path) -> str:
    """Return the parameters as JSON text, each path replaced by the list of files behind it."""
    resolved = {"p": 1.0} | {
        name: [str(p) for p in _files({name: value}, folder)] if _is_path(name) else value
        for name, value in parameters.items()
    }
    try:
        return json.dumps(resolved, sort_keys=True)
    except TypeError as error:
        raise InputError(f"a parameter cannot be given from a file: {error}") from error


@lru_cache(maxsize=32)
def _transform(name: str, parameters: str) -> Any:
    _version()
    library = importlib.import_module("audiomentations")
    base = importlib.import_module("audiomentations.core.transforms_interface").BaseWaveformTransform
    known = sorted(
        key
        for key, value in vars(library).items()
        if inspect.isclass(value) and issubclass(value, base) and key not in _NOT_FROM_A_FILE
    )
    if name not in known:
        raise InputError("audiomentations has no such transform", value=name, remedy=did_you_mean(name, known))
    kind = getattr(library, name)
    accepted = [key for key in inspect.signature(kind).parameters if key != "self"]
    given = json.loads(parameters)
    for key in given:
        if key not in accepted:
            raise InputError(
                f"the transform {name} has no such parameter", value=key, remedy=did_you_mean(key, accepted)
            )
    try:
        if "import pyroomacoustics" in inspect.getsource(inspect.getmodule(kind) or kind):
            # Imported at the first call it would miss the seed of that call.
            importlib.import_module("pyroomacoustics")
        with seeded_globals(0):
            return kind(**given)
    except ImportError as error:
        raise _lacking(name, error) from error
    except Exception as error:
        raise InputError(
            f"the transform {name} does not take these parameters: {type(error).__name__}: {error}",
            value=parameters,
            remedy="See audiomentations' documentation",
        ) from error
