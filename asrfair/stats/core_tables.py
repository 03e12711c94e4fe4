"""The tables that every analysis has: who, how wrong, how far apart, who is in the data, and what went missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.data.tablefile import read_result
from asrfair.errors import InputError
from asrfair.scoring.ledger import GAVE_NOTHING
from asrfair.scoring.metric import WER, WORDS
from asrfair.stats.estimate.bootstrap import Draws, percentile_interval
from asrfair.stats.estimate.extremes import jackknife_extremes, percentile_extremes
from asrfair.stats.estimate.gaps import extremes
from asrfair.stats.estimate.group_rates import Rates, group_rates
from asrfair.stats.estimate.largest_difference import LargestDifference
from asrfair.stats.estimate.rate_interval import MIN_EFFECTIVE, MIN_SPEAKERS, interval
from asrfair.stats.estimate.simultaneous import simultaneous_interval
from asrfair.stats.frame import Floats, Frame
from asrfair.stats.groups import Grouping
from asrfair.stats.measure.capped import capped, loops_in_sight
from asrfair.types import ERROR, MISSING, SCORED, GroupSettings, StatisticsSettings

FEW_RESAMPLES = 7
"""Fewer speakers than this have under 1,000 distinct resamples, C(2k − 1, k): percentile intervals get a flag."""


def disparity_table(
    frame: Frame,
    grouping: Grouping,
    rates: Rates,
    groups: GroupSettings,
    statistics: StatisticsSettings,
    ledger: pd.DataFrame,
    *,
    flags: npt.NDArray[np.object_],
    draws: Draws | None = None,
) -> pd.DataFrame:
    """Make the rows of ``disparity.csv`` for one attribute.

    Args:
        frame: The scores.
        grouping: The groups.
        rates: Their rates.
        groups: How small is too small.
        statistics: Confidence.
        ledger: Columns engine, condition, utterance_id, reason.
        flags: Flags of the groups, shape (R, G).
        draws: Bootstrap draws where percentile intervals are asked for; simultaneous ones are always of the jackknife.
    """
    level = statistics.confidence
    low, high = rate_interval(rates, level, draws)
    shown = (rates.speakers >= groups.min_speakers) & (rates.words >= max(groups.min_words, 1))
    sim_low, sim_high = simultaneous_interval(rates.estimate, shown, level)
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
        "ref_words": grouping.groups(grouping.cells(frame.sums(*WORDS[:3]))).ravel(),
        **{name: values.ravel() for name, values in quantities.items()},
        **({} if frame.metric == WER else {"numerator": rates.errors.ravel(), "denominator": rates.words.ravel()}),
        "rate": rates.rate.ravel(),
        "ci_low": np.where(shown, low, np.nan).ravel(),
        "ci_high": np.where(shown, high, np.nan).ravel(),
        "sim_low": np.where(shown, sim_low, np.nan).ravel(),
        "sim_high": np.where(shown, sim_high, np.nan).ravel(),
        "failed": _failed(frame, grouping, ledger).ravel(),
        "scored_share": _scored_share(frame, grouping, rates).ravel(),
        **_capped(frame, grouping, ledger, shown, level),
        "flag": flags.ravel(),
    }
    return pd.DataFrame(table)


def _scored_share(frame: Frame, grouping: Grouping, rates: Rates) -> Floats:
    """Share of the utterances that could be scored for which an engine gave something that was; shape (R, G)."""
    status = frame.status.reshape(len(rates.utterances), -1)
    could = np.isin(status, [SCORED, ERROR, MISSING])
    size = len(grouping.names)
    total = np.array([np.bincount(grouping.utterance_group[row], minlength=size) for row in could])
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, rates.utterances / total, np.nan)


def _capped(
    frame: Frame, grouping: Grouping, ledger: pd.DataFrame, shown: npt.NDArray[np.bool_], level: float
) -> dict[str, npt.NDArray[np.float64]]:
    """Rates of which no loop is a large part; empty in runs that have none in sight."""
    runs = loops_in_sight(frame, ledger)
    found = np.full((3, *shown.shape), np.nan)
    if runs.any():
        rates = group_rates(capped(frame, runs), grouping)
        low, high = interval(rates.estimate, level)
        found = np.stack([rates.rate, np.where(shown, low, np.nan), np.where(shown, high, np.nan)])
        found[:, ~runs] = np.nan
    names = ("rate_capped", "capped_ci_low", "capped_ci_high")
    return {name: values.ravel() for name, values in zip(names, found, strict=True)}


def rate_interval(rates: Rates, level: float, draws: Draws | None) -> tuple[Floats, Floats]:
    """Marginal intervals of every group: percentile intervals if there are draws, else those of the jackknife."""
    return interval(rates.estimate, level) if draws is None else percentile_interval(draws.rate, level)


def group_flags(rates: Rates, groups: GroupSettings, *, percentile: bool) -> npt.NDArray[np.object_]:
    """What a reader of a group's figures has to know, joined by semicolons, shape (R, G).

    ``not_stated``; ``few_speakers``, ``few_words`` (below the minimum, no interval); ``no_errors``; ``one_speaker``
    (below two effective speakers: one says nearly everything, no interval); ``no_speakers`` (nobody said who speaks, no
    interval); ``wide`` (the interval spans more than a
    factor of ten, so the group's rate is not known); ``few_resamples`` (percentile intervals of few speakers).
    """
    enough = (rates.speakers >= groups.min_speakers) & (rates.words >= max(groups.min_words, 1))
    low, high = interval(rates.estimate, 0.95)
    with np.errstate(invalid="ignore"):
        wide = enough & (rates.errors > 0) & (high > 10.0 * low)
    unknown = (rates.speakers == 0) & (rates.utterances > 0)
    flags = np.full(rates.rate.shape, "", dtype=object)
    for name, where in (
        ("not_stated", np.broadcast_to(~rates.grouping.stated, rates.rate.shape)),
        ("no_speakers", unknown),
        ("few_speakers", ~unknown & (rates.speakers < max(groups.min_speakers, 1 if percentile else MIN_SPEAKERS))),
        ("few_words", rates.words < max(groups.min_words, 1)),
        ("no_errors", (rates.errors == 0) & (rates.words > 0)),
        ("one_speaker", enough & (rates.effective < MIN_EFFECTIVE)),
        ("wide", wide),
        ("few_resamples", enough & (rates.speakers < FEW_RESAMPLES) & percentile),
    ):
        flags[where] = np.where(flags[where] == "", name, flags[where] + f";{name}")
    return flags


def gaps_table(
    frame: Frame,
    rates: Rates,
    compared: npt.NDArray[np.bool_],
    overall: Rates,
    statistics: StatisticsSettings,
    chance: LargestDifference | Draws,
    *,
    overall_draws: Draws | None = None,
    ledger: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Make the rows of ``gaps.csv`` for one attribute.

    Args:
        frame: The scores.
        rates: Rates of the attribute's groups.
        compared: Which of them are large enough, shape (R, G).
        overall: Rates of everybody (micro).
        statistics: Confidence.
        chance: The largest difference of any two groups under chance; or, for percentile intervals, bootstrap draws of
            the groups.
        overall_draws: Those of everybody.
        ledger: Columns engine, condition, utterance_id, reason: where it shows loops, ``gap_capped`` is made.
    """
    level = statistics.confidence
    attribute = rates.grouping.attribute
    found = extremes(rates.rate, compared)
    if isinstance(chance, LargestDifference):
        bounds = jackknife_extremes(rates, compared, level, chance)
    else:
        bounds = percentile_extremes(chance, compared, level)
    micro_low, micro_high = rate_interval(overall, level, overall_draws)
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
            "best_rate": found.best_rate,
            "worst_rate": found.worst_rate,
            "worst_ci_low": np.where(enough, bounds.worst[0], np.nan),
            "worst_ci_high": np.where(enough, bounds.worst[1], np.nan),
            "gap": np.where(several, found.gap, np.nan),
            "gap_ci_low": np.where(several, bounds.gap[0], np.nan),
            "gap_ci_high": np.where(several, bounds.gap[1], np.nan),
            "ratio": np.where(several, found.ratio, np.nan),
            "ratio_ci_low": np.where(several, bounds.ratio[0], np.nan),
            "ratio_ci_high": np.where(several, bounds.ratio[1], np.nan),
            "macro_rate": found.macro,
            "macro_ci_low": np.where(enough, bounds.macro[0], np.nan),
            "macro_ci_high": np.where(enough, bounds.macro[1], np.nan),
            "micro_rate": overall.rate[:, 0],
            "micro_ci_low": micro_low[:, 0],
            "micro_ci_high": micro_high[:, 0],
            "spread_sd": np.where(several, found.spread, np.nan),
            "gap_capped": np.where(several, _capped_gap(frame, rates, compared, ledger), np.nan),
            "flag": np.where(
                several, np.where(np.isnan(bounds.gap[0]), "no_interval", ""), np.where(enough, "one_group", "no_group")
            ),
        }
    )


