"""The table of raw, adjusted and matched ratios: is the gap still there among comparable utterances?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from asrfair.errors import InputError
from asrfair.stats.compare.multiplicity import holm
from asrfair.stats.estimate.gaps import comparable
from asrfair.stats.estimate.group_rates import Rates, group_rates
from asrfair.stats.explain import regression
from asrfair.stats.explain.covariates import Columns, Covariate, make_columns, read_covariates
from asrfair.stats.explain.design import Design, Floats
from asrfair.stats.explain.matching import Matched, coarsen, match
from asrfair.stats.explain.subgroups import searchable_attributes
from asrfair.stats.frame import Frame
from asrfair.stats.groups import Grouping
from asrfair.types import SCORED, GroupSettings, StatisticsSettings

COLUMNS = (
    "engine",
    "condition",
    "attribute",
    "group",
    "reference_group",
    "raw_ratio",
    "unadjusted_ratio",
    "adjusted_ratio",
    "ci_low",
    "ci_high",
    "p",
    "p_holm",
    "se_log",
    "df",
    "matched_ratio",
    "matched_ci_low",
    "matched_ci_high",
    "matched_share",
    "p_likelihood_ratio",
    "speaker_sd",
    "overdispersion",
    "covariates",
    "flag",
)

LITTLE_OVERLAP = 0.5
OVERDISPERSED = 1.5


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Scored utterances of the compared groups; groups are renumbered 0…, reference included.

    ``rate`` is each group's pooled rate as in ``disparity.csv``. Rows without reference words (speech was recognised
    where there is none) count in it; a regression, whose offset is log words, leaves them out.
    """

    index: npt.NDArray[np.int64]
    errors: Floats
    words: Floats
    speaker: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]
    names: tuple[str, ...]
    rate: Floats
    reference: int


def adjusted_table(
    frame: Frame, groupings: Sequence[Grouping], groups: GroupSettings, statistics: StatisticsSettings
) -> pd.DataFrame:
    """Make ``adjusted.csv``: a row for every engine, condition, attribute and group but the reference group.

    The reference group is the one that the settings name for the attribute, else the group with the lowest rate.
    Empty without covariates in the settings.

    Raises:
        InputError: A covariate is unknown, or an attribute that was guessed and may not be used.
    """
    if not statistics.adjust:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    _check_stated(frame, groups, statistics)
    covariates = read_covariates(frame, statistics.adjust)
    rows: list[dict[str, object]] = []
    for grouping in groupings:
        parts = set(grouping.attribute.split(" × "))
        usable = [c for c in covariates if c.name not in parts]
        rates = group_rates(frame, grouping)
        for run, (engine, condition) in enumerate(frame.runs()):
            chosen = _rows(frame, grouping, rates, run, groups)
            if chosen is None:
                continue
            where = {"engine": engine, "condition": condition, "attribute": grouping.attribute}
            rows.extend({**where, **row} for row in adjust(chosen, usable, confidence=statistics.confidence))
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=np.float64))
    return table[list(COLUMNS)]


def _check_stated(frame: Frame, groups: GroupSettings, statistics: StatisticsSettings) -> None:
    every = searchable_attributes(frame, allow_inferred=True)
    stated = searchable_attributes(frame, allow_inferred=groups.allow_inferred)
    for name in statistics.adjust:
        if name in every and name not in stated:
            raise InputError(
                "this attribute was guessed, not stated by the speakers; it is not held fixed",
                file=frame.run,
                value=name,
                remedy="Leave it out, or set allow_inferred",
            )


def _rows(frame: Frame, grouping: Grouping, rates: Rates, run: int, groups: GroupSettings) -> _Rows | None:
    """Pick the utterances; ``None`` where there are fewer than two groups to compare."""
    enough = comparable(rates, min_speakers=max(groups.min_speakers, 2), min_words=groups.min_words)[run]
    enough &= rates.errors[run] > 0
    if enough.sum() < 2:
        return None
    engine, condition = divmod(run, len(frame.conditions))
    group = grouping.utterance_group
    picked = (frame.status[engine, condition] == SCORED) & (frame.denominator[engine, condition] > 0) & enough[group]
    index = np.flatnonzero(picked)
    old = np.flatnonzero(enough)
    new = np.full(len(enough), -1)
    new[old] = np.arange(len(old))
    named = groups.reference.get(grouping.attribute)
    names = tuple(grouping.names[i] for i in old)
    reference = names.index(named) if named in names else int(np.argmin(rates.rate[run][old]))
    return _Rows(
        index=index,
        errors=frame.numerator[engine, condition][index].astype(np.float64),
        words=frame.denominator[engine, condition][index].astype(np.float64),
        speaker=frame.speaker[index].astype(np.int64),
        group=new[group[index]],
        names=names,
        rate=rates.rate[run][old],
        reference=reference,
    )


