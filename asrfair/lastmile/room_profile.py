"""Turns recordings of the empty room into its noise profile, as loud against the voice as people's recordings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrfair.acoustics.room.make_profile import Made, make_profile
from asrfair.data.audio import AudioError
from asrfair.errors import InputError
from asrfair.lastmile.kit import AUDIO_SUFFIXES, read_speakers, recordings_of
from asrfair.lastmile.measure_recording import measure
from asrfair.lastmile.settings import Kit

LEAST_RECORDINGS = 5
USUAL_SNR_DB = 12.0
"""Where neither ``kit.toml`` nor recordings say how loud the room is: a desk in a busy room."""

QUIETEST_TENTH_DB = 4.0
"""How far the quietest tenth of a recorded noise lies below its mean: 2 to 5 dB on four recorded noises at 10 to 24 dB."""


@dataclass(frozen=True, kw_only=True)
class MadeRoom:
    """A room's profile, the ratio of voice to room that it holds at severity ``moderate``, and where that is from."""

    made: Made
    snr_db: float
    source: str


def make_room(kit: Kit, recordings: Sequence[Path] = (), *, overwrite: bool = False) -> MadeRoom:
    """Make the noise profile of a kit's room.

    Args:
        kit: The kit.
        recordings: Recordings of the empty room; by default all in the kit's folder ``room``.
        overwrite: Replace the profile that is there.

    Raises:
        InputError: There is no recording, none can be used, or there is a profile already.
    """
    files = list(recordings)
    if not files and kit.room_folder.is_dir():
        files = sorted(path for path in kit.room_folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise InputError(
            "there is no recording of the room",
            file=kit.room_folder,
            remedy="Record one minute of the room while nobody speaks, and put the file there",
        )
    measured = None if kit.snr_db is not None else measured_snr_db(kit)
    if kit.snr_db is not None:
        snr_db, source = kit.snr_db, "kit.toml says so"
    elif measured is not None:
        snr_db, source = measured, "measured on people's recordings"
    else:
        snr_db, source = USUAL_SNR_DB, "a guess: there are too few recordings of people to measure it"
    made = make_profile(files, kit.room, kit.profiles, snr_db=snr_db, place="the customer's room", overwrite=overwrite)
    return MadeRoom(made=made, snr_db=snr_db, source=source)


def measured_snr_db(kit: Kit) -> float | None:
    """Return how far people's voices stand above the room, whole dB, the median; ``None`` where too few are recorded."""
    found = []
    for speaker in read_speakers(kit)["speaker_id"]:
        for path in recordings_of(kit, str(speaker)).values():
            try:
                measures = measure(path)
            except AudioError:
                continue
            if measures.level_dbfs is not None:
                found.append(measures.snr_db - QUIETEST_TENTH_DB)
    if len(found) < LEAST_RECORDINGS:
        return None
    return float(np.clip(np.round(np.median(found)), -20, 60))
