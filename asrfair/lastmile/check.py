"""Listens to the recordings of a kit and says, in plain words, which to make again and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from asrfair.data import container
from asrfair.data.audio import AudioError
from asrfair.data.tomlfile import did_you_mean
from asrfair.data.wholefile import write_whole
from asrfair.lastmile.kit import SPEAKERS_FILE, read_speakers, recordings_of
from asrfair.lastmile.measure_recording import Measures, measure
from asrfair.lastmile.pages import Page
from asrfair.lastmile.prompts import Prompt, read_prompts
from asrfair.lastmile.settings import Kit
from asrfair.lastmile.spoken_words import PromptListener
from asrfair.progress import Progress
from asrfair.recognise.engines.table import load_class
from asrfair.scoring.normalize import get_normalizer
from asrfair.types import NOT_STATED

CHECK_FILE = "check.json"

Severity = Literal["again", "listen", "note"]

SILENT_DBFS = -65.0
FAINT_DBFS = -42.0
CLIPPED_SHARE = 2e-4
NOISY_SNR_DB = 8.0
FAST_S_PER_WORD = 0.12
SLOW_S_PER_WORD = 1.6
ELSEWHERE_DB = 9.0
LEAST_COMPANY = 4
_FEWEST_WORDS = 10
_MERGED_SHARE = 0.7


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        speaker: Whose recording.
        prompt: Which sentence; empty where the finding is about a file that belongs to none.
        file: Path relative to the kit's folder.
        kind: ``missing``, ``unknown_file``, ``unreadable``, ``silent``, ``faint``, ``clipped``, ``noisy``, ``short``,
            ``long``, ``swapped``, ``wrong_sentence``, ``missing_words``, ``duplicate``, ``elsewhere``, ``unknown_answer``, ``tells``,
            ``merged_words`` or ``language``.
        severity: ``again`` (the recording is left out of a run), ``listen`` (decide for yourself) or ``note``.
        text: What is wrong and what to do, in plain words.
    """

    speaker: str
    prompt: str
    file: str
    kind: str
    severity: Severity
    text: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found: ``recordings`` were listened to."""

    findings: tuple[Finding, ...]
    recordings: int
    expected: int

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [item for item in self.findings if item.severity == severity]

    def unusable(self) -> dict[tuple[str, str], str]:
        """Return (speaker, prompt) → kind of the recordings that must be made again."""
        return {(f.speaker, f.prompt): f.kind for f in self.of("again") if f.prompt and f.kind != "missing"}


@dataclass(frozen=True, kw_only=True)
class _Take:
    speaker: str
    prompt: Prompt
    file: str
    measures: Measures


def check_kit(kit: Kit, *, words: bool = True, progress: bool = False) -> Checked:
    """Check all recordings of a kit and write ``check.json``, ``CHECK.md`` and ``CHECK.html``.

    Args:
        kit: The kit.
        words: Whether to listen for the sentences' words (English only).
        progress: Whether to show how far the listening is.

    Raises:
        InputError: The kit's tables are wrong.
    """
    prompts = read_prompts(kit.folder)
    table = read_speakers(kit)
    speakers = [str(name) for name in table["speaker_id"]]
    findings = _answers(kit, table) + _merged(kit, prompts)
    heard = listens(kit)
    takes: list[_Take] = []
    for speaker in speakers:
        found, problems = _collect(kit, speaker, prompts, heard=heard)
        takes += found
        findings += problems
    for take in takes:
        findings += _sound(take)
    findings += _duplicates(takes) + _elsewhere(takes)
    if not kit.language.lower().startswith("en"):
        text = f"The words were not listened for: that is done for English, and this kit is in {kit.language!r}."
        findings.append(Finding(speaker="", prompt="", file="", kind="language", severity="note", text=text))
    elif words and takes:
        unusable = {(f.speaker, f.prompt) for f in findings if f.kind in {"silent", "unreadable", "duplicate"}}
        findings += _words([t for t in takes if (t.speaker, t.prompt.prompt_id) not in unusable], prompts, progress)
    order = {"again": 0, "listen": 1, "note": 2}
    findings.sort(key=lambda f: (order[f.severity], f.speaker, f.prompt, f.file, f.kind))
    checked = Checked(findings=tuple(findings), recordings=len(takes), expected=len(prompts) * len(speakers))
    text = json.dumps([asdict(item) for item in checked.findings], ensure_ascii=False, indent=2) + "\n"
    write_whole(kit.folder / CHECK_FILE, text, private=True)
    page_of(checked).write(kit.folder / "CHECK")
    return checked


def judge_take(speaker: str, prompt: Prompt, file: str, measures: Measures) -> list[Finding]:
    """Say what is wrong with one recording by itself: level, clipping, background, length."""
    return _sound(_Take(speaker=speaker, prompt=prompt, file=file, measures=measures))


def page_of(checked: Checked) -> Page:
    """Return the findings as a page."""
    page = Page(title="Check of the recordings")
    page.text(f"{checked.recordings} of {checked.expected} expected recordings are there.")
    titles: tuple[tuple[Severity, str], ...] = (
        ("again", "Record again"),
        ("listen", "Listen and decide"),
        ("note", "Good to know"),
    )
    for severity, title in titles:
        found = checked.of(severity)
        if found:
            page.heading(title)
            if severity == "again":
                page.text(
                    "These are left out until then. Whether or not you make them again: everything else can be run."
                )
            elif severity == "listen":
                page.text("These are kept. What is said of them is not certain.")
            page.items([f"{item.file}: {item.text}" if item.file else item.text for item in found])
    if checked.recordings and not checked.of("again") and not checked.of("listen"):
        page.text("Nothing needs to be recorded again.")
    return page


def _answers(kit: Kit, table: pd.DataFrame) -> list[Finding]:
    """Answers in ``speakers.csv`` that ``kit.toml`` does not name: often slips, and groups of their own."""
    findings = []
    for name, values in kit.values.items():
        for answer in dict.fromkeys(table[name]):
            if values and answer not in {*values, NOT_STATED}:
                text = (
                    f"“{answer}” ({name}) is none of {', '.join(values)}. It is compared as a group of its own, and would "
                    f"leave as “other” in an export. {did_you_mean(answer, values)}"
                )
                findings.append(_finding("", "", SPEAKERS_FILE, "unknown_answer", "note", text.strip()))
    return findings


def listens(kit: Kit) -> bool:
    """Whether the kit's recogniser hears recordings; one that only has transcripts needs none."""
    traits = getattr(load_class(kit.engine), "traits", None)
    return bool(getattr(traits, "needs_audio", True))


