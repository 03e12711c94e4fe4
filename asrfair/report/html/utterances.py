"""Utterances word against word, as HTML: who spoke, how wrong, what was said and what came back, and where allowed to listen."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from asrfair.errors import AsrfairError
from asrfair.report.html.evidence import ERRORS, Evidence, attribute_column, group_names, ledger_reasons
from asrfair.report.html.views import Choices, holding, pack
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.finding import records
from asrfair.types import CLEAN, OVERALL_ATTRIBUTE, Clip

if TYPE_CHECKING:
    from asrfair.scoring import AlignedUtterance

AudioSource = Callable[[str, str], Clip | None]
"""From utterance and condition to its recording, or ``None`` where there is none."""
Step = tuple[str, str, str]

STATIC: Final = 3
"""Utterances that stand in the page as it is opened."""
WHOLE: Final = 90
"""Words up to which an utterance is shown whole."""
WINDOW: Final = 60
"""Words that are shown of a longer one: those with the most errors."""
MAX_BYTES: Final = 1_000_000
"""What utterances may add to the page."""
MAX_AUDIO_BYTES: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of words: ``same`` in both, ``lost`` from the reference, or ``added`` by the engine."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Utterances:
    """The list that stands in the page, the packed others, and why there are none."""

    shown: tuple[Markup, ...] = ()
    packed: str = ""
    why_not: str = ""


def page_utterances(
    run: RunData, evidence: Evidence, choices: Choices, *, audio: AudioSource | None, served: bool = False
) -> Utterances:
    """Return the utterances of the page: as many of the worst of each group of each engine as there is room for.

    A page that is served holds those alone that stand in it when it opens; it asks for the others.
    """
    if evidence.worst is None or not (run.path / "hypotheses.parquet").is_file():
        return Utterances(why_not="the run folder holds no hypotheses")
    from asrfair.scoring import align_utterances

    engine, condition = choices.start("engine"), choices.start("condition")
    worst = evidence.worst
    if served:
        worst = worst[(worst["engine"] == engine) & (worst["condition"] == condition)].head(STATIC)
    rows = records(worst)
    picked = [(r["engine"], r["condition"], r["utterance_id"], int(r["errors"]), int(r["ref_words"])) for r in rows]
    try:
        aligned = align_utterances(run.path, picked)
    except AsrfairError as error:
        return Utterances(why_not=error.message)
    reasons, attributes = ledger_reasons(run), run.attributes
    sounds = _Sounds(audio)
    entries = [
        (row, utterance_html(row, item, attributes, reasons.get(picked[n][:3], ""), sounds(item, row["turn"])))
        for n, (row, item) in enumerate(zip(rows, aligned, strict=True))
    ]
    first = [html for row, html in entries if row["engine"] == engine and row["condition"] == condition]
    why_not = "" if entries else "no scored utterance has an error"
    held = "" if served else _packed(entries, evidence, choices)
    return Utterances(shown=tuple(first[:STATIC]), packed=held, why_not=why_not)


def utterance_html(
    row: Mapping[str, Any],
    item: AlignedUtterance,
    attributes: Sequence[str],
    reason: str,
    sounds: Sequence[tuple[str, str]],
) -> Markup:
    """Return one utterance as a list item; every text of the data is escaped here.

    Args:
        row: Its row of :func:`asrfair.report.html.evidence.scored_rows`.
        item: Its alignment.
        attributes: The attributes whose groups are named.
        reason: Why it stands in the ledger, in words.
        sounds: (what it is, address) of recordings.
    """
    excess = round(float(row["excess"]))
    more = f", {words.number(excess, 'count')} more than in as many words on average" if excess > 0 else ""
    groups = group_names(row, attributes)
    named = [item.utterance_id, f"speaker {item.speaker_id}", *([groups] if groups else [])]
    who = f"<b>{words.counted(item.errors, 'error')} in {words.counted(item.ref_words, 'word')}</b>{more}"
    flag = f' · <span class="f">{escape(reason)}</span>' if reason else ""
    players = "".join(
        f'<label class="ab">{escape(what)} <audio controls preload="none" src="{escape(source)}" '
        f'aria-label="{escape(item.utterance_id)}: {escape(what)}"></audio></label>'
        for what, source in sounds
    )
    kinds = "".join(name[0] for name in ERRORS if row[name])
    return Markup(  # noqa: S704 -- what comes from the data is escaped above and in _shown
        f'<li data-k="{kinds}"><p class="who">{who} · {escape(" · ".join(named))}{flag}</p>'
        f'<p class="said">{" ".join(_shown(item.steps))}</p>{players}</li>'
    )


def _shown(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the marked words as HTML; of a long utterance the stretch with most errors, and how much stands around it."""
    start, end = dense(steps)
    if start:
        yield _rest(steps[:start], "before")
    for piece in pieces(steps[start:end]):
        tag = {"lost": "del", "added": "ins"}.get(piece.kind)
        text = escape(piece.text)
        yield f"<{tag}>{text}</{tag}>" if tag else text
    if end < len(steps):
        yield _rest(steps[end:], "after")


