"""What ``asrfair threshold`` looks for: the ``[threshold]`` table of a suite, and which parameters can be turned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pydantic

from asrfair.acoustics.effects.parameters import Choice, Range
from asrfair.acoustics.profiles import ProfileFile, find_profile
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.stats.thresholds.axis import Axis, by_factors, key_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEYOND_DB = 10.0
"""An SNR is searched so far beyond what the place's severities have, on both sides; what goes by factors, to twice."""

MOST_LOST = 0.8
"""Share of packets beyond which nothing is left to recognise."""


class ThresholdTable(pydantic.BaseModel):
    """The ``[threshold]`` table; unknown keys are errors.

    ``places`` are profiles, with a severity where more than the parameter matters; ``parameter`` is ``snr`` or
    ``LABEL.KEY``, looked for from ``low`` to ``high`` at ``levels`` levels in all. ``wer`` and ``times_clean`` are the
    targets. The gates: ``max_threshold_db`` for every group, ``max_threshold_gap_db`` between two of an attribute.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    places: list[str] = []
    parameter: str = "snr"
    low: float | None = None
    high: float | None = None
    levels: int = pydantic.Field(default=5, ge=3, le=20)
    wer: float | None = pydantic.Field(default=0.3, gt=0, lt=1)
    times_clean: float | None = pydantic.Field(default=2.0, gt=1, le=20)
    max_threshold_db: float | None = None
    max_threshold_gap_db: float | None = pydantic.Field(default=None, ge=0)


def axis_of(table: ThresholdTable, place: str, profiles: Path | None, *, file: Path) -> Axis:
    """Find a parameter in a place's profile, and over what it is turned.

    Raises:
        InputError: The place has no such parameter, or the range is missing or empty.
    """
    name, _, severity = place.partition("@")
    profile = ProfileFile(find_profile(name, profiles))
    chosen = severity.partition(",")[0] if severity else profile.profile.severity
    known = _numbers(profile, chosen if chosen in profile.profile.severities else profile.profile.severity)
    parameter = _parameter(table.parameter, known, place, file)
    found = [_numbers(profile, named).get(parameter) for named in profile.profile.severities]
    values = sorted(value for value in found if value is not None)
    usual = (values[0], values[-1]) if values and values[0] < values[-1] else None
    low, high = math.nan, math.nan
    if usual and by_factors(parameter):
        low, high = usual[0] / 2, usual[1] * 2
        if key_of(parameter) == "loss":
            high = min(high, MOST_LOST)
    elif usual and key_of(parameter) == "snr_db":
        low, high = usual[0] - BEYOND_DB, usual[1] + BEYOND_DB
    low = table.low if table.low is not None else low
    high = table.high if table.high is not None else high
    if not low < high or (by_factors(parameter) and low <= 0):
        raise InputError(
            f"from where to where is {parameter} of {place} to be turned?", file=file, column="threshold.low",
            remedy="Write low = … and high = … under [threshold]",
        )  # fmt: skip
    unit = unit_of(parameter)
    step = next(s for s in profile.steps(profile.profile.severity, {}) if s.label == parameter.partition(".")[0])
    if key_of(parameter) == "snr_db" and getattr(step.params, "weighting", "flat") == "A":
        unit = "dB(A)"
    return Axis(place=place, parameter=parameter, unit=unit, low=low, high=high, usual=usual)


def _numbers(profile: ProfileFile, severity: str) -> dict[str, float | None]:
    """Return what could be turned at a severity, ``LABEL.KEY`` or ``LABEL.SOURCE.KEY`` of a layer, with its value."""
    found: dict[str, float | None] = {}
    for step in profile.steps(severity, {}):
        layers: Sequence[pydantic.BaseModel] = getattr(step.params, "layer", ())
        sources = [str(getattr(layer, "source", "")) for layer in layers]
        parts: list[tuple[str, pydantic.BaseModel]] = [("", step.params)]
        if len(layers) == 1:
            parts.append(("", layers[0]))
        parts += [
            (f"{source}.", layer)
            for source, layer in zip(sources, layers, strict=True)
            if len(layers) > 1 and sources.count(source) == 1
        ]
        for before, params in parts:
            for key in type(params).model_fields:
                value = getattr(params, key)
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if number or isinstance(value, Choice | Range):
                    found[f"{step.label}.{before}{key}"] = float(value) if number else None
    return found


def _parameter(text: str, known: dict[str, float | None], place: str, file: Path) -> str:
    if text in {"snr", "snr_db"}:
        own = [name for name in known if name.count(".") == 1 and key_of(name) == "snr_db"]
        if len(own) == 1:
            return own[0]
        raise InputError(
            f"{place} has {len(own)} effects with an SNR", file=file, column="threshold.parameter",
            remedy="Write LABEL.snr_db" if own else "Turn another parameter, or name another place",
        )  # fmt: skip
    if text not in known:
        raise InputError(
            f"{place} has no such parameter", file=file, column="threshold.parameter", value=text,
            remedy=did_you_mean(text, list(known)),
        )  # fmt: skip
    return text
