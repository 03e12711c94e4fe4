"""Shards, tables and addresses from strangers: what is read is what is there, and nothing leaves its place."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_audio import in_parquet, in_tars, tar_of, with_audio
from transcribe_child import make_manifest

from asrfair.cli.main import run
from asrfair.data.audio import AudioError, TruncatedAudioError, load_clip, probe_duration_s
from asrfair.data.manifest import read_manifest
from asrfair.data.manifest.audiocheck import probe
from asrfair.data.stored.address import as_audio, is_allowed, parse, prefix_of, prefix_problem, store_problem
from asrfair.data.stored.parquetcell import CellError, Recordings
from asrfair.data.stored.reading import open_stored, sha256_of, stamp_of
from asrfair.data.stored.tarshard import ShardError, members_of
from asrfair.errors import InputError


def members(content: bytes) -> dict[str, tuple[int, int]]:
    """The members of a tar file in memory."""
    return members_of(io.BytesIO(content), len(content))


FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


@pytest.mark.parametrize("format_", FORMATS)
def test_members_lie_where_tarfile_finds_them(format_: int) -> None:
    """Names short and long, ASCII or not, and sizes around a block, in the three formats, agree with ``tarfile``."""
    long = "/".join(["a-folder-with-a-name"] * 6) + "/utterance.flac"
    names = ["a.flac", "./b/ü#1.wav", long, "empty"]
    if format_ != tarfile.USTAR_FORMAT:
        names.append("x" * 300 + "ß.wav")
    content = tar_of({name: name.encode() * 37 * (name != "empty") for name in names}, format_)
    with tarfile.open(fileobj=io.BytesIO(content)) as shard:
        expected = {item.name.removeprefix("./"): (item.offset_data, item.size) for item in shard}
    assert expected == members(content)


def test_folders_links_and_devices_are_no_recordings() -> None:
    """Only ordinary files are members; a link's name leads nowhere."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as shard:
        for number, kind in enumerate((tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)):
            about = tarfile.TarInfo(f"odd-{number}")
            about.type, about.linkname = kind, "/etc/passwd"
            shard.addfile(about)
        about = tarfile.TarInfo("real")
        about.size = 3
        shard.addfile(about, io.BytesIO(b"abc"))
    assert ["real"] == list(members(stream.getvalue()))


def header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A header with a right checksum and any size."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>not found</html>" * 100, "it is no tar file"),
        (b"\x1f\x8b" + b"\0" * 600, "compressed"),
        (header(b"a", b"%011o" % 3) + b"abc".ljust(512, b"\0") + b"\xff" * 512, "damaged"),
        (header(b"a", b"%011o" % (1 << 31), b"x"), "larger than any"),
        (header(b"a", b"%011o" % 4, b"L") + b"\0" * 512 + header(b"", b"%011o" % (1 << 22), b"K"), "larger than any"),
        (header(b"a", b"\xff" * 12), "impossible size"),
        (header(b"a", b"-1"), "impossible size"),
        (header(b"a", b"elephant"), "damaged"),
        (header(b"a", b"0", b"S"), "sparse"),
        (2 * (header(b"a", b"%011o" % 3) + b"abc".ljust(512, b"\0")), "two files of one name"),
        (header(b"a", b"%011o" % 20, b"x") + b"20 size=999999999999".ljust(512, b"\0"), "damaged"),
        (header(b"a", b"%011o" % 12, b"x") + b"12 size=-99\n".ljust(512, b"\0"), "impossible size"),
        (b"\0" * 1024, "empty"),
    ],
)
def test_hostile_shards_are_refused(content: bytes, why: str) -> None:
    """What is no tar file, damaged, ambiguous or wants memory is refused with a reason."""
    with pytest.raises(ShardError, match=why):
        members(content)


