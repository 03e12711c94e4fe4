"""The same session in a terminal, for machines without a browser: consent, questions, sentences, the room."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from asrfair.data.wholefile import open_whole
from asrfair.errors import EnvironmentFailedError, InputError, printable
from asrfair.lastmile.kit import consent_page
from asrfair.lastmile.recorder.session import Refused, Sessions
from asrfair.lastmile.recorder.takes import LONGEST_ROOM_S, LONGEST_TAKE_S, inspect, listen
from asrfair.lastmile.settings import Kit

_ROOM_S = 60.0
Ask = Callable[[str], str]


def record_in_terminal(kit: Kit, *, ask: Ask = input, say: Callable[[str], None] = print) -> None:
    """Lead one person through a session; Ctrl-C or Ctrl-D ends it, and what was recorded stays.

    Args:
        kit: The kit.
        ask: Shows a prompt and returns what was typed.
        say: Shows a line.

    Raises:
        InputError: Nobody can type here.
        EnvironmentFailedError: The extra ``device`` or a microphone is missing.
    """
    if ask is input and not sys.stdin.isatty():
        raise InputError(
            "nobody can answer here: this is no terminal", remedy="Run it in a terminal, or leave --device out"
        )
    microphone = _Microphone()
    sessions = Sessions(kit)
    try:
        speaker = _who(kit, sessions, ask, say)
        if not speaker:
            return
        _sentences(sessions, speaker, microphone, ask, say)
        if sessions.room_seconds() < _ROOM_S:
            say("Now one minute of the room while nobody speaks. Stay, but keep still.")
            if ask("Enter begins, s skips: ").strip().lower() != "s":
                _keep(sessions.room_file(), microphone.take(seconds=_ROOM_S), microphone.rate_hz, LONGEST_ROOM_S)
        say("Thank you. Everything is saved on this computer.")
    except (KeyboardInterrupt, EOFError):
        say("")
        say("Stopped. What was recorded is saved; the same command goes on.")


def _who(kit: Kit, sessions: Sessions, ask: Ask, say: Callable[[str], None]) -> str:
    for one in sessions.unfinished():
        answer = ask(
            f"{one.speaker} is not finished ({len(one.done)} of {len(sessions.prompts)}). Go on with it? [y/N] "
        )
        if answer.strip().lower() == "y":
            return one.speaker
    for line in consent_page(kit).markdown().splitlines():
        say(textwrap.fill(line, 100, replace_whitespace=False) if line else "")
    if ask("Type 'agree' if you have read this and agree; anything else ends: ").strip().lower() != "agree":
        say("Nothing was recorded.")
        return ""
    speaker = sessions.agree(sessions.consent_sha256)
    say(f"Your code in this test is {speaker}.")
    answers: dict[str, str] = {}
    for name, question in kit.questions.items():
        offered = kit.values[name]
        listed = ", ".join(f"{number} {value}" for number, value in enumerate(offered, start=1))
        while True:
            said = ask(f"{question or name} {listed} (Enter: rather not say) ").strip()
            if said.isdigit() and 1 <= int(said) <= len(offered):
                said = offered[int(said) - 1]
            if not said or not offered or said in offered:
                break
            say("Type the number of an answer, or only Enter.")
        answers[name] = said
    sessions.answer(speaker, answers)
    return speaker


def _sentences(sessions: Sessions, speaker: str, microphone: _Microphone, ask: Ask, say: Callable[[str], None]) -> None:
    sessions.browser(speaker, {"sample_rate_hz": microphone.rate_hz})
    for number, prompt in enumerate(sessions.prompts, start=1):
        done = sessions.progress(speaker)
        if prompt.prompt_id in {*done.done, *done.skipped}:
            continue
        say("")
        say(f"Sentence {number} of {len(sessions.prompts)}:")
        say(f"    {printable(prompt.text, limit=2000)}")
        while True:
            if ask("Enter records, s skips: ").strip().lower() == "s":
                sessions.skip(speaker, prompt.prompt_id)
                break
            path = sessions.take_file(speaker, prompt.prompt_id)
            try:
                samples = microphone.take(until=lambda: ask("Recording. Enter stops. "))
                _keep(path, samples, microphone.rate_hz, LONGEST_TAKE_S)
            except Refused as refused:
                say(refused.text)
                continue
            for advice in listen(path, prompt):
                say(advice.text)
            if ask("Saved. Enter goes on, a records it again: ").strip().lower() != "a":
                break


def _keep(path: Path, samples: npt.NDArray[np.int16], rate_hz: int, longest_s: float) -> None:
    with open_whole(path, private=True) as stream:
        soundfile.write(stream, samples, rate_hz, format="WAV", subtype="PCM_16")
        stream.flush()
        inspect(stream, longest_s=longest_s)


class _Microphone:
    """The default input device, at its own rate, 16 bits, one channel."""

    def __init__(self) -> None:
        try:
            import sounddevice
        except (ImportError, OSError) as error:
            raise EnvironmentFailedError(
                "recording in the terminal needs packages that are not installed",
                remedy="Install them: pip install 'asrfair[device]' (on Linux also: apt-get install libportaudio2)",
            ) from error
        self._library = sounddevice
        try:
            found = sounddevice.query_devices(kind="input")
        except (sounddevice.PortAudioError, ValueError) as error:
            raise EnvironmentFailedError(
                "no microphone was found", remedy="Plug one in, or choose one in the system's sound settings"
            ) from error
        self.rate_hz = int(found["default_samplerate"])

    def take(self, *, seconds: float | None = None, until: Callable[[], Any] | None = None) -> npt.NDArray[np.int16]:
        """Record for some seconds, or until ``until`` returns.

        Raises:
            Refused: A piece of the sound was lost.
            EnvironmentFailedError: The device failed.
        """
        pieces: list[npt.NDArray[np.int16]] = []
        lost = False

        def hear(block: npt.NDArray[np.int16], _frames: int, _time: Any, status: Any) -> None:
            nonlocal lost
            lost = lost or bool(status.input_overflow)
            pieces.append(block[:, 0].copy())

        try:
            with self._library.InputStream(samplerate=self.rate_hz, channels=1, dtype="int16", callback=hear):
                if until is not None:
                    until()
                else:
                    self._library.sleep(int(1000 * (seconds or 0.0)))
        except self._library.PortAudioError as error:
            raise EnvironmentFailedError(
                "the microphone failed", remedy="Close programs that use it, then run the same command again"
            ) from error
        if lost:
            raise Refused(500, "gap", "The computer was too busy and lost a piece of the sound. Please read it again.")
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int16)
