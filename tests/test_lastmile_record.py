"""The recording page's server: consent first, nothing acknowledged that is not on disk, nobody in without the link."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from record_page import Client, make_kit, serving, wav

from asrfair.cli.main import run as command
from asrfair.errors import EnvironmentFailedError
from asrfair.lastmile.check import check_kit
from asrfair.lastmile.kit import read_speakers
from asrfair.lastmile.recorder import lan, texts
from asrfair.lastmile.recorder.door import KEPT_FILE
from asrfair.lastmile.recorder.server import RecordingServer
from asrfair.lastmile.run_kit import run_kit


def test_a_session_from_consent_to_recordings(tmp_path: Path) -> None:
    """Consent is kept with date, text and hash; answers go into speakers.csv; takes are the bytes that were sent."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        status, state = client.ask("GET", "/api/state")
        assert (200, 3) == (status, len(state["prompts"]))
        speaker = client.begin()
        assert "speaker-01" == speaker
        status, found = client.ask(
            "POST", "/api/answers", {"speaker": speaker, "answers": {"accent": "local", "gender": ""}}
        )
        assert (200, []) == (status, found["done"])
        client.ask("POST", "/api/browser", {"speaker": speaker, "echo_cancellation": False, "noise_suppression": True})
        sent = wav()
        status, saved = client.ask("PUT", f"/api/take/{speaker}/01", body=sent)
        assert (200, hashlib.sha256(sent).hexdigest()) == (status, saved["sha256"])
        client.ask("POST", "/api/skip", {"speaker": speaker, "prompt": "02"})
        assert "speaker-02" == client.begin()
        status, room = client.ask("PUT", "/api/room", body=wav(2.0))
        assert 2.0 == room["room_seconds"]
    assert sent == (kit.recordings / speaker / "01.wav").read_bytes()
    entry = json.loads((kit.folder / "consents.jsonl").read_text().splitlines()[0])
    text = (kit.folder / entry["text"]).read_bytes()
    assert entry["text_sha256"] == hashlib.sha256(text).hexdigest() == state["consent"]["sha256"]
    assert "local" == read_speakers(kit).set_index("speaker_id").loc["speaker-01", "accent"]
    assert "not_stated" == read_speakers(kit).set_index("speaker_id").loc["speaker-01", "gender"]


@pytest.mark.slow
def test_what_the_browser_did_to_the_sound_is_an_attribute(tmp_path: Path) -> None:
    """Echo cancellation and the like are a condition of their own: columns of the run's manifest."""
    kit = make_kit(tmp_path / "kit", sentences=1)
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        client.ask("POST", "/api/browser", {"speaker": speaker, "echo_cancellation": False, "noise_suppression": True})
        client.ask("PUT", f"/api/take/{speaker}/01", body=wav(1.5, level=0.05))
    run_kit(kit, workers=1, progress=False, benchmark=False, html=False)
    table = (kit.folder / "work" / "room.csv").read_text().splitlines()
    row = dict(zip(table[0].split(","), table[1].split(","), strict=True))
    assert ("off", "on", False) == (row["echo_cancellation"], row["noise_suppression"], "auto_gain_control" in row)


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/take/speaker-01/01", "PUT"), ("/api/answers", "POST"), ("/api/skip", "POST"), ("/api/progress", "POST")],
)
def test_nothing_is_taken_from_somebody_who_did_not_agree(tmp_path: Path, path: str, method: str) -> None:
    """Without an agreement on file there is no recording, no answer, and no folder to look into."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        content = {"speaker": "speaker-01", "prompt": "01", "answers": {}}
        body = wav() if method == "PUT" else json.dumps(content).encode()
        status, found = client.ask(method, path, body=body)
        assert (403, "no_consent") == (status, found["error"])
        status, found = client.ask("POST", "/api/consent", {"agree": True, "sha256": "0" * 64})
        assert (409, "consent_changed") == (status, found["error"])
    assert not list(kit.recordings.rglob("*.wav"))


def test_a_link_works_once_and_nothing_without_it(tmp_path: Path) -> None:
    """No cookie, a wrong cookie and a used link see one sentence and no data."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        link = server.link()
        assert 303 == Client(link).first_status
        assert 403 == Client(link).first_status
        assert 403 == Client(link.split("?")[0] + "?link=guess").first_status
        client = Client(server.link())
        for cookie in ("", "asrfair=1", client.cookie[:-1] + "x"):
            answer, body = client.raw("GET", "/api/state", headers={"Cookie": cookie})
            assert 403 == answer.status
            assert b"speaker" not in body