def test_any_mutation_of_a_shard_is_read_or_refused() -> None:
    """2,000 seeded mutations: no other error, no endless loop, no stretch before the start."""
    whole = tar_of({"a" * 120: b"1" * 700, "b/ü.wav": b"2" * 1500, "c": b""}, tarfile.PAX_FORMAT)
    for case in range(2000):
        draw = random.Random(case)
        content = bytearray(whole[: draw.randrange(len(whole))] if case % 5 == 0 else whole)
        for _ in range(draw.randrange(1, 6)):
            if content:
                content[draw.randrange(len(content))] = draw.randrange(256)
        if case % 2:  # a right checksum lets a mutation through to what reads it
            for start in range(0, len(content) - 511, 512):
                if content[start + 257 : start + 262] == b"ustar":
                    content[start + 148 : start + 156] = b" " * 8
                    content[start + 148 : start + 156] = f"{sum(content[start : start + 512]):06o}\0 ".encode()
        try:
            found = members(bytes(content))
        except ShardError:
            continue
        assert all(place >= 512 and size >= 0 for place, size in found.values()), case


def test_any_mutation_of_a_table_is_read_or_refused() -> None:
    """500 seeded mutations of a Parquet file: bytes, or an error of ours."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"audio": [{"bytes": b"x" * 50, "path": "a"}] * 20}), stream, row_group_size=6)
    whole = stream.getvalue()
    for case in range(500):
        draw = random.Random(case)
        content = bytearray(whole[: draw.randrange(len(whole))] if case % 7 == 0 else whole)
        for _ in range(draw.randrange(1, 5)):
            if content:
                content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            Recordings(io.BytesIO(bytes(content))).read("audio", case % 20)
        except CellError:
            continue


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60) | st.from_regex(r"(s3|https|hf|http|file)://.{0,40}(\.tar|\.parquet)?#.{0,20}"))
def test_any_text_is_an_address_or_a_path(text: str) -> None:
    """Nothing that a cell may hold breaks the reader of addresses, and what it takes apart can be put together again."""
    address = parse(text)
    assert text == (f"{address.store}#{address.member}" if address.member or text != address.store else address.store)
    as_audio(text)
    if address.remote:
        store_problem(address.store)
        prefix_problem(text)
        if not store_problem(address.store):
            assert not prefix_problem(prefix_of(address.store))
            assert is_allowed(address.store, [prefix_of(address.store)])


@pytest.mark.parametrize(
    ("store", "fine"),
    [
        ("s3://bucket/key.wav", True),
        ("https://example.org:8443/a.wav?signature=x", True),
        ("hf://datasets/owner/name@abc/data/a.parquet", True),
        ("http://example.org/a.wav", False),
        ("file:///etc/passwd", False),
        ("s3://bucket", False),
        ("https://user:password@example.org/a.wav", False),
        ("https://example.org/a/../b.wav", False),
        ("https://example.org/a/%2e%2E/b.wav", False),
        ("s3://bucket/a b.wav", False),
        ("https://[::1/a.wav", False),
        ("s3://bucket/\x1b[31m.wav", False),
    ],
)
def test_only_safe_addresses_are_stores(store: str, fine: bool) -> None:
    """Encrypted, plain to read, without passwords and without climbing."""
    assert fine == (store_problem(store) == "")


def test_what_is_allowed_ends_at_a_slash() -> None:
    """A bucket that begins like an allowed one is another bucket."""
    assert is_allowed("s3://mine/a.wav", ["s3://mine"])
    assert is_allowed("s3://mine/a/b.wav", ["s3://mine/a/"])
    assert not is_allowed("s3://mine-too/a.wav", ["s3://mine"])
    assert not is_allowed("https://example.org.evil/a.wav", ["https://example.org"])
    assert prefix_problem("s3://")
    assert prefix_problem("everything")


def test_nothing_is_fetched_unless_it_is_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest with audio elsewhere is refused, the error says how to allow it, and scoring needs no permission."""
    manifest = make_manifest(tmp_path, 3, audio=True)
    remote = with_audio(manifest, "remote.csv", lambda number, name: f"s3://bucket/shards/0.tar#{name}")
    with pytest.raises(InputError, match="nobody has allowed") as caught:
        read_manifest(remote)
    assert 'allow_remote = ["s3://bucket"]' in caught.value.remedy
    allowed = read_manifest(remote, allow_remote=["s3://bucket/shards"])
    assert "s3://bucket/shards/0.tar#u0000.wav" == next(allowed.utterances()).audio
    assert next(read_manifest(remote, allow_remote=None).utterances()).audio is None
    plain = with_audio(manifest, "plain.csv", lambda number, name: f"http://example.org/{name}")
    with pytest.raises(InputError, match="http is not safe"):
        read_manifest(plain, allow_remote=["https://example.org"])
    hypotheses = tmp_path / "h.csv"
    hypotheses.write_text("utterance_id,hypothesis\nu0000,the dog\n")
    score = ["score", "--manifest", str(remote), "--hypotheses", f"e={hypotheses}", "--out", str(tmp_path / "scored")]
    assert 0 == run([*score, "--no-html", "--draws", "100"])
    assert 2 == run(["manifest", "validate", str(remote)])
    assert "--allow-remote s3://bucket" in capsys.readouterr().out


