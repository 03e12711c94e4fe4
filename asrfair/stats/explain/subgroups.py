"""Subgroups that nobody named: combinations of attribute values whose speakers are misheard more than all the others.

Divergence over frequent combinations is DivExplorer's idea (Pastor, de Alfaro & Baralis 2021). Here rates are pooled,
speakers are the unit, the search is paid for and what it finds has to show itself again among other speakers:

1. Speakers are split in two halves, alike in their attributes, by a seed.
2. In the first half every combination of up to ``depth`` values with enough speakers is compared with all other
   speakers (log ratio, Student's t). ``p_search`` is the share of permutations, which give each speaker another one's
   errors and words, in which the *largest* of all the searched statistics is as large as this one (max-T, Westfall &
   Young 1993).
3. What stands out is tested again in the second half, one-sided in the direction found, with Holm's correction.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from asrfair.data.runfile import RUN_FILE, read_run_file
from asrfair.stats.compare.multiplicity import holm
from asrfair.stats.explain.design import Floats, Integers, add_up
from asrfair.stats.frame import Frame
from asrfair.types import NOT_STATED, StatisticsSettings

COLUMNS = (
    "engine",
    "condition",
    "subgroup",
    "depth",
    "searched",
    "found_speakers",
    "found_rate",
    "found_rate_rest",
    "found_ratio",
    "p_search",
    "held_out_speakers",
    "held_out_rate",
    "held_out_rate_rest",
    "held_out_ratio",
    "held_out_se_log",
    "held_out_df",
    "ci_low",
    "ci_high",
    "p_held_out",
    "p_held_out_holm",
    "flag",
)

NO_ATTRIBUTES = frozenset(
    ("utterance_id", "speaker_id", "reference", "reference_raw", "exclude", "duration_s", "language")
)
"""Columns of ``utterances.parquet`` that are no attributes of speakers."""

DEPTH = 3
MIN_SPEAKERS = 5
LISTED = 10
CARRIED_BELOW = 0.1
LEVEL = 0.05
MAX_SUBGROUPS = 5000
PERMUTATIONS = 500
SUPPORT = 0.01
"""Smallest share of a half's speakers that a subgroup may have."""

_BATCH = 20


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """The subgroups that are searched. K speakers, C cells of speakers with equal values, S subgroups.

    Args:
        names: ``accent=us, gender=female``, shape (S,).
        items: The (attribute, value) pairs of each subgroup.
        members: Which cells belong to which subgroup, shape (S, C).
        cell: Cell of each speaker, shape (K,).
        first_half: Speakers in whom subgroups are found, shape (K,); the others confirm.
    """

    names: tuple[str, ...]
    items: tuple[frozenset[tuple[str, str]], ...]
    members: npt.NDArray[np.bool_]
    cell: Integers
    first_half: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Each subgroup against all other speakers; arrays of shape (S,)."""

    speakers: Floats
    rate: Floats
    rest: Floats
    log_ratio: Floats
    error: Floats
    freedom: Floats

    @property
    def score(self) -> Floats:
        """The t statistic as the standard normal deviate of the same probability; 0 where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = self.log_ratio / self.error
            tail = special.stdtr(self.freedom, -np.abs(t))
            z = -special.ndtri(np.maximum(tail, 1e-300)) * np.sign(t)
        score: Floats = np.where(np.isfinite(z), z, 0.0)
        return score


