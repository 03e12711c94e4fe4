"""Where the audio of a table lies: inside the manifest's folder, symbolic links followed, or where its user lets it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.plainread import is_text
from asrfair.data.stored.address import (
    MEMBER_PATTERN,
    URL_PATTERN,
    Address,
    is_allowed,
    prefix_of,
    store_problem,
)
from asrfair.data.tablefile import TEXT

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class AudioPaths:
    """Absolute paths and addresses ("" where there is none or none that may be read), and what is wrong with rows.

    Attributes:
        paths: As :func:`asrfair.data.stored.address.as_audio` reads them.
        outside: Rows whose path leaves the folder.
        no_file: Rows that name no file.
        problems: What is wrong with an address, and how it is mended → the rows.
    """

    paths: pa.Array
    outside: list[int]
    no_file: list[int]
    problems: dict[tuple[str, str], list[int]]


def resolve_audio(
    written: pa.Array, *, root: Path, boundary: Path, allow_outside: bool, allow_remote: Sequence[str] | None = ()
) -> AudioPaths:
    """Turn what the table has into absolute paths and checked addresses; a folder or store is looked at once.

    Args:
        written: Paths relative to ``root``, absolute paths, or addresses; empty where there is no audio.
        root: The table's folder.
        boundary: The folder that no path may leave.
        allow_outside: Whether leaving it is allowed after all.
        allow_remote: Addresses below which audio may be fetched; ``None`` where nobody will read it: such rows then have
            no audio, and nothing is wrong with them.
    """
    problems: dict[tuple[str, str], list[int]] = {}
    has_member = pc.match_substring_regex(written, MEMBER_PATTERN)
    stores, members = written, None
    if pc.any(has_member).as_py():
        stores = pc.if_else(
            has_member, pc.replace_substring_regex(written, pattern=MEMBER_PATTERN, replacement=r"\1"), written
        )
        members = pc.if_else(
            has_member,
            pc.replace_substring_regex(written, pattern=MEMBER_PATTERN, replacement=r"#\2"),
            pa.scalar("", TEXT),
        )
        _check_members(stores, members, has_member, problems)
    remote = pc.match_substring_regex(stores, URL_PATTERN)
    if not pc.any(remote).as_py():
        found = _resolve_local(stores, root=root, boundary=boundary, allow_outside=allow_outside)
        paths = found.paths
    else:
        kept = _check_remote(stores, remote, allow_remote, problems)
        local = pc.if_else(remote, pa.scalar("", TEXT), stores)
        found = _resolve_local(local, root=root, boundary=boundary, allow_outside=allow_outside)
        paths = pc.if_else(kept, stores, found.paths)
    if members is not None:
        whole = pc.binary_join_element_wise(paths, members, pa.scalar("", TEXT))
        paths = pc.if_else(pc.equal(paths, ""), paths, whole)
    wrong = sorted({row for rows in problems.values() for row in rows})
    if wrong:
        mask = np.zeros(len(paths), dtype=bool)
        mask[wrong] = True
        paths = pc.if_else(pa.array(mask), pa.scalar("", TEXT), paths)
    return AudioPaths(paths=paths, outside=found.outside, no_file=found.no_file, problems=problems)


def _check_members(
    stores: pa.Array, members: pa.Array, has_member: pa.Array, problems: dict[tuple[str, str], list[int]]
) -> None:
    """Note members that cannot be: none at all, or no cell of a Parquet file."""
    empty = np.asarray(pc.and_(has_member, pc.equal(members, "#")))
    if empty.any():
        remedy = "Write the name of a file in it after the #, such as shards/000.tar#utt.flac"
        problems["the address names no file of the shard", remedy] = _rows(empty)
    table = pc.match_substring_regex(stores, r"(?i)\.parquet(\?.*)?$")
    cell = pc.match_substring_regex(members, r"(?s)^#.+/(0|[1-9][0-9]{0,17})$")
    wrong = np.asarray(pc.and_(pc.and_(has_member, table), pc.invert(cell))) & ~empty
    if wrong.any():
        remedy = "Write COLUMN/ROW after the #, such as test.parquet#audio/17; rows are counted from 0"
        problems["the address names no cell of the Parquet file", remedy] = _rows(wrong)


def _check_remote(
    stores: pa.Array, remote: pa.Array, allowed: Sequence[str] | None, problems: dict[tuple[str, str], list[int]]
) -> pa.Array:
    """Return which rows may be fetched, and note why others may not."""
    coded = stores.dictionary_encode()
    which = np.asarray(coded.indices)
    is_remote = np.asarray(remote)
    usable = np.zeros(len(coded.dictionary), dtype=bool)
    for number, store in enumerate(coded.dictionary.to_pylist()):
        address = Address(store=store)
        if not address.remote or allowed is None:
            continue
        problem, remedy = (
            store_problem(store),
            "Write s3://BUCKET/KEY, gs://…, https://HOST/… or hf://datasets/OWNER/NAME/…",
        )
        if not problem and not is_allowed(store, allowed):
            problem = "the audio lies on another machine, and nobody has allowed to fetch it"
            remedy = (
                f'If you trust this manifest, allow it: allow_remote = ["{prefix_of(store)}"] under [suite], or '
                f"--allow-remote {prefix_of(store)}"
            )
        if problem:
            problems.setdefault((problem, remedy), []).extend(_rows((which == number) & is_remote))
        else:
            usable[number] = True
    return pa.array(usable[which] & is_remote)


def _resolve_local(written: pa.Array, *, root: Path, boundary: Path, allow_outside: bool) -> AudioPaths:
    present = np.asarray(pc.not_equal(written, ""))
    if not present.any():
        return AudioPaths(paths=written, outside=[], no_file=[], problems={})
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
    return AudioPaths(paths=paths, outside=_rows(outside & ~no_file), no_file=_rows(no_file), problems={})


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
    usable = [name for name in links if name.isprintable() or is_text(name)]
    return [name for name in usable if not _inside(os.path.realpath(f"{folder}/{name}"), limit)]


def _rows(mask: npt.NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]