def _merged(kit: Kit, prompts: Sequence[Prompt]) -> list[Finding]:
    """Say if the rules of scoring make far fewer words of the sentences than people say: digits that become one number."""
    words = get_normalizer(kit.normalizer).words
    spoken = sum(len(prompt.text.split()) for prompt in prompts)
    counted = sum(len(words(prompt.text)) for prompt in prompts)
    if spoken < _FEWEST_WORDS or counted >= _MERGED_SHARE * spoken:
        return []
    example = min(prompts, key=lambda prompt: len(words(prompt.text)) / max(len(prompt.text.split()), 1))
    text = (
        f"The sentences have {spoken} words, and the rules {kit.normalizer!r} count {counted}: “{example.text}” becomes "
        f"“{' '.join(words(example.text))}”. One digit that is misheard then makes the whole number wrong. Where people read "
        'single digits aloud, write normalizer = "basic" under [scoring] in kit.toml; nothing is transcribed anew for it.'
    )
    return [_finding("", "", "", "merged_words", "note", text)]


def _collect(kit: Kit, speaker: str, prompts: Sequence[Prompt], *, heard: bool) -> tuple[list[_Take], list[Finding]]:
    files = recordings_of(kit, speaker)
    known = {prompt.prompt_id: prompt for prompt in prompts}
    takes, findings = [], []
    if not files and not heard:
        return [], []
    if not files:
        text = f"There is no recording of {speaker}. Record them, or take the line out of speakers.csv."
        return [], [Finding(speaker=speaker, prompt="", file="", kind="missing", severity="note", text=text)]
    for name, path in files.items():
        file = _relative(path, kit)
        if name not in known:
            text = f"No sentence has this name. {did_you_mean(name, known)}"
            findings.append(_finding(speaker, "", file, "unknown_file", "listen", text))
            continue
        try:
            takes.append(_Take(speaker=speaker, prompt=known[name], file=file, measures=measure(path)))
            findings += _told(speaker, name, file, path)
        except AudioError as error:
            text = f"The file cannot be read ({error.message}). Record it again as WAV or FLAC."
            findings.append(_finding(speaker, name, file, "unreadable", "again", text))
    for name, prompt in known.items():
        if name not in files and heard:
            text = f"The recording is missing. Record: “{prompt.text}”"
            file = f"{kit.recordings.name}/{speaker}/{name}.wav"
            findings.append(_finding(speaker, name, file, "missing", "again", text))
    return takes, findings


