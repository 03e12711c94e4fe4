"""Pools many sites' exports into tables of disparity; exports that are damaged, changed, implausible or doubled are named.

The exports' rows become a run of one row a speaker and combination of groups, which the ordinary statistics read: they
need sums over speakers and nothing finer, so that pooled exports give what pooled runs would have given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.data.runfile import settings_to_json, write_run_file
from asrfair.data.tablefile import write_csv, write_parquet
from asrfair.errors import InputError
from asrfair.lastmile.export import COUNTS, OWN_ROOM
from asrfair.lastmile.pages import Page
from asrfair.lastmile.pool_private import Private, check_apart, is_private, pool_private, read_private
from asrfair.lastmile.read_exports import Received, read_exports
from asrfair.scoring.metric import WER
from asrfair.stats import analyse_run, named
from asrfair.types import (
    INTERSECTION,
    NOT_STATED,
    OVERALL_ATTRIBUTE,
    GroupSettings,
    ScoringSettings,
    StatisticsSettings,
)

SITE = "site"
PRIVATE_FILE = "private.csv"
_SUMS = COUNTS[1:-1]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What was pooled: one folder of tables a source, and the page about it."""

    folders: dict[str, Path]
    page: Page
    files: tuple[Path, ...]
    refused: tuple[str, ...]


def merge_exports(
    paths: Sequence[Path],
    out: Path,
    *,
    min_speakers: int = 5,
    confidence: float = 0.95,
    skip_bad: bool = False,
) -> Merged:
    """Pool exports and write ``OUT/SOURCE/disparity.csv``, ``gaps.csv`` and so on, and ``OUT/MERGED.md`` and ``.html``.

    Private releases are pooled apart, in ``OUT/private.csv``.

    Args:
        paths: Export files.
        out: Folder; it is made.
        min_speakers: A group with fewer speakers gets no interval.
        confidence: Coverage of the intervals.
        skip_bad: Whether exports that cannot be trusted are left out; otherwise the first stops the merge.

    Raises:
        InputError: An export cannot be trusted (and ``skip_bad`` is not set), or none is left.
    """
    private = [path for path in paths if is_private(path)]
    received, refused = read_exports([path for path in paths if path not in private], skip_bad=skip_bad)
    releases, more = _read_private(private, skip_bad=skip_bad)
    refused += more
    if not received and not releases:
        raise InputError(
            "no export is left to merge", value="; ".join(refused[:3]), remedy="Ask the sites for new ones"
        )
    page = Page(title="Pooled exports")
    if received:
        page.text(f"Exports: {len(received)}. Sites: {len({item.site for item in received})}.")
        page.items([f"{item.site}: release {item.body.get('release', 1)} ({item.path.name})" for item in received])
        page.text(
            "Each site numbers its releases. A number that is missing here, or came twice, is one to ask the site about."
        )
    if refused:
        page.heading("Left out")
        page.items(list(refused))
    folders: dict[str, Path] = {}
    files: list[Path] = []
    statistics = StatisticsSettings(confidence=confidence)
    for source in sorted({str(run["source"]) for item in received for run in item.body["runs"]}):
        folder = out / source
        table, attributes = _pooled(received, source)
        if table.empty:
            continue
        groups = GroupSettings(by=_groupings(attributes, received), min_speakers=min_speakers)
        _write_run(table, attributes, folder, groups, statistics, source)
        analysis = analyse_run(folder, groups, statistics, full=False)
        shown = _with_utterances(named(analysis.tables["disparity"], WER), table)
        write_csv(shown, folder / "disparity.csv")
        coverage = analysis.tables["coverage"].drop(columns=["utterances", "hours"], errors="ignore")
        write_csv(coverage, folder / "coverage.csv")
        folders[source] = folder
        files += [folder / "disparity.csv", folder / "gaps.csv"]
        _describe(page, source, shown)
    if releases:
        files.append(out / PRIVATE_FILE)
        _write_private(page, releases, out / PRIVATE_FILE)
    page.text(
        "A hash shows that a file was damaged or edited by hand. Who computes a new hash over invented counts is caught only "
        "where the counts are implausible or copied: trust in an export is trust in the site that signed it off."
    )
    files += page.write(out / "MERGED")
    return Merged(folders=folders, page=page, files=tuple(files), refused=tuple(refused))


def _read_private(paths: Sequence[Path], *, skip_bad: bool) -> tuple[list[tuple[Path, Private]], list[str]]:
    """Read private releases, each checked against those before it."""
    releases: list[tuple[Path, Private]] = []
    refused: list[str] = []
    for path in paths:
        try:
            one = (path, read_private(path))
            check_apart([*releases, one])
        except InputError as error:
            if not skip_bad:
                raise
            refused.append(str(error))
        else:
            releases.append(one)
    return releases, refused


