"""The words that all stages share: frozen dataclasses, standard library (and array types) only.

Counts are stored and rates derived: a rate of zero words is ``None``, and groups are combined by adding counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NOT_STATED = "not_stated"
"""The group of those who did not state an attribute. Never NaN, never an empty string."""

INTERSECTION = " × "
"""Joins the attributes, and the values, of an intersection: ``accent × gender``, ``us × female``."""

OVERALL_ATTRIBUTE = "overall"
OVERALL_GROUP = "all"
"""Every table also has one row for everybody: attribute ``overall``, group ``all``."""

CLEAN = "clean"
"""The condition in which audio is used as it is."""

Provenance = Literal["self-reported", "annotated", "recorded", "inferred"]

UNREADABLE_AUDIO = "unreadable_audio:"
"""How the error of an utterance begins whose audio, not whose engine, is at fault; it stands so in the journal, in
``hypotheses.parquet`` and in other people's files of hypotheses."""

HypothesisStatus = Literal["ok", "empty", "error", "missing"]
"""``ok`` text came back; ``empty`` the engine heard nothing; ``error`` it failed; ``missing`` no row for it."""

STATUSES = ("scored", "excluded", "no_reference", "error", "missing")
"""What became of an utterance: ``scored`` rows carry counts, the others carry zeros and stand in the ledger with a
reason; ``missing`` is where there is no hypothesis. Arrays of statuses hold indices into this tuple."""

