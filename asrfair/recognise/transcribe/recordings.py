"""Notices recordings that were replaced between two sessions of one run, by their size and time of change.

Reading all bytes again at every resume would take hours on a large corpus; the file system answers in seconds. What it
cannot tell apart (the same size, another time: altered in place, or only copied) is said and not refused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asrfair.data.stored.reading import stamp_of
from asrfair.errors import InputError
from asrfair.recognise.journal import Event, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asrfair.data.manifest import Manifest
    from asrfair.recognise.journal import Journal
    from asrfair.recognise.transcribe.plan import Roster

TOUCHED = "recordings_touched"
"""The kind of the event that says so."""

_AT_A_TIME = 4096
_THREADS = 16
_NAMED = 3


@dataclass(kw_only=True, slots=True)
class _Found:
    """Utterances whose recording is not what it was: how many, the first few, and the first one's id."""

    count: int = 0
    named: list[str] = field(default_factory=list)
    first: str = ""

    def add(self, utterance_id: str, path: str) -> None:
        self.count += 1
        self.first = self.first or utterance_id
        if len(self.named) < _NAMED:
            self.named.append(f"{utterance_id!r} ({Path(path).name!r})")

    def __str__(self) -> str:
        more = self.count - len(self.named)
        return ", ".join(self.named) + (f" and {more:,} more" if more else "")


def check_recordings(manifest: Manifest, roster: Roster, journal: Journal, *, mixed: bool) -> None:
    """Compare every recording with what it was when its utterance was first met, and remember those that are new.

    Only recordings that have been heard count: any other may be replaced until it is transcribed. A recording of the
    same size with another time of change becomes an event (``recordings_touched``).

    Args:
        manifest: The manifest.
        roster: Its utterances that are not excluded.
        journal: Holds what the recordings were.
        mixed: Whether a condition mixes the manifest's speech into other utterances: with the first result, all are heard.

    Raises:
        InputError: A recording that has been heard is gone or has another size.
    """
    replaced, touched = _Found(), _Found()
    known = journal.stamps()
    before = next(known, None)
    fresh: list[Stamp] = []
    done: set[str] | None = None
    for utterance_id, path, size, changed_ns in _stamped(manifest, roster):
        now = Stamp(utterance_id, size, changed_ns)
        while before is not None and before.utterance_id < utterance_id:
            before = next(known, None)
        if before == now:
            continue
        if before is not None and before.utterance_id == utterance_id and before.size is not None:
            done = journal.heard() if done is None else done
            if utterance_id in done or (mixed and done):
                (touched if size == before.size else replaced).add(utterance_id, path)
        fresh.append(now)
    if replaced.count:
        raise InputError(
            f"{replaced.count:,} recording(s) that this run has heard are gone or not what they were when it began, and old "
            f"results cannot be mixed with new ones: {replaced}",
            file=journal.path,
            remedy="Put the recordings back, give another --out, or begin anew with --fresh",
        )
    if touched.count:
        detail = (
            f"{touched.count:,} recording(s) that this run has heard have the size that they had and another time of change: {touched}. "
            "If what they hold was altered, begin anew with --fresh"
        )
        journal.note(Event(engine="", condition="", utterance_id=touched.first, kind=TOUCHED, detail=detail))
    journal.remember_stamps(fresh)


def _stamped(manifest: Manifest, roster: Roster) -> Iterator[tuple[str, str, int | None, int]]:
    """Yield id, path, size in bytes (``None``: no file) and time of change in ns, in ascending order of ids."""
    audio = manifest.table["audio"]
    with ThreadPoolExecutor(_THREADS) as pool:  # what takes long is a file server's answer
        for start in range(0, len(roster.ids), _AT_A_TIME):
            ids = roster.ids[start : start + _AT_A_TIME]
            paths = audio.iloc[roster.rows[start : start + _AT_A_TIME]].tolist()
            different = list(dict.fromkeys(paths))
            stamps = dict(zip(different, pool.map(_stamp, different), strict=True))
            for utterance_id, path in zip(ids, paths, strict=True):
                yield utterance_id, path, *stamps[path]


def _stamp(path: str) -> tuple[int | None, int]:
    if not path:
        return None, 0
    return stamp_of(path) or (None, 0)