def build_lattice(values: pd.DataFrame, *, seed: int, depth: int = DEPTH, min_speakers: int = MIN_SPEAKERS) -> Lattice:
    """List the subgroups and split the speakers.

    Args:
        values: One row a speaker (index: speaker id), one column an attribute, strings.
        seed: Of the split.
        depth: Largest number of attributes that are combined.
        min_speakers: Fewest speakers of a subgroup, and of its complement, in either half; at least one in a hundred.
    """
    attributes = list(values.columns)
    codes = {name: pd.factorize(values[name], sort=True) for name in attributes}
    whole = np.zeros(len(values), dtype=np.int64)
    for name in attributes:
        whole = whole * len(codes[name][1]) + codes[name][0]
        _, whole = np.unique(whole, return_inverse=True)
    cells = int(whole.max()) + 1
    first_half = _split([str(speaker) for speaker in values.index], whole, seed)
    fewest = max(min_speakers, int(np.ceil(SUPPORT * len(values) / 2)))
    halves = np.vstack([np.bincount(whole[half], minlength=cells) for half in (first_half, ~first_half)])
    representative = np.empty(cells, dtype=np.int64)
    representative[whole] = np.arange(len(values))
    names: list[str] = []
    items: list[frozenset[tuple[str, str]]] = []
    members: list[npt.NDArray[np.bool_]] = []
    seen: set[bytes] = set()
    for size in range(1, depth + 1):
        for chosen in itertools.combinations(attributes, size):
            parts = [codes[name][0][representative] for name in chosen]
            combinations, cell_of = np.unique(np.column_stack(parts), axis=0, return_inverse=True)
            for number, combination in enumerate(combinations):
                pairs = [(name, str(codes[name][1][c])) for name, c in zip(chosen, combination, strict=True)]
                inside = cell_of.ravel() == number
                count = halves @ inside
                if any(value == NOT_STATED for _, value in pairs) or count.min() < fewest:
                    continue
                if (halves.sum(axis=1) - count).min() < fewest or inside.tobytes() in seen:
                    continue
                seen.add(inside.tobytes())
                names.append(", ".join(f"{name}={value}" for name, value in pairs))
                items.append(frozenset(pairs))
                members.append(inside)
        if len(names) > MAX_SUBGROUPS:
            break
    table = np.array(members, dtype=bool) if members else np.zeros((0, cells), dtype=bool)
    return Lattice(names=tuple(names), items=tuple(items), members=table, cell=whole, first_half=first_half)


def _split(speakers: Sequence[str], cell: Integers, seed: int) -> npt.NDArray[np.bool_]:
    """Take every other speaker of each cell, in an order drawn by the seed; cells follow each other."""
    key = str(seed).encode()[:64]
    drawn = [hashlib.blake2b(name.encode(), digest_size=8, key=key).hexdigest() for name in speakers]
    order = np.lexsort((np.array(drawn), cell))
    half = np.empty(len(speakers), dtype=bool)
    half[order] = np.arange(len(speakers)) % 2 == 0
    return half


def contrast(lattice: Lattice, errors: Floats, words: Floats, picked: npt.NDArray[np.bool_]) -> Contrast:
    """Compare every subgroup with all other speakers, among the speakers picked.

    The variance of the log ratio is that of the speakers' influences e/E − n/N on either side (the linear jackknife),
    times k/(k − 1); degrees of freedom are Welch–Satterthwaite's over the two sides' effective numbers of speakers.

    Args:
        lattice: The subgroups.
        errors: Errors of each speaker, shape (K,).
        words: Reference words of each speaker; speakers without any do not count.
        picked: Which speakers, shape (K,).
    """
    use = picked & (words > 0)
    cells = lattice.members.shape[1]
    powers = _powers(errors[use], words[use])
    sums = np.column_stack([add_up(lattice.cell[use], values, cells) for values in powers])
    own = lattice.members.astype(np.float64) @ sums
    return _compare(own, sums.sum(axis=0) - own)


def _powers(e: Floats, n: Floats) -> tuple[Floats, ...]:
    return np.ones_like(e), e, n, e * e, e * n, n * n


