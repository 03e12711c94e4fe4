"""Sound out of the files that phones, browsers and cameras make: AAC, AMR, WebM, video; by FFmpeg's libraries (PyAV).

libsndfile reads what recorders and corpora use, and stays the one reader for that. What it cannot open comes here, if
the extra ``codecs`` is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

SUFFIXES = frozenset(
    {".m4a", ".mp4", ".aac", ".3gp", ".3gpp", ".amr", ".awb", ".webm", ".mka", ".mkv", ".mov", ".caf", ".wma"}
)
"""Files that libsndfile cannot read (or only sometimes, as with ``.caf``), and that people have on their phones."""

_BEGINNINGS = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (0, b"#!AMR"), (0, b"caff"))

INSTALL = "Install the decoder: pip install 'asrfair[codecs]', or convert the file to WAV or FLAC"

_CUT_SHORT_S = 0.5
"""Containers round their length, and encoders add up to a tenth of a second."""

_TELLING = {
    "where": ("location", "gps", "geo", "xyz"),
    "when": ("creation_time", "date", "year"),
    "which device": ("make", "model", "device", "manufacturer", "com.android.version", "encoder", "software"),
    "who": ("artist", "author", "composer", "copyright", "comment", "title", "description"),
}


class ContainerError(Exception):
    """The file cannot be decoded; the text says why, without a path."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file whose first sound stream can be read.

    Attributes:
        sample_rate_hz: Its rate.
        channels: Its channels.
        duration_s: Its length as the container says it; 0 where it does not.
        told: What the container tells of the recording besides its sound, by kind (``where``, ``when``, …).
    """

    sample_rate_hz: int
    channels: int
    duration_s: float
    told: Mapping[str, tuple[str, ...]]


def installed() -> bool:
    """Whether the decoder is there."""
    from importlib.util import find_spec

    return find_spec("av") is not None


def is_container(stream: BinaryIO) -> bool:
    """Whether bytes without a name are such a file's: MP4, WebM, AMR or CAF, by how they begin."""
    stream.seek(0)
    start = stream.read(16)
    stream.seek(0)
    return any(start[place:].startswith(sign) for place, sign in _BEGINNINGS)


def look(path: Path | BinaryIO) -> Opened:
    """Read a container's header.

    Raises:
        ContainerError: The decoder is missing, or it is no file with sound that FFmpeg knows.
    """
    with _open(path) as (container, stream):
        return Opened(
            sample_rate_hz=int(stream.rate),
            channels=int(stream.channels),
            duration_s=_said_s(container, stream),
            told=_told({**container.metadata, **stream.metadata}),
        )


def _said_s(container: Any, stream: Any) -> float:
    """How long a container says that its sound is; 0 where it does not say."""
    return float(stream.duration * stream.time_base if stream.duration else (container.duration or 0) / 1_000_000)


def decode(path: Path | BinaryIO, *, most_samples: int) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a file's first sound stream.

    Args:
        path: The file, or a stream of its bytes.
        most_samples: Samples (frames × channels) after which decoding stops: a small file can hold hours of silence.

    Returns:
        Samples of shape (frames, channels) in [-1, 1], and the rate in Hz.

    Raises:
        ContainerError: The decoder is missing, the file breaks off or is damaged, or it holds more than ``most_samples``.
    """
    samples, rate, _ = _decoded(path, most_samples)
    return samples, rate


def _decoded(path: Path | BinaryIO, most_samples: int) -> tuple[npt.NDArray[np.float32], int, float]:
    """Return samples, rate, and the length in seconds that the header says."""
    with _open(path) as (container, stream):
        import av  # it is there: the file is open

        rate, channels, said_s = int(stream.rate), int(stream.channels), _said_s(container, stream)
        planar = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=rate)
        pieces: list[npt.NDArray[np.float32]] = []
        total = 0
        try:
            for frame in _frames(container, stream):
                for plain in planar.resample(frame):
                    pieces.append(plain.to_ndarray())
                    total += pieces[-1].size
                if total > most_samples:
                    raise ContainerError(
                        f"it holds more than {most_samples / channels / rate / 3600:.1f} hours of sound"
                    )
        except av.FFmpegError as error:
            raise ContainerError(_reason(error)) from error
    if not pieces:
        raise ContainerError("it holds no sound")
    samples: npt.NDArray[np.float32] = np.ascontiguousarray(np.concatenate(pieces, axis=1).T, dtype=np.float32)
    return samples, rate, said_s


class DecodedFile:
    """A decoded file that is read as libsndfile's are: ``samplerate``, ``frames``, ``channels``, ``seek``, ``read``.

    Args:
        path: The file, or a stream of its bytes.
        longest_s: Longest recording, in seconds of one channel at 48 kHz, that is decoded.

    Raises:
        ContainerError: As :func:`decode` raises it, or the file ends before its header says.
    """

    def __init__(self, path: Path | BinaryIO, *, longest_s: float) -> None:
        self._samples, self.samplerate, said_s = _decoded(path, int(longest_s * 48_000))
        self.frames, self.channels = self._samples.shape
        if said_s - self.frames / self.samplerate > _CUT_SHORT_S:
            raise ContainerError(
                f"it breaks off: {self.frames / self.samplerate:.1f} of {said_s:.1f} s could be decoded"
            )
        self._at = 0

    def seek(self, frame: int) -> int:
        """Go to a frame."""
        self._at = min(max(frame, 0), self.frames)
        return self._at

    def read(self, frames: int, *, dtype: str = "float32", always_2d: bool = False) -> npt.NDArray[np.float32]:
        """Return the next frames: shape (frames, channels), or (frames,) of one channel unless ``always_2d``."""
        del dtype
        part = self._samples[self._at : self._at + max(frames, 0)]
        self._at += len(part)
        return part if always_2d or self.channels > 1 else part[:, 0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open any more."""


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    yield from container.decode(stream)
    yield None  # what the resampler still holds


@contextmanager
def _open(path: Path | BinaryIO) -> Iterator[tuple[Any, Any]]:
    try:
        import av
    except ImportError as error:
        raise ContainerError(f"libsndfile cannot read it. {INSTALL}") from error
    try:
        # Only files: FFmpeg would follow a play list to other files or to the network.
        if not isinstance(path, Path):
            path.seek(0)
        container = av.open(
            str(path) if isinstance(path, Path) else path,
            mode="r",
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
            timeout=(10.0, 30.0),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ContainerError(_reason(error)) from error
    with container:
        if container.format.name.split(",")[0] in {"hls", "concat", "dash", "tty", "image2"}:
            raise ContainerError("it is a list of other files, not a recording")
        if not container.streams.audio:
            raise ContainerError("it holds no sound")
        stream = container.streams.audio[0]
        if not stream.rate or not stream.channels:
            raise ContainerError("its header is damaged")
        yield container, stream


def _told(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """What tags say about the place, the time, the device or people, by kind."""
    found: dict[str, tuple[str, ...]] = {}
    for kind, names in _TELLING.items():
        said = [value for key, value in tags.items() if value and any(name in key.lower() for name in names)]
        if said:
            found[kind] = tuple(dict.fromkeys(str(value)[:200] for value in said))
    return found


def _reason(error: BaseException) -> str:
    """FFmpeg's words without the path."""
    said = getattr(error, "strerror", None)
    return str(said or type(error).__name__)