def _told(speaker: str, prompt: str, file: str, path: Path) -> list[Finding]:
    """What a phone wrote into the file besides the sound: it stays here, but whoever gets the file can read it."""
    if path.suffix.lower() not in container.SUFFIXES:
        return []
    told = container.look(path).told
    said = [f"{kind} ({', '.join(told[kind])})" for kind in ("where", "when", "who", "which device") if kind in told]
    if not {"where", "who"} & set(told):
        return []
    text = (
        f"Besides the sound it tells {'; '.join(said)}. No export holds that; the file itself does, if you pass it on."
    )
    return [_finding(speaker, prompt, file, "tells", "note", text)]


def _relative(path: Path, kit: Kit) -> str:
    return path.relative_to(kit.folder).as_posix()


def _finding(speaker: str, prompt: str, file: str, kind: str, severity: Severity, text: str) -> Finding:
    return Finding(speaker=speaker, prompt=prompt, file=file, kind=kind, severity=severity, text=text)


def _about(take: _Take, kind: str, severity: Severity, text: str) -> Finding:
    return _finding(take.speaker, take.prompt.prompt_id, take.file, kind, severity, text)


def _sound(take: _Take) -> list[Finding]:
    """What can be said of one recording by itself."""
    found = take.measures
    if found.level_dbfs is None or found.level_dbfs < SILENT_DBFS:
        return [_about(take, "silent", "again", "Nothing is heard in it. Was the microphone on? Record it again.")]
    findings = []
    if found.level_dbfs < FAINT_DBFS:
        text = f"It is very faint ({found.level_dbfs:.0f} dBFS). Turn the input level up, or move closer, and record it again."
        findings.append(_about(take, "faint", "listen", text))
    if found.clipped > CLIPPED_SHARE:
        text = (
            f"It is clipped: the loudest parts are cut off ({found.clipped:.1%} of the time). Turn the input level "
            "down or move back, and record it again."
        )
        findings.append(_about(take, "clipped", "again", text))
    if found.snr_db < NOISY_SNR_DB:
        text = (
            f"The background is nearly as loud as the voice ({found.snr_db:.0f} dB apart). If the room is always like "
            "this, keep it. If not, record it again when it is quieter."
        )
        findings.append(_about(take, "noisy", "listen", text))
    words = len(take.prompt.text.split())
    if words and found.duration_s < FAST_S_PER_WORD * words:
        text = f"It is {found.duration_s:.1f} s long, too short for {words} words. It was probably cut off: record it again."
        findings.append(_about(take, "short", "again", text))
    elif words and found.duration_s > max(SLOW_S_PER_WORD * words, 4.0) + 3.0:
        text = f"It is {found.duration_s:.1f} s long for {words} words. Is there more in it than the sentence? Cut it, or record it again."
        findings.append(_about(take, "long", "listen", text))
    return findings


