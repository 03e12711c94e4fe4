"""Audio as engines get it: one segment decoded, one channel, one sample rate.

Files are read with soundfile; those that phones make, by :mod:`asrfair.data.container`; what lies in an object store, a
tar shard or a Parquet file comes from :mod:`asrfair.data.stored` as a stream of the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import soundfile
import soxr

from asrfair.data import container
from asrfair.data.cutshort import missing_in, missing_share
from asrfair.data.stored.address import parse, shown
from asrfair.data.stored.reading import StoredError, open_stored
from asrfair.errors import AsrfairError
from asrfair.types import Clip, Utterance

if TYPE_CHECKING:
    import numpy.typing as npt

END_TOLERANCE_S = 0.25
"""A segment may end this much after its file does (rounded transcripts); beyond that, the wrong audio was named."""

PEAK_LIMIT = 16.0
"""Floating-point samples above this are integers that were stored as floats, not loud speech."""


RATES_HZ = (1_000, 768_000)
"""Sample rates outside are damaged headers."""

LONGEST_S = 4 * 3600.0
"""Longest utterance. What is longer is a recording to be cut into utterances (``start_s``, ``end_s``)."""

MOST_SAMPLES = 1 << 28
"""Most samples of one channel that are held at once (1 GiB): a small file can promise hours at any rate."""

_BLOCK_SAMPLES = 1 << 22
"""Samples, over all channels, that are decoded at once on the way to one channel."""

CUT_S = 0.05
"""Bytes for this much audio may be missing from a file's end (a header's rounding); more, and it was cut short."""

SHORTER_S = (0.25, 0.05)
"""A recording may be shorter than the manifest's ``duration_s`` by this many seconds, or by this share of it."""


class AudioError(AsrfairError):
    """The audio of an utterance cannot be used. In a run it becomes an error row, never a crash."""


class TruncatedAudioError(AudioError):
    """The file was cut short: a part of what was said is not there. The ledger has a reason of its own for it."""


def load_clip(utterance: Utterance, sample_rate_hz: int) -> Clip:
    """Decode the utterance's segment, pick its channel (or average all), and resample.

    Only the segment is read, so that cutting an interview of hours into utterances costs what the utterances cost.

    Returns:
        The clip: float32 of shape (samples,), clipped to [-1, 1].

    Raises:
        AudioError: There is no file, it cannot be decoded, it ends before the segment does (by more than
            ``END_TOLERANCE_S``), lacks the channel, or holds samples that are not numbers.
        TruncatedAudioError: The file was cut short: its header, or the manifest's ``duration_s``, promises more.
    """
    path = utterance.audio
    if path is None:
        raise AudioError(
            f"utterance {utterance.utterance_id!r} has no audio file",
            remedy="Fill the manifest's column 'audio', or use the engine 'precomputed'",
        )
    mono, rate = _read(path, start_s=utterance.start_s, end_s=utterance.end_s, channel=utterance.channel)
    _check_length(utterance, len(mono) / rate, path)
    if not np.isfinite(mono).all():
        raise AudioError(
            "the file holds samples that are not numbers (NaN or infinite)", **_where(path), remedy="Export it again"
        )
    if mono.size and float(np.abs(mono).max()) > PEAK_LIMIT:
        raise AudioError(
            "the file holds floating-point samples far outside [-1, 1]",
            **_where(path),
            remedy="Scale them, or save it as 16-bit PCM",
        )
    if rate != sample_rate_hz:
        mono = soxr.resample(mono, rate, sample_rate_hz, quality="HQ")
    if not mono.size:
        raise AudioError("the segment holds no samples", **_where(path), remedy="Check start_s and end_s")
    return Clip(
        utterance_id=utterance.utterance_id,
        samples=np.ascontiguousarray(np.clip(mono, -1.0, 1.0), dtype=np.float32),
        sample_rate_hz=sample_rate_hz,
        language=utterance.language,
    )


def probe_duration_s(path: Path | str) -> float:
    """Return a file's length in seconds from its header.

    Raises:
        AudioError: The file is missing or cannot be decoded.
    """
    with open_audio(path) as file:
        return float(file.frames / file.samplerate)


