"""A volunteer's session as it lies on disk: who agreed to what, what they said of themselves, which sentences are done.

Everything is read back from the kit's folder each time, so that a session goes on after a closed lid, a killed server
or another day. ``consents.jsonl`` holds one line an agreement; ``sessions/SPEAKER.json`` what was skipped and what the
browser did to the sound; the takes themselves are ``recordings/SPEAKER/NN.wav``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.data.tablefile import read_table, write_csv
from asrfair.data.wholefile import append_line, own_folder, write_whole
from asrfair.lastmile.kit import SPEAKERS_FILE, consent_page, read_speakers, recordings_of
from asrfair.lastmile.prompts import Prompt, read_prompts
from asrfair.lastmile.settings import Kit
from asrfair.version import __version__

CONSENTS_FILE = "consents.jsonl"
CONSENT_TEXTS = "consents"
SESSIONS = "sessions"

PROCESSING = ("echo_cancellation", "noise_suppression", "auto_gain_control")
"""What a browser may do to the sound before anybody hears it; ``on``, ``off`` or ``not_stated`` in the manifest."""

_NUMBERED = re.compile(r"speaker-(\d+)")


class Refused(Exception):  # noqa: N818 -- an answer to the page, not a failure
    """The page asked for something that cannot be done now; the text is for the person before it."""

    def __init__(self, status: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.text = text


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one person is: ``done`` sentences are recorded, ``skipped`` were left out on purpose."""

    speaker: str
    done: tuple[str, ...]
    skipped: tuple[str, ...]


