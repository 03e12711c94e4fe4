"""The report in plain words: who is understood worse here, which of our words are lost, what to do about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from asrfair.data.runfile import read_run_file, settings_of
from asrfair.errors import InputError
from asrfair.lastmile.pages import Page
from asrfair.lastmile.prompts import read_vocabulary
from asrfair.lastmile.run_kit import BENCHMARK, ROOM
from asrfair.lastmile.settings import DEMO, Kit
from asrfair.report.loading import load_run
from asrfair.say.claims import Claim, affirmed, claims_of, read_claims
from asrfair.scoring.key_terms import KeyTerms
from asrfair.scoring.normalize import get_normalizer
from asrfair.types import CLEAN, OVERALL_ATTRIBUTE


@dataclass(frozen=True, kw_only=True)
class TermResult:
    """How often a word of the customer was said and how often it came through."""

    term: str
    said: int
    heard: int

    @property
    def lost(self) -> int:
        """How often it was lost."""
        return self.said - self.heard


def plain_report(kit: Kit) -> tuple[Page, list[Path]]:
    """Write ``REPORT.md`` and ``REPORT.html`` of a kit from its runs.

    Raises:
        InputError: Nothing was run yet.
    """
    runs = {name: kit.run_folder(name) for name in (ROOM, BENCHMARK) if (kit.run_folder(name) / "run.json").is_file()}
    if not runs:
        raise InputError("the kit has not been run", file=kit.folder, remedy="Run: asrfair lastmile run FOLDER")
    found = _Found()
    body = Page(title="")
    if ROOM in runs:
        _people(body, found, kit, runs[ROOM])
    if BENCHMARK in runs:
        _place(body, found, kit, runs[BENCHMARK])
    page = Page(title=f"Who is understood here: {kit.name}")
    page.heading("In short")
    page.items(found.short)
    page.heading("What to do")
    page.items(
        list(dict.fromkeys(found.advice))
        or ["Nothing here calls for a change. Repeat the test when something changes."]
    )
    page.blocks += body.blocks
    page.heading("How to read this")
    page.text(
        "A word is wrong if it was lost or became another word; words that nobody said count too"
        + (", so that more than 100 in 100 can be wrong." if found.worst > 1 else ".")
        + " The range says where the true number probably lies (95 times in 100). Groups whose ranges overlap may well be "
        "equally well understood. More people make the ranges narrower; more sentences of the same people hardly do."
    )
    page.items([f"All tables and plots, for specialists: runs/{name}/report.html" for name in runs])
    return page, page.write(kit.folder / "REPORT")


@dataclass(kw_only=True)
class _Found:
    """What the top of the report says, gathered on the way; ``worst`` is the highest rate that is shown."""

    short: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    worst: float = 0.0


def lost_terms(run: Path, terms: tuple[str, ...], *, condition: str = CLEAN) -> list[TermResult]:
    """Count every term of a list by itself, over the scored utterances of the first engine in one condition."""
    content = read_run_file(run)
    words = get_normalizer(settings_of(run)[1].normalizer)
    engine = content["engines"][0]["label"]
    hypotheses = pq.read_table(run / "hypotheses.parquet").to_pandas()
    hypotheses = hypotheses[(hypotheses["engine"] == engine) & (hypotheses["condition"] == condition)]
    utterances = pq.read_table(run / "utterances.parquet", columns=["utterance_id", "reference", "exclude"]).to_pandas()
    both = utterances[utterances["exclude"] == ""].merge(hypotheses[["utterance_id", "hypothesis", "status"]])
    both = both[both["status"].isin(["ok", "empty"])]
    said: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    counters = {term: KeyTerms([term], words.words) for term in terms}
    for reference, hypothesis in zip(both["reference"], both["hypothesis"].fillna(""), strict=True):
        pair = words.words(str(reference)), words.words(str(hypothesis))
        for term, counter in counters.items():
            found = counter.count(*pair)
            said[term] += found[0]
            heard[term] += found[1]
    return [TermResult(term=term, said=said[term], heard=heard[term]) for term in terms]


def _people(page: Page, found: _Found, kit: Kit, run: Path) -> None:
    table = _disparity(run)
    page.heading("The people who read here")
    overall = _row(table, OVERALL_ATTRIBUTE, CLEAN)
    if not overall["ref_words"]:
        page.text("None of their recordings could be scored.")
        found.short.append("None of people's recordings could be scored: see runs/room/ledger.csv.")
        return
    found.worst = max(found.worst, float(overall["rate"]))
    wrong = f"Of 100 words that people read here, {overall['rate'] * 100:.0f} went wrong"
    wrong += f"{_aside(overall)}, counting words that nobody said." if overall["rate"] > 1 else f"{_aside(overall)}."
    found.short.append(wrong)
    page.text(f"{int(overall['speakers'])} people read {int(overall['ref_words'])} words. {wrong}")
    claims = _claims(run)
    for attribute in [name for name in table["attribute"].unique() if name != OVERALL_ATTRIBUTE]:
        rows = table[(table["attribute"] == attribute) & (table["condition"] == CLEAN)]
        mine = [c for c in claims if c.kind == "group" and c.attribute == attribute and c.condition == CLEAN]
        _groups(page, found, rows, mine)
    _terms(page, found, lost_terms(run, read_vocabulary(kit.folder)))
    excluded = pq.read_table(run / "utterances.parquet", columns=["exclude"]).to_pandas()["exclude"]
    left_out = Counter(reason for reason in excluded if reason)
    if left_out:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(left_out.items()))
        page.heading("Recordings that were left out")
        page.text(f"Until they are recorded again: {reasons}. CHECK.html says which, and what to do.")


def _groups(page: Page, found: _Found, rows: pd.DataFrame, claims: list[Claim]) -> None:
    """Show the groups of an attribute, and say what the claims of the run say of them."""
    shown = rows[rows["ref_words"] > 0].sort_values("rate", ascending=False)
    if len(shown) < 2:
        return
    attribute = str(shown["attribute"].iloc[0])
    page.heading(f"By {attribute}")
    page.table(
        ["Group", "People", "Words", "Words wrong", "Range"],
        [
            (row["group"], int(row["speakers"]), int(row["ref_words"]), _share(row["rate"]), _range(row))
            for _, row in shown.iterrows()
        ],
    )
    found.worst = max(found.worst, float(shown["rate"].iloc[0]))
    worse = [claim for claim in affirmed(claims) if claim.estimate > 0]
    for claim in worse:
        text = (
            f"By {attribute}, “{claim.group}” is understood worse than the others ({_share(claim.rate)} words wrong, "
            f"{_share(claim.versus_rate)} of the others). The difference is larger than chance explains."
        )
        found.advice.append(
            f"Tell the provider that “{claim.group}” ({attribute}) is understood worse, with an export of the counts, "
            "and keep a way to work without speech for those people."
        )
        page.text(text)
        found.short.append(text)
    if not worse:
        text = f"By {attribute}, no group is understood worse than the others by more than chance explains."
        found.advice.append(
            f"Record more people for “{attribute}”: what was measured does not yet tell the groups apart."
        )
        page.text(text)
        found.short.append(text)


def _terms(page: Page, found: _Found, terms: list[TermResult]) -> None:
    said = [item for item in terms if item.said]
    if not said:
        return
    page.heading("Your words")
    lost = sorted((i for i in said if i.lost), key=lambda item: (-item.lost / item.said, -item.lost, item.term))
    text = (
        f"Your words were said {sum(i.said for i in said)} times; {sum(i.heard for i in said)} times they came through as "
        "written."
    )
    page.text(text)
    if not lost:
        page.text("None of them was lost.")
        found.short.append(f"{text} None was lost.")
        return
    page.table(["Word", "Said", "Came through", "Lost"], [(i.term, i.said, i.heard, i.lost) for i in lost])
    never = [item.term for item in lost if not item.heard]
    named = f" These never came through: {', '.join(never)}." if never else ""
    often = "" if never else f" Lost most often: {', '.join(item.term for item in lost[:5])}."
    found.short.append(f"{text}{named}{often}")
    found.advice.append(
        "Give your words to the recogniser, if it takes a custom vocabulary, phrase hints or a language model of "
        f"your own: {len(lost)} of {len(said)} words were lost at least once.{named}"
    )


def _place(page: Page, found: _Found, kit: Kit, run: Path) -> None:
    table = _disparity(run)
    page.heading("What the room does")
    synthetic = " This speech is synthetic: it shows what the room does, and nothing about people."
    page.text(
        "Benchmark speech went through the recogniser twice: in quiet, and put into your room."
        + (synthetic if kit.benchmark == DEMO else "")
    )
    overall = table[table["attribute"] == OVERALL_ATTRIBUTE].set_index("condition")
    quiet = overall.loc[CLEAN]
    page.table(
        ["Where", "Words wrong", "Range"],
        [(_where(str(name)), _share(row["rate"]), _range(row)) for name, row in overall.iterrows()],
    )
    found.worst = max(found.worst, float(overall["rate"].max()))
    claims = _claims(run)
    for name in [name for name in overall.index if name != CLEAN]:
        row = overall.loc[name]
        mine = affirmed((c for c in claims if c.condition == name), "condition")
        if mine and mine[0].estimate > 0:
            text = (
                f"In {_where(str(name))}, {mine[0].estimate * 100:.0f} more words in 100 go wrong than in quiet, for the "
                f"same speech ({_share(row['rate'])}, not {_share(quiet['rate'])})."
            )
            found.advice.append(
                "Try a microphone closer to the mouth, such as a headset: the room by itself costs words. If that cannot "
                "be, try another place, or switch off what hums."
            )
        else:
            text = (
                f"In {_where(str(name))} no more words go wrong than in quiet by more than chance explains "
                f"({_share(row['rate'])}, in quiet {_share(quiet['rate'])})."
            )
        page.text(text)
        found.short.append(text)
    if kit.benchmark != DEMO:
        for claim in affirmed(claims, "interaction"):
            if claim.estimate > 0:
                text = (
                    f"{_where(claim.condition).capitalize()} costs “{claim.group}” ({claim.attribute}) "
                    f"{claim.estimate * 100:.0f} more words in 100 than it costs the others. The difference is larger than "
                    "chance explains."
                )
                page.text(text)
                found.short.append(text)


def _claims(run: Path) -> list[Claim]:
    """Read what the run says of its first engine."""
    claims = claims_of(read_claims(run))
    engine = read_run_file(run)["engines"][0]["label"]
    return [claim for claim in claims if claim.engine == engine]


def _where(condition: str) -> str:
    """Name a condition in words: ``quiet``, or the room and how loud it was set."""
    _, _, severity = condition.partition("@")
    return "quiet" if condition == CLEAN else "your room" + (f" ({severity})" if severity else "")


def _disparity(run: Path) -> pd.DataFrame:
    """Read the first engine's rows."""
    table = load_run(run).disparity
    chosen: pd.DataFrame = table[table["engine"] == table["engine"].iloc[0]]
    return chosen


def _row(table: pd.DataFrame, attribute: str, condition: str) -> pd.Series[Any]:
    row: pd.Series[Any] = table[(table["attribute"] == attribute) & (table["condition"] == condition)].iloc[0]
    return row


def _share(rate: Any) -> str:
    return "–" if pd.isna(rate) else f"{rate * 100:.0f} in 100"


def _range(row: pd.Series[Any]) -> str:
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return "too few people or words"
    return f"{row['ci_low'] * 100:.0f} to {row['ci_high'] * 100:.0f}"


def _aside(row: pd.Series[Any]) -> str:
    known = pd.notna(row["ci_low"]) and pd.notna(row["ci_high"])
    return f" (range: {_range(row)})" if known else ""
