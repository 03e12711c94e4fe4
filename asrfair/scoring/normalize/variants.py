"""Readings of a reference that count as right: spellings of one and the same spoken form.

A corpus writes *going to* where its speakers say *gonna*, or the other way round; a recogniser that writes the other
one has heard what was said. A set of variants names such forms once, with a version, so that "it is only the spelling"
can be measured instead of argued: score with and without ``+dialect-english`` and compare.

Only the reference is varied, never the hypothesis, and only by the forms listed here (docs/normalizers.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_READINGS = 64
"""Readings of one reference that are tried one by one; with more, its places are settled one after the other."""

Site = tuple[int, int, tuple[tuple[str, ...], ...]]
"""A place in a reference: start, end, and the forms (words) that may stand there, the written one first."""


@dataclass(frozen=True, kw_only=True)
class VariantRules:
    """Groups of forms that may stand for each other, under a name and a version.

    Args:
        name: The name after the ``+`` of a normalizer.
        version: Changes whenever a form is added or taken away.
        groups: Each a tuple of forms, lower case. Every form of a group may stand for every other one; a form of
            several groups (*ain't*) does not make the others of these groups equal (*isn't*, *didn't*).
    """

    name: str
    version: str
    groups: tuple[tuple[str, ...], ...]


_PRONOUNS = {"i": "am", "you": "are", "he": "is", "she": "is", "it": "is", "we": "are", "they": "are"}

# Informal contractions that whisper-english expands as well are listed for the sake of the other normalizers.
_REDUCED = (
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("gotta", "got to"),
    ("hafta", "have to"),
    ("hasta", "has to"),
    ("useta", "used to"),
    ("supposta", "supposed to"),
    ("tryna", "trynna", "trying to"),
    ("finna", "fitna", "fixing to"),
    ("imma", "ima", "i'ma", "i am going to", "i'm going to", "i'm gonna"),
    ("oughta", "ought to"),
    ("kinda", "kind of"),
    ("sorta", "sort of"),
    ("lotta", "lot of"),
    ("outta", "out of"),
    ("cuppa", "cup of"),
    ("woulda", "would have", "would've"),
    ("coulda", "could have", "could've"),
    ("shoulda", "should have", "should've"),
    ("musta", "must have", "must've"),
    ("gimme", "give me"),
    ("lemme", "let me"),
    ("dunno", "don't know"),
    ("whatcha", "what are you"),
    ("betcha", "bet you"),
    ("gotcha", "got you"),
    ("c'mon", "cmon", "come on"),
    ("innit", "isn't it"),
    ("y'all", "yall", "you all"),
    ("'em", "em", "them"),
    ("'cause", "cause", "cuz", "cos", "coz", "because"),
    ("'bout", "bout", "about"),
    ("'til", "til", "till", "until"),
    ("'round", "round", "around"),
    ("ol'", "ol", "old"),
    ("ya", "ye", "you"),
    ("yer", "your"),
    ("d'you", "do you"),
    ("o'clock", "oclock"),
)
# th-stopping as some corpora spell it; the recogniser's spelling is the standard one.
_STOPPED = (("dem", "them"), ("dat", "that"), ("dis", "this"), ("dey", "they"), ("dere", "there"), ("wit", "with"))
_NEGATIONS = (
    ("ain't", "aint"),
    *(("ain't", full) for full in ("isn't", "aren't", "am not", "hasn't", "haven't", "didn't")),
)
_ING_WORDS = """
asking being calling coming doing eating everything feeling fixing getting giving going having hearing helping keeping
knowing leaving living looking making messing morning moving nothing paying playing putting running saying seeing
sitting sleeping something speaking standing starting staying taking talking telling thinking trying turning using
waiting walking wanting watching working writing
"""
_G_DROPPED = tuple((f"{verb[:-1]}'", verb[:-1], verb) for verb in _ING_WORDS.split())
_HABITUAL_BE = tuple((f"{pronoun} be", f"{pronoun} {verb}") for pronoun, verb in _PRONOUNS.items())

VARIANTS: dict[str, VariantRules] = {
    "dialect-english": VariantRules(
        name="dialect-english",
        version="1",
        groups=_REDUCED + _STOPPED + _NEGATIONS + _G_DROPPED + _HABITUAL_BE,
    )
}
"""The sets of variants that a normalizer's name may ask for."""


class Variants:
    """Variant rules as one normalizer writes them: forms that it makes equal are no variants.

    Args:
        rules: The rules.
        words: The normalizer, text to words; every form goes through it.
    """

    def __init__(self, rules: VariantRules, words: Callable[[str], list[str]]) -> None:
        self._forms: dict[str, list[tuple[str, ...]]] = {}
        self._others: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {}
        for group in rules.groups:
            forms = tuple(dict.fromkeys(form for form in (tuple(words(text)) for text in group) if form))
            for form in forms:
                known = self._others.get(form, (form,))
                self._others[form] = tuple(dict.fromkeys((*known, *forms)))
        for form in self._others:
            if len(self._others[form]) > 1:
                self._forms.setdefault(form[0], []).append(form)
        for candidates in self._forms.values():
            candidates.sort(key=len, reverse=True)

    def sites(self, words: Sequence[str]) -> list[Site]:
        """Return the places of a reference where another form may stand, left to right, the longest form first."""
        found: list[Site] = []
        position = 0
        while position < len(words):
            for form in self._forms.get(words[position], ()):
                end = position + len(form)
                if tuple(words[position:end]) == form:
                    found.append((position, end, self._others[form]))
                    position = end
                    break
            else:
                position += 1
        return found


def count_readings(sites: Sequence[Site]) -> int:
    """Return how many readings a reference has."""
    return math.prod(len(forms) for _, _, forms in sites)


def readings(words: Sequence[str], sites: Sequence[Site]) -> Iterator[list[str]]:
    """Yield every reading of a reference, the written one first."""
    choice = [0] * len(sites)
    while True:
        yield with_choice(words, sites, choice)
        for index in reversed(range(len(sites))):
            choice[index] += 1
            if choice[index] < len(sites[index][2]):
                break
            choice[index] = 0
        else:
            return


def with_choice(words: Sequence[str], sites: Sequence[Site], choice: Sequence[int]) -> list[str]:
    """Return the reading in which each place has the form of that number."""
    out: list[str] = []
    position = 0
    for (start, end, forms), number in zip(sites, choice, strict=True):
        out += words[position:start]
        out += forms[number]
        position = end
    out += words[position:]
    return out
