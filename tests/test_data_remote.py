"""Audio on other machines: the same bytes of results as from files, whatever fails on the way, and nobody led astray."""

from __future__ import annotations

import os
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pandas as pd
import pytest
from stored_audio import BUCKET, https, in_parquet, in_tars, s3, tar_of, upload, with_audio
from transcribe_child import contents, make_manifest, spec

from asrfair.acoustics import parse_condition
from asrfair.data.audio import AudioError, probe_duration_s
from asrfair.data.manifest import read_manifest
from asrfair.data.stored import cache, objects, reading
from asrfair.data.stored.https import FetchError, _is_public
from asrfair.nightly.keys import _hash
from asrfair.recognise.transcribe import transcribe

pytest.importorskip("moto", reason="moto is not installed (make setup installs it)")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries that fail follow each other at once, and no memory of other tests."""
    monkeypatch.setattr(objects, "PAUSES_S", (0.0, 0.0, 0.0))
    for name in ("_stats", "_members", "_tables", "_single", "_lately"):
        monkeypatch.setattr(reading, name, reading._Memory(64))


def go(manifest: Path, run: Path, **more: object) -> dict[str, bytes]:
    """Transcribe in two places with an engine that answers with a digest of what it heard."""
    summary = transcribe(
        read_manifest(manifest, allow_remote=[f"s3://{BUCKET}"]),
        [spec("Listening", parallel="inline", **more)],
        [parse_condition(name) for name in ("clean", "voip-lossy@mild")],
        run,
        progress=False,
        workers=1,
    )
    assert {"ok": 24} == summary.counts
    return contents(run)


def test_scores_from_shards_tables_and_s3_are_those_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    """Tar shards, Parquet, and both and single files in S3 behind faults: the same bytes as from local files."""
    manifest = make_manifest(tmp_path, 12, audio=True)
    expected = go(manifest, tmp_path / "files")
    assert expected == go(in_tars(manifest), tmp_path / "tars")
    assert expected == go(in_parquet(manifest), tmp_path / "parquet")
    remote = f"s3://{BUCKET}"
    places = {
        "tars": with_audio(manifest, "s3-tars.csv", lambda n, name: f"{remote}/shards/{n // 4:03}.tar#{name}"),
        "parquet": with_audio(manifest, "s3-parquet.csv", lambda n, name: f"{remote}/test.parquet#audio/{n}"),
        "files": with_audio(manifest, "s3-files.csv", lambda n, name: f"{remote}/{name}"),
    }
    with s3(monkeypatch, tmp_path / "cache") as faults:
        for pattern in ("shards/*.tar", "*.parquet", "*.wav"):
            upload(tmp_path, pattern)
        faults.plan = lambda number: ("error", "", "short", "")[number % 4]
        for name, place in places.items():
            assert expected == go(place, tmp_path / f"s3-{name}"), name
        assert faults.reads > 20
        hashes = [
            [_hash(u.audio) for u in read_manifest(m, allow_remote=[remote]).utterances()] for m in places.values()
        ]
        assert hashes[0] == hashes[1] == hashes[2] == [_hash(u.audio) for u in read_manifest(manifest).utterances()]
        batched = go(places["tars"], tmp_path / "batched", max_batch=5)
    assert batched == go(manifest, tmp_path / "files-batched", max_batch=5)


def test_each_shard_is_fetched_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """Twelve recordings of three shards are three downloads, though the plan goes by length; a resume needs none."""
    manifest = make_manifest(tmp_path, 12, audio=True)
    in_tars(manifest)
    place = with_audio(manifest, "s3.csv", lambda n, name: f"s3://{BUCKET}/shards/{n // 4:03}.tar#{name}")
    rows = pd.read_csv(place)
    rows["duration_s"] = 0.4
    rows.to_csv(place, index=False)
    with s3(monkeypatch, tmp_path / "cache") as faults:
        upload(tmp_path, "shards/*.tar")
        go(place, tmp_path / "run")
        reads = [line for line in faults.seen if "bytes=" in line]
        assert ["000", "001", "002"] == sorted(line.split("/")[3][:3] for line in reads)
        go(place, tmp_path / "run")
        assert len(reads) == len([line for line in faults.seen if "bytes=" in line])


def test_what_cannot_be_had_is_in_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """An object that is not there, and one that never comes, are unreadable audio of those utterances alone."""
    manifest = make_manifest(tmp_path, 4, audio=True)
    place = with_audio(manifest, "s3.csv", lambda n, name: f"s3://{BUCKET}/{name}" + ("x" if n == 1 else ""))
    with s3(monkeypatch, tmp_path / "cache") as faults:
        upload(tmp_path, "u000[023].wav")
        upload(tmp_path, "*.csv")
        faults.plan = lambda number: "error" if "u0002.wav" in faults.seen[-1] else ""
        summary = transcribe(
            read_manifest(place, allow_remote=[f"s3://{BUCKET}"]),
            [spec("Listening", parallel="inline")],
            [parse_condition("clean")],
            tmp_path / "run",
            progress=False,
            workers=1,
        )
    assert {"ok": 2, "error": 2} == summary.counts
    errors = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet").set_index("utterance_id")["error"]
    assert "unreadable_audio: the audio cannot be read: there is no such object" == errors["u0001"]
    assert "unreadable_audio: the audio cannot be read: the store cannot be read from" == errors["u0002"]


@pytest.mark.slow
def test_a_store_that_falls_silent_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """A connection that stalls in the middle is given up and taken up again."""
    make_manifest(tmp_path, 1, audio=True)
    with s3(monkeypatch, tmp_path / "cache") as faults:
        upload(tmp_path, "*.wav")
        faults.plan = lambda number: "stall" if number == 0 else ""
        start = time.monotonic()
        assert probe_duration_s(f"s3://{BUCKET}/u0000.wav") == probe_duration_s(tmp_path / "u0000.wav")
        assert faults.reads >= 2
        assert time.monotonic() - start < 60


def test_the_cache_is_bounded_and_members_are_then_fetched_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    """What was used longest ago is thrown out; a member of a shard that was is a read of its own stretch."""
    shards = {f"{number}.tar": tar_of({"a": b"a" * 5000, "b": b"b" * 3000}) for number in range(3)}
    for name, content in shards.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("ASRFAIR_CACHE_GB", str(2.2 * len(shards["0.tar"]) / 1e9))
    with s3(monkeypatch, tmp_path / "cache") as faults:
        upload(tmp_path, "*.tar")
        for number in range(3):
            reading.open_stored(f"s3://{BUCKET}/{number}.tar#a")[0].close()
        held = [path for path in (tmp_path / "cache").iterdir() if len(path.name) == 48]
        assert 2 == len(held)
        assert all(path.stat().st_mode & 0o077 == 0 for path in held)
        stream, size = reading.open_stored(f"s3://{BUCKET}/0.tar#b")
        assert (b"b" * 3000, 3000) == (stream.read(), size)
        assert faults.seen[-1].endswith(f"bytes={tarred(shards['0.tar'])}")
        monkeypatch.setenv("ASRFAIR_CACHE_GB", "0.000001")
        (tmp_path / "3.tar").write_bytes(shards["0.tar"])
        upload(tmp_path, "3.tar")
        with pytest.raises(reading.StoredError, match="ASRFAIR_CACHE_GB"):
            reading.open_stored(f"s3://{BUCKET}/3.tar#a")


def tarred(content: bytes) -> str:
    """The stretch of ``b`` in a shard, as a request's header says it."""
    import io

    from asrfair.data.stored.tarshard import members_of

    place, size = members_of(io.BytesIO(content), len(content))["b"]
    return f"{place}-{place + size - 1}"


