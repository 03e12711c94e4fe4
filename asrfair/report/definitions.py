"""The tables of a run: what each is called, which columns people see, in which order its rows stand.

The report, the Markdown page, the terminal and the service card all take their tables from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from asrfair.report.tables import Column
from asrfair.say import words
from asrfair.say.thresholds import censored_words, target_words
from asrfair.stats.thresholds.axis import named

ENGINE: Final = Column(name="engine", needed=True, heading="Engine")
CONDITION: Final = Column(name="condition", needed=True, heading="Condition", words=words.condition_words)
ATTRIBUTE: Final = Column(name="attribute", needed=True, heading="Attribute", words=words.attribute_words)
GROUP: Final = Column(name="group", needed=True, heading="Group", words=words.group_words)
SPEAKERS: Final = Column(name="speakers", needed=True, heading="Speakers", kind="count")
UTTERANCES: Final = Column(name="utterances", needed=True, heading="Utterances", kind="count")
REF_WORDS: Final = Column(name="ref_words", needed=True, heading="Words", kind="count", says="Words of the references.")
FLAG: Final = Column(name="flag", heading="Note", kind="flag")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """How one table of the run folder becomes a :class:`Table`.

    ``caption`` may use ``{confidence}``. ``order`` sorts the rows; without one they stay in the file's order.
    """

    source: str
    title: str
    columns: tuple[Column, ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    order: Callable[[pd.DataFrame], pd.DataFrame] | None = None


def worst_first(by: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a sorter: engine, condition and attribute keep the file's order, the highest ``by`` comes first."""

    def sort(frame: pd.DataFrame) -> pd.DataFrame:
        outer = [
            name
            for name in ("engine", "engine_a", "engine_b", "condition", "attribute", "versus")
            if name in frame.columns
        ]
        ranks = pd.DataFrame({name: pd.factorize(frame[name])[0] for name in outer}, index=frame.index)
        ranks["_value"] = -pd.to_numeric(frame[by], errors="coerce")
        order = ranks.sort_values([*outer, "_value"], kind="stable", na_position="last").index
        return frame.loc[order].reset_index(drop=True)

    return sort


