"""A chart that adds up: slow and small changes of one group, which no single night shows.

The test of tonight (:mod:`asrfair.nightly.relative`) asks whether people differ by more than people do. The chart asks
something smaller, and sees more: whether the figure *of these speakers on these recordings* has moved for good. What it
calls noise is what single utterances do by themselves. If nothing changed but chance, tonight's and the baseline's errors
d_u of an utterance could as well be exchanged, so that the increase Σ d / W has the variance Σ d² / W². Nights that are
seen to move by more than that (:func:`restlessness`) count for less.

It is Page's cumulative sum (1954, Biometrika 41, 100) of what lies above a reference value K, half of the increase that is
to be found, in units of that noise: S_t = max(0, S_{t−1} + (x_t − K) / σ). The baseline's own noise is in every x_t alike,
which tables of run lengths leave out, and it, not the nights', decides how high the alarm level must be. The level is
therefore simulated, with it, as Lucas and Crosier (1982, Technometrics 24, 199) do: so that among nights on which nothing
changes the chance of any alarm within the horizon is what it may be. (Their head start would, with a baseline of one night,
double that level, and is left out.)

A night on which a group's transcripts are as they were the night before tells nothing new and does not count; one on
which they differ in part counts in part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.night_to_night import Key
from asrfair.nightly.paired_nights import Look
from asrfair.runs.gate_settings import GateSettings
from asrfair.stats.frame import Floats
from asrfair.stats.groups import make_grouping
from asrfair.types import GroupSettings

SHARE = 0.2
"""Part of alpha that the charts may spend; the tests of single nights have the rest."""
_PATHS = 100_000
_SEED = 1982
_LEAST = 0.5
"""Least alarm level: where the noise is tiny beside K, chance would give none."""
_STEPS_A_DECADE = 24
_MEDIAN = float(special.chdtri(1, 0.5))
_PRIOR = tuple(float(special.chdtri(1, (index + 0.5) / 8)) for index in range(8))
"""χ² with one degree of freedom: its median, and eight values as it has them."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one night adds to one group's chart.

    Args:
        increase: Of the group's WER over the baseline's, a fraction.
        noise: Standard deviation of one night's WER if only chance moved its utterances.
        news: Share of it that the night before did not tell already, 0 to 1.
        z: The change since the night before, in units of what its utterances alone would make of it; NaN where none
            of them changed.
    """

    increase: float
    noise: float
    news: float = 1.0
    z: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Where a chart stands.

    Args:
        level: The sum, in units of the alarm level: 1 and more is an alarm.
        mean: Mean increase over the nights since the sum last rose from zero.
        nights: How many those are.
    """

    level: float = 0.0
    mean: float = math.nan
    nights: int = 0

    @property
    def alarm(self) -> bool:
        """Whether it is one."""
        return self.level >= 1.0


def advance(chart: Chart, step: Step, reference: float, chance: float, horizon: int, baselines: int) -> Chart:
    """Add a night.

    Args:
        chart: As it stood.
        step: The night.
        reference: K, a fraction.
        chance: Of a false alarm of this chart within the horizon.
        horizon: Nights.
        baselines: Nights that the baseline is the mean of.
    """
    if step.news <= 0 or not step.noise > 0:
        return chart
    limit = alarm_level(reference / step.noise, chance, horizon, baselines)
    level = chart.level + step.news * (step.increase - reference) / (step.noise * limit)
    if level <= 0:
        return Chart(level=0.0)
    before = chart.nights * chart.mean if chart.nights else 0.0
    return Chart(level=level, mean=(before + step.increase) / (chart.nights + 1), nights=chart.nights + 1)


def charted(
    gate: Gate,
    step: Step | None,
    tests: int,
    baselines: int,
    settings: GateSettings,
    before: Mapping[Key, Gate],
) -> Gate:
    """Add tonight to the group's chart, from where the night before left it.

    Args:
        gate: Tonight's, by the tests of single nights.
        step: What tonight adds; ``None`` where nothing is known.
        tests: How many groups are tested tonight.
        baselines: Nights that the baseline is the mean of.
        settings: The limits.
        before: The gates of the night before.
    """
    earlier = before.get((gate.engine, gate.condition, gate.attribute, gate.group))
    chart = Chart()
    if earlier is not None and math.isfinite(earlier.chart):
        chart = Chart(level=earlier.chart, mean=earlier.chart_mean, nights=earlier.chart_nights)
    if step is not None:
        reference = max(settings.detect, gate.limit) / 2.0
        chance = SHARE * settings.alpha / tests
        chart = advance(chart, step, reference, chance, settings.horizon_nights, baselines)
        gate = replace(gate, z=step.z)
    return replace(gate, chart=chart.level, chart_mean=chart.mean, chart_nights=chart.nights)


def alarms(gate: Gate) -> bool:
    """Whether a gate fails by its chart: the sum is at its alarm level, and the increase beyond the limit."""
    return gate.chart >= 1.0 and gate.chart_mean > gate.limit


