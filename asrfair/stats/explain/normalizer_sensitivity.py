"""Is it the text normalizer: every group and gap under other rules of what counts as the same word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from asrfair.scoring import rescore_tables, score_tables
from asrfair.scoring.normalize import NORMALIZERS, get_normalizer
from asrfair.stats.estimate.gaps import comparable
from asrfair.stats.estimate.group_rates import group_rates
from asrfair.stats.frame import Floats, Frame
from asrfair.stats.gather import total
from asrfair.stats.groups import Grouping
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

COLUMNS = (
    "engine",
    "condition",
    "attribute",
    "normalizer",
    "group",
    "ref_words",
    "rate",
    "rank",
    "rank_flip",
    "best_group",
    "worst_group",
    "gap",
    "gap_change",
)

EVERY = "all"
"""In the settings: every normalizer that asrfair has, and the dialect-aware reference variants on top of the last."""

DIALECT = "whisper-english+dialect-english"


def normalizer_names(statistics: StatisticsSettings, scoring: ScoringSettings) -> list[str]:
    """Return the normalizers that are compared, each once, the run's own first."""
    names = [scoring.normalizer]
    for name in statistics.normalizers:
        names.extend([*NORMALIZERS, DIALECT] if name == EVERY else [name])
    labels: dict[str, str] = {}
    for name in names:
        labels.setdefault(get_normalizer(name).label, name)
    return list(labels.values())


def normalizer_table(
    frame: Frame,
    groupings: Sequence[Grouping],
    groups: GroupSettings,
    statistics: StatisticsSettings,
    scoring: ScoringSettings,
) -> pd.DataFrame:
    """Make ``normalizers.csv``: the groups that are compared, under each normalizer, ranked from the lowest rate.

    ``rank_flip`` is ``yes`` where the rank is not the one under the run's own normalizer. Empty where the settings
    name no further normalizer. The groups are those that are compared under the run's own normalizer.

    Raises:
        InputError: A normalizer is not known, or the run's hypotheses are not there.
    """
    if not statistics.normalizers:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    shown = [
        comparable(group_rates(frame, grouping), min_speakers=groups.min_speakers, min_words=groups.min_words)
        for grouping in groupings
    ]
    rows: list[dict[str, object]] = []
    own: dict[tuple[int, int], tuple[npt.NDArray[np.int64], float]] = {}
    for name in normalizer_names(statistics, scoring):
        label = get_normalizer(name).label
        errors, words = _rescore(frame, name, scoring)
        for index, (grouping, compared) in enumerate(zip(groupings, shown, strict=True)):
            for run, (engine, condition) in enumerate(frame.runs()):
                kept = np.flatnonzero(compared[run])
                if len(kept) < 2:
                    continue
                group_errors = _by_group(grouping, errors[run])
                group_words = _by_group(grouping, words[run])
                rate = group_errors[kept] / np.maximum(group_words[kept], 1)
                order = np.argsort(rate, kind="stable")
                rank = np.empty(len(kept), dtype=np.int64)
                rank[order] = np.arange(1, len(kept) + 1)
                gap = float(rate.max() - rate.min())
                own_rank, own_gap = own.setdefault((index, run), (rank, gap))
                rows.extend(
                    {
                        "engine": engine,
                        "condition": condition,
                        "attribute": grouping.attribute,
                        "normalizer": label,
                        "group": grouping.names[g],
                        "ref_words": int(group_words[g]),
                        "rate": rate[i],
                        "rank": int(rank[i]),
                        "rank_flip": "yes" if rank[i] != own_rank[i] else "",
                        "best_group": grouping.names[kept[order[0]]],
                        "worst_group": grouping.names[kept[order[-1]]],
                        "gap": gap,
                        "gap_change": gap - own_gap,
                    }
                    for i, g in enumerate(kept)
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_group(grouping: Grouping, values: Floats) -> Floats:
    return np.bincount(grouping.utterance_group, weights=values, minlength=len(grouping.names)).astype(np.float64)


def _rescore(frame: Frame, name: str, scoring: ScoringSettings) -> tuple[Floats, Floats]:
    """Errors and reference words of every run and utterance of the frame under a normalizer, each (R, U)."""
    settings = replace(scoring, normalizer=name, characters="char_hits" in frame.metric.quantities)
    if frame.run is None:
        tables = {key: pa.Table.from_pandas(frame.table(key)) for key in ("utterances", "hypotheses")}
        table = score_tables(tables["utterances"], tables["hypotheses"], settings).scores.to_pandas()
    else:
        table = rescore_tables(frame.run, settings).scores.to_pandas()
    rows = pd.Index(frame.utterances["utterance_id"])
    shape = (len(frame.runs()), len(rows))
    errors, words = np.zeros(shape), np.zeros(shape)
    numbers = {pair: index for index, pair in enumerate(frame.runs())}
    for pair, block in table.groupby(["engine", "condition"], observed=True, sort=False):
        place = rows.get_indexer(pd.Index(block["utterance_id"]))
        known = place >= 0
        values = {quantity: block[quantity].to_numpy()[known] for quantity in block.columns[4:]}
        run = numbers[str(pair[0]), str(pair[1])]
        scored = block["status"].to_numpy()[known] == "scored"
        errors[run, place[known]] = np.where(scored, total(frame.metric.numerator, values, len(scored)), 0)
        words[run, place[known]] = np.where(scored, total(frame.metric.denominator, values, len(scored)), 0)
    return errors, words
