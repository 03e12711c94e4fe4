"""From a run's scores to its tables of disparity, written beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.disparity.bootstrap import percentile_interval, speaker_draws
from asrfair.disparity.frame import STATUSES, Floats, Frame, load_frame
from asrfair.disparity.gaps import comparable, extremes
from asrfair.disparity.groups import Grouping, make_grouping
from asrfair.disparity.intervals import Rates, group_rates, jackknife_interval
from asrfair.disparity.worst import jackknife_extremes, percentile_extremes
from asrfair.tablefile import read_result, write_csv
from asrfair.types import GroupSettings, StatisticsSettings

FAILURES = ("engine_error", "unreadable_audio", "missing_hypothesis")
"""Reasons of the ledger that mean: the engine gave nothing that could be scored."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an analysis found: tables by name (without ``.csv``), as written into the run folder."""

    run: Path
    frame: Frame
    tables: Mapping[str, pd.DataFrame]


def analyse_run(run: Path, groups: GroupSettings, statistics: StatisticsSettings, *, full: bool = False) -> Analysis:
    """Write the tables of disparity of a scored run.

    Args:
        run: A folder with ``utterances.parquet``, ``scores.parquet`` and, optionally, ``ledger.csv``.
        groups: Whom to compare.
        statistics: Which intervals.
        full: Whether to make all tables; otherwise only disparity, gaps, coverage and the ledger by group.

    Raises:
        InputError: A table is missing or damaged, or an attribute unknown.
    """
    frame = load_frame(run, groups)
    groupings = [make_grouping(frame, by) for by in dict.fromkeys([(), *groups.by])]
    ledger = _read_ledger(run)
    disparity: list[pd.DataFrame] = []
    gaps: list[pd.DataFrame] = []
    for grouping in groupings:
        rates = group_rates(frame, grouping)
        disparity.append(_disparity_table(frame, grouping, rates, groups, statistics, ledger))
        gaps.append(_gaps_table(frame, rates, groups, statistics))
    tables = {
        "disparity": _in_run_order(frame, disparity),
        "gaps": _in_run_order(frame, gaps[1:] or gaps),
        "coverage": _coverage_table(frame, groupings),
        "ledger_by_group": _ledger_table(frame, groupings, ledger),
    }
    del full
    for name, table in tables.items():
        write_csv(table, run / f"{name}.csv")
    return Analysis(run=run, frame=frame, tables=tables)


def generator(statistics: StatisticsSettings, *purpose: str) -> np.random.Generator:
    """A source of chance for one purpose, independent of what else was asked for."""
    digest = hashlib.blake2b("\x1f".join(purpose).encode(), digest_size=8, key=str(statistics.seed).encode()[:64])
    return np.random.default_rng(int.from_bytes(digest.digest(), "little"))


def _disparity_table(
    frame: Frame,
    grouping: Grouping,
    rates: Rates,
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
) -> pd.DataFrame:
    level = statistics.confidence
    low, high = _intervals(rates, statistics, level)
    shown = (rates.speakers >= groups.min_speakers) & (rates.words >= max(groups.min_words, 1))
    family = np.maximum(shown.sum(axis=1, keepdims=True), 1)
    sim_low, sim_high = _simultaneous(rates, level, family)
    quantities = {
        name: grouping.groups(grouping.cells(frame.sums(name)))
        for name in ("hits", "substitutions", "deletions", "insertions")
    }
    runs = frame.runs()
    names = len(grouping.names)
    table = {
        "engine": np.repeat([engine for engine, _ in runs], names),
        "condition": np.repeat([condition for _, condition in runs], names),
        "attribute": grouping.attribute,
        "group": np.tile(np.array(grouping.names, dtype=object), len(runs)),
        "utterances": rates.utterances.ravel(),
        "speakers": rates.speakers.ravel(),
        "effective_speakers": rates.effective.ravel(),
        "ref_words": rates.words.ravel(),
        **{name: values.ravel() for name, values in quantities.items()},
        "wer": rates.rate.ravel(),
        "ci_low": np.where(shown, low, np.nan).ravel(),
        "ci_high": np.where(shown, high, np.nan).ravel(),
        "sim_low": np.where(shown, sim_low, np.nan).ravel(),
        "sim_high": np.where(shown, sim_high, np.nan).ravel(),
        "failed": _failed(frame, grouping, ledger).ravel(),
        "flag": _flags(rates, groups).ravel(),
    }
    return pd.DataFrame(table)


