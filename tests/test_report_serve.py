"""`asrfair view`: read-only, on this machine, behind a token; every utterance, filtered and worst first."""

from __future__ import annotations

import html
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import numpy as np
import pytest
from click.testing import CliRunner
from report_runs import make_run

from asrfair.cli.main import app
from asrfair.errors import InputError
from asrfair.report import load_run
from asrfair.report.html.serve import RunSite, Server, Site
from asrfair.report.recordings import recordings_of
from asrfair.types import Clip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose utterances can be aligned."""
    groups = {"accent": ("us", "indian", "nigerian")}
    folder = tmp_path_factory.mktemp("serve") / "run"
    return make_run(folder, groups=groups, conditions=("clean", "floor@snr=0"), speakers=(7, 9, 3), texts=True)


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Server]:
    """Two runs, the second with recordings, served until the tests end."""
    tone = np.sin(np.arange(8000) / 20).astype(np.float32)

    def audio(utterance: str, condition: str) -> Clip | None:
        known = utterance == "utt-00000" and condition in {"clean", "floor@snr=0"}
        return Clip(utterance_id=utterance, samples=tone, sample_rate_hz=16000) if known else None

    with Server(Site(runs=[RunSite(load_run(run)), RunSite(load_run(run), audio)])) as started:
        thread = Thread(target=started.serve_forever, daemon=True)
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def ask(server: Server, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send one request and return status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def utterances(server: Server, **query: object) -> dict[str, object]:
    """Ask for utterances of the first run."""
    wanted = {"engine": 0, "condition": 0, "by": "overall", "group": "all", "kind": "", "word": "", "from": 0, **query}
    status, _, content = ask(server, f"/{server.site.token}/0/utterances?{urlencode(wanted)}")
    assert 200 == status
    found: dict[str, object] = json.loads(content)
    return found


def test_only_this_machine_with_the_token(server: Server) -> None:
    """Without the token, under another host's name or from another site nothing is shown; nothing can be written."""
    token = server.site.token
    assert "127.0.0.1" == server.server_address[0]
    assert len(token) >= 32
    assert 200 == ask(server, f"/{token}/0/")[0]
    assert 302 == ask(server, f"/{token}/")[0]
    for path in (
        "/",
        "/0/",
        f"/{token[:-1]}/0/",
        f"/{token}x/0/",
        f"/{token}/2/",
        f"/{token}/0/../../etc/passwd",
        f"/{token}/0/run.json",
    ):
        assert 404 == ask(server, path)[0], path
    assert 403 == ask(server, f"/{token}/0/", Host="evil.example")[0]
    assert 403 == ask(server, f"/{token}/0/", Host=f"evil.example:{server.server_port}")[0]
    assert 403 == ask(server, f"/{token}/0/", **{"Sec-Fetch-Site": "cross-site"})[0]
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert 501 == ask(server, f"/{token}/0/", method=method)[0]


def test_nothing_of_it_is_kept_or_told(server: Server) -> None:
    """Answers are not stored, not sniffed, not framed, and the address is told to no other page."""
    status, headers, content = ask(server, f"/{server.site.token}/0/")
    assert 200 == status
    assert ("no-store", "no-referrer", "nosniff", "DENY") == tuple(
        headers[name] for name in ("Cache-Control", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options")
    )
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', content.decode())[0])
    assert policy.startswith("default-src 'none'")
    assert "connect-src 'self'" in policy
    assert "script-src 'sha256-" in policy
    assert b'class="utterances"' not in content


def test_utterances_come_in_parts(server: Server, run: Path) -> None:
    """Every utterance with an error is reached, a batch at a time, each once; a group has its own."""
    everything = []
    while True:
        found = utterances(server, **{"from": len(everything)})
        if not found["html"]:
            break
        everything += list(found["html"])  # type: ignore[call-overload]
    assert len(set(everything)) == len(everything) == found["total"] == (7 + 9 + 3) * 4
    nigerian = utterances(server, by="accent", group="nigerian")
    assert 12 == nigerian["total"] == nigerian["matching"]
    assert all("nigerian" in item for item in nigerian["html"])  # type: ignore[attr-defined]
    assert not utterances(server, by="accent", group="nobody")["html"]
    assert not utterances(server, by="no such attribute")["html"]


def test_kind_and_word_filter(server: Server) -> None:
    """The kinds of errors and the words in them choose utterances; a word that was heard rightly does not count."""
    assert 76 == utterances(server, kind="s")["matching"]
    assert 0 == utterances(server, kind="d")["matching"]
    assert 76 == utterances(server, word="AND")["matching"]
    assert 0 == utterances(server, word="patient")["matching"]


def test_recordings_are_served_where_they_are_allowed(server: Server) -> None:
    """The run without a source has none; the other has each recording as recorded and as rendered, and nothing else."""
    token = server.site.token
    address = f"audio?{urlencode({'utterance': 'utt-00000', 'condition': 'floor@snr=0'})}"
    assert 404 == ask(server, f"/{token}/0/{address}")[0]
    status, headers, content = ask(server, f"/{token}/1/{address}")
    assert (200, "audio/mpeg") == (status, headers["Content-Type"])
    assert len(content) > 500
    assert 404 == ask(server, f"/{token}/1/audio?utterance=../../etc/passwd&condition=clean")[0]
    found = json.loads(ask(server, f"/{token}/1/utterances?condition=1&by=overall&group=all")[2])
    assert re.search(r'as recorded <audio[^>]* src="audio\?utterance=utt-\d+&amp;condition=clean"', found["html"][0])
    assert "condition=floor%40snr%3D0" in found["html"][0]


def test_hostile_questions_are_answered_with_nothing(server: Server) -> None:
    """Numbers that are none, far places and long words break nothing."""
    for query in ({"engine": "-1"}, {"engine": "9" * 30}, {"condition": "x"}, {"from": "-5"}, {"from": "9" * 40}):
        assert isinstance(utterances(server, **query)["html"], list)
    assert 0 == utterances(server, word="<script>" * 500)["matching"]


def test_recordings_need_the_suites_permission(run: Path) -> None:
    """A run whose suite does not allow recordings shows none, whoever asks."""
    with pytest.raises(InputError, match="does not allow recordings"):
        recordings_of(load_run(run), run / "manifest.toml")


def test_open_says_what_is_missing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a page says how to make one; with one, its address goes to the browser."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    missing = CliRunner().invoke(app, ["open", str(tmp_path)])
    assert isinstance(missing.exception, InputError)
    assert "asrfair report" in missing.exception.remedy
    (tmp_path / "report.html").write_text("<p>", encoding="utf-8")
    assert 0 == CliRunner().invoke(app, ["open", str(tmp_path)]).exit_code
    assert [(tmp_path / "report.html").resolve().as_uri()] == opened
