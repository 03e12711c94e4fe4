"""Small inputs that would take all memory, or all time, do neither."""

from __future__ import annotations

import gzip
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from transcribe_child import make_manifest

from asrfair.data.plainread import read_bytes
from asrfair.data.tomlfile import TomlFile
from asrfair.errors import InputError
from asrfair.recognise.engines.base import EngineContext
from asrfair.recognise.engines.table import create
from asrfair.types import Clip, EngineSpec, Hypothesis

CLIP = Clip(utterance_id="u", samples=np.zeros(1600, np.float32), sample_rate_hz=16_000)


@contextmanager
def service(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve every connection in a thread with a function of the raw socket, once its request has come."""
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(5)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                have = len(head) - head.index(b"\r\n\r\n") - 4
                while have < length:
                    have += len(connection.recv(65536))
                answer(connection)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def ask(url: str, **options: object) -> Hypothesis:
    """Ask a service for one clip, one try."""
    pytest.importorskip("httpx")
    spec = EngineSpec(
        name="openai-http", label="h",
        options={"base_url": url, "model": "m", "api_key_env": "", "max_retries": 0, "timeout_s": 1.0, **options},
    )  # fmt: skip
    engine = create(spec, EngineContext())
    try:
        return engine.transcribe([CLIP])[0]
    finally:
        engine.close()


def drip(start: bytes, again: bytes) -> Callable[[socket.socket], None]:
    """An answer that begins and never ends, a piece every tenth of a second."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(300):
            time.sleep(0.1)
            connection.sendall(again)

    return answer


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
    ],
    ids=["headers", "chunk extensions", "100 Continue", "body"],
)
def test_a_slow_answer_ends_at_the_deadline(start: bytes, again: bytes) -> None:
    """Whatever a service drips, the exchange ends with timeout_s and not with the service's patience."""
    with service(drip(start, again)) as url:
        found = ask(url)
    assert found.status == "error"
    assert "no answer within 1 s" in found.error


def test_a_packed_bomb_is_not_unpacked() -> None:
    """A few KB of gzip that hold 100 MB, and the same packed twice, are refused without holding them."""
    once = gzip.compress(b"\0" * 100_000_000)
    for body, encoding in ((once, b"gzip"), (gzip.compress(once), b"gzip, gzip")):
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with service(lambda connection, body=body, head=head: connection.sendall(head + body)) as url:
            found = ask(url, timeout_s=10.0)
        assert found.status == "error"
        assert "longer" in found.error or "packed" in found.error
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB


def test_a_number_that_is_none_loses_no_text() -> None:
    """Word times of 10^400 and of ten thousand digits cost the word's time, not the text that was paid for."""
    for digits in ("1" + "0" * 400, "9" * 10_000):
        text = f'{{"text": "paid for", "words": [{{"word": "paid", "start": {digits}, "end": 1}}]}}'
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
        with service(lambda connection, text=text, head=head: connection.sendall(head + text.encode())) as url:
            found = ask(url, timeout_s=10.0)
        assert (found.status, found.text, found.words) == ("ok", "paid for", ())


def test_a_key_in_escapes_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that sends the key back in JSON's escapes, as text or in a refusal, has it taken out."""
    monkeypatch.setenv("SERVICE_KEY", "sk-canary/4f1d9c77e2")
    hidden = "".join(f"\\u{ord(c):04x}" for c in "sk-canary/4f1d9c77e2")
    for status, text in ((200, f'{{"text": "it is {hidden}"}}'), (422, f'{{"error": "no {hidden}"}}')):
        head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(text))
        with service(lambda connection, text=text, head=head: connection.sendall(head + text.encode())) as url:
            found = ask(url, api_key_env="SERVICE_KEY", timeout_s=10.0)
        assert "4f1d9c77e2" not in f"{found.text}{found.error}"
        assert "\\u0034" not in found.error


