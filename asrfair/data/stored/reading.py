"""Opens a recording by its address, wherever it lies: as a stream of its own bytes, and nothing is unpacked.

A remote object is fetched whole, once, into the cache, because work goes through shards in their order. Where it goes
to and fro (batches of one length are made of many shards) and the shard was thrown out of the cache, only the member is
fetched: where it lies is still known.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Generic, TypeVar, cast

from asrfair.data.stored import cache, objects
from asrfair.data.stored.address import Address, parse, store_problem
from asrfair.data.stored.https import FetchError
from asrfair.data.stored.objects import Stat
from asrfair.data.stored.parquetcell import CellError, Recordings
from asrfair.data.stored.tarshard import ShardError, Stretch, members_of

MOST_BYTES: Final = 2 << 30
"""Largest recording that is held in memory."""
STAT_S: Final = 60.0
"""How long what a store said of an object is believed."""
_SHARDS: Final = 64
_FILES: Final = 2
_IN_A_ROW: Final = 3
"""After so many members of one shard in a row, the rest will be wanted too."""
_CHUNK: Final = 1 << 20
_NAMED: Final = "Check the manifest's column 'audio'"
_REACHED: Final = "Look whether the store can be read from here, and try again: asrfair run … --retry-errors"
_COPIED: Final = "Look whether it was copied whole"


class StoredError(Exception):
    """The recording cannot be opened; the text says why, without an address.

    ``remedy`` is what to do about it, ``cut`` whether the shard was cut short in the middle of it.
    """

    def __init__(self, message: str, *, remedy: str = _NAMED, cut: bool = False) -> None:
        self.remedy = remedy
        self.cut = cut
        super().__init__(message)


def open_stored(text: str) -> tuple[BinaryIO, int]:
    """Open the recording at an address.

    Returns:
        A stream of its bytes, which can be sought in and which the caller closes, and how many they are.

    Raises:
        StoredError: It is not there, cannot be fetched, or the shard is damaged.
    """
    address = parse(text)
    try:
        if not address.member:
            return _whole(address)
        if address.parquet:
            content = _cell(address)
            return io.BytesIO(content), len(content)
        return _member(address)
    except FetchError as error:
        raise StoredError(error.message, remedy=_REACHED if error.again else _NAMED) from error
    except (ShardError, CellError, ValueError) as error:
        what = "the table" if address.parquet else "the shard"
        raise StoredError(f"{what} cannot be used: {error}", remedy=_COPIED) from error
    except OSError as error:
        raise StoredError(
            f"the store cannot be read: {error.strerror or type(error).__name__}", remedy=_REACHED
        ) from error


def stamp_of(text: str) -> tuple[int, int] | None:
    """Return the size in bytes and the version of the store in which a recording lies; ``None``: it is not there."""
    address = parse(text)
    try:
        if not address.remote:
            status = Path(address.store).stat()
            return status.st_size, status.st_mtime_ns
        found = _stat(address.store)
    except (OSError, ValueError):
        return None
    return found.size, int.from_bytes(hashlib.sha256(found.version.encode()).digest()[:7], "big")


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a recording's own bytes: that of the file that it would be if it were unpacked.

    Raises:
        StoredError: As :func:`open_stored` raises it.
    """
    hasher = hashlib.sha256()
    stream, _ = open_stored(text)
    with stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


class ReadAhead:
    """Fetches what is wanted soon while something else is being worked at."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._wanted: OrderedDict[str, Future[None]] = OrderedDict()

    def want(self, stores: Iterable[str]) -> None:
        """Begin to fetch remote stores into the cache. A failure is no news here: it comes when they are read."""
        for store in stores:
            if store in self._wanted:
                continue
            if self._pool is None:
                self._pool = ThreadPoolExecutor(2, thread_name_prefix="read-ahead")
            self._wanted[store] = self._pool.submit(_fetch, store)
            while len(self._wanted) > 256:
                self._wanted.popitem(last=False)


def _fetch(store: str) -> None:
    with suppress(OSError, ValueError):
        found = _stat(store)
        if found.size <= cache.bound_bytes() // 8:  # else it would throw out what is being read
            cache.fetched(store, found).close()


Key = TypeVar("Key")
Value = TypeVar("Value")


class _Memory(Generic[Key, Value]):
    """A few things that were used lately."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key]

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)


