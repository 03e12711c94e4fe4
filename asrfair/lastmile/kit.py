"""Makes a kit: a folder with everything that a person who is no speech scientist needs to measure one room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from asrfair.data import container
from asrfair.data.tablefile import read_table, write_csv
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError
from asrfair.lastmile.pages import Page
from asrfair.lastmile.prompts import (
    EVERYDAY,
    PROMPTS_FILE,
    SENTENCES_FILE,
    SENTENCES_TEMPLATE,
    VOCABULARY_FILE,
    VOCABULARY_TEMPLATE,
    Prompt,
    make_prompts,
    read_prompts,
    read_vocabulary,
    write_prompts,
)
from asrfair.lastmile.settings import KIT_FILE, Kit, read_kit
from asrfair.runs.suite import read_key_terms
from asrfair.types import NOT_STATED

SPEAKERS_FILE = "speakers.csv"
MOST_NAME_BYTES = 200
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", *sorted(container.SUFFIXES))

_TEMPLATE = """\
# The settings of this test. Lines that start with # explain the line below them.
[kit]
# What you call this test; it stays here.
name = {name}
language = "en"
# How many people will read. Three a group is the least that says anything; ten is better.
speakers = {speakers}

[room]
# Lower-case letters, digits and '-'. Recordings of the empty room go into the folder room/.
name = "our-room"
# How much louder than the room people speak is measured on their recordings. To set it by hand, in decibels (12 is a
# desk in a busy room, 20 a quiet office), take the # off the next line.
# snr_db = 12.0

[engine]
# The recogniser that you use: `asrfair engines` lists them. Its options are in docs/engines.md.
name = "pocketsphinx"
options = {{}}

[benchmark]
# Speech that is put into your room: "demo" (ships, synthetic), or the path of a manifest of your own.
manifest = "demo"
severities = ["moderate"]

[groups]
# Whom to compare. Every name needs a section [attributes.NAME] below.
by = ["accent", "gender"]
min_speakers = 3

# What people are asked about themselves. They may leave it open. Only answers that stand under 'values' can ever
# leave this site in an export; any other answer leaves as "other".
[attributes.accent]
question = "Which accent do you have?"
values = ["local", "regional", "second-language"]

[attributes.gender]
question = "Your gender?"
values = ["female", "male", "non-binary"]

[scoring]
# How text is compared. "whisper-english" writes spoken digits as one number ("four seven" is 47); where people read
# single digits aloud, "basic" keeps them apart.
normalizer = "whisper-english"

[export]
# Fewer people than this never share a visible group in an export.
min_speakers = 3
# A person's row with fewer words than this stays here.
min_words = 10

