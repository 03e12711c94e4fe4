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
from asrfair.lastmile.sheets import Instructions, read_sheets, sheets_file
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
# The sheets ship in de, en, es, fr, hi and zh; for another language put a sheets.toml beside this file.
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
    """A kit that was made or refreshed, its files, and the language and the file of the sheets' words."""

    kit: Kit
    prompts: tuple[Prompt, ...]
    files: tuple[Path, ...]
    language: str
    template: Path


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
    return Made(
        kit=kit,
        prompts=tuple(prompts),
        files=tuple(files),
        language=read_sheets(kit).language.split("-")[0].lower(),
        template=sheets_file(kit),
    )


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
    sheets = read_sheets(kit)
    words = sheets.consent
    page = Page(title=words.title, language=sheets.language)
    page.text(words.intro)
    page.heading(words.what_title)
    page.items(words.what)
    page.heading(words.agreement_title)
    for label in words.lines:
        page.line(label)
    page.text(words.draft)
    return page


def _instructions(kit: Kit, prompts: Sequence[Prompt]) -> Page:
    sheets = read_sheets(kit)
    words = sheets.instructions
    page = Page(title=words.title, language=sheets.language)
    page.heading(words.before_title)
    page.items(words.before)
    page.heading(words.ask_title)
    page.items([_question(kit, name, words) for name in kit.questions] or [words.nothing])
    page.heading(words.read_title)
    page.text(words.folders)
    page.table([words.file, words.sentence], [(f"{p.prompt_id}.wav", p.text) for p in prompts])
    page.heading(words.then_title)
    folder = kit.folder.resolve().name
    page.items(
        [
            f"asrfair lastmile {command} {folder}: {getattr(words, command)}"
            for command in ("check", "noise", "run", "report", "export")
        ]
    )
    return page


def _question(kit: Kit, name: str, words: Instructions) -> str:
    """One question, the column that its answer goes into, and the answers that are told apart."""
    answers = f" {words.one_of.replace('{values}', ', '.join(kit.values[name]))}" if kit.values[name] else ""
    return f"{kit.questions[name] or f'{name}?'} ({words.column.replace('{name}', name)}){answers}"
