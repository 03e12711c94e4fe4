"""HTTP with one deadline for a whole exchange, and one limit for what an answer holds once it is unpacked.

httpx's limits are for a single read: a service that sends one byte a second, of headers, of chunk extensions or of
``100 Continue`` after ``100 Continue``, is never late. Here every read and write of a connection gets only what is left
until the deadline of the thread that calls (httpcore reads in the thread that asked). What is not bounded is the time
that the system's resolver takes for a host's name.
"""

from __future__ import annotations

import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

BROKEN = (
    httpx.TransportError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.ConnectionNotAvailable,
)
"""What a connection that breaks raises."""
LATE = (httpx.TimeoutException, httpcore.TimeoutException)
"""What an exchange that takes too long raises."""

_now = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let everything that this thread sends and receives in the block end within so many seconds."""
    _now.deadline = time.monotonic() + seconds
    try:
        yield
    finally:
        del _now.deadline


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    until: float | None = getattr(_now, "deadline", None)
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *arguments: Any, **keywords: Any) -> httpcore.NetworkStream:
        keywords["timeout"] = _left(keywords.get("timeout"), httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(*arguments, **keywords))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(self, *arguments: Any, **keywords: Any) -> httpcore.NetworkStream:
        keywords["timeout"] = _left(keywords.get("timeout"), httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(*arguments, **keywords))

    def connect_unix_socket(self, *arguments: Any, **keywords: Any) -> httpcore.NetworkStream:
        keywords["timeout"] = _left(keywords.get("timeout"), httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_unix_socket(*arguments, **keywords))


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class DeadlineTransport(httpx.BaseTransport):
    """Connections to one address whose every read and write minds :func:`deadline`.

    Args:
        url: Where requests go; decides, with the usual environment variables, about a proxy.
        connections: Most at once.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        parsed = httpx.URL(url)
        proxies = urllib.request.getproxies()
        proxy = proxies.get(parsed.scheme) or proxies.get("all")
        if proxy and urllib.request.proxy_bypass(parsed.host):
            proxy = None
        settings: dict[str, Any] = {
            "ssl_context": httpx.create_ssl_context(),
            "max_connections": connections,
            "max_keepalive_connections": connections,
            "keepalive_expiry": 5.0,
            "network_backend": _Backend(),
        }
        if proxy:
            found = httpx.Proxy(proxy)
            self._pool: Any = httpcore.HTTPProxy(
                proxy_url=str(found.url), proxy_auth=found.raw_auth, proxy_headers=found.headers.raw, **settings
            )
        else:
            self._pool = httpcore.ConnectionPool(**settings)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; what it raises is in :data:`BROKEN` or :data:`LATE`."""
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def read_body(response: httpx.Response, most: int) -> bytes:
    """Return an answer's body, unpacked, of at most ``most`` bytes.

    Raises:
        ValueError: It is longer, or packed in a way that was not asked for or is broken.
    """
    content = bytearray()
    for part in response.iter_raw():
        content += part
        if len(content) > most:
            raise ValueError(f"the answer is longer than {most} bytes")
    packed = [name.strip() for name in response.headers.get("content-encoding", "").lower().split(",")]
    packed = [name for name in packed if name not in {"", "identity"}]
    if not packed:
        return bytes(content)
    if packed not in (["gzip"], ["x-gzip"], ["deflate"]):
        raise ValueError(f"the answer is packed as {', '.join(packed)[:100]}, which was not asked for")
    try:
        unpacker = zlib.decompressobj(47)
        plain = unpacker.decompress(bytes(content), most + 1)
    except zlib.error as error:
        raise ValueError(f"the answer cannot be unpacked: {error}") from error
    if len(plain) > most:
        raise ValueError(f"the answer is longer than {most} bytes")
    if not unpacker.eof:
        raise ValueError("the answer breaks off")
    return plain
