"""Small cells: before counts leave a site, answers are hidden until nobody stands alone.

Each person leaves as a row of answers, some of them hidden. Rows that look the same form a *cell*, hidden answers
included: what is hidden is part of what is seen. Every cell must hold at least so many people, in each of the classes
that a reader of several exports can tell apart: who was there from the first, who came later. So each row could be any
of those people (k-anonymity by suppression; Sweeney 2002, Int. J. Uncertain. Fuzz. 10, 571).

Among all ways to reach that, the one that hides the fewest answers is taken, over the whole table at once: an integer
programme, solved exactly by HiGHS. People with the same answers are interchangeable, so that it stays small: how many
people of each combination of answers leave with which of them hidden.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, sparse

SUPPRESSED = "suppressed"
"""What a hidden answer leaves as."""

OTHER = "other"
"""What an answer that is not on the list of those which may leave, leaves as."""

MOST_ATTRIBUTES = 6
"""Attributes over which the optimum is sought; the last ones beyond them are hidden for everybody."""
_TIME_S = 30.0

Answers = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """How much is held back: people with a hidden answer, hidden answers, rows left out, people left out."""

    people: int = 0
    groups: int = 0
    rows: int = 0
    absent: int = 0

    def __add__(self, other: Withheld) -> Withheld:
        return Withheld(
            people=self.people + other.people,
            groups=self.groups + other.groups,
            rows=self.rows + other.rows,
            absent=self.absent + other.absent,
        )


def suppress(
    counts: pd.DataFrame,
    attributes: Sequence[str],
    *,
    least_speakers: int,
    least_words: int,
    classes: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, Withheld]:
    """Hide answers until everybody shares a cell with enough others; drop rows of too few words.

    Rows are kept where an answer is hidden, so that totals stay whole. A class of too few people leaves not at all.

    Args:
        counts: One row an engine, condition, ``speaker_id`` and combination of ``attributes``, with counts.
        attributes: Columns to protect, the one to keep longest first.
        least_speakers: People that must share a cell.
        least_words: Reference words of a row that leaves.
        classes: Speaker → what a reader can tell about them beside their answers (:func:`classes_of`).

    Returns:
        The rows that may leave, summed again, and what was held back.
    """
    words = counts["hits"] + counts["substitutions"] + counts["deletions"]
    kept = counts[(words >= least_words) | (counts["failed"] > 0) & (words == 0)].copy()
    dropped = len(counts) - len(kept)
    people = _answers(kept, attributes)
    groups: dict[str, dict[str, Answers]] = defaultdict(dict)
    for speaker, answers in people.items():
        groups[(classes or {}).get(speaker, "")][speaker] = answers
    hidden: dict[str, Answers] = {}
    for members in groups.values():
        if len(members) >= least_speakers:
            hidden |= hide(members, least_speakers)
    absent = len(people) - len(hidden)
    kept = kept[kept["speaker_id"].isin(hidden)].copy()
    for index, name in enumerate(attributes):
        gone = kept["speaker_id"].map({who: answers[index] == SUPPRESSED for who, answers in hidden.items()})
        kept[name] = kept[name].where(~gone.astype(bool), SUPPRESSED)
    taken = [sum(answer == SUPPRESSED for answer in answers) for answers in hidden.values()]
    keys = ["engine", "condition", "speaker_id", *attributes]
    numbers = [name for name in kept.columns if name not in keys]
    summed = kept.groupby(keys, sort=True)[numbers].sum().reset_index()
    held = Withheld(people=sum(count > 0 for count in taken), groups=sum(taken), rows=dropped, absent=absent)
    return summed, held


def _answers(kept: pd.DataFrame, attributes: Sequence[str]) -> dict[str, Answers]:
    """Each person's answers; somebody who gave several to one question has all of them as one."""
    found: dict[str, Answers] = {}
    for speaker, rows in kept.groupby("speaker_id", sort=True):
        found[str(speaker)] = tuple(" / ".join(sorted(set(rows[name].astype(str)))) for name in attributes)
    return found