def _write_private(page: Page, releases: Sequence[tuple[Path, Private]], path: Path) -> None:
    table = pool_private(releases)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(table, path)
    page.heading("Private releases")
    page.text(
        f"{len(releases)} sites released noisy sums only; they are not in the tables above. The range is of the noise alone: "
        "how far people differ cannot be told from sums."
    )
    page.table(
        ["Engine", "Condition", "Attribute", "Group", "Sites", "WER", "Range of the noise"],
        [
            (
                row["engine"],
                row["condition"],
                row["attribute"],
                row["group"],
                row["sites"],
                "" if pd.isna(row["wer"]) else f"{row['wer']:.1%}",
                f"{row['noise_low']:.1%} – {row['noise_high']:.1%}"
                + (" (too wide to be of use)" if row["flag"] else ""),
            )
            for _, row in table.iterrows()
        ],
    )


def _pooled(received: Sequence[Received], source: str) -> tuple[pd.DataFrame, list[str]]:
    """All rows of one source, one a speaker × groups × engine × condition, with the site as an attribute."""
    attributes = list(dict.fromkeys(name for item in received for name in item.body["attributes"]))
    rows: list[dict[str, Any]] = []
    for item in received:
        for row in item.body["rows"]:
            if row[0] != source:
                continue
            groups = dict(zip(item.body["attributes"], row[4], strict=True))
            # The shipped voices are the same in every room; people are told apart by site.
            speaker = row[3] if source == "demo" else f"{item.site}/{row[3]}"
            rows.append(
                {
                    "engine": row[1],
                    "condition": row[2],
                    "speaker_id": speaker,
                    SITE: item.site,
                    **{name: groups.get(name, NOT_STATED) for name in attributes},
                    **dict(zip(COUNTS, row[5:], strict=True)),
                }
            )
    return pd.DataFrame(rows), attributes


def _groupings(attributes: Sequence[str], received: Sequence[Received]) -> tuple[tuple[str, ...], ...]:
    by: list[tuple[str, ...]] = [(name,) for name in attributes]
    by += [(first, second) for i, first in enumerate(attributes) for second in attributes[i + 1 :]]
    if len({item.site for item in received}) > 1:
        by += [(SITE,), *((name, SITE) for name in attributes)]
    return tuple(by)


def _write_run(
    table: pd.DataFrame,
    attributes: Sequence[str],
    folder: Path,
    groups: GroupSettings,
    statistics: StatisticsSettings,
    source: str,
) -> None:
    """Write the pooled counts as a run, so that every command that reads runs reads them too."""
    keys = ["speaker_id", SITE, *attributes]
    cells = table[keys].drop_duplicates().sort_values(keys).reset_index(drop=True)
    cells.insert(0, "utterance_id", [f"cell-{number:06d}" for number in range(len(cells))])
    utterances = cells.assign(reference="", exclude="", duration_s=float("nan"), language="")
    write_parquet(utterances, folder / "utterances.parquet")
    scores = table.merge(cells, on=keys)
    scores = scores.groupby(["engine", "condition", "utterance_id"], sort=True)[list(_SUMS)].sum().reset_index()
    for name in ("char_hits", "char_substitutions", "char_deletions", "char_insertions"):
        scores[name] = 0
    scores.insert(3, "status", "scored")
    write_parquet(scores, folder / "scores.parquet")
    write_run_file(
        folder,
        {
            "suite": {"name": f"pooled exports: {source}"},
            "engines": [{"label": name, "name": name} for name in scores["engine"].unique()],
            "conditions": [{"name": name} for name in scores["condition"].unique()],
            **settings_to_json(groups, ScoringSettings(), statistics),
        },
    )


def _with_utterances(disparity: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Put the true number of utterances and failures into a table that counted cells."""
    result = disparity.copy()
    for names, rows in result.groupby("attribute", sort=False):
        by = [] if names == OVERALL_ATTRIBUTE else str(names).split(INTERSECTION)
        group = table[by[0]].astype(str) if by else pd.Series("all", index=table.index)
        for name in by[1:]:
            group = group + INTERSECTION + table[name].astype(str)
        sums = table.assign(group=group).groupby(["engine", "condition", "group"])[["utterances", "failed"]].sum()
        keys = pd.MultiIndex.from_frame(rows[["engine", "condition", "group"]])
        for column in ("utterances", "failed"):
            result.loc[rows.index, column] = sums[column].reindex(keys, fill_value=0).to_numpy()
    return result


def _describe(page: Page, source: str, disparity: pd.DataFrame) -> None:
    page.heading(f"Source: {source}")
    if source == "demo":
        page.text("Synthetic voices: they show what rooms do, and nothing about people.")
    if disparity["condition"].str.startswith(OWN_ROOM).any():
        page.text(f"“{OWN_ROOM}1” is each site's own room: pooled, it stands for as many rooms as there are sites.")
    rows = disparity[~disparity["attribute"].str.contains(INTERSECTION, regex=False)]
    page.table(
        ["Engine", "Condition", "Attribute", "Group", "Speakers", "Words", "WER", "Interval"],
        [
            (
                row["engine"],
                row["condition"],
                row["attribute"],
                row["group"],
                int(row["speakers"]),
                int(row["ref_words"]),
                "" if pd.isna(row["wer"]) else f"{row['wer']:.1%}",
                "" if pd.isna(row["ci_low"]) else f"{row['ci_low']:.1%} – {row['ci_high']:.1%}",
            )
            for _, row in rows.iterrows()
        ],
    )
