"""Nothing but counts leaves: secrets are planted wherever a kit holds text, and looked for in every exported byte."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import shutil
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner

from asrfair.cli.lastmile import lastmile
from asrfair.data.resources import shipped

# A plot of a group in a script that its font lacks shows boxes, and matplotlib says so.
pytestmark = pytest.mark.filterwarnings("ignore:Glyph .* missing from font")

CANARY = "CANARYxq7"
FOREIGN = "Žluťoučký-Ünal-鳥-CANARYxq7"
HEARD = "HEARDqz9 ünheard"
LONG = "long" * 40 + CANARY
SPEAKERS = [FOREIGN, CANARY, LONG, *(f"person-{number}-{CANARY}" for number in range(9))]


def call(*arguments: object) -> str:
    """Run the command line; return what it printed."""
    done = CliRunner().invoke(lastmile, [str(one) for one in arguments], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.output


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit that was run, full of secrets: names, answers, sentences, words, transcripts, paths, room, tags of files."""
    folder = tmp_path_factory.mktemp(f"kit-{CANARY}")
    (folder / "words.txt").write_text(f"{CANARY}\n{FOREIGN}\n", encoding="utf-8")
    (folder / "read.txt").write_text(
        f"the patient {CANARY} waits for news of the doctor\nplease call {FOREIGN} at noon on the next day\n",
        encoding="utf-8",
    )
    made = folder / f"site-{CANARY}"
    call("init", made, "--vocabulary", folder / "words.txt", "--sentences", folder / "read.txt")
    # A recogniser of the customer's own, whose module, folder, version and every transcript are secrets.
    source = made / f"engine-{CANARY}"
    source.mkdir()
    (source / f"engine_{CANARY}.py").write_text(
        f"def hear(samples, rate):\n    return ' '.join(['the waits', {HEARD!r}, {CANARY!r}, {FOREIGN!r}] * 2)\n",
        encoding="utf-8",
    )
    options = f'callable = "engine_{CANARY}:hear", source_dir = "{source}", version = "{FOREIGN}", parallel = "threads"'
    room = f"room-{CANARY.lower()}"
    texts = [
        ('language = "en"', 'language = "de"'),
        ('name = "our-room"', f'name = "{room}"'),
        ("Which accent do you have?", f"{FOREIGN}?"),
        ("[room]", "[room]\nsnr_db = 12.0"),
        ('name = "pocketsphinx"', 'name = "python"'),
        ("options = {}", f"options = {{ {options} }}"),
        ('manifest = "demo"', f'manifest = "{CANARY}-benchmark.toml"'),
    ]
    settings = (made / "kit.toml").read_text(encoding="utf-8")
    for old, new in texts:
        assert old in settings, old
        settings = settings.replace(old, new)
    (made / "kit.toml").write_text(settings, encoding="utf-8")
    people = pd.DataFrame(
        {
            "speaker_id": SPEAKERS,
            "accent": [FOREIGN, f"=cmd|{CANARY}", *["local"] * 5, *["regional"] * 5],
            "gender": [CANARY, *["female"] * 6, *["male"] * 5],
        }
    )
    people.to_csv(made / "speakers.csv", index=False)
    clips = sorted((shipped("manifests") / "demo" / "audio").glob("*.flac"))
    for number, name in enumerate(SPEAKERS):
        (made / "recordings" / name).mkdir()
        for sentence in range(2):
            samples, rate = soundfile.read(clips[(7 * number + sentence) % len(clips)], dtype="float32")
            path = made / "recordings" / name / f"0{sentence + 1}.wav"
            with soundfile.SoundFile(path, "w", rate, 1) as file:
                file.title = file.comment = f"{CANARY} {FOREIGN}"
                file.write(samples)
    shutil.copy(made / "recordings" / CANARY / "01.wav", made / "recordings" / CANARY / f"{FOREIGN}.wav")
    table = made / f"{CANARY}-benchmark.csv"
    bench = [
        (
            f"{CANARY}-{number}",
            f"{FOREIGN}-{number % 4}",
            f"{CANARY} is not {FOREIGN} today " * 4,
            str(clips[number]),
            "local",
        )
        for number in range(12)
    ]
    pd.DataFrame(bench, columns=["utterance_id", "speaker_id", "reference", "audio", "accent"]).to_csv(
        table, index=False
    )
    (made / f"{CANARY}-benchmark.toml").write_text(
        f'[manifest]\nname = "{FOREIGN}"\nversion = "{CANARY}"\ntable = "{table.name}"\nlicence = "{CANARY}"\n'
        f'[attributes.accent]\ndescription = "{FOREIGN}"\nprovenance = "self-reported"\n',
        encoding="utf-8",
    )
    samples, rate = soundfile.read(clips[0], dtype="float32")
    soundfile.write(made / "room" / f"{FOREIGN}.wav", 0.01 * samples[:rate].repeat(12), rate)
    call("noise", made)
    call("run", made, "--workers", 1)
    return made