def _intervals(rates: Rates, statistics: StatisticsSettings, level: float) -> tuple[Floats, Floats]:
    if statistics.interval == "jackknife":
        return jackknife_interval(rates, level)
    draws = speaker_draws(rates, statistics.draws, generator(statistics, "speakers", rates.grouping.attribute))
    return percentile_interval(draws.rate, level)


def _simultaneous(rates: Rates, level: float, family: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    bounds = [np.full(rates.rate.shape, np.nan) for _ in range(2)]
    for size in np.unique(family):
        rows = family[:, 0] == size
        for bound, values in zip(bounds, jackknife_interval(rates, level ** (1.0 / size)), strict=True):
            bound[rows] = values[rows]
    return bounds[0], bounds[1]


def _flags(rates: Rates, groups: GroupSettings) -> npt.NDArray[np.object_]:
    flags = np.full(rates.rate.shape, "", dtype=object)
    for name, where in (
        ("not_stated", np.broadcast_to(~rates.grouping.stated, rates.rate.shape)),
        ("few_speakers", rates.speakers < groups.min_speakers),
        ("few_words", rates.words < max(groups.min_words, 1)),
        ("no_errors", (rates.errors == 0) & (rates.words > 0)),
    ):
        flags[where] = np.where(flags[where] == "", name, flags[where] + f";{name}")
    return flags


def _gaps_table(frame: Frame, rates: Rates, groups: GroupSettings, statistics: StatisticsSettings) -> pd.DataFrame:
    level = statistics.confidence
    attribute = rates.grouping.attribute
    compared = comparable(rates, min_speakers=groups.min_speakers, min_words=groups.min_words)
    found = extremes(rates.rate, compared)
    overall = group_rates(frame, make_grouping(frame, ()))
    if statistics.interval == "percentile":
        draws = speaker_draws(rates, statistics.draws, generator(statistics, "speakers", attribute))
        bounds = percentile_extremes(draws, compared, level)
    else:
        bounds = jackknife_extremes(rates, compared, level, generator(statistics, "maxima", attribute))
    micro_low, micro_high = _intervals(overall, statistics, level)
    enough = found.groups > 0
    several = found.groups > 1
    names = np.array([*rates.grouping.names, ""], dtype=object)
    runs = frame.runs()
    return pd.DataFrame(
        {
            "engine": [engine for engine, _ in runs],
            "condition": [condition for _, condition in runs],
            "attribute": attribute,
            "groups": found.groups,
            "best_group": names[found.best],
            "worst_group": names[found.worst],
            "best_wer": found.best_rate,
            "worst_wer": found.worst_rate,
            "worst_ci_low": np.where(enough, bounds.worst[0], np.nan),
            "worst_ci_high": np.where(enough, bounds.worst[1], np.nan),
            "gap": np.where(several, found.gap, np.nan),
            "gap_ci_low": np.where(several, bounds.gap[0], np.nan),
            "gap_ci_high": np.where(several, bounds.gap[1], np.nan),
            "ratio": np.where(several, found.ratio, np.nan),
            "ratio_ci_low": np.where(several, bounds.ratio[0], np.nan),
            "ratio_ci_high": np.where(several, bounds.ratio[1], np.nan),
            "macro_wer": found.macro,
            "macro_ci_low": np.where(enough, bounds.macro[0], np.nan),
            "macro_ci_high": np.where(enough, bounds.macro[1], np.nan),
            "micro_wer": overall.rate[:, 0],
            "micro_ci_low": micro_low[:, 0],
            "micro_ci_high": micro_high[:, 0],
            "spread_sd": np.where(several, found.spread, np.nan),
            "flag": np.where(several, "", np.where(enough, "one_group", "no_group")),
        }
    )


def _in_run_order(frame: Frame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of several groupings together, sorted by engine and condition in the order of the suite."""
    whole = pd.concat(tables, ignore_index=True)
    engine = whole["engine"].map({name: index for index, name in enumerate(frame.engines)})
    condition = whole["condition"].map({name: index for index, name in enumerate(frame.conditions)})
    order = np.lexsort((np.arange(len(whole)), condition, engine))
    return whole.iloc[order].reset_index(drop=True)


def _coverage_table(frame: Frame, groupings: list[Grouping]) -> pd.DataFrame:
    """Who is in the data: speakers, utterances, words and hours of every group, excluded utterances left out."""
    usable = (frame.utterances["exclude"] == "").to_numpy() if "exclude" in frame.utterances else None
    words = frame.ref_words.reshape(-1, frame.ref_words.shape[-1]).max(axis=0).astype(np.int64)
    hours = np.zeros(len(words))
    if "duration_s" in frame.utterances:
        hours = frame.utterances["duration_s"].fillna(0.0).to_numpy(dtype=float) / 3600
    rows: list[pd.DataFrame] = []
    for grouping in groupings:
        picked = np.ones(len(words), dtype=bool) if usable is None else usable
        group = grouping.utterance_group[picked]
        names = len(grouping.names)
        pairs = np.unique(group * len(frame.speakers) + frame.speaker[picked])
        rows.append(
            pd.DataFrame(
                {
                    "attribute": grouping.attribute,
                    "group": list(grouping.names),
                    "speakers": np.bincount(pairs // len(frame.speakers), minlength=names),
                    "utterances": np.bincount(group, minlength=names),
                    "ref_words": np.rint(np.bincount(group, weights=words[picked], minlength=names)).astype(np.int64),
                    "hours": np.bincount(group, weights=hours[picked], minlength=names),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _read_ledger(run: Path) -> pd.DataFrame:
    columns = ["engine", "condition", "utterance_id", "reason"]
    path = run / "ledger.csv"
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype=str) for name in columns})
    return read_result(path, text=("engine", "condition", "utterance_id", "speaker_id", "reason", "detail"))[columns]


def _failed(frame: Frame, grouping: Grouping, ledger: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Utterances of each run and group for which the engine gave nothing, shape (R, G)."""
    runs = len(frame.engines) * len(frame.conditions)
    groups = len(grouping.names)
    if ledger.empty:
        status = frame.status.reshape(runs, -1)
        failed = (status == STATUSES.index("error")) | (status == STATUSES.index("missing"))
        return np.array([np.bincount(grouping.utterance_group[row], minlength=groups) for row in failed])
    rows = _ledger_codes(frame, ledger[ledger["reason"].isin(FAILURES)])
    rows = rows.drop_duplicates(["run", "utterance"])
    place = rows["run"].to_numpy() * groups + grouping.utterance_group[rows["utterance"].to_numpy()]
    return np.bincount(place, minlength=runs * groups).reshape(runs, groups)


def _ledger_codes(frame: Frame, ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows of the ledger that are about utterances of the frame, with their run and utterance as numbers."""
    run = {pair: index for index, pair in enumerate(frame.runs())}
    pairs = zip(ledger["engine"], ledger["condition"], strict=True)
    utterance = pd.Index(frame.utterances["utterance_id"]).get_indexer(pd.Index(ledger["utterance_id"]))
    coded = pd.DataFrame(
        {
            "run": np.array([run.get(pair, -1) for pair in pairs], dtype=np.int64),
            "utterance": utterance.astype(np.int64),
            "reason": ledger["reason"].to_numpy(),
        }
    )
    return coded[(coded["run"] >= 0) & (coded["utterance"] >= 0)]


def _ledger_table(frame: Frame, groupings: list[Grouping], ledger: pd.DataFrame) -> pd.DataFrame:
    """How often each reason of the ledger occurs in each group, as a share of all its utterances."""
    columns = ["engine", "condition", "attribute", "group", "reason", "utterances", "share"]
    rows = _ledger_codes(frame, ledger).drop_duplicates()
    runs = frame.runs()
    parts: list[pd.DataFrame] = []
    for grouping in groupings:
        total = np.bincount(grouping.utterance_group, minlength=len(grouping.names))
        counted = (
            rows.assign(group=grouping.utterance_group[rows["utterance"].to_numpy()])
            .groupby(["run", "group", "reason"], sort=True)
            .size()
            .reset_index(name="utterances")
        )
        parts.append(
            pd.DataFrame(
                {
                    "engine": [runs[index][0] for index in counted["run"]],
                    "condition": [runs[index][1] for index in counted["run"]],
                    "attribute": grouping.attribute,
                    "group": [grouping.names[index] for index in counted["group"]],
                    "reason": counted["reason"].to_numpy(),
                    "utterances": counted["utterances"].to_numpy(),
                    "share": counted["utterances"].to_numpy() / total[counted["group"].to_numpy()],
                }
            )
        )
    return _in_run_order(frame, parts)[columns]