def _rest(steps: Sequence[Step], where: str) -> str:
    wrong = sum(step[0] != "hit" for step in steps)
    return f"<small>… {words.counted(len(steps), 'word')} with {words.counted(wrong, 'error')} {where} …</small>"


def dense(steps: Sequence[Step], *, whole: int = WHOLE, window: int = WINDOW) -> tuple[int, int]:
    """Return the stretch of at most ``window`` steps with the most errors; everything up to ``whole`` steps."""
    if len(steps) <= whole:
        return 0, len(steps)
    wrong = [int(step[0] != "hit") for step in steps]
    now = best = sum(wrong[:window])
    start = 0
    for end in range(window, len(wrong)):
        now += wrong[end] - wrong[end - window]
        if now > best:
            best, start = now, end - window + 1
    return start, start + window


def pieces(steps: Iterable[Step]) -> Iterator[Piece]:
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


def _packed(entries: Sequence[tuple[Mapping[str, Any], Markup]], evidence: Evidence, choices: Choices) -> str:
    """Return the utterances for the script, the worst of each group first to stay where there is too little room."""
    attributes = [a for a in (OVERALL_ATTRIBUTE, *choices.by) if entries and attribute_column(a) in entries[0][0]]
    limit = len(entries)
    counts = [
        [choices.engine.index(e), choices.condition.index(c), attributes.index(a), g, n]
        for (e, c, a, g), n in evidence.counts.items()
        if a in attributes
    ]
    turns = sorted(entries, key=lambda entry: entry[0]["turn"])
    while limit:
        kept = sorted(turns[:limit], key=lambda entry: -entry[0]["excess"])
        rows = [
            [
                choices.engine.index(row["engine"]),
                choices.condition.index(row["condition"]),
                [row[attribute_column(a)] for a in attributes],
                str(html),
            ]
            for row, html in kept
        ]
        text = json.dumps({"by": attributes, "rows": rows, "counts": counts}, ensure_ascii=False)
        small = pack(text)
        if len(small) <= MAX_BYTES + MAX_AUDIO_BYTES:
            return holding("utterances", small)
        limit //= 2
    return ""


class _Sounds:
    """Recordings for the page, as data URIs, until there is no room for more."""

    def __init__(self, audio: AudioSource | None) -> None:
        self.audio = audio
        self.left = MAX_AUDIO_BYTES

    def __call__(self, item: AlignedUtterance, turn: int) -> list[tuple[str, str]]:
        """Return what can be listened to: the recording, and as it was in the condition."""
        if self.audio is None or turn > STATIC or self.left <= 0:
            return []
        found = []
        for condition in dict.fromkeys((CLEAN, item.condition)):
            clip = self.audio(item.utterance_id, condition)
            sound = mp3(clip) if clip is not None and len(clip.samples) else b""
            uri = "data:audio/mpeg;base64," + base64.b64encode(sound).decode("ascii")
            if sound and len(uri) <= self.left:
                self.left -= len(uri)
                found.append((words.condition_words(condition), uri))
        return found


def mp3(clip: Clip) -> bytes:
    """Return a recording as MP3, which every browser plays."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, clip.samples, clip.sample_rate_hz, format="MP3", subtype="MPEG_LAYER_III")
    return stream.getvalue()
