"""A DataFrame in, for whom recognition fails out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from asrfair.api.frames import pandas_of, two_tables
from asrfair.api.result import Result, result_of
from asrfair.runs.in_memory import run_tables
from asrfair.scoring.metric import Metric, use_metric
from asrfair.scoring.normalize import use_normalizer
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


def disparity(
    data: Any,
    *,
    reference: str = "reference",
    hypothesis: str | Mapping[str, str] = "hypothesis",
    speaker: str = "speaker_id",
    by: str | Sequence[str | Sequence[str]] = (),
    keep: Sequence[str] = (),
    utterance: str | None = None,
    engine: str | None = None,
    condition: str | None = None,
    duration: str | None = None,
    exclude: str | None = None,
    normalizer: str | Callable[[str], Any] = "whisper-english",
    metric: str | Metric = "wer",
    metrics: Sequence[str | Metric] = (),
    key_terms: Sequence[str] = (),
    reference_groups: Mapping[str, str] | None = None,
    min_speakers: int = 5,
    min_words: int = 100,
    interval: Literal["jackknife", "percentile"] = "jackknife",
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 1,
    name: str = "data",
) -> Result:
    """Compare groups of speakers.

    Args:
        data: A DataFrame of pandas or polars, or any Arrow table: one row an utterance, or one row an utterance, engine
            and condition where ``engine`` or ``condition`` names a column.
        reference: Column of what was said.
        hypothesis: Column of what was recognised; for several engines a mapping from label to column.
        speaker: Column of who spoke. People are what intervals are over: without them nothing can be said of groups.
        by: Attributes, and lists of attributes for their intersections: ``["accent", ["accent", "gender"]]``. What
            people said about themselves; an empty cell is the group ``not_stated``.
        keep: Further columns, to look at utterances by.
        utterance: Column of the utterance's id; rows are numbered without it.
        engine: Column of the engine's label.
        condition: Column of the condition.
        duration: Column of the length in seconds.
        exclude: Column of a reason not to score a row; empty where there is none.
        normalizer: Text rules: a name, ``module:callable``, a function from text to text, or a ``jiwer.Compose``.
        metric: What the groups are compared by; ``wer``, ``cer`` … or one of your own (:func:`asrfair.metric`).
        metrics: Further metrics, tabulated beside it.
        key_terms: Words or phrases whose recall is counted.
        reference_groups: For an attribute, the group that others are compared with.
        min_speakers: A group with fewer is shown, flagged and gets no interval.
        min_words: Likewise for reference words.
        interval: ``jackknife`` or ``percentile`` (speaker bootstrap).
        confidence: Coverage of the intervals.
        draws: Speaker draws and permutations.
        seed: Seed of every draw: the same data and seed give the same result.
        name: What the data are called on the page.

    Returns:
        Groups, gaps, claims, plots and the page.

    Raises:
        InputError: A column is lacking, a speaker is not named, or a setting does not fit the data.

    Example:
        >>> import asrfair as af
        >>> data = getfixture("answers")  # a DataFrame: reference, hypothesis, speaker_id, accent
        >>> result = af.disparity(data, by="accent")
        >>> result.groups.loc[result.groups["attribute"] == "accent", ["group", "speakers", "wer"]]
              group  speakers   wer
        1  Scottish         8  0.25
        2        US         8  0.10
    """
    table = pandas_of(data)
    wanted = (by,) if isinstance(by, str) else tuple(by)
    grouped = tuple((item,) if isinstance(item, str) else tuple(item) for item in wanted)
    named = {"hypothesis": hypothesis} if isinstance(hypothesis, str) else dict(hypothesis)
    utterances, hypotheses = two_tables(
        table,
        reference=reference,
        hypotheses=named,
        speaker=speaker,
        utterance=utterance,
        engine=engine,
        condition=condition,
        duration=duration,
        exclude=exclude,
        attributes=(*(part for item in grouped for part in item), *keep),
    )
    chosen, further = use_metric(metric), [use_metric(item) for item in metrics]
    groups = GroupSettings(
        by=grouped, min_speakers=min_speakers, min_words=min_words, reference=dict(reference_groups or {})
    )
    scoring = ScoringSettings(
        normalizer=use_normalizer(normalizer),
        key_terms=tuple(key_terms),
        metrics=tuple(item.name for item in (chosen, *further) if item.count is not None),
    )
    statistics = StatisticsSettings(
        interval=interval,
        confidence=confidence,
        draws=draws,
        seed=seed,
        metric=chosen.name,
        metrics=tuple(item.name for item in further),
    )
    own = {"utterance_id", "speaker_id", "reference", "exclude", "duration_s", "language"}
    manifest = {
        "name": name,
        "version": "",
        "licence": "",
        "citation": "",
        "fingerprint": _fingerprint(table),
        "rows": utterances.num_rows,
        "attributes": {
            column: {"description": "", "provenance": "self-reported"}
            for column in utterances.column_names
            if column not in own
        },
    }
    return result_of(
        run_tables(
            utterances, hypotheses, manifest, groups=groups, scoring=scoring, statistics=statistics, metric=chosen
        )
    )


def _fingerprint(table: Any) -> str:
    """Of the content of a table, whatever its index."""
    import pandas as pd

    digest = hashlib.sha256("\x1f".join(map(str, table.columns)).encode())
    digest.update(pd.util.hash_pandas_object(table.astype(str), index=False).to_numpy().tobytes())
    return digest.hexdigest()
