"""Holds an author's prose to the runs: numbers come from them or the card does not build.

A number is written as a reference, ``{{ wer("whisper-small", "clean", "accent", "us") }}``, or it must be, to the digit
shown, a published number of something that its own sentence names. Words that say a service treats everybody alike are
refused: tables assess and locate gaps. Checks look at the text as it will be read: emphasis, entities and invisible
characters hide nothing.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markdown_it import MarkdownIt

from asrfair.cards.evidence import Evidence
from asrfair.cards.floors import Floor
from asrfair.cards.prose import AuthorProse, Text
from asrfair.cards.suppression import SUPPRESSED
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.say import words
from asrfair.types import OVERALL_ATTRIBUTE

_REFERENCE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_MARK: Final = re.compile("\ue000(\\d+)\ue001")
_REFUSED: Final = re.compile(
    r"\b(?:fair(?:ly|er|est)?(?!-speech\b)|un-?biased|non-?biased|bias[\s-]?free|free\s+(?:of|from)\s+(?:any\s+)?bias"
    r"|(?:no|without(?:\s+any)?|zero)\s+bias|bias(?:es)?\s+(?:was|were|is|has been)\s+(?:removed|eliminated))\b",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"(?<![\w.])\d[\d\u202f\u00a0,]*(?:\.\d+)?(?:\s?%|\s?‰|\s+per\s?cent\b|\s+percent(?:age)?\b)?|\d"
)
_SPELLED: Final = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|half|third|quarter|all)\b"
    r"[\s-]*(?:[a-z]+[\s-]+)?(?:per\s?cent|percent(?:age)?|%|out of|in\s+(?:ten|twenty|a hundred|every|five|four)\b"
    r"|of (?:all )?(?:words|the words))"
    r"|\b(?:twice|half|double|thrice)\s+(?:as|the)\b|\b(?:error|mistake|flaw)[\s-]?(?:free|less)\b|\bperfect(?:ly)?\b"
    r"|\b(?:equal|same)\s+(?:accuracy|performance|error rates?)\b|\bequally\s+well\b",
    re.IGNORECASE,
)
_ABOUT_QUALITY: Final = re.compile(
    r"%|‰|per\s?cent|accura|error|wer\b|\bf1\b|precision|recall|correct|speakers|groups", re.IGNORECASE
)
_FIELDS: Final[Mapping[str, tuple[str, words.Kind]]] = {
    "wer": ("rate", "percent"),
    "wer_low": ("ci_low", "percent"),
    "wer_high": ("ci_high", "percent"),
    "f1": ("f1", "percent"),
    "f1_low": ("f1_ci_low", "percent"),
    "f1_high": ("f1_ci_high", "percent"),
    "speakers": ("speakers", "count"),
    "utterances": ("utterances", "count"),
    "words": ("ref_words", "count"),
}
"""Function of a reference → the column it reads and how it is shown."""
_FLOORS: Final = {
    "f1_floor": ("f1", "value"),
    "f1_floor_bound": ("f1", "bound"),
    "wer_ceiling": ("wer", "value"),
    "wer_ceiling_bound": ("wer", "bound"),
}
_MEASURES: Final = ((r"\bwer\b|\bword error rate", "rate"), (r"\bf1\b", "f1"))
_COUNTS: Final = ((r"\bspeakers?\b", "speakers"), (r"\butterances?\b", "utterances"), (r"\bwords?\b", "ref_words"))
_EVERYBODY: Final = re.compile(r"\b(?:overall|everybody|everyone|all speakers)\b", re.IGNORECASE)
_NAMES: Final = ("engine", "condition", "attribute", "group")


@dataclass(frozen=True, kw_only=True)
class _Place:
    prose: AuthorProse
    text: Text

    def at(self, message: str, found: re.Match[str], first: int, remedy: str) -> InputError:
        """Build an error about a match in a sentence that begins on line ``first`` of the section (from 0)."""
        line = self.text.line + first + found.string[: found.start()].count("\n")
        return InputError(message, file=self.prose.path, line=line, value=found.group().strip(), remedy=remedy)

    def error(self, message: str, found: str, remedy: str) -> InputError:
        lines = self.text.markdown.splitlines()
        at = next((n for n, line in enumerate(lines) if found in line), 0)
        return InputError(message, file=self.prose.path, line=self.text.line + at, value=found, remedy=remedy)


def checked(prose: AuthorProse, evidence: Evidence) -> dict[str, str]:
    """Return each section's Markdown with its references filled in.

    Raises:
        InputError: A reference names nothing, a number is not supported, or a word is refused; with file and line.
    """
    for phrase in prose.vouched:
        if _ABOUT_QUALITY.search(_readable(phrase)):
            raise InputError(
                "this phrase speaks of how well the service works, which nobody can vouch for",
                file=prose.path,
                value=phrase,
                remedy="Write the number as a reference to a run",
            )
    for _, value in prose.details:
        word = _REFUSED.search(_readable(value))
        if word:
            raise InputError("a card does not say this", file=prose.path, value=word.group(), remedy=_SAY_INSTEAD)
        if _ABOUT_QUALITY.search(_readable(value)) and _NUMBER.search(_readable(value)):
            raise InputError(
                "a detail of the service makes a claim",
                file=prose.path,
                value=value,
                remedy="Put it into the prose, as a reference",
            )
    return {key: _filled(text, _Place(prose=prose, text=text), evidence) for key, text in prose.texts.items()}


_SAY_INSTEAD: Final = "Say which groups were assessed and what was found; the tables locate gaps, they prove no absence"


def _filled(text: Text, place: _Place, evidence: Evidence) -> str:
    link = re.search(r"\]\(\s*<?\s*(?:javascript|vbscript|data|file):[^)\s]*", text.markdown, re.IGNORECASE)
    if link:
        raise place.error("a link of this kind runs or opens something", link.group(), "Link to https://")
    if "\ue000" in text.markdown or "\ue001" in text.markdown:
        raise place.error("a private-use character cannot be printed", "\ue000", "Delete it")
    values: list[str] = []

    def remember(match: re.Match[str]) -> str:
        values.append(_value(match.group(1).strip(), match.group(), place, evidence))
        return f"\ue000{len(values) - 1}\ue001"

    marked = _REFERENCE.sub(remember, text.markdown)
    for line, passage in _passages(marked):
        _check(passage, line, place, evidence)
    return _MARK.sub(lambda match: values[int(match.group(1))], marked)


def _value(expression: str, whole: str, place: _Place, evidence: Evidence) -> str:
    name, given, named = _call(expression, whole, place)
    try:
        if name in _FIELDS:
            column, kind = _FIELDS[name]
            row = evidence.row(**{"run": "", **dict(zip(_NAMES, given, strict=False)), **named})
            value = row.get(column)
        else:
            measure, part = _FLOORS[name]
            value, kind = (
                getattr(_floor(evidence, measure, {**dict(zip(_NAMES, given, strict=False)), **named}), part),
                "percent",
            )
    except TypeError as error:
        raise place.error("a reference needs engine, condition, attribute and group", whole, _USAGE) from error
    except InputError as error:
        raise InputError(
            error.message,
            file=place.prose.path,
            line=place.error("", whole, "").line,
            value=error.value or whole,
            remedy=error.remedy,
        ) from error
    if words.missing(value):
        raise place.error("the run has no such number", whole, "The group has no interval or no words; leave it out")
    return words.percent(value) if kind == "percent" else words.number(value, kind)


_USAGE: Final = (
    'Write it as {{ wer("ENGINE", "CONDITION", "ATTRIBUTE", "GROUP") }}, with run="NAME" where several runs have it'
)


def _call(expression: str, whole: str, place: _Place) -> tuple[str, list[str], dict[str, str]]:
    try:
        call = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise place.error("the reference cannot be read", whole, _USAGE) from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise place.error("the reference cannot be read", whole, _USAGE)
    known = (*_FIELDS, *_FLOORS)
    if call.func.id not in known:
        raise place.error("there is no such reference", whole, did_you_mean(call.func.id, known))
    parts = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not all(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts):
        raise place.error("the names in a reference stand in quotes", whole, _USAGE)
    allowed = _NAMES if call.func.id in _FIELDS else _NAMES[:2]
    if len(call.args) > len(allowed) or any(keyword.arg not in {*allowed, "run"} for keyword in call.keywords):
        raise place.error(f"the reference takes {', '.join(allowed)} and run", whole, _USAGE)
    given = [str(part.value) for part in call.args if isinstance(part, ast.Constant)]
    named = {str(k.arg): str(k.value.value) for k in call.keywords if isinstance(k.value, ast.Constant)}
    return call.func.id, given, named


def _floor(evidence: Evidence, measure: str, wanted: Mapping[str, str]) -> Floor:
    found = [f for f in evidence.floors if f.measure == measure]
    for name, value in wanted.items():
        known = list(dict.fromkeys(str(getattr(f, name)) for f in found))
        found = [f for f in found if getattr(f, name) == value]
        if not found:
            raise InputError(f"the runs have no such {name}", value=value, remedy=did_you_mean(value, known))
    if len(found) > 1:
        raise InputError(
            "several runs, engines or conditions have this number", remedy="Name the engine, the condition and run"
        )
    return found[0]


def _passages(markdown: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a text as a reader will see them, without mark-up, each with its first line (from 0)."""
    for token in MarkdownIt("commonmark", {"html": False}).parse(markdown):
        text = token.content if token.type in {"fence", "code_block", "html_block"} else ""
        if token.type == "inline":
            text = "".join(_seen(child) for child in token.children or [])
        text = _readable(text)
        first = token.map[0] if token.map else 0
        start = 0
        for end in [match.end() for match in re.finditer(r"[.!?]\s+(?=[^a-z\d])", text)] + [len(text)]:
            if text[start:end].strip():
                yield first + text[:start].count("\n"), text[start:end]
            start = end


