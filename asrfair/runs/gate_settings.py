"""What a night must hold: the ``[gates]`` table of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pydantic

Share = pydantic.Field(default=None, ge=0, le=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a gate allows, as fractions; ``None`` means that there is no such gate.

    Args:
        max_wer: Word error rate of every group that is large enough; of a suite with another metric, that (``max_rate``).
        max_gap: Gap between the worst and the best group of an attribute.
        min_accuracy: The floor: 1 − WER of every group that is large enough.
        max_failed: Share of utterances that an engine error or a missing hypothesis kept from being scored.
        max_increase: How much a group's WER may lie above the baseline's, if that is more than chance.
    """

    max_wer: float | None = None
    max_gap: float | None = None
    min_accuracy: float | None = None
    max_failed: float | None = None
    max_increase: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSettings:
    """All gates of a suite.

    Args:
        limits: What holds in every condition that does not say otherwise.
        conditions: What a condition says otherwise, by its name.
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
    alpha: float = 0.05
    horizon_nights: int = 30
    window_nights: int = 8
    detect: float = 0.03
    judge: Literal["estimate", "interval"] = "estimate"
    invariance: int = 0

    def of(self, condition: str) -> Limits:
        """Return what holds in one condition."""
        own = self.conditions.get(condition)
        if own is None:
            return self.limits
        names = ("max_wer", "max_gap", "min_accuracy", "max_failed", "max_increase")
        return replace(self.limits, **{name: getattr(own, name) for name in names if getattr(own, name) is not None})


class _LimitsTable(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    max_wer: float | None = Share
    max_rate: float | None = Share
    max_gap: float | None = Share
    min_accuracy: float | None = Share
    max_failed: float | None = Share
    max_increase: float | None = Share

    def limits(self) -> Limits:
        """Return the limits that the table states."""
        return Limits(
            max_wer=self.max_rate if self.max_wer is None else self.max_wer,
            max_gap=self.max_gap,
            min_accuracy=self.min_accuracy,
            max_failed=self.max_failed,
            max_increase=self.max_increase,
        )


class GatesTable(_LimitsTable):
    """The table as it stands in the file; unknown keys are errors."""

    alpha: float = pydantic.Field(default=0.05, gt=0, lt=1)
    horizon_nights: int = pydantic.Field(default=30, ge=1, le=10_000)
    window_nights: int = pydantic.Field(default=8, ge=1, le=256)
    detect: float = pydantic.Field(default=0.03, gt=0, lt=1)
    judge: Literal["estimate", "interval"] = "estimate"
    invariance: int = pydantic.Field(default=0, ge=0)
    condition: dict[str, _LimitsTable] = {}

    def settings(self) -> GateSettings:
        """Return what the stages work with."""
        return GateSettings(
            limits=self.limits(),
            conditions={name: table.limits() for name, table in self.condition.items()},
            alpha=self.alpha,
            horizon_nights=self.horizon_nights,
            window_nights=self.window_nights,
            detect=self.detect,
            judge=self.judge,
            invariance=self.invariance,
        )
