"""One parameter of a place as it is turned: which way is harder, in which steps, in which unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

LESS_IS_HARDER = frozenset(
    {"snr_db", "bitrate_kbps", "high_hz", "sample_rate_hz", "quality", "drr_db", "saturation_db", "level_dbfs"}
)
"""Parameters that make recognition harder as they fall; all others do as they rise."""

BY_FACTORS = frozenset(
    {"distance_m", "rt60_s", "loss", "bitrate_kbps", "high_hz", "low_hz", "sample_rate_hz", "rate_hz", "bits"}
)
"""Parameters whose steps are factors: levels are spread, and curves fitted, over their logarithm."""

UNITS = {"_dba": "dB(A)", "_dbfs": "dBFS", "_db": "dB", "_m": "m", "_s": "s", "_kbps": "kbit/s", "_hz": "Hz"}

NAMES = {
    "snr_db": "signal-to-noise ratio",
    "distance_m": "distance",
    "rt60_s": "reverberation time",
    "loss": "share of packets lost",
    "high_hz": "upper edge of the band",
    "low_hz": "lower edge of the band",
    "bitrate_kbps": "bitrate",
    "level_db": "level",
    "rate_hz": "repetitions a second",
    "drr_db": "direct-to-reverberant ratio",
}


SHARES = frozenset({"loss"})
"""Parameters that are fractions in files, and percentages in words and pictures."""

STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
"""Round numbers in a decade, from few to many."""

LEAST_MARKS = 3


def key_of(parameter: str) -> str:
    """Return the key of ``LABEL.KEY``, also where a layer stands between (``noise.2.rate_hz``)."""
    return parameter.rpartition(".")[2]


def unit_of(parameter: str) -> str:
    """Return the unit of a parameter's values, from its name; empty for a share."""
    key = key_of(parameter)
    if key == "rate_hz":
        return "a second"
    return next((unit for suffix, unit in UNITS.items() if key.endswith(suffix)), "")


def named(parameter: str) -> str:
    """Return a parameter in words; of a layer, with its source: ``level of the hum``."""
    key = key_of(parameter)
    layer = parameter.split(".")[1] if parameter.count(".") == 2 else ""
    if layer:
        return f"{ {'level_db': 'level', 'rate_hz': 'rate'}.get(key, named(key)) } of the {layer.replace('_', ' ')}"
    unit = next((suffix for suffix in UNITS if key.endswith(suffix)), "")
    return NAMES.get(key, key.removesuffix(unit).replace("_", " "))


def shown(parameter: str) -> tuple[float, str]:
    """Return by how much a parameter's values are multiplied for people, and their unit then (``%`` of a share)."""
    return (100.0, "%") if key_of(parameter) in SHARES else (1.0, unit_of(parameter))


def by_factors(parameter: str) -> bool:
    """Whether a parameter's steps are factors."""
    return key_of(parameter) in BY_FACTORS


def less_is_harder(parameter: str) -> bool:
    """Whether recognition gets harder as a parameter falls."""
    return key_of(parameter) in LESS_IS_HARDER


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One parameter of one place, as it is turned.

    Args:
        place: As the suite writes it.
        parameter: ``LABEL.KEY``.
        unit: Of the values; ``dB(A)`` for an A-weighted SNR.
        low: Least value.
        high: Largest value.
        usual: What the place's severities range over, if they name it.
    """

    place: str
    parameter: str
    unit: str
    low: float
    high: float
    usual: tuple[float, float] | None

    @property
    def by_factors(self) -> bool:
        """Whether steps are factors."""
        return by_factors(self.parameter)

    @property
    def sign(self) -> int:
        """1 where more is easier, −1 where more is harder."""
        return 1 if less_is_harder(self.parameter) else -1

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

    def marks(self) -> list[float]:
        """Return round levels between the ends: steps, or round numbers of each decade where steps are factors."""
        if not self.by_factors:
            span = self.high - self.low
            step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 1e9) if span / s <= 8)
            found = [step * k for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        else:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in STEPS:
                every = [float(f"{step * 10.0**k:.2g}") for k in decades for step in steps]
                found = [value for value in every if self.low <= value <= self.high]
                if len(found) >= LEAST_MARKS:
                    break
        return found[:: max(1, math.ceil(len(found) / 8))] or [self.low, self.high]

    def condition(self, value: float) -> str:
        """Return the name of the condition at a value."""
        return f"{self.place}{',' if '@' in self.place else '@'}{self.parameter}={value:g}"