def _seen(token: Any) -> str:
    if token.type in {"softbreak", "hardbreak"}:
        return "\n"
    title = str(token.attrGet("title") or "")
    return str(token.content) + (f" {title} " if title else "")


def _readable(text: str) -> str:
    """Return text with look-alike forms folded and invisible characters gone."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if unicodedata.category(c) not in {"Cf", "Mn"})


def _check(passage: str, line: int, place: _Place, evidence: Evidence) -> None:
    word = _REFUSED.search(passage)
    if word:
        raise place.at("a card does not say this", word, line, _SAY_INSTEAD)
    spelled = _SPELLED.search(passage)
    if spelled:
        raise place.at("a result in words cannot be checked", spelled, line, _USAGE)
    rest = _MARK.sub(" ", passage)
    for phrase in sorted(place.prose.vouched, key=len, reverse=True):
        rest = re.sub(rf"(?<!\w){re.escape(_readable(phrase))}(?![\w%])(?!\s*(?:%|per))", " ", rest) if phrase else rest
    plain = re.sub(r"\bF1\b", " ", rest)
    for name in sorted(_known_names(evidence), key=len, reverse=True):
        plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", plain)
    for match in _NUMBER.finditer(plain):
        if not _supported(match.group(), rest, evidence):
            raise place.at(
                "the runs do not support this number, or its sentence does not say exactly what it is of",
                match,
                line,
                f'{_USAGE}; list a number that is no result, such as "16 kHz", under [card] vouched',
            )


def _known_names(evidence: Evidence) -> set[str]:
    frame = evidence.groups
    names = {
        _readable(str(name)) for column in ("run", "engine", "condition", "group") for name in frame[column].unique()
    }
    # A name that is nothing but a number must not make that number free to claim.
    return {name for name in names if re.search(r"[^\W\d]", name)}


def _supported(number: str, passage: str, evidence: Evidence) -> bool:
    """Tell whether a number is, to the digit, the one published number that its sentence speaks of.

    The sentence must leave no doubt: one run, engine and condition, one group (or "overall", "everybody"), and for a
    percentage one measure.
    """
    frame = evidence.groups
    for column in ("run", "engine", "condition"):
        named = [name for name in frame[column].unique() if _says(passage, name)]
        if named:
            frame = frame[frame[column].isin(named)]
    groups = [g for g in frame.loc[frame["attribute"] != OVERALL_ATTRIBUTE, "group"].unique() if _says(passage, g)]
    longest = [g for g in groups if not any(g != other and g in other for other in groups)]
    if longest:
        frame = frame[frame["group"].isin(longest)]
    elif _EVERYBODY.search(passage):
        frame = frame[frame["attribute"] == OVERALL_ATTRIBUTE]
    else:
        return False
    if len(frame) != 1 or frame["flag"].iloc[0] == SUPPRESSED:
        return False
    share = re.search(r"%|per\s?cent", number, re.IGNORECASE)
    measures = _MEASURES if share else _COUNTS
    named = [column for pattern, column in measures if re.search(pattern, passage, re.IGNORECASE)]
    if not named or (share and len(named) > 1):
        return False
    value = re.sub(r"[\s,]", "", re.split(r"%|per", number)[0])
    if share:
        decimals = len(value.partition(".")[2])
        return decimals > 0 and value == f"{100 * float(frame[named[0]].iloc[0]):.{decimals}f}"
    return value in {f"{float(frame[column].iloc[0]):.0f}" for column in named}


def _says(passage: str, name: object) -> bool:
    return (
        bool(name) and re.search(rf"(?<!\w){re.escape(_readable(str(name)))}(?!\w)", passage, re.IGNORECASE) is not None
    )
