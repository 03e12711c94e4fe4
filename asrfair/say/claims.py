"""The claims of a run as people read them: one sentence each, made here and nowhere else; ``claims.csv``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from asrfair.data.tablefile import TEXT_COLUMNS, read_result, write_csv
from asrfair.errors import InputError
from asrfair.say import numbers as say
from asrfair.say.thresholds import difference_sentence
from asrfair.say.words import attribute_words
from asrfair.stats.claims.table import AND, NOT_ASKED, RATIOS
from asrfair.types import CLEAN

WIDEST = 1.0
UNKNOWN = " (the interval is wider than 100 points: nothing is known)"

REFUSED = {
    NOT_ASKED: "; not concluded, since what it rests on may be chance",
    "pooled_disagrees": "; not concluded, since the typical speaker says the opposite",
}
"""Flag → why a claim is not affirmed, whatever its p-value."""

CLAIMS_FILE = "claims.csv"
COLUMNS = (
    *("id", "kind", "engine", "condition", "attribute", "group", "affirmed", "p", "p_adjusted", "estimate"),
    *("ci_low", "ci_high", "level", "rank", "text", "table"),
    *("versus", "rate", "versus_rate", "among", "question", "flag", "basis", "parameter", "unit", "target"),
)
"""``affirmed`` is ``true`` or ``false``."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One hypothesis that was tested; see :class:`asrfair.stats.claims.table.Row` for what the fields hold."""

    id: str
    kind: str
    engine: str
    condition: str
    attribute: str
    group: str
    affirmed: bool
    p: float
    p_adjusted: float
    estimate: float
    ci_low: float
    ci_high: float
    level: float
    rank: int
    table: str
    versus: str
    rate: float
    versus_rate: float
    among: tuple[str, ...]
    question: str
    flag: str
    basis: str = ""
    parameter: str = ""
    unit: str = ""
    target: str = ""
    text: str = ""


def claims_of(table: pd.DataFrame) -> tuple[Claim, ...]:
    """Read claims out of a table, made or read."""
    return tuple(_claim(row) for row in table.to_dict("records"))


def _claim(row: Mapping[Any, Any]) -> Claim:
    values: dict[str, Any] = {}
    for field in fields(Claim):
        value = row.get(field.name)
        if field.name == "affirmed":
            values["affirmed"] = value is True or str(value).lower() == "true"
        elif field.name == "among":
            values["among"] = tuple(part for part in str(value or "").split(AND) if part)
        elif field.name == "rank":
            values["rank"] = int(value or 0)
        elif field.name in TEXT_COLUMNS:
            values[field.name] = "" if value is None or value != value else str(value)  # noqa: PLR0124 -- NaN
        else:
            values[field.name] = float("nan") if value in {None, ""} else float(value)
    return Claim(**values)


def worded(table: pd.DataFrame) -> pd.DataFrame:
    """Add the sentences; columns in the order of ``claims.csv``."""
    return table.assign(text=[sentence(claim) for claim in claims_of(table)])[list(COLUMNS)]


def write_claims(table: pd.DataFrame, run: Path) -> None:
    """Write ``claims.csv``."""
    affirmed = table["affirmed"].map({True: "true", False: "false"})
    write_csv(table.assign(affirmed=affirmed), run / CLAIMS_FILE)


def read_claims(run: Path) -> pd.DataFrame:
    """Read ``claims.csv`` of a run folder; empty where it has none.

    Raises:
        InputError: A column is missing.
    """
    path = run / CLAIMS_FILE
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    table = read_result(path)
    for name in COLUMNS:
        if name not in table:
            raise InputError("a column is missing", file=path, column=name, remedy="Make it again: asrfair score RUN")
    return table.assign(affirmed=table["affirmed"] == "true")


def sentence(claim: Claim) -> str:
    """Say one claim: what was found and how sure it is, or that it may be chance."""
    text = _SENTENCES[claim.kind](claim)
    return text.removesuffix(".") + ", loops capped." if claim.basis == "capped" else text


