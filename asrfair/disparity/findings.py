"""Sentences from the tables: what can be concluded, what cannot, and what to look at before concluding.

Every number in a sentence stands in a table, which the finding names. Levels: ``finding`` (what the data show),
``limit`` (what they cannot show), ``warning`` (what may mislead).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from asrfair.disparity import sentences as say
from asrfair.types import CLEAN, OVERALL_ATTRIBUTE

Tables = Mapping[str, pd.DataFrame]

LEVEL = 0.05
"""Corrected p-values below this are called beyond chance."""

LOUD_SPEAKER = 0.2
"""A speaker is named where the gap without them differs by a fifth."""

LOUD_FAILURE = 0.05
"""Failures are named where they hold one in twenty of a group's errors."""

FAILURE_WORDS = {
    "repetition_loop": "in which it repeats itself",
    "empty_hypothesis": "for which it returned nothing",
    "text_on_silence": "where it wrote words and the reference has none",
}

SMALLEST_CHANGE = 0.0005
"""A smaller change of a gap is not visible with one decimal."""

FEW_GROUPS = 3
"""Up to so many groups, each is told with its own failures."""

LOUD_NORMALIZER = 0.01
"""A gap that moves by a point between normalizers is worth a sentence."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence with where it comes from."""

    id: str
    level: str
    text: str
    table: str
    engine: str = ""
    condition: str = ""
    attribute: str = ""


def make_findings(tables: Tables) -> list[dict[str, str]]:
    """Write the sentences of a run's tables, the most important first; the content of ``findings.json``.

    Args:
        tables: Tables by name, as :func:`asrfair.disparity.analyse_run` makes them; those that are absent or empty say
            nothing.
    """
    condition = _main_condition(tables)
    makers: tuple[Callable[[Tables, str], Iterator[Finding]], ...] = (
        _gaps,
        _engines,
        _places,
        _adjusted,
        _speakers,
        _failures,
        _normalizers,
        _power,
        _unclear,
        _confounded,
        _scales,
        _acoustics,
        _subgroups,
    )
    return [asdict(finding) for make in makers for finding in make(tables, condition)]


def _main_condition(tables: Tables) -> str:
    conditions = list(dict.fromkeys(tables["disparity"]["condition"])) if "disparity" in tables else []
    return CLEAN if CLEAN in conditions or not conditions else str(conditions[0])


def _table(tables: Tables, name: str, **equal: str) -> pd.DataFrame:
    """Rows of a table with the given values; empty where there is no such table."""
    table = tables.get(name)
    if table is None or table.empty:
        return pd.DataFrame()
    for column, value in equal.items():
        table = table[table[column] == value]
    return table


def _blocks(table: pd.DataFrame, *columns: str) -> Iterator[tuple[list[str], pd.DataFrame]]:
    if table.empty:
        return
    for key, block in table.groupby(list(columns), sort=False):
        yield [str(part) for part in key], block


def _word(attribute: str) -> str:
    return attribute.replace("_", " ")


def _around(low: float, high: float, unit: str = "%") -> str:
    text = say.span(low, high, unit=unit)
    return f" ({text})" if text else ""


