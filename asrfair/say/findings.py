"""Sentences from the tables: what can be concluded, what cannot, and what to look at before concluding.

Every number in a sentence stands in a table, which the finding names. Levels: ``finding`` (what the data show),
``limit`` (what they cannot show), ``warning`` (what may mislead).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from asrfair.say import cautions
from asrfair.say import numbers as say
from asrfair.say.finding import LEVEL, Finding, Tables, around, blocks, finding, records, rows_of, word
from asrfair.types import CLEAN, OVERALL_ATTRIBUTE


def make_findings(tables: Tables) -> list[dict[str, str]]:
    """Write the sentences of a run's tables, the most important first; the content of ``findings.json``.

    Args:
        tables: Tables by name, as :func:`asrfair.stats.analyse_run` makes them; those that are absent or empty say
            nothing.
    """
    condition = _main_condition(tables)
    makers: tuple[Callable[[Tables, str], Iterator[Finding]], ...] = (
        _gaps,
        _engines,
        _places,
        _adjusted,
        cautions.speakers,
        cautions.failures,
        cautions.normalizers,
        cautions.power,
        cautions.unclear,
        cautions.confounded,
        cautions.scales,
        cautions.acoustics,
        _subgroups,
    )
    return [asdict(one) for make in makers for one in make(tables, condition)]


def _main_condition(tables: Tables) -> str:
    conditions = list(dict.fromkeys(tables["disparity"]["condition"])) if "disparity" in tables else []
    return CLEAN if CLEAN in conditions or not conditions else str(conditions[0])


def _gaps(tables: Tables, condition: str) -> Iterator[Finding]:
    """Worst group first, then the gap and whether chance could have made it."""
    for row in records(rows_of(tables, "gaps", condition=condition)):
        if row["attribute"] == OVERALL_ATTRIBUTE or not np.isfinite(row["gap"]) or row["gap"] <= 0:
            continue
        text = (
            f"{row['engine']}: the worst {word(row['attribute'])} of {say.counted(int(row['groups']), 'group')} is "
            f"{row['worst_group']} with {say.percent(row['worst_wer'])}"
            f"{around(row['worst_ci_low'], row['worst_ci_high'])}, the best {row['best_group']} with "
            f"{say.percent(row['best_wer'])}: a gap of {say.points(row['gap'])}"
        )
        low, high = row["gap_ci_low"], row["gap_ci_high"]
        level = "finding"
        if not np.isfinite(low):
            text += ", for which no interval can be given."
        elif low > 0.0005:
            text += f", and at least {say.points(low)} once the choice of the extremes is allowed for."
        else:
            text += f" ({say.span(low, high, unit='')}); chance among these speakers could have made it."
        yield finding(row, "gap", level, text, "gaps")


def _engines(tables: Tables, condition: str) -> Iterator[Finding]:
    """Engine against engine on the same speakers."""
    table = rows_of(tables, "comparisons", condition=condition)
    for (a, b), block in blocks(table, "engine_a", "engine_b"):
        overall = records(block[block["attribute"] == OVERALL_ATTRIBUTE])
        if not overall or not np.isfinite(overall[0]["difference"]):
            continue
        row = overall[0]
        groups = block[(block["attribute"] != OVERALL_ATTRIBUTE) & block["p_holm"].notna()]
        clear = groups[groups["p_holm"] <= LEVEL]
        worse, better = (a, b) if row["difference"] > 0 else (b, a)
        difference = abs(row["difference"])
        bounds = sorted((abs(row["ci_low"]), abs(row["ci_high"]))) if row["ci_low"] * row["ci_high"] > 0 else None
        if bounds:
            text = (
                f"{better} makes fewer errors than {worse} on the same speakers: {say.points(difference)} fewer"
                f"{around(bounds[0], bounds[1], unit='')}"
            )
        else:
            text = (
                f"Between {a} and {b} no difference can be told on the same speakers: {say.points(row['difference'])}"
                f"{around(row['ci_low'], row['ci_high'], unit='')}"
            )
        if len(groups):
            several = say.counted(len(groups), "group")
            text += f"; beyond chance in {len(clear)} of {several} after correction" if len(clear) else ""
            text += "" if len(clear) else f"; in none of {several} alone is it beyond chance after correction"
            against = clear[np.sign(clear["difference"]) != np.sign(row["difference"])]
            if len(against):
                text += f", but the other way round for {say.listed([str(g) for g in against['group']])}"
        name = f"engines:{a}:{b}:{condition}"
        yield Finding(id=name, level="finding", text=text + ".", table="comparisons", condition=condition)


def _places(tables: Tables, condition: str) -> Iterator[Finding]:
    """The group that a place hits hardest."""
    del condition
    table = rows_of(tables, "interactions")
    for (_, _), block in blocks(table, "engine", "attribute"):
        clear = block[(block["p_holm"] <= LEVEL) & (block["difference_in_differences"] > 0)]
        if clear.empty:
            continue
        row = records(clear.sort_values("difference_in_differences", ascending=False, kind="stable"))[0]
        text = (
            f"{row['engine']}: {row['condition']} costs {row['group']} {say.points(row['difference_in_differences'])} "
            f"more than it costs {row['reference_group']}{around(row['ci_low'], row['ci_high'], unit='')}"
        )
        if len(clear) > 1:
            text += f"; the same is true, less so, of {say.counted(len(clear) - 1, 'other pair')} of group and place"
        yield finding(row, "place", "finding", text + ".", "interactions")


def _adjusted(tables: Tables, condition: str) -> Iterator[Finding]:
    """The largest ratio as measured, and what is left of it among comparable utterances."""
    table = rows_of(tables, "adjusted", condition=condition)
    for (_, _), block in blocks(table, "engine", "attribute"):
        usable = block[block["adjusted_ratio"].notna()]
        if usable.empty or not str(usable.iloc[0]["covariates"]):
            continue
        row = records(usable.sort_values("raw_ratio", ascending=False, kind="stable"))[0]
        held = say.listed([word(name) for name in str(row["covariates"]).split("+")])
        low, high = row["ci_low"], row["ci_high"]
        inside = f" ({low:.2f}–{high:.2f})" if np.isfinite(low) else ""
        text = (
            f"{row['engine']}: with {held} held fixed {row['group']} makes {say.ratio(row['adjusted_ratio'])} times "
            f"the errors of {row['reference_group']}{inside}; as measured it is {say.ratio(row['raw_ratio'])} times"
        )
        if np.isfinite(low) and low <= 1 <= high:
            text += ". The difference that remains can be chance"
        yield finding(row, "adjusted", "finding", text + ".", "adjusted")


def _subgroups(tables: Tables, condition: str) -> Iterator[Finding]:
    """Combinations that were found in one half of the speakers and again in the other."""
    table = rows_of(tables, "subgroups", condition=condition)
    without: list[str] = []
    for (engine,), block in blocks(table, "engine"):
        confirmed = records(block[block["flag"] == "confirmed"])
        if not confirmed:
            without.append(engine)
        for row in confirmed:
            text = (
                f"{engine}: speakers with {row['subgroup']} have {say.ratio(row['held_out_ratio'])} times the error "
                f"rate of all others ({row['ci_low']:.2f}–{row['ci_high']:.2f}): found by search in one half of the "
                f"speakers and confirmed in the other ({say.counted(int(row['held_out_speakers']), 'speaker')})."
            )
            yield finding(row, f"subgroup:{row['subgroup']}", "finding", text, "subgroups")
    if without:
        text = (
            f"Of {say.counted(int(table['searched'].iloc[0]), 'combination')} of attributes searched none that stood "
            f"out in one half of the speakers was confirmed in the other, for {say.listed(without)}."
        )
        yield Finding(id="subgroups", level="limit", text=text, table="subgroups", condition=condition)