def _compare(own: Floats, other: Floats) -> Contrast:
    """Contrast from the sums of 1, e, n, e², en, n² (last axis) over either side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts, effective = [], []
        for side in (own, other):
            k, e, n, ee, en, nn = np.moveaxis(side, -1, 0)
            parts.append(np.maximum(ee / e**2 - 2 * en / (e * n) + nn / n**2, 0) * k / (k - 1))
            effective.append(n**2 / nn)
        variance = parts[0] + parts[1]
        below = sum(v**2 / np.maximum(k - 1, 0.5) for v, k in zip(parts, effective, strict=True))
        rate, rest = own[..., 1] / own[..., 2], other[..., 1] / other[..., 2]
        log_ratio = np.log(rate) - np.log(rest)
        freedom = variance**2 / below
    usable = np.isfinite(log_ratio) & (own[..., 0] >= 2) & (other[..., 0] >= 2)
    return Contrast(
        speakers=own[..., 0],
        rate=rate,
        rest=rest,
        log_ratio=np.where(usable, log_ratio, np.nan),
        error=np.sqrt(np.where(usable, variance, np.nan)),
        freedom=np.where(usable, freedom, np.nan),
    )


def search_p(
    lattice: Lattice,
    errors: Floats,
    words: Floats,
    score: Floats,
    rng: np.random.Generator,
    *,
    permutations: int = PERMUTATIONS,
) -> Floats:
    """Return for each subgroup the chance that the largest statistic of all is as large, if nobody differs.

    Args:
        lattice: The subgroups; the first half is looked at.
        errors: Errors of each speaker, shape (K,).
        words: Reference words of each speaker.
        score: The statistics found, shape (S,).
        rng: Source of the permutations.
        permutations: How many; the smallest p is 1 / (permutations + 1).
    """
    use = np.flatnonzero(lattice.first_half & (words > 0))
    powers = np.column_stack(_powers(errors[use], words[use]))
    total = powers.sum(axis=0)
    # Speakers of one cell are in the same subgroups: shuffled values are added up by cell before subgroups are.
    here, size = np.unique(lattice.cell[use], return_counts=True)
    starts = np.cumsum(size) - size
    members = lattice.members[:, here].astype(np.float64)
    largest = np.zeros(permutations)
    for start in range(0, permutations, _BATCH):
        stop = min(start + _BATCH, permutations)
        shuffled = [np.add.reduceat(powers[rng.permutation(len(use))], starts) for _ in range(start, stop)]
        own = (members @ np.concatenate(shuffled, axis=1)).reshape(len(members), stop - start, 6)
        largest[start:stop] = np.abs(_compare(own, total - own).score).max(axis=0)
    largest.sort()
    above = permutations - np.searchsorted(largest, np.abs(score) - 1e-9, side="left")
    p: Floats = (above + 1) / (permutations + 1)
    return p


def subgroup_table(
    frame: Frame,
    statistics: StatisticsSettings,
    *,
    attributes: Sequence[str] | None = None,
    min_speakers: int = MIN_SPEAKERS,
) -> pd.DataFrame:
    """Make ``subgroups.csv``: for each engine and condition, the subgroups that stand out most, at most ten.

    Flags: ``confirmed`` (stood out in one half and again in the other), ``not_confirmed``, ``not_significant`` (did not
    stand out after correction for the search; not tested again).

    Args:
        frame: The scores.
        statistics: Seed and confidence.
        attributes: Attributes that may be combined; by default all of the run but guessed ones. Those that vary within
            a speaker are left out.
        min_speakers: Fewest speakers of a subgroup in either half.
    """
    values = speaker_values(frame, searchable_attributes(frame) if attributes is None else attributes)
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    if values.shape[1] == 0 or len(values) < 4 * min_speakers:
        return empty
    lattice = build_lattice(values, seed=statistics.seed, min_speakers=min_speakers)
    if not lattice.names:
        return empty
    rows: list[dict[str, object]] = []
    errors, words = frame.sums(*frame.metric.numerator), frame.sums(*frame.metric.denominator)
    for run, (engine, condition) in enumerate(frame.runs()):
        e = add_up(frame.atom_speaker.astype(np.int64), errors[run].astype(np.float64), len(frame.speakers))
        n = add_up(frame.atom_speaker.astype(np.int64), words[run].astype(np.float64), len(frame.speakers))
        digest = hashlib.blake2b(
            f"{engine}\x1f{condition}".encode(), digest_size=8, key=str(statistics.seed).encode()[:64]
        )
        rng = np.random.default_rng(int.from_bytes(digest.digest(), "little"))
        found = search(lattice, e, n, rng, confidence=statistics.confidence)
        rows.extend({"engine": engine, "condition": condition, **row} for row in found)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def searchable_attributes(frame: Frame, *, allow_inferred: bool = False) -> list[str]:
    """Return the attributes of a run that a search may combine: all, but those that were guessed unless allowed."""
    names = [name for name in frame.table_columns("utterances") if name not in NO_ATTRIBUTES]
    if allow_inferred or frame.run is None or not (frame.run / RUN_FILE).is_file():
        return names
    known = read_run_file(frame.run, unfinished=True).get("manifest", {}).get("attributes", {})
    return [name for name in names if known.get(name, {}).get("provenance") != "inferred"]


def speaker_values(frame: Frame, attributes: Sequence[str]) -> pd.DataFrame:
    """Return the value of each attribute for each speaker, leaving out attributes that vary within a speaker."""
    table = frame.table("utterances", ["utterance_id", *attributes])
    rows = pd.Index(table["utterance_id"]).get_indexer(frame.utterances["utterance_id"])
    result = pd.DataFrame(index=pd.Index(frame.speakers))
    first = np.empty(len(frame.speakers), dtype=np.int64)
    first[frame.speaker[::-1]] = rows[::-1]
    for name in attributes:
        codes, levels = pd.factorize(table[name].fillna(NOT_STATED).astype(str), sort=True)
        if np.array_equal(codes[rows], codes[first][frame.speaker]):
            result[name] = np.asarray(levels, dtype=object)[codes[first]]
    return result


def search(
    lattice: Lattice, errors: Floats, words: Floats, rng: np.random.Generator, *, confidence: float
) -> list[dict[str, object]]:
    """Search one half, confirm in the other; return a record for each subgroup that stands out most.

    Args:
        lattice: The subgroups.
        errors: Errors of each speaker, shape (K,).
        words: Reference words of each speaker.
        rng: For the correction of the search.
        confidence: Of the intervals in the second half.
    """
    found = contrast(lattice, errors, words, lattice.first_half)
    p = search_p(lattice, errors, words, found.score, rng)
    listed = _without_echoes(lattice, found, np.argsort(-np.abs(found.score), kind="stable"))[:LISTED]
    again = contrast(lattice, errors, words, ~lattice.first_half)
    carried = [i for i in listed if p[i] <= CARRIED_BELOW]
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = special.stdtr(again.freedom, -np.sign(found.log_ratio) * again.log_ratio / again.error)
        half = special.stdtrit(again.freedom, 0.5 + confidence / 2) * again.error
    corrected = dict(zip(carried, holm(np.nan_to_num(tail[carried], nan=1.0)), strict=True)) if carried else {}
    return [
        {
            "subgroup": lattice.names[i],
            "depth": len(lattice.items[i]),
            "searched": len(lattice.names),
            "found_speakers": int(found.speakers[i]),
            "found_rate": found.rate[i],
            "found_rate_rest": found.rest[i],
            "found_ratio": np.exp(found.log_ratio[i]),
            "p_search": p[i],
            "held_out_speakers": int(again.speakers[i]),
            "held_out_rate": again.rate[i],
            "held_out_rate_rest": again.rest[i],
            "held_out_ratio": np.exp(again.log_ratio[i]),
            "held_out_se_log": again.error[i],
            "held_out_df": again.freedom[i],
            "ci_low": np.exp(again.log_ratio[i] - half[i]),
            "ci_high": np.exp(again.log_ratio[i] + half[i]),
            "p_held_out": tail[i] if i in corrected else np.nan,
            "p_held_out_holm": corrected.get(i, np.nan),
            "flag": ("confirmed" if corrected[i] <= LEVEL else "not_confirmed")
            if i in corrected
            else "not_significant",
        }
        for i in listed
    ]


def _without_echoes(lattice: Lattice, found: Contrast, order: Integers) -> list[int]:
    """Drop a subgroup that only narrows (or widens) one listed before it: the same finding once more."""
    kept: list[int] = []
    for i in order.tolist():
        if not np.isfinite(found.error[i]):
            continue
        same = [k for k in kept if lattice.items[k] <= lattice.items[i] or lattice.items[i] <= lattice.items[k]]
        if not any(np.sign(found.log_ratio[k]) == np.sign(found.log_ratio[i]) for k in same):
            kept.append(i)
    return kept