def _gaps(tables: Tables, condition: str) -> Iterator[Finding]:
    """Worst group first, then the gap and whether chance could have made it."""
    for row in _records(_table(tables, "gaps", condition=condition)):
        if row["attribute"] == OVERALL_ATTRIBUTE or not np.isfinite(row["gap"]) or row["gap"] <= 0:
            continue
        text = (
            f"{row['engine']}: the worst {_word(row['attribute'])} of {say.counted(int(row['groups']), 'group')} is "
            f"{row['worst_group']} with {say.percent(row['worst_wer'])}"
            f"{_around(row['worst_ci_low'], row['worst_ci_high'])}, the best {row['best_group']} with "
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
        yield _finding(row, "gap", level, text, "gaps")


def _engines(tables: Tables, condition: str) -> Iterator[Finding]:
    """Engine against engine on the same speakers."""
    table = _table(tables, "comparisons", condition=condition)
    for (a, b), block in _blocks(table, "engine_a", "engine_b"):
        overall = _records(block[block["attribute"] == OVERALL_ATTRIBUTE])
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
                f"{_around(bounds[0], bounds[1], unit='')}"
            )
        else:
            text = (
                f"Between {a} and {b} no difference can be told on the same speakers: {say.points(row['difference'])}"
                f"{_around(row['ci_low'], row['ci_high'], unit='')}"
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
    table = _table(tables, "interactions")
    for (_, _), block in _blocks(table, "engine", "attribute"):
        clear = block[(block["p_holm"] <= LEVEL) & (block["difference_in_differences"] > 0)]
        if clear.empty:
            continue
        row = _records(clear.sort_values("difference_in_differences", ascending=False, kind="stable"))[0]
        text = (
            f"{row['engine']}: {row['condition']} costs {row['group']} {say.points(row['difference_in_differences'])} "
            f"more than it costs {row['reference_group']}{_around(row['ci_low'], row['ci_high'], unit='')}"
        )
        if len(clear) > 1:
            text += f"; the same is true, less so, of {say.counted(len(clear) - 1, 'other pair')} of group and place"
        yield _finding(row, "place", "finding", text + ".", "interactions")


def _adjusted(tables: Tables, condition: str) -> Iterator[Finding]:
    """The largest ratio as measured, and what is left of it among comparable utterances."""
    table = _table(tables, "adjusted", condition=condition)
    for (_, _), block in _blocks(table, "engine", "attribute"):
        usable = block[block["adjusted_ratio"].notna()]
        if usable.empty or not str(usable.iloc[0]["covariates"]):
            continue
        row = _records(usable.sort_values("raw_ratio", ascending=False, kind="stable"))[0]
        held = say.listed([_word(name) for name in str(row["covariates"]).split("+")])
        low, high = row["ci_low"], row["ci_high"]
        inside = f" ({low:.2f}–{high:.2f})" if np.isfinite(low) else ""
        text = (
            f"{row['engine']}: with {held} held fixed {row['group']} makes {say.ratio(row['adjusted_ratio'])} times "
            f"the errors of {row['reference_group']}{inside}; as measured it is {say.ratio(row['raw_ratio'])} times"
        )
        if np.isfinite(low) and low <= 1 <= high:
            text += ". The difference that remains can be chance"
        yield _finding(row, "adjusted", "finding", text + ".", "adjusted")


def _speakers(tables: Tables, condition: str) -> Iterator[Finding]:
    """A gap that hangs on one speaker."""
    table = _table(tables, "influence", condition=condition, kind="speaker")
    for (_, _), block in _blocks(table, "engine", "attribute"):
        moved = (block["gap_without"] - block["gap_with"]).abs()
        row = _records(block.loc[[moved.fillna(0).idxmax()]])[0]
        if not abs(row["gap_without"] - row["gap_with"]) >= LOUD_SPEAKER * row["gap_with"]:
            continue
        text = (
            f"{row['engine']}: without speaker {say.short(str(row['id']))} ({row['group']}) the gap by "
            f"{_word(row['attribute'])} is {say.points(row['gap_without'])}, not {say.points(row['gap_with'])}."
        )
        yield _finding(row, "speaker", "warning", text, "influence")


def _failures(tables: Tables, condition: str) -> Iterator[Finding]:
    """Errors that are not mishearing: loops and the like that hold a share of a group's errors."""
    table = _table(tables, "influence", condition=condition, kind="failures")
    single = _table(tables, "influence", condition=condition, kind="utterance")
    for (engine, attribute, reason), block in _blocks(table, "engine", "attribute", "id"):
        loud = block[block["share_of_errors"] >= LOUD_FAILURE]
        if reason not in FAILURE_WORDS or loud.empty:
            continue
        rows = _records(loud.sort_values("share_of_errors", ascending=False, kind="stable"))
        row, count = rows[0], int(loud["utterances"].sum())
        if len(rows) <= FEW_GROUPS:
            mine = single[(single["engine"] == engine) & (single["attribute"] == attribute)] if len(single) else single
            parts = [_held(other, mine, reason) for other in rows]
            text = f"{engine}: {parts[0]}" + "".join(f"; {part}" for part in parts[1:])
        else:
            text = (
                f"{engine}: {say.counted(count, 'utterance')} of {say.counted(len(rows), 'group')} "
                f"{FAILURE_WORDS[reason]} hold {say.percent(rows[-1]['share_of_errors'])} ({rows[-1]['group']}) to "
                f"{say.percent(row['share_of_errors'])} ({row['group']}) of the groups' errors"
            )
        text += (
            f". Without all such utterances the WER of {row['group']} is {say.percent(row['wer_without'])}, not "
            f"{say.percent(row['wer_with'])}"
        )
        if abs(row["gap_without"] - row["gap_with"]) >= SMALLEST_CHANGE:
            text += f", and the gap by {_word(attribute)} {say.points(row['gap_without'])}, not {say.points(row['gap_with'])}"
        text += "."
        yield _finding(row, f"failures:{reason}", "warning", text, "influence")


def _held(row: Mapping[str, Any], single: pd.DataFrame, reason: str) -> str:
    """Say how many of a group's errors failures hold, and name them where all are known."""
    count = int(row["utterances"])
    names = ""
    if len(single):
        mine = single[(single["group"] == row["group"]) & single["reason"].str.contains(reason, regex=False)]
        names = f" ({say.listed([say.short(str(name)) for name in mine['id']])})" if len(mine) == count else ""
    total = round(row["errors"] / row["share_of_errors"])
    return (
        f"{say.counted(count, 'utterance')} of {row['group']}{names} {FAILURE_WORDS[reason]} "
        f"{'holds' if count == 1 else 'hold'} {int(row['errors']):,} of the group's {total:,} errors "
        f"({say.percent(row['share_of_errors'])})"
    )


def _normalizers(tables: Tables, condition: str) -> Iterator[Finding]:
    """Answers that depend on the text rules."""
    table = _table(tables, "normalizers", condition=condition)
    for (_, _), block in _blocks(table, "engine", "attribute"):
        first = block.drop_duplicates("normalizer")
        # Without any rules letter case and punctuation decide: that is in the table, and no rival to compare with.
        first = first[~first["normalizer"].str.startswith("none@")]
        if len(first) < 2:
            continue
        own, rest = first.iloc[0], first.iloc[1:]
        changed = rest[(rest["best_group"] != own["best_group"]) | (rest["worst_group"] != own["worst_group"])]
        low, high = float(first["gap"].min()), float(first["gap"].max())
        if changed.empty and high - low < LOUD_NORMALIZER:
            continue
        text = (
            f"{own['engine']}: the gap by {_word(str(own['attribute']))} is {say.points(low)} to {say.points(high)}, "
            f"depending on the normalizer ({say.points(float(own['gap']))} under {own['normalizer']})"
        )
        if len(changed):
            row = changed.iloc[0]
            text += (
                f"; under {row['normalizer']} the best group is {row['best_group']} and the worst {row['worst_group']}"
            )
        yield _finding(_records(block)[0], "normalizer", "warning", text + ".", "normalizers")


def _subgroups(tables: Tables, condition: str) -> Iterator[Finding]:
    """Combinations that were found in one half of the speakers and again in the other."""
    table = _table(tables, "subgroups", condition=condition)
    without: list[str] = []
    for (engine,), block in _blocks(table, "engine"):
        confirmed = _records(block[block["flag"] == "confirmed"])
        if not confirmed:
            without.append(engine)
        for row in confirmed:
            text = (
                f"{engine}: speakers with {row['subgroup']} have {say.ratio(row['held_out_ratio'])} times the error "
                f"rate of all others ({row['ci_low']:.2f}–{row['ci_high']:.2f}): found by search in one half of the "
                f"speakers and confirmed in the other ({say.counted(int(row['held_out_speakers']), 'speaker')})."
            )
            yield _finding(row, f"subgroup:{row['subgroup']}", "finding", text, "subgroups")
    if without:
        text = (
            f"Of {say.counted(int(table['searched'].iloc[0]), 'combination')} of attributes searched none that stood "
            f"out in one half of the speakers was confirmed in the other, for {say.listed(without)}."
        )
        yield Finding(id="subgroups", level="limit", text=text, table="subgroups", condition=condition)


def _power(tables: Tables, condition: str) -> Iterator[Finding]:
    """What could not have been seen."""
    table = _table(tables, "differences", condition=condition)
    for (_, _, versus), block in _blocks(table, "engine", "attribute", "versus"):
        known = block[block["mdd"].notna()]
        if known.empty or versus == "rest":
            continue
        rows = _records(known.sort_values("mdd", kind="stable"))
        least, most = rows[0], rows[-1]
        if least["mdd"] >= 1:
            text = (
                f"{least['engine']}: by {_word(least['attribute'])}, no difference from {least['versus_group']} could "
                "have been seen, however large, with these speakers."
            )
            yield _finding(least, f"power:{versus}", "limit", text, "differences")
            continue
        text = (
            f"{least['engine']}: by {_word(least['attribute'])}, no difference from {least['versus_group']} of less "
            f"than {say.points(least['mdd'])} could have been seen"
        )
        if len(rows) > 1:
            other = f"none of less than {say.points(most['mdd'])}" if most["mdd"] < 1 else "none, however large"
            text += f" (in {least['group']}; in {most['group']} {other})"
        text += "."
        yield _finding(least, f"power:{versus}", "limit", text, "differences")


def _unclear(tables: Tables, condition: str) -> Iterator[Finding]:
    """Differences that chance can explain."""
    table = _table(tables, "differences", condition=condition, versus="best")
    for (_, _), block in _blocks(table, "engine", "attribute"):
        tested = block[block["p_holm"].notna()]
        unclear = tested[tested["p_holm"] > LEVEL]
        if unclear.empty:
            continue
        row = _records(unclear)[0]
        text = (
            f"{row['engine']}: by {_word(row['attribute'])}, {len(unclear)} of "
            f"{say.counted(len(tested), 'difference')} from the best group cannot be told from chance with these "
            f"speakers: {say.listed([str(g) for g in unclear['group']])}."
        )
        yield _finding(row, "unclear", "limit", text, "differences")


def _confounded(tables: Tables, condition: str) -> Iterator[Finding]:
    """What the adjustment could not do."""
    table = _table(tables, "adjusted", condition=condition)
    if table.empty:
        return
    table = table.drop_duplicates("attribute")
    for row in _records(table):
        flags = str(row["flag"]).split(";")
        for flag, words in (
            ("confounded", "goes with the groups so closely that the two cannot be told apart; it was not held fixed"),
            ("unavailable", "is not known for any utterance; it was not held fixed"),
        ):
            names = [_word(part.partition(":")[2]) for part in flags if part.startswith(flag + ":")]
            if names:
                text = f"By {_word(row['attribute'])}, {say.listed(names)} {words}."
                yield _finding(row, flag, "limit", text, "adjusted")


def _scales(tables: Tables, condition: str) -> Iterator[Finding]:
    """Places where points and ratios say opposite things."""
    del condition
    table = _table(tables, "interactions")
    for (_, _), block in _blocks(table, "engine", "attribute"):
        both = block[block["scales_disagree"].astype(str).isin(["yes", "True", "true", "1"])]
        if both.empty:
            continue
        row = _records(both)[0]
        text = (
            f"{row['engine']}: for {len(both)} of {say.counted(len(block), 'pair')} of {_word(row['attribute'])} and "
            "place the gap to the reference group widens in points and narrows as a ratio, or the reverse: state both."
        )
        yield _finding(row, "scales", "limit", text, "interactions")


def _acoustics(tables: Tables, condition: str) -> Iterator[Finding]:
    """Groups whose recordings differ."""
    table = _table(tables, "achieved_by_group", condition=condition)
    if table.empty:
        return
    differing = table[(table["flag"].fillna("") != "") & (table["attribute"] != OVERALL_ATTRIBUTE)]
    for (attribute, quantity), block in _blocks(differing, "attribute", "quantity"):
        names = [f"{row['group']} ({row['difference']:+.1f})".replace("-", "−") for row in _records(block)]
        text = (
            f"By {_word(attribute)}, recordings differ in {_word(quantity)}: {say.listed(names)} against all others. A "
            "difference in errors may be one of recordings."
        )
        yield _finding(
            {"condition": condition, "attribute": attribute},
            f"acoustics:{quantity}",
            "warning",
            text,
            "achieved_by_group",
        )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _finding(row: Mapping[str, Any], name: str, level: str, text: str, table: str) -> Finding:
    engine, condition, attribute = (str(row.get(key, "")) for key in ("engine", "condition", "attribute"))
    return Finding(
        id=":".join(part for part in (name, engine, condition, attribute) if part),
        level=level,
        text=text,
        table=table,
        engine=engine,
        condition=condition,
        attribute=attribute,
    )
