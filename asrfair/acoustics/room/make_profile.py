"""Turns recordings of a place into a noise profile: the profile file, the cut noise, one picture of what was heard."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from asrfair.acoustics.profiles import NAME, parse_condition
from asrfair.acoustics.room.generated import layers
from asrfair.acoustics.room.picture import draw
from asrfair.acoustics.room.usable_noise import Heard, Voices, listen, read, reasons
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEVERITY_STEP_DB = 6.0
MOST_CUTS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What was written.

    Args:
        profile: The profile file.
        cuts: The cut noise.
        picture: The page.
        heard: What was heard.
        warnings: What the user should know.
    """

    profile: Path
    cuts: tuple[Path, ...]
    picture: Path
    heard: Heard
    warnings: tuple[str, ...]


def make_profile(
    recordings: Sequence[Path],
    name: str,
    out: Path,
    *,
    snr_db: float = 12.0,
    description: str = "",
    place: str = "",
    licence: str = "",
    overwrite: bool = False,
    voices: Voices = "refuse",
    consent: str = "",
) -> Made:
    """Listen to recordings and write ``NAME.toml``, ``NAME.png`` and the folder ``NAME`` of cut noise.

    Args:
        recordings: Audio files of the place.
        name: The profile's name: lower-case letters, digits and '-'.
        out: Folder to write to; it is made.
        snr_db: SNR of the severity ``moderate``; ``mild`` is 6 dB above, ``severe`` 6 dB below.
        description: One sentence; a general one if empty.
        place: What the place is.
        licence: Terms of the recordings.
        overwrite: Whether a profile of this name is replaced.
        voices: What becomes of stretches in which somebody speaks: ``refuse`` leaves them out, ``keep`` leaves the talk
            in the noise, ``out`` writes no sound of the room at all but generated noise like its machines.
        consent: Who agreed that their talk stays in the noise, and to what; needed with ``keep``.

    Raises:
        InputError: The name cannot be used or is taken, nothing usable was heard, or talk would stay without consent.
    """
    if voices == "keep" and not consent.strip():
        raise InputError(
            "people's talk stays in the noise only with their consent", column="consent",
            remedy='Write who agreed to what: --consent "…"; or take the talk out: --voices out',
        )  # fmt: skip
    if not NAME.fullmatch(name):
        raise InputError(
            "not usable as a profile's name", value=name, remedy="Lower-case letters, digits and '-', at most 64"
        )
    profile, picture, folder = out / f"{name}.toml", out / f"{name}.png", out / name
    if not overwrite:
        for path in (profile, picture, folder):
            if path.exists():
                raise InputError("it exists already", file=path, remedy="Choose another --name, or give --overwrite")
    heard = listen(recordings, voices=voices)
    out.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-*.wav"):
        old.unlink()
    generated = layers(heard) if voices == "out" else None
    cuts, warnings = ([], []) if generated is not None else _cut(heard, folder, name)
    if voices == "keep" and heard.speech_s:
        warnings.append(
            f"{heard.speech_s:.1f} s of speech stay in the noise: a recogniser that writes them down is charged with words "
            "that nobody in the reference said"
        )
    draw(heard, picture, title=name, text=sentence(heard))
    write_whole(
        profile,
        _toml(
            heard,
            name,
            len(cuts),
            snr_db=snr_db,
            description=description,
            place=place,
            licence=licence,
            generated=generated,
            consent=consent,
        ),
    )
    warnings += list(parse_condition(str(profile)).warnings)
    return Made(profile=profile, cuts=tuple(cuts), picture=picture, heard=heard, warnings=tuple(warnings))


def _cut(heard: Heard, folder: Path, name: str) -> tuple[list[Path], list[str]]:
    """Write every usable stretch as its own WAV, mono, at the recording's rate and level; the longest if too many."""
    folder.mkdir(parents=True, exist_ok=True)
    usable = sorted(heard.usable, key=lambda s: -s.duration_s)[:MOST_CUTS]
    chosen = [s for s in heard.usable if s in usable]
    written, warnings = [], []
    if len(heard.usable) > MOST_CUTS:
        warnings.append(f"{len(heard.usable)} usable stretches: the {MOST_CUTS} longest were cut")
    for number, stretch in enumerate(chosen, start=1):
        recording = heard.recordings[stretch.recording]
        path = folder / f"{name}-{number:03d}.wav"
        with soundfile.SoundFile(
            path, "w", samplerate=recording.sample_rate_hz, channels=1, subtype="PCM_24", format="WAV"
        ) as audio:
            for samples in read(recording, stretch.start_s, stretch.end_s):
                audio.write(np.clip(samples, -1.0, 1.0))
        written.append(path)
    noise = heard.noise
    if noise.loud_dbfs - noise.quiet_dbfs > 15:
        warnings.append(
            f"the loudest tenth of the seconds is {noise.loud_dbfs - noise.quiet_dbfs:.0f} dB above the quietest: "
            "utterances will meet very different SNRs within themselves"
        )
    if sum(s.duration_s for s in heard.usable) < 30:
        warnings.append("less than 30 s of usable noise: utterances will hear the same seconds again and again")
    return written, warnings


