"""A question to the data: hypotheses that are tested together, their joint p-value, and what hangs on the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from asrfair.stats.claims.table import Row


@dataclass(frozen=True, kw_only=True)
class Question:
    """Hypotheses that are one family.

    Attributes:
        name: Its name in the table.
        p: P-value of "none of them is so".
        rows: Makes the rows at an error probability: their ``p`` allows for all others of the question, and their
            intervals hold together with that error. A row is affirmed where the question is and its ``p`` is at most
            the error, unless it has a ``flag``.
        children: Questions that are only asked where this one is answered with yes.
    """

    name: str
    p: float
    rows: Callable[[float], Iterator[Row]]
    children: tuple[Question, ...] = ()
