"""Shows runs with all their utterances to the person at this machine: read-only, on 127.0.0.1, behind a random token.

Other pages in the same browser cannot read it: an address without the token is not found, a request under another host
name (DNS rebinding) or from another site is refused, and nothing can be written.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import pandas as pd

from asrfair.errors import AsrfairError
from asrfair.report.html.evidence import attribute_column, ledger_reasons, scored_rows, who_spoke
from asrfair.report.html.page import Served, html_page
from asrfair.report.html.utterances import AudioSource, mp3, utterance_html
from asrfair.report.loading import RunData
from asrfair.say import words
from asrfair.say.finding import records
from asrfair.scoring import AlignedUtterance, align_utterances
from asrfair.types import CLEAN

BATCH: Final = 20
"""Utterances of one answer."""
SCANNED: Final = 2000
"""Utterances that a search for a word looks through, the worst first."""
KINDS: Final = {"s": "substitutions", "d": "deletions", "i": "insertions"}


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which utterances are asked for: of which group, with which kind of error and which word, from which place on."""

    engine: str
    condition: str
    by: str
    group: str
    kind: str = ""
    word: str = ""
    start: int = 0


class RunSite:
    """One run: its page, its utterances, and recordings where they are allowed."""

    def __init__(self, run: RunData, audio: AudioSource | None = None) -> None:
        self.run = run
        self.audio = audio
        self.people = who_spoke(run)
        self._rows = lru_cache(maxsize=4)(self._read)

    def _read(self, condition: str) -> pd.DataFrame:
        if self.people is None:
            return pd.DataFrame()
        rows = scored_rows(self.run, self.people, condition)
        if rows.empty:
            return rows
        wrong = rows[rows["errors"] > 0]
        return wrong.sort_values(["excess", "utterance_id"], ascending=[False, True], kind="stable")

    def utterances(self, query: Query) -> dict[str, Any]:
        """Return what the page's script shows: items as HTML, how many match, and how many there are."""
        rows = self._rows(query.condition)
        column = attribute_column(query.by)
        if rows.empty or column not in rows:
            return {"html": [], "matching": 0, "held": 0, "total": 0}
        rows = rows[(rows["engine"] == query.engine) & (rows[column] == query.group)]
        total = len(rows)
        if query.kind in KINDS:
            rows = rows[rows[KINDS[query.kind]] > 0]
        note = ""
        if query.word:
            note = f"Looked through the worst {SCANNED} of {len(rows)}." if len(rows) > SCANNED else ""
            looked = rows.head(SCANNED)
            has = [_has(item, query.word) for item in self._aligned(looked)]
            rows = looked[pd.Series(has, index=looked.index, dtype=bool)]
        part = rows.iloc[query.start : query.start + BATCH]
        reasons = ledger_reasons(self.run, query.engine, query.condition)
        html = [
            str(utterance_html(row, item, self.run.attributes, reasons.get(_key(row), ""), self._sounds(row)))
            for row, item in zip(records(part), self._aligned(part), strict=True)
        ]
        return {"html": html, "matching": len(rows), "held": total, "total": total, "note": note}

    def _aligned(self, rows: pd.DataFrame) -> list[AlignedUtterance]:
        return align_utterances(
            self.run.path,
            [(*_key(row), int(row["errors"]), int(row["ref_words"])) for row in records(rows)],
        )

    def _sounds(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        if self.audio is None:
            return []
        return [
            (
                words.condition_words(c),
                f"audio?utterance={quote(row['utterance_id'], safe='')}&condition={quote(c, safe='')}",
            )
            for c in dict.fromkeys((CLEAN, row["condition"]))
        ]

    def sound(self, utterance_id: str, condition: str) -> bytes:
        """Return a recording as MP3; nothing where there is none or recordings are not allowed."""
        clip = self.audio(utterance_id, condition) if self.audio else None
        return mp3(clip) if clip is not None and len(clip.samples) else b""


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["engine"], row["condition"], row["utterance_id"]


def _has(item: AlignedUtterance, word: str) -> bool:
    return any(word in {said, heard} for operation, said, heard in item.steps if operation != "hit")


@dataclass(frozen=True, kw_only=True)
class Site:
    """Several runs behind one token; every answer is made under one lock."""

    runs: Sequence[RunSite]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    lock: Lock = field(default_factory=Lock)

    def names(self) -> dict[str, str]:
        """Return the runs' names, told apart by their folders, and where they are."""
        plain = [site.run.name for site in self.runs]
        named = [
            name if plain.count(name) == 1 else f"{name} ({site.run.path.resolve().name})"
            for name, site in zip(plain, self.runs, strict=True)
        ]
        return {f"{name}{'' if named.count(name) == 1 else f' {i + 1}'}": f"../{i}/" for i, name in enumerate(named)}

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[str, bytes] | None:
        """Return the kind and content of an address below the token, or ``None`` where there is nothing."""
        number, _, what = path.partition("/")
        if not number.isascii() or not number.isdecimal() or int(number) >= len(self.runs):
            return None
        site = self.runs[int(number)]
        with self.lock:
            if what == "":
                page = html_page(site.run, audio=None, served=Served(runs=self.names()))
                return "text/html; charset=utf-8", page.encode()
            if what == "utterances":
                found = site.utterances(_query(site.run, query))
                return "application/json", json.dumps(found, ensure_ascii=False).encode()
            if what == "audio":
                sound = site.sound(query.get("utterance", ""), query.get("condition", ""))
                return ("audio/mpeg", sound) if sound else None
        return None


def _query(run: RunData, query: Mapping[str, str]) -> Query:
    def index(name: str, values: Sequence[str]) -> str:
        text = query.get(name, "0")
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
        return values[number] if number < len(values) else values[0]

    start = query.get("from", "0")
    return Query(
        engine=index("engine", run.engines),
        condition=index("condition", run.conditions),
        by=query.get("by", ""),
        group=query.get("group", ""),
        kind=query.get("kind", ""),
        word=query.get("word", "").lower(),
        start=int(start) if start.isascii() and start.isdecimal() and len(start) < 9 else 0,
    )


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD to this machine's own browser."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "asrfair"
    sys_version = ""

    def do_GET(self) -> None:
        """Send what stands at the address."""
        status, kind, content = self._found()
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        if status == HTTPStatus.FOUND:
            self.send_header("Location", f"/{self.server.site.token}/0/")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        """Send the same without the content."""
        self.do_GET()

    def _found(self) -> tuple[HTTPStatus, str, bytes]:
        own = {f"127.0.0.1:{self.server.server_port}", f"localhost:{self.server.server_port}"}
        if self.headers.get("Host") not in own or self.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
            return HTTPStatus.FORBIDDEN, "text/plain", b"not from here\n"
        address = urlsplit(self.path)
        token, _, path = address.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.site.token.encode()):
            return HTTPStatus.NOT_FOUND, "text/plain", b"not found\n"
        if not path:
            return HTTPStatus.FOUND, "text/plain", b""
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        try:
            found = self.server.site.answer(path, query)
        except AsrfairError as error:
            return HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", f"{error}\n".encode()
        return (HTTPStatus.OK, *found) if found else (HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Print nothing: what is asked for holds names of groups and speakers."""


class Server(ThreadingHTTPServer):
    """The server of a site; it listens on this machine only."""

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/{self.site.token}/0/"