def test_the_kit_fetches_nothing(tmp_path: Path) -> None:
    """The suites that a last-mile kit writes have no way to allow it."""
    import asrfair.lastmile

    folder = Path(asrfair.lastmile.__file__).parent
    assert not [path.name for path in folder.rglob("*.py") if "allow_remote" in path.read_text(encoding="utf-8")]


def test_a_shard_stays_in_the_folder(tmp_path: Path) -> None:
    """A shard outside, by path or by link, is refused as a file is; a member's name is no path."""
    inside = tmp_path / "corpus"
    inside.mkdir()
    manifest = make_manifest(inside, 2, audio=True)
    (tmp_path / "out.tar").write_bytes(tar_of({"../../etc/u.wav": (inside / "u0000.wav").read_bytes()}))
    (inside / "link.tar").symlink_to(tmp_path / "out.tar")
    for shard in ("../out.tar", "link.tar", str(tmp_path / "out.tar")):
        outside = with_audio(manifest, "outside.csv", lambda number, name: f"{shard}#../../etc/u.wav")  # noqa: B023
        with pytest.raises(InputError, match="leaves the manifest's folder"):
            read_manifest(outside)
    (inside / "in.tar").write_bytes((tmp_path / "out.tar").read_bytes())
    within = with_audio(manifest, "within.csv", lambda number, name: "in.tar#../../etc/u.wav")
    assert probe_duration_s(next(read_manifest(within).utterances()).audio) > 0


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        ("shards/000.tar#", "names no file of the shard"),
        ("test.parquet#audio", "names no cell"),
        ("test.parquet#audio/-1", "names no cell"),
        ("test.parquet#audio/01", "names no cell"),
    ],
)
def test_half_an_address_is_an_error_of_the_table(tmp_path: Path, audio: str, why: str) -> None:
    """Said when the manifest is read, with its line."""
    manifest = with_audio(make_manifest(tmp_path, 1, audio=True), "half.csv", lambda number, name: audio)
    with pytest.raises(InputError, match=why) as caught:
        read_manifest(manifest)
    assert 2 == caught.value.line


def test_the_same_samples_lengths_and_hashes_as_from_files(tmp_path: Path) -> None:
    """A recording in a shard or a table is the file that it was; ``validate`` and ``describe`` find nothing else."""
    manifest = make_manifest(tmp_path, 9, audio=True)
    expected = [load_clip(u, 16_000).samples.tobytes() for u in read_manifest(manifest).utterances()]
    hashes = [sha256_of(str(u.audio)) for u in read_manifest(manifest).utterances()]
    for other in (in_tars(manifest), in_parquet(manifest)):
        found = list(read_manifest(other).utterances())
        assert expected == [load_clip(u, 16_000).samples.tobytes() for u in found]
        assert hashes == [sha256_of(u.audio) for u in found]
        assert all(stamp_of(u.audio) is not None for u in found)
        assert not probe(str(found[0].audio)).problem
        assert 0 == run(["manifest", "validate", str(other)])
        assert 0 == run(["manifest", "describe", str(other), "--measure"])