def test_other_origins_and_hosts_are_refused(tmp_path: Path) -> None:
    """Another page's request, one without an origin, and a name that was pointed here (DNS rebinding) change nothing."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        good = {"Cookie": client.cookie, "X-Tab": client.tab, "Origin": f"http://{client.host}"}
        for change in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Host": "evil.example"},
            {"Origin": None},
        ):
            headers = {name: value for name, value in {**good, **change}.items() if value is not None}
            answer, _ = client.raw("POST", "/api/tab", b"{}", headers)
            assert 403 == answer.status, change
        answer, _ = client.raw("GET", "/api/state", headers={"Cookie": client.cookie, "Host": "evil.example"})
        assert 403 == answer.status
        answer, _ = client.raw("GET", "/")
        assert "frame-ancestors 'none'" in (answer.getheader("Content-Security-Policy") or "")


def test_one_tab_at_a_time(tmp_path: Path) -> None:
    """A second tab is told so, may take over, and the first is then told in turn."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        first = Client(server.link())
        second = Client(server.link(), tab="b" * 32)
        assert 200 == first.ask("POST", "/api/tab", {})[0]
        assert (409, "other_tab") == (
            second.ask("POST", "/api/tab", {})[0],
            second.ask("POST", "/api/tab", {})[1]["error"],
        )
        assert 200 == second.ask("POST", "/api/tab", {"take_over": True})[0]
        assert 409 == first.ask("POST", "/api/consent", {"agree": True})[0]
        second.ask("POST", "/api/tab", {"leave": True})
        assert 200 == first.ask("POST", "/api/tab", {})[0]


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "..%2f..%2fkit.toml", "speaker-99", "", "speaker-01%00", "SPEAKER-01"]
)
def test_names_are_only_those_of_the_kit(tmp_path: Path, name: str) -> None:
    """A path in a code or in a sentence's name is no code and no sentence."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        before = sorted(path for path in tmp_path.rglob("*") if path.name != "speakers.csv")
        for path in (f"/api/take/{name}/01", f"/api/take/{speaker}/{name}"):
            assert client.ask("PUT", path, body=wav())[0] in {403, 404}
            assert client.raw("GET", path)[0].status in {403, 404}
    after = sorted(path for path in tmp_path.rglob("*") if path.name != "speakers.csv")
    assert [path for path in before if path.name != KEPT_FILE] == after


def test_a_gigabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Too large, without a length, or chunked: refused on its headers, with nothing on the disk."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        path = f"/api/take/{speaker}/01"
        own = {"Cookie": client.cookie, "X-Tab": client.tab, "Origin": f"http://{client.host}"}
        for headers, wanted in (
            ({"Content-Length": str(10**9)}, 413),
            ({"Content-Length": "-1"}, 411),
            ({"Transfer-Encoding": "chunked"}, 411),
        ):
            connection = http.client.HTTPConnection(client.host, timeout=10)
            connection.putrequest("PUT", path)
            for key, value in {**own, **headers}.items():
                connection.putheader(key, value)
            connection.endheaders()
            assert wanted == connection.getresponse().status
            connection.close()
    assert [] == list(kit.recordings.rglob("*.*"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not a recording", "no_recording"),
        (wav()[:-100], "cut_short"),
        (wav(0.01), "cut_short"),
        (wav(1.0, rate=4000), "wrong_format"),
        (b"", "no_recording"),
    ],
)
def test_what_is_no_recording_leaves_the_old_take(tmp_path: Path, body: bytes, reason: str) -> None:
    """A body that is no whole WAV of this page is refused, and the take before it stands."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        good = wav(seed=7)
        client.ask("PUT", f"/api/take/{speaker}/01", body=good)
        status, found = client.ask("PUT", f"/api/take/{speaker}/01", body=body)
        assert (400, reason) == (status, found["error"])
    assert ["01.wav"] == [path.name for path in (kit.recordings / speaker).iterdir()]
    assert good == (kit.recordings / speaker / "01.wav").read_bytes()


def test_a_connection_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """Half a body and a closed connection: no file, and the server goes on."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        host, port = client.host.split(":")
        with socket.create_connection((host, int(port))) as plain:
            head = f"PUT /api/take/{speaker}/01 HTTP/1.1\r\nHost: {client.host}\r\nOrigin: http://{client.host}\r\n"
            head += f"Cookie: {client.cookie}\r\nX-Tab: {client.tab}\r\nContent-Length: 50000\r\n\r\n"
            plain.sendall(head.encode() + b"x" * 1000)
        assert 200 == client.ask("PUT", f"/api/take/{speaker}/02", body=wav())[0]
    assert ["02.wav"] == [path.name for path in (kit.recordings / speaker).iterdir()]


def test_a_full_disk_is_said_and_the_page_can_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC while syncing: 507 with words for people, nothing half-written, and the next try is kept."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            status, found = client.ask("PUT", f"/api/take/{speaker}/01", body=wav())
        assert (507, "disk_full", texts.DISK_FULL) == (status, found["error"], found["text"])
        assert [] == list((kit.recordings / speaker).iterdir())
        assert 200 == client.ask("PUT", f"/api/take/{speaker}/01", body=wav())[0]


def test_saved_is_said_after_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced, renamed, and its folder synced, in that order, before the answer leaves."""
    kit = make_kit(tmp_path / "kit")
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        monkeypatch.setattr(
            os,
            "fsync",
            lambda one: (done.append("dir" if stat.S_ISDIR(os.fstat(one).st_mode) else "file"), fsync(one))[1],
        )
        monkeypatch.setattr(Path, "replace", lambda one, to: (done.append("rename"), replace(one, to))[1])
        client.ask("PUT", f"/api/take/{speaker}/01", body=wav())
    assert ["file", "rename", "dir"] == done[:3]