def where(claim: Claim, *, first: bool = True) -> str:
    """Say of which engine and in which condition, as the beginning of a sentence."""
    parts = [claim.engine] if claim.engine and first else []
    if claim.condition not in {"", CLEAN}:
        parts.append(f"in {claim.condition}" if parts else f"In {claim.condition}")
    return ", ".join(parts) + ": " if parts else ""


def chance(claim: Claim) -> str:
    """Return the end of a sentence of a claim that is not affirmed."""
    if claim.affirmed:
        return ""
    return REFUSED.get(claim.flag, "; this may be chance")


def unknown(claim: Claim) -> bool:
    """Whether the interval is so wide that nothing is known: a difference by more than 100 points."""
    return claim.kind not in RATIOS and claim.ci_high - claim.ci_low > WIDEST


def around(claim: Claim, unit: str = "") -> str:
    """Return the interval in brackets."""
    if unknown(claim):
        return UNKNOWN
    text = say.span(claim.ci_low, claim.ci_high, unit=unit)
    return f" ({text})" if text else ""


def ratio_around(claim: Claim) -> str:
    """Return the interval of a ratio in brackets."""
    low, high = claim.ci_low, claim.ci_high
    return f" ({say.ratio(low)}–{say.ratio(high)})" if low == low and high == high else ""  # noqa: PLR0124 -- NaN


def _group(claim: Claim) -> str:
    verb = "makes more errors than" if claim.estimate > 0 else "makes fewer errors than"
    other = claim.versus or f"all other {attribute_words(claim.attribute)} groups"
    return (
        f"{where(claim)}{claim.group} {verb} {other}: {say.percent(claim.rate)} against "
        f"{say.percent(claim.versus_rate)}, {say.points(abs(claim.estimate))} {_more(claim)}{_size(claim)}{chance(claim)}."
    )


def _more(claim: Claim) -> str:
    return "more" if claim.estimate > 0 else "fewer"


def _size(claim: Claim) -> str:
    """Return the interval of a difference said without its sign, where the sign is certain."""
    if unknown(claim):
        return UNKNOWN
    if claim.affirmed and claim.ci_low * claim.ci_high >= 0:
        low, high = sorted((abs(claim.ci_low), abs(claim.ci_high)))
        text = say.span(low, high, unit="")
    else:
        sign = 1 if claim.estimate > 0 else -1
        low, high = sorted((sign * claim.ci_low, sign * claim.ci_high))
        text = say.span(low, high, unit="")
    return f" ({text})" if text else ""


def _gap(claim: Claim) -> str:
    text = (
        f"{where(claim)}between the worst {attribute_words(claim.attribute)}, {claim.group} ({say.percent(claim.rate)}), and the "
        f"best, {claim.versus} ({say.percent(claim.versus_rate)}), lie {say.points(claim.estimate)}"
    )
    if claim.affirmed:
        return text + f", at least {say.points(claim.ci_low)} once the choice of the extremes is allowed for."
    return text + around(claim) + "; chance among these speakers may have made them."


def _worst(claim: Claim) -> str:
    text = f"{where(claim)}{claim.group} has the highest rate by {attribute_words(claim.attribute)}, {say.percent(claim.rate)}"
    text += around(claim, "%")
    if not claim.affirmed:
        return text + "; which group is truly the worst is open."
    if len(claim.among) == 1:
        return text + ", and is truly the worst."
    return text + f"; the truly worst is one of {say.listed(claim.among)}."


def _engine(claim: Claim) -> str:
    place = where(claim, first=False)
    if claim.group:
        place += f"{'for' if place else 'For'} {claim.group}: "
    if not claim.affirmed:
        reason = REFUSED.get(claim.flag, "")
        return (
            f"{place}{'between' if place else 'Between'} {claim.engine} and {claim.versus} no difference can be told on "
            f"the same speakers: {say.points(claim.estimate)}{around(claim)}{reason}."
        )
    better, worse = (claim.versus, claim.engine) if claim.estimate > 0 else (claim.engine, claim.versus)
    return (
        f"{place}{better} makes fewer errors than {worse} on the same speakers: "
        f"{say.points(abs(claim.estimate))} fewer{_size(claim)}."
    )