def test_cut_shards_and_lost_members_are_unreadable_audio(tmp_path: Path) -> None:
    """What lies before the cut is read; the recording at the cut was cut short; what is not there is said so."""
    manifest = make_manifest(tmp_path, 4, audio=True)
    tars = in_tars(manifest)
    shard = tmp_path / "shards" / "000.tar"
    content = shard.read_bytes()
    place, size = members(content)["u0002.wav"]
    shard.write_bytes(content[: place + size // 2])
    first, _, third, fourth = read_manifest(tars).utterances()
    assert len(load_clip(first, 16_000).samples)
    with pytest.raises(TruncatedAudioError, match="cut short"):
        load_clip(third, 16_000)
    with pytest.raises(AudioError, match="no such file"):
        load_clip(fourth, 16_000)
    half = (tmp_path / "u0001.wav").read_bytes()
    (tmp_path / "half.tar").write_bytes(tar_of({"u.wav": half[: len(half) // 2]}))
    with pytest.raises(TruncatedAudioError, match="cut short"):
        load_clip(
            next(read_manifest(with_audio(manifest, "h.csv", lambda n, name: "half.tar#u.wav")).utterances()), 16_000
        )


def test_a_phone_s_recording_in_a_shard_is_decoded(tmp_path: Path) -> None:
    """Files that libsndfile cannot read go to FFmpeg's libraries from a stream too, by suffix or by how they begin."""
    av = pytest.importorskip("av", reason="PyAV is not installed (extra codecs)")
    import numpy as np

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as out:
        track = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.rate = 16_000
        for packet in [*track.encode(frame), *track.encode(None)]:
            out.mux(packet)
    (tmp_path / "a.tar").write_bytes(tar_of({"u.m4a": stream.getvalue()}))
    pq.write_table(pa.table({"audio": [stream.getvalue()]}), tmp_path / "a.parquet")
    for address in ("a.tar#u.m4a", "a.parquet#audio/0"):
        assert probe_duration_s(f"{tmp_path}/{address}") == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("cell", ["audio/20", "nothing/0", "number/0", "null/0", "path/0"])
def test_cells_without_recordings_are_refused(tmp_path: Path, cell: str) -> None:
    """A row or column that is not there, no bytes, or only a path."""
    pq.write_table(
        pa.table(
            {
                "audio": [b"x"] * 3,
                "number": [1, 2, 3],
                "null": pa.array([None] * 3, pa.binary()),
                "path": [{"path": "a.wav"}] * 3,
            }
        ),
        tmp_path / "t.parquet",
    )
    with pytest.raises(AudioError, match="the table cannot be used"):
        probe_duration_s(f"{tmp_path}/t.parquet#{cell}")


def test_a_pipe_or_folder_called_tar_is_not_read(tmp_path: Path) -> None:
    """A pipe would be waited for without end."""
    import os

    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "folder.tar").mkdir()
    for name in ("pipe.tar", "folder.tar"):
        with pytest.raises(AudioError, match="this is no file"):
            probe_duration_s(f"{tmp_path}/{name}#a.wav")


def test_a_shard_s_content_is_never_held_whole(tmp_path: Path) -> None:
    """A member is a window on the file: seeking and reading in it stay in it."""
    (tmp_path / "a.tar").write_bytes(tar_of({"a": b"0123456789", "b": b"never"}))
    stream, size = open_stored(f"{tmp_path}/a.tar#a")
    with stream:
        assert 10 == size
        assert b"0123456789" == stream.read()
        assert 8 == stream.seek(-2, io.SEEK_END)
        assert b"89" == stream.read(100)
        assert b"" == stream.read(5)
