"""OpenAI's text rules for English, exactly those of whisper-normalizer 0.1.1, word by word instead of text by text.

The published code runs some sixty regular expressions over every text (about 0.2 ms). Nearly all of them look at
one token between white space at a time, so their outcome is remembered for every token; what looks further is handled
here:

* brackets, and an apostrophe after a space, which join tokens: applied to the text before it is split;
* ``'d been``, ``'s got`` … and ``and a half``, ``5 th``: such a text goes through the published order of steps;
* numbers: a run of number words is settled by the words of the run alone, so it is remembered as a whole;
* what remains of ``. $ %`` at the end: applied to the whole result.

The rules themselves (contractions, numbers, spellings) are the package's own objects. Texts for which the
published expressions take quadratic time (a megabyte of spaces or of opening brackets) take linear time here, with the
same result.
"""

from __future__ import annotations

import importlib.metadata
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from asrfair.errors import EnvironmentFailedError

VERSION = "0.1.1"
"""The release of whisper-normalizer whose rules are OpenAI's; later ones add rules of their own."""

MAX_NUMBER_WORDS = 10_000
"""Longest run of number words that is read; the time grows with its square, and nobody speaks one."""

_KEPT = ".%$¢€£"
_MEMORY = 200_000
"""Tokens and number runs that are remembered; enough for the vocabulary of any corpus, and a bound for hostile ones."""

_BRACKETS = re.compile(r"[<\[][^>\]]*[>\]]")
_PARENTHESES = re.compile(r"\(([^)]+?)\)")
_SPACE_APOSTROPHE = re.compile(r"(?<!\s)\s+'")
_TENSES = re.compile(r"'[ds] (?:been|gone|done|got|gotta)\b")
_DIGIT_COMMA = re.compile(r"(\d),(\d)")
_PERIOD = re.compile(r"\.([^0-9]|$)")
_LETTER_DIGIT = re.compile(r"([a-z])([0-9])")
_DIGIT_LETTER = re.compile(r"([0-9])([a-z])")
_DIGIT_SUFFIX = re.compile(r"([0-9])\s+(st|nd|rd|th|s)\b")
_SUFFIX_WORD = re.compile(r"(?:st|nd|rd|th|s)\b")
_SYMBOL = re.compile(r"[.$¢€£]([^0-9])")
_PERCENT = re.compile(r"([^0-9])%")
_ANY_SYMBOL = re.compile(r"[.$¢€£%]")
_SPACES = re.compile(r"\s+")


# What a token may need besides its own rules, or-ed over the tokens of a text.
_NUMBERS = 1  # a word of it takes part in numbers
_JOINS = 2  # it starts with an apostrophe, which takes the space before it away
_SUFFIX = 4  # its first word is one that a digit before it attracts
_HALF = 8  # it holds "half"
_AND = 16  # it is "and", which may stand inside a number and never changes outside of one


@dataclass(frozen=True, slots=True)
class _Token:
    """What one token becomes before numbers are read; ``plain`` is the final text unless ``needs`` has numbers."""

    words: tuple[str, ...]
    plain: str
    needs: int


class _Characters(dict[int, str]):
    """What each character becomes: kept symbols and letters stay, marks vanish, other symbols become a space."""

    def __init__(self, additional: dict[str, str]) -> None:
        super().__init__({ord(c): new for c, new in additional.items()} | {ord(c): c for c in _KEPT})

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        new = "" if category == "Mn" else " " if category[0] in "MSP" else character
        self[code] = new
        return new