def _capped_gap(frame: Frame, rates: Rates, compared: npt.NDArray[np.bool_], ledger: pd.DataFrame | None) -> Floats:
    """The gap between the worst and the best capped rate; NaN in runs that have no loop in sight."""
    runs = np.zeros(len(rates.rate), dtype=bool) if ledger is None else loops_in_sight(frame, ledger)
    if not runs.any():
        return np.full(len(runs), np.nan)
    found = extremes(group_rates(capped(frame, runs), rates.grouping).rate, compared)
    return np.where(runs, found.gap, np.nan)


def in_run_order(frame: Frame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of several groupings together, sorted by engine and condition in the order of the suite."""
    # a table without rows says nothing of types
    whole = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    engine = whole["engine"].map({name: index for index, name in enumerate(frame.engines)})
    condition = whole["condition"].map({name: index for index, name in enumerate(frame.conditions)})
    order = np.lexsort((np.arange(len(whole)), condition, engine))
    return whole.iloc[order].reset_index(drop=True)


def coverage_table(frame: Frame, groupings: list[Grouping]) -> pd.DataFrame:
    """Who is in the data: speakers, utterances, words and hours of every group, excluded utterances left out."""
    usable = (frame.utterances["exclude"] == "").to_numpy() if "exclude" in frame.utterances else None
    words = frame.words
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
                    "speakers": np.bincount(pairs // len(frame.speakers), minlength=names) * frame.speakers_known,
                    "utterances": np.bincount(group, minlength=names),
                    "ref_words": np.rint(np.bincount(group, weights=words[picked], minlength=names)).astype(np.int64),
                    "hours": np.bincount(group, weights=hours[picked], minlength=names),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def read_ledger(run: Path) -> pd.DataFrame:
    """Read ``ledger.csv`` of a run as text: engine, condition, utterance_id, reason; empty where there is none."""
    columns = ["engine", "condition", "utterance_id", "reason"]
    path = run / "ledger.csv"
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype=str) for name in columns})
    found = read_result(path)
    for name in columns:
        if name not in found:
            raise InputError("a column is missing", file=path, column=name, remedy="Score the run again")
    return found[columns]


def _failed(frame: Frame, grouping: Grouping, ledger: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Utterances of each run and group for which the engine gave nothing, shape (R, G)."""
    runs = len(frame.engines) * len(frame.conditions)
    groups = len(grouping.names)
    if ledger.empty:
        status = frame.status.reshape(runs, -1)
        failed = (status == ERROR) | (status == MISSING)
        return np.array([np.bincount(grouping.utterance_group[row], minlength=groups) for row in failed])
    rows = _ledger_codes(frame, ledger[ledger["reason"].isin(GAVE_NOTHING)])
    rows = rows.drop_duplicates(["run", "utterance"])
    cell = rows["run"].to_numpy() * groups + grouping.utterance_group[rows["utterance"].to_numpy()]
    return np.bincount(cell, minlength=runs * groups).reshape(runs, groups)


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


def ledger_table(frame: Frame, groupings: list[Grouping], ledger: pd.DataFrame) -> pd.DataFrame:
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
    return in_run_order(frame, parts)[columns]
