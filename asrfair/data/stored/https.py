"""Reads stretches of files behind https: encrypted all the way, no redirect into anybody's own network, never endless.

The address to connect to is looked up once and then connected to, so that a name cannot mean a public address while it
is checked and a private one while it is used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

TIMEOUT_S: Final = 30.0
"""How long a server may say nothing."""
SLOWEST: Final = 1000
"""Bytes a second, on the average, that are still waited for."""
MOST_REDIRECTS: Final = 5
_BLOCK: Final = 1 << 20
_LASTING = frozenset({400, 401, 403, 404, 405, 410, 416, 451})


class FetchError(OSError):
    """A store gave no bytes; the text says why, without an address. ``again``: whether trying again may help."""

    def __init__(self, message: str, *, again: bool) -> None:
        self.message = message
        self.again = again
        super().__init__(message)


class Answer:
    """The head of an answer, and its body block by block. To be closed.

    Attributes:
        status: 200 or 206 (a stretch).
        headers: Their names in small letters.
    """

    def __init__(self, connection: http.client.HTTPSConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def blocks(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            FetchError: The connection breaks, or hardly anything comes.
        """
        began, received = time.monotonic(), 0
        while True:
            try:
                block = self._response.read1(_BLOCK)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise FetchError(_reason(error), again=True) from error
            if not block:
                return
            received += len(block)
            elapsed = time.monotonic() - began
            if elapsed > TIMEOUT_S and received < SLOWEST * elapsed:
                raise FetchError("the server sends less than a kilobyte a second", again=True)
            yield block


def get(url: str, *, start: int = 0, stop: int | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask for a stretch of a file; redirects are followed, and do not get ``headers`` once they leave the host.

    Args:
        url: An https address.
        start: First byte.
        stop: The byte after the last; ``None`` is the end of the file.
        headers: Further headers, such as a token.

    Raises:
        FetchError: There is no answer, it is no success, or a redirect leads to where none may.
    """
    asked = url
    first = urlsplit(url).hostname
    for _ in range(MOST_REDIRECTS + 1):
        parts = urlsplit(asked)
        if parts.scheme != "https" or not parts.hostname:
            raise FetchError("the server redirects to an address that is not https", again=False)
        own = parts.hostname == first
        connection = _Connection(parts.hostname, parts.port, public=not own)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        last = "" if stop is None else str(stop - 1)
        sent = {"Range": f"bytes={start}-{last}", "Accept-Encoding": "identity", "User-Agent": "asrfair"}
        try:
            connection.request("GET", path, headers={**sent, **((headers or {}) if own else {})})
            answer = connection.getresponse()
        except FetchError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            lasting = isinstance(error, ssl.SSLCertVerificationError | ValueError)
            raise FetchError(_reason(error), again=not lasting) from error
        if answer.status in {200, 206}:
            return Answer(connection, answer)
        answer.close()
        connection.close()
        if answer.status not in {301, 302, 303, 307, 308}:
            raise FetchError(f"the server answers {answer.status}", again=answer.status not in _LASTING)
        asked = urljoin(asked, answer.headers.get("Location", ""))
    raise FetchError("the server redirects again and again", again=False)


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Connection(http.client.HTTPSConnection):
    """A connection to an address that was looked at before; ``public``: it may not be one of somebody's own network."""

    def __init__(self, host: str, port: int | None, *, public: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S, context=_context())
        self._public = public

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        if self._public and not all(_is_public(str(place[4][0])) for place in found):
            raise FetchError("the server redirects into a private network", again=False)
        failed: OSError | None = None
        for family, kind, protocol, _, place in found:
            plain = socket.socket(family, kind, protocol)
            plain.settimeout(TIMEOUT_S)
            try:
                plain.connect(place)
                self.sock = _context().wrap_socket(plain, server_hostname=self.host)
            except OSError as error:
                plain.close()
                failed = error
            else:
                return
        raise failed or OSError("the name has no address")


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return found.is_global and inner.is_global if found.ipv4_mapped is None else inner.is_global
    return found.is_global and not found.is_multicast


def _reason(error: BaseException) -> str:
    """What went wrong, without the address."""
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not that of its name"
    if isinstance(error, socket.gaierror):
        return "the server's name is not known"
    return f"the connection failed ({type(error).__name__})"