class Web(BaseHTTPRequestHandler):
    """Files with stretches, redirects to wherever a path says, and a note of the tokens that came."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes] = {}  # noqa: RUF012 -- a test sets it
    tokens: list[tuple[str, str | None]] = []  # noqa: RUF012
    stretches = True
    breaks = 0

    def do_GET(self) -> None:
        """Answer."""
        Web.tokens.append((self.headers["Host"].split(":")[0], self.headers.get("Authorization")))
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = Web.files.get(self.path.partition("?")[0])
        if content is None:
            self.send_error(404)
            return
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start, stop = int(first), int(last) + 1 if last else len(content)
        part = content[start:stop] if Web.stretches else content
        self.send_response(206 if Web.stretches else 200)
        if Web.stretches:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if len(part) > 1 and Web.breaks:
            Web.breaks -= 1
            self.wfile.write(part[: len(part) // 3])
            self.close_connection = True
            return
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("stretches", [True, False])
def test_https_is_read_though_it_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, stretches: bool
) -> None:
    """Two broken connections are taken up again, also where the server knows no stretches; a signature stays unsaid."""
    make_manifest(tmp_path, 1, audio=True)
    content = (tmp_path / "u0000.wav").read_bytes()
    monkeypatch.setenv("ASRFAIR_CACHE", str(tmp_path / "cache"))
    Web.files, Web.stretches, Web.breaks = {"/a.tar": tar_of({"u.wav": content}), "/u.wav": content}, stretches, 2
    with https(monkeypatch, Web, tmp_path) as server:
        for address in (f"{server}/u.wav?key=secret", f"{server}/a.tar?key=secret#u.wav"):
            assert probe_duration_s(address) == probe_duration_s(tmp_path / "u0000.wav")
        with pytest.raises(AudioError, match="answers 404") as caught:
            probe_duration_s(f"{server}/none.wav?key=secret")
        assert "secret" not in str(caught.value)
        plain = server.replace("https", "http")
        with pytest.raises(AudioError, match="http is not safe"):
            probe_duration_s(f"{plain}/u.wav")


def test_redirects_lead_into_no_private_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """To http, to a private address, round in a circle: refused. On the same host: followed, and only there with a token."""
    make_manifest(tmp_path, 1, audio=True)
    monkeypatch.setenv("ASRFAIR_CACHE", str(tmp_path / "cache"))
    Web.stretches, Web.breaks = True, 0
    Web.files = {"/u.wav": (tmp_path / "u0000.wav").read_bytes()}
    Web.files["/datasets/o/n/resolve/main/u.wav"] = Web.files["/u.wav"]
    with https(monkeypatch, Web, tmp_path) as server:
        port = server.rpartition(":")[2]
        assert probe_duration_s(f"{server}/to?/u.wav") > 0
        for target, why in (
            (f"https://localhost:{port}/u.wav", "private network"),
            (f"http://127.0.0.1:{port}/u.wav", "not https"),
            ("file:///etc/passwd", "not https"),
            (f"{server}/to?/loop", "answers 404"),
        ):
            with pytest.raises(AudioError, match=why):
                probe_duration_s(f"{server}/to?{target}")
        monkeypatch.setenv("HF_ENDPOINT", server)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        Web.tokens.clear()
        assert probe_duration_s("hf://datasets/o/n/u.wav") > 0
        assert {("127.0.0.1", "Bearer hf_secret")} == set(Web.tokens)
        Web.tokens.clear()
        monkeypatch.setattr("asrfair.data.stored.https._is_public", lambda address: True)
        monkeypatch.setenv("HF_ENDPOINT", f"{server}/to?https://localhost:{port}/u.wav?")
        assert probe_duration_s("hf://datasets/o/n2/u.wav") > 0
        assert ("localhost", None) in Web.tokens
        assert ("localhost", "Bearer hf_secret") not in Web.tokens


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_private_addresses_are_known_in_all_their_clothes(address: str, public: bool) -> None:
    """Loopback, private, link-local (the cloud's metadata), shared, multicast, and IPv4 inside IPv6."""
    assert public == _is_public(address)


def test_a_killed_download_leaves_nothing_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an object never takes the name of a whole one, and what is left behind goes after a day."""
    monkeypatch.setenv("ASRFAIR_CACHE", str(tmp_path))
    monkeypatch.setattr(objects, "PAUSES_S", ())

    def blocks(url: str, start: int, stop: int):
        yield b"half"
        raise FetchError("gone", again=False)

    monkeypatch.setattr(objects, "read", blocks)
    about = objects.Stat(size=8, version="1")
    with pytest.raises(FetchError, match="gone"):
        cache.fetched("s3://b/k", about)
    assert [".lock"] == [path.suffix for path in tmp_path.iterdir()]
    old = tmp_path / "x.123.part"
    old.write_bytes(b"of a killed process")
    os.utime(old, (1, 1))
    monkeypatch.setattr(objects, "read", lambda url, start, stop: iter([b"12345678"]))
    with cache.fetched("s3://b/k", about) as stream:
        assert b"12345678" == stream.read()
    assert not old.exists()
