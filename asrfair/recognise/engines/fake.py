"""An engine that hears nothing and errs exactly as told: references with known errors injected by a seed.

For tests of suites, of this project and of users' own: :func:`inject` says what was done to every utterance, so that a
table can be held against the truth. It needs no audio unless asked to.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pydantic
from rapidfuzz.distance import Levenshtein

from asrfair.acoustics.seeding import generator
from asrfair.errors import InputError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import Clip, EngineSpec, Hypothesis, Utterance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

FOREIGN = tuple(
    f"{start}{middle}{end}"
    for start in ("bl", "dr", "fl", "gr", "kl", "pl")
    for middle in ("ofi", "uvo")
    for end in "mxzt"
)
"""Words that stand in no reference: what is substituted and inserted. No normalizer changes them."""

APART = 2
"""Kept words between an insertion and a deletion, so that no aligner can trade the two for a substitution."""

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Rates(_Strict):
    """How often, each a share of the reference's words (of utterances for ``empty`` and ``failures``)."""

    substitutions: Share | None = None
    deletions: Share | None = None
    insertions: Share | None = None
    empty: Share | None = None
    failures: Share | None = None


class FakeOptions(_Strict):
    """Options of the engine.

    Args:
        substitutions: Share of reference words that are replaced.
        deletions: Share of reference words that are left out.
        insertions: Share of reference words that get another one behind them.
        empty: Share of utterances with no text at all.
        failures: Share of utterances that end in an engine error.
        conditions: Other rates under a condition, by its name.
        by: Other rates for a group: attribute → value → rates. They win over those of a condition.
        speaker_cv: Coefficient of variation of a gamma factor on each speaker's three word rates.
        latency_s: Time that each utterance takes.
        needs_audio: Whether audio is decoded and rendered although nobody listens.
        parallel: As ``EngineTraits.parallel``.
        max_batch: As ``EngineTraits.max_batch``.
        max_padded_s: As ``EngineTraits.max_padded_s``.
        concurrency: As ``EngineTraits.concurrency``.
    """

    substitutions: Share = 0.0
    deletions: Share = 0.0
    insertions: Share = 0.0
    empty: Share = 0.0
    failures: Share = 0.0
    conditions: dict[str, Rates] = {}
    by: dict[str, dict[str, Rates]] = {}
    speaker_cv: float = pydantic.Field(default=0.0, ge=0.0, le=5.0)
    latency_s: float = pydantic.Field(default=0.0, ge=0.0, le=3600.0)
    needs_audio: bool = False
    parallel: Literal["processes", "threads", "device", "inline"] = "processes"
    max_batch: int = pydantic.Field(default=1, ge=1)
    max_padded_s: float | None = pydantic.Field(default=None, gt=0)
    concurrency: int = pydantic.Field(default=1, ge=1, le=1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class Injected:
    """What was made of one reference. The counts are exact: an aligner finds the same (without a normalizer)."""

    text: str
    hits: int
    substitutions: int
    deletions: int
    insertions: int
    failed: bool = False


def inject(utterance: Utterance, options: FakeOptions, *, seed: int, condition: str = "clean") -> Injected:
    """Return a reference with errors, the same for the same arguments whatever else is run.

    A deletion and an insertion have at least ``APART`` kept words between them; where chance would have it otherwise,
    the later one is not made, and an utterance in which an aligner could still trade the two for a substitution gets
    no insertions. The rates achieved are therefore slightly below those asked for; the counts are exact.

    Args:
        utterance: Whose reference, attributes and speaker.
        options: The rates.
        seed: The run's seed.
        condition: The condition's name.
    """
    rates = rates_for(utterance, options, seed=seed, condition=condition)
    random = generator(seed, condition, utterance.utterance_id, "fake engine")
    words = utterance.reference.split()
    if random.random() < rates["failures"]:
        return Injected(text="", hits=0, substitutions=0, deletions=0, insertions=0, failed=True)
    if random.random() < rates["empty"]:
        return Injected(text="", hits=0, substitutions=0, deletions=len(words), insertions=0)
    return _spoil(words, rates, random)


def _spoil(words: Sequence[str], rates: Mapping[str, float], random: np.random.Generator) -> Injected:
    present = {word.lower() for word in words}
    foreign = [word for word in FOREIGN if word not in present]
    chances = random.random((len(words), 2)).tolist()
    choices = random.integers(len(foreign), size=(len(words), 2)).tolist()
    draws = [(*chance, *choice) for chance, choice in zip(chances, choices, strict=True)]
    made = _apply(words, rates, draws, foreign)
    if made.insertions and made.deletions and not _agrees(words, made):
        made = _apply(words, {**rates, "insertions": 0.0}, draws, foreign)
    return made


def _apply(
    words: Sequence[str], rates: Mapping[str, float], draws: Sequence[tuple[float, float, int, int]], foreign: list[str]
) -> Injected:
    out: list[str] = []
    hits = substitutions = deletions = insertions = 0
    since_deletion = since_insertion = APART
    for word, (kind, extra, other, another) in zip(words, draws, strict=True):
        if kind < rates["deletions"] and since_insertion >= APART:
            deletions += 1
            since_deletion = 0
            continue
        if rates["deletions"] <= kind < rates["deletions"] + rates["substitutions"]:
            substitutions += 1
            out.append(foreign[other])
        else:
            hits += 1
            out.append(word)
            since_deletion += 1
            since_insertion += 1
        if extra < rates["insertions"] and since_deletion >= APART:
            insertions += 1
            since_insertion = 0
            out.append(foreign[another])
    return Injected(
        text=" ".join(out), hits=hits, substitutions=substitutions, deletions=deletions, insertions=insertions
    )


def _agrees(words: Sequence[str], made: Injected) -> bool:
    """Whether a shortest alignment has these very counts (repeated words can make a shorter one)."""
    tags = [operation.tag for operation in Levenshtein.editops(words, made.text.split())]
    found = tuple(tags.count(tag) for tag in ("replace", "delete", "insert"))
    return found == (made.substitutions, made.deletions, made.insertions)


def rates_for(utterance: Utterance, options: FakeOptions, *, seed: int, condition: str) -> dict[str, float]:
    """Return the rates that hold for one utterance under one condition, its speaker's factor included."""
    rates: dict[str, float] = options.model_dump(include=set(Rates.model_fields))
    special = [options.conditions.get(condition)]
    special += [groups.get(utterance.attributes.get(attribute, "")) for attribute, groups in options.by.items()]
    for other in special:
        if other is not None:
            rates.update(other.model_dump(exclude_none=True))
    if options.speaker_cv:
        shape = 1.0 / options.speaker_cv**2
        factor = generator(seed, "", utterance.speaker_id, "fake engine's speaker").gamma(shape, 1.0 / shape)
        for name in ("substitutions", "deletions", "insertions"):
            rates[name] = min(rates[name] * factor, 1.0)
    total = rates["substitutions"] + rates["deletions"]
    if total > 1:
        rates["substitutions"] /= total
        rates["deletions"] /= total
    return rates


class Fake(EngineBase):
    """Answers with :func:`inject`."""

    knows_references: ClassVar[bool] = True
    """What it answers depends on more of an utterance than its audio: a cache of transcripts must know."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self._options = _options(spec, context)

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Return the traits that the options ask for."""
        options = _options(spec, context)
        return EngineTraits(
            sample_rate_hz=16_000,
            needs_audio=options.needs_audio,
            parallel=options.parallel,
            max_batch=options.max_batch,
            max_padded_s=options.max_padded_s,
            concurrency=options.concurrency,
        )

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Return each clip's reference with its errors."""
        return [self._answer(clip) for clip in clips]

    def _answer(self, clip: Clip) -> Hypothesis:
        if self._options.latency_s:
            time.sleep(self._options.latency_s)
        utterance = self.context.utterance(clip.utterance_id)
        made = inject(utterance, self._options, seed=self.context.seed, condition=clip.condition)
        if made.failed:
            return Hypothesis(utterance_id=clip.utterance_id, status="error", error="the fake engine failed as told")
        return Hypothesis(
            utterance_id=clip.utterance_id,
            text=made.text,
            status="ok" if made.text else "empty",
            language=clip.language,
        )

    def fingerprint(self) -> dict[str, str]:
        """Return the version of the rules by which errors are made."""
        return {"rules": "1"}


def _options(spec: EngineSpec, context: EngineContext) -> FakeOptions:
    options = read_options(FakeOptions, spec)
    for name in options.conditions:
        if name not in context.conditions:
            raise InputError(
                f"engine {spec.label!r} has rates for a condition that the suite does not have",
                column="conditions",
                value=name,
                remedy=f"The suite has: {', '.join(context.conditions)}",
            )
    rates: list[tuple[str, Any]] = [("the engine", options), *options.conditions.items()]
    rates += [
        (f"{attribute}={value}", rate) for attribute, groups in options.by.items() for value, rate in groups.items()
    ]
    for name, rate in rates:
        total = math.fsum(getattr(rate, kind) or 0.0 for kind in ("substitutions", "deletions"))
        if total > 1:
            raise InputError(
                f"engine {spec.label!r}: substitutions and deletions of {name} are more than all words",
                value=total,
                remedy="Together they can be 1 at most",
            )
    return options