def _duplicates(takes: Sequence[_Take]) -> list[Finding]:
    seen: dict[str, _Take] = {}
    findings = []
    for take in takes:
        first = seen.setdefault(take.measures.digest, take)
        if first is not take:
            text = f"It is the same recording as {first.file}. One of the two is in the wrong place: record it again."
            findings.append(_about(take, "duplicate", "again", text))
    return findings


def _elsewhere(takes: Sequence[_Take]) -> list[Finding]:
    """Recordings whose background is unlike that of the speaker's others (or everybody's, where those are few)."""
    usable = [t for t in takes if t.measures.level_dbfs is not None and t.measures.level_dbfs >= SILENT_DBFS]
    findings = []
    for take in usable:
        own = [t for t in usable if t.speaker == take.speaker]
        company = own if len(own) >= LEAST_COMPANY else usable
        if len(company) < LEAST_COMPANY:
            continue
        floors = np.array([_relative_floor(t.measures) for t in company])
        usual = np.median(floors, axis=0)
        distance = float(np.sqrt(np.mean((_relative_floor(take.measures) - usual) ** 2)))
        typical = float(np.median(np.sqrt(np.mean((floors - usual) ** 2, axis=1))))
        if distance > max(ELSEWHERE_DB, 3.0 * typical):
            text = (
                f"Its background does not sound like that of the other recordings ({distance:.0f} dB apart). Was it "
                "recorded in another room, or with something switched on? Listen to it; if so, record it again."
            )
            findings.append(_about(take, "elsewhere", "listen", text))
    return findings


def _relative_floor(found: Measures) -> np.ndarray:
    """The background relative to the voice: what a recording's gain does not change."""
    return np.maximum(found.floor_db - (found.level_dbfs or 0.0), -75.0)


def _words(takes: Sequence[_Take], prompts: Sequence[Prompt], progress: bool) -> list[Finding]:
    """Which recordings hold another sentence than they should, and which lack words."""
    listener = PromptListener()
    listener.choose([prompt.text for prompt in prompts])
    heard: dict[tuple[str, str], int | None] = {}
    findings = []
    with Progress(2 * len(takes), description="listening", enabled=progress) as shown:
        for take in takes:
            heard[take.speaker, take.prompt.prompt_id] = listener.which(take.measures.samples)
            shown.advance(1)
        for take in takes:
            findings += _sentence(take, prompts, heard, listener)
            shown.advance(1)
    return findings


def _sentence(
    take: _Take, prompts: Sequence[Prompt], heard: Mapping[tuple[str, str], int | None], listener: PromptListener
) -> list[Finding]:
    """Hold one recording against its sentence, given which sentence each recording fits best."""
    place = heard[take.speaker, take.prompt.prompt_id]
    if place is not None and prompts[place].prompt_id != take.prompt.prompt_id:
        other = prompts[place]
        back = heard.get((take.speaker, other.prompt_id))
        if back is not None and prompts[back].prompt_id == take.prompt.prompt_id:
            text = (
                f"It holds the sentence of {other.prompt_id} (“{other.text}”), and {other.prompt_id} holds this one: "
                "the two files are swapped. Exchange their names."
            )
            return [_about(take, "swapped", "again", text)]
        # Never left out for this: who speaks unlike the model's speakers is misheard here, and is whom the test is for.
        text = (
            f"It sounds more like the sentence of {other.prompt_id} (“{other.text}”) than like “{take.prompt.text}”. "
            "Listen to it; if it holds another sentence, rename it or record it again."
        )
        return [_about(take, "wrong_sentence", "listen", text)]
    absent = listener.missing(take.measures.samples, take.prompt.text)
    if len(absent) > len(listener.words_of(take.prompt.text)) / 2:
        text = (
            f"It does not sound like “{take.prompt.text}”. Listen to it; if it holds something else, record it again."
        )
        return [_about(take, "wrong_sentence", "listen", text)]
    telling = [word for word in absent if len(word) > 3]
    if telling:
        named = ", ".join(f"“{word}”" for word in telling)
        text = f"We could not hear {named} in it. Listen to it; if a word is missing, record it again."
        return [_about(take, "missing_words", "listen", text)]
    return []
