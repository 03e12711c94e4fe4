"""Nights that are read: messages reach servers that work, wait for those that do not, and never change a verdict."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest
from http_servers import serving
from nightly_nights import write_suite

from asrfair.cli.main import run
from asrfair.errors import InputError
from asrfair.runs.suite import read_suite

KEY = "kept-secret-7"
GATES = "[gates]\nmax_wer = 0.9\n"


class Hook(BaseHTTPRequestHandler):
    """Takes posts, or fails as it is told."""

    mode: ClassVar[str] = "ok"
    posts: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        """Answer by the mode."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).mode == "hang up":
            self.connection.close()
            return
        if type(self).mode == "redirect":
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            return
        if type(self).mode == "ok":
            type(self).posts.append((dict(self.headers), body))
        self.send_response(200 if type(self).mode == "ok" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Post(socketserver.StreamRequestHandler):
    """A mail server in twenty lines."""

    letters: ClassVar[list[str]] = []
    refuse: ClassVar[bool] = False

    def handle(self) -> None:
        """Speak just enough SMTP."""

        def say(text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

        say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.upper()[:4]
            if word == "DATA":
                say("354 go on")
                lines = []
                while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(part)
                type(self).letters.append("\n".join(lines))
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            elif word == "RCPT" and type(self).refuse:
                say("550 nobody here")
            else:
                say("250 fine")


@pytest.fixture
def mail_port() -> Iterator[int]:
    """A mail server of this test."""
    Post.letters.clear()
    Post.refuse = False
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def suite_with(folder: Path, notify: str, **more: object) -> Path:
    """A small suite that tells somebody."""
    return write_suite(folder, gates=GATES + notify, count=30, **more)


def night(suite: Path, history: Path) -> int:
    """Run one night by the command line."""
    return run(["nightly", str(suite), "--history", str(history), "--workers", "1"])


@pytest.mark.slow
def test_a_webhook_that_fails_changes_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """500, a hang-up, a redirect, no server, no variable: the night passes all the same; then all nights arrive, signed."""
    Hook.posts.clear()
    table = '[notify]\nlink = "https://ci.example/{suite}/{night}"\n[notify.webhook]\nurl_env = "HOOK"\nkey_env = "HOOK_KEY"\n'
    suite, history = suite_with(tmp_path / "s", table), tmp_path / "h"
    monkeypatch.setenv("HOOK_KEY", KEY)
    assert 0 == night(suite, history)
    assert "HOOK is not set" in capfd.readouterr().err
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/secret-path")
    assert 0 == night(suite, history)
    said = capfd.readouterr()
    assert "secret-path" not in said.err + said.out
    with serving(Hook) as address:
        monkeypatch.setenv("HOOK", f"{address}/services/secret-path")
        for Hook.mode in ("500", "hang up", "redirect"):
            assert 0 == night(suite, history)
        assert [] == Hook.posts
        Hook.mode = "ok"
        assert 0 == night(suite, history)
    bodies = [json.loads(body) for _, body in Hook.posts]
    assert [1, 2, 3, 4, 5, 6] == [body["asrfair"]["night"] for body in bodies]
    for headers, body in Hook.posts:
        expected = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
        assert f"sha256={expected}" == headers["X-Asrfair-Signature"]
    assert "https://ci.example/small/6" == bodies[-1]["text"].splitlines()[-1]
    assert [] == list((history / "unsent").glob("*.json"))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret-path" not in written
    assert KEY.encode() not in written


def test_only_bad_nights_are_told_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `when = "bad"` a good night is silent, and a failed gate is said with what changed."""
    Hook.posts.clear()
    Hook.mode = "ok"
    table = '[notify]\nwhen = "bad"\n[notify.webhook]\nurl_env = "HOOK"\n'
    with serving(Hook) as address:
        monkeypatch.setenv("HOOK", address)
        assert 0 == night(suite_with(tmp_path / "s", table), tmp_path / "h")
        assert [] == Hook.posts
        assert 1 == night(suite_with(tmp_path / "s", table, options={"substitutions": 0.99}), tmp_path / "h")
    ((_, body),) = Hook.posts
    text = json.loads(body)["text"]
    assert text.startswith("asrfair: small, night 2: failed\n")
    assert "FAILED: fake, clean" in text
    assert "changed: " in text


def test_a_suite_without_a_verdict_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that cannot start: the message says so, waits beside that of the last verdict, and the exit code stays."""
    Hook.posts.clear()
    notify = '[notify]\nopenmetrics = "night.prom"\n[notify.webhook]\nurl_env = "HOOK"\n'
    suite = write_suite(tmp_path, gates="[gates]\nmax_wer = 0.01\n" + notify, count=30)
    history = tmp_path / "h"
    with serving(Hook) as url:
        monkeypatch.setenv("HOOK", url)
        Hook.mode = "500"
        assert 1 == night(suite, history)
        gone = write_suite(
            tmp_path, gates="[gates]\nmax_wer = 0.01\n" + notify, engine="precomputed", options={"file": "gone.csv"}
        )
        assert 2 == night(gone, history)
        assert 2 == len(list((history / "unsent").glob("*.json")))
        assert 'asrfair_verdict{suite="small",verdict="none"} 1' in (tmp_path / "night.prom").read_text()
        Hook.mode = "ok"
        capsys.readouterr()
        assert 2 == night(gone, history)
        assert "gone.csv" in capsys.readouterr().err
    told = [json.loads(body)["asrfair"] for _, body in Hook.posts]
    assert ["fail", "none", "none"] == [message["verdict"] for message in told]
    assert "asrfair: small: no verdict" == told[-1]["title"]
    assert "gone.csv" in told[-1]["failed"][0]
    assert [] == list((history / "unsent").glob("*.json"))


def test_mail_by_a_server_that_takes_it_and_one_that_does_not(
    tmp_path: Path, mail_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The letter holds the verdict; a refused one waits for the next night."""
    table = (
        f'[notify.email]\nhost = "127.0.0.1"\nport = {mail_port}\nsender = "asr@example.org"\n'
        'to = ["team@example.org"]\ntls = false\n'
    )
    suite, history = suite_with(tmp_path / "s", table), tmp_path / "h"
    Post.refuse = True
    assert 0 == night(suite, history)
    assert "email: night 1 was not sent" in capfd.readouterr().err
    Post.refuse = False
    assert 0 == night(suite, history)
    subjects = [line for letter in Post.letters for line in letter.splitlines() if line.startswith("Subject: ")]
    assert ["Subject: asrfair: small, night 1: passed", "Subject: asrfair: small, night 2: passed"] == subjects


@pytest.mark.slow
def test_files_for_prometheus_and_github(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """OpenMetrics that a parser reads, a job summary, an error beside the code; a file that cannot be written is named."""
    table = '[notify]\ngithub = true\nopenmetrics = "metrics/asrfair.prom"\n'
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    suite = suite_with(tmp_path / "s", table, options={"substitutions": 0.99})
    assert 1 == night(suite, tmp_path / "h")
    text = (tmp_path / "s" / "metrics" / "asrfair.prom").read_text(encoding="utf-8")
    assert text.endswith("# EOF\n")
    assert 'asrfair_verdict{suite="small",verdict="fail"} 1' in text
    assert 'attribute="accent",group="us"' in text
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    for line in text.splitlines():
        assert line.startswith("# ") or line.split("{")[0] in types
    assert "night 1: failed" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "::error title=asrfair small::fake, clean" in capfd.readouterr().out
    (tmp_path / "s" / "metrics" / "asrfair.prom").unlink()
    (tmp_path / "s" / "metrics" / "asrfair.prom").mkdir()
    assert 1 == night(suite, tmp_path / "h")
    assert "openmetrics" in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_mlflow_gets_a_run_a_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client on a store of files: tags, and each group's rate as a metric."""
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "store").as_uri()
    table = f'[notify.mlflow]\ntracking_uri = "{store}"\nexperiment = "nights"\n'
    assert 0 == night(suite_with(tmp_path / "s", table), tmp_path / "h")
    assert [] == list((tmp_path / "h").glob("unsent/*"))
    client = tracking.MlflowClient(tracking_uri=store)
    (made,) = client.search_runs([client.get_experiment_by_name("nights").experiment_id])
    assert ("1", "pass") == (made.data.tags["night"], made.data.tags["verdict"])
    assert "wer/fake/clean/accent/us" in made.data.metrics


def test_the_table_is_checked(tmp_path: Path) -> None:
    """A secret in the suite, an address that is none, an unknown channel: errors that name the line."""
    for table, word in (
        ('[notify.webhook]\nurl_env = "https://hooks.example/x"\n', "url_env"),
        ('[notify.email]\nhost = "h"\nsender = "x"\nto = ["a@b"]\n', "sender"),
        ("[notify]\nslack = true\n", "slack"),
    ):
        with pytest.raises(InputError, match=word):
            read_suite(suite_with(tmp_path, table))