_stats: _Memory[str, tuple[float, Stat]] = _Memory(100_000)
_members: _Memory[str, dict[str, Stretch]] = _Memory(_SHARDS)
_tables: _Memory[str, tuple[threading.Lock, Recordings]] = _Memory(_FILES)
_single: _Memory[str, bytes] = _Memory(1)
_lately: _Memory[str, tuple[str, int]] = _Memory(1)


def _stat(store: str) -> Stat:
    problem = store_problem(store)
    if problem:
        raise FetchError(problem, again=False)
    known = _stats.get(store)
    if known is not None and time.monotonic() - known[0] < STAT_S:
        return known[1]
    found = objects.stat(store)
    _stats.put(store, (time.monotonic(), found))
    return found


def _whole(address: Address) -> tuple[BinaryIO, int]:
    stream, size, _ = _opened(address)
    return stream, size


def _opened(address: Address) -> tuple[BinaryIO, int, str]:
    """Open a store; its key changes when the store does."""
    if address.remote:
        found = _stat(address.store)
        return cache.fetched(address.store, found), found.size, cache.key_of(address.store, found)
    path = Path(address.store)
    if not path.is_file():
        raise StoredError("the file does not exist" if not path.exists() else "this is no file")
    stream = path.open("rb")
    about = os.fstat(stream.fileno())
    return stream, about.st_size, f"{address.store}\0{about.st_size}\0{about.st_mtime_ns}"


def _member(address: Address) -> tuple[BinaryIO, int]:
    if address.remote:
        alone = _alone(address)
        if alone is not None:
            return io.BytesIO(alone), len(alone)
    stream, size, key = _opened(address)
    try:
        members = _members.get(key)
        if members is None:
            members = members_of(stream, size)
            _members.put(key, members)
            if address.remote:
                cache.remember_members(key, members)
        place, length = _found(members, address.member, size)
    except BaseException:
        stream.close()
        raise
    return cast(BinaryIO, _Window(stream, place, length)), length


def _alone(address: Address) -> bytes | None:
    """Fetch a member by itself, where its shard is not at hand and is not being gone through; else ``None``."""
    found = _stat(address.store)
    key = cache.key_of(address.store, found)
    here = cache.held(key)
    if here is not None:
        here.close()
        return None
    text = f"{key}#{address.member}"
    known = _single.get(text)
    if known is not None:
        return known
    members = _members.get(key) or cache.known_members(key)
    if members is None:
        return None
    _members.put(key, members)
    place, length = _found(members, address.member, found.size)
    before, times = _lately.get("") or ("", 0)
    times = times + 1 if before == key else 1
    _lately.put("", (key, times))
    if times > _IN_A_ROW or length > MOST_BYTES:
        return None
    content = b"".join(objects.read(address.store, place, place + length))
    _single.put(text, content)
    return content


def _found(members: dict[str, Stretch], name: str, size: int) -> Stretch:
    found = members.get(name.removeprefix("./"))
    if found is None:
        raise StoredError("the shard has no such file")
    if sum(found) > size:
        raise StoredError("the shard was cut short in the middle of it", remedy=_COPIED, cut=True)
    return found


def _cell(address: Address) -> bytes:
    column, row = address.cell
    key = address.store
    if address.remote:
        key = cache.key_of(address.store, _stat(address.store))
    else:
        with suppress(OSError):
            about = Path(address.store).stat()
            key = f"{address.store}\0{about.st_size}\0{about.st_mtime_ns}"
    held = _tables.get(key)
    if held is None:
        stream, _, _ = _opened(address)
        try:
            held = (threading.Lock(), Recordings(stream))
        except BaseException:
            stream.close()
            raise
        _tables.put(key, held)
    with held[0]:
        content = held[1].read(column, row)
    if len(content) > MOST_BYTES:
        raise CellError("the recording is larger than can be held")
    return content


class _Window(io.RawIOBase):
    """A stretch of a file as a file of its own; closing it closes the file."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream = stream
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(self._size - self._at, 0))
        self._stream.seek(self._start + self._at)
        content = self._stream.read(wanted)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
