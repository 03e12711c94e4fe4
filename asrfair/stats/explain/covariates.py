"""What else differs between groups: length, speech rate, vocabulary, acoustics and whatever the manifest says.

Everything is computed from the run folder: reference text and durations from ``utterances.parquet``, acoustics as they
were measured in the clean condition from ``achieved.parquet``, and attributes (such as the recording device).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from asrfair.data.tablefile import to_numbers
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.stats.frame import Frame
from asrfair.types import CLEAN

Floats = npt.NDArray[np.float64]

TEXT = ("length", "speech_rate", "rarity")
"""Covariates from text and duration: log₂ words, log₂ words a second, mean rarity of the words."""

ACOUSTIC = {
    "snr_db": "snr_estimate_db",
    "level_dbfs": "active_level_dbfs",
    "clipped_fraction": "clipped_fraction",
    "active_fraction": "active_fraction",
}
"""Covariates from the clean recordings: our name → quantity of ``achieved.parquet``."""

RARE_VALUE_SPEAKERS = 2
"""Values of an attribute with fewer speakers are put together as one level, ``other``."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, kw_only=True)
class Covariate:
    """One covariate of every utterance of a frame.

    Args:
        name: As asked for.
        numbers: Shape (utterances,) (NaN where unknown), or ``None`` for an attribute.
        levels: Shape (utterances,) codes into ``names``, or ``None`` for a number.
        names: Levels of an attribute, the one with most utterances first.
    """

    name: str
    numbers: Floats | None = None
    levels: npt.NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()


def check_covariates(names: Sequence[str], attributes: Sequence[str], *, file: Path) -> None:
    """See to it that every covariate is known, before anything is computed.

    Raises:
        InputError: A name is neither a covariate that is computed nor one of the attributes.
    """
    known = [*TEXT, *ACOUSTIC, *attributes]
    for name in names:
        if name not in known:
            raise InputError("unknown covariate", file=file, value=name, remedy=did_you_mean(name, known))


def read_covariates(frame: Frame, names: Sequence[str]) -> list[Covariate]:
    """Compute the named covariates for the utterances of a frame.

    Raises:
        InputError: A name is neither a covariate that is computed nor an attribute of the run.
    """
    columns = frame.table_columns("utterances")
    fixed = {"utterance_id", "speaker_id", "reference", "exclude", "duration_s", "language"}
    attributes = [column for column in columns if column not in fixed]
    check_covariates(names, attributes, file=frame.table_path("utterances"))
    wanted = ["utterance_id", "speaker_id", *(n for n in attributes if n in names)]
    wanted += [c for c in ("reference", "duration_s") if c in columns and set(names) & set(TEXT)]
    table = frame.table("utterances", wanted)
    rows = pd.Index(table["utterance_id"]).get_indexer(frame.utterances["utterance_id"])
    text = _text_covariates(table) if set(names) & set(TEXT) else {}
    found: list[Covariate] = []
    for name in names:
        if name in text:
            found.append(Covariate(name=name, numbers=text[name][rows]))
        elif name in ACOUSTIC:
            found.append(Covariate(name=name, numbers=_acoustic(frame, ACOUSTIC[name])))
        else:
            found.append(_attribute(name, table[name].iloc[rows], frame.speaker))
    return found


def _text_covariates(table: pd.DataFrame) -> dict[str, Floats]:
    """Length, speech rate and rarity of every utterance of a run."""
    texts, distinct = pd.factorize(table["reference"])
    words = [_WORD.findall(text.lower().replace("’", "'")) for text in distinct]
    count = np.array([len(w) for w in words], dtype=np.float64)[texts]
    speaker, _ = pd.factorize(table["speaker_id"])
    length = np.where(count > 0, np.log2(np.maximum(count, 1)), np.nan)
    duration = to_numbers(table["duration_s"]).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log2(count / duration)
    return {
        "length": length,
        "speech_rate": np.where(np.isfinite(rate), rate, np.nan),
        "rarity": word_rarity([words[i] for i in texts], speaker),
    }


def word_rarity(words: Sequence[Sequence[str]], speaker: npt.NDArray[np.int64]) -> Floats:
    """Return how rare the words of each utterance are among the words of all *other* speakers.

    A word's rarity is −log₁₀ (c + 1) / (N + V), with c its count among the N words that others said and V the size of
    the vocabulary (add-one smoothing): 1 for a word in ten, 4 for one in ten thousand. A speaker's own words do
    not count, so that repeating a rare word does not make it common.

    Args:
        words: The words of each utterance.
        speaker: Code of each utterance's speaker, shape (utterances,).

    Returns:
        Mean over the utterance's words, shape (utterances,); NaN for an utterance without words.
    """
    lengths = np.array([len(w) for w in words], dtype=np.int64)
    if lengths.sum() == 0:
        return np.full(len(words), np.nan)
    utterance = np.repeat(np.arange(len(words)), lengths)
    code, vocabulary = pd.factorize(np.array([w for some in words for w in some], dtype=object))
    who = speaker[utterance]
    pair, inverse = np.unique(who * len(vocabulary) + code, return_inverse=True)
    own = np.bincount(inverse, minlength=len(pair))[inverse]
    everywhere = np.bincount(code)[code]
    others = len(code) - np.bincount(who)[who]
    rarity = -np.log10((everywhere - own + 1) / (others + len(vocabulary)))
    total = np.bincount(utterance, weights=rarity, minlength=len(words))
    return np.where(lengths > 0, total / np.maximum(lengths, 1), np.nan)