SCORED, EXCLUDED, NO_REFERENCE, ERROR, MISSING = range(len(STATUSES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One stretch of speech of one speaker, with what was really said.

    ``audio`` is an absolute path, or, as text, the address of a recording that is no file of its own (in an object store,
    a tar shard or a Parquet file: :mod:`asrfair.data.stored.address`); ``start_s``/``end_s`` cut a segment out of it,
    ``channel`` (zero-based) picks one.
    ``exclude`` is a reason (the row is kept and never scored) or the empty string.
    """

    utterance_id: str
    speaker_id: str
    reference: str
    audio: Path | str | None = None
    start_s: float | None = None
    end_s: float | None = None
    channel: int | None = None
    duration_s: float | None = None
    language: str | None = None
    exclude: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """Audio as an engine gets it: mono float32 in [-1, 1], shape (samples,), at ``sample_rate_hz``."""

    utterance_id: str
    samples: npt.NDArray[np.float32]
    sample_rate_hz: int
    language: str | None = None
    condition: str = CLEAN

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """What a recogniser returned for one utterance. ``text`` is empty unless ``status`` is ``ok``."""

    utterance_id: str
    text: str = ""
    status: HypothesisStatus = "ok"
    error: str = ""
    confidence: float | None = None
    language: str | None = None
    latency_s: float | None = None
    words: tuple[WordTime, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class WordTime:
    """One recognised word with its times in seconds from the start of the utterance."""

    word: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorCounts:
    """Counts of an alignment. The total of errors is unique, its split into kinds is not (see docs/scoring.md).

    Counts add up, also with :func:`sum`; :meth:`zero` is what adds nothing.

    Args:
        hits: Words that came through.
        substitutions: Words that came out as another.
        deletions: Words that did not come out.
        insertions: Words that nobody said.
        of: What was counted under which rules, such as ``words, whisper-english@0.1.1``. Only like adds to like.

    Raises:
        ValueError: A count is negative, or counts of different things are added.

    Example:
        >>> import asrfair as af
        >>> first = af.ErrorCounts(hits=8, substitutions=2, of="words, basic@1")
        >>> second = af.ErrorCounts(hits=1, insertions=3, of="words, basic@1")
        >>> (first + second).wer == 5 / 11
        True
        >>> first + af.ErrorCounts(hits=40, of="characters, basic@1")
        Traceback (most recent call last):
            ...
        ValueError: these counts make no sum: one is of words, basic@1, the other of characters, basic@1
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    of: str = ""

    def __post_init__(self) -> None:
        if min(self.hits, self.substitutions, self.deletions, self.insertions) < 0:
            raise ValueError(f"counts cannot be negative: {self}")

    @classmethod
    def zero(cls, of: str = "") -> ErrorCounts:
        """Nothing counted: adds to anything."""
        return cls(of=of)

    @property
    def errors(self) -> int:
        """Substitutions + deletions + insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def ref_words(self) -> int:
        """Words of the reference: hits + substitutions + deletions."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hyp_words(self) -> int:
        """Words of the hypothesis: hits + substitutions + insertions."""
        return self.hits + self.substitutions + self.insertions

    @property
    def wer(self) -> float | None:
        """Errors over reference words; ``None`` where there are no reference words. It can be above 1."""
        return self.errors / self.ref_words if self.ref_words else None

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        if not isinstance(other, ErrorCounts):
            return NotImplemented
        if self.of and other.of and self.of != other.of:
            raise ValueError(f"these counts make no sum: one is of {self.of}, the other of {other.of}")
        return ErrorCounts(
            of=self.of or other.of,
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
        )

    def __radd__(self, other: Literal[0]) -> ErrorCounts:
        """So that :func:`sum` works, which begins with 0."""
        return self if other == 0 else NotImplemented


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSpec:
    """Which recogniser, under which label, with which options; small and picklable, so workers can build it.

    ``label`` is what tables show and is unique in a run; ``name`` is looked up in the engine table.
    """

    name: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringSettings:
    """How text is compared.

    Args:
        normalizer: ``none``, ``basic``, ``whisper-english`` or a user's ``module:callable``.
        metrics: Metrics of one's own that every utterance is counted by (``asrfair.scoring.metric``).
        characters: Whether characters are counted as well (CER).
        errors_as: What an engine error or missing hypothesis counts as: ``excluded`` (in the ledger and the
            failure counts only) or ``deletions`` (every reference word deleted).
        key_terms: Words or phrases whose recall is reported.
        empty_references: Where a reference has no words left (laughter, fillers), whether what was recognised counts as
            ``insertions`` (pooled rates then include text that was made up), or the utterance is ``excluded``.
    """

    normalizer: str = "whisper-english"
    metrics: tuple[str, ...] = ()
    characters: bool = True
    errors_as: Literal["excluded", "deletions"] = "excluded"
    key_terms: tuple[str, ...] = ()
    empty_references: Literal["insertions", "excluded"] = "insertions"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupSettings:
    """For whom: the groups that tables show, and how small is too small.

    Args:
        by: Attributes and intersections, each a tuple of attribute names.
        where: Only utterances whose attribute has this value.
        min_speakers: A group with fewer is shown, flagged and gets no interval.
        min_words: Likewise for reference words.
        reference: For an attribute (or an intersection's name), the group others are compared with.
        allow_inferred: Whether attributes that were guessed may be grouped by; tables then say so.
    """

    by: tuple[tuple[str, ...], ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    min_speakers: int = 5
    min_words: int = 100
    reference: Mapping[str, str] = field(default_factory=dict)
    allow_inferred: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StatisticsSettings:
    """How sure: the interval, the draws and their seed.

    Args:
        interval: ``jackknife`` (log scale, effective degrees of freedom) or ``percentile`` (speaker bootstrap).
        confidence: Coverage asked for, such as 0.95.
        draws: Number of speaker draws or permutations.
        seed: Seed of every draw.
        adjust: Covariates of the adjusted comparison; empty means none is made.
        subgroups: Whether attribute combinations that nobody named are searched.
        normalizers: Further normalizers under which every gap is recomputed; ``all`` stands for those that asrfair has.
        metric: What groups are compared by: ``wer``, or another metric that is a share (:mod:`asrfair.scoring.metric`).
        metrics: Further metrics, tabulated: ``latency``, or one of the user's own, ``module:attribute``.
        detect: Difference in WER (a fraction) that a collection should be able to see; ``speakers_needed`` is for it.
        faas: Whether the FAAS score is tabulated, for comparability, with its known flaws beside it.
        family: ``fdr`` holds the expected share of false claims among those of a run at 1 − confidence, ``strict`` the
            chance of even one.
        primary: Questions stated before the data (``[claims] primary``): tested first, at the full level.
        prompts: Whether sentences that several speakers read are a ``sample``, of others that might have been read, or
            ``fixed``: all that matter, such as the digits or a system's commands.
    """

    interval: Literal["jackknife", "percentile"] = "jackknife"
    confidence: float = 0.95
    draws: int = 2000
    seed: int = 1
    adjust: tuple[str, ...] = ()
    subgroups: bool = False
    normalizers: tuple[str, ...] = ()
    metric: str = "wer"
    metrics: tuple[str, ...] = ()
    detect: float = 0.05
    faas: bool = False
    family: Literal["fdr", "strict"] = "fdr"
    prompts: Literal["sample", "fixed"] = "sample"
    primary: tuple[str, ...] = ()
