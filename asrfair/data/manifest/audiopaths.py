"""Where the audio of a table lies, and whether it stays inside the manifest's folder, symbolic links followed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.tablefile import TEXT

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class AudioPaths:
    """Absolute paths ("" where there is none), the rows that leave the folder, the rows that name no file."""

    paths: pa.Array
    outside: list[int]
    no_file: list[int]


def resolve_audio(written: pa.Array, *, root: Path, boundary: Path, allow_outside: bool) -> AudioPaths:
    """Turn paths as the table has them into absolute ones; a folder is looked at once, however many files it has.

    Args:
        written: Paths relative to ``root``, or absolute; empty where there is no audio.
        root: The table's folder.
        boundary: The folder that no path may leave.
        allow_outside: Whether leaving it is allowed after all.
    """
    present = np.asarray(pc.not_equal(written, ""))
    if not present.any():
        return AudioPaths(paths=written, outside=[], no_file=[])
    folders = pc.replace_substring_regex(written, pattern=r"[^/]*$", replacement="").dictionary_encode()
    names = pc.replace_substring_regex(written, pattern=r"(?s)^.*/", replacement="")
    no_file = np.asarray(pc.is_in(names, pa.array(["", ".", ".."], TEXT))) & present
    which = np.asarray(folders.indices)
    absolute: list[str] = []
    outside = np.zeros(len(written), dtype=bool)
    limit = os.path.realpath(boundary)
    for number, folder in enumerate(folders.dictionary.to_pylist()):
        path = os.path.normpath(os.path.join(root, folder))  # noqa: PTH118 -- Path() collapses nothing and costs more
        absolute.append(path.rstrip("/"))
        if allow_outside:
            continue
        if not _inside(os.path.realpath(path), limit):
            outside |= (which == number) & present
            continue
        links = _links_that_leave(path, limit)
        if links:
            outside |= (which == number) & np.asarray(pc.is_in(names, pa.array(links, TEXT)))
    joined = pc.binary_join_element_wise(pa.array(absolute, TEXT).take(folders.indices), names, pa.scalar("/", TEXT))
    paths = pc.if_else(pa.array(present & ~no_file), joined, pa.scalar("", TEXT))
    return AudioPaths(paths=paths, outside=_rows(outside & ~no_file), no_file=_rows(no_file))


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path, links followed, lies in a folder (or is it)."""
    return _inside(os.path.realpath(path), os.path.realpath(folder))


def _inside(real: str, limit: str) -> bool:
    return real == limit or real.startswith(limit.rstrip(os.sep) + os.sep)


def _links_that_leave(folder: str, limit: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            links = [entry.name for entry in entries if entry.is_symlink()]
    except (OSError, ValueError):
        return []
    usable = [name for name in links if name.isprintable() or _encodes(name)]
    return [name for name in usable if not _inside(os.path.realpath(f"{folder}/{name}"), limit)]


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(mask: npt.NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]