def restlessness(changes: Sequence[float]) -> float:
    """Return by how much nights move more than their utterances alone would have them; at least 1.

    A service under load may hear all utterances of a night worse. Then successive nights differ by more than independent
    utterances do. The median is asked, so that one change among the nights does not hide the next, and it begins from
    eight nights as independent utterances would make them, so that the first few do not decide.

    Args:
        changes: :attr:`Step.z` of the nights so far.
    """
    squares = [z * z for z in changes if math.isfinite(z)]
    return math.sqrt(max(float(np.median([*_PRIOR, *squares])) / _MEDIAN, 1.0))


def alarm_level(reference: float, chance: float, horizon: int, baselines: int) -> float:
    """Return the sum at which a chart alarms, in units of a night's noise.

    Args:
        reference: K in the same units.
        chance: Of any alarm within the horizon while nothing changes.
        horizon: Nights.
        baselines: Nights that the baseline is the mean of.
    """
    step = math.floor(_STEPS_A_DECADE * math.log10(max(reference, 1e-3)))  # a lower K is the safe side
    return _alarm_level(10 ** (step / _STEPS_A_DECADE), chance, horizon, baselines)


@lru_cache(maxsize=1024)
def _alarm_level(reference: float, chance: float, horizon: int, baselines: int) -> float:
    rng = np.random.default_rng(_SEED)
    shift = (rng.standard_normal(_PATHS, dtype=np.float32) / math.sqrt(baselines)) + reference
    total = np.zeros(_PATHS, dtype=np.float32)
    most = total.copy()
    for _ in range(horizon):
        step = rng.standard_normal(_PATHS, dtype=np.float32) - shift
        total = np.maximum(total + step, 0.0)
        np.maximum(most, total, out=most)
    return max(_upper(np.sort(most)[::-1], chance), _LEAST)


def _upper(descending: npt.NDArray[np.float32], chance: float, few: int = 20) -> float:
    """Quantile of a sample's upper tail; beyond its last ``few`` values the tail is taken to be exponential."""
    rank = chance * len(descending)
    if rank >= few:
        return float(descending[int(rank)])
    far, near = float(descending[few]), float(descending[10 * few])
    return far + (far - near) / math.log(10) * math.log(few / max(rank, 1e-300))


def steps_of(look: Look, previous: Look | None, groups: GroupSettings, baselines: int) -> dict[Key, Step]:
    """Return tonight's step of every group of every run.

    Args:
        look: Tonight against the baseline.
        previous: The night before against the baseline; ``None`` where there is none.
        groups: For whom.
        baselines: Nights that the baseline is the mean of.
    """
    before = dict(_by_run(previous)) if previous is not None else {}
    found: dict[Key, Step] = {}
    groupings = [make_grouping(look.frame, by) for by in dict.fromkeys([(), *groups.by])]
    ids = look.frame.utterances["utterance_id"].to_numpy(object)
    for run, (errors, base, words) in _by_run(look):
        last = errors - np.nan
        if run in before and previous is not None:
            rows = previous.frame.utterances.set_index("utterance_id").index.get_indexer(pd.Index(ids))
            last = np.where(rows >= 0, before[run][0][rows], np.nan)
        for grouping in groupings:
            parts = grouping.utterance_group, len(grouping.names)
            for name, step in zip(
                grouping.names, steps_by_group(errors, base, last, words, *parts, baselines), strict=True
            ):
                found[(*run, grouping.attribute, name)] = step
    return found


def _by_run(look: Look) -> Iterator[tuple[tuple[str, str], tuple[Floats, Floats, Floats]]]:
    """Yield each run's errors of an utterance tonight, its mean errors in the baseline, and its words."""
    frame = look.frame
    flat_errors, flat_words = (
        array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (frame.numerator, frame.denominator)
    )
    for run, (newest, base) in zip(look.named, look.pairs, strict=True):
        count = look.baselines
        yield run, (flat_errors[newest] / look.nights, flat_errors[base] / count, flat_words[base] / count)


def steps_by_group(
    errors: Floats,
    base: Floats,
    last: Floats,
    words: Floats,
    group: npt.NDArray[np.int64],
    groups: int,
    baselines: int,
) -> list[Step]:
    """Return the step of each group, from utterances.

    Args:
        errors: Tonight's errors of each utterance, shape (U,).
        base: The baseline's.
        last: Those of the night before; NaN where it has none.
        words: Words of the reference.
        group: Group of each utterance.
        groups: How many there are.
        baselines: Nights that the baseline is the mean of.
    """
    moved = errors - base
    known = np.isfinite(last)
    fresh = np.where(known, errors - last, moved)
    columns = (moved, moved**2, fresh, fresh**2, known, words)
    sums = [np.bincount(group, weights=values, minlength=groups) for values in columns]
    found = []
    for total, squares, change, new, seen, size in zip(*sums, strict=True):
        since = float(change / math.sqrt(new)) if new > 0 and seen > 0 else math.nan
        fresh_share = min(float(new / squares), 1.0) if squares > 0 else 0.0
        noise = math.sqrt(squares / (1.0 + 1.0 / baselines)) / float(size) if size > 0 else 0.0
        found.append(
            Step(increase=float(total / size) if size > 0 else math.nan, noise=noise, news=fresh_share, z=since)
        )
    return found
