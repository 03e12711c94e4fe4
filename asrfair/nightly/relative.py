"""Gates against a baseline: is a group worse than it was, by more than is allowed and by more than chance?

Every look (:mod:`asrfair.nightly.paired_nights`) gives each group the log ratio of its WER to the baseline's on the same
speakers, with the jackknife's standard error s and degrees of freedom d (:mod:`asrfair.stats.estimate.paired`). In units of
counting error, φ = s² / (1/E + 1/E₀) with E and E₀ the errors of the two sides, groups are alike enough to steady each
other (:mod:`asrfair.nightly.shrunken_variance`). The p-value is one-sided: only worse is an alarm.

Three corrections, each stated and each conservative: within a night, for the number of looks (Bonferroni) and for the
number of gates (Holm); over nights, each night may spend alpha / horizon. By the union bound the expected number of
false alarms in a horizon is at most alpha, whatever the dependence between nights, which is strong, since they share
their speakers and their baseline. The rate is constant, and does not fall off as spending functions for trials that end
do: a benchmark has no last night, and a change in a year must be seen as soon as one tomorrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from asrfair.nightly.chart import SHARE, Step, alarms, charted, restlessness, steps_of
from asrfair.nightly.gate_outcome import WITHIN_CHANCE, Gate, GateStatus
from asrfair.nightly.lasting import stay_found
from asrfair.nightly.night_to_night import Key, Movement, Movements
from asrfair.nightly.paired_nights import Look, Scored, make_look, news, only, widths
from asrfair.nightly.shrunken_variance import moderate
from asrfair.runs.gate_settings import GateSettings
from asrfair.scoring.metric import WER, Metric
from asrfair.stats.compare.multiplicity import holm
from asrfair.stats.estimate.group_rates import rates_of_cells
from asrfair.stats.estimate.paired import Change, change, paired_change, paired_sums
from asrfair.stats.frame import Floats
from asrfair.stats.groups import Grouping, make_grouping
from asrfair.stats.plan.power import POWER
from asrfair.types import GroupSettings

_LEAST = 1e-9


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """One attribute in one look; arrays of shape (P, G)."""

    grouping: Grouping
    change: Change
    p: Floats
    p_alone: Floats
    phi: Floats
    df: Floats
    words: Floats
    speakers: Floats


def relative_gates(
    newest: Sequence[Scored],
    baseline: Sequence[Scored],
    groups: GroupSettings,
    settings: GateSettings,
    *,
    movements: Movements | None = None,
    same_inputs: bool = True,
    metric: Metric = WER,
    before: Mapping[Key, Gate] | None = None,
    last: Scored | None = None,
    steps: Mapping[Key, Step] | None = None,
    changes: Mapping[Key, Sequence[float]] | None = None,
) -> list[Gate]:
    """Hold the newest nights against the baseline.

    Args:
        newest: Tonight, then the nights before it that had the same inputs, newest first.
        baseline: One night or several.
        groups: For whom, and how small is too small.
        settings: The limits, alpha, and the window.
        movements: What figures do by themselves from night to night.
        same_inputs: Whether nothing is known to have changed since the baseline. Otherwise what differs between
            speakers is not only chance between nights, and more nights do not make it smaller.
        before: The gates of the last night that was held against the same baseline: where the charts stand, and what
            was found and must stay found.
        last: The scores of that night.
        steps: What tonight adds to the charts, where the caller knows it already.
        changes: How much each group's charted figure moved between the nights before (:attr:`Gate.z`).

        metric: What is compared.

    Returns:
        One gate for each engine, condition and group whose condition has a ``max_increase``.
    """
    movements = movements or Movements()
    tested: dict[Key, _Tested] = {}
    news_of = news(newest, metric)
    for places, runs in news_of.items():
        nights = [newest[place] for place in places]
        part = nights if len(news_of) == 1 else [only(night, runs) for night in nights]
        own = baseline if len(news_of) == 1 else [only(night, runs) for night in baseline]
        looks = {
            width: look
            for width in widths(len(part), settings.window_nights)
            if (look := make_look(part[:width], own, groups, metric)) is not None
        }
        if 1 not in looks:
            continue
        if steps is None:
            before_that = None if last is None else make_look([last], own, groups, metric)
            made = steps_of(looks[1], before_that, groups, len(own))
        for width, look in looks.items():
            left_out = places[width - 1]
            for by in dict.fromkeys([(), *groups.by]):
                cells = _cells(look, by)
                for p, (engine, condition) in enumerate(look.named):
                    for g, group in enumerate(cells.grouping.names):
                        key = (engine, condition, cells.grouping.attribute, group)
                        limit = settings.of(condition, *key[2:]).max_increase
                        if limit is None:
                            continue
                        movement = movements.of(key, left_out=left_out)
                        gate = _gate(cells, p, g, key, limit, look.nights, len(baseline), movement, groups)
                        item = tested.setdefault(key, _Tested(cells=cells, p=p, g=g, looks=len(looks)))
                        item.gates.append((gate, movement))
                        item.step = (made if steps is None else steps).get(key)
    for key, item in tested.items():
        if item.step is not None:
            restless = restlessness((changes or {}).get(key, ()))
            item.step = replace(item.step, noise=item.step.noise * restless)
    gates = _decide(tested, len(baseline), settings, movements, same_inputs, before or {})
    return [replace(gate, measure=metric.label) for gate in gates]


@dataclass(kw_only=True)
class _Tested:
    """One group of one run: its gate in every look, and its place in the first."""

    cells: _Cells
    p: int
    g: int
    looks: int
    gates: list[tuple[Gate, Movement]] = field(default_factory=list)
    step: Step | None = None


def _cells(look: Look, by: tuple[str, ...]) -> _Cells:
    grouping = make_grouping(look.frame, by)
    sums = paired_sums(look.frame, look.pairs)
    found = paired_change(grouping, sums)
    with np.errstate(all="ignore"):
        unit = _unit(grouping, found)
        raw = found.se_log**2 / unit
        moved = np.nan_to_num(found.difference) != 0
        raw = np.where(moved & np.isfinite(raw), np.maximum(raw, _LEAST), raw)
        phi, df = np.empty_like(raw), np.empty_like(raw)
        for p in range(len(raw)):
            phi[p], df[p] = moderate(raw[p], found.df[p])
        worse = special.stdtr(df, -found.log_ratio / np.sqrt(phi * unit))
        alone = special.stdtr(found.df, -found.log_ratio / np.sqrt(raw * unit))
        still = (found.difference == 0) & np.isfinite(found.se_log)
    words = grouping.groups(grouping.cells(sums[1, 1]))
    speakers = grouping.groups((grouping.cells(sums[2, 1]) > 0).astype(np.int64))
    return _Cells(
        grouping=grouping,
        change=found,
        p=np.where(still, 1.0, worse),
        p_alone=np.where(still, 1.0, alone),
        phi=phi,
        df=df,
        words=words.astype(np.float64),
        speakers=speakers.astype(np.float64),
    )


def _unit(grouping: Grouping, found: Change) -> Floats:
    """Variance of the log ratio if errors were independent events: 1/E + 1/E₀, shape (P, G)."""
    errors = np.add.reduceat(found.errors.astype(np.float64), grouping.starts, axis=-1)
    unit: Floats = 1.0 / errors[0] + 1.0 / errors[1]
    return unit


def _gate(
    cells: _Cells,
    p: int,
    g: int,
    key: Key,
    limit: float,
    nights: int,
    baselines: int,
    movement: Movement,
    groups: GroupSettings,
) -> Gate:
    engine, condition, attribute, group = key
    difference = float(cells.change.difference[p, g])
    known = np.isfinite(movement.sd)
    p_speakers = float((cells.p if known else cells.p_alone)[p, g])
    p_nights = _p_nights(difference, movement, nights, baselines) if known else 0.0
    note = ""
    if not cells.grouping.stated[g]:
        note = "not stated"
    elif cells.speakers[p, g] < groups.min_speakers:
        note = f"few speakers ({int(cells.speakers[p, g])})"
    elif cells.words[p, g] < groups.min_words:
        note = f"few words ({int(cells.words[p, g])})"
    elif not np.isfinite(p_speakers):
        note = "no variance can be estimated"
    return Gate(
        rule="max_increase",
        engine=engine,
        condition=condition,
        attribute=attribute,
        group=group,
        status="not_tested" if note else "pass",
        limit=limit,
        value=difference,
        baseline=float(cells.change.second.rate[p, g]),
        nights=nights,
        p=float("nan") if note else max(p_speakers, p_nights),
        note=note,
    )


def _p_nights(difference: float, movement: Movement, nights: int, baselines: int) -> float:
    """One-sided p-value of an increase against what the figure does from night to night by itself."""
    if difference <= 0:
        return 1.0
    if movement.sd == 0:
        return 0.0
    return float(special.stdtr(movement.df, -difference / _spread(movement.sd, nights, baselines)))


def _spread(sd: float, nights: int, baselines: int) -> float:
    """Standard deviation of the difference between two means of nights."""
    return float(sd * np.sqrt(1.0 / nights + 1.0 / baselines))


def _decide(
    tested: dict[Key, _Tested],
    baselines: int,
    settings: GateSettings,
    movements: Movements,
    same_inputs: bool,
    before: Mapping[Key, Gate],
) -> list[Gate]:
    """Correct for looks and gates, and decide."""
    best: dict[Key, tuple[Gate, Movement]] = {}
    for key, item in tested.items():
        first = item.gates[0]
        able = [pair for pair in item.gates if pair[0].status != "not_tested"]
        # of the looks at the same p-value (unchanged: all 1) the newest night alone is the one to show
        gate, movement = min(able, key=lambda pair: pair[0].p) if able else first
        gate = replace(gate, tonight=first[0].value)
        best[key] = replace(gate, p=min(gate.p * item.looks, 1.0)) if able else gate, movement
    adjusted = holm(np.array([gate.p for gate, _ in best.values()], dtype=np.float64))
    tests = sum(gate.status != "not_tested" for gate, _ in best.values())
    level = _level(settings)
    result = []
    for (key, (gate, movement)), p_holm in zip(best.items(), adjusted.tolist(), strict=True):
        width = 2.0 * _spread(movement.band, gate.nights, baselines)
        kept = replace(gate, level=level, band=float(width))
        if gate.status != "not_tested":
            item = tested[key]
            beyond = gate.value > gate.limit and not gate.value <= width
            kept = charted(replace(kept, p_holm=p_holm), item.step, tests, baselines, settings, before)
            fails = beyond and p_holm <= level
            by_chart = alarms(kept)
            status: GateStatus = "fail" if fails or by_chart else "pass"
            note = f"added up over {kept.chart_nights} nights" if by_chart and not fails else ""
            if status == "pass" and max(gate.value, gate.tonight) > gate.limit:
                status, note = "warn", WITHIN_CHANCE
            power = power_nights(
                item.cells, item.p, item.g, tests, baselines, gate.limit, settings, movements.of(key),
                same_inputs=same_inputs,
            )  # fmt: skip
            kept = replace(kept, status=status, note=note, power_nights=power)
        result.append(stay_found(kept, before.get(key), movements.of(key)))
    return result


def _level(settings: GateSettings) -> float:
    """What the tests of one night may spend."""
    return (1.0 - SHARE) * settings.alpha / settings.horizon_nights


def power_nights(
    cells: _Cells,
    p: int,
    g: int,
    tests: int,
    baselines: int,
    limit: float,
    settings: GateSettings,
    movement: Movement,
    *,
    same_inputs: bool = True,
) -> int:
    """In how many nights an increase of ``detect`` in this group would be found with probability 0.8.

    The increase is taken to be the same number of points for every speaker, which on the log scale is uneven and so
    costs power; the noise between nights is what it is now. Nights with the same inputs after the change are counted.
    Both tests must find it; the product of their powers is used, which is less than the chance that both do, as what
    makes one large makes the other large.

    Returns:
        1, 2, 4, … or 0 where it is not found within the window.
    """
    delta = settings.detect
    found, grouping = cells.change, cells.grouping
    inside = grouping.cell_group == g
    words = found.words[1, p][inside]
    errors = found.errors[1, p][inside] / baselines
    words = words / baselines
    uneven = _unevenness(grouping, found, p, g, delta)
    rate = errors.sum() / words.sum()
    total = errors.sum()
    own = found.df[p, g]
    known = np.isfinite(movement.sd)
    phi, df = (
        (cells.phi[p, g], cells.df[p, g]) if known else (found.se_log[p, g] ** 2 / _unit(grouping, found)[p, g], own)
    )
    if not np.isfinite(phi):
        phi, df = 0.0, own
    if not (np.isfinite(df) and np.isfinite(uneven) and total > 0) or delta <= limit:
        return 0
    steps = widths(settings.window_nights, settings.window_nights)
    level = _level(settings) / (tests * len(steps))
    steps = steps if same_inputs else [1]
    shift = np.log1p(delta / rate)
    critical = special.stdtrit(df, 1.0 - level)
    for nights in steps:
        unit = 1.0 / (total * baselines) + 1.0 / ((total + delta * words.sum()) * nights)
        s = np.sqrt(phi * unit + own / df * uneven**2)
        if s == 0:
            return nights
        power = 1.0 - special.nctdtr(df, shift / (s * (1.0 + 0.75 / df)), critical)
        if known and movement.sd > 0:
            crossed = special.stdtrit(movement.df, 1.0 - level)
            power *= 1.0 - special.nctdtr(movement.df, delta / _spread(movement.sd, nights, baselines), crossed)
        above = special.ndtr((delta - limit) / ((rate + delta) * np.sqrt(phi * unit) + 1e-12))
        if power >= POWER and above >= POWER:
            return nights
    return 0


def _unevenness(grouping: Grouping, found: Change, p: int, g: int, delta: float) -> float:
    """Standard error of the log ratio if every speaker of the group got the same number of points and nothing else."""
    before = found.errors[1, p : p + 1]
    words = found.words[1, p : p + 1]
    after = np.rint(before + delta * words).astype(np.int64)
    present = (words > 0).astype(np.int64)
    sides = (rates_of_cells(grouping, errors, words, present) for errors in (after, before))
    return float(change(*sides).se_log[0, g])