def _acoustic(frame: Frame, quantity: str) -> Floats:
    """Read one quantity as it was measured in the clean condition; NaN where it was not."""
    values = np.full(len(frame.utterances), np.nan)
    if not frame.has_table("achieved"):
        return values
    chosen = (pc.field("condition") == CLEAN) & (pc.field("quantity") == quantity)
    table = frame.table("achieved", ["utterance_id", "value"], where=chosen)
    rows = pd.Index(table["utterance_id"]).get_indexer(frame.utterances["utterance_id"])
    values[rows >= 0] = table["value"].to_numpy(dtype=np.float64)[rows[rows >= 0]]
    return values


def _attribute(name: str, column: pd.Series, speaker: npt.NDArray[np.int32]) -> Covariate:
    codes, values = pd.factorize(column.astype(str), sort=True)
    names = [str(value) for value in values]
    pairs = np.unique(codes.astype(np.int64) * (int(speaker.max()) + 1) + speaker)
    speakers = np.bincount(pairs // (int(speaker.max()) + 1), minlength=len(names))
    rare = speakers < RARE_VALUE_SPEAKERS
    if rare.any():
        codes = np.where(rare[codes], len(names), codes)
        names.append("other")
    order = np.argsort(-np.bincount(codes, minlength=len(names)), kind="stable")
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    used = [i for i in order.tolist() if np.any(codes == i)]
    return Covariate(name=name, levels=rank[codes], names=tuple(names[i] for i in used))


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Covariates as columns of a regression, for some of the rows.

    Args:
        table: Shape (rows, q); numbers are centred and scaled, so that intercepts are rates at the mean.
        labels: Shape (q,).
        flags: What a reader must know: ``unavailable:x``, ``missing:x``, ``constant:x``, ``confounded:x``.
        used: Names of the covariates that are in.
    """

    table: Floats
    labels: tuple[str, ...]
    flags: tuple[str, ...]
    used: tuple[str, ...]


def make_columns(
    covariates: Sequence[Covariate], rows: npt.NDArray[np.int64], group: npt.NDArray[np.int64], weight: Floats
) -> Columns:
    """Build the columns for some rows: standardise, mark missing values, drop what groups already explain.

    A number that is unknown for some utterances is set to the mean there and a column marks them. A covariate without
    variation is left out and flagged ``constant``; one that is a function of the groups and the covariates before it (a
    device that one group alone used) cannot be told apart from them, is left out and flagged ``confounded``.

    Args:
        covariates: Over all utterances of the frame.
        rows: The utterances wanted, shape (rows,).
        group: Group code of each of them.
        weight: Reference words of each of them.
    """
    values: list[Floats] = []
    labels: list[str] = []
    owners: list[str] = []
    flags: list[str] = []
    for covariate in covariates:
        if covariate.numbers is not None:
            number = covariate.numbers[rows]
            known = np.isfinite(number)
            if not known.any():
                flags.append(f"unavailable:{covariate.name}")
                continue
            centre = np.average(number[known], weights=weight[known])
            spread = np.sqrt(np.average((number[known] - centre) ** 2, weights=weight[known]))
            values.append(np.where(known, (number - centre) / (spread if spread > 0 else 1.0), 0.0))
            labels.append(covariate.name)
            owners.append(covariate.name)
            if not known.all():
                flags.append(f"missing:{covariate.name}")
                values.append(np.where(known, 0.0, 1.0))
                labels.append(f"{covariate.name}=missing")
                owners.append(covariate.name)
        elif covariate.levels is not None:
            level = covariate.levels[rows]
            for number_of_level, name in enumerate(covariate.names[1:], start=1):
                values.append((level == number_of_level).astype(np.float64))
                labels.append(f"{covariate.name}={name}")
                owners.append(covariate.name)
    table = np.column_stack(values) if values else np.zeros((len(rows), 0))
    kept = independent_columns(table, group, weight)
    varies = {owners[i] for i in range(len(owners)) if np.ptp(table[:, i]) > 0}
    lost = {owners[i] for i in range(len(owners)) if i not in kept}
    flags.extend(f"confounded:{name}" for name in sorted(lost & varies))
    constant = {c.name for c in covariates if c.name not in varies} - {flag.partition(":")[2] for flag in flags}
    flags.extend(f"constant:{name}" for name in sorted(constant))
    used = dict.fromkeys(owners[i] for i in kept)
    return Columns(
        table=table[:, kept],
        labels=tuple(labels[i] for i in kept),
        flags=tuple(flags),
        used=tuple(used),
    )


def independent_columns(table: Floats, group: npt.NDArray[np.int64], weight: Floats) -> list[int]:
    """Return the columns that groups and the columns before them do not already determine.

    The columns are centred within groups; a column of which less than one part in 10⁶ (of its variance) is left
    after the earlier ones are taken out is a copy of them (Cholesky without pivoting).
    """
    q = table.shape[1]
    if q == 0:
        return []
    words = np.bincount(group, weights=weight)
    centred = np.empty_like(table)
    for j in range(q):
        means = np.bincount(group, weights=weight * table[:, j]) / np.maximum(words, 1e-300)
        centred[:, j] = table[:, j] - means[group]
    gram = centred.T @ (weight[:, None] * centred)
    overall = np.average(table, axis=0, weights=weight)
    size = weight @ (table - overall) ** 2
    kept: list[int] = []
    for j in range(q):
        left = gram[j, j]
        if kept:
            block = gram[np.ix_(kept, kept)]
            left -= gram[kept, j] @ np.linalg.solve(block, gram[kept, j])
        if size[j] > 0 and left > 1e-6 * size[j]:
            kept.append(j)
    return kept
