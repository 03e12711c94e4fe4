"""One writer a run folder: whatever writes there holds the folder's lock, which dies with its process.

The lock is on the folder itself (``flock``), so that it leaves no file behind. Where a system or a file system has no
such locks, nothing is locked; the journal has its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asrfair.data.wholefile import own_folder, sweep
from asrfair.errors import EnvironmentFailedError, InputError, RunInUseError

_held: dict[tuple[int, int], tuple[int, int]] = {}
"""Device and inode of each folder that this process has locked → the thread that holds it, and how often."""
_guard = threading.Lock()


@contextmanager
def writing(run: Path) -> Iterator[bool]:
    """Hold a run folder for writing; make it if need be, for its owner only. A thread may hold it several times.

    Yields:
        Whether this is the outermost of these.

    Raises:
        InputError: Another process, or another thread of this one, is writing there.
    """
    try:
        own_folder(run)
        status = run.stat()
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError("the output is not a folder", file=run, remedy="Give another --out") from error
    except OSError as error:
        raise EnvironmentFailedError(
            f"the run folder cannot be used: {error.strerror or error}",
            file=run,
            remedy="Check the path, its permissions and the disk",
        ) from error
    key = (status.st_dev, status.st_ino)
    me = threading.get_ident()
    with _guard:
        holder, depth = _held.get(key, (me, 0))
        if holder != me:
            raise _busy(run)
        descriptor = _lock(run) if depth == 0 else -1
        _held[key] = (me, depth + 1)
    try:
        if depth == 0:
            sweep(run)
        yield depth == 0
    finally:
        with _guard:
            if depth:
                _held[key] = (me, depth)
            else:
                del _held[key]
                if descriptor >= 0:
                    os.close(descriptor)


def _lock(run: Path) -> int:
    try:
        import fcntl
    except ImportError:  # Windows
        return -1
    descriptor = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _busy(run) from None
    except OSError:  # a file system without locks
        with suppress(OSError):
            os.close(descriptor)
        return -1
    return descriptor


def _busy(run: Path) -> RunInUseError:
    return RunInUseError(
        "another process is writing this run",
        file=run,
        remedy="Wait for it, stop it, or give another --out",
    )
