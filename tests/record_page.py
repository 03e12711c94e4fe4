"""What the tests of the recording page share: a kit, its server in a thread, and a client that behaves as the page does."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

from asrfair.lastmile.kit import init_kit
from asrfair.lastmile.recorder.server import RecordingServer
from asrfair.lastmile.settings import Kit

TAB = "a" * 32


def make_kit(folder: Path, *, sentences: int = 3, language: str = "en") -> Kit:
    """Make a kit with few sentences."""
    source = folder.with_name("sentences-of-the-test.txt")
    texts = ["please lie still", "take two tablets", "hold your breath", "press the button", "look at the wall"]
    texts += [f"this is sentence number {number}" for number in range(6, 40)]
    source.write_text("\n".join(texts[:sentences]) + "\n", encoding="utf-8")
    kit = init_kit(folder, sentences=source, speakers=2).kit
    if language != "en":
        toml = folder / "kit.toml"
        toml.write_text(toml.read_text().replace('language = "en"', f'language = "{language}"'))
        kit = init_kit(folder).kit
    return kit


def wav(seconds: float = 1.0, *, rate: int = 48_000, seed: int = 1, level: float = 0.1) -> bytes:
    """Return a WAV file as the page makes them."""
    samples = np.random.default_rng(seed).normal(0, level, round(seconds * rate)).clip(-0.9, 0.9)
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()


@contextmanager
def serving(kit: Kit) -> Iterator[RecordingServer]:
    """Serve a kit in a thread."""
    server = RecordingServer(kit)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)


class Client:
    """Speaks to the server as the page does."""

    def __init__(self, link: str, *, tab: str = TAB) -> None:
        url = urlsplit(link)
        self.host = url.netloc
        self.tab = tab
        answer, _ = self.raw("GET", f"/?{url.query}", headers={})
        self.first_status = answer.status
        self.cookie = (answer.getheader("Set-Cookie") or "").split(";")[0]

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send one request and return the answer and its body; ``headers`` replace those of the page."""
        own = {"Cookie": getattr(self, "cookie", ""), "X-Tab": self.tab, "Origin": f"http://{self.host}"}
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body=body, headers=own if headers is None else headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, content: Any = None, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Send JSON or bytes, return status and JSON."""
        sent = body if body is not None else None if content is None else json.dumps(content).encode()
        answer, said = self.raw(method, path, sent)
        return answer.status, json.loads(said)

    def begin(self) -> str:
        """Agree, and return the code."""
        _, state = self.ask("GET", "/api/state")
        status, found = self.ask("POST", "/api/consent", {"agree": True, "sha256": state["consent"]["sha256"]})
        assert status == 200, found
        return str(found["speaker"])