class Sessions:
    """All sessions of one kit. Safe to use from several threads of one process.

    Args:
        kit: The kit; its prompts must exist (``asrfair lastmile init``).

    Raises:
        InputError: The kit's tables are wrong.
    """

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.prompts: Sequence[Prompt] = read_prompts(kit.folder)
        self._prompt_ids = {prompt.prompt_id for prompt in self.prompts}
        self._lock = threading.RLock()
        read_speakers(kit)
        page = consent_page(kit)
        self.consent_title = page.title
        self.consent_blocks = [
            {"kind": block.kind, "text": block.text, "rows": [row[0] for row in block.rows]}
            for block in page.blocks
            if block.kind in {"heading", "text", "list"}
        ]
        self._consent_text = page.markdown()
        self.consent_sha256 = hashlib.sha256(self._consent_text.encode("utf-8")).hexdigest()

    def agree(self, sha256: str) -> str:
        """Write an agreement down and return the code of the person who gave it.

        The text itself is kept beside it (``consents/HASH.md``), so that what was agreed to can be read for ever.

        Raises:
            Refused: The text that was agreed to is not the kit's.
        """
        if sha256 != self.consent_sha256:
            raise Refused(409, "consent_changed", "The consent text has changed. Load this page again and read it.")
        with self._lock:
            text = self.kit.folder / CONSENT_TEXTS / f"{sha256[:16]}.md"
            if not text.is_file():
                write_whole(text, self._consent_text, private=True)
            speaker = self._next_speaker()
            entry = {
                "speaker_id": speaker,
                "agreed_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "text_sha256": sha256,
                "text": f"{CONSENT_TEXTS}/{text.name}",
                "language": self.kit.language,
                "asrfair": __version__,
            }
            append_line(self.kit.folder / CONSENTS_FILE, json.dumps(entry, ensure_ascii=True, sort_keys=True))
            own_folder(self.kit.recordings / speaker)
            return speaker

    def answer(self, speaker: str, answers: Mapping[str, str]) -> None:
        """Write what somebody says about themselves into ``speakers.csv``; what is not said stays empty.

        Raises:
            Refused: A question that the kit does not ask, or an answer that it does not offer.
        """
        self._require(speaker)
        for name, value in answers.items():
            if name not in self.kit.questions:
                raise Refused(400, "unknown_question", "The page asked a question that this kit does not have.")
            offered = self.kit.values[name]
            if value and offered and value not in offered:
                raise Refused(400, "unknown_answer", "That answer is none of those offered.")
            if len(value) > 200 or not value.isprintable():
                raise Refused(400, "unknown_answer", "That answer is too long, or holds signs that cannot be kept.")
        with self._lock:
            table = self._speakers()
            for name in self.kit.questions:
                if name not in table.columns:
                    table[name] = ""
                table.loc[table["speaker_id"] == speaker, name] = answers.get(name, "").strip()
            write_csv(table, self.kit.folder / SPEAKERS_FILE, safe=False)

    def skip(self, speaker: str, prompt: str, *, skipped: bool = True) -> None:
        """Note that somebody does not want to read a sentence, or reads it after all."""
        self._require(speaker, prompt)
        with self._lock:
            noted = self._noted(speaker)
            others = [one for one in noted.get("skipped", []) if one != prompt]
            self._note(speaker, {**noted, "skipped": [*others, prompt] if skipped else others})

    def browser(self, speaker: str, said: Mapping[str, Any]) -> None:
        """Note what the browser says that it did to the sound: echo cancellation, suppression, gain control, the rate."""
        self._require(speaker)
        found: dict[str, Any] = {
            name: ("on" if said[name] else "off") for name in PROCESSING if isinstance(said.get(name), bool)
        }
        rate = said.get("sample_rate_hz")
        if isinstance(rate, int) and 1000 <= rate <= 768_000:
            found["sample_rate_hz"] = rate
        with self._lock:
            self._note(speaker, {**self._noted(speaker), "sound": found})

    def take_file(self, speaker: str, prompt: str) -> Path:
        """Return where a take belongs; only for people who agreed and sentences that the kit has."""
        self._require(speaker, prompt)
        return self.kit.recordings / speaker / f"{prompt}.wav"

    def room_file(self) -> Path:
        """Return a file name for a recording of the room that no file bears yet."""
        taken = {path.stem for path in self.kit.room_folder.iterdir()} if self.kit.room_folder.is_dir() else set()
        number = 1
        while f"room-{number}" in taken:
            number += 1
        return self.kit.room_folder / f"room-{number}.wav"

    def room_seconds(self) -> float:
        """Return how much of the room is recorded already."""
        from asrfair.data.audio import AudioError, probe_duration_s

        total = 0.0
        for path in self.kit.room_folder.iterdir() if self.kit.room_folder.is_dir() else ():
            try:
                total += probe_duration_s(path)
            except AudioError:
                continue
        return total

    def progress(self, speaker: str) -> Progress:
        """Return how far somebody is."""
        files = recordings_of(self.kit, speaker)
        skipped = [one for one in self._noted(speaker).get("skipped", []) if one in self._prompt_ids]
        return Progress(
            speaker=speaker,
            done=tuple(p.prompt_id for p in self.prompts if p.prompt_id in files),
            skipped=tuple(one for one in skipped if one not in files),
        )

    def unfinished(self) -> list[Progress]:
        """Return the sessions that were begun here and are not complete, the newest first."""
        found = [self.progress(speaker) for speaker in self.agreed()]
        return [one for one in reversed(found) if len(one.done) + len(one.skipped) < len(self.prompts)]

    def agreed(self) -> list[str]:
        """Return everybody who agreed on this page, in order."""
        path = self.kit.folder / CONSENTS_FILE
        if not path.is_file():
            return []
        found: dict[str, None] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found[str(json.loads(line)["speaker_id"])] = None
            except (ValueError, KeyError, TypeError):
                continue  # an agreement that cannot be read (a line cut off by a power failure) is none
        known = set(self._speakers()["speaker_id"])
        return [speaker for speaker in found if speaker in known]

    def _require(self, speaker: str, prompt: str | None = None) -> None:
        if speaker not in self.agreed():
            raise Refused(403, "no_consent", "Nobody with this code has agreed to be recorded.")
        if prompt is not None and prompt not in self._prompt_ids:
            raise Refused(404, "unknown_prompt", "This kit has no such sentence.")

    def _next_speaker(self) -> str:
        """The first code on the list that nobody uses yet, else a new one."""
        table = self._speakers()
        agreed = set(self.agreed())
        for speaker in table["speaker_id"]:
            row = table[table["speaker_id"] == speaker].iloc[0]
            answered = any(str(row[name]).strip() for name in self.kit.questions if name in table.columns)
            if speaker not in agreed and not answered and not recordings_of(self.kit, speaker):
                return str(speaker)
        numbers = [int(found.group(1)) for name in table["speaker_id"] if (found := _NUMBERED.fullmatch(name))]
        speaker = f"speaker-{max(numbers, default=0) + 1:02d}"
        row = dict.fromkeys(table.columns, "") | {"speaker_id": speaker}
        table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
        write_csv(table, self.kit.folder / SPEAKERS_FILE, safe=False)
        return speaker

    def _speakers(self) -> pd.DataFrame:
        return read_table(self.kit.folder / SPEAKERS_FILE)

    def _noted(self, speaker: str) -> dict[str, Any]:
        path = self.kit.folder / SESSIONS / f"{speaker}.json"
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return {}  # what was skipped is asked again; nothing that was recorded hangs on it
        return found if isinstance(found, dict) else {}

    def _note(self, speaker: str, what: Mapping[str, Any]) -> None:
        text = json.dumps(what, ensure_ascii=True, sort_keys=True, indent=1) + "\n"
        write_whole(self.kit.folder / SESSIONS / f"{speaker}.json", text, private=True)


def sound_processing(kit: Kit, speaker: str) -> dict[str, str]:
    """Return what the browser did to a person's sound, by name; empty where they were not recorded on the page."""
    path = kit.folder / SESSIONS / f"{speaker}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["sound"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: found[name] for name in PROCESSING if isinstance(found, dict) and found.get(name) in {"on", "off"}}
