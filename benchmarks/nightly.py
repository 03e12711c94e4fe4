"""Months of simulated nights: how often do the gates cry wolf, and is a real change caught when the power line says?

A month is a baseline, thirty nights on which nothing changes, and then nights on which the five Spanish-accented
speakers of EdAcc lose 3 points more. Every night is drawn from real transcripts of EdAcc in one of three ways: *words*
(15 % of the substitutions go and as many come, each word by itself), *utterances* (one in twenty as another system has
it: errors that come in clumps) and *still* (an engine that does not move at all).

    python benchmarks/nightly.py                    # 150 months of each, half an hour on one core
    python benchmarks/nightly.py --months 20 --only words
    python benchmarks/nightly.py --months 0         # only the updates

The test adds counts up by speaker, so each speaker is simulated as one row; nothing else differs from a night of the
command. The limit is 0 in the quiet nights: every increase counts, and chance alone decides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from asrfair.cli.main import run as asrfair
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.night_to_night import Key, Movements
from asrfair.nightly.paired_nights import Scored
from asrfair.nightly.relative import relative_gates
from asrfair.runs.gate_settings import GateSettings, Limits
from asrfair.scoring.metric import QUANTITIES
from asrfair.types import GroupSettings

Ints = npt.NDArray[np.int64]

SYSTEMS = ("parakeet-tdt-0.6b-v3", "whisper-large-v3-turbo")
QUIET_NIGHTS = 30
SHARE = 0.15
SWAPPED = 0.05
CHANGE = 0.03
CHANGED = "Spanish"
GROUPS = GroupSettings(by=(("accent",),), min_speakers=3)
CARD = """
[manifest]
name = "edacc"
version = "1"
table = {table}
licence = "CC-BY-SA-4.0"
[columns]
utterance_id = "utt_id"
audio = "audio_path"
exclude = "exclusion"
[reference]
remove = ['<[A-Z_]+>']
[attributes.accent]
description = "accent as the speaker described it"
provenance = "self-reported"
"""


def edacc(data: Path, systems: tuple[str, ...] = SYSTEMS) -> dict[str, Scored]:
    """Score systems' real transcripts of EdAcc, as ``asrfair score`` does."""
    with tempfile.TemporaryDirectory(prefix="asrfair-nights-") as name:
        folder = Path(name)
        card = folder / "edacc.toml"
        card.write_text(CARD.format(table=json.dumps(str(data / "edacc" / "manifest.csv"))), encoding="utf-8")
        arguments = ["score", "--manifest", str(card), "--by", "accent", "--draws", "100", "--no-html"]
        for system in systems:
            arguments += ["--hypotheses", f"{system}={data / 'edacc' / 'hypotheses' / system}.csv"]
        if asrfair([*arguments, "--out", str(folder / "run")]):
            raise SystemExit(1)
        utterances, scores = (
            pd.read_parquet(folder / "run" / f"{table}.parquet") for table in ("utterances", "scores")
        )
    return {
        str(system): Scored(utterances=utterances, scores=rows.reset_index(drop=True).assign(engine="simulated"))
        for system, rows in scores.groupby("engine", sort=False)
    }


def perturbed(
    night: Scored,
    rng: np.random.Generator,
    *,
    share: float = SHARE,
    add: float = 0.0,
    group: npt.NDArray[np.bool_] | None = None,
) -> Scored:
    """Return a night on which some errors went, as many others came, and ``add`` of all words of a group were lost.

    Args:
        night: Real scores.
        rng: Source of chance.
        share: Share of the substitutions that are drawn anew.
        add: Increase of the group's word error rate.
        group: Which rows of the scores it is for.
    """
    scores = night.scores.copy()
    hits, wrong = (scores[name].to_numpy() for name in ("hits", "substitutions"))
    words = hits + wrong + scores["deletions"].to_numpy()
    gone = rng.binomial(wrong, share)
    came = rng.binomial(hits, share * wrong.sum() / hits.sum())
    if group is not None and add:
        chance = np.clip(add * words / np.maximum(hits, 1), 0.0, 1.0)
        came = came + np.where(group, rng.binomial(hits - came, chance), 0)
    scores["hits"] = (hits - came + gone).astype(np.int32)
    scores["substitutions"] = (wrong + came - gone).astype(np.int32)
    return Scored(utterances=night.utterances, scores=scores)