def planned_duration_s(utterance: Utterance) -> float:
    """Return the utterance's length for planning: its segment, else ``duration_s``, else the file's header, else 0.

    Unreadable audio has length 0 here: it fails when it is decoded, with its reason.
    """
    if utterance.start_s is not None and utterance.end_s is not None:
        return max(utterance.end_s - utterance.start_s, 0.0)
    if utterance.duration_s is not None:
        return max(utterance.duration_s, 0.0)
    if utterance.audio is None:
        return 0.0
    try:
        length = probe_duration_s(utterance.audio)
    except AudioError:
        return 0.0
    return max((length if utterance.end_s is None else utterance.end_s) - (utterance.start_s or 0.0), 0.0)


def open_audio(path: Path | str) -> soundfile.SoundFile | container.DecodedFile:
    """Open a recording of any format that asrfair reads, by its suffix.

    Returns:
        What has ``samplerate``, ``frames``, ``channels``, ``seek`` and ``read`` as ``soundfile.SoundFile`` has them.

    Raises:
        AudioError: It is missing, or cannot be decoded.
    """
    if isinstance(path, str):
        return _open_stored(path)
    if not path.is_file():
        raise AudioError(
            "the audio file does not exist" if not path.exists() else "the audio path is not a file",
            file=path,
            remedy="Check the manifest's column 'audio'; paths are relative to the table",
        )
    if path.suffix.lower() in container.SUFFIXES:
        return _open_container(path, path)
    try:
        return soundfile.SoundFile(str(path))
    except _UNREADABLE as error:
        raise _undecodable(error, path, missing_share(path)) from error


_UNREADABLE = (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, ValueError)


class _StoredFile(soundfile.SoundFile):  # type: ignore[misc]
    """A recording out of a stream, which is closed with it."""

    def __init__(self, stream: BinaryIO, missing: float) -> None:
        self._bytes = stream
        self.missing = missing
        super().__init__(stream)

    def close(self) -> None:
        super().close()
        self._bytes.close()


def _open_stored(text: str) -> soundfile.SoundFile | container.DecodedFile:
    """Open a recording that is no file of its own."""
    try:
        stream, size = open_stored(text)
    except StoredError as error:
        kind = TruncatedAudioError if error.cut else AudioError
        raise kind(f"the audio cannot be read: {error}", **_where(text), remedy=error.remedy) from error
    missing = 0.0
    try:
        name = parse(text).name
        if Path(name).suffix.lower() in container.SUFFIXES or (not name and container.is_container(stream)):
            with stream:
                return _open_container(stream, text)
        missing = missing_in(stream, size)
        stream.seek(0)
        return _StoredFile(stream, missing)
    except _UNREADABLE as error:
        stream.close()
        raise _undecodable(error, text, missing) from error
    except BaseException:
        stream.close()
        raise


def _open_container(source: Path | BinaryIO, path: Path | str) -> container.DecodedFile:
    try:
        return container.DecodedFile(source, longest_s=LONGEST_S)
    except container.ContainerError as error:
        raise AudioError(
            f"the audio file cannot be decoded: {error}", **_where(path), remedy="Convert it to WAV or FLAC"
        ) from error


def _undecodable(error: BaseException, path: Path | str, missing: float) -> AudioError:
    kind = TruncatedAudioError if missing else AudioError
    return kind(
        f"the audio file cannot be decoded: {_reason(error)}", **_where(path), remedy="Convert it to WAV or FLAC"
    )


def _where(path: Path | str) -> dict[str, Any]:
    """Where an error lies: a file, or an address without what is secret in it."""
    return {"value": shown(path)} if isinstance(path, str) else {"file": path}


def _check_length(utterance: Utterance, length_s: float, path: Path | str) -> None:
    """Compare what was decoded with what the manifest says of the whole file."""
    if utterance.duration_s is None or utterance.end_s is not None:
        return
    stated = utterance.duration_s
    if length_s < stated - max(SHORTER_S[0], SHORTER_S[1] * stated):
        raise TruncatedAudioError(
            f"the recording is {_seconds(length_s)} s long, and the manifest's duration_s is {_seconds(stated)}",
            **_where(path),
            remedy="Copy the file again, or mend duration_s",
        )