[privacy]
# The most epsilon that all differentially private releases together may spend.
budget = 3.0
# Words of one person that such a release counts at most.
most_words = 300
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A kit that was made or refreshed, and its files."""

    kit: Kit
    prompts: tuple[Prompt, ...]
    files: tuple[Path, ...]


def init_kit(
    folder: Path, *, vocabulary: Path | None = None, sentences: Path | None = None, speakers: int | None = None
) -> Made:
    """Make a kit, or refresh the sheets of one whose ``kit.toml`` or ``vocabulary.txt`` was edited.

    ``kit.toml``, ``vocabulary.txt``, ``sentences.txt``, ``speakers.csv`` and recordings that are there are never touched.

    Args:
        folder: Where; it is made.
        vocabulary: The customer's words, one a line, copied into a new kit.
        sentences: Sentences to read in place of the everyday ones, one a line.
        speakers: How many people will read; for a new kit.

    Raises:
        InputError: The folder holds something else, or the prompts would change under recordings that are there.
    """
    new = not (folder / KIT_FILE).exists()
    if new and folder.is_dir() and any(folder.iterdir()):
        raise InputError("the folder is not empty and holds no kit", file=folder, remedy="Name a new folder")
    words = [] if vocabulary is None else read_key_terms(vocabulary)
    texts = list(EVERYDAY) if sentences is None else read_key_terms(sentences)
    if not new and not (vocabulary is None and sentences is None and speakers is None):
        raise InputError(
            "the kit exists already",
            file=folder,
            remedy=f"Edit its {VOCABULARY_FILE}, {SENTENCES_FILE} and {KIT_FILE}, then run init again without options",
        )
    if new:
        make_prompts(words, texts)
        folder.mkdir(parents=True, exist_ok=True)
        _write_lines(folder / VOCABULARY_FILE, VOCABULARY_TEMPLATE, words)
        _write_lines(folder / SENTENCES_FILE, SENTENCES_TEMPLATE, texts)
        text = _TEMPLATE.format(
            name=json.dumps(folder.resolve().name or "kit", ensure_ascii=True), speakers=speakers or 6
        )
        write_whole(folder / KIT_FILE, text)
    kit = read_kit(folder)
    prompts = _prompts(kit)
    files = [folder / KIT_FILE, folder / VOCABULARY_FILE, folder / SENTENCES_FILE]
    files += [write_prompts(prompts, folder), _speakers(kit)]
    for speaker in _speaker_names(kit):
        (kit.recordings / speaker).mkdir(parents=True, exist_ok=True)
    kit.room_folder.mkdir(exist_ok=True)
    files += consent_page(kit).write(folder / "CONSENT")
    files += _instructions(kit, prompts).write(folder / "INSTRUCTIONS")
    return Made(kit=kit, prompts=tuple(prompts), files=tuple(files))


def read_speakers(kit: Kit) -> pd.DataFrame:
    """Read ``speakers.csv``: ``speaker_id`` and one column an attribute, ``not_stated`` where nothing was stated.

    Raises:
        InputError: It is missing, lacks a column, or names a person twice.
    """
    path = kit.folder / SPEAKERS_FILE
    table = _speaker_table(path)
    for name in kit.questions:
        if name not in table.columns:
            raise InputError(
                "the table of speakers lacks a column", file=path, column=name, remedy="Add it; it may be empty"
            )
    table = table[["speaker_id", *kit.questions]].copy()
    for name in kit.questions:
        column = table[name].str.strip()
        table[name] = column.where(column != "", NOT_STATED)
    return table


def recordings_of(kit: Kit, speaker: str) -> dict[str, Path]:
    """Return the audio files in a speaker's folder by name without suffix; files of other kinds are left out."""
    folder = kit.recordings / speaker
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES}


def _prompts(kit: Kit) -> list[Prompt]:
    """Make the prompts; refuse to change them under recordings."""
    path = kit.folder / PROMPTS_FILE
    prompts = make_prompts(read_vocabulary(kit.folder), read_key_terms(kit.folder / SENTENCES_FILE))
    old = read_prompts(kit.folder) if path.is_file() else None
    if old is not None and old != prompts and any(recordings_of(kit, name) for name in _speaker_names(kit)):
        raise InputError(
            "the prompts would change, and people have read the old ones already",
            file=path,
            remedy="Make a new kit for the new prompts, or move the recordings away first",
        )
    return prompts


def _write_lines(path: Path, head: str, lines: Sequence[str]) -> None:
    write_whole(path, head + "".join(f"{line}\n" for line in lines))


def _speaker_names(kit: Kit) -> list[str]:
    path = kit.folder / SPEAKERS_FILE
    if path.is_file():
        return [str(name) for name in _speaker_table(path)["speaker_id"]]
    return [f"speaker-{number:02d}" for number in range(1, kit.speakers + 1)]


def _speaker_table(path: Path) -> pd.DataFrame:
    """Read ``speakers.csv`` and check the names, which are names of folders too.

    Raises:
        InputError: There is no column of names, or a name is empty, doubled or none that a folder can have.
    """
    table = read_table(path)
    if "speaker_id" not in table.columns:
        raise InputError("the table of speakers lacks a column", file=path, column="speaker_id", remedy="Add it")
    folders = table["speaker_id"].str.casefold()
    for number, name in enumerate(table["speaker_id"], start=1):
        plain = (
            name == name.strip()
            and name.isprintable()
            and not name.startswith(".")
            and not set(name) & set('/\\:*?"<>|')
        )
        if not name or not plain or len(name.encode("utf-8", "replace")) > MOST_NAME_BYTES:
            raise InputError(
                "a speaker's name must be one that a folder can have",
                file=path,
                line=number,
                column="speaker_id",
                value=name,
                remedy="Use letters, digits and '-', such as speaker-01",
            )
    if folders.duplicated().any():
        twice = str(table.loc[folders.duplicated(), "speaker_id"].iloc[0])
        raise InputError("two speakers have one name", file=path, column="speaker_id", value=twice, remedy="Rename one")
    return table


