"""Files that appear whole or not at all: written beside, forced to disk, renamed into place.

The one way in which asrfair writes a file that somebody may read later. A folder may come from somebody else, so no
link in it is followed: the file beside is new (``O_EXCL``, ``O_NOFOLLOW``), and a rename replaces a link instead of
writing through it. A process that is killed leaves at most a hidden ``.name.….tmp``, which :func:`sweep` removes.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from asrfair.errors import InputError

OWNER_FILE = 0o600
OWNER_FOLDER = 0o700
"""What people said, and what was recognised, is nobody else's business unless its owner says so."""

PAGE_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)
"""The head line of an HTML page without scripts: it loads nothing, runs nothing, sends nothing."""

_SUFFIX = ".tmp"


def _beside(path: Path) -> Path:
    """A name of its own beside a file; what is left there is found by :func:`sweep`."""
    return path.with_name(f".{path.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}")


@contextmanager
def open_whole(path: Path, *, private: bool = False, sync: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary stream whose content takes the place of ``path`` when the block ends without an error.

    Args:
        path: The file; its folder is made if need be.
        private: Whether only the owner may read it (it holds transcripts, or what stays at a site).
        sync: Whether bytes and name are forced to disk; not needed for what is forced to disk together later.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(beside, flags, OWNER_FILE if private else 0o666)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    if sync:
        sync_folder(path.parent)


@contextmanager
def open_whole_text(path: Path, *, private: bool = False, sync: bool = True) -> Iterator[IO[str]]:
    """Likewise a text stream: UTF-8, line ends as they are written."""
    with open_whole(path, private=private, sync=sync) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


def write_whole(path: Path, content: str | bytes, *, private: bool = False, sync: bool = True) -> None:
    """Write a file in one go; text becomes UTF-8."""
    with open_whole(path, private=private, sync=sync) as stream:
        stream.write(content.encode("utf-8") if isinstance(content, str) else content)


def write_new(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file whole, and never in the place of one that is there: whoever comes second changes nothing.

    Args:
        path: The file.
        content: What it holds.
        private: Whether only the owner may read it.
    """
    beside = _beside(path)
    try:
        write_whole(beside, content, private=private)
        try:
            os.link(beside, path)
        except FileExistsError:
            pass
        except OSError:  # a stick without links
            if not path.exists():
                beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add one line to a file of the owner's, on the disk when this returns; a line that was torn before is ended first."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, OWNER_FILE), "r+b") as stream:
        torn = False
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            torn = stream.read(1) != b"\n"
        stream.write((b"\n" if torn else b"") + line.encode("utf-8") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(path.parent)


def write_json(
    path: Path,
    content: Mapping[str, Any],
    *,
    private: bool = False,
    sync: bool = True,
    default: Callable[[Any], Any] = str,
) -> None:
    """Write a JSON object for people and programs: indented, keys in their order, one line feed at the end."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=default) + "\n"
    write_whole(path, text.encode("utf-8", "backslashreplace"), private=private, sync=sync)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to disk; nothing is done on a system on which folders cannot be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def own_folder(folder: Path) -> Path:
    """Make a folder that only its owner may enter, if it is not there; one that is there keeps its rights."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=OWNER_FOLDER, exist_ok=True)
    return folder


def subfolder(parent: Path, name: str) -> Path:
    """Make a folder inside a run folder, if it is not there, and refuse a link: what it points at is not ours.

    Raises:
        InputError: There is a link, or a file, of that name.
    """
    folder = parent / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(
            "this is a link or a file where a folder belongs, and nothing is written through it",
            file=folder,
            remedy="Remove it",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sweep(folder: Path) -> None:
    """Remove what killed processes left beside their files; only under the lock of who may write there."""
    for path in folder.glob(f".*{_SUFFIX}"):
        with suppress(OSError):
            path.unlink()
