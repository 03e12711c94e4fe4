"""``openai-http`` against a real local server that misbehaves: nothing lost, nothing twice, the key nowhere."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from http_servers import serving
from transcribe_child import go, make_manifest, spec

from asrfair.errors import EngineError, InputError
from asrfair.recognise.engines.base import EngineContext
from asrfair.recognise.engines.openai_http import OpenAiHttp
from asrfair.recognise.engines.table import create
from asrfair.scoring import score_run
from asrfair.types import Clip, EngineSpec, Hypothesis, ScoringSettings

httpx = pytest.importorskip("httpx", reason="httpx is not installed")

KEY = "sk-canary-4f1d9c77e2"
FAULTS = ("busy", "error", "reset", "slow", "truncated", "malformed", "no text")


def digest(samples: np.ndarray) -> str:
    """Which recording this is, by its 16-bit samples."""
    return hashlib.sha256(np.round(samples * 32768).astype("<i4").tobytes()).hexdigest()


def form_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a multipart form."""
    boundary = re.search(r"boundary=(\S+)", content_type).group(1).encode()
    fields = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        fields[re.search(rb'name="([^"]+)"', head).group(1).decode()] = content[:-2]
    return fields


class Service(BaseHTTPRequestHandler):
    """Knows each recording's text by its samples; misbehaves in a share of its answers, by a seed."""

    protocol_version = "HTTP/1.1"
    texts: dict[str, str]
    share = 0.0
    faults = FAULTS
    refuse: frozenset[str] = frozenset()
    random = random.Random(1)
    lock = threading.Lock()
    seen: list[str]
    served: Counter[str]
    form: dict[str, bytes]

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        """Answer, or misbehave."""
        form = form_of(self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"])))
        samples, _ = soundfile.read(io.BytesIO(form["file"]), dtype="float32")
        name = digest(samples)
        with self.lock:
            type(self).form = form
            number = sum(self.served.values()) - self.served["good"]
            fault = self.faults[number % len(self.faults)] if self.random.random() < self.share else ""
            self.served[fault or "good"] += 1
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.reply(401, json.dumps({"error": f"wrong key {self.headers['Authorization']}"}))
        elif self.texts[name] in self.refuse:
            self.reply(400, "x" * 290 + KEY)  # echoes the key where a message is cut
        elif fault:
            self.misbehave(fault)
        else:
            self.reply(200, json.dumps({"text": self.texts[name], "language": "en"}))

    def misbehave(self, fault: str) -> None:
        """Fail in one of the ways in which services fail."""
        if fault == "busy":
            self.reply(429, "later", {"Retry-After": "0.05"})
        elif fault == "error":
            self.reply(500, f"trace: Authorization: Bearer {KEY}")
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for end in (self.rfile, self.wfile, self.connection):  # the socket closes with the last of them
                end.close()
        elif fault == "slow":
            time.sleep(0.8)
            self.reply(200, json.dumps({"text": "too late"}))
        elif fault == "truncated":
            self.send_response(200)
            self.send_header("Content-Length", "500")
            self.end_headers()
            self.wfile.write(b'{"text": "half an an')
            self.close_connection = True
        elif fault == "malformed":
            self.reply(200, '{"text": "half an an')
        else:
            self.reply(200, '{"transcript": 1}')

    def reply(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def service(texts: dict[str, str], **settings: object) -> type[Service]:
    """A service of its own for one test."""
    fresh = {"texts": texts, "served": Counter(), "random": random.Random(7), "lock": threading.Lock()}
    return type("Service", (Service,), {**fresh, **settings})


def known_texts(folder: Path, manifest: Path) -> dict[str, str]:
    """References by recording."""
    table = pd.read_csv(manifest, dtype=str)
    return {digest(soundfile.read(folder / row.audio, dtype="float32")[0]): row.reference for row in table.itertuples()}


def http(url: str, **options: object) -> EngineSpec:
    """The engine with quick retries."""
    quick = {"first_wait_s": 0.02, "timeout_s": 0.5, "concurrency": 6, "max_retries": 10}
    return spec("openai-http", "service", **{"base_url": f"{url}/v1", "model": "m", **quick, **options})


def one(url: str, clip: Clip, **options: object) -> Hypothesis:
    """Transcribe one clip without a run."""
    engine = create(http(url, **options), EngineContext())
    try:
        return engine.transcribe([clip])[0]
    finally:
        engine.close()


def noise() -> Clip:
    """A short clip."""
    samples = (np.random.default_rng(1).integers(-3000, 3000, 1600) / 32768).astype(np.float32)
    return Clip(utterance_id="a", samples=samples, sample_rate_hz=16_000)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def holds_key(folder: Path) -> list[str]:
    """Files below a folder that hold the key, or the part of it that a cut message might leave."""
    return [str(p) for p in folder.rglob("*") if p.is_file() and KEY[:12].encode() in p.read_bytes()]


@pytest.mark.slow
def test_every_utterance_survives_faults_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With 30 % faults of seven kinds, all texts arrive, each at its utterance; refusals reach the ledger; no key."""
    manifest = make_manifest(tmp_path, 48, audio=True)
    table = pd.read_csv(manifest, dtype=str).set_index("utterance_id")
    texts = known_texts(tmp_path, manifest)
    refused = table["reference"].iloc[5]
    handler = service(texts, share=0.3, refuse=frozenset({refused}))
    with serving(handler) as url:
        summary = go(manifest, tmp_path / "run", [http(url)])
    assert {"ok": 47, "error": 1} == summary.counts
    assert set(FAULTS) <= set(handler.served)
    assert summary.engines["service"].statistics["retries"] >= 10
    found = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet")
    assert not found["utterance_id"].duplicated().any()
    found = found.set_index("utterance_id")
    good = found[found["status"] == "ok"]
    assert table.loc[good.index, "reference"].tolist() == good["hypothesis"].tolist()
    assert "HTTP 400" in found.loc["u0005", "error"]
    score = score_run(tmp_path / "run", ScoringSettings(), workers=1)
    assert (47, 1) == (score.statuses["scored"], score.reasons["engine_error"])
    ledger = pd.read_csv(tmp_path / "run" / "ledger.csv")
    assert ["u0005"] == ledger[ledger["reason"] == "engine_error"]["utterance_id"].tolist()
    assert [] == holds_key(tmp_path)
    assert KEY[:12] not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_without_retries_every_fault_is_a_ledger_row(tmp_path: Path) -> None:
    """What is not tried again ends as an error with its reason, and a resume with retry_errors mends it."""
    manifest = make_manifest(tmp_path, 40, audio=True)
    quick = tuple(fault for fault in FAULTS if fault != "slow")
    handler = service(known_texts(tmp_path, manifest), share=0.4, faults=quick)
    with serving(handler) as url:
        first = go(manifest, tmp_path / "run", [http(url, max_retries=0, timeout_s=20)])
        bad = sum(count for kind, count in handler.served.items() if kind != "good")
        assert {"ok": 40 - bad, "error": bad} == first.counts
        errors = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet").query("status == 'error'")["error"]
        assert errors.str.startswith("gave up after 1 tries: ").all()
        handler.share = 0.0
        again = go(manifest, tmp_path / "run", [http(url, max_retries=0, timeout_s=20)], retry_errors=True)
    assert {"ok": 40} == again.counts
    assert bad == again.engines["service"].results
    assert [] == holds_key(tmp_path)


def test_a_refused_key_ends_the_run_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """HTTP 401 is an EngineError whose message, like every log line, lacks the key that the service echoes."""
    monkeypatch.setenv("OTHER_KEY", KEY + "-wrong")
    caplog.set_level(logging.DEBUG)
    with serving(service({digest(noise().samples): "hello"})) as url, pytest.raises(EngineError) as caught:
        one(url, noise(), api_key_env="OTHER_KEY")
    assert "the key was refused" in str(caught.value)
    assert KEY[:12] not in str(caught.value)
    assert KEY[:12] not in caplog.text


def test_a_key_in_an_answer_is_taken_out() -> None:
    """Even a service that answers with the key as its text does not get it into a file."""
    with serving(service({digest(noise().samples): f"hello {KEY} there"})) as url:
        assert "hello *** there" == one(url, noise()).text


def test_a_dripping_answer_is_given_up() -> None:
    """A service that sends a byte now and then cannot hold a run longer than the time-out."""

    class Dripping(Service):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b" ")
                time.sleep(0.05)

    with serving(Dripping) as url:
        started = time.monotonic()
        found = one(url, noise(), max_retries=0, timeout_s=0.4)
    assert time.monotonic() - started < 5
    assert ("error", True) == (found.status, "no answer within 0.4 s" in found.error)


def test_options_reach_the_service() -> None:
    """Model, language, prompt and temperature are sent; verbose answers give words and confidence."""
    answer = {
        "text": " hello there ",
        "language": "en",
        "segments": [{"avg_logprob": -0.1}, {"avg_logprob": "no"}],
        "words": [{"word": "hello", "start": 0, "end": 0.5}, {"word": "bad"}, 3],
    }

    class Verbose(Service):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            type(self).form = form_of(self.headers["Content-Type"], body)
            self.reply(200, json.dumps(answer))

    with serving(Verbose) as url:
        more = {"language": "de", "prompt": "names", "temperature": 0.0, "audio_format": "wav"}
        found = one(url, noise(), response_format="verbose_json", **more)
    sent = {name: Verbose.form[name].decode() for name in ("model", "language", "prompt", "temperature")}
    assert {"model": "m", "language": "de", "prompt": "names", "temperature": "0.0"} == sent
    assert ("hello there", "en", ["hello"]) == (found.text, found.language, [word.word for word in found.words])
    assert found.confidence == pytest.approx(np.exp(-0.1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "http://example.org/v1"}, "unencrypted"),
        ({"base_url": "https://user:secret@example.org/v1"}, "no user or password"),
        ({"base_url": "ftp://example.org"}, "no http or https"),
        ({"api_key": "sk"}, "no option 'api_key'"),
    ],
)
def test_unsafe_settings_are_refused(options: dict[str, str], message: str) -> None:
    """Audio does not go out unencrypted by accident, and a key cannot stand in a suite."""
    with pytest.raises(InputError, match=message) as caught:
        create(http("http://127.0.0.1:9", **options), EngineContext())
    assert "user:secret" not in str(caught.value)


def test_a_missing_key_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable ends the run before any audio is sent."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(EngineError, match="OPENAI_API_KEY holds no key"):
        create(http("http://127.0.0.1:9"), EngineContext())


def test_requests_keep_to_the_rate_limit() -> None:
    """With 600 requests a minute, seven requests take at least 0.6 seconds, whatever the threads."""
    with serving(service({digest(noise().samples): "hello"})) as url:
        engine = OpenAiHttp(http(url, requests_per_minute=600), EngineContext())
        started = time.monotonic()
        threads = [threading.Thread(target=engine.transcribe, args=([noise()],)) for _ in range(7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        engine.close()
    assert time.monotonic() - started >= 0.6