@pytest.mark.slow
def test_the_canaries_are_where_they_should_not_leave_from(kit: Path) -> None:
    """The runs hold the secrets, so that the tests below look for something that is there."""
    for source in ("room", "benchmark"):
        hypotheses = pd.read_parquet(kit / "runs" / source / "hypotheses.parquet")["hypothesis"].fillna("")
        assert hypotheses.str.contains(HEARD, regex=False).all()
        utterances = pd.read_parquet(kit / "runs" / source / "utterances.parquet")
        for column in ("utterance_id", "speaker_id", "reference"):
            assert utterances[column].str.contains("CANARY", regex=False).any(), column
    assert CANARY in (kit / "runs" / "room" / "run.json").read_text(encoding="utf-8")


def test_no_canary_leaves_in_an_export(kit: Path, tmp_path: Path) -> None:
    """Counts of both sources leave; not one secret does, in no coding and in nothing that is packed."""
    code = call("export", kit).split()[-1]
    out = tmp_path / "counts.json"
    call("export", kit, "--out", out, "--sign-off", code)
    body = json.loads(out.read_text(encoding="utf-8"))["body"]
    assert {"room", "benchmark"} == {row[0] for row in body["rows"]}
    assert {"python"} == {row[1] for row in body["rows"]}
    assert {"clean", "own-room-1@moderate"} == {row[2] for row in body["rows"]}
    assert len(SPEAKERS) == len({row[3] for row in body["rows"] if row[0] == "room"})
    assert_clean(out.read_bytes())


def test_no_canary_leaves_in_a_private_release(kit: Path, tmp_path: Path) -> None:
    """Names of engine and condition leave as they do in an export; answers that kit.toml does not name, as other."""
    pytest.importorskip("opendp")
    code = call("export", kit, "--private", "1").split()[-1]
    out = tmp_path / "private.json"
    call("export", kit, "--private", "1", "--out", out, "--sign-off", code)
    tables = json.loads(out.read_text(encoding="utf-8"))["body"]["tables"]
    assert {("python", "clean")} == {tuple(row[:2]) for table in tables for row in table["rows"]}
    assert_clean(out.read_bytes())


def assert_clean(data: bytes) -> None:
    """Look for every secret in every coding, in the bytes and in what is packed in them."""
    everything = [one.lower() for one in unpacked(data)]
    for secret in (
        CANARY,
        FOREIGN,
        HEARD,
        "HEARDqz9",
        "waits",
        "Žluťoučký",
        "鳥",
        "Ünal",
        "patient",
        "noon",
        "room-canary",
        ".wav",
        ".csv",
    ):
        for coded in codings(secret):
            assert not [one for one in everything if coded.lower() in one], (secret, coded)
    for name in SPEAKERS:
        for hashed in (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.blake2b):
            assert hashed(name.encode()).hexdigest()[:12].encode() not in everything[0], name


def codings(secret: str) -> Iterator[bytes]:
    """Yield a text as it may stand in a file."""
    raw = secret.encode()
    yield from (raw, raw[::-1], secret.encode("utf-16-le"), secret.encode("utf-16-be"), raw.hex().encode())
    yield from (json.dumps(secret)[1:-1].encode(), urllib.parse.quote(secret).encode())
    for shift in range(3):
        # The letters of base64 that depend on the secret alone, wherever it starts.
        coded = base64.b64encode(b"\0" * shift + raw)[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
        if len(coded) >= 8:
            yield coded


def unpacked(data: bytes, depth: int = 3) -> list[bytes]:
    """Return bytes, and what is compressed in them at any place."""
    found = [data]
    if not depth:
        return found
    for start in range(len(data)):
        if data[start : start + 2] in {b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"}:
            for unpack in (gzip.decompress, zlib.decompress):
                try:
                    found += unpacked(unpack(data[start:]), depth - 1)
                except (OSError, EOFError, zlib.error):
                    continue
        if data[start : start + 4] == b"PK\x03\x04":
            try:
                with zipfile.ZipFile(io.BytesIO(data[start:])) as archive:
                    for name in archive.namelist():
                        found += [name.encode(), *unpacked(archive.read(name), depth - 1)]
            except zipfile.BadZipFile:
                continue
    return found


def test_the_search_finds_what_is_packed_and_coded() -> None:
    """The check above would notice: secrets that are compressed twice, or in base64, are found."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x", gzip.compress(f"... {CANARY} ...".encode()))
    coded = base64.b64encode(b"12345" + CANARY.encode() + b"6789")
    for data in (b"abc" + packed.getvalue(), zlib.compress(FOREIGN.encode()), coded, json.dumps(FOREIGN).encode()):
        with pytest.raises(AssertionError):
            assert_clean(data)