def _speakers(kit: Kit) -> Path:
    path = kit.folder / SPEAKERS_FILE
    if not path.exists():
        names = _speaker_names(kit)
        write_csv(
            pd.DataFrame({"speaker_id": names, **{name: [""] * len(names) for name in kit.questions}}), path, safe=False
        )
    return path


def consent_page(kit: Kit) -> Page:
    """Return what somebody agrees to before they are recorded."""
    page = Page(title="Consent to a recording", language=kit.language)
    page.text("We test how well a speech recogniser understands the people who work here, in the room where they work.")
    page.heading("What happens")
    page.items(
        [
            "You read some sentences aloud. This takes about ten minutes. You may stop at any time.",
            "You may answer a few questions about yourself, or leave them open.",
            "The recordings and transcripts stay on our own machines. If the recogniser is a service, it hears them.",
            (
                "Only counts may be passed on: how many words were read, how many were recognised, lost or added, for each "
                "group of people, under a code in place of your name. Groups that are too small are not shown."
            ),
            (
                "The test is of the recogniser, not of you. The report compares groups. Whoever runs the test here could see "
                "how you were recognised, and must not use it to judge you."
            ),
            "You may ask at any time to have your recordings deleted. Ask the person named below.",
        ]
    )
    page.heading("Agreement")
    for label in (
        "Name",
        "Code in this test (speaker-…)",
        "Date and signature",
        "Whom to ask, and until when recordings are kept",
    ):
        page.line(label)
    page.text("This sheet is a draft: have it checked by whoever answers for data protection where you are.")
    return page


def _instructions(kit: Kit, prompts: Sequence[Prompt]) -> Page:
    page = Page(title="How to record", language=kit.language)
    page.heading("Before you start")
    page.items(
        [
            "Use the microphone, the headset or the device that you use every day, in the room where you use it.",
            "Record one minute of the room while nobody speaks. Put the file into the folder room/.",
            "Each person reads and signs a CONSENT sheet.",
            "Fill in speakers.csv with a spreadsheet or a text editor: one line a person. What somebody does not want to say stays empty.",
            "Speak as you always do. Do not correct yourself: if you misread, record the sentence again.",
            "One file a sentence, WAV or FLAC. Leave half a second before and after.",
        ]
    )
    page.heading("What to ask each person")
    page.items([_question(kit, name) for name in kit.questions] or ["Nothing."])
    page.heading("What to read, and what to call the file")
    page.text("Each person has a folder of their own under recordings/, such as recordings/speaker-01/.")
    page.table(["File", "Sentence"], [(f"{p.prompt_id}.wav", p.text) for p in prompts])
    page.heading("Then, in a terminal")
    folder = kit.folder.resolve().name
    page.items(
        [
            f"asrfair lastmile check {folder}: says which recordings to make again, and why.",
            f"asrfair lastmile noise {folder}: turns the recordings of the room into a noise profile.",
            f"asrfair lastmile run {folder}: lets the recogniser hear everything. This takes some minutes.",
            f"asrfair lastmile report {folder}: who is understood worse, which of your words are lost, what to do.",
            f"asrfair lastmile export {folder}: shows exactly what would leave, and writes it only if you agree.",
        ]
    )
    return page


def _question(kit: Kit, name: str) -> str:
    """One question, the column that its answer goes into, and the answers that are told apart."""
    answers = f" One of: {', '.join(kit.values[name])}." if kit.values[name] else ""
    return f"{kit.questions[name] or f'{name}?'} (column {name}){answers}"