def _extreme_engine(claim: Claim, noun: str) -> str:
    place = where(claim, first=False)
    larger, smaller = (claim.engine, claim.versus) if claim.estimate > 0 else (claim.versus, claim.engine)
    return (
        f"{place}{'the' if place else 'The'} {noun} of {larger} is {say.points(abs(claim.estimate))}{_size(claim)} above that of {smaller}"
        f"{chance(claim)}."
    )


def _gap_engine(claim: Claim) -> str:
    return _extreme_engine(claim, f"gap by {attribute_words(claim.attribute)}")


def _worst_engine(claim: Claim) -> str:
    return _extreme_engine(claim, f"rate of the worst {attribute_words(claim.attribute)}")


def _condition(claim: Claim) -> str:
    verb = "costs" if claim.estimate > 0 else "spares"
    return (
        f"{claim.engine}: {claim.condition} {verb} everybody {say.points(abs(claim.estimate))}{_size(claim)} against "
        f"{claim.versus}{chance(claim)}."
    )


def _interaction(claim: Claim) -> str:
    other = claim.versus or "all others"
    return (
        f"{claim.engine}: {claim.condition} costs {claim.group} {say.points(abs(claim.estimate))}{_size(claim)} "
        f"{'more' if claim.estimate > 0 else 'less'} than {other}{chance(claim)}."
    )


def _interaction_ratio(claim: Claim) -> str:
    return (
        f"{claim.engine}: in {claim.condition} the error rate of {claim.group} is multiplied {say.ratio(claim.estimate)} "
        f"times{ratio_around(claim)} as much as that of {claim.versus or 'all others'}{chance(claim)}."
    )


def _adjusted(claim: Claim) -> str:
    text = (
        f"{where(claim)}other differences held fixed, {claim.group} makes {say.ratio(claim.estimate)} times the errors "
        f"of {claim.versus}{ratio_around(claim)}; as measured it is {say.ratio(claim.rate)} times"
    )
    if claim.flag == "confounded":
        return text + "; a covariate goes with the groups, so this is not concluded."
    return text + chance(claim) + "."


def _subgroup(claim: Claim) -> str:
    text = (
        f"{where(claim)}speakers with {claim.group} have {say.ratio(claim.estimate)} times the error rate of all others"
    )
    if claim.affirmed:
        return text + f"{ratio_around(claim)}: found by search in one half of the speakers, confirmed in the other."
    return text + f"{ratio_around(claim)}; not confirmed in the other half of the speakers."


def _omnibus(claim: Claim) -> str:
    differ = "differ beyond chance" if claim.affirmed else "cannot be told apart from chance"
    return f"{where(claim)}the groups by {attribute_words(claim.attribute)} {differ}."


def _threshold(claim: Claim) -> str:
    return difference_sentence(claim, chance(claim))


_SENTENCES: Mapping[str, Callable[[Claim], str]] = {
    "group": _group,
    "gap": _gap,
    "worst": _worst,
    "engine": _engine,
    "gap_engine": _gap_engine,
    "worst_engine": _worst_engine,
    "condition": _condition,
    "interaction": _interaction,
    "interaction_ratio": _interaction_ratio,
    "adjusted": _adjusted,
    "subgroup": _subgroup,
    "omnibus": _omnibus,
    "threshold": _threshold,
    "threshold_ratio": _threshold,
}


def affirmed(claims: Iterable[Claim], *kinds: str) -> list[Claim]:
    """Return the affirmed claims of some kinds, the most important first."""
    return sorted((c for c in claims if c.affirmed and (not kinds or c.kind in kinds)), key=lambda c: c.rank)


def comparison_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Say what a comparison of two runs found: everybody first, then what is beyond chance in groups."""
    claims = claims_of(table)
    first = [claim for claim in claims if claim.kind == "engine" and not claim.group]
    rest = affirmed(claim for claim in claims if claim not in first)
    return tuple(sentence(claim) for claim in [*first, *rest])
