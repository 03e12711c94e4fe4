"""Differentially private counts, for customers who may not give even counts: through OpenDP, with a ledger of epsilon.

What is protected is a person: two data sets are neighbours if one holds one person more. For each attribute the words
and errors of every group, engine and condition form one vector of whole numbers. A person counts with at most
``most_words`` words and as many errors, shared evenly over engines and conditions, and stands in one group only, so
that a person changes the vector by at most ``2 · most_words`` in the L1 norm; discrete Laplace noise is added by OpenDP.
Groups are those that ``kit.toml`` names, never those that were found. Epsilon adds up over attributes and over releases
(basic composition, computed by OpenDP).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.data.runfile import read_run_file
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError, MissingExtraError
from asrfair.lastmile.export import (
    PRIVATE_FORMAT,
    canonical,
    check_code,
    check_names,
    condition_names,
    counts_of,
    engine_names,
)
from asrfair.lastmile.export_ledger import note, read_ledger, releasing, spent_epsilon
from asrfair.lastmile.pages import Page
from asrfair.lastmile.run_kit import ROOM
from asrfair.lastmile.settings import Kit
from asrfair.lastmile.site_key import LEDGER_FILE, pseudonym, site_key
from asrfair.lastmile.suppress import OTHER
from asrfair.types import NOT_STATED
from asrfair.version import __version__

COLUMNS = ("engine", "condition", "group", "words", "errors")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """One attribute's vector: words, then errors, of every engine × condition × group."""

    attribute: str
    keys: tuple[tuple[str, str, str], ...]
    values: Ints
    speakers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A release that was planned and not made: what it would cost, and how useful it would be."""

    epsilon: float
    cells: tuple[Cells, ...]
    sensitivity: int
    scale: float
    spent: float
    budget: float
    site: str
    cost: float
    exact: int = 0

    @property
    def code(self) -> str:
        """The code of the page; it changes with the data, epsilon and what was spent before."""
        content = [[c.attribute, c.keys, c.values.tolist()] for c in self.cells]
        text = json.dumps([content, self.epsilon, self.spent, self.site])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def page(self) -> Page:
        """Return the page to sign off: the cost, and how far noise would move each rate. It stays at the site."""
        page = Page(title="A private release: what it would cost")
        page.text(
            f"Epsilon {self.epsilon:g} for each of {len(self.cells)} attributes: {self.cost:g} in all. Spent before: "
            f"{self.spent:g}. Budget: {self.budget:g}. A person changes the numbers by at most {self.sensitivity}; the "
            f"noise on each number has scale {self.scale:.0f}."
        )
        if self.exact:
            page.text(
                f"{self.exact} exports of exact counts have left already. Epsilon bounds what private releases tell; of "
                "people whose counts left, those counts are known, and no noise takes that back."
            )
        for item in self.cells:
            page.heading(f"By {item.attribute}")
            half = len(item.keys)
            rows = []
            for position, (engine, condition, group) in enumerate(item.keys):
                words, errors = int(item.values[position]), int(item.values[half + position])
                low, high = spread(words, errors, self.scale)
                usable = "yes" if high - low < 0.1 else "no"
                rate = f"{errors / words:.1%}" if words else "–"
                shown = f"{low:.1%} – {high:.1%}" if words else "–"
                rows.append((engine, condition, group, item.speakers[position], rate, shown, usable))
            page.table(
                ["Engine", "Condition", "Group", "People", "True WER", "9 of 10 releases lie in", "Useful"], rows
            )
        page.text("The true rates on this page stay here. Only the noisy words and errors would leave.")
        return page


def plan_release(kit: Kit, epsilon: float, *, attributes: Sequence[str] = ()) -> Plan:
    """Plan a private release of people's recordings; nothing is drawn, nothing is spent.

    Args:
        kit: The kit.
        epsilon: For each attribute.
        attributes: Which; by default all single attributes that the kit groups by.

    Raises:
        InputError: Nothing was run, an attribute is not known, or the budget does not suffice.
        MissingExtraError: OpenDP is not installed.
    """
    if not (math.isfinite(epsilon) and 0 < epsilon <= 100):
        raise InputError("epsilon is a number above 0 and at most 100", value=epsilon)
    chosen = list(dict.fromkeys(attributes or (name for item in kit.by for name in item)))
    for name in chosen:
        if name not in kit.values:
            raise InputError("the kit has no such attribute", value=name, remedy=f"Known: {', '.join(kit.values)}")
    folder = kit.run_folder(ROOM)
    if not (folder / "run.json").is_file():
        raise InputError(
            "the kit has no run of people's recordings", file=kit.folder, remedy="Run: asrfair lastmile run"
        )
    content = read_run_file(folder)
    engines, conditions = engine_names(content), condition_names(content)

    def counts(name: str) -> pd.DataFrame:
        found = counts_of(folder, [name])
        check_names(folder, found, engines, conditions)
        return found.assign(engine=found["engine"].map(engines), condition=found["condition"].map(conditions))

    cells = tuple(
        vector(counts(name), name, (*kit.values[name], OTHER, NOT_STATED), most=kit.privacy_words) for name in chosen
    )
    sensitivity = 2 * kit.privacy_words
    spent = spent_epsilon(kit)
    measured = [laplace(sensitivity / epsilon) for _ in chosen]
    cost = composed_epsilon(measured, sensitivity)
    if spent + cost > kit.privacy_budget * (1 + 1e-9):
        raise InputError(
            f"the release would cost {cost:g}, and {kit.privacy_budget - spent:g} of the budget of "
            f"{kit.privacy_budget:g} is left",
            file=kit.folder / LEDGER_FILE,
            remedy="Choose a smaller epsilon or fewer attributes; a budget that is raised protects nobody",
        )
    return Plan(
        epsilon=epsilon,
        cells=cells,
        sensitivity=sensitivity,
        scale=sensitivity / epsilon,
        spent=spent,
        budget=kit.privacy_budget,
        site=pseudonym(site_key(kit), "site"),
        cost=cost,
        exact=sum(entry["kind"] == "counts" for entry in read_ledger(kit)),
    )


def release(kit: Kit, plan: Plan, out: Path, code: str) -> None:
    """Draw the noise, note the epsilon in the ledger, write the release. The ledger comes first: spent is spent.

    Raises:
        InputError: The code is not that of the plan, or something was released since it was made.
    """
    check_code(plan.code, code)
    attributes = [item.attribute for item in plan.cells]
    with releasing(kit):
        if spent_epsilon(kit) != plan.spent:
            raise InputError(
                "something was released since this release was planned",
                file=kit.folder / LEDGER_FILE,
                remedy="Plan it again",
            )
        number = note(kit, {"kind": "private", "epsilon": plan.cost, "attributes": attributes, "file": out.name})
    tables = []
    for item in plan.cells:
        noisy = laplace(plan.scale)(item.values.tolist())
        half = len(item.keys)
        rows = [[*key, int(noisy[i]), int(noisy[half + i])] for i, key in enumerate(item.keys)]
        tables.append({"attribute": item.attribute, "epsilon": plan.epsilon, "columns": list(COLUMNS), "rows": rows})
    body: dict[str, Any] = {
        "site": plan.site,
        "release": number,
        "asrfair": __version__,
        "unit": "person",
        "mechanism": "discrete Laplace (OpenDP)",
        "sensitivity": plan.sensitivity,
        "scale": plan.scale,
        "tables": tables,
    }
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()
    text = json.dumps(
        {"format": PRIVATE_FORMAT, "version": 1, "sha256": digest, "body": body}, sort_keys=True, indent=1
    )
    write_whole(out, text + "\n")


def vector(counts: pd.DataFrame, attribute: str, groups: Sequence[str], *, most: int) -> Cells:
    """Return an attribute's vector with every person's part bounded.

    Args:
        counts: One row an engine, condition, ``speaker_id`` and group, with counts.
        attribute: The column of groups.
        groups: The groups that are released, whether anybody is in them or not; any other counts as ``other``.
        most: Words, and errors, that one person counts with in all.
    """
    table = counts.copy()
    table[attribute] = table[attribute].where(table[attribute].isin(groups), OTHER)
    # A person stands in one group: that of most words, the first of equals.
    table["words"] = table["hits"] + table["substitutions"] + table["deletions"]
    table["errors"] = table["substitutions"] + table["deletions"] + table["insertions"]
    home = table.groupby(["speaker_id", attribute])["words"].sum().reset_index()
    home = home.sort_values(["speaker_id", "words", attribute], ascending=[True, False, True], kind="stable")
    table[attribute] = table["speaker_id"].map(home.drop_duplicates("speaker_id").set_index("speaker_id")[attribute])
    runs = list(dict.fromkeys(zip(table["engine"], table["condition"], strict=True)))
    share = most // max(len(runs), 1)
    keys = [(str(e), str(c), group) for e, c in runs for group in dict.fromkeys(groups)]
    place = {key: i for i, key in enumerate(keys)}
    values = np.zeros(2 * len(keys), dtype=np.int64)
    people: list[set[str]] = [set() for _ in keys]
    summed = table.groupby(["engine", "condition", "speaker_id", attribute])[["words", "errors"]].sum().reset_index()
    for row in summed.to_dict("records"):
        i = place[str(row["engine"]), str(row["condition"]), str(row[attribute])]
        words, errors = int(row["words"]), int(row["errors"])
        # Scaled rather than cut off, so that a person of many words keeps the rate.
        factor = min(1.0, share / words) if words else 0.0
        values[i] += min(round(words * factor), share)
        values[len(keys) + i] += min(round(errors * factor), share)
        people[i].add(str(row["speaker_id"]))
    return Cells(attribute=attribute, keys=tuple(keys), values=values, speakers=tuple(len(one) for one in people))


def laplace(scale: float) -> Any:
    """Return OpenDP's discrete Laplace measurement on vectors of whole numbers under the L1 distance.

    Raises:
        MissingExtraError: OpenDP is not installed.
    """
    try:
        import opendp.prelude as dp
    except ImportError as error:
        raise MissingExtraError(extra="dp", package="opendp", needed_for="a differentially private release") from error
    dp.enable_features("contrib")
    return dp.m.make_laplace(dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int), scale=float(scale))


def composed_epsilon(measurements: Sequence[Any], sensitivity: int) -> float:
    """Return the epsilon of several measurements together, as OpenDP's composition accounts for it."""
    import opendp.prelude as dp

    return float(dp.c.make_composition(list(measurements)).map(int(sensitivity)))


def spread(words: int, errors: int, scale: float, *, draws: int = 2000) -> tuple[float, float]:
    """Return between which rates nine of ten releases would lie (simulated with a fixed seed; shown at the site only)."""
    noise = np.random.default_rng(1).laplace(0.0, scale, size=(2, draws))
    rates = np.maximum(errors + noise[1], 0) / np.maximum(words + noise[0], 1)
    low, high = np.quantile(np.minimum(rates, 2.0), [0.05, 0.95])
    return float(low), float(high)
