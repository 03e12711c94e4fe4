"""Reference variants: other spellings of what was said, and nothing else."""

from __future__ import annotations

import math

from asrfair.scoring.normalize import get_normalizer
from asrfair.scoring.normalize.variants import VARIANTS, Variants, count_readings, readings, with_choice


def variants(normalizer: str) -> Variants:
    """The dialect variants as a normalizer writes them."""
    return Variants(VARIANTS["dialect-english"], get_normalizer(normalizer).words)


def all_readings(normalizer: str, text: str) -> set[str]:
    """Every reading of a text."""
    words = get_normalizer(normalizer).words(text)
    return {" ".join(reading) for reading in readings(words, variants(normalizer).sites(words))}


def test_informal_and_full_forms_stand_for_each_other() -> None:
    """What was written as gonna may be read as going to, and the other way round."""
    assert {"we gonna go", "we going to go"} == all_readings("basic", "We gonna go")
    assert {"we gonna go", "we going to go"} == all_readings("basic", "We going to go")


def test_apostrophes_and_dropped_sounds() -> None:
    """'em is them, goin' is going, under rules that remove the apostrophe as well."""
    assert "get them" in all_readings("whisper-english", "get 'em")
    assert {"goin home", "going home"} == all_readings("whisper-english", "goin' home")


def test_habitual_be() -> None:
    """He be working may be read as he is working; other uses of be are left alone."""
    assert {"he be happy", "he is happy"} == all_readings("basic", "he be happy")
    assert {"to be or not to be"} == all_readings("basic", "to be or not to be")


def test_a_shared_form_does_not_make_the_others_equal() -> None:
    """Ain't may be isn't or didn't, but isn't is never didn't."""
    assert {"it aint so", "it isnt so"} == all_readings("basic", "it isn't so")
    assert {"it isnt so", "it didnt so"} < all_readings("basic", "it ain't so")


def test_forms_that_the_normalizer_makes_equal_are_no_variants() -> None:
    """whisper-english writes gonna as going to itself, so there is nothing to vary."""
    assert {"i am going to go"} == all_readings("whisper-english", "I'm gonna go") - {"imma go", "ima go"}


def test_the_written_reading_comes_first() -> None:
    """The first reading is the reference itself; their number is the product of the forms."""
    words = get_normalizer("none").words("we gonna want to see them")
    sites = variants("basic").sites(words)
    found = list(readings(words, sites))
    assert words == found[0]
    assert len(found) == count_readings(sites) == math.prod(len(forms) for _, _, forms in sites) > 4
    assert len(found) == len({tuple(reading) for reading in found})


def test_a_text_without_sites_has_one_reading() -> None:
    """Nothing to vary leaves the text, and the empty text, alone."""
    assert [["cat"]] == list(readings(["cat"], []))
    assert [[]] == list(readings([], []))
    assert ["cat"] == with_choice(["cat"], [], [])


def test_the_longest_form_counts() -> None:
    """I am going to is one place with its own forms, not the place of going to inside it."""
    assert "imma go" in all_readings("basic", "i am going to go")
