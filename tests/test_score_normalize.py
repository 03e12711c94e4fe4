"""The text rules: exactly those published, under a name and a version."""

from __future__ import annotations

import csv
import importlib.metadata
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper_normalizer.english import EnglishTextNormalizer

from asrfair.errors import EnvironmentFailedError, InputError
from asrfair.scoring.normalize import NORMALIZERS, NormalizerFailedError, get_normalizer
from asrfair.scoring.normalize.whisper import MAX_NUMBER_WORDS, WhisperEnglish

PUBLISHED = EnglishTextNormalizer()
OURS = WhisperEnglish()

AWKWARD = """
half a and s st nd rd th 5 10 0 1 007 1,000 3.5 $5 £ €0 $0 ¢7 7¢ 5% % $ - – — ... .. . um uh hmm mm mhm
' " 's 'd 've been gone done got gotta gonna he's he'd won't i'ma imma y'all don't wanna mr mr. dr dr. st. ma'am
( (x x) ) [ ] < <b> <LAUGH> colour favour realise the cat é naïve ø ½ ² ٣ Σ ΟΔΟΣ ’ don’t a.b u.s. 1980s 5pm
p5 5th 21st twenty-one and-a-half half-hour don't, oh, two. 2. $2.50 1.2.3 _ _x o'clock 'em 'cause um's
uh-huh um' 'um x'um ™ ℡ 1s cents per percent +5 -5 n't 't rock'n'roll ..5 .5 a% %a a$ $a 1/2 <5 5>
"""
WORDS = [
    *sorted(PUBLISHED.standardize_numbers.words),
    *AWKWARD.split(),
    "he's um",
    "and a half",
    "'s gotta",
    "\u0301",
    "\u200b",
    "\xa0",
]
GAPS = [" "] * 8 + ["  ", "\t", "\n", "", "-", ", ", ". ", "'", " '", "\x1c", "\r\n", "\u2028"]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=12).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


def shared_texts(shared_data: Path) -> set[str]:
    """Every reference (with and without tags) and every hypothesis of EdAcc and Artie Bias."""
    texts: set[str] = set()
    for corpus in ("edacc", "artie_bias"):
        for path in [shared_data / corpus / "manifest.csv", *(shared_data / corpus / "hypotheses").glob("*.csv")]:
            with path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    texts.add(row.get("reference") or row.get("hypothesis") or "")
    return texts | {re.sub("<[A-Z_]+>", "", text) for text in texts}


@pytest.mark.slow
@pytest.mark.shared
def test_whisper_rules_are_the_published_ones_on_all_real_texts(shared_data: Path) -> None:
    """Every reference and hypothesis of the real data comes out as from whisper-normalizer 0.1.1."""
    texts = sorted(shared_texts(shared_data))
    assert len(texts) > 30_000
    different = [text for text in texts if OURS(text) != PUBLISHED(text)]
    assert [] == different


@settings(max_examples=600, derandomize=True, deadline=None)
@given(TEXTS)
def test_whisper_rules_are_the_published_ones_on_awkward_texts(text: str) -> None:
    """Numbers, contractions, brackets, symbols and odd spaces in any order come out as published."""
    assert PUBLISHED(text) == OURS(text)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(max_size=60))
def test_whisper_rules_are_the_published_ones_on_any_unicode(text: str) -> None:
    """Arbitrary characters come out as published."""
    assert PUBLISHED(text) == OURS(text)


@pytest.mark.parametrize(
    "text",
    [
        "5%AND-A-HALF 10",
        "and-a-half.5",
        "and a half hour",
        "he's gotta go",
        "he'd  been",
        "five dollars and seven cents",
        "the 'em",
        "um's fine",
        "5 s th",
        "hello... yes ...",
    ],
)
def test_rules_that_reach_across_tokens(text: str) -> None:
    """Texts in which one word changes what becomes of its neighbour come out as published."""
    assert PUBLISHED(text) == OURS(text)


@pytest.mark.parametrize(
    "text", [" " * 300_000, " " * 300_000 + "'x", "<" * 300_000, "(" * 300_000, "'" * 200_000, "\u0301" * 300_000]
)
def test_long_texts_of_nothing_takes_no_quadratic_time(text: str) -> None:
    """Texts for which the published expressions need minutes or hours are done in seconds."""
    start = time.process_time()
    OURS(text)
    assert time.process_time() - start < 10


