"""The report in plain words: who is understood worse here, which of our words are lost, what to do about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from asrfair.errors import InputError
from asrfair.lastmile.pages import Page
from asrfair.lastmile.prompts import read_vocabulary
from asrfair.lastmile.run import BENCHMARK, ROOM
from asrfair.lastmile.settings import DEMO, Kit
from asrfair.normalize import get_normalizer
from asrfair.runfile import read_run_file, settings_from_json
from asrfair.score.key_terms import KeyTerms
from asrfair.tablefile import read_result
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
    page = Page(title=f"Who is understood here: {kit.name}")
    advice: list[str] = []
    if ROOM in runs:
        advice += _people(page, kit, runs[ROOM])
    if BENCHMARK in runs:
        advice += _place(page, kit, runs[BENCHMARK])
    page.heading("What to do")
    page.items(
        list(dict.fromkeys(advice)) or ["Nothing here calls for a change. Repeat the test when something changes."]
    )
    page.heading("How sure this is")
    page.text(
        "A range in brackets says where the true share probably lies (95 in 100 times). Groups whose ranges overlap may "
        "well be equally well understood. More people make the ranges narrower; more sentences of the same people hardly do."
    )
    page.items([f"Full tables and plots: runs/{name}/report.html" for name in runs])
    return page, page.write(kit.folder / "REPORT")


def lost_terms(run: Path, terms: tuple[str, ...], *, condition: str = CLEAN) -> list[TermResult]:
    """Count every term of a list by itself, over the scored utterances of the first engine in one condition."""
    content = read_run_file(run)
    words = get_normalizer(settings_from_json(content)[1].normalizer)
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


def _people(page: Page, kit: Kit, run: Path) -> list[str]:
    table = _disparity(run)
    advice = []
    page.heading("The people who read here")
    overall = _row(table, OVERALL_ATTRIBUTE, CLEAN)
    page.text(f"{int(overall['speakers'])} people read {int(overall['ref_words'])} words. {_sentence(overall)}")
    for attribute in [name for name in table["attribute"].unique() if name != OVERALL_ATTRIBUTE]:
        advice += _groups(
            page, table[(table["attribute"] == attribute) & (table["condition"] == CLEAN)], str(attribute)
        )
    terms = lost_terms(run, read_vocabulary(kit.folder))
    said = [item for item in terms if item.said]
    if said:
        page.heading("Your words")
        lost = sorted(
            (item for item in said if item.lost), key=lambda item: (-item.lost / item.said, -item.lost, item.term)
        )
        total = sum(item.said for item in said)
        page.text(
            f"Your words were said {total} times; {sum(item.heard for item in said)} times they came through as written."
        )
        if lost:
            page.table(["Word", "Said", "Came through", "Lost"], [(i.term, i.said, i.heard, i.lost) for i in lost])
            never = [item.term for item in lost if not item.heard]
            named = f" These never came through: {', '.join(never)}." if never else ""
            advice.append(
                "Give your words to the recogniser, if it takes a custom vocabulary, phrase hints or a language model of "
                f"your own: {len(lost)} of {len(said)} words were lost at least once.{named}"
            )
        else:
            page.text("None of them was lost.")
    excluded = pq.read_table(run / "utterances.parquet", columns=["exclude"]).to_pandas()["exclude"]
    left_out = Counter(reason for reason in excluded if reason)
    if left_out:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(left_out.items()))
        page.text(f"Left out until they are recorded again: {reasons} (see CHECK.html).")
    return advice


def _groups(page: Page, rows: pd.DataFrame, attribute: str) -> list[str]:
    shown = rows[rows["ref_words"] > 0].sort_values("wer", ascending=False)
    if len(shown) < 2:
        return []
    page.heading(f"By {attribute}")
    page.table(
        ["Group", "People", "Words", "Words wrong", "Range"],
        [
            (row["group"], int(row["speakers"]), int(row["ref_words"]), _share(row["wer"]), _range(row))
            for _, row in shown.iterrows()
        ],
    )
    worst, best = shown.iloc[0], shown.iloc[-1]
    if worst["wer"] == best["wer"]:
        page.text("No group is understood worse than another.")
        return []
    clear = pd.notna(worst["ci_low"]) and pd.notna(best["ci_high"]) and worst["ci_low"] > best["ci_high"]
    text = (
        f"“{worst['group']}” is understood worst ({_share(worst['wer'])} of the words wrong), "
        f"“{best['group']}” best ({_share(best['wer'])})."
    )
    if clear:
        page.text(f"{text} The difference is larger than chance explains.")
        return [
            (
                f"Tell the provider that “{worst['group']}” ({attribute}) is understood worse, with an export of the counts, and "
                "keep a way to work without speech for those people."
            )
        ]
    page.text(f"{text} With so few people this may be chance.")
    return [f"Record more people for “{attribute}”: what was measured does not yet tell the groups apart."]


def _place(page: Page, kit: Kit, run: Path) -> list[str]:
    table = _disparity(run)
    page.heading("What the room does")
    if kit.benchmark == DEMO:
        page.text("This speech is synthetic: it shows what the room does to the recogniser, and nothing about people.")
    overall = table[table["attribute"] == OVERALL_ATTRIBUTE].set_index("condition")
    quiet = overall.loc[CLEAN]
    page.table(
        ["Where", "Words wrong", "Range"],
        [
            ("quiet" if name == CLEAN else str(name), _share(row["wer"]), _range(row))
            for name, row in overall.iterrows()
        ],
    )
    advice = []
    rooms = [name for name in overall.index if name != CLEAN]
    for name in rooms:
        row = overall.loc[name]
        added = row["wer"] - quiet["wer"]
        if added > 0.02:
            page.text(f"In your room ({name}) the same speech loses {added * 100:.0f} more words in 100 than in quiet.")
            advice.append(
                "Try a microphone closer to the mouth, such as a headset: the room costs more words than the voices do. "
                "If that cannot be, try another place, or switch off what hums."
            )
        else:
            page.text(
                f"Your room ({name}) costs next to nothing: quiet {_share(quiet['wer'])}, there {_share(row['wer'])}."
            )
        advice += _hit_hardest(page, table, str(name))
    return advice


def _hit_hardest(page: Page, table: pd.DataFrame, room: str) -> list[str]:
    """Say which group loses most by going from quiet into the room."""
    for attribute in [name for name in table["attribute"].unique() if name != OVERALL_ATTRIBUTE]:
        rows = table[(table["attribute"] == attribute) & (table["ref_words"] > 0)]
        wide = rows.pivot_table(index="group", columns="condition", values="wer", sort=False)
        if room not in wide or len(wide) < 2:
            continue
        loss = (wide[room] - wide[CLEAN]).dropna()
        if len(loss) > 1 and loss.max() - loss.min() > 0.02:
            page.text(
                f"By {attribute}, “{loss.idxmax()}” loses most by the room ({loss.max() * 100:+.0f} words in 100), "
                f"“{loss.idxmin()}” least ({loss.min() * 100:+.0f})."
            )
    return []


def _disparity(run: Path) -> pd.DataFrame:
    """Read the first engine's rows; a column without any interval is one of missing numbers, not of text."""
    table = read_result(run / "disparity.csv", text=("group",))
    for name in ("wer", "ci_low", "ci_high"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    chosen: pd.DataFrame = table[table["engine"] == table["engine"].iloc[0]]
    return chosen


def _row(table: pd.DataFrame, attribute: str, condition: str) -> pd.Series[Any]:
    row: pd.Series[Any] = table[(table["attribute"] == attribute) & (table["condition"] == condition)].iloc[0]
    return row


def _sentence(row: pd.Series[Any]) -> str:
    if not row["ref_words"]:
        return "None of them could be scored."
    return f"Of 100 words, {row['wer'] * 100:.0f} went wrong {_range(row)}."


def _share(rate: Any) -> str:
    return "–" if pd.isna(rate) else f"{rate * 100:.0f} in 100"


def _range(row: pd.Series[Any]) -> str:
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return "(too few people or words for a range)"
    return f"({row['ci_low'] * 100:.0f} to {row['ci_high'] * 100:.0f})"