def _read(
    path: Path | str, *, start_s: float | None, end_s: float | None, channel: int | None
) -> tuple[npt.NDArray[np.float32], int]:
    """Return the segment's samples in one channel, shape (frames,), and the file's rate in Hz."""
    with open_audio(path) as file:
        rate = int(file.samplerate)
        slack = round(END_TOLERANCE_S * rate)
        start = 0 if start_s is None else max(round(start_s * rate), 0)
        end = file.frames if end_s is None else round(end_s * rate)
        if end_s is None or end > file.frames:
            lost = _missing(file, path)
            whole_s = file.frames / rate / max(1.0 - lost, 1e-9)
            if lost * whole_s > CUT_S or (lost and not file.frames):
                raise TruncatedAudioError(
                    f"the file was cut short: about {100 * lost:.0f} % of what its header promises is missing",
                    **_where(path),
                    remedy="Copy it again",
                )
        if start >= file.frames or end > file.frames + slack:
            raise AudioError(
                f"the segment {_seconds(start / rate)}–{_seconds(end / rate)} s lies outside the file, "
                f"which is {_seconds(file.frames / rate)} s long",
                **_where(path),
                remedy="Check start_s and end_s, and that the file was copied whole",
            )
        wanted = min(end, file.frames) - start
        if wanted <= 0:
            raise AudioError("the segment ends before it starts", **_where(path), remedy="Check start_s and end_s")
        if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
            raise AudioError(
                f"the file says that its sample rate is {rate} Hz", **_where(path), remedy="Export it again"
            )
        if wanted > LONGEST_S * rate:
            raise AudioError(
                f"the utterance is {_seconds(wanted / rate)} s long",
                **_where(path),
                remedy="Cut the recording into utterances with the columns start_s and end_s",
            )
        if wanted > MOST_SAMPLES:
            raise AudioError(
                f"the utterance has {wanted:,} samples at {rate} Hz, and {MOST_SAMPLES:,} can be held",
                **_where(path),
                remedy="Cut the recording into utterances with the columns start_s and end_s",
            )
        try:
            if start:
                file.seek(start)
            samples = _decode(file, wanted, channel, path)
        except (soundfile.LibsndfileError, OSError, RuntimeError, MemoryError) as error:
            raise AudioError(
                f"the audio file cannot be decoded: {_reason(error)}",
                **_where(path),
                remedy="Convert it to WAV or FLAC",
            ) from error
    if len(samples) < wanted - slack:
        raise TruncatedAudioError(
            f"the file breaks off: {_seconds(len(samples) / rate)} of {_seconds(wanted / rate)} s could be decoded",
            **_where(path),
            remedy="Copy it again",
        )
    return samples, rate


def _missing(file: soundfile.SoundFile | container.DecodedFile, path: Path | str) -> float:
    return missing_share(path) if isinstance(path, Path) else getattr(file, "missing", 0.0)


def _decode(file: soundfile.SoundFile, wanted: int, channel: int | None, path: Path | str) -> npt.NDArray[np.float32]:
    """Decode block by block, so that a file of many channels takes no more memory than one channel of it."""
    if file.channels == 1 and not channel:
        samples: npt.NDArray[np.float32] = file.read(wanted, dtype="float32")
        return samples
    parts: list[npt.NDArray[np.float32]] = []
    block = max(1, _BLOCK_SAMPLES // file.channels)
    while wanted:
        part = file.read(min(block, wanted), dtype="float32", always_2d=True)
        parts.append(np.ascontiguousarray(_mono(part, channel, path)))
        if len(part) < min(block, wanted):
            break
        wanted -= len(part)
    return np.concatenate(parts)


def _mono(samples: npt.NDArray[np.float32], channel: int | None, path: Path | str) -> npt.NDArray[np.float32]:
    channels = samples.shape[1]
    if channel is not None:
        if not 0 <= channel < channels:
            raise AudioError(
                f"the file has {channels} channel(s), and channel {channel} was asked for (they count from 0)",
                **_where(path),
                remedy="Mend the manifest's column 'channel'",
            )
        return samples[:, channel]
    return samples[:, 0] if channels == 1 else samples.mean(axis=1, dtype=np.float32)


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _reason(error: BaseException) -> str:
    """Return libsndfile's words without the path, so that a table does not depend on where the data lies."""
    return str(getattr(error, "error_string", "") or type(error).__name__)