class Speakers:
    """EdAcc added up by speaker: one row a speaker, in which a night can be drawn in a moment.

    Args:
        systems: The same utterances as transcribed by two systems.
    """

    def __init__(self, systems: dict[str, Scored]) -> None:
        first, other = systems.values()
        ids = first.scores["utterance_id"]
        people = first.utterances.set_index("utterance_id").loc[ids]
        scored = ((first.scores["status"] == "scored") & (other.scores["status"] == "scored")).to_numpy()
        code, names = pd.factorize(people["speaker_id"][scored], sort=True)
        self._code: Ints = code
        self.counts = [side.scores.loc[scored, list(QUANTITIES)].to_numpy(np.int64) for side in (first, other)]
        accent = people[scored].groupby("speaker_id")["accent"].first().reindex(names)
        self.utterances = pd.DataFrame(
            {"utterance_id": names, "speaker_id": names, "reference": "", "accent": accent.to_numpy()}
        )
        self.group = (accent == CHANGED).to_numpy()
        self.real = self.night(self.counts[0])

    def night(self, counts: Ints) -> Scored:
        """Add an utterance's counts, shape (utterances, counts), up by speaker."""
        sums = np.zeros((len(self.utterances), len(QUANTITIES)), dtype=np.int64)
        np.add.at(sums, self._code, counts)
        scores = pd.DataFrame(sums.astype(np.int32), columns=list(QUANTITIES))
        ids = self.utterances["utterance_id"]
        scores = scores.assign(engine="simulated", condition="clean", utterance_id=ids, status="scored")
        return Scored(utterances=self.utterances, scores=scores)

    def words(self, rng: np.random.Generator, add: float) -> Scored:
        """Words that come and go, each by itself."""
        return perturbed(self.real, rng, add=add, group=self.group)

    def clumps(self, rng: np.random.Generator, add: float, share: float = SWAPPED) -> Scored:
        """Utterances that come out as another system has them."""
        swapped = rng.random(len(self._code)) < share
        night = self.night(np.where(swapped[:, None], self.counts[1], self.counts[0]))
        return perturbed(night, rng, share=0.0, add=add, group=self.group)

    def still(self, rng: np.random.Generator, add: float) -> Scored:
        """Nothing moves but what is changed."""
        return perturbed(self.real, rng, share=0.0, add=add, group=self.group)


class Nights:
    """A history in memory, judged as ``asrfair nightly`` judges one on disk.

    Args:
        baseline: The first night.
        still: Whether the engine says that it always gives the same answer.
    """

    def __init__(self, baseline: Scored, *, still: bool = False) -> None:
        self._baseline = baseline
        self._newest: list[Scored] = []
        self._rates = [_rates(baseline)]
        self._still = ("simulated",) if still else ()

    def add(self, night: Scored, settings: GateSettings) -> list[Gate]:
        """Judge a night by those before, and keep it."""
        self._newest = [night, *self._newest[: settings.window_nights - 1]]
        values = {key: np.diff([rates[key] for rates in self._rates]).tolist() for key in self._rates[0]}
        movements = Movements(differences=values, still=self._still)
        self._rates.append(_rates(night))
        return relative_gates(self._newest, [self._baseline], GROUPS, settings, movements=movements)


def _rates(night: Scored) -> dict[Key, float]:
    """Every group's WER."""
    errors = night.scores[["substitutions", "deletions", "insertions"]].sum(axis=1).to_numpy()
    words = night.scores[["hits", "substitutions", "deletions"]].sum(axis=1).to_numpy()
    accent = night.scores["utterance_id"].map(night.utterances.set_index("utterance_id")["accent"]).to_numpy()
    sums = pd.DataFrame({"errors": errors, "words": words}).groupby(accent).sum()
    sums.loc["all"] = sums.sum()
    return {
        ("simulated", "clean", "overall" if group == "all" else "accent", str(group)): float(rate)
        for group, rate in (sums["errors"] / sums["words"]).items()
    }


Draw = Callable[[np.random.Generator, float], Scored]


@dataclass(frozen=True, kw_only=True)
class Month:
    """What came of a month.

    Args:
        alarms: Quiet nights on which any gate failed.
        promised: In how many nights the power line of the last quiet night finds the change; 0 for never.
        caught: On which night after the change the group's gate failed; 0 for not within twice the window.
        others: Nights after the change on which another group failed (the overall figure aside, which did change).
    """

    alarms: int
    promised: int
    caught: int
    others: int


