"""One family for a run: which questions are answered, at what level, and the adjusted p-value of every claim.

Questions form a tree (engine × condition × attribute; engine against engine; a condition's effect on everybody), with
further questions that are only asked where their parent is answered with yes. With m questions at the root of which R
are answered by the procedure of Benjamini & Hochberg, the claims within each answered question are tested together at
α R / m (Benjamini & Bogomolov 2014; the tree: Bogomolov, Peterson, Benjamini & Sabatti 2021), and their intervals hold
at that level (Benjamini & Yekutieli 2005). If nothing is there, at most a share α of runs affirms anything.

``strict`` controls the chance of even one false claim: every question at α / m.

Questions that were named before the data are a family of their own, tested first at the full level; the others are
tested only if one of them (``strict``: all of them) is answered with yes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from asrfair.stats.claims.question import Question
from asrfair.stats.claims.table import NOT_ASKED, Row
from asrfair.stats.compare.multiplicity import benjamini_hochberg, holm


def decide(questions: Sequence[Question], *, alpha: float, strict: bool, primary: Sequence[str] = ()) -> list[Row]:
    """Decide the claims of a run.

    Args:
        questions: Those at the root.
        alpha: Budget of the run.
        strict: Whether the chance of any false claim is held, or the expected share of false ones.
        primary: Names of questions that were stated before the data; a name also stands for all that begin with it.
    """
    made = [question for question in questions if np.isfinite(question.p)]
    first = [q for q in made if any(_named(q, name) for name in primary)]
    if not first:
        return _decide(made, alpha, strict=strict, closed=False)
    rows = _decide(first, alpha, strict=strict, closed=False)
    adjusted = _adjusted([q.p for q in first], strict=strict)
    open_ = bool((adjusted <= alpha).all() if strict else (adjusted <= alpha).any())
    others = [q for q in made if q not in first]
    return rows + _decide(others, alpha, strict=strict, closed=not open_)


def _named(question: Question, name: str) -> bool:
    """Whether a primary claim (``accent``, ``engine``, ``group:whisper:clean:accent``) means a question."""
    parts = question.name.split(":")
    return question.name == name or question.name.startswith(name + ":") or name in parts


def _adjusted(p: Sequence[float], *, strict: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = np.array(p, dtype=np.float64)
    adjusted: np.ndarray[tuple[int], np.dtype[np.float64]] = holm(values) if strict else benjamini_hochberg(values)
    return adjusted


def _decide(questions: Sequence[Question], alpha: float, *, strict: bool, closed: bool) -> list[Row]:
    if not questions:
        return []
    adjusted = _adjusted([q.p for q in questions], strict=strict)
    count = len(questions)
    answered = int((adjusted <= alpha).sum())
    rows: list[Row] = []
    for question, own in zip(questions, adjusted.tolist(), strict=True):
        yes = own <= alpha and not closed
        share = 1 if strict else min(answered if own <= alpha else answered + 1, count)
        least = 1.0 if closed else own
        rows += _settle(question, factor=count / share, least=least, alpha=alpha, yes=yes, asked=not closed)
    return rows


def _settle(question: Question, *, factor: float, least: float, alpha: float, yes: bool, asked: bool) -> Iterator[Row]:
    """The rows of a question whose p-values count ``factor`` times, and of its children.

    A row that would be affirmed, had its question been asked, is flagged ``not_asked``.
    """
    found = False
    error = min(alpha / factor, 0.5)
    for row in question.rows(error):
        adjusted = float(np.clip(max(least, row.p * factor), 0.0, 1.0)) if np.isfinite(row.p) else np.nan
        sure = yes and adjusted <= alpha and not row.flag
        found |= sure
        kept_back = not asked and not row.flag and row.p <= error
        yield replace(row, p_adjusted=adjusted, affirmed=bool(sure), flag=NOT_ASKED if kept_back else row.flag)
    children = [child for child in question.children if np.isfinite(child.p)]
    for child in children:
        each = factor * len(children)
        own = min(max(least, child.p * each), 1.0) if found else 1.0
        yield from _settle(child, factor=each, least=own, alpha=alpha, yes=own <= alpha, asked=found)
