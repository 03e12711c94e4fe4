"""What a night must hold: the ``[gates]`` table of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import pydantic

Share = pydantic.Field(default=None, ge=0, le=10)
MAX_FAILED = 0.05
MIN_COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a gate allows, as fractions; ``None`` means that there is no such gate.

    Args:
        max_wer: Word error rate of every group that is large enough; of a suite with another metric, that (``max_rate``).
        max_gap: Gap between the worst and the best group of an attribute.
        min_accuracy: The floor: 1 − WER of every group that is large enough.
        max_failed: Share of utterances that an engine error or a missing hypothesis kept from being scored.
        min_coverage: Share of what tonight or the baseline has scored that both have, and that can be compared.
        max_increase: How much a group's WER may lie above the baseline's, if that is more than chance.
    """

    max_wer: float | None = None
    max_gap: float | None = None
    min_accuracy: float | None = None
    max_failed: float | None = None
    min_coverage: float | None = None
    max_increase: float | None = None

    def replaced_by(self, own: Limits | None) -> Limits:
        """Return these limits with those that ``own`` states in their place."""
        stated = {} if own is None else {f.name: getattr(own, f.name) for f in fields(own)}
        return replace(self, **{name: value for name, value in stated.items() if value is not None})


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSettings:
    """All gates of a suite.

    Args:
        limits: What holds in every condition that does not say otherwise.
        conditions: What a condition says otherwise, by its name.
        groups: What a group says otherwise, by attribute and group; it goes before what a condition says.
        alpha: Expected number of false alarms of the relative gates in ``horizon_nights`` nights, at most.
        horizon_nights: The time over which ``alpha`` is spent, evenly.
        window_nights: Most nights that are pooled to see a small lasting change.
        detect: The increase in WER (a fraction) for which the power line is computed.
        judge: Whether an absolute gate fails by its estimate, or only if its whole interval lies beyond the limit.
        invariance: So many utterances are transcribed again one at a time every night, to measure how much figures
            move when nothing changes; 0 is none.
    """

    limits: Limits = field(default_factory=Limits)
    conditions: Mapping[str, Limits] = field(default_factory=dict)
    groups: Mapping[tuple[str, str], Limits] = field(default_factory=dict)
    alpha: float = 0.05
    horizon_nights: int = 30
    window_nights: int = 8
    detect: float = 0.03
    judge: Literal["estimate", "interval"] = "estimate"
    invariance: int = 0

    @property
    def compares(self) -> bool:
        """Whether any of the limits needs a baseline's figures."""
        tables = (self.limits, *self.conditions.values(), *self.groups.values())
        return any(limits.max_increase is not None for limits in tables)

    def of(self, condition: str, attribute: str = "", group: str = "") -> Limits:
        """Return what holds in one condition, for everybody or for one group."""
        return self.limits.replaced_by(self.conditions.get(condition)).replaced_by(self.groups.get((attribute, group)))


class _LimitsTable(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    max_wer: float | None = Share
    max_rate: float | None = Share
    max_gap: float | None = Share
    min_accuracy: float | None = Share
    max_failed: float | None = Share
    min_coverage: float | None = Share
    max_increase: float | None = Share

    def limits(self) -> Limits:
        """Return the limits that the table states."""
        stated = {f.name: getattr(self, f.name) for f in fields(Limits)}
        return Limits(**{**stated, "max_wer": self.max_rate if self.max_wer is None else self.max_wer})


class GatesTable(_LimitsTable):
    """The table as it stands in the file; unknown keys are errors."""

    alpha: float = pydantic.Field(default=0.05, gt=0, lt=1)
    horizon_nights: int = pydantic.Field(default=30, ge=1, le=10_000)
    window_nights: int = pydantic.Field(default=8, ge=1, le=256)
    detect: float = pydantic.Field(default=0.03, gt=0, lt=1)
    judge: Literal["estimate", "interval"] = "estimate"
    invariance: int = pydantic.Field(default=0, ge=0)
    condition: dict[str, _LimitsTable] = {}
    group: dict[str, dict[str, _LimitsTable]] = {}

    def settings(self) -> GateSettings:
        """Return what the stages work with."""
        always = Limits(max_failed=MAX_FAILED, min_coverage=MIN_COVERAGE)
        return GateSettings(
            limits=always.replaced_by(self.limits()),
            conditions={name: table.limits() for name, table in self.condition.items()},
            groups={
                (attribute, name): table.limits()
                for attribute, tables in self.group.items()
                for name, table in tables.items()
            },
            alpha=self.alpha,
            horizon_nights=self.horizon_nights,
            window_nights=self.window_nights,
            detect=self.detect,
            judge=self.judge,
            invariance=self.invariance,
        )