def month(
    draw: Draw, rng: np.random.Generator, *, quiet: int = QUIET_NIGHTS, limit: float = 0.0, still: bool = False
) -> Month:
    """Simulate a month without a change, and the nights after a change.

    Args:
        draw: Makes a night, with a change of so many points.
        rng: Source of chance.
        quiet: Nights without a change; but for the last of them, their limit is 0.
        limit: ``max_increase`` from the last of them on.
        still: Whether the engine says that it always gives the same answer.
    """
    settings = GateSettings(limits=Limits(max_increase=limit), detect=CHANGE)
    strict = replace(settings, limits=Limits(max_increase=0.0))
    nights = Nights(draw(rng, 0.0), still=still)
    alarms = promised = caught = others = 0
    for number in range(quiet):
        last = number == quiet - 1
        gates = nights.add(draw(rng, 0.0), settings if last else strict)
        alarms += any(gate.status == "fail" for gate in gates)
        if last:
            (promised,) = [gate.power_nights or 0 for gate in gates if gate.group == CHANGED]
    for number in range(1, 2 * settings.window_nights + 1):
        failed = {gate.group for gate in nights.add(draw(rng, CHANGE), settings) if gate.status == "fail"}
        others += bool(failed - {CHANGED, "all"})
        if CHANGED in failed:
            caught = number
            break
    return Month(alarms=alarms, promised=promised, caught=caught, others=others)


def updates(speakers: Speakers, swapped: float, count: int, seed: int) -> int:
    """Count the alarms at updates of an engine that always answers the same, each of no effect on average."""
    settings = GateSettings(limits=Limits(max_increase=0.0))
    alarms = 0
    for child in np.random.SeedSequence([seed, 9]).spawn(count):
        rng = np.random.default_rng(child)
        before, after = (speakers.clumps(rng, 0.0, swapped) for _ in range(2))
        movements = Movements(still=("simulated",))
        gates = relative_gates([after], [before], GROUPS, settings, movements=movements, same_inputs=False)
        alarms += any(gate.status == "fail" for gate in gates)
    return alarms


def share(count: int, total: int) -> str:
    """A share with its exact 95 % interval (Clopper and Pearson)."""
    if not total:
        return "-"
    bounds = stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    return f"{count} of {total} = {100 * count / total:.1f} % ({100 * bounds.low:.1f} to {100 * bounds.high:.1f})"


def show(name: str, months: list[Month], seconds: float) -> None:
    """Print what came of many months."""
    total = len(months)
    alarms = Counter(min(item.alarms, 2) for item in months)
    print(f"\n{name}: {total} months of {QUIET_NIGHTS} quiet nights, {seconds:.0f} s")
    for count, words in ((0, "no false alarm"), (1, "one"), (2, "two or more")):
        print(f"  months with {words:<16} {share(alarms[count], total)}")
    print(f"  false alarms a month: {sum(item.alarms for item in months) / total:.3f} (alpha is 0.05)")
    for promised in sorted({item.promised for item in months}):
        own = [item for item in months if item.promised == promised]
        nights = dict(sorted(Counter(item.caught for item in own).items()))
        if promised:
            inside = sum(0 < item.caught <= promised for item in own)
            print(f"  promised within {promised} nights: caught by then in {share(inside, len(own))}")
        else:
            print(f"  promised nothing: {len(own)} months")
        print(f"    night on which it was caught (0: not in 16) -> months: {nights}")
    print(f"  months in which an unchanged group failed after the change: {sum(item.others > 0 for item in months)}")


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="the folder that holds edacc/")
    parser.add_argument("--months", type=int, default=150)
    parser.add_argument("--updates", type=int, default=800, help="updates without an effect on average, of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=0.0, help="max_increase after the change, a fraction")
    parser.add_argument("--only", nargs="+", choices=("words", "utterances", "still"))
    arguments = parser.parse_args()
    speakers = Speakers(edacc(arguments.data))
    ways: dict[str, Draw] = {"words": speakers.words, "utterances": speakers.clumps, "still": speakers.still}
    for place, (name, draw) in enumerate(ways.items()):
        if not arguments.months or (arguments.only and name not in arguments.only):
            continue
        begun = time.perf_counter()
        seeds = np.random.SeedSequence([arguments.seed, place]).spawn(arguments.months)
        months = [
            month(draw, np.random.default_rng(seed), limit=arguments.limit, still=name == "still") for seed in seeds
        ]
        show(name, months, time.perf_counter() - begun)
    if arguments.updates:
        print(f"\nupdates of an engine that does not move, without effect on average (alpha a night {0.05 / 30:.4f})")
    for swapped in (0.05, 0.2, 0.5) if arguments.updates else ():
        alarms = updates(speakers, swapped, arguments.updates, arguments.seed)
        print(
            f"  {100 * swapped:.0f} % of the utterances as another system has them: {share(alarms, arguments.updates)}"
        )


if __name__ == "__main__":
    main()
