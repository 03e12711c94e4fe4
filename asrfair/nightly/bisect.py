"""Which change did it? A night again with each change alone, as far as the cache and the machine allow.

What a suite states can be put back as it was in the baseline: an engine's options, the seed. What lies in the machine
cannot: a package, a model's file, asrfair's own code, a profile or a recording that was written over. So the night is run
with everything put back that can be, and then with one change at a time. What the cache holds is not transcribed again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asrfair.acoustics import parse_condition
from asrfair.data.manifest import read_manifest
from asrfair.data.runfile import read_run_file
from asrfair.errors import InputError
from asrfair.nightly.baseline import scored
from asrfair.nightly.cache import Cache
from asrfair.nightly.cache_fill import keep, prefill
from asrfair.nightly.changes import changes_between
from asrfair.nightly.chart import steps_of
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.history import History, Night, room_needed, write_json
from asrfair.nightly.keys import hash_recordings
from asrfair.nightly.night_to_night import Key
from asrfair.nightly.paired_nights import Scored, make_look
from asrfair.recognise.engines import EngineContext
from asrfair.recognise.transcribe.identity import public_options
from asrfair.runs.pipeline import run_suite
from asrfair.runs.suite import Suite, absolute_paths
from asrfair.types import EngineSpec

_RESTORED = ("option ",)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A night that was run again.

    Args:
        name: What was changed in it, or left out of it.
        increases: Increase over the baseline of each group that failed, a fraction.
        transcribed: How many rows had to be transcribed.
    """

    name: str
    increases: Mapping[str, float]
    transcribed: int = 0


@dataclass(frozen=True, kw_only=True)
class Bisected:
    """What came of it.

    Args:
        night: The night's number.
        baseline: The baseline's.
        parts: The night itself, then what was run again.
        kept: What could not be put back, in sentences.
        culprits: For each group that failed, what did it, in a sentence.
    """

    night: int
    baseline: int
    parts: tuple[Part, ...]
    kept: tuple[str, ...]
    culprits: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "night": self.night,
            "baseline": self.baseline,
            "parts": [vars(part) for part in self.parts],
            "kept": list(self.kept),
            "culprits": dict(self.culprits),
        }

    def lines(self) -> list[str]:
        """Return what a person reads."""
        found = [f"Night {self.night} against night {self.baseline}."]
        for group, sentence in self.culprits.items():
            found.append(f"{group}: {sentence}")
            found += [
                f"  {100 * part.increases[group]:+.1f} points  {part.name}"
                for part in self.parts
                if group in part.increases
            ]
        found += [f"Could not be put back: {text}" for text in self.kept]
        return [line.replace("-", "−") if line.startswith("  -") else line for line in found]


def bisect_night(
    history: History, suite: Suite, number: int | None = None, *, workers: int | None = None, progress: bool = True
) -> Bisected:
    """Run a night's changes one at a time, and say which made its gates fail.

    Args:
        history: The history.
        suite: The suite, as that night ran it.
        number: The night; the newest of the suite by default.
        workers: Worker processes.
        progress: Whether to show progress.

    Raises:
        InputError: There is no baseline before that night, no gate failed, or nothing changed.
    """
    night, base = _nights(history, suite, number)
    keys = _failed(night)
    rules = night.content["inputs"]["normalizer"]
    tonight, before = (
        scored(item.path, rules, item.content["inputs"]["normalizer"], suite.scoring) for item in (night, base)
    )
    inputs, old = night.content["inputs"], base.content["inputs"]
    changes = changes_between(old, inputs, before.utterances, tonight.utterances)
    knobs = _knobs(suite, read_run_file(base.path))
    if not changes and not knobs:
        raise InputError("no input changed since the baseline", file=history.folder, value=f"night {night.number}")
    parts = [Part(name=f"night {night.number} as it was", increases=_increases(tonight, before, suite, keys))]
    if "recording" in tonight.utterances and "recording" in before.utterances:
        same = _same_recordings(tonight.utterances, before.utterances)
        if not same.all():
            left = Scored(utterances=tonight.utterances[same], scores=tonight.scores)
            name = f"without the {int((~same).sum()):,} recordings that changed"
            parts.append(Part(name=name, increases=_increases(left, before, suite, keys)))
    back = _with(suite, knobs)
    if knobs:
        parts.append(_again("everything put back that can be", back, before, keys, history, workers, progress))
        if len(knobs) > 1:
            for index, knob in enumerate(knobs):
                alone = _with(suite, [*knobs[:index], *knobs[index + 1 :]])
                parts.append(_again(f"only {knob.text}", alone, before, keys, history, workers, progress))
    kept = [change.text for change in changes if change.kind != "suite" and not change.name.startswith(_RESTORED)]
    found = Bisected(
        night=night.number,
        baseline=base.number,
        parts=tuple(parts),
        kept=tuple(dict.fromkeys(kept)),
        culprits={_name(key): _culprit(_name(key), parts, knobs, kept) for key in keys},
    )
    folder = history.folder / "bisect"
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{night.path.name}.json", found.to_json())
    return found


@dataclass(frozen=True, kw_only=True)
class _Knob:
    """Something that the suite states, and the value that it had in the baseline; ``_GONE`` if it was not there."""

    engine: str
    option: str
    value: Any
    text: str


_GONE = object()


def _nights(history: History, suite: Suite, number: int | None) -> tuple[Night, Night]:
    nights = history.nights(suite.name)
    if not nights:
        raise InputError("the history has no night of this suite", file=history.folder, value=suite.name)
    night = nights[-1] if number is None else history.night(number)
    accepted = history.accepted(suite.name)
    if night.suite != suite.name or accepted is None or accepted >= night.number:
        raise InputError(
            "there is no accepted night before that one to hold it against", file=history.folder, value=night.number
        )
    return night, history.night(accepted)