def describe(heard: Heard) -> dict[str, Any]:
    """Return what was heard as JSON-like data: recordings, stretches, level, third octaves, tones, beats."""
    noise = heard.noise
    return {
        "recordings": [
            {
                "file": r.path.name,
                "sha256": r.sha256,
                "sample_rate_hz": r.sample_rate_hz,
                "channels": r.channels,
                "duration_s": r.duration_s,
            }
            for r in heard.recordings
        ],
        "stretches": [
            {
                "recording": heard.recordings[s.recording].path.name,
                "start_s": round(s.start_s, 3),
                "end_s": round(s.end_s, 3),
                "refused": s.reason or None,
            }
            for s in heard.stretches
        ],
        "usable_s": sum(s.duration_s for s in heard.usable),
        "speech_s": heard.speech_s,
        "refused_s": sum(s.duration_s for s in heard.refused),
        "level_dbfs": noise.level_dbfs,
        "quiet_dbfs": noise.quiet_dbfs,
        "loud_dbfs": noise.loud_dbfs,
        "third_octaves": [
            {"centre_hz": float(hz), "level_dbfs": float(db)}
            for hz, db in zip(noise.band_hz, noise.band_dbfs, strict=True)
            if math.isfinite(db)
        ],
        "tones": [
            {
                "frequency_hz": t.frequency_hz,
                "level_db": t.level_db,
                "above_db": t.above_db,
                "harmonic_of_hz": t.harmonic_of_hz,
            }
            for t in noise.tones
        ],
        "beats": [{"rate_hz": beat.rate_hz, "strength": beat.strength} for beat in noise.beats],
    }


def sentence(heard: Heard) -> str:
    """Return what was heard in words, for the profile's reasons and for the picture."""
    noise = heard.noise
    level = f"Level {noise.level_dbfs:.1f} dBFS"
    parts = [
        f"{level} (quietest tenth of the seconds below {noise.quiet_dbfs:.1f}, loudest above {noise.loud_dbfs:.1f})"
    ]
    own = [t for t in noise.tones if t.harmonic_of_hz is None]
    if own:
        listed = []
        for tone in own[:4]:
            multiples = sum(t.harmonic_of_hz == tone.frequency_hz for t in noise.tones)
            tail = f" with {multiples} harmonics" if multiples > 1 else " with a harmonic" if multiples else ""
            listed.append(f"{tone.frequency_hz:.1f} Hz ({tone.level_db:.0f} dB of the noise{tail})")
        parts.append("tones at " + ", ".join(listed))
    else:
        parts.append("no steady tone")
    if noise.beats:
        listed = [f"{beat.rate_hz:.3f} a second (strength {beat.strength:.2f})" for beat in noise.beats]
        parts.append(("a beat of " if len(listed) == 1 else "beats of ") + " and of ".join(listed))
    else:
        parts.append("no steady beat")
    return "; ".join(parts) + "."


def _toml(
    heard: Heard, name: str, cuts: int, *, snr_db: float, description: str, place: str, licence: str,
    generated: list[dict[str, Any]] | None, consent: str,
) -> str:  # fmt: skip
    recorded = sum(r.duration_s for r in heard.recordings)
    used = sum(s.duration_s for s in heard.usable)
    files = ", ".join(f"{printable(r.path.name, limit=80)} (sha256 {r.sha256[:16]})" for r in heard.recordings[:20])
    if len(heard.recordings) > 20:
        files += f" and {len(heard.recordings) - 20} more"
    usual = "Noise recorded on site." if generated is None else "Noise generated from what was measured on site."
    how = f"{used:.1f} s of {recorded:.1f} s used in {cuts} {'stretch' if cuts == 1 else 'stretches'}"
    if generated is not None:
        how = f"Generated from what was measured in {used:.1f} s of {recorded:.1f} s; no sound of the room is kept"
    elif heard.speech_s:
        how += f", {heard.speech_s:.1f} s of them with speech; consent: {consent}"
    severities = {"mild": snr_db + SEVERITY_STEP_DB, "moderate": snr_db, "severe": snr_db - SEVERITY_STEP_DB}
    lines = [
        "[profile]",
        f"name = {_quoted(name)}",
        f"description = {_quoted(description or usual)}",
        f"place = {_quoted(place or 'Not described.')}",
        "reasons = "
        + _quoted(
            f"Measured: {sentence(heard)} The SNRs are round numbers: set them to what your talkers and microphones "
            "have there."
        ),
        "source = "
        + _quoted(
            f"{'Heard' if generated is not None else 'Recorded'} on site: {files}. {how}; "
            f"refused: {reasons(heard.stretches)}."
        ),
        f"licence = {_quoted(licence or 'Not stated. Ask whoever made the recordings before you pass them on.')}",
        'severity = "moderate"',
        "",
        "[[effect]]",
        'use = "noise"',
        f"snr_db = {snr_db:g}",
    ]
    if generated is None:
        lines += ['source = "file"', f"file = {_quoted(name)}", ""]
    for layer in generated or []:
        lines += ["[[effect.layer]]", *(f"{key} = {json.dumps(value)}" for key, value in layer.items()), ""]
    for severity, value in severities.items():
        lines += [f"[severity.{severity}.noise]", f"snr_db = {value:g}", ""]
    return "\n".join(lines[:-1]) + "\n"


def _quoted(text: str) -> str:
    """Return a TOML basic string; what is not printable has been or is escaped."""
    return json.dumps(printable(" ".join(text.split()), limit=3900), ensure_ascii=False)
