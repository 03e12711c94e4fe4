"""The recording page's server: standard library, 127.0.0.1, and nothing from or to any network.

``GET /`` is the page; ``/api/...`` what it asks and sends. Every answer that says "saved" comes after the file was synced
to the disk. With ``--lan`` a second listener speaks TLS on the address of the local network.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from asrfair.data.wholefile import open_whole
from asrfair.errors import EnvironmentFailedError, InputError
from asrfair.lastmile.recorder import texts
from asrfair.lastmile.recorder.door import Door, forget_kept, keep, kept
from asrfair.lastmile.recorder.session import Refused, Sessions
from asrfair.lastmile.recorder.takes import LONGEST_ROOM_S, LONGEST_TAKE_S, MOST_BYTES, Take, inspect, listen
from asrfair.lastmile.settings import Kit

HERE = "127.0.0.1"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/microphone.js": ("microphone.js", "text/javascript; charset=utf-8"),
    "/worklet.js": ("worklet.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MOST_JSON = 64 * 1024
_PIECE = 1 << 16
_SILENCE_S = 30.0
"""A connection that says nothing for so long is closed."""

_ROOM_LEFT = 64 * 1024 * 1024
"""A disk with less room than this is said to be nearly full before somebody speaks for nothing."""


class RecordingServer:
    """Serves one kit until it is closed.

    Args:
        kit: The kit.
        port: A port of 127.0.0.1; ``None``: that of a server of this kit that was killed, else any that is free.

    Raises:
        EnvironmentFailedError: The port cannot be had.
    """

    def __init__(self, kit: Kit, *, port: int | None = None) -> None:
        self.kit = kit
        self.sessions = Sessions(kit)
        before = kept(kit.folder)
        self.door = Door(secret=before[1]) if before is not None else Door()
        self.writing = threading.Lock()
        self._servers: list[_Server] = []
        wanted = port if port is not None else (before[0] if before is not None else 0)
        try:
            self._listen(HERE, wanted, None)
        except OSError:
            if port is not None or not wanted:
                raise EnvironmentFailedError(
                    f"port {wanted} of this machine is taken", remedy="Leave --port out, and a free one is found"
                ) from None
            self._listen(HERE, 0, None)
        self.port = self._servers[0].port
        keep(kit.folder, self.door, self.port)

    def _listen(self, address: str, port: int, tls: ssl.SSLContext | None) -> None:
        server = _Server((address, port), _Handler)
        server.app = self
        server.tls = tls
        actual = server.port
        self.door.origins.add(f"{'https' if tls else 'http'}://{address}:{actual}")
        if address == HERE:
            self.door.origins.add(f"http://localhost:{actual}")
        self._servers.append(server)

    def open_to_network(self, address: str, tls: ssl.SSLContext) -> int:
        """Serve the page on an address of the local network too, over TLS; return the port."""
        self._listen(address, 0, tls)
        return self._servers[-1].port

    def link(self, origin: str | None = None) -> str:
        """Return a link that opens the page once."""
        return f"{origin or f'http://{HERE}:{self.port}'}/?link={self.door.new_link()}"

    def serve(self) -> None:
        """Serve until :meth:`close` is called from another thread, or Ctrl-C."""
        threads = [threading.Thread(target=one.serve_forever, args=(0.2,), daemon=True) for one in self._servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)

    def close(self) -> None:
        """Stop, and make the cookie worthless."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        forget_kept(self.kit.folder)

    def state(self) -> dict[str, Any]:
        """What the page needs to know: the consent text, the questions, the sentences, who is not finished."""
        sessions = self.sessions
        return {
            "language": self.kit.language,
            "texts": texts.page_texts(self.kit.language),
            "name": self.kit.name,
            "consent": {
                "title": sessions.consent_title,
                "blocks": sessions.consent_blocks,
                "sha256": sessions.consent_sha256,
            },
            "questions": [
                {"name": name, "question": question or f"{name}?", "values": list(self.kit.values[name])}
                for name, question in self.kit.questions.items()
            ],
            "prompts": [{"id": prompt.prompt_id, "text": prompt.text} for prompt in sessions.prompts],
            "unfinished": [
                {"speaker": one.speaker, "done": len(one.done), "skipped": len(one.skipped)}
                for one in sessions.unfinished()
            ],
            "room_seconds": sessions.room_seconds(),
            "disk_nearly_full": _free_bytes(self.kit.folder) < _ROOM_LEFT,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32
    app: RecordingServer
    tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        return int(cast("tuple[str, int]", self.server_address)[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.settimeout(_SILENCE_S)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake belongs into the connection's own thread: a client that never speaks must not hold the others.
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as spoken:
            super().finish_request(spoken, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks off is no news; what was being written is taken away by its own handler."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "asrfair"
    sys_version = ""

    @property
    def app(self) -> RecordingServer:
        return cast("_Server", self.server).app

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it
        """Nothing is logged: codes of people would stand in it."""

    def do_GET(self) -> None:
        """Serve the page, its files and what it asks."""
        with self._answering():
            url = urlsplit(self.path)
            self._check(changes=False)
            link = parse_qs(url.query).get("link", [""])[0]
            if url.path == "/" and link:
                if not self.app.door.use_link(link):
                    raise Refused(403, "used_link", texts.USED_LINK)
                return self._redirect_with_cookie()
            self._check_cookie()
            if url.path == "/api/state":
                return self._json(self.app.state())
            if url.path.startswith("/api/take/"):
                return self._send_take(url.path)
            if url.path not in _FILES:
                raise Refused(404, "not_found", "There is no such page.")
            name, kind = _FILES[url.path]
            return self._send(resources.files(__package__).joinpath("static", name).read_bytes(), kind)

    def do_POST(self) -> None:
        """Take in small things: consent, answers, skips, what the browser said, which tab is at work."""
        with self._answering():
            self._check(changes=True)
            self._check_cookie()
            path = urlsplit(self.path).path
            body = self._read_json()
            tab = self._tab()
            if path == "/api/tab":
                if body.get("leave"):
                    self.app.door.leave_tab(tab)
                elif not self.app.door.hold_tab(tab, take_over=body.get("take_over") is True):
                    raise Refused(409, "other_tab", "This page is open in another tab.")
                return self._json({"held": True})
            self._hold(tab)
            return self._json(self._change(path, body))

    def do_PUT(self) -> None:
        """Take in a recording: a sentence of somebody, or the room."""
        with self._answering():
            self._check(changes=True)
            self._check_cookie()
            self._hold(self._tab())
            parts = urlsplit(self.path).path.strip("/").split("/")
            if parts == ["api", "room"]:
                with self.app.writing:
                    take = self._store(self.app.sessions.room_file(), LONGEST_ROOM_S)
                return self._json({"saved": True, **_told(take), "room_seconds": self.app.sessions.room_seconds()})
            if len(parts) == 4 and parts[:2] == ["api", "take"]:
                speaker, prompt_id = unquote(parts[2]), unquote(parts[3])
                path = self.app.sessions.take_file(speaker, prompt_id)
                with self.app.writing:
                    take = self._store(path, LONGEST_TAKE_S)
                    self.app.sessions.skip(speaker, prompt_id, skipped=False)
                prompt = next(one for one in self.app.sessions.prompts if one.prompt_id == prompt_id)
                advice = [{"kind": one.kind, "text": one.text, "again": one.again} for one in listen(path, prompt)]
                return self._json({"saved": True, **_told(take), "advice": advice})
            raise Refused(404, "not_found", "There is no such page.")

    def _change(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        sessions = self.app.sessions
        speaker = str(body.get("speaker", ""))
        if path == "/api/consent":
            if body.get("agree") is not True:
                raise Refused(400, "no_consent", "Nothing was agreed to.")
            return {"speaker": sessions.agree(str(body.get("sha256", "")))}
        if path == "/api/answers":
            answers = body.get("answers")
            if not isinstance(answers, dict):
                raise Refused(400, "bad_request", "The page sent no answers.")
            sessions.answer(speaker, {str(name): str(value) for name, value in answers.items()})
        elif path == "/api/browser":
            sessions.browser(speaker, body)
        elif path == "/api/skip":
            sessions.skip(speaker, str(body.get("prompt", "")))
        elif path != "/api/progress":
            raise Refused(404, "not_found", "There is no such page.")
        elif speaker not in sessions.agreed():
            raise Refused(403, "no_consent", "Nobody with this code has agreed to be recorded.")
        found = sessions.progress(speaker)
        return {"speaker": speaker, "done": list(found.done), "skipped": list(found.skipped)}

    def _send_take(self, path: str) -> None:
        """Send a take back to whoever wants to hear it again after a reload."""
        parts = path.strip("/").split("/")
        if len(parts) != 4:
            raise Refused(404, "not_found", "There is no such page.")
        file = self.app.sessions.take_file(unquote(parts[2]), unquote(parts[3]))
        if not file.is_file():
            raise Refused(404, "not_found", "There is no such recording yet.")
        self._send(file.read_bytes(), "audio/wav")

    def _store(self, path: Path, longest_s: float) -> Take:
        """Stream the body to the disk beside its name, look at it, sync it, rename it. Only then is it said to be saved."""
        left = self._body_size(MOST_BYTES)
        with open_whole(path, private=True) as stream:
            while left:
                piece = self.rfile.read(min(_PIECE, left))
                if not piece:
                    raise Refused(400, "cut_short", "The recording was cut short on its way. Please record it again.")
                stream.write(piece)
                left -= len(piece)
            stream.flush()
            return inspect(stream, longest_s=longest_s)

    def _check(self, *, changes: bool) -> None:
        if not self.app.door.from_here(self.headers.get("Host", ""), self.headers.get("Origin"), changes=changes):
            raise Refused(403, "elsewhere", "This page answers to itself only.")

    def _check_cookie(self) -> None:
        try:
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        found = cookies.get(self._cookie_name())
        if found is None or not self.app.door.knows(found.value):
            raise Refused(403, "no_link", texts.NO_LINK)

    def _cookie_name(self) -> str:
        # Browsers do not keep cookies apart by port.
        return f"asrfair-{cast('_Server', self.server).port}"

    def _tab(self) -> str:
        tab = self.headers.get("X-Tab", "")
        if not 16 <= len(tab) <= 64 or not tab.isalnum():
            raise Refused(400, "bad_request", "The page did not say which tab it is.")
        return tab

    def _hold(self, tab: str) -> None:
        if not self.app.door.hold_tab(tab):
            raise Refused(409, "other_tab", "This page is open in another tab.")

    def _body_size(self, most: int) -> int:
        text = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (text.isascii() and text.isdigit()):
            raise Refused(411, "bad_request", "The page did not say how long its message is.")
        size = int(text)
        if size > most:
            raise Refused(413, "too_large", "This is larger than any recording of this kit may be.")
        return size

    def _read_json(self) -> dict[str, Any]:
        body = self.rfile.read(self._body_size(_MOST_JSON))
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused(400, "bad_request", "The page sent something that cannot be read.")
        return found

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what is refused or goes wrong into an answer for people; never a traceback, never a path."""
        try:
            yield
        except Refused as refused:
            self._refuse(refused)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True
        except InputError as error:
            self._refuse(Refused(500, "kit", f"{error.message}. {error.remedy}"))
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            self._refuse(Refused(507, "disk_full", texts.DISK_FULL) if full else Refused(500, "disk", texts.DISK_WRONG))

    def _refuse(self, refused: Refused) -> None:
        # What is left of the body was not read: the next request cannot begin on this connection.
        self.close_connection = True
        as_page = self.path.split("?", 1)[0] == "/"
        body = (
            texts.plain_page(refused.text).encode("utf-8")
            if as_page
            else json.dumps({"error": refused.reason, "text": refused.text}).encode("ascii")
        )
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            kind = "text/html; charset=utf-8" if as_page else "application/json"
            self._send(body, kind, status=refused.status)

    def _json(self, content: Mapping[str, Any]) -> None:
        self._send(json.dumps(content, ensure_ascii=True).encode("ascii"), "application/json")

    def _redirect_with_cookie(self) -> None:
        secure = "; Secure" if cast("_Server", self.server).tls is not None else ""
        cookie = f"{self._cookie_name()}={self.app.door.secret}; HttpOnly; SameSite=Strict; Path=/{secure}"
        self._send(b"", "text/plain", status=HTTPStatus.SEE_OTHER, more={"Location": "/", "Set-Cookie": cookie})

    def _send(self, body: bytes, kind: str, *, status: int = 200, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            **({"Connection": "close"} if self.close_connection else {}),
            **(more or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _told(take: Take) -> dict[str, Any]:
    return {"duration_s": take.duration_s, "sha256": take.sha256}


def _free_bytes(folder: Path) -> int:
    import shutil

    return shutil.disk_usage(folder).free


def _more_links(server: RecordingServer, say: Callable[[str], None]) -> None:
    for _ in sys.stdin:
        say(server.link())


def record_in_browser(kit: Kit, *, port: int | None, lan: bool, open_browser: bool, say: Callable[[str], None]) -> None:
    """Serve the recording page until Ctrl-C.

    Args:
        kit: The kit.
        port: A port, or ``None`` for any.
        lan: Whether other devices in the room may open it (extra ``record``).
        open_browser: Whether to open the page here.
        say: Told what to tell the person at the terminal.

    Raises:
        EnvironmentFailedError: A port or the local network cannot be had, or the extra is missing.
    """
    server = RecordingServer(kit, port=port)
    try:
        link = server.link()
        say(f"The recording page (this link works once): {link}")
        say("Nothing is sent anywhere: the page comes from this machine, and recordings go into the kit's folder.")
        if lan:
            from asrfair.lastmile.recorder.lan import invite

            invite(server, say)
        if open_browser:
            import webbrowser

            webbrowser.open(link)
        say("Ctrl-C ends it. Sessions that are not finished go on when you start it again.")
        if sys.stdin is not None and sys.stdin.isatty():
            threading.Thread(target=_more_links, args=(server, say), daemon=True).start()
            say("Enter shows a new link, for another browser.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve()
    finally:
        server.close()
