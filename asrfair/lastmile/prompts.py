"""What people read aloud: everyday sentences, and sentences that carry the customer's own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asrfair.data.tablefile import read_table, write_csv
from asrfair.errors import InputError
from asrfair.runs.suite import read_key_terms

VOCABULARY_FILE = "vocabulary.txt"
SENTENCES_FILE = "sentences.txt"
PROMPTS_FILE = "prompts.csv"
MOST_PROMPTS = 500
_WORD = re.compile(r"[\w']+")

EVERYDAY = (
    "The window beside the stairs was open the whole night.",
    "Please bring the large box to the back of the hall.",
    "She walked along the river until it started to rain.",
    "We have to choose between the early train and the bus.",
    "A young man asked whether the other chair was free.",
    "Nothing on this page should be changed before Thursday.",
    "They usually measure the width first and then the height.",
    "Could you say that once more, and a little slower?",
    "Five of the thirteen boxes arrived without a label.",
    "The judge thought about the question for a good while.",
)
"""Written for this kit: short, without names or numbers that are read in several ways."""

CARRIERS = (
    "Please write down {0} and then {1}.",
    "The next entry is {0}, followed by {1}.",
    "I would like to ask about {0} and about {1}.",
    "First we talk about {0}, later about {1}.",
)
_LAST = "Please write down {0} once more."

VOCABULARY_TEMPLATE = """\
# Your own words: the names, products, commands and abbreviations that the recogniser must not lose.
# One word or phrase a line, written as you want to see it in a transcript. Then run `asrfair lastmile init` again.
"""

SENTENCES_TEMPLATE = """\
# What everybody reads, one sentence a line. Exchange them for sentences of your own work if you like.
"""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One sentence to read: ``prompt_id`` names the file that holds it."""

    prompt_id: str
    text: str


def read_vocabulary(folder: Path) -> tuple[str, ...]:
    """Return the customer's words, in the order of the list; empty where there is no list."""
    path = folder / VOCABULARY_FILE
    return tuple(dict.fromkeys(read_key_terms(path))) if path.is_file() else ()


def make_prompts(vocabulary: Sequence[str], sentences: Sequence[str] = EVERYDAY) -> list[Prompt]:
    """Return the sentences, then sentences for those words of the vocabulary that stand in none of them.

    Raises:
        InputError: They are too many for a person to read.
    """
    texts = list(sentences)
    read = [f" {' '.join(_WORD.findall(text.casefold()))} " for text in texts]
    carried = [
        word for word in vocabulary if not any(f" {' '.join(_WORD.findall(word.casefold()))} " in t for t in read)
    ]
    for number, start in enumerate(range(0, len(carried), 2)):
        pair = carried[start : start + 2]
        texts.append(CARRIERS[number % len(CARRIERS)].format(*pair) if len(pair) == 2 else _LAST.format(*pair))
    if len(texts) > MOST_PROMPTS:
        raise InputError(
            f"{len(texts)} prompts are more than the {MOST_PROMPTS} that a kit holds",
            remedy="Keep the words that matter most in the vocabulary list",
        )
    if not texts:
        raise InputError("there is nothing to read", remedy="Give sentences or a vocabulary list")
    width = max(2, len(str(len(texts))))
    return [Prompt(prompt_id=f"{number:0{width}d}", text=text) for number, text in enumerate(texts, start=1)]


def write_prompts(prompts: Sequence[Prompt], folder: Path) -> Path:
    """Write ``prompts.csv``."""
    import pandas as pd

    path = folder / PROMPTS_FILE
    write_csv(pd.DataFrame([{"prompt_id": p.prompt_id, "text": p.text} for p in prompts]), path, safe=False)
    return path


def read_prompts(folder: Path) -> list[Prompt]:
    """Read ``prompts.csv``.

    Raises:
        InputError: It is missing, lacks a column, or names a prompt twice.
    """
    path = folder / PROMPTS_FILE
    if not path.is_file():
        raise InputError("the kit has no prompts", file=path, remedy="Run: asrfair lastmile init FOLDER")
    table = read_table(path)
    for name in ("prompt_id", "text"):
        if name not in table.columns:
            raise InputError("the table of prompts lacks a column", file=path, column=name)
    if table["prompt_id"].duplicated().any():
        twice = str(table.loc[table["prompt_id"].duplicated(), "prompt_id"].iloc[0])
        raise InputError("a prompt stands there twice", file=path, value=twice)
    pairs = zip(table["prompt_id"], table["text"], strict=True)
    return [Prompt(prompt_id=str(name), text=str(text)) for name, text in pairs]
