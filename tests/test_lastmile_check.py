"""The check of recordings leaves nobody out for an accent; what it hears wrongly is only listened to again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from asrfair.lastmile.check import check_kit
from asrfair.lastmile.kit import init_kit


@pytest.mark.shared
def test_nobody_is_left_out_for_an_accent(shared_data: Path, tmp_path: Path) -> None:
    """A child with a Mandarin accent reads ten sentences rightly: some are misheard, and all are kept."""
    folder = shared_data / "speechocean762"
    table = pd.read_csv(folder / "manifest.csv", dtype=str)
    rows = table[table["speaker_id"] == "9633"].head(10)
    sentences = tmp_path / "read.txt"
    sentences.write_text("".join(f"{text}\n" for text in rows["reference"]), encoding="utf-8")
    kit = init_kit(tmp_path / "kit", sentences=sentences, speakers=1).kit
    for number, path in enumerate(rows["audio_path"], start=1):
        shutil.copy(folder / path, kit.recordings / "speaker-01" / f"{number:02d}.flac")
    checked = check_kit(kit)
    assert 10 == checked.recordings
    assert [] == checked.of("again")
    assert {"wrong_sentence"} <= {item.kind for item in checked.of("listen")}


def test_answers_that_the_kit_does_not_name_are_noted(tmp_path: Path) -> None:
    """A slip such as "Female" becomes a group of its own: the check names it, and what was meant."""
    kit = init_kit(tmp_path / "kit", speakers=3).kit
    people = "speaker_id,accent,gender\nspeaker-01,local,Female\nspeaker-02,,female\nspeaker-03,second language,\n"
    (kit.folder / "speakers.csv").write_text(people, encoding="utf-8")
    notes = [item.text for item in check_kit(kit).findings if item.kind == "unknown_answer"]
    assert 2 == len(notes)
    assert "“second language” (accent) is none of local, regional, second-language" in notes[0]
    assert "second-language" in notes[0].partition("export.")[2]
    assert "“Female” (gender)" in notes[1]
