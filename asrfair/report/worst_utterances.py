"""The worst utterances, word against word, with who spoke and, where allowed, the recording to listen to."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from asrfair.errors import AsrfairError
from asrfair.report.loading import RunData, section
from asrfair.say import words
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE, Clip

if TYPE_CHECKING:
    from asrfair.scoring import AlignedUtterance

AudioSource = Callable[[str, str], Clip | None]
"""From utterance and condition to its recording, or ``None`` where there is none."""

PER_ENGINE: Final = 8
FAILURES_SHOWN: Final = 3
"""Of these, utterances with a reason in the ledger: one engine that repeats itself would fill every place."""
SEARCHED: Final = 500
MAX_ENGINES: Final = 6
MAX_STEPS: Final = 90
MAX_AUDIO_BYTES: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of words: ``same`` in both, ``lost`` from the reference, or ``added`` by the engine."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class WorstUtterance:
    """One utterance: who, how wrong, and its pieces in order; ``more`` counts the words that were cut off."""

    utterance_id: str
    speaker_id: str
    groups: str
    errors: str
    ref_words: str
    pieces: tuple[Piece, ...]
    more: int
    reason: str
    audio: str = ""


@dataclass(frozen=True, kw_only=True)
class WorstOfEngine:
    """The worst utterances of one engine in one condition."""

    anchor: str
    engine: str
    condition: str
    utterances: tuple[WorstUtterance, ...]


def worst_of_run(run: RunData, *, audio: AudioSource | None = None) -> tuple[list[WorstOfEngine], str]:
    """Return the utterances with most errors in the condition shown first and in the worst one, and why there are none.

    Args:
        run: The run; its scores and hypotheses are read.
        audio: Where recordings come from; they are personal data, so there is none unless the suite allows it.
    """
    if not (run.path / "hypotheses.parquet").is_file() or not (run.path / "scores.parquet").is_file():
        return [], "the run folder holds no hypotheses"
    from asrfair.scoring import worst_utterances

    wanted = [(engine, condition) for engine in run.engines[:MAX_ENGINES] for condition in _conditions(run, engine)]
    aligned: dict[tuple[str, str], list[AlignedUtterance]] = {}
    for condition in dict.fromkeys(condition for _, condition in wanted):
        try:
            worst = worst_utterances(run.path, condition=condition, limit=SEARCHED)
        except AsrfairError as error:
            return [], error.message
        for item in worst:
            aligned.setdefault((item.engine, condition), []).append(item)
    people, reasons = _people(run), _reasons(run, {condition for _, condition in wanted})
    found: list[WorstOfEngine] = []
    left = MAX_AUDIO_BYTES
    for engine, condition in wanted:
        items = []
        for item in _chosen(aligned.get((engine, condition), []), people, reasons):
            sound = _sound(audio, item.utterance_id, condition, left) if audio else ""
            left -= len(sound)
            items.append(_shown(item, people, reasons.get((engine, condition, item.utterance_id), ""), sound))
        if items:
            name = words.condition_words(condition)
            anchor = f"worst-{len(found) + 1}"
            found.append(WorstOfEngine(anchor=anchor, engine=engine, condition=name, utterances=tuple(items)))
    return found, "no scored utterance has an error"


def _chosen(
    aligned: Sequence[AlignedUtterance], people: Mapping[str, str], reasons: Mapping[tuple[str, str, str], str]
) -> list[AlignedUtterance]:
    """Return the first ones of those that the run compares, at most a few of them failures of the engine."""
    chosen: list[AlignedUtterance] = []
    failures = 0
    for item in aligned:
        failed = (item.engine, item.condition, item.utterance_id) in reasons
        if item.utterance_id not in people or (failed and failures == FAILURES_SHOWN):
            continue
        failures += failed
        chosen.append(item)
        if len(chosen) == PER_ENGINE:
            break
    return chosen


def _shown(item: AlignedUtterance, people: Mapping[str, str], reason: str, audio: str) -> WorstUtterance:
    shown = item.steps[:MAX_STEPS]
    return WorstUtterance(
        utterance_id=item.utterance_id,
        speaker_id=item.speaker_id,
        groups=people[item.utterance_id],
        errors=words.counted(item.errors, "error"),
        ref_words=words.counted(item.ref_words, "word"),
        pieces=tuple(pieces(shown)),
        more=len(item.steps) - len(shown),
        reason=reason,
        audio=audio,
    )


def pieces(steps: Iterable[tuple[str, str, str]]) -> Iterator[Piece]:
    """Yield runs of words from steps (operation, reference word, hypothesis word), errors as lost, then added."""
    for same, group in groupby(steps, key=lambda step: step[0] == "hit"):
        part = list(group)
        lost = " ".join(reference for _, reference, _ in part if reference)
        added = " ".join(recognised for _, _, recognised in part if recognised)
        if same:
            yield Piece(kind="same", text=lost)
            continue
        if lost:
            yield Piece(kind="lost", text=lost)
        if added:
            yield Piece(kind="added", text=added)


def _conditions(run: RunData, engine: str) -> list[str]:
    whole = run.disparity[(run.disparity["engine"] == engine) & (run.disparity["attribute"] == OVERALL_ATTRIBUTE)]
    order = whole[whole["wer"].notna()].sort_values("wer", ascending=False, kind="stable")["condition"].tolist()
    return list(dict.fromkeys([run.main_condition, *order[:1]]))


def _people(run: RunData) -> dict[str, str]:
    """Return the groups, in words, of whoever said each utterance that the run compares."""
    utterances = run.utterances()
    if utterances is None:
        return {}
    for name, value in section(section(run.about, "groups"), "where").items():
        if name in utterances.columns:
            utterances = utterances[utterances[name] == str(value)]
    names = [name for name in run.attributes if INTERSECTION not in name and name in utterances.columns]
    parts = [utterances[name].map(words.group_words) for name in names]
    told = [", ".join(values) for values in zip(*parts, strict=True)] if parts else [""] * len(utterances)
    return dict(zip(utterances["utterance_id"], told, strict=True))


def _reasons(run: RunData, conditions: set[str]) -> dict[tuple[str, str, str], str]:
    ledger = run.ledger()
    if ledger is None:
        return {}
    ledger = ledger[ledger["condition"].isin(conditions)]
    keys = zip(ledger["engine"], ledger["condition"], ledger["utterance_id"], strict=True)
    return {key: words.reason_words(reason) for key, reason in zip(keys, ledger["reason"], strict=True)}


def _sound(audio: AudioSource, utterance_id: str, condition: str, left: int) -> str:
    """Return the recording as a data URI (MP3, which every browser plays), or nothing where it is too large."""
    import soundfile

    clip = audio(utterance_id, condition)
    if clip is None or not len(clip.samples):
        return ""
    stream = io.BytesIO()
    soundfile.write(stream, clip.samples, clip.sample_rate_hz, format="MP3", subtype="MPEG_LAYER_III")
    uri = "data:audio/mpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return uri if len(uri) <= left else ""
