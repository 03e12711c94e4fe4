"""File locks that die with their process, which is what keeps two nights apart."""

from __future__ import annotations

from asrfair.errors import EnvironmentFailedError


def require_locks() -> None:
    """Refuse a system without such locks before anything is done.

    Raises:
        EnvironmentFailedError: This is one (Windows).
    """
    try:
        import fcntl  # noqa: F401
    except ImportError as error:
        raise EnvironmentFailedError(
            "a history needs the file locks of Linux and macOS, and this system has none",
            remedy="Run asrfair nightly on Linux or macOS, or in the Windows Subsystem for Linux; the other commands need no locks",
        ) from error


def lock(descriptor: int, *, wait: bool) -> None:
    """Hold a file that nobody else then holds, until it is closed.

    Raises:
        BlockingIOError: Somebody else holds it, and ``wait`` is false.
    """
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
