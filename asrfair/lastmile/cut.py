"""One long recording, cut into the kit's sentences: where somebody speaks, and which stretch is which sentence.

Speech is told from pauses by level, with hysteresis, against the recording's own floor. Sentences are read in order, so
that a dynamic programme finds the assignment of stretches to sentences whose lengths fit best (every speaker has a pace
of their own, which is estimated), that breaks at long pauses rather than short ones, and that may leave out a cough or a
sentence that was not read. In English every cut is then listened to (:mod:`asrfair.lastmile.spoken_words`). What is
doubtful is said; nothing is written before somebody has looked at it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from asrfair.data.audio import AudioError, load_clip, open_audio
from asrfair.data.wholefile import open_whole
from asrfair.errors import InputError
from asrfair.lastmile.kit import read_speakers, recordings_of
from asrfair.lastmile.prompts import Prompt, read_prompts
from asrfair.lastmile.settings import Kit
from asrfair.lastmile.spoken_words import PromptListener
from asrfair.types import Utterance

_RATE_HZ = 16_000
_HOP_S = 0.01
_BANDS_HZ = ((100.0, 1000.0), (1000.0, 7500.0))
_MARGIN_S = 0.3
"""Kept before and after a sentence, where the pause has room for it."""

_MERGE_S = 0.2
_SHORTEST_S = 0.08
_MOST_STRETCHES = 24
_SKIPPED_PROMPT = 5.0
_SKIPPED_STRETCH = 3.0
_LENGTH = 6.0
_PAUSE = 2.5
_USUAL_PAUSE_S = 0.5
_OFF_COURSE = 12
"""How many sentences the assignment may run ahead of, or behind, the share of speech that has passed."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where one sentence lies in the recording, in seconds from its start; ``doubt`` is empty or says why to listen."""

    prompt: Prompt
    start_s: float
    end_s: float
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """What was found: the cuts in order, sentences that were not, and stretches of speech that belong to none."""

    cuts: tuple[Cut, ...]
    not_found: tuple[Prompt, ...]
    left_over: tuple[tuple[float, float], ...]


def plan_cuts(kit: Kit, speaker: str, file: Path, *, listen: bool = True) -> Cuts:
    """Find the sentences that a person has not recorded yet in one long recording.

    Args:
        kit: The kit.
        speaker: Whose recording it is.
        file: The recording, in any format that asrfair reads.
        listen: Whether to listen to each cut (English kits).

    Raises:
        InputError: The person is not in ``speakers.csv``, everything is recorded, or nobody speaks in the file.
    """
    if speaker not in set(read_speakers(kit)["speaker_id"]):
        raise InputError("speakers.csv has nobody of this name", value=speaker, remedy="Add a line, or mend the name")
    have = recordings_of(kit, speaker)
    prompts = [prompt for prompt in read_prompts(kit.folder) if prompt.prompt_id not in have]
    if not prompts:
        raise InputError(
            "this person has recorded everything already", value=speaker, remedy="Move old takes away first"
        )
    try:
        samples = load_clip(
            Utterance(utterance_id=file.name, speaker_id="", reference="", audio=file), _RATE_HZ
        ).samples
    except AudioError as error:
        raise InputError(error.message, file=file, remedy=error.remedy) from error
    found = find_sentences(samples, prompts)
    if not found.cuts:
        raise InputError("nobody is heard speaking in it", file=file, remedy="Is it the right file?")
    if listen and kit.language.lower().startswith("en"):
        found = _listened(found, samples, prompts)
    return found