def test_a_service_is_waited_for_as_long_as_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After: 600 is 600 seconds, as docs/engines.md says; more than an hour is an hour."""
    pytest.importorskip("httpx")
    spec = EngineSpec(name="openai-http", label="h", options={"model": "m", "api_key_env": ""})
    engine = create(spec, EngineContext())
    try:
        assert 600 <= engine._wait_s(0, 600.0) < 601
        assert engine._wait_s(0, 1e9) < 3601
    finally:
        engine.close()


def test_a_key_of_many_parts_is_no_toml(tmp_path: Path) -> None:
    """A dotted key of 100,000 parts is refused in no time; long texts with dots in them are not."""
    path = tmp_path / "s.toml"
    path.write_text("a" + ".a" * 100_000 + " = 1\n")
    with pytest.raises(InputError, match="parts"):
        TomlFile(path)
    path.write_text('[suite]\nname = "1.2.3 and so on ... e.g. v1.0, see www.a.example"\nx = [1.0, 2.0, 3.5]\n')
    assert TomlFile(path).data["suite"]["name"].startswith("1.2.3")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such devices here")
def test_links_to_devices_and_pipes_are_refused(tmp_path: Path) -> None:
    """A suite, a run.json, a vocabulary that is a link to /dev/zero or a pipe that nobody fills is refused at once."""
    zero, pipe = tmp_path / "zero.toml", tmp_path / "pipe.toml"
    zero.symlink_to("/dev/zero")
    os.mkfifo(pipe)
    for path in (zero, pipe):
        with pytest.raises(InputError, match="no ordinary file"):
            read_bytes(path)
        with pytest.raises(InputError, match="no ordinary file"):
            TomlFile(path)


def program(folder: Path, text: str) -> list[str]:
    """A Python program as a command."""
    path = folder / "program.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def answer_of(command: list[str], **options: object) -> Hypothesis:
    """Ask a command for one clip."""
    spec = EngineSpec(name="command", label="c", options={"command": command, **options})
    engine = create(spec, EngineContext())
    try:
        return engine.transcribe([CLIP])[0]
    finally:
        engine.close()


def test_a_flooding_program_is_held_back(tmp_path: Path) -> None:
    """A program that writes without end takes no memory, in both ways of calling it, and is ended."""
    flood = "import sys\nwhile True:\n    sys.stdout.write('x' * 65536 + '\\n')\n"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "wrote more than" in answer_of([*program(tmp_path, flood), "{audio}"], timeout_s=20.0).error
    assert "not a JSON line" in answer_of(program(tmp_path, flood), timeout_s=20.0).error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000  # KiB


@pytest.mark.slow
def test_grandchildren_end_with_their_program(tmp_path: Path) -> None:
    """A program that starts another and does not answer is ended with it, and nothing of it is left."""
    child = (
        "import subprocess, sys, time\np = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid))\ntime.sleep(600)\n"
    )
    for extra in (["{audio}"], []):
        (tmp_path / "pid").unlink(missing_ok=True)
        assert "no answer within 3 s" in answer_of([*program(tmp_path, child), *extra], timeout_s=3.0).error
        pid = int((tmp_path / "pid").read_text())
        for _ in range(100):
            state = Path(f"/proc/{pid}/stat")
            if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.05)
        else:
            pytest.fail("the grandchild is still there")


@pytest.mark.slow
def test_answers_that_are_paid_for_are_not_paid_for_again(tmp_path: Path) -> None:
    """A run over a service is killed again and again just after its first answers: what came back is never asked again."""
    pytest.importorskip("httpx")
    make_manifest(tmp_path, 12, audio=True)
    asked: list[float] = []
    answered: list[float] = []
    body = json.dumps({"text": "yes"}).encode()

    def answer(connection: socket.socket) -> None:
        asked.append(time.monotonic())
        time.sleep(0.05)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        answered.append(time.monotonic())

    code = (
        "import sys\nfrom pathlib import Path\nfrom transcribe_child import go, spec\n"
        "if __name__ == '__main__':\n"
        "    s = go(Path(sys.argv[1]), Path(sys.argv[2]), [spec('openai-http', 'h', base_url=sys.argv[3], model='m', "
        "api_key_env='', concurrency=2)], workers=1)\n    print(s.engines['h'].asked_again)\n"
    )
    script = tmp_path / "paid.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    kills = 3
    with service(answer) as url:
        arguments = [sys.executable, str(script), str(tmp_path / "manifest.csv"), str(tmp_path / "run"), url]
        for kill in range(kills + 1):
            seen = len(answered)
            process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
            while kill < kills and process.poll() is None and len(answered) < seen + 3:
                time.sleep(0.005)
            if kill < kills:
                process.kill()
            out, _ = process.communicate(timeout=120)
    # Two requests at once: what is lost at a kill are two answers that are under way. Each is counted, and at most two more
    # that were noted and not sent yet.
    again = len(asked) - 12
    assert 0 <= again <= 2 * kills
    assert again <= int(out) <= again + 2 * kills
