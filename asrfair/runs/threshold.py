"""How much noise each group can bear: the level of one parameter at which its WER reaches a target, adaptively found.

Every engine hears each place at three coarse levels, then where the groups' curves cross the target. Each step is a run
of its own in ``levels/``, with its journal, so that a search that was cut off goes on, and the same suite ends with the
same bytes: which level comes next depends on nothing but what was heard. Levels of a place share its noise, drawn for
the profile and the utterance, so that only the level differs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.acoustics import parse_condition
from asrfair.data.manifest import Manifest, check_groupable, read_manifest
from asrfair.errors import InputError
from asrfair.recognise.transcribe import transcribe
from asrfair.runs.suite import Suite
from asrfair.runs.threshold_settings import Axis, ThresholdTable, axis_of
from asrfair.scoring import score_run
from asrfair.stats.compare.multiplicity import holm
from asrfair.stats.estimate.psychometric import Threshold, coarse_levels, difference, next_level, threshold
from asrfair.stats.frame import Frame, load_frame
from asrfair.types import CLEAN, INTERSECTION, OVERALL_ATTRIBUTE, OVERALL_GROUP, EngineSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

THRESHOLDS, GAPS, LEVELS = "thresholds.csv", "threshold_gaps.csv", "threshold_levels.csv"
COARSE = 3
SMALL = "few_speakers"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Errors and words of one condition by utterance, shape (utterances,)."""

    errors: Floats
    words: Floats


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was heard of one engine in one place.

    Args:
        engine: Its label.
        axis: The parameter that was turned.
        clean: The recordings themselves.
        levels: What was heard, by value.
        asymptote: Whether the recordings themselves are the best level.
        groups: (attribute, group, mask of utterances, speaker of each utterance as a number).
    """

    engine: str
    axis: Axis
    clean: Counts
    asymptote: bool
    groups: list[tuple[str, str, npt.NDArray[np.bool_]]]
    speaker: npt.NDArray[np.int64]
    levels: dict[float, Counts] = field(default_factory=dict)

    def threshold(self, mask: npt.NDArray[np.bool_], target: float, *, relative: bool, confidence: float) -> Threshold:
        """Estimate one group's threshold from what has been heard so far."""
        values = sorted(self.levels)
        ids, places = np.unique(self.speaker[mask], return_inverse=True)

        def summed(values: Floats) -> Floats:
            return np.bincount(places, weights=values[mask], minlength=len(ids)).astype(np.float64)

        errors = np.column_stack([summed(self.levels[v].errors) for v in values])
        words = np.column_stack([summed(self.levels[v].words) for v in values])
        heard = words.sum(axis=1) > 0
        return threshold(
            np.array([self.axis.easier(v) for v in values]), errors[heard], words[heard], target=target,
            relative=relative, clean_errors=summed(self.clean.errors)[heard],
            clean_words=summed(self.clean.words)[heard], asymptote=self.asymptote, confidence=confidence,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The tables, and the gates that failed (sentences)."""

    run: Path
    thresholds: pd.DataFrame
    gaps: pd.DataFrame
    levels: pd.DataFrame
    failed: tuple[str, ...]
    searches: tuple[Search, ...]


def find_thresholds(
    suite: Suite, table: ThresholdTable, run: Path, *, workers: int | None = None, fresh: bool = False,
    progress: bool = True,
) -> Thresholds:  # fmt: skip
    """Search every engine and place, and write the tables; resume if the folder holds the same search, cut off.

    Args:
        suite: Manifest, engines, groups, scoring and statistics.
        table: What to look for.
        run: The folder; made if need be.
        workers: Worker processes; ``None`` is one a core.
        fresh: Throw away what was heard.
        progress: Whether to show progress.

    Raises:
        InputError: The suite or a place is wrong, or the folder holds another search.
        EngineError: An engine cannot start or has failed as a whole.
    """
    manifest = read_manifest(suite.manifest, allow_outside=suite.allow_outside, allow_remote=suite.allow_remote)
    check_groupable(manifest, suite.groups.by, suite.groups.allow_inferred)
    places = table.places or list(dict.fromkeys(c.partition("@")[0] for c in suite.conditions if c != CLEAN))
    if not places:
        raise InputError("no place is named", file=suite.path, column="threshold.places", remedy='places = ["…"]')
    if table.wer is None and table.times_clean is None:
        raise InputError("no target is named", file=suite.path, column="threshold.wer", remedy="Write wer = 0.3")
    axes = [axis_of(table, place, suite.profiles, file=suite.path) for place in places]
    searches = []
    for number, spec in enumerate(suite.engines):
        hear = _Ear(suite, manifest, spec, run / "levels" / f"engine-{number + 1}", workers, fresh, progress)
        clean = hear([CLEAN], "clean")
        for index, axis in enumerate(axes):
            profile = parse_condition(
                axis.condition(axis.rounded(axis.easier(axis.high))), profiles=suite.profiles, render=suite.render
            )
            search = Search(
                engine=spec.label, axis=axis, clean=_counts(clean, 0), groups=_groups(clean, suite),
                speaker=clean.speaker.astype(np.int64),
                asymptote=axis.key == "snr_db" and len(profile.steps) == 1,
            )  # fmt: skip
            _listen(search, hear, table, f"place-{index + 1}")
            searches.append(search)
    result = _tables(searches, suite, table, run)
    for frame, name in ((result.thresholds, THRESHOLDS), (result.gaps, GAPS), (result.levels, LEVELS)):
        frame.to_csv(run / name, index=False, lineterminator="\n")
    content = {"suite": suite.name, "sha256": suite.sha256, "manifest": manifest.fingerprint, "seed": suite.seed}
    (run / "threshold.json").write_text(
        json.dumps({**content, "threshold": table.model_dump(), "failed": list(result.failed)}, indent=2) + "\n",
        encoding="utf-8",
    )
    return result


class _Ear:
    """Hears conditions with one engine, each set in a run folder of its own."""

    def __init__(
        self, suite: Suite, manifest: Manifest, spec: EngineSpec, folder: Path, workers: int | None, fresh: bool,
        progress: bool,
    ) -> None:  # fmt: skip
        self.suite, self.manifest, self.spec, self.folder = suite, manifest, spec, folder
        self.workers, self.fresh, self.progress = workers, fresh, progress

    def __call__(self, conditions: list[str], name: str) -> Frame:
        run = self.folder / name
        run.mkdir(parents=True, exist_ok=True)
        suite = self.suite
        parsed = [parse_condition(c, profiles=suite.profiles, render=suite.render) for c in conditions]
        transcribe(
            self.manifest, [self.spec], parsed, run,
            seed=self.suite.seed, workers=self.workers, fresh=self.fresh, progress=self.progress,
            base=self.suite.path.resolve().parent,
        )  # fmt: skip
        score_run(run, self.suite.scoring, workers=self.workers)
        return load_frame(run, self.suite.groups)


def _listen(search: Search, hear: _Ear, table: ThresholdTable, name: str) -> None:
    """Hear the coarse levels together, then one level after another where the groups' curves cross the target."""
    axis = search.axis
    low, high = sorted((axis.easier(axis.low), axis.easier(axis.high)))
    first = list(dict.fromkeys(axis.rounded(x) for x in coarse_levels(low, high, COARSE)))
    frame = hear([axis.condition(v) for v in first], f"{name}-coarse")
    for place, value in enumerate(first):
        search.levels[value] = _counts(frame, place)
    relative = table.wer is None
    target = table.times_clean if table.wer is None else table.wer
    assert target is not None
    while len(search.levels) < table.levels:
        masks = [mask for _, _, mask in search.groups]
        found = []
        for mask in masks:
            one = search.threshold(mask, target, relative=relative, confidence=0.95)
            found.append(float(one.curve.reaches(np.array([one.target]))[0]))
        tried = [axis.easier(v) for v in search.levels]
        value = axis.rounded(next_level(sorted(tried), found, low, high))
        if value in search.levels:
            break
        frame = hear([axis.condition(value)], f"{name}-{len(search.levels) + 1}")
        search.levels[value] = _counts(frame, 0)


def _counts(frame: Frame, place: int) -> Counts:
    """Return the counts of the frame's only engine in one of its conditions."""
    return Counts(errors=frame.numerator[0, place].astype(float), words=frame.denominator[0, place].astype(float))


def _groups(frame: Frame, suite: Suite) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    everybody = np.ones(len(frame.utterances), dtype=bool)
    groups = [(OVERALL_ATTRIBUTE, OVERALL_GROUP, everybody)]
    for names in suite.groups.by:
        labels = frame.utterances[names[0]].astype(str)
        for name in names[1:]:
            labels = labels + INTERSECTION + frame.utterances[name].astype(str)
        groups += [(INTERSECTION.join(names), g, (labels == g).to_numpy()) for g in sorted(labels.unique())]
    return groups


def _tables(searches: list[Search], suite: Suite, table: ThresholdTable, run: Path) -> Thresholds:
    targets = [(t, r) for t, r in ((table.wer, False), (table.times_clean, True)) if t is not None]
    confidence = suite.statistics.confidence
    rows, gaps, levels = [], [], []
    for search in searches:
        axis = search.axis
        same = {
            "engine": search.engine,
            "place": axis.place,
            "parameter": f"{axis.label}.{axis.key}",
            "unit": axis.unit,
        }
        levels += _level_rows(search, same)
        for target, relative in targets:
            text = f"{target:g} x clean" if relative else f"{100 * target:g} %"
            found: dict[str, dict[str, Threshold]] = {}
            for attribute, group, mask in search.groups:
                one = search.threshold(mask, target, relative=relative, confidence=confidence)
                speakers = len(np.unique(search.speaker[mask]))
                words = int(search.clean.words[mask].sum())
                small = speakers < suite.groups.min_speakers or words < suite.groups.min_words
                if not small:
                    found.setdefault(attribute, {})[group] = one
                rows.append({**same, "attribute": attribute, "group": group, "speakers": speakers, "words": words}
                            | _row(one, search, text, small=small))  # fmt: skip
            for attribute, groups in found.items():
                gaps += _gap_rows(groups, {**same, "attribute": attribute, "target": text}, axis, confidence)
    thresholds, differences = pd.DataFrame(rows), pd.DataFrame(gaps, columns=GAP_COLUMNS)
    differences["p_adjusted"] = _holm(differences["p"].to_numpy(float))
    differences["affirmed"] = differences["p_adjusted"] < 1 - confidence
    differences["text"] = [gap_sentence(row) for row in differences.to_dict("records")]
    return Thresholds(
        run=run, thresholds=thresholds, gaps=differences, levels=pd.DataFrame(levels),
        failed=tuple(_failed(thresholds, differences, table)), searches=tuple(searches),
    )  # fmt: skip


GAP_COLUMNS = [
    "engine", "place", "parameter", "unit", "attribute", "target", "group", "other", "difference", "ci_low", "ci_high",
    "p",
]  # fmt: skip


def _level_rows(search: Search, same: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for attribute, group, mask in search.groups:
        for value, counts in [*sorted(search.levels.items()), (math.nan, search.clean)]:
            errors, words = float(counts.errors[mask].sum()), float(counts.words[mask].sum())
            rows.append(
                {**same, "attribute": attribute, "group": group, "level": value, "errors": int(errors),
                 "words": int(words), "wer": errors / words if words else math.nan}
            )  # fmt: skip
    return rows


def _row(found: Threshold, search: Search, target: str, *, small: bool) -> dict[str, Any]:
    axis = search.axis
    ends = sorted(axis.value(x) if math.isfinite(x) else math.nan for x in (found.low, found.high))
    there = math.isfinite(found.level)
    return {
        "target": target,
        "target_wer": found.target,
        "threshold": axis.value(found.level) if there else math.nan,
        "ci_low": ends[0] if there and not small else math.nan,
        "ci_high": ends[1] if there and not small else math.nan,
        "censored": found.censored,
        "heard_low": min(search.levels),
        "heard_high": max(search.levels),
        "usual_low": axis.usual[0] if axis.usual else math.nan,
        "usual_high": axis.usual[1] if axis.usual else math.nan,
        "flag": SMALL if small else "",
    }


def _gap_rows(
    groups: dict[str, Threshold], same: dict[str, Any], axis: Axis, confidence: float
) -> list[dict[str, Any]]:
    """Compare every two groups; the one that needs more stands first. By factors, the difference is a ratio."""
    rows = []
    names = sorted(groups)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            group, other = first, second
            if groups[second].level > groups[first].level:
                group, other = second, first
            found = difference(groups[group], groups[other], confidence=confidence)
            if not math.isfinite(found.p):
                continue
            ends = [math.exp(x) if axis.by_factors else x for x in (found.estimate, found.low, found.high)]
            rows.append({**same, "group": group, "other": other, "difference": ends[0], "ci_low": ends[1],
                         "ci_high": ends[2], "p": found.p})  # fmt: skip
    return rows


def _holm(p: Floats) -> Floats:
    return holm(p) if len(p) else p


def gap_sentence(row: Mapping[Any, Any]) -> str:
    """Return one difference in words; says so where chance could have made it."""
    amount = f"{row['difference']:.1f}".replace("-", "−")
    ends = f"{row['ci_low']:.1f} to {row['ci_high']:.1f}".replace("-", "−")
    factor = row["parameter"].rpartition(".")[2] in {"distance_m", "rt60_s", "loss", "bitrate_kbps", "high_hz"}
    unit = row["unit"] or ""
    more = f"{amount} times as easy a {row['parameter']}" if factor else f"{amount} {unit} ({ends}) more"
    if factor:
        more += f" ({ends})"
    what = " signal" if row["parameter"].endswith("snr_db") else ""
    same = f"for the same word error rate ({row['target']}) in {row['place']} with {row['engine']}"
    if row["affirmed"]:
        return f"{row['group']} speakers need {more}{what} than {row['other']} speakers {same}."
    return f"Between {row['group']} and {row['other']} chance could have made the {more.removesuffix(' more')} {same}."


def threshold_words(row: Mapping[Any, Any]) -> str:
    """Return a threshold as a table shows it: ``7.1 dB (5.0 to 9.2)``, or where it lies when it was not reached."""
    unit = f" {row['unit']}" if row["unit"] else ""
    easy_is_high = row["parameter"].rpartition(".")[2] in {"snr_db", "bitrate_kbps", "high_hz", "drr_db"}
    best, worst = (row["heard_high"], row["heard_low"])
    if not easy_is_high:
        best, worst = worst, best
    if row["censored"] == "clean":
        return "above the target on clean recordings"
    if row["censored"] == "better":
        return f"better than {worst:g}{unit}".replace("-", "−")
    if row["censored"] == "worse":
        return f"worse than {best:g}{unit}".replace("-", "−")
    text = f"{row['threshold']:.1f}{unit}"
    if math.isfinite(row["ci_low"]):
        text += f" ({row['ci_low']:.1f} to {row['ci_high']:.1f})"
    return text.replace("-", "−")


def _failed(thresholds: pd.DataFrame, gaps: pd.DataFrame, table: ThresholdTable) -> list[str]:
    failed = []
    if table.max_threshold_db is not None:
        for row in thresholds[thresholds["flag"] == ""].to_dict("records"):
            beyond = row["threshold"] > table.max_threshold_db or row["censored"] in {"worse", "clean"}
            if beyond:
                failed.append(
                    f"{row['engine']}, {row['place']}: {row['group']} ({row['target']}) {threshold_words(row)}, "
                    f"allowed {table.max_threshold_db:g} {row['unit']}"
                )
    if table.max_threshold_gap_db is not None:
        failed += [
            f"{row['text']} Allowed: {table.max_threshold_gap_db:g} {row['unit']}"
            for row in gaps[gaps["affirmed"]].to_dict("records")
            if row["difference"] > table.max_threshold_gap_db
        ]
    return failed
