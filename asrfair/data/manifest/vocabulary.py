"""Attributes with a fixed vocabulary: how somebody spoke (``style``) and in which state (``state``).

Words that mean the same in every manifest, so that manifests can be put together. As with every attribute, the card says
who says so; nothing here is guessed from a voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asrfair.data.manifest.card import AttributeCard
from asrfair.data.tablefile import TEXT
from asrfair.types import NOT_STATED


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """One such attribute.

    Attributes:
        description: What it says of an utterance.
        words: Value → what it means.
    """

    description: str
    words: Mapping[str, str]


VOCABULARIES: Mapping[str, Vocabulary] = {
    "style": Vocabulary(
        description="how it was spoken",
        words={
            "read": "from a text",
            "spontaneous": "without a text, nobody answering",
            "dictated": "meant to be written down, as letters and reports are",
            "conversational": "to somebody who answers: talk, interviews, calls",
        },
    ),
    "state": Vocabulary(
        description="the state in which it was spoken",
        words={
            "rested": "rested and at ease",
            "tired": "tired: late in a shift, after a night",
            "stressed": "under stress, in a hurry or in noise",
            "masked": "through a mask or another thing in front of the mouth",
        },
    ),
}


def described(name: str, card: AttributeCard) -> AttributeCard:
    """Return an attribute's card with the vocabulary's description and values where it has none of its own."""
    known = VOCABULARIES.get(name)
    if known is None:
        return card
    bare = card == AttributeCard()
    return replace(
        card,
        description=card.description or known.description,
        values=card.values or tuple(known.words),
        level="utterance" if bare else card.level,
    )


def unknown_rows(name: str, values: pa.Array) -> npt.NDArray[np.int64]:
    """Return the rows whose value is not in the attribute's vocabulary; none for an attribute that has none."""
    known = VOCABULARIES.get(name)
    if known is None:
        return np.zeros(0, dtype=np.int64)
    fine = pc.is_in(values, pa.array([NOT_STATED, *known.words], TEXT))
    return np.flatnonzero(~np.asarray(fine))


def remedy(name: str) -> str:
    """Return how to mend a value that is not in the vocabulary."""
    words = ", ".join(VOCABULARIES[name].words)
    return (
        f"Write one of {words}, or nothing; if the column means something else, rename it in the card: "
        f'[columns] my_{name} = "{name}"'
    )


def nobody(name: str, values: set[str]) -> tuple[str, ...]:
    """Return the words of an attribute's vocabulary that no utterance has; none for an attribute that has none."""
    known = VOCABULARIES.get(name)
    return () if known is None else tuple(word for word in known.words if word not in values)
