"""Parameters of effects: numbers and texts that may stand alone, in a list or as a range, drawn for every utterance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import pydantic

from asrfair.data.tomlfile import did_you_mean


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these is drawn for every utterance, each equally likely."""

    values: tuple[float | str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A number between ``low`` and ``high`` is drawn for every utterance, uniformly (or on the log scale)."""

    low: float
    high: float
    log: bool = False


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number, a list of numbers, or {min = …, max = …}")  # noqa: TRY004 -- pydantic
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("the number is too large") from error
    if not math.isfinite(number):
        raise ValueError("the number must be finite")
    return number


def _number(value: object) -> float | Choice | Range:
    if isinstance(value, Choice | Range):
        return value
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("the list of choices is empty")
        return Choice(tuple(_finite(v) for v in value))
    if isinstance(value, Mapping):
        unknown = set(value) - {"min", "max", "scale"}
        if unknown or not {"min", "max"} <= set(value):
            raise ValueError('a range is written {min = …, max = …}, with scale = "log" if wanted')
        low, high, scale = _finite(value["min"]), _finite(value["max"]), value.get("scale", "linear")
        if low > high:
            raise ValueError("min is larger than max")
        if scale not in {"linear", "log"}:
            raise ValueError('scale is "linear" or "log"')
        if scale == "log" and low <= 0:
            raise ValueError("a range on the log scale must be above zero")
        return Range(low, high, log=scale == "log")
    return _finite(value)


def _text(value: object) -> str | Choice:
    if isinstance(value, Choice):
        return value
    if isinstance(value, list | tuple):
        if not value or not all(isinstance(v, str) for v in value):
            raise ValueError("expected a text or a list of texts")
        return Choice(tuple(value))
    if not isinstance(value, str):
        raise ValueError("expected a text or a list of texts")  # noqa: TRY004 -- pydantic reports ValueError
    return value


Number: TypeAlias = Annotated[float | Choice | Range, pydantic.PlainValidator(_number)]
"""A parameter: a number, a list (one is chosen per utterance) or ``{min, max}`` (drawn per utterance)."""

Text: TypeAlias = Annotated[str | Choice, pydantic.PlainValidator(_text)]
"""A text parameter: a text, or a list of which one is chosen per utterance."""


def within(low: float, high: float) -> pydantic.AfterValidator:
    """Return a validator that holds every possible value of a ``Number`` between two bounds.

    Write ``Annotated[Number, within(-40, 100)]``.
    """

    def check(value: float | Choice | Range) -> float | Choice | Range:
        lowest, highest = bounds(value)
        if lowest < low or highest > high:
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return value

    return pydantic.AfterValidator(check)


def one_of(*known: str) -> pydantic.AfterValidator:
    """Return a validator that holds every possible value of a ``Text`` to a list of known words."""

    def check(value: str | Choice) -> str | Choice:
        for possible in value.values if isinstance(value, Choice) else (value,):
            if possible not in known:
                raise ValueError(f"unknown value. {did_you_mean(str(possible), known)}")
        return value

    return pydantic.AfterValidator(check)


def number(value: float | Choice | Range) -> float:
    """Return a drawn ``Number`` as a float."""
    if isinstance(value, Choice | Range):
        raise TypeError("the parameter has not been drawn yet")
    return float(value)


def text(value: str | Choice) -> str:
    """Return a drawn ``Text`` as a str."""
    if isinstance(value, Choice):
        raise TypeError("the parameter has not been drawn yet")
    return value


def bounds(value: float | Choice | Range) -> tuple[float, float]:
    """Return the smallest and the largest value that a ``Number`` can take."""
    if isinstance(value, Choice):
        numbers = [float(v) for v in value.values]
        return min(numbers), max(numbers)
    if isinstance(value, Range):
        return value.low, value.high
    return float(value), float(value)


def draw_value(value: float | str | Choice | Range, rng: np.random.Generator) -> float | str:
    """Draw one value of a parameter."""
    if isinstance(value, Choice):
        return value.values[int(rng.integers(len(value.values)))]
    if isinstance(value, Range):
        if value.log:
            return float(np.exp(rng.uniform(np.log(value.low), np.log(value.high))))
        return float(rng.uniform(value.low, value.high))
    return value


def draw(params: pydantic.BaseModel, generator: Callable[..., np.random.Generator], *purpose: str) -> Any:
    """Return a copy of the parameters in which every choice and range has become one value.

    Each parameter has its own generator, keyed by its name: adding a parameter, or fixing one, leaves the draws of the
    others as they were. Nested models and tuples of models (layers) are drawn as well.
    """
    changes: dict[str, Any] = {}
    for name in type(params).model_fields:
        value = getattr(params, name)
        if isinstance(value, Choice | Range):
            changes[name] = draw_value(value, generator(*purpose, name))
        elif isinstance(value, pydantic.BaseModel):
            changes[name] = draw(value, generator, *purpose, name)
        elif isinstance(value, tuple) and value and isinstance(value[0], pydantic.BaseModel):
            changes[name] = tuple(draw(v, generator, *purpose, name, str(i)) for i, v in enumerate(value))
    return params.model_copy(update=changes) if changes else params


def plain(value: Any) -> Any:
    """Return parameters as JSON-like data, for fingerprints and for showing them."""
    if isinstance(value, pydantic.BaseModel):
        return {
            name: plain(getattr(value, name)) for name in type(value).model_fields if getattr(value, name) is not None
        }
    if isinstance(value, Choice):
        return list(value.values)
    if isinstance(value, Range):
        return {"min": value.low, "max": value.high, **({"scale": "log"} if value.log else {})}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value