def _failed(night: Night) -> list[Key]:
    table = pd.read_parquet(night.path / "gates.parquet")
    rows = table[(table["status"] == "fail") & (table["rule"] == "max_increase")]
    keys = [
        (str(e), str(c), str(a), str(g))
        for e, c, a, g in rows[["engine", "condition", "attribute", "group"]].to_numpy()
    ]
    if not keys:
        raise InputError(
            "no gate against the baseline failed on that night", file=night.path, value=f"night {night.number}"
        )
    return keys


def _knobs(suite: Suite, run: Mapping[str, Any]) -> list[_Knob]:
    """What of the suite differs from the baseline's and can be put back."""
    found: list[_Knob] = []
    old = {item["label"]: item for item in run["engines"]}
    base = suite.path.resolve().parent
    for spec in suite.engines:
        if spec.label not in old or old[spec.label]["name"] != spec.name:
            continue
        now, then = public_options(spec, base), dict(old[spec.label]["options"])
        for name in dict.fromkeys([*now, *then]):
            if json.dumps(now.get(name), default=str) != json.dumps(then.get(name), default=str):
                value = absolute_paths({name: then[name]}, base)[name] if name in then else _GONE
                shown = then.get(name, "its default"), now.get(name, "its default")
                text = f"the option {name} of {spec.label}, from {shown[0]} to {shown[1]}"
                found.append(_Knob(engine=spec.label, option=name, value=value, text=text))
    seed = run.get("seed")
    if isinstance(seed, int) and seed != suite.seed:
        found.append(_Knob(engine="", option="seed", value=seed, text=f"the seed, from {seed} to {suite.seed}"))
    return found


def _with(suite: Suite, knobs: Sequence[_Knob]) -> Suite:
    """Return a suite with some things as they were."""
    engines: list[EngineSpec] = []
    for spec in suite.engines:
        options = dict(spec.options)
        for knob in knobs:
            if knob.engine == spec.label:
                options.pop(knob.option, None)
                if knob.value is not _GONE:
                    options[knob.option] = knob.value
        engines.append(replace(spec, options=options))
    seed = next((knob.value for knob in knobs if knob.option == "seed" and not knob.engine), suite.seed)
    return replace(suite, engines=tuple(engines), seed=seed)


def _again(
    name: str, suite: Suite, before: Scored, keys: Sequence[Key], history: History, workers: int | None, progress: bool
) -> Part:
    """Run a suite with what the cache holds, and compare."""
    manifest = read_manifest(suite.manifest, allow_outside=suite.allow_outside, allow_remote=suite.allow_remote)
    conditions = [parse_condition(item, profiles=suite.profiles, render=suite.render) for item in suite.conditions]
    base = suite.path.resolve().parent
    context = EngineContext(seed=suite.seed, conditions=tuple(c.name for c in conditions), base=base)
    recordings = hash_recordings(manifest, suite.engines, context)
    cache = Cache(history.folder / "cache.sqlite")
    with (
        room_needed(history.folder),
        tempfile.TemporaryDirectory(prefix="bisect-", dir=history.folder / "work") as folder,
    ):
        run = Path(folder) / "run"
        made, _ = prefill(suite, manifest, conditions, run, cache, context, recordings)
        result = run_suite(suite, run, workers=workers, progress=progress, report=False)
        numbers = history.numbers()
        keep(run, made, cache, numbers[-1] if numbers else 0)
        again = Scored(
            utterances=pd.read_parquet(run / "utterances.parquet"), scores=pd.read_parquet(run / "scores.parquet")
        )
    count = 0 if result.transcribe is None else sum(item.results for item in result.transcribe.engines.values())
    return Part(name=name, increases=_increases(again, before, suite, keys), transcribed=count)


def _increases(night: Scored, before: Scored, suite: Suite, keys: Sequence[Key]) -> dict[str, float]:
    look = make_look([night], [before], suite.groups)
    steps = {} if look is None else steps_of(look, None, suite.groups, 1)
    return {_name(key): steps[key].increase for key in keys if key in steps}


def _same_recordings(one: pd.DataFrame, other: pd.DataFrame) -> pd.Series[bool]:
    known = other.set_index("utterance_id")["recording"].reindex(one["utterance_id"]).to_numpy(object)
    return pd.Series(np.asarray(one["recording"].to_numpy(object) == known, dtype=bool), index=one.index)


def _name(key: Key) -> str:
    gate = Gate(
        rule="max_increase", engine=key[0], condition=key[1], attribute=key[2], group=key[3], status="fail", limit=0.0
    )
    return f"{gate.engine}, {gate.condition}, {gate.attribute} = {gate.group}"


def _culprit(group: str, parts: Sequence[Part], knobs: Sequence[_Knob], kept: Sequence[str]) -> str:
    """Say in a sentence what did it: what alone makes at least half of the increase."""
    whole = parts[0].increases.get(group, float("nan"))
    named = {part.name: part.increases[group] for part in parts if group in part.increases}
    alone = [name for name, value in named.items() if name.startswith("only ") and value >= whole / 2]
    back = named.get("everything put back that can be")
    without = [value for name, value in named.items() if name.startswith("without the ")]
    if without and without[0] < whole / 2:
        return "the recordings that changed did it"
    if back is not None and back >= whole / 2:
        return "what could not be put back did it" if kept else "nothing that the suite states did it"
    if alone:
        return f"{alone[0].removeprefix('only ')} did it"
    if back is not None and len(knobs) == 1:
        return f"{knobs[0].text} did it"
    if back is not None:
        return "no change alone did it; together they did"
    return "nothing of it can be put back here"
