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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.night_to_night import Key, Movement, Movements
from asrfair.nightly.paired_nights import Look, Scored, make_look, widths
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

        metric: What is compared.

    Returns:
        One gate for each engine, condition and group whose condition has a ``max_increase``.
    """
    looks = [
        look
        for width in widths(len(newest), settings.window_nights)
        if (look := make_look(newest[:width], baseline, groups, metric)) is not None
    ]
    if not looks:
        return []
    movements = movements or Movements()
    found: dict[Key, list[Gate]] = {}
    first: dict[Key, tuple[_Cells, int, int]] = {}
    for look in looks:
        for by in dict.fromkeys([(), *groups.by]):
            cells = _cells(look, by)
            for p, (engine, condition) in enumerate(look.named):
                limit = settings.of(condition).max_increase
                if limit is None:
                    continue
                for g, group in enumerate(cells.grouping.names):
                    key = (engine, condition, cells.grouping.attribute, group)
                    movement = movements.of(key, left_out=look.nights - 1)
                    gate = _gate(cells, p, g, key, limit, look.nights, len(baseline), movement, groups)
                    found.setdefault(key, []).append(gate)
                    if look is looks[0]:
                        first[key] = (cells, p, g)
    gates = _decide(found, first, len(looks), len(baseline), settings, movements, same_inputs)
    return [replace(gate, measure=metric.label) for gate in gates]


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
    found: dict[Key, list[Gate]],
    first: dict[Key, tuple[_Cells, int, int]],
    looks: int,
    baselines: int,
    settings: GateSettings,
    movements: Movements,
    same_inputs: bool,
) -> list[Gate]:
    """Correct for looks and gates, and decide."""
    keys = list(found)
    best: list[Gate] = []
    for key in keys:
        tested = [gate for gate in found[key] if gate.status != "not_tested"]
        # of the looks at the same p-value (unchanged: all 1) the newest night alone is the one to show
        gate = min(tested, key=lambda item: item.p) if tested else found[key][0]
        gate = replace(gate, tonight=found[key][0].value)
        best.append(replace(gate, p=min(gate.p * looks, 1.0)) if tested else gate)
    adjusted = holm(np.array([gate.p for gate in best], dtype=np.float64))
    level = settings.alpha / settings.horizon_nights
    tests = sum(gate.status != "not_tested" for gate in best)
    result = []
    for gate, p_holm, key in zip(best, adjusted.tolist(), keys, strict=True):
        movement = movements.of(key, left_out=gate.nights - 1)
        width = 2.0 * _spread(movement.band, gate.nights, baselines)
        if gate.status == "not_tested":
            result.append(replace(gate, level=level, band=width))
            continue
        beyond = gate.value > gate.limit and not gate.value <= width
        fails = beyond and p_holm <= level
        note = "" if fails or not beyond else "above the limit, but within chance"
        cells, p, g = first[key]
        nights = power_nights(
            cells, p, g, tests, baselines, gate.limit, settings, movements.of(key), same_inputs=same_inputs
        )
        result.append(
            replace(
                gate,
                status="fail" if fails else "pass",
                p_holm=p_holm,
                level=level,
                band=float(width),
                note=note,
                power_nights=nights,
            )
        )
    return result


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
    level = settings.alpha / settings.horizon_nights / (tests * len(steps))
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
