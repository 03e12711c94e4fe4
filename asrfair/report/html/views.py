"""Parts of the page that follow the pickers: every variant is made here, the one shown first stands in the page.

The page's script only exchanges one variant for another, so that nothing is drawn twice and all text is escaped in one
place. Variants beyond the first are packed (gzip, base64).
"""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup, escape

from asrfair.report.loading import RunData
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE

PICKERS: Final = ("by", "engine", "condition")
"""What a reader picks: the attribute, the engine, the condition."""
WHOLE: Final = 24
"""Longer names may be broken: a telephone has no room for them."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What can be picked, in suite order, and what is picked when the page opens."""

    by: tuple[str, ...]
    engine: tuple[str, ...]
    condition: tuple[str, ...]
    first: Mapping[str, int]

    def names(self, picker: str) -> tuple[str, ...]:
        """Return the values of a picker."""
        found: tuple[str, ...] = getattr(self, picker)
        return found

    def start(self, picker: str) -> str:
        """Return what is picked when the page opens."""
        return self.names(picker)[self.first[picker]]


def choices_of(run: RunData) -> Choices:
    """Return what can be picked.

    First are the attribute and the condition of the sentence that leads, and the engine with fewest errors there.
    """
    rows = run.disparity
    claims = _claims_in_order(run)
    condition = next(
        (str(row) for row in claims["condition"][claims["leads"]] if row in run.conditions), run.main_condition
    )
    whole = rows[(rows["attribute"] == OVERALL_ATTRIBUTE) & (rows["condition"] == condition)]
    known = whole[whole["rate"].notna()].sort_values("rate", kind="stable")["engine"].tolist()
    single = [name for name in run.attributes if INTERSECTION not in name]
    by = run.attributes or (OVERALL_ATTRIBUTE,)
    single = [name for name in claims["attribute"].astype(str) if name in single] + single
    return Choices(
        by=by,
        engine=run.engines,
        condition=run.conditions,
        first={
            "by": by.index(single[0]) if single else 0,
            "engine": run.engines.index(known[0]) if known else 0,
            "condition": run.conditions.index(condition),
        },
    )


def _claims_in_order(run: RunData) -> pd.DataFrame:
    """Return the run's claims, those of the sentence that leads first (``leads``), then by what matters most."""
    claims = run.tables.get("claims")
    if claims is None or "attribute" not in claims:
        return pd.DataFrame({"attribute": [], "condition": [], "leads": pd.Series([], dtype=bool)})
    leading = claims["id"].isin(run.answer.lead_ids)
    ordered = claims.assign(leads=leading, _later=~leading)
    return ordered.sort_values(["_later", "rank"], kind="stable")


def pack(text: str) -> str:
    """Return text as base64 of gzip, the same for the same text."""
    return pack_within([text], sys.maxsize) or ""


def pack_within(parts: Iterable[str], room: int) -> str | None:
    """Pack parts of a text, no more of them than it takes to know that there is too little room: then ``None``."""
    squeeze = zlib.compressobj(level=9, wbits=31)
    packed = bytearray()
    for part in parts:
        packed += squeeze.compress(part.encode("utf-8"))
        if len(packed) * 4 // 3 > room:
            return None
    text = base64.b64encode(packed + squeeze.flush()).decode("ascii")
    return text if len(text) <= room else None


def packed(kind: str, text: str) -> Markup:
    """Return text, packed, as an element that browsers do not run."""
    return holding(kind, pack(text))


def holding(kind: str, packed_text: str) -> Markup:
    """Return packed text as an element that browsers do not run."""
    return Markup('<script type="application/gzip;base64" class="{}">{}</script>').format(kind, packed_text)


def view(
    name: str, choices: Choices, follows: Sequence[str], draw: Callable[..., Markup], *, inline: bool = False
) -> Markup:
    """Return a part of the page with all its variants.

    Args:
        name: Its ``id``.
        choices: What can be picked.
        follows: The pickers that it follows; ``draw`` gets their values by name.
        draw: Makes one variant.
        inline: Whether it is text and not a block.
    """
    first = draw(**{picker: choices.start(picker) for picker in follows})
    others = {}
    for indexes in product(*(range(len(choices.names(picker))) for picker in follows)):
        if any(index != choices.first[picker] for index, picker in zip(indexes, follows, strict=True)):
            values = {p: choices.names(p)[i] for i, p in zip(indexes, follows, strict=True)}
            others["|".join(map(str, indexes))] = str(draw(**values))
    around = (
        Markup('<span class="view" id="{}" data-follows="{}">{}</span>')
        if inline
        else Markup('<div class="view" id="{}" data-follows="{}">{}</div>')
    )
    body = around.format(name, " ".join(follows), first)
    if not others:
        return body
    return body + packed("variants", json.dumps({"of": name, "html": others}, ensure_ascii=False))


def whole_names(text: str, names: Iterable[str]) -> Markup:
    """Return a sentence as HTML in which short names of engines and conditions are not broken at their hyphens."""
    short = sorted((name for name in names if len(name) <= WHOLE), key=len, reverse=True)
    if not short:
        return escape(text)
    parts = re.split("(" + "|".join(map(re.escape, short)) + ")", text)
    return Markup("").join(Markup('<span class="nb">{}</span>').format(p) if n % 2 else p for n, p in enumerate(parts))


def breakable(name: object) -> Markup:
    """Return a name as HTML that may break before a severity, after each setting, and at underscores."""
    text = escape(name).replace("@", Markup("<wbr>@"))
    return text.replace(",", Markup(",<wbr>")).replace("_", Markup("_<wbr>"))


def link(**state: str) -> Markup:
    """Return the fragment of a link to a state, such as ``#engine=…&group=…``, escaped for an attribute."""
    return escape("#" + "&".join(f"{key}={quote(value, safe='')}" for key, value in state.items()))