DEFINITIONS: Final[Mapping[str, Definition]] = {
    "groups": Definition(
        source="disparity",
        title="Word error rate by group",
        caption="WER with its {confidence} interval over speakers; the worst group of each attribute comes first.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            SPEAKERS,
            UTTERANCES,
            REF_WORDS,
            Column(
                name="rate",
                needed=True,
                heading="WER %",
                kind="percent",
                low="ci_low",
                high="ci_high",
                drawn=True,
                says="Substituted, deleted and inserted words over the words spoken, pooled over the group.",
            ),
            Column(
                name="rate_capped",
                heading="without loops %",
                kind="percent",
                low="capped_ci_low",
                high="capped_ci_high",
                says="With at most as many inserted words in an utterance as were spoken; claims rest on it.",
            ),
            Column(
                name="failed",
                heading="Failed",
                kind="count",
                says="Utterances for which the engine returned nothing usable.",
            ),
            Column(
                name="scored_share",
                heading="Scored %",
                kind="percent",
                says="Of the utterances that could be scored; what is missing may be the hardest.",
            ),
            FLAG,
        ),
        order=worst_first("rate"),
    ),
    "gaps": Definition(
        source="gaps",
        title="Gap between the worst and the best group",
        caption="The worst group's WER first, then its distance to the best group, with {confidence} intervals.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            Column(name="groups", heading="Groups", kind="count", says="Groups large enough to be compared."),
            Column(name="worst_group", needed=True, heading="Worst group", words=words.group_words),
            Column(
                name="worst_rate",
                needed=True,
                heading="Worst WER %",
                kind="percent",
                low="worst_ci_low",
                high="worst_ci_high",
                drawn=True,
            ),
            Column(name="best_group", needed=True, heading="Best group", words=words.group_words),
            Column(name="best_rate", needed=True, heading="Best WER %", kind="percent"),
            Column(
                name="gap",
                needed=True,
                heading="Gap, points",
                kind="percent",
                low="gap_ci_low",
                high="gap_ci_high",
                drawn=True,
                says="Worst minus best WER in percentage points.",
            ),
            Column(
                name="gap_capped",
                heading="without loops, points",
                kind="percent",
                says="The gap with at most as many inserted words in an utterance as were spoken.",
            ),
            Column(name="ratio", heading="Ratio", kind="ratio", low="ratio_ci_low", high="ratio_ci_high"),
            Column(
                name="macro_rate",
                heading="Mean of groups %",
                kind="percent",
                low="macro_ci_low",
                high="macro_ci_high",
                says="Every group counts the same, however many words it has.",
            ),
            FLAG,
        ),
    ),
    "differences": Definition(
        source="differences",
        title="Each group against the best, the reference or the rest",
        caption="Difference in WER in percentage points with its {confidence} interval over speakers.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="versus", needed=True, heading="Against"),
            Column(name="versus_group", needed=True, heading="Which is", words=words.group_words),
            Column(
                name="difference",
                needed=True,
                heading="Difference, points",
                kind="points",
                low="ci_low",
                high="ci_high",
                drawn=True,
            ),
            Column(name="ratio", heading="Ratio", kind="ratio", low="ratio_ci_low", high="ratio_ci_high"),
            Column(
                name="mdd",
                heading="Smallest detectable, points",
                kind="percent",
                says="The smallest difference that so many speakers would show four times in five.",
            ),
            Column(
                name="speakers_needed",
                heading="Speakers needed",
                kind="count",
                says="Speakers of this group, the others growing alike, that would show `detect` (5 points) four times in five.",
            ),
            FLAG,
        ),
        order=worst_first("difference"),
    ),
    "comparisons": Definition(
        source="comparisons",
        title="Engine against engine",
        caption="WER of engine A minus engine B in percentage points on the same utterances, {confidence} intervals.",
        columns=(
            Column(name="engine_a", needed=True, heading="Engine A"),
            Column(name="engine_b", needed=True, heading="Engine B"),
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(
                name="difference",
                needed=True,
                heading="Difference, points",
                kind="points",
                low="ci_low",
                high="ci_high",
                drawn=True,
            ),
            Column(
                name="mapsswe_p",
                heading="p (MAPSSWE)",
                kind="p",
                says="Matched-pairs test over segments; it ignores speakers.",
            ),
            FLAG,
        ),
    ),
    "interactions": Definition(
        source="interactions",
        title="Does a condition widen the gap?",
        caption=(
            "How much more a group loses than the reference group when going from clean audio to the condition "
            "(difference in differences, percentage points, {confidence} interval), and the same as a ratio of ratios."
        ),
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="reference_group", needed=True, heading="Reference group", words=words.group_words),
            Column(
                name="difference_in_differences",
                needed=True,
                heading="Widening, points",
                kind="points",
                low="ci_low",
                high="ci_high",
                drawn=True,
            ),
            Column(
                name="ratio_of_ratios",
                heading="Ratio of ratios",
                kind="ratio",
                low="ratio_ci_low",
                high="ratio_ci_high",
            ),
            Column(name="scales_disagree", heading="Scales disagree", kind="flag"),
            FLAG,
        ),
        order=worst_first("difference_in_differences"),
    ),
    "adjusted": Definition(
        source="adjusted",
        title="Ratios with other differences between groups held fixed",
        caption="WER ratio to the reference group, as measured and with covariates held fixed, {confidence} intervals.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="reference_group", heading="Reference group", words=words.group_words),
            Column(name="raw_ratio", needed=True, heading="Ratio as measured", kind="ratio"),
            Column(
                name="adjusted_ratio",
                needed=True,
                heading="Ratio, adjusted",
                kind="ratio",
                low="ci_low",
                high="ci_high",
                drawn=True,
            ),
            Column(
                name="matched_ratio",
                heading="Ratio, matched",
                kind="ratio",
                low="matched_ci_low",
                high="matched_ci_high",
            ),
            Column(name="p_likelihood_ratio", heading="p (all groups)", kind="p"),
            Column(name="covariates", heading="Held fixed", words=words.covariate_words),
            FLAG,
        ),
        order=worst_first("adjusted_ratio"),
    ),
    "normalizers": Definition(
        source="normalizers",
        title="Does the answer depend on the text rules?",
        caption="WER of each group under each normalizer; a group whose rank changes is marked.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            Column(name="normalizer", needed=True, heading="Normalizer"),
            GROUP,
            Column(name="rate", needed=True, heading="WER %", kind="percent"),
            Column(name="rank", heading="Rank", kind="count"),
            Column(name="rank_flip", heading="Order changes", kind="flag"),
            Column(name="gap", heading="Gap, points", kind="percent"),
            Column(name="gap_change", heading="Change of gap", kind="points"),
        ),
    ),
    "sensitivity": Definition(
        source="sensitivity",
        title="Does the answer rest on the voice?",
        caption=(
            "The same utterances in a voice that was changed a little, against the same voice without the change "
            "(percentage points, {confidence} interval, paired by utterance). A synthetic change is not another person: "
            "this says how far recognition rests on one property of a voice. It does not say who has such a voice, and "
            "nothing about any speaker is inferred from it. The rows of nothing are what the resynthesis alone costs."
        ),
        columns=(
            ENGINE,
            CONDITION,
            Column(name="change", needed=True, heading="Changed"),
            Column(name="asked", needed=True, heading="By"),
            Column(name="achieved", heading="Achieved"),
            Column(name="against", needed=True, heading="Against", words=words.condition_words),
            ATTRIBUTE,
            GROUP,
            SPEAKERS,
            UTTERANCES,
            REF_WORDS,
            Column(name="rate_against", heading="WER % before", kind="percent"),
            Column(name="rate", heading="WER % after", kind="percent"),
            Column(
                name="difference",
                needed=True,
                heading="Change, points",
                kind="points",
                low="ci_low",
                high="ci_high",
                drawn=True,
            ),
            FLAG,
        ),
    ),
    "influence": Definition(
        source="influence",
        title="What the gap hangs on",
        caption="The speakers, utterances and failures without which the gap would change most.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="kind", needed=True, heading="What is left out"),
            Column(name="id", needed=True, heading="Which", words=words.left_out_words),
            Column(name="utterances", heading="Utterances", kind="count"),
            Column(name="errors", heading="Errors", kind="count"),
            Column(name="share_of_errors", heading="Share of errors %", kind="percent"),
            REF_WORDS,
            Column(name="rate_with", heading="Group WER %", kind="percent"),
            Column(name="rate_without", heading="… without it", kind="percent"),
            Column(name="gap_with", heading="Gap, points", kind="percent"),
            Column(name="gap_without", heading="… without it", kind="percent"),
            Column(name="reason", heading="Why it stands out", kind="note", words=words.reason_words),
        ),
    ),
    "subgroups": Definition(
        source="subgroups",
        title="Combinations of attributes that nobody named",
        caption=(
            "Found by search among all combinations in one half of the speakers, then looked at in the other half, "
            "which the search had not seen: ratio of WERs to everybody else, {confidence} interval."
        ),
        columns=(
            ENGINE,
            CONDITION,
            Column(name="subgroup", heading="Combination", words=words.group_words),
            Column(name="found_speakers", heading="Speakers, search", kind="count"),
            Column(name="found_ratio", heading="Ratio, search", kind="ratio"),
            Column(name="p_search", heading="p (search)", kind="p", says="Corrected for everything that was searched."),
            Column(name="held_out_speakers", heading="Speakers, other half", kind="count"),
            Column(
                name="held_out_ratio",
                heading="Ratio, other half",
                kind="ratio",
                low="ci_low",
                high="ci_high",
                drawn=True,
            ),
            Column(name="p_held_out_holm", heading="p (other half, Holm)", kind="p"),
            FLAG,
        ),
    ),
    "metrics": Definition(
        source="metrics",
        title="Other measures by group",
        caption=(
            "Measures beside WER, with {confidence} intervals. The measures of asrfair are shares, shown in %; your "
            "own are shown as they come."
        ),
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="metric", needed=True, heading="Measure", words=words.metric_words),
            Column(
                name="value",
                needed=True,
                heading="Value",
                kind="percent",
                low="ci_low",
                high="ci_high",
                kind_of=words.metric_kind,
            ),
            FLAG,
        ),
    ),
    "faas": Definition(
        source="faas",
        title="FAAS, as others tabulate it",
        caption="A score that others publish, so that runs can be set beside theirs. Read its caution before the number.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            Column(name="groups", heading="Groups", kind="count"),
            Column(name="rate", heading="WER %", kind="percent"),
            Column(name="category_score", heading="Category score", kind="decimal"),
            Column(name="p", heading="p (groups)", kind="p"),
            Column(name="adjusted_score", heading="Adjusted score", kind="decimal"),
            Column(name="faas", needed=True, heading="FAAS", kind="decimal"),
            Column(name="caution", heading="Caution", kind="note"),
        ),
    ),
    "thresholds": Definition(
        source="thresholds",
        title="How much each group can bear",
        caption=(
            "The level of the parameter at which the group's pooled word error rate reaches the target, with its "
            "{confidence} interval over speakers."
        ),
        columns=(
            ENGINE,
            Column(name="place", needed=True, heading="Place"),
            Column(name="parameter", needed=True, heading="Turned", words=named),
            ATTRIBUTE,
            GROUP,
            SPEAKERS,
            Column(name="target", needed=True, heading="Target WER", words=target_words),
            Column(name="threshold", needed=True, heading="Threshold", kind="number", low="ci_low", high="ci_high"),
            Column(name="unit", heading="Unit"),
            Column(name="censored", needed=True, heading="Not reached", kind="note", words=censored_words),
            FLAG,
        ),
    ),
    "coverage": Definition(
        source="coverage",
        title="Who is in the data",
        caption="Speakers, utterances, words and hours of each group; a group with few speakers says little.",
        columns=(
            ATTRIBUTE,
            GROUP,
            Column(name="speakers", needed=True, heading="Speakers", kind="count", drawn=True),
            UTTERANCES,
            REF_WORDS,
            Column(name="hours", heading="Hours", kind="hours"),
            FLAG,
        ),
    ),
    "prompts": Definition(
        source="prompts",
        title="Who read which sentences",
        caption="Groups that read different sentences may differ by these; shares are of the group's words.",
        columns=(
            ATTRIBUTE,
            GROUP,
            UTTERANCES,
            Column(name="sentences", needed=True, heading="Sentences", kind="count", says="Different sentences."),
            Column(
                name="speakers_a_sentence",
                heading="Speakers a sentence",
                kind="decimal",
                says="By how many speakers of the group a sentence was read, on average.",
            ),
            Column(
                name="shared_share",
                heading="Read by others too %",
                kind="percent",
                drawn=True,
                says="Words in sentences that some other group read as well.",
            ),
            Column(name="closest_group", heading="Most like", words=words.group_words),
            Column(name="closest_share", heading="shared with it %", kind="percent"),
            Column(name="farthest_group", heading="Least like", words=words.group_words),
            Column(name="farthest_share", heading="shared with that %", kind="percent"),
            FLAG,
        ),
    ),
    "ledger": Definition(
        source="ledger_by_group",
        title="What was not scored, or looks wrong",
        caption="Utterances of the ledger by reason and group, and their share of the group's utterances.",
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="reason", needed=True, heading="Reason", words=words.reason_words),
            UTTERANCES,
            Column(name="share", needed=True, heading="Share %", kind="percent", drawn=True),
        ),
        order=worst_first("share"),
    ),
    "invariance": Definition(
        source="invariance",
        title="In batches, and one at a time",
        caption=(
            "A sample balanced over groups, transcribed again one utterance at a time. Padding follows the batch: "
            "where transcripts follow it, errors belong to the plan and not to the speaker."
        ),
        columns=(
            ENGINE,
            CONDITION,
            ATTRIBUTE,
            GROUP,
            UTTERANCES,
            Column(name="flips", needed=True, heading="Transcripts that differ", kind="count"),
            REF_WORDS,
            Column(name="rate_run", heading="WER %, in batches", kind="percent"),
            Column(name="rate_alone", heading="WER %, alone", kind="percent"),
            Column(name="difference", heading="Difference, points", kind="points"),
        ),
    ),
    "achieved": Definition(
        source="achieved_by_group",
        title="What the conditions did to each group's audio",
        caption="Values measured after rendering: a group whose audio was treated differently is not comparable.",
        columns=(
            CONDITION,
            ATTRIBUTE,
            GROUP,
            Column(name="quantity", needed=True, heading="Quantity", words=words.attribute_words),
            Column(name="mean", needed=True, heading="Mean", kind="number"),
            Column(name="sd", heading="SD", kind="number"),
            UTTERANCES,
            Column(name="difference", heading="Against all others", kind="number"),
            FLAG,
        ),
    ),
}
"""Every table, in the order in which a report shows them."""
