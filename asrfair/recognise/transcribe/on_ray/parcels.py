"""How recordings and the files of conditions get to nodes that share no disk: through Ray's object store.

The driver puts a recording there when a batch needs it, and keeps hold of the last ones up to a number of bytes. A node
keeps some too. What a node has not been sent (other people's speech for babble, say: which, only the rendering knows)
it asks for by raising :class:`Wanted`, and gets with the next attempt.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from asrfair.data.audio import load_clip
from asrfair.data.stored.address import is_url
from asrfair.errors import AsrfairError
from asrfair.types import Clip, Utterance

if TYPE_CHECKING:
    from asrfair.acoustics import Condition

WHOLE_BYTES = 64 << 20
"""A recording up to this size travels whole, once; of a longer one the driver cuts the utterance out."""
HELD_BY_DRIVER_BYTES = 2 << 30
HELD_BY_NODE_BYTES = 256 << 20

_CUT_BYTES = 1 << 20
"""What an utterance that was cut out counts as among what is held."""

Bytes: TypeAlias = npt.NDArray[np.uint8]
Content: TypeAlias = Bytes | Clip | AsrfairError
Item = TypeVar("Item")


class Wanted(BaseException):
    """A worker lacks a recording; the driver sends it, and the same work begins again.

    No exception that anybody means to catch: what goes wrong in an effect or a decoder becomes a row, this does not.

    Args:
        utterance: What it is needed for.
        lost: Whether it was sent and the store has lost it.
    """

    def __init__(self, utterance: Utterance, lost: bool) -> None:
        super().__init__(utterance, lost)
        self.utterance = utterance
        self.lost = lost


class Sender:
    """The driver's side: recordings as references into the object store.

    Args:
        put: Puts a value into the store and returns its reference (``ray.put``).
        sample_rate_hz: The engine's rate, for what is cut out here.
        held_bytes: What may stay in the store without being in use.
    """

    def __init__(self, put: Callable[[Any], Any], sample_rate_hz: int, held_bytes: int = HELD_BY_DRIVER_BYTES) -> None:
        self._put = put
        self._rate = sample_rate_hz
        self._held: _Held[Any] = _Held(held_bytes)

    def parcels(self, utterances: Iterable[Utterance]) -> dict[str, Any]:
        """Return, by key, the references to what a worker needs to hear these utterances.

        What cannot be read here is sent as the error that it is.
        """
        found: dict[str, Any] = {}
        for utterance in utterances:
            if not _lies_here(utterance):
                continue
            whole, cut = str(utterance.audio), _cut_key(utterance, self._rate)
            if whole not in self._held and cut not in self._held:
                content = _read(utterance.audio)
                if content is None:
                    self._held.add(cut, self._put(self._cut(utterance)), _CUT_BYTES)
                else:
                    self._held.add(whole, self._put(content), content.nbytes)
            key = whole if whole in self._held else cut
            found[key] = self._held[key]
        return found

    def forget(self, utterance: Utterance) -> None:
        """Let go what was sent for an utterance, so that it is put into the store again."""
        for key in (str(utterance.audio), _cut_key(utterance, self._rate)):
            self._held.drop(key)

    def _cut(self, utterance: Utterance) -> Clip | AsrfairError:
        try:
            return load_clip(utterance, self._rate)
        except AsrfairError as error:
            return error


def _read(path: Path | str | None) -> Bytes | None:
    """Return a recording that may travel whole; ``None`` if it is too long for that, or no file of its own."""
    with suppress(OSError, ValueError):
        if isinstance(path, Path) and path.is_file() and path.stat().st_size <= WHOLE_BYTES:
            return np.fromfile(path, np.uint8)
    return None


class Receiver:
    """A worker's side: loads utterances from what was sent.

    Args:
        get: Fetches what a reference stands for (``ray.get``).
        folder: Where a recording lies while it is decoded.
        held_bytes: How much is kept for the next utterances of the same recordings.
    """

    def __init__(self, get: Callable[[Any], Any], folder: Path, held_bytes: int = HELD_BY_NODE_BYTES) -> None:
        self._get = get
        self._folder = folder
        self._folder.mkdir(parents=True)
        self._held: _Held[Content] = _Held(held_bytes)
        self._sent = threading.local()
        self._lock = threading.Lock()

    def take(self, parcels: Mapping[str, Any]) -> None:
        """Take what was sent for the next work of this thread."""
        self._sent.parcels = parcels

    def load(self, utterance: Utterance, sample_rate_hz: int) -> Clip:
        """Return an utterance's clip, as ``asrfair.data.audio.load_clip`` does where the recording lies.

        Raises:
            AudioError: As there.
            Wanted: It was not sent yet.
        """
        if not _lies_here(utterance):
            return load_clip(utterance, sample_rate_hz)
        with self._lock:
            for key in (str(utterance.audio), _cut_key(utterance, sample_rate_hz)):
                if key in self._held or key in self._sent.parcels:
                    return self._decoded(self._content(key, utterance), utterance, sample_rate_hz)
        raise Wanted(utterance, lost=False)

    def _content(self, key: str, utterance: Utterance) -> Content:
        if key not in self._held:
            try:
                content: Content = self._get(self._sent.parcels[key])
            except Exception as error:  # whatever Ray makes of a node that is gone, or of a full disk
                raise Wanted(utterance, lost=True) from error
            self._held.add(key, content, content.nbytes if isinstance(content, np.ndarray) else _CUT_BYTES)
        return self._held[key]

    def _decoded(self, content: Content, utterance: Utterance, sample_rate_hz: int) -> Clip:
        if isinstance(content, AsrfairError):
            raise content
        if isinstance(content, Clip):
            return replace(content, samples=content.samples.copy())  # what is in the store is read-only
        here = self._folder / Path(str(utterance.audio)).name
        try:
            content.tofile(here)
            return load_clip(replace(utterance, audio=here), sample_rate_hz)
        finally:
            here.unlink(missing_ok=True)


class _Held(Generic[Item]):
    """Items by key, the least lately used of which are let go beyond a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._items: OrderedDict[str, tuple[Item, int]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def __getitem__(self, key: str) -> Item:
        self._items.move_to_end(key)
        return self._items[key][0]

    def add(self, key: str, item: Item, size: int) -> None:
        """Add an item; it stays, whatever its size, until the next comes."""
        self._items[key] = item, size
        self._bytes += size
        while self._bytes > self._most and len(self._items) > 1:
            self._bytes -= self._items.popitem(last=False)[1][1]

    def drop(self, key: str) -> None:
        """Let an item go, if it is there."""
        self._bytes -= self._items.pop(key, (None, 0))[1]


def _lies_here(utterance: Utterance) -> bool:
    """Return whether the recording lies on the driver's machine; a URL is fetched by whoever needs it."""
    return utterance.audio is not None and not (isinstance(utterance.audio, str) and is_url(utterance.audio))


def _cut_key(utterance: Utterance, sample_rate_hz: int) -> str:
    return f"{utterance.audio}\0{utterance.utterance_id}\0{sample_rate_hz}"


def pack(conditions: tuple[Condition, ...], put: Callable[[Any], Any]) -> tuple[bytes, dict[str, Any]]:
    """Return conditions as bytes in which their files (profiles, noise, rooms) have no place yet, and those files.

    Returns:
        The bytes, and by path the references to the files' contents.
    """
    paths = {str(c.profile.path) for c in conditions if c.profile is not None}
    paths |= {name for c in conditions for step in c.steps for name in step.inspection.files if Path(name).is_file()}
    files = {path: put(np.fromfile(path, np.uint8)) for path in sorted(paths)}
    stream = io.BytesIO()
    _Packer(stream, files).dump(conditions)
    return stream.getvalue(), files


def unpack(packed: bytes, files: Mapping[str, Any], get: Callable[[Any], Any], folder: Path) -> tuple[Condition, ...]:
    """Lay the files of conditions out below a folder, as they lay to each other, and return the conditions there."""
    for path, reference in files.items():
        here = _below(folder, path)
        here.parent.mkdir(parents=True, exist_ok=True)
        get(reference).tofile(here)
    conditions: tuple[Condition, ...] = _Unpacker(io.BytesIO(packed), [_below(folder, path) for path in files]).load()
    return conditions


def _below(folder: Path, path: str) -> Path:
    return folder.joinpath(*PurePath(path).parts[1:])


class _Packer(pickle.Pickler):
    """Pickles with a mark in place of each path of a file that travels: a string or a ``Path``, and its number."""

    def __init__(self, stream: io.BytesIO, files: Iterable[str]) -> None:
        super().__init__(stream, protocol=5)
        self._numbers = {path: number for number, path in enumerate(files)}

    def persistent_id(self, item: Any) -> tuple[bool, int] | None:
        """Return the mark."""
        number = self._numbers.get(str(item)) if isinstance(item, PurePath | str) else None
        return None if number is None else (isinstance(item, str), number)


class _Unpacker(pickle.Unpickler):
    """Puts the paths of this machine in place of the marks. What it reads was made by this run's own driver."""

    def __init__(self, stream: io.BytesIO, paths: Iterable[Path]) -> None:
        super().__init__(stream)
        self._paths = list(paths)

    def persistent_load(self, mark: tuple[bool, int]) -> Path | str:
        """Return the path that a mark stands for."""
        is_text, number = mark
        return str(self._paths[number]) if is_text else self._paths[number]