def hide(people: Mapping[str, Answers], least: int) -> dict[str, Answers]:
    """Return everybody's answers with the fewest hidden that leave nobody in a cell of fewer than ``least``.

    Args:
        people: Person → answers, at least ``least`` of them; of two ways that hide as many, the earlier answers stay.
        least: People that must share a cell.
    """
    width = len(next(iter(people.values())))
    if not width:
        return dict(people)
    free = min(width, MOST_ATTRIBUTES)
    kinds = sorted(Counter(answers[:free] for answers in people.values()).items())
    masks = list(itertools.product((False, True), repeat=free))
    places = [(kind, mask) for kind in range(len(kinds)) for mask in range(len(masks))]
    seen = [_masked(kinds[kind][0], masks[mask]) for kind, mask in places]
    cells = {cell: index for index, cell in enumerate(dict.fromkeys(seen))}
    chosen = _solve([count for _, count in kinds], masks, places, [cells[cell] for cell in seen], len(cells), least)
    found: dict[str, Answers] = {}
    waiting = {answers: sorted(who for who, own in people.items() if own[:free] == answers) for answers, _ in kinds}
    rest = (SUPPRESSED,) * (width - free)
    for (kind, mask), count in zip(places, chosen, strict=True):
        answers = kinds[kind][0]
        for _ in range(count):
            found[waiting[answers].pop()] = _masked(answers, masks[mask]) + rest
    return found


def _masked(answers: Answers, mask: Sequence[bool]) -> Answers:
    return tuple(SUPPRESSED if gone else answer for answer, gone in zip(answers, mask, strict=True))


def _solve(
    sizes: Sequence[int],
    masks: Sequence[Sequence[bool]],
    places: Sequence[tuple[int, int]],
    cell: Sequence[int],
    cells: int,
    least: int,
) -> list[int]:
    """Choose how many people of each kind leave under each mask.

    Variables are those numbers, and whether a cell is in use: its people are then at least ``least``, and otherwise none.
    """
    n, total = len(places), sum(sizes)
    # An answer costs one; between ways of equal cost, those that keep the earlier attributes are a little cheaper.
    weight = [
        sum(1.0 + 1e-3 * (len(mask) - at) / (total * len(mask)) for at, gone in enumerate(mask) if gone)
        for mask in masks
    ]
    costs = np.array([weight[mask] for _, mask in places] + [0.0] * cells)
    kind = sparse.csr_array((np.ones(n), ([k for k, _ in places], range(n))), shape=(len(sizes), n + cells))
    member = sparse.csr_array((np.ones(n), (list(cell), range(n))), shape=(cells, n))
    used = sparse.eye_array(cells)
    enough = sparse.hstack([member, -least * used])
    none = sparse.hstack([member, -total * used])
    result = optimize.milp(
        costs,
        integrality=np.ones(n + cells),
        bounds=optimize.Bounds(0, np.array([sizes[k] for k, _ in places] + [1] * cells)),
        constraints=[
            optimize.LinearConstraint(kind, np.array(sizes), np.array(sizes)),
            optimize.LinearConstraint(enough, 0, np.inf),
            optimize.LinearConstraint(none, -np.inf, 0),
        ],
        options={"time_limit": _TIME_S, "mip_rel_gap": 0.0},
    )
    if result.x is None:  # no time for anything: hiding all is always allowed
        return [sizes[k] if all(masks[m]) else 0 for k, m in places]
    return [round(value) for value in result.x[:n]]


# --- several exports ------------------------------------------------------------------------------------------------

Shown = Mapping[str, Mapping[str, Sequence[str]]]
"""Person → attribute → the answers that left for them."""


def classes_of(people: Sequence[str], before: Sequence[Shown], least: int) -> dict[str, str]:
    """Tell what earlier exports show of people, and leave out those whom the difference to them would show alone.

    Whoever has two exports can take one from the other: who came in between, who left, and what each export shows of the
    same code. People of whom all earlier exports together show the same are a class; a class leaves whole cells or
    nothing (:func:`suppress`), and of each class must go either nobody or several.

    Args:
        people: Codes of who could leave now.
        before: What each earlier export showed.
        least: People that a difference must hold.

    Returns:
        Code → class. Newcomers who are too few are absent and wait for others; where too few of a class went away, as
        many more are left out as make them several, in the order of their codes.
    """
    everybody = sorted({*people, *(who for export in before for who in export)})
    classes: dict[str, list[str]] = defaultdict(list)
    for who in everybody:
        history = [
            sorted((n, *map(str, v)) for n, v in export[who].items()) if who in export else None for export in before
        ]
        classes[repr(history)].append(who)
    now = set(people)
    found: dict[str, str] = {}
    for name, members in classes.items():
        stay = [who for who in members if who in now]
        gone = len(members) - len(stay)
        if any(members[0] in export for export in before) and 0 < gone < least:
            stay = stay[least - gone :]
        if len(stay) >= least:
            found |= dict.fromkeys(stay, name)
    return found
