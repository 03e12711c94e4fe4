"""A whole last-mile session: a person makes a kit, records with the usual mistakes, runs, reads, exports."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
import zlib
from pathlib import Path

import lastmile_session as person
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner

from asrfair.cli.lastmile import lastmile
from asrfair.errors import InputError

pytestmark = [pytest.mark.shared, pytest.mark.slow]

CANARY = "CANARYxq7"


def call(*arguments: object) -> str:
    """Run the command line; return what it printed."""
    done = CliRunner().invoke(lastmile, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def digits_dictionary(path: Path) -> Path:
    """Write a dictionary of the digits that lacks one of the customer's words: the recogniser must lose it."""
    from pocketsphinx import get_model_path

    wanted = (set(person.DIGITS) - {"zero"}) | {"please", "write", "then", "and", "the"}
    lines = Path(get_model_path("en-us"), "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if re.split(r"[ (]", line, maxsplit=1)[0] in wanted]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return path


def benchmark(folder: Path, shared: Path) -> Path:
    """A small benchmark of the customer's own: one digit a person, fewer words than may leave."""
    rows = [
        f"b-{CANARY}-{name},{name}-{CANARY},seven {CANARY},{shared / 'fsdd' / 'recordings' / f'7_{name}_0.wav'},{code}"
        for name, code in person.SPEAKERS.items()
    ]
    table = folder / f"benchmark-{CANARY}.csv"
    table.write_text("\n".join(["utterance_id,speaker_id,reference,audio,accent", *rows]) + "\n", encoding="utf-8")
    return table


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A kit that was recorded with mistakes, its room measured, and run."""
    folder = tmp_path_factory.mktemp("lastmile")
    (folder / "words.txt").write_text("\n".join(person.VOCABULARY), encoding="utf-8")
    (folder / "read.txt").write_text("\n".join(person.SENTENCES), encoding="utf-8")
    made = folder / "kit"
    call("init", made, "--vocabulary", folder / "words.txt", "--sentences", folder / "read.txt", "--speakers", 6)
    settings = made / "kit.toml"
    dictionary = digits_dictionary(folder / "digits.dict")
    text = settings.read_text(encoding="utf-8").replace("options = {}", f'options = {{ dict = "{dictionary}" }}')
    text = text.replace('normalizer = "whisper-english"', 'normalizer = "basic"')
    text = text.replace('manifest = "demo"', f'manifest = "{benchmark(folder, shared_data)}"')
    settings.write_text(text.replace(f'name = "{made.name}"', f'name = "{CANARY}"'), encoding="utf-8")
    person.record(made, shared_data)
    person.make_mistakes(made, shared_data)
    # Canaries: a speaker, answers, a file.
    (made / "recordings" / "jackson").rename(made / "recordings" / f"jackson-{CANARY}")
    speakers = made / "speakers.csv"
    changed = speakers.read_text(encoding="utf-8").replace("jackson", f"jackson-{CANARY}")
    speakers.write_text(changed.replace("yweweler,second-language", f"yweweler,{CANARY}"), encoding="utf-8")
    call("noise", made)
    call("run", made, "--workers", 1)
    return made


def test_every_mistake_is_found_in_plain_words(kit: Path) -> None:
    """Swapped, clipped, elsewhere, a word missing, copied, silent, forgotten: each is named for its own file."""
    findings = json.loads((kit / "check.json").read_text(encoding="utf-8"))
    found = {(item["speaker"].partition("-")[0], item["prompt"], item["kind"]) for item in findings}
    expected = {
        ("jackson", "01", "swapped"),
        ("jackson", "02", "swapped"),
        ("theo", "03", "clipped"),
        ("george", "04", "elsewhere"),
        ("lucas", "05", "missing_words"),
        ("nicolas", "06", "duplicate"),
        ("yweweler", "01", "silent"),
        ("yweweler", "06", "missing"),
    }
    assert expected == expected & found
    again = {(item["speaker"].partition("-")[0], item["prompt"]) for item in findings if item["severity"] == "again"}
    mistaken = {(speaker, prompt) for speaker, prompt, _ in expected}
    assert set() == again - mistaken
    lost = next(i["text"] for i in findings if i["kind"] == "missing_words" and i["speaker"] == "lucas")
    assert "“seven”" in lost
    assert "swapped" in (kit / "CHECK.md").read_text(encoding="utf-8")


def test_the_report_names_the_words_that_were_lost(kit: Path) -> None:
    """A word that the recogniser cannot know stands in the report, with what to do."""
    text = call("report", kit)
    assert "| zero |" in text
    assert "never came through: zero" in text
    assert "custom vocabulary" in text
    assert "What the room does" in text


def test_only_counts_leave_and_each_release_has_its_code(kit: Path, tmp_path: Path) -> None:
    """No canary, no word, no speaker is in the exported bytes, also after everything packed in them is unpacked."""
    shown = call("export", kit)
    out = tmp_path / "counts.json"
    assert not out.exists()
    code = re.findall(r"--sign-off ([0-9a-f]{12})", shown)[-1]
    call("export", kit, "--out", out, "--sign-off", code)
    first = out.read_bytes()
    # Each release has its number: the page has to be looked at again before the next.
    with pytest.raises(InputError, match="code"):
        call("export", kit, "--out", out, "--sign-off", code)
    assert first == out.read_bytes()
    for data in unpacked(first):
        text = data.lower()
        for secret in (CANARY, *person.SPEAKERS, "four seven", "seven", "nine", "zero", "our-room", "digits", ".wav"):
            assert secret.lower().encode() not in text, secret
    body = json.loads(first)["body"]
    assert {"room"} == {row[0] for row in body["rows"]}
    assert {"absent": 0, "groups_hidden": 3, "people": 3, "rows": 0} == body["withheld"]
    assert "other" not in {group for row in body["rows"] for group in row[4] if row[0] == "room"}


def unpacked(data: bytes, depth: int = 3) -> list[bytes]:
    """Return bytes, and what is compressed in them at any place."""
    found = [data]
    if not depth:
        return found
    for start in [m.start() for m in re.finditer(rb"\x1f\x8b|\x78[\x01\x5e\x9c\xda]|PK\x03\x04", data)]:
        for unpack in (gzip.decompress, zlib.decompress):
            try:
                found += unpacked(unpack(data[start:]), depth - 1)
            except (OSError, EOFError, zlib.error):
                continue
        try:
            with zipfile.ZipFile(io.BytesIO(data[start:])) as archive:
                for name in archive.namelist():
                    found += [name.encode(), *unpacked(archive.read(name), depth - 1)]
        except zipfile.BadZipFile:
            continue
    return found


def test_what_was_recorded_again_is_heard_again(kit: Path, shared_data: Path) -> None:
    """The same run goes on from its journal; a new recording under an old name is transcribed, not the old one kept."""
    name = "recordings/lucas/05.wav"
    before = transcripts(kit)
    assert "anew" not in call("run", kit, "--workers", 1, "--no-benchmark")
    assert before == transcripts(kit)
    soundfile.write(kit / name, person.spoken(shared_data, "lucas", person.SENTENCES[4]), person.RATE_HZ)
    assert "Something changed since the last run: it begins anew." in call("run", kit, "--workers", 1, "--no-benchmark")
    after = transcripts(kit)
    assert {"lucas/05"} == {key for key in before if before[key] != after[key]}


def transcripts(kit: Path) -> dict[str, str]:
    """What the recogniser made of people's recordings, by utterance."""
    table = pd.read_parquet(kit / "runs" / "room" / "hypotheses.parquet")
    return dict(zip(table["utterance_id"], table["hypothesis"].fillna(""), strict=True))