def test_a_page_whose_server_was_killed_goes_on(tmp_path: Path) -> None:
    """A new server of the kit has the old one's port and cookie if that one did not end by itself, and else neither."""
    kit = make_kit(tmp_path / "kit")
    killed = RecordingServer(kit)
    for one in killed._servers:
        one.server_close()
    assert 0o600 == stat.S_IMODE((kit.folder / KEPT_FILE).stat().st_mode)
    with serving(kit) as server:
        assert (killed.port, killed.door.secret) == (server.port, server.door.secret)
    assert not (kit.folder / KEPT_FILE).exists()
    with serving(kit) as server:
        assert killed.door.secret != server.door.secret


def test_a_torn_agreement_is_none(tmp_path: Path) -> None:
    """A line that a power failure cut off does not count, and the next agreement stands on a line of its own."""
    kit = make_kit(tmp_path / "kit")
    with serving(kit) as server:
        client = Client(server.link())
        client.begin()
        path = kit.folder / "consents.jsonl"
        with path.open("a") as stream:
            stream.write('{"speaker_id": "speaker-02", "agr')
        assert ["speaker-01"] == server.sessions.agreed()
        assert "speaker-02" == client.begin()
        assert ["speaker-01", "speaker-02"] == server.sessions.agreed()


def test_new_people_get_new_codes(tmp_path: Path) -> None:
    """Codes of people who agreed, answered or recorded are never given to somebody else."""
    kit = make_kit(tmp_path / "kit")
    (kit.recordings / "speaker-01").mkdir(exist_ok=True)
    (kit.recordings / "speaker-01" / "01.wav").write_bytes(wav())
    with serving(kit) as server:
        client = Client(server.link())
        assert ["speaker-02", "speaker-03", "speaker-04"] == [client.begin() for _ in range(3)]
    assert 4 == len(read_speakers(kit))


def test_advice_is_that_of_check(tmp_path: Path) -> None:
    """Silence and clipping are said at once, in the words that `check` uses later."""
    kit = make_kit(tmp_path / "kit", sentences=1)
    with serving(kit) as server:
        client = Client(server.link())
        speaker = client.begin()
        _, found = client.ask("PUT", f"/api/take/{speaker}/01", body=wav(2.0, level=1e-6))
    later = [one.text for one in check_kit(kit, words=False).findings if one.file.endswith("01.wav")]
    assert [one["text"] for one in found["advice"]] == later
    assert ["silent"] == [one["kind"] for one in found["advice"]]


def test_every_language_says_everything() -> None:
    """Each language has the sentences of English, with the same places for numbers and names."""
    import re

    english = texts.page_texts("en")
    for language in texts.languages():
        own = texts._texts(language)
        assert set(texts._texts("en")) == set(own), language
        for key, text in own.items():
            assert sorted(re.findall(r"\{\w+\}", english[key])) == sorted(re.findall(r"\{\w+\}", text)), (language, key)
    assert "ltr" == texts.page_texts("de-AT")["direction"]
    assert ("en", "rtl") == (texts.page_texts("ar")["language"], texts.page_texts("ar")["prompt_direction"])


def test_another_device_speaks_tls(tmp_path: Path) -> None:
    """The certificate is for the address, the fingerprint is its own, and the page is served over it."""
    kit = make_kit(tmp_path / "kit")
    context, fingerprint = lan.certificate("127.0.0.2")
    server = RecordingServer(kit)
    port = server.open_to_network("127.0.0.2", context)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.2", port)))
        assert fingerprint.replace(":", "").lower() == hashlib.sha256(der).hexdigest()
        connection = http.client.HTTPSConnection("127.0.0.2", port, context=ssl.create_default_context(cadata=der))
        connection.request("GET", "/?" + server.link().split("?")[1])
        answer = connection.getresponse()
        assert 303 == answer.status
        assert "Secure" in str(answer.getheader("Set-Cookie"))
        connection.close()
    finally:
        server.close()
        thread.join(10)
    code = lan.qr_code(f"https://127.0.0.2:{port}/?link=x")
    assert len(code.splitlines()) > 10


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cryptography, --lan says what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(EnvironmentFailedError, match=r"pip install 'asrfair\[record\]'"):
        lan.certificate("127.0.0.2")


def test_the_command_refuses_what_does_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--device with --lan is a usage error; a folder without a kit is explained."""
    make_kit(tmp_path / "kit")
    assert 2 == command(["lastmile", "record", str(tmp_path / "kit"), "--device", "--lan"])
    assert 2 == command(["lastmile", "record", str(tmp_path / "nothing")])
    assert "holds no last-mile kit" in capsys.readouterr().err