def test_numbers_that_cannot_be_read_are_refused() -> None:
    """A number of 5,000 digits and endless number words fail with a reason instead of taking for ever."""
    normalizer = get_normalizer("whisper-english")
    with pytest.raises(NormalizerFailedError, match="whisper-english"):
        normalizer.words("9" * 5000)
    with pytest.raises(NormalizerFailedError, match="number words"):
        normalizer.words("one " * (MAX_NUMBER_WORDS + 1))


def test_basic_lower_cases_and_removes_ascii_punctuation() -> None:
    """Punctuation vanishes without a space in its place; other alphabets and accents stay."""
    assert ["twowave", "its", "café", "“quoted”"] == get_normalizer("basic").words("Two-wave it's  CAFÉ “quoted”!")


def test_none_only_splits() -> None:
    """The text stays as it is."""
    assert ["It's", "Two-Wave,", "NA"] == get_normalizer("none").words(" It's\tTwo-Wave,\nNA ")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("none", "none@1"),
        ("basic", "basic@1"),
        ("whisper-english", "whisper-english@0.1.1"),
        ("whisper-english@0.1.1", "whisper-english@0.1.1"),
        ("basic+dialect-english", "basic@1+dialect-english@1"),
        ("basic@1+dialect-english@1", "basic@1+dialect-english@1"),
        ("string:capwords", None),
    ],
)
def test_names_are_recorded_with_versions(name: str, label: str | None) -> None:
    """A normalizer is recorded with its version; one of the user's own with its module's version or hash."""
    recorded = get_normalizer(name).label
    assert recorded == label if label else re.fullmatch(r"string:capwords@[0-9a-f]{12}", recorded)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whisper", "whisper-english"),
        ("whisper-english@0.1.2", "0.1.1"),
        ("basic+dialects", "dialect-english"),
        ("basic+dialect-english@9", "version 1"),
        ("basic+dialect-english+dialect-english", "one set"),
        ("nowhere_at_all:function", "cannot be imported"),
        ("string:nothing", "cannot be imported"),
        ("string:digits", "not callable"),
        (":", "cannot be imported"),
        ("", "no normalizer"),
        ("a..b:c", "cannot be imported"),
        ("\x1b[31m", "no normalizer"),
    ],
)
def test_unknown_normalizers_are_explained(name: str, message: str) -> None:
    """A name that is not known, or in another version, is an input error with a way out."""
    with pytest.raises(InputError, match=message):
        get_normalizer(name)


def test_a_users_normalizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function or class of the user's own works, and its failures name it."""
    (tmp_path / "my_rules.py").write_text(
        "__version__ = '7'\n"
        "def shout(text): return text.upper()\n"
        "def broken(text): raise RuntimeError('no')\n"
        "def number(text): return 3\n"
        "class Rules:\n    version = '8'\n    def __call__(self, text): return text[::-1]\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert (["A", "B"], "my_rules:shout@7") == (
            get_normalizer("my_rules:shout").words("a b"),
            get_normalizer("my_rules:shout").label,
        )
        assert (["ba"], "my_rules:Rules@8") == (
            get_normalizer("my_rules:Rules").words("ab"),
            get_normalizer("my_rules:Rules").label,
        )
        with pytest.raises(NormalizerFailedError, match="RuntimeError: no"):
            get_normalizer("my_rules:broken").words("x")
        with pytest.raises(NormalizerFailedError, match="returned int"):
            get_normalizer("my_rules:number").words("x")
    finally:
        sys.modules.pop("my_rules", None)


def test_every_named_normalizer_loads_and_says_what_it_does() -> None:
    """The table of normalizers has a line of explanation for each, and each works."""
    for name, (_, line) in NORMALIZERS.items():
        assert line.endswith(".")
        assert ["two", "cats"] == get_normalizer(name).words("two cats") or name == "whisper-english"
    assert ["2", "cats"] == get_normalizer("whisper-english").words("two cats")


def test_another_release_of_the_rules_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another release of whisper-normalizer installed, whisper-english says which one to install."""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.2")
    with pytest.raises(EnvironmentFailedError, match=r"pip install whisper-normalizer==0\.1\.1"):
        get_normalizer("whisper-english")
