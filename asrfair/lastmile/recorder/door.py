"""Who may talk to the recording page: a link that works once, then a cookie; one origin; one tab at a time."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

KEPT_FILE = ".record.json"
"""Port and cookie of a page that is open, so that a page whose server was killed goes on when it is started again."""

TAB_SILENT_S = 15.0
"""A tab that says nothing for so long is closed."""


@dataclass(kw_only=True)
class Door:
    """The keys of one server.

    Attributes:
        secret: What the cookie holds.
        origins: Under which origins the page is served, such as ``http://127.0.0.1:40123``.
    """

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    origins: set[str] = field(default_factory=set)
    _links: set[str] = field(default_factory=set)
    _tab: str = ""
    _tab_seen: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_link(self) -> str:
        """Return the token of a link that opens the page once."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._links.add(token)
        return token

    def use_link(self, token: str) -> bool:
        """Say whether the token is good, and spend it."""
        with self._lock:
            for known in self._links:
                if hmac.compare_digest(known.encode(), token.encode()):
                    self._links.discard(known)
                    return True
        return False

    def knows(self, cookie: str) -> bool:
        """Say whether a cookie is the one that was given out."""
        return hmac.compare_digest(self.secret.encode(), cookie.encode())

    def from_here(self, host: str, origin: str | None, *, changes: bool) -> bool:
        """Say whether a request is addressed to this page and, where it changes something, comes from it.

        A name that somebody else points at 127.0.0.1 (DNS rebinding) is not this page's host.
        """
        if host not in {one.split("://", 1)[1] for one in self.origins}:
            return False
        return origin in self.origins if changes or origin is not None else True

    def hold_tab(self, tab: str, *, take_over: bool = False) -> bool:
        """Say whether this tab may record; the first one holds the page until it is closed or another takes over."""
        now = time.monotonic()
        with self._lock:
            if take_over or not self._tab or tab == self._tab or now - self._tab_seen > TAB_SILENT_S:
                self._tab, self._tab_seen = tab, now
                return True
        return False

    def leave_tab(self, tab: str) -> None:
        """Let go of the page."""
        with self._lock:
            if tab == self._tab:
                self._tab = ""


def keep(folder: Path, door: Door, port: int) -> None:
    """Remember port and cookie while the page is served; only the owner can read them."""
    path = folder / KEPT_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        json.dump({"port": port, "secret": door.secret}, stream)


def kept(folder: Path) -> tuple[int, str] | None:
    """Return port and cookie of a server that did not end by itself, or ``None``."""
    path = folder / KEPT_FILE
    if path.is_symlink() or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="ascii"))
        port, secret = int(found["port"]), str(found["secret"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (port, secret) if 1024 <= port <= 65535 and len(secret) >= 32 else None


def forget_kept(folder: Path) -> None:
    """The page was closed properly: its cookie is worth nothing from now on."""
    (folder / KEPT_FILE).unlink(missing_ok=True)