class WhisperEnglish:
    """Normalize English text as OpenAI's Whisper does; call it with a text.

    Raises:
        EnvironmentFailedError: Another release of whisper-normalizer is installed.
        ValueError, AssertionError: The text has a number of thousands of digits, which the published code cannot read
            either, or more than :data:`MAX_NUMBER_WORDS` number words in a row.
    """

    version = VERSION

    def __init__(self) -> None:
        from whisper_normalizer.basic import ADDITIONAL_DIACRITICS
        from whisper_normalizer.english import EnglishTextNormalizer

        installed = importlib.metadata.version("whisper-normalizer")
        if installed != VERSION:
            raise EnvironmentFailedError(
                f"whisper-normalizer {installed} is installed; only {VERSION} has exactly OpenAI's rules",
                remedy=f"Run: pip install whisper-normalizer=={VERSION}",
            )
        published = EnglishTextNormalizer()
        self._fillers = re.compile(published.ignore_patterns)
        self._replacers = [(re.compile(pattern), new) for pattern, new in published.replacers.items()]
        self._any_replacer = re.compile("|".join(published.replacers))
        self._numbers = published.standardize_numbers
        self._number_words: set[str] = self._numbers.words
        self._spellings: dict[str, str] = published.standardize_spellings.mapping
        self._characters = _Characters(ADDITIONAL_DIACRITICS)
        self._tokens: dict[str, _Token] = {}
        self._plain: dict[str, str] = {}
        self._runs: dict[tuple[str, ...], str] = {}

    def __call__(self, text: str) -> str:
        """Return the normalized text, the same string that ``EnglishTextNormalizer()(text)`` returns."""
        text = _without_brackets(text.lower())
        tokens = text.split()
        if "'" not in text or not _TENSES.search(text):
            try:
                # Most texts: every token is known, and none takes part in numbers.
                return " ".join(filter(None, map(self._plain.__getitem__, tokens)))
            except KeyError:
                result = self._by_token(text, tokens)
                if result is not None:
                    return result
        return self._by_text(text)

    def _by_token(self, text: str, tokens: list[str]) -> str | None:
        """Put a text together from its tokens, or return ``None`` where a rule reaches across them."""
        entries, needs = self._look_up(tokens)
        if needs & _JOINS:
            text = _SPACE_APOSTROPHE.sub("'", self._fillers.sub("", text))
            if _TENSES.search(text):
                return None
            entries, needs = self._look_up(text.split())
        if needs & _HALF and any("and" in word for entry in entries for word in entry.words):
            return None
        if not needs & _NUMBERS:
            return " ".join([entry.plain for entry in entries if entry.plain])
        if needs & _SUFFIX:
            return None
        out: list[str] = []
        run: list[str] = []
        for entry in entries:
            if entry.needs & _NUMBERS:
                self._read_words(entry.words, run, out)
            elif entry.needs & _AND:
                run.append("and")
            elif entry.plain:
                if run:
                    self._end_run(run, out)
                out.append(entry.plain)
        self._end_run(run, out)
        return _without_symbols(" ".join(out))

    def _is_plain(self, word: str) -> bool:
        return word.isalpha() and word not in self._number_words

    def _end_run(self, run: list[str], out: list[str]) -> None:
        """Move a run of words that take part in numbers to the result, as numbers."""
        if not run:
            return
        if len(run) > MAX_NUMBER_WORDS:
            raise ValueError(f"more than {MAX_NUMBER_WORDS:,} number words in a row")
        key = tuple(run)
        run.clear()
        result = self._runs.get(key)
        if result is None:
            result = self._read_numbers(list(key))
            if len(self._runs) < _MEMORY and len(key) < 50:
                self._runs[key] = result
        if result:
            out.append(result)

    def _read_numbers(self, words: list[str]) -> str:
        text = self._numbers.postprocess(" ".join(w for w in self._numbers.process_words(words) if w is not None))
        return " ".join(self._spellings.get(word, word) for word in text.split())

    def _look_up(self, tokens: list[str]) -> tuple[list[_Token], int]:
        """Return what the tokens become, and what any of them needs."""
        known = self._tokens
        entries: list[_Token] = []
        needs = 0
        for token in tokens:
            entry = known.get(token)
            if entry is None:
                entry = self._read_token(token)
                if len(known) < _MEMORY and len(token) < 100:
                    known[token] = entry
                    if not entry.needs & ~(_SUFFIX | _AND):
                        self._plain[token] = entry.plain
            entries.append(entry)
            needs |= entry.needs
        return entries, needs

    def _read_token(self, token: str) -> _Token:
        text = self._fillers.sub("", token)
        joins = text.startswith("'")
        text = self._to_letters(text)
        text = _DIGIT_LETTER.sub(r"\1 \2", _LETTER_DIGIT.sub(r"\1 \2", text))
        words = tuple(_DIGIT_SUFFIX.sub(r"\1\2", text).split())
        needs = _JOINS if joins else 0
        if "half" in text:
            needs |= _HALF
        if words and _SUFFIX_WORD.match(words[0]):
            needs |= _SUFFIX
        if words == ("and",):
            needs |= _AND
        elif not all(self._is_plain(word) for word in words):
            needs |= _NUMBERS
        plain = " ".join([self._spellings.get(word, word) for word in words])
        return _Token(words=words, plain=plain, needs=needs)

    def _to_letters(self, text: str) -> str:
        """Apply contractions and titles, then commas, periods, symbols and diacritics, in the published order."""
        if self._any_replacer.search(text):
            for pattern, new in self._replacers:
                text = pattern.sub(new, text)
        text = _PERIOD.sub(r" \1", _DIGIT_COMMA.sub(r"\1\2", text))
        return unicodedata.normalize("NFKD", text).translate(self._characters)

    def _by_text(self, text: str) -> str:
        """Apply the published steps, after brackets, to a whole text."""
        text = self._to_letters(_SPACE_APOSTROPHE.sub("'", self._fillers.sub("", text)))
        out: list[str] = []
        run: list[str] = []
        self._read_words(self._numbers.preprocess(text).split(), run, out)
        self._end_run(run, out)
        return _without_symbols(" ".join(out))

    def _read_words(self, words: Sequence[str], run: list[str], out: list[str]) -> None:
        """Add words that may take part in numbers to the run, and others, spelled, to the result."""
        for word in words:
            if self._is_plain(word):
                if run:
                    self._end_run(run, out)
                out.append(self._spellings.get(word, word))
            else:
                run.append(word)


def _without_symbols(text: str) -> str:
    """Drop the symbols that no number needs."""
    if _ANY_SYMBOL.search(text):
        text = _PERCENT.sub(r"\1 ", _SYMBOL.sub(r" \1", text))
        text = _SPACES.sub(" ", text)
    return text


def _without_brackets(text: str) -> str:
    """Remove what stands in brackets; only up to the last closing one, which keeps the time linear."""
    if "<" in text or "[" in text:
        end = max(text.rfind(">"), text.rfind("]")) + 1
        if end:
            text = _BRACKETS.sub("", text[:end]) + text[end:]
    if "(" in text:
        end = text.rfind(")") + 1
        if end:
            text = _PARENTHESES.sub("", text[:end]) + text[end:]
    return text
