"""How far the rate moves when a voice is changed a little: the same utterances, the same words, another pitch or pace.

A synthetic change is not another person. The table says how far an engine's answer rests on one property of a voice; it
says nothing about who has such a voice, and no attribute of anybody is read from it.

Which conditions change a voice is read from what was asked of their effects (``semitones_asked`` and the like among
what was achieved). Each is compared with the same profile where it changes nothing, which went through the same
resynthesis; where the run has none, with ``clean``. That unchanged condition is itself compared with ``clean``: what
the resynthesis alone costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from asrfair.stats.compare.engines import joined
from asrfair.stats.estimate.paired import paired_change, paired_sums
from asrfair.stats.estimate.two_way import paired_readings
from asrfair.stats.frame import Frame
from asrfair.stats.groups import Grouping
from asrfair.types import CLEAN, GroupSettings, StatisticsSettings

COLUMNS = [
    "engine",
    "condition",
    "change",
    "asked",
    "achieved",
    "against",
    "attribute",
    "group",
    "utterances",
    "speakers",
    "ref_words",
    "rate_against",
    "rate",
    "difference",
    "ci_low",
    "ci_high",
    "flag",
]

CHANGES: dict[str, tuple[str, str]] = {
    "semitones_asked": ("pitch, semitones", "semitones"),
    "melody_percent_asked": ("melody, %", ""),
    "formants_percent_asked": ("formants, %", "formants_percent"),
    "rate_percent_asked": ("speaking rate, %", "rate_percent"),
    "slower_percent_asked": ("longer words, %", ""),
    "pauses_percent_asked": ("longer pauses, %", ""),
    "breath_db_asked": ("breath, dB", "breath_db"),
    "tilt_db_per_octave_asked": ("tilt, dB an octave", ""),
}
"""What a change of voice is recognised by among the achieved values → (its name, what was achieved of it)."""

NOTHING = "nothing (resynthesis alone)"
"""The change of a condition in which every number that was asked for is zero."""

COSTLY = 0.01
"""A resynthesis that costs more than this share of the words is flagged."""


@dataclass(frozen=True, kw_only=True)
class VoiceChange:
    """What one condition does to voices.

    Args:
        name: What is changed, in words; several joined.
        asked: By how much, in the same order.
        achieved: The mean of what was measured; empty where nothing is.
    """

    name: str
    asked: str
    achieved: str

    @property
    def nothing(self) -> bool:
        """Whether every number that was asked for is zero."""
        return self.name == NOTHING


def voice_changes(frame: Frame) -> dict[str, VoiceChange]:
    """Return the conditions of a run that change voices, by name."""
    names = _names(frame) if frame.has_table("achieved") else []
    if not names:
        return {}
    rows = frame.table("achieved", ["condition", "quantity", "value"], where=pc.field("quantity").isin(names))
    found: dict[str, VoiceChange] = {}
    means = rows.groupby(["condition", "quantity"], sort=False)["value"].mean()
    for condition in frame.conditions:
        if condition not in means.index.get_level_values(0):
            continue
        of = {str(quantity): float(value) for quantity, value in means[condition].items() if np.isfinite(value)}
        parts = []
        for quantity, value in of.items():
            label, _, key = quantity.rpartition(".")
            if key in CHANGES and value != 0:
                name, measured = CHANGES[key]
                parts.append((name, value, of.get(f"{label}.{measured}") if measured else None))
        if parts:
            found[condition] = VoiceChange(
                name="; ".join(name for name, *_ in parts),
                asked="; ".join(f"{value:+.3g}" for _, value, _ in parts),
                achieved="; ".join(f"{value:+.3g}" for *_, value in parts if value is not None),
            )
        elif any(quantity.rpartition(".")[2] in CHANGES for quantity in of):
            found[condition] = VoiceChange(name=NOTHING, asked="0", achieved="")
    return found


def _names(frame: Frame) -> list[str]:
    """Quantities that say what was asked of a voice, and what was achieved of it."""
    keys = {*CHANGES, *(measured for _, measured in CHANGES.values() if measured)}
    names = frame.table("achieved", ["quantity"])["quantity"].unique()
    return [name for name in names if str(name).rpartition(".")[2] in keys]


def sensitivity_table(
    frame: Frame, groupings: Sequence[Grouping], groups: GroupSettings, statistics: StatisticsSettings
) -> pd.DataFrame:
    """Make ``sensitivity.csv``: every group's rate under a changed voice and without the change, paired by utterance.

    Args:
        frame: The scores.
        groupings: Everybody, then the attributes.
        groups: How small is too small.
        statistics: Confidence.

    Returns:
        Empty where no condition changes voices. ``flag`` has ``resynthesis_costs`` where resynthesis alone moves the
        rate of a group that is large enough by a point or more.
    """
    changes = voice_changes(frame)
    compared = [
        (condition, against)
        for condition in frame.conditions
        if condition in changes and (against := _against(condition, changes, frame.conditions)) is not None
    ]
    if not compared:
        return pd.DataFrame(columns=COLUMNS)
    size = len(frame.conditions)
    place = {name: number for number, name in enumerate(frame.conditions)}
    named = [(engine, *pair) for engine in range(len(frame.engines)) for pair in compared]
    pairs = [(e * size + place[condition], e * size + place[against]) for e, condition, against in named]
    sums = paired_sums(frame, pairs)
    tail = (1.0 - statistics.confidence) / 2
    parts = []
    for grouping in groupings:
        found = paired_change(grouping, sums, paired_readings(frame, grouping, pairs))
        low, high = found.difference_bounds(tail)
        speakers = grouping.groups((grouping.cells(sums[2, 0]) > 0).astype(np.int64)) * frame.speakers_known
        words = grouping.groups(grouping.cells(sums[1, 1]))
        few = {"few_speakers": speakers < groups.min_speakers, "few_words": words < max(groups.min_words, 1)}
        nothing = np.array([changes[condition].nothing for _, condition, _ in named])[:, None]
        enough = ~few["few_speakers"] & ~few["few_words"]
        shown = enough & np.isfinite(low) & np.isfinite(high)
        costly = nothing & enough & (np.abs(np.nan_to_num(found.difference)) >= COSTLY)
        names = len(grouping.names)
        parts.append(
            pd.DataFrame(
                {
                    "engine": np.repeat([frame.engines[e] for e, *_ in named], names),
                    "condition": np.repeat([condition for _, condition, _ in named], names),
                    "change": np.repeat([changes[condition].name for _, condition, _ in named], names),
                    "asked": np.repeat([changes[condition].asked for _, condition, _ in named], names),
                    "achieved": np.repeat([changes[condition].achieved for _, condition, _ in named], names),
                    "against": np.repeat([against for *_, against in named], names),
                    "attribute": grouping.attribute,
                    "group": np.tile(np.array(grouping.names, dtype=object), len(named)),
                    "utterances": grouping.groups(grouping.cells(sums[2, 0])).ravel(),
                    "speakers": speakers.ravel(),
                    "ref_words": words.ravel(),
                    "rate_against": found.second.rate.ravel(),
                    "rate": found.first.rate.ravel(),
                    "difference": found.difference.ravel(),
                    "ci_low": np.where(shown, low, np.nan).ravel(),
                    "ci_high": np.where(shown, high, np.nan).ravel(),
                    "flag": joined({**few, "resynthesis_costs": costly}, grouping).ravel(),
                    "run": np.repeat(np.arange(len(named)), names),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    return table[table["utterances"] > 0].sort_values("run", kind="stable", ignore_index=True)[COLUMNS]


def _against(condition: str, changes: dict[str, VoiceChange], conditions: Sequence[str]) -> str | None:
    """Return with what a condition is compared: the same profile without a change, else ``clean``."""
    if not changes[condition].nothing:
        base = condition.partition("@")[0]
        for other in conditions:
            if other in changes and changes[other].nothing and other.partition("@")[0] == base:
                return other
    return CLEAN if CLEAN in conditions else None