def find_sentences(samples: npt.NDArray[np.float32], prompts: Sequence[Prompt]) -> Cuts:
    """Assign stretches of speech to sentences, both in order.

    Args:
        samples: Mono, shape (samples,), at 16 kHz.
        prompts: The sentences, in the order in which they were read.
    """
    stretches = speech_stretches(samples)
    if not stretches:
        return Cuts(cuts=(), not_found=tuple(prompts), left_over=())
    weights = [_weight(prompt.text) for prompt in prompts]
    spoken = sum(end - start for start, end in stretches)
    pace = spoken / sum(weights)
    assigned = _assign(stretches, [weight * pace for weight in weights])
    # Once more with the pace of what was found, which coughs and repeated sentences do not change.
    lengths = [(stretches[j - 1][1] - stretches[i][0]) / weights[p] for p, (i, j) in assigned.items()]
    if lengths:
        pace = float(np.median(lengths))
        assigned = _assign(stretches, [weight * pace for weight in weights])
    used = {index for i, j in assigned.values() for index in range(i, j)}
    cuts = []
    for p, (i, j) in sorted(assigned.items()):
        start, end = stretches[i][0], stretches[j - 1][1]
        far = abs(math.log((end - start) / (weights[p] * pace))) > math.log(1.8)
        doubt = "its length does not fit the sentence" if far else ""
        cuts.append(Cut(prompt=prompts[p], start_s=start, end_s=end, doubt=doubt))
    return Cuts(
        cuts=tuple(cuts),
        not_found=tuple(prompt for p, prompt in enumerate(prompts) if p not in assigned),
        left_over=tuple(stretch for index, stretch in enumerate(stretches) if index not in used),
    )


