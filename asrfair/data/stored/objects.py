"""Stores of bytes by address: how large an object is, and its bytes from a place on; failures are tried again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from asrfair.data.stored import https
from asrfair.data.stored.https import FetchError

Found = TypeVar("Found")

PAUSES_S: Final = (0.5, 2.0, 5.0, 15.0)
"""Between tries; an object store that is too busy says so for seconds."""
_BLOCK: Final = 4 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Stat:
    """What a store says of an object: its bytes, and what changes with them (an entity tag, or a time of change)."""

    size: int
    version: str


class Store(Protocol):
    """A kind of store."""

    def stat(self, url: str) -> Stat:
        """Return what there is."""
        ...

    def blocks(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` until before ``stop``; fewer, if the connection breaks."""
        ...


def stat(url: str) -> Stat:
    """Return size and version of an object.

    Raises:
        FetchError: It is not there, may not be read, or cannot be reached.
    """
    return _persistent(lambda: _store(url).stat(url))


def read(url: str, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes of a stretch, all of them: a connection that breaks is taken up where it broke.

    Raises:
        FetchError: It cannot be had after several tries.
    """
    place, tries = start, 0
    while place < stop:
        failed = FetchError("fewer bytes came than the store promised", again=True)
        try:
            for block in _store(url).blocks(url, place, stop):
                part = block[: stop - place]
                place += len(part)
                tries = 0
                yield part
                if place == stop:
                    return
        except FetchError as error:
            failed = error
        if not failed.again or tries >= len(PAUSES_S):
            raise failed
        time.sleep(PAUSES_S[tries])
        tries += 1


def _persistent(call: Callable[[], Found]) -> Found:
    for pause in PAUSES_S:
        try:
            return call()
        except FetchError as error:
            if not error.again:
                raise
            time.sleep(pause)
    return call()


def _store(url: str) -> Store:
    return _STORES[url.partition("://")[0]]


class _Https:
    """Files behind https. A server that does not know stretches is read from the start."""

    def stat(self, url: str) -> Stat:
        address, headers = self._asked(url)
        with https.get(address, start=0, stop=1, headers=headers) as answer:
            told = answer.headers
        said = (
            told.get("content-range", "").rpartition("/")[2] if answer.status == 206 else told.get("content-length", "")
        )
        if not (said.isascii() and said.isdigit() and len(said) < 19):
            raise FetchError("the server does not say how large the file is", again=False)
        return Stat(size=int(said), version=told.get("etag") or told.get("last-modified", ""))

    def blocks(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        address, headers = self._asked(url)
        with https.get(address, start=start, stop=stop, headers=headers) as answer:
            skip = 0
            if answer.status == 200:
                skip = start
            elif not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
                raise FetchError("the server sends another stretch than was asked for", again=True)
            for block in answer.blocks():
                if skip >= len(block):
                    skip -= len(block)
                    continue
                yield block[skip:]
                skip = 0

    def _asked(self, url: str) -> tuple[str, dict[str, str]]:
        return url, {}


class _HuggingFace(_Https):
    """Files of the Hugging Face hub: ``hf://datasets/OWNER/NAME[@REVISION]/PATH``, or a model's without ``datasets``."""

    def _asked(self, url: str) -> tuple[str, dict[str, str]]:
        parts = url.partition("://")[2].split("/")
        depth = 3 if parts[0] in {"datasets", "spaces"} else 2
        if len(parts) <= depth:
            raise FetchError("the address names no file of a repository", again=False)
        name, _, revision = parts[depth - 1].partition("@")
        repository = "/".join([*parts[: depth - 1], name])
        path = quote("/".join(parts[depth:]))
        token = os.environ.get("HF_TOKEN", "")
        host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return f"{host}/{quote(repository)}/resolve/{quote(revision or 'main', safe='')}/{path}", headers


class _Arrow:
    """Object stores that Arrow's C++ library knows."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make

    def stat(self, url: str) -> Stat:
        from pyarrow.fs import FileType

        system, path = self._of(url)
        found = _arrow(lambda: system.get_file_info(path))
        if found.type != FileType.File:
            raise FetchError("there is no such object", again=False)
        return Stat(size=int(found.size), version=str(found.mtime_ns))

    def blocks(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        system, path = self._of(url)
        stream = _arrow(lambda: system.open_input_file(path))
        with stream:
            while start < stop:
                block: bytes = _arrow(partial(stream.read_at, min(_BLOCK, stop - start), start))
                if not block:
                    return
                start += len(block)
                yield block

    def _of(self, url: str) -> tuple[Any, str]:
        path = url.partition("://")[2]
        return _arrow(lambda: self._make(path.partition("/")[0])), path


def _arrow(call: Callable[[], Found]) -> Found:
    import pyarrow as pa

    try:
        return call()
    except FileNotFoundError as error:
        raise FetchError("there is no such object", again=False) from error
    except (OSError, pa.ArrowException, ValueError) as error:
        text = str(error)
        denied = any(sign in text for sign in ("ACCESS_DENIED", "AccessDenied", "HTTP status 403", "HTTP status 401"))
        raise FetchError(
            "the store refuses it" if denied else "the store cannot be read from", again=not denied
        ) from error


@lru_cache(maxsize=64)
def _s3(bucket: str) -> Any:
    from pyarrow import fs

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and not endpoint:
        region = fs.resolve_s3_region(bucket)
    scheme, _, host = (endpoint or "https://").partition("://")
    return fs.S3FileSystem(
        anonymous=bool(os.environ.get("AWS_NO_SIGN_REQUEST")),
        region=region,
        scheme=scheme,
        endpoint_override=host.rstrip("/") or None,
        connect_timeout=10.0,
        request_timeout=30.0,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),  # tried again here, where it is counted
    )


@lru_cache(maxsize=1)
def _gs(bucket: str) -> Any:
    from datetime import timedelta

    from pyarrow import fs

    del bucket
    return fs.GcsFileSystem(
        anonymous=bool(os.environ.get("GOOGLE_NO_SIGN_REQUEST")), retry_time_limit=timedelta(seconds=30)
    )


_STORES: Final[dict[str, Store]] = {"https": _Https(), "hf": _HuggingFace(), "s3": _Arrow(_s3), "gs": _Arrow(_gs)}
