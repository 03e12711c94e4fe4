"""A card whose prose claims what the runs do not support is not built."""

from __future__ import annotations

from pathlib import Path

import pytest
from card_runs import score_demo, write_prose

from asrfair.cards import OUTLINES, Evidence, gather, read_prose
from asrfair.cards.claims import checked
from asrfair.errors import InputError


@pytest.fixture(scope="module")
def evidence(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What the demo supports, with groups of fewer than five speakers suppressed."""
    return gather([score_demo(repository, tmp_path_factory.mktemp("claims") / "demo")])


def claim(evidence: Evidence, tmp_path: Path, text: str) -> str:
    """Return the section as a card would show it."""
    prose = read_prose(write_prose(tmp_path / "prose.toml", text), OUTLINES["aws"])
    return checked(prose, evidence)["overview"]


def shown(evidence: Evidence, group: str, column: str) -> str:
    """A percentage of the demo as people read it."""
    row = evidence.groups[evidence.groups["group"] == group].iloc[0]
    return f"{100 * row[column]:.1f}"


@pytest.mark.parametrize(
    "text",
    [
        "The service is fair.",
        "It works fairly for everybody.",
        "Results are unbiased.",
        "Results are un**biased**.",
        "Results are un\u200bbiased.",
        "It is bias-free, and bias free.",
        "It is free of bias.",
        "WER is below 95 %.",
        "WER is 5.0%.",
        "WER is 9**9**.9 % overall.",
        "WER is 99&#46;9&#37; overall.",
        "Accuracy is ninety-five percent.",
        "Nine out of ten words are right.",
        "It makes half as many errors.",
        "It is error-free.",
        "All groups see the same accuracy.",
        "It was tested with 5000 speakers.",
        "It was tested with ５０００ speakers.",
        "It works at 16 kHz with 3 % WER.",
        "It knows 16 kHz% WER.",
        "[link](https://example.org '99 % WER')",
        '{{ wer("pocketsphinx", "clean", "accent", "Welsh") }}',
        '{{ wer("whisper", "clean", "overall", "all") }}',
        '{{ __import__("os").system("true") }}',
        '{{ open("x") }}',
        "{{ wer }}",
        '{{ wer("pocketsphinx") }}',
        '{{ wer("a", "b", "c", "d", "e") }}',
        "[x](javascript:alert)",
    ],
)
def test_unsupported_claims_build_no_card(evidence: Evidence, tmp_path: Path, text: str) -> None:
    """Refused with the file and the line of the claim, however it is disguised."""
    with pytest.raises(InputError) as caught:
        claim(evidence, tmp_path, text)
    assert caught.value.line == 11
    assert caught.value.file == tmp_path / "prose.toml"


def test_supported_numbers_pass(evidence: Evidence, tmp_path: Path) -> None:
    """A number that its sentence names exactly, to the digit, may stand as it is."""
    wer, f1 = shown(evidence, "all", "rate"), shown(evidence, "female", "f1")
    assert f"a WER of {wer} %" in claim(evidence, tmp_path, f"Overall a WER of {wer} % was seen.")
    assert f"was {f1} %" in claim(evidence, tmp_path, f"F1 was {f1} % for female.")
    assert "24 speakers" in claim(evidence, tmp_path, "Overall it was tested with 24 speakers.")


def test_a_true_number_of_somebody_else_is_refused(evidence: Evidence, tmp_path: Path) -> None:
    """The WER of everybody is no claim about a group, nor about a group that the runs do not have."""
    wer = shown(evidence, "all", "rate")
    for sentence in (f"For female speakers the WER was {wer} %.", f"For Welsh speakers the WER was {wer} %."):
        with pytest.raises(InputError, match="do not support"):
            claim(evidence, tmp_path, sentence)


def test_references_are_filled_in(evidence: Evidence, tmp_path: Path) -> None:
    """References become the published numbers, floors and their bounds too."""
    text = claim(
        evidence,
        tmp_path,
        'For men {{ wer("pocketsphinx", "clean", "gender", "male") }}, {{ speakers("pocketsphinx", "clean", "gender", '
        '"male") }} speakers; floor {{ f1_floor("pocketsphinx", "clean") }}.',
    )
    assert f"For men {shown(evidence, 'male', 'rate')}\u00a0%, 16 speakers;" in text
    floor = next(f for f in evidence.floors if f.measure == "f1")
    assert f"floor {100 * (floor.value or 0):.1f}\u00a0%." in text


def test_a_suppressed_number_cannot_be_said(repository: Path, tmp_path: Path) -> None:
    """A reference to a suppressed group is refused."""
    few = gather([score_demo(repository, tmp_path / "demo")], smallest=9)
    with pytest.raises(InputError, match="suppressed"):
        claim(few, tmp_path, '{{ wer("pocketsphinx", "clean", "accent", "Scottish English") }}')


@pytest.mark.parametrize("phrase", ["95 %", "1 in 5 errors", "WER 3", "5000 speakers"])
def test_nobody_can_vouch_for_a_result(evidence: Evidence, tmp_path: Path, phrase: str) -> None:
    """Phrases about how well the service works are not to be vouched for."""
    path = write_prose(tmp_path / "prose.toml")
    path.write_text(path.read_text(encoding="utf-8").replace('"16 kHz"', f'"{phrase}"'), encoding="utf-8")
    with pytest.raises(InputError, match="vouch"):
        checked(read_prose(path, OUTLINES["aws"]), evidence)


def test_names_with_digits_are_no_claims(evidence: Evidence, tmp_path: Path) -> None:
    """F1, and what the author vouches for, may be written."""
    assert "F1 is explained" in claim(evidence, tmp_path, "F1 is explained below; audio has 16 kHz.")