def adjust(rows: _Rows, covariates: Sequence[Covariate], *, confidence: float) -> list[dict[str, object]]:
    """Fit the model with and without covariates, and match; return one record a group other than the reference group."""
    columns = make_columns(covariates, rows.index, rows.group, rows.words)
    used = [c for c in covariates if c.name in columns.used]
    matched = match(
        errors=rows.errors,
        words=rows.words,
        speaker=rows.speaker,
        group=rows.group,
        cell=coarsen(used, rows.index),
        reference=rows.reference,
        confidence=confidence,
    )
    try:
        models = _fit(rows, columns)
    except (ArithmeticError, np.linalg.LinAlgError):
        models = None
    return [
        _record(rows, g, columns, matched[g], models, confidence) for g in range(len(rows.names)) if g != rows.reference
    ]


@dataclass(frozen=True, kw_only=True)
class _Models:
    mixed: regression.MixedFit
    plain: regression.MixedFit
    test: regression.LikelihoodRatio
    dispersion: float


def _fit(rows: _Rows, columns: Columns) -> _Models:
    design = Design(
        errors=rows.errors, ref_words=rows.words, speaker=rows.speaker, group=rows.group, covariates=columns.table
    )
    bare = Design(errors=rows.errors, ref_words=rows.words, speaker=rows.speaker, group=rows.group)
    first = regression.fit(design, robust=False)
    dispersion = regression.within_dispersion(design, first)
    scale = max(1.0, dispersion)
    mixed = regression.fit(design, scale=scale, first=first.beta)
    return _Models(
        mixed=mixed,
        plain=regression.fit(bare, scale=scale, robust=False),
        test=regression.likelihood_ratio(design, mixed),
        dispersion=dispersion,
    )


def _record(
    rows: _Rows,
    group: int,
    columns: Columns,
    matched: Matched,
    models: _Models | None,
    confidence: float,
) -> dict[str, object]:
    flags = list(columns.flags)
    record: dict[str, object] = {
        "group": rows.names[group],
        "reference_group": rows.names[rows.reference],
        "raw_ratio": rows.rate[group] / rows.rate[rows.reference],
        "matched_ratio": matched.ratio,
        "matched_ci_low": matched.ci_low,
        "matched_ci_high": matched.ci_high,
        "matched_share": matched.share,
        "covariates": "+".join(columns.used),
    }
    if matched.share < LITTLE_OVERLAP:
        flags.append("little_overlap")
    if models is None:
        return {**record, "p": np.nan, "flag": ";".join(["not_converged", *flags])}
    mixed = models.mixed
    assert mixed.robust is not None
    contrast = np.zeros(len(mixed.beta))
    contrast[group], contrast[rows.reference] = 1.0, -1.0
    difference = float(contrast @ mixed.beta)
    error, freedom = mixed.robust.contrast(contrast)
    low, high = _bounds(difference, error, freedom, confidence)
    if models.dispersion > OVERDISPERSED:
        flags.append("overdispersed")
    return {
        **record,
        "unadjusted_ratio": float(np.exp(contrast[: len(rows.names)] @ models.plain.beta)),
        "adjusted_ratio": float(np.exp(difference)),
        "ci_low": low,
        "ci_high": high,
        "p": float(2 * special.stdtr(freedom, -abs(difference) / error)) if error > 0 else np.nan,
        "se_log": error,
        "df": freedom,
        "p_likelihood_ratio": models.test.p,
        "speaker_sd": mixed.sigma,
        "overdispersion": models.dispersion,
        "flag": ";".join(flags),
    }


def _bounds(difference: float, error: float, freedom: float, confidence: float) -> tuple[float, float]:
    if not error > 0:
        return float("nan"), float("nan")
    half = float(special.stdtrit(freedom, 0.5 + confidence / 2)) * error
    return float(np.exp(difference - half)), float(np.exp(difference + half))