def speech_stretches(samples: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Return where somebody speaks, (start, end) in seconds.

    Two bands are held each against its own floor, since a w begins low and an s ends high; speech is where either rises a
    third of the way from the floor to loud speech, and goes on as long as either stays a sixth above it.
    """
    hop = round(_HOP_S * _RATE_HZ)
    frames = len(samples) // hop - 1
    if frames < 10:
        return []
    window = np.hanning(2 * hop)
    blocks = np.lib.stride_tricks.sliding_window_view(samples[: (frames + 1) * hop], 2 * hop)[::hop]
    upper, lower = np.zeros(frames, dtype=bool), np.zeros(frames, dtype=bool)
    for low_hz, high_hz in _BANDS_HZ:
        power = _band_power(blocks, window, low_hz, high_hz)
        level = 10 * np.log10(power + 1e-12)
        level = np.convolve(np.pad(level, 2, mode="edge"), np.full(5, 0.2), "valid")
        floor, loud = float(np.percentile(level, 15)), float(np.percentile(level, 97))
        if loud - floor < 6:
            continue
        upper |= level > floor + max(6.0, 0.35 * (loud - floor))
        lower |= level > floor + max(4.0, 0.18 * (loud - floor))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lower.astype(np.int8), [0]])))
    # A faint end (a last t, a breathed s) counts where it hangs on something loud; by itself it is none.
    found: list[tuple[int, int, bool]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        strong = bool(upper[start:end].any())
        if found and (start - found[-1][1]) * _HOP_S < _MERGE_S:
            found[-1] = (found[-1][0], end, found[-1][2] or strong)
        else:
            found.append((start, end, strong))
    return [(a * _HOP_S, b * _HOP_S) for a, b, strong in found if strong and (b - a) * _HOP_S >= _SHORTEST_S]


def _band_power(
    blocks: npt.NDArray[np.float32], window: npt.NDArray[np.float64], low_hz: float, high_hz: float
) -> npt.NDArray[np.float64]:
    """Mean power of each windowed block between two frequencies; a minute at a time, so that hours fit into memory."""
    hertz = np.fft.rfftfreq(len(window), 1 / _RATE_HZ)
    use = (hertz >= low_hz) & (hertz < high_hz)
    parts = [
        np.mean(np.abs(np.fft.rfft(blocks[start : start + 6000] * window, axis=1)[:, use]) ** 2, axis=1)
        for start in range(0, len(blocks), 6000)
    ]
    return np.concatenate(parts) / len(window)


def write_cuts(kit: Kit, speaker: str, file: Path, found: Cuts) -> list[Path]:
    """Write each cut as a recording of its sentence, at the file's own rate, with a little of the pause around it.

    Raises:
        InputError: The file cannot be read any more.
    """
    try:
        with open_audio(file) as audio:
            rate = int(audio.samplerate)
            samples = audio.read(audio.frames, dtype="float32", always_2d=True)
    except AudioError as error:
        raise InputError(error.message, file=file, remedy=error.remedy) from error
    mono = samples.mean(axis=1)
    edges = sorted([(cut.start_s, cut.end_s) for cut in found.cuts] + list(found.left_over))
    written = []
    for cut in found.cuts:
        before = max([end for _, end in edges if end <= cut.start_s], default=0.0)
        after = min([start for start, _ in edges if start >= cut.end_s], default=len(mono) / rate)
        start = max(cut.start_s - min(_MARGIN_S, (cut.start_s - before) / 2), 0.0)
        end = cut.end_s + min(_MARGIN_S, (after - cut.end_s) / 2)
        path = kit.recordings / speaker / f"{cut.prompt.prompt_id}.wav"
        with open_whole(path, private=True) as stream:
            part = np.clip(mono[round(start * rate) : round(end * rate)], -1.0, 1.0)
            soundfile.write(stream, part, rate, format="WAV", subtype="PCM_16")
        written.append(path)
    return written


def _weight(text: str) -> float:
    """How long a sentence takes to read, in letters: scripts without spaces between words say more with each."""
    dense = sum(1 for letter in text if "\u2e80" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af")
    return 4.0 * dense + len(re.findall(r"\w", text)) - dense + 2.0


def _assign(stretches: Sequence[tuple[float, float]], expected_s: Sequence[float]) -> dict[int, tuple[int, int]]:
    """The cheapest assignment: sentence → (first stretch, one after its last).

    A stretch that belongs to no sentence costs by its length, a sentence that is not there a constant, a sentence by the
    squared log of its length over the expected one, a pause inside by how long it is, a pause between by how short.
    """
    n, m = len(stretches), len(expected_s)
    typical = float(np.median(expected_s))
    best = np.full((n + 1, m + 1), np.inf)
    came: dict[tuple[int, int], tuple[int, int]] = {}
    best[0, 0] = 0.0
    passed = np.concatenate([[0.0], np.cumsum([end - start for start, end in stretches])])
    wanted = np.concatenate([[0.0], np.cumsum(expected_s)])
    for i in range(n + 1):
        course = int(np.searchsorted(wanted, passed[i] / passed[-1] * wanted[-1]))
        for p in range(max(0, course - _OFF_COURSE), min(m, course + _OFF_COURSE) + 1):
            here = best[i, p]
            if not np.isfinite(here):
                continue
            if p < m and here + _SKIPPED_PROMPT < best[i, p + 1]:
                best[i, p + 1], came[i, p + 1] = here + _SKIPPED_PROMPT, (i, p)
            if i == n:
                continue
            left_out = here + _SKIPPED_STRETCH * min((stretches[i][1] - stretches[i][0]) / typical, 2.0) + 0.3
            if left_out < best[i + 1, p]:
                best[i + 1, p], came[i + 1, p] = left_out, (i, p)
            if p == m:
                continue
            cost = here
            if i:
                pause = stretches[i][0] - stretches[i - 1][1]
                cost += _PAUSE * max(0.0, math.log(_USUAL_PAUSE_S / pause))
            for j in range(i + 1, min(i + _MOST_STRETCHES, n) + 1):
                if j > i + 1:
                    pause = stretches[j - 1][0] - stretches[j - 2][1]
                    cost += _PAUSE * max(0.0, math.log(pause / _USUAL_PAUSE_S)) + 0.1
                total = cost + _LENGTH * math.log((stretches[j - 1][1] - stretches[i][0]) / expected_s[p]) ** 2
                if total < best[j, p + 1]:
                    best[j, p + 1], came[j, p + 1] = total, (i, p)
    assigned: dict[int, tuple[int, int]] = {}
    at = (n, m)
    while at in came:
        before = came[at]
        if before[0] < at[0] and before[1] < at[1]:
            assigned[before[1]] = (before[0], at[0])
        at = before
    return assigned


def _listened(found: Cuts, samples: npt.NDArray[np.float32], prompts: Sequence[Prompt]) -> Cuts:
    """Mark the cuts that sound more like another sentence."""
    listener = PromptListener()
    listener.choose([prompt.text for prompt in prompts])
    heard = []
    for cut in found.cuts:
        start, end = (round(value * _RATE_HZ) for value in (max(cut.start_s - _MARGIN_S, 0.0), cut.end_s + _MARGIN_S))
        which = listener.which(samples[start:end])
        other = which is None or prompts[which].prompt_id != cut.prompt.prompt_id
        heard.append(replace(cut, doubt=cut.doubt or "it sounds like another sentence") if other else cut)
    return replace(found, cuts=tuple(heard))
