"""What ``asrfair threshold`` looks for: the ``[threshold]`` table of a suite, and which parameters can be turned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydantic

from asrfair.acoustics.effects.parameters import Choice, Range
from asrfair.acoustics.profiles import ProfileFile, find_profile
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

LESS_IS_HARDER = frozenset(
    {"snr_db", "bitrate_kbps", "high_hz", "sample_rate_hz", "quality", "drr_db", "saturation_db"}
)
"""Parameters that make recognition harder as they fall; all others do as they rise."""

BY_FACTORS = frozenset({"distance_m", "rt60_s", "loss", "bitrate_kbps", "high_hz", "sample_rate_hz"})
"""Parameters whose steps are factors: levels are spread, and curves fitted, over their logarithm."""

UNITS = {"_dba": "dB(A)", "_dbfs": "dBFS", "_db": "dB", "_m": "m", "_s": "s", "_kbps": "kbit/s", "_hz": "Hz"}
BEYOND_DB = 10.0
"""An SNR is searched so far beyond what the place's severities have, on both sides; what goes by factors, to twice."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One parameter of one place, as it is turned.

    Args:
        place: As the suite writes it.
        label: The effect's label.
        key: The parameter.
        low: Least value.
        high: Largest value.
        usual: What the place's severities range over, if they name it.
    """

    place: str
    label: str
    key: str
    low: float
    high: float
    usual: tuple[float, float] | None

    @property
    def unit(self) -> str:
        """The unit of the values, from the parameter's name; empty for a share."""
        return next((unit for suffix, unit in UNITS.items() if self.key.endswith(suffix)), "")

    @property
    def by_factors(self) -> bool:
        """Whether steps are factors."""
        return self.key in BY_FACTORS

    @property
    def sign(self) -> int:
        """1 where more is easier, −1 where more is harder."""
        return 1 if self.key in LESS_IS_HARDER else -1

    def easier(self, value: float) -> float:
        """Return a value on the scale on which curves are fitted: more is easier."""
        return self.sign * (math.log(value) if self.by_factors else value)

    def value(self, easier: float) -> float:
        """Return the value at a place of that scale."""
        return math.exp(self.sign * easier) if self.by_factors else self.sign * easier

    def rounded(self, easier: float) -> float:
        """Return the value that will be heard there: a tenth of a decibel, else three digits."""
        value = self.value(easier)
        return round(value, 1) if self.unit.startswith("dB") else float(f"{value:.3g}")

    def condition(self, value: float) -> str:
        """Return the name of the condition at a value."""
        return f"{self.place}{',' if '@' in self.place else '@'}{self.label}.{self.key}={value:g}"


def axis_of(table: ThresholdTable, place: str, profiles: Path | None, *, file: Path) -> Axis:
    """Find a parameter in a place's profile, and over what it is turned.

    Raises:
        InputError: The place has no such parameter, or the range is missing or empty.
    """
    name, _, severity = place.partition("@")
    profile = ProfileFile(find_profile(name, profiles))
    steps = profile.steps(severity or profile.profile.severity, {})
    label, key = _parameter(table.parameter, {s.label: set(type(s.params).model_fields) for s in steps}, place, file)
    found = [
        getattr(step.params, key)
        for named in profile.profile.severities
        for step in profile.steps(named, {})
        if step.label == label
    ]
    values = sorted(float(v) for v in found if isinstance(v, int | float) and not isinstance(v, Choice | Range))
    usual = (values[0], values[-1]) if values and values[0] < values[-1] else None
    low, high = math.nan, math.nan
    if usual and key in BY_FACTORS:
        low, high = usual[0] / 2, usual[1] * 2
    elif usual and key == "snr_db":
        low, high = usual[0] - BEYOND_DB, usual[1] + BEYOND_DB
    low = table.low if table.low is not None else low
    high = table.high if table.high is not None else high
    if not low < high or (key in BY_FACTORS and low <= 0):
        raise InputError(
            f"from where to where is {label}.{key} of {place} to be turned?", file=file, column="threshold.low",
            remedy="Write low = … and high = … under [threshold]",
        )  # fmt: skip
    return Axis(place=place, label=label, key=key, low=low, high=high, usual=usual)


def _parameter(text: str, known: dict[str, set[str]], place: str, file: Path) -> tuple[str, str]:
    if text in {"snr", "snr_db"}:
        labels = [label for label, keys in known.items() if "snr_db" in keys]
        if len(labels) == 1:
            return labels[0], "snr_db"
        raise InputError(
            f"{place} has {len(labels)} effects with an SNR", file=file, column="threshold.parameter",
            remedy="Write LABEL.snr_db" if labels else "Turn another parameter, or name another place",
        )  # fmt: skip
    label, _, key = text.partition(".")
    if label not in known or key not in known[label]:
        every = [f"{label}.{key}" for label, keys in known.items() for key in sorted(keys)]
        raise InputError(
            f"{place} has no such parameter", file=file, column="threshold.parameter", value=text,
            remedy=did_you_mean(text, every),
        )  # fmt: skip
    return label, key
