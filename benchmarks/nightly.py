"""Months of simulated nights: how often do the gates cry wolf, and is a real change caught when the power line says?

A month is a baseline, thirty nights on which nothing changes, and then nights on which the five Spanish-accented
speakers of EdAcc lose 3 points more. Others are a change of 5 points that stays, a drift of 0.2 points a night, and
outages. Every night is drawn from real transcripts of EdAcc in one of three ways: *words*
(15 % of the substitutions go and as many come, each word by itself), *utterances* (one in twenty as another system has
it: errors that come in clumps) and *still* (an engine that does not move at all).

    python benchmarks/nightly.py                    # 150 months of each, half an hour on one core
    python benchmarks/nightly.py --months 20 --only words
    python benchmarks/nightly.py --months 0 --updates 0    # only the charts: minutes

The test adds counts up by speaker, so that it gets one row a speaker; the chart gets the utterances. Nothing else differs
from a night of the command. The limit is 0 in the quiet nights: every increase counts, and chance alone decides.
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
from asrfair.nightly.chart import Step, alarms, charted, restlessness, steps_by_group
from asrfair.nightly.gate_outcome import Gate
from asrfair.nightly.lasting import stay_found
from asrfair.nightly.night_to_night import Key, Movement, Movements
from asrfair.nightly.outage import failed_gates
from asrfair.nightly.paired_nights import Scored
from asrfair.nightly.relative import relative_gates
from asrfair.runs.gate_settings import GateSettings, GatesTable, Limits
from asrfair.scoring.metric import QUANTITIES
from asrfair.types import GroupSettings

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_HITS, _WRONG = QUANTITIES.index("hits"), QUANTITIES.index("substitutions")
_ERRORS = [QUANTITIES.index(name) for name in ("substitutions", "deletions", "insertions")]
_WORDS = [QUANTITIES.index(name) for name in ("hits", "substitutions", "deletions")]

SYSTEMS = ("parakeet-tdt-0.6b-v3", "whisper-large-v3-turbo")
QUIET_NIGHTS = 30
SHARE = 0.15
SWAPPED = 0.05
CHANGE = 0.03
CHANGED = "Spanish"
DRIFT = 0.002
LASTING = "Vietnamese"
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
    counts: Ints, rng: np.random.Generator, *, share: float = SHARE, add: float = 0.0, group: Mask | None = None
) -> Ints:
    """Return counts in which some errors went, as many others came, and ``add`` of all words of a group were lost.

    Args:
        counts: Of each utterance, shape (U, counts).
        rng: Source of chance.
        share: Share of the substitutions that are drawn anew.
        add: Increase of the group's word error rate.
        group: Which utterances it is for.
    """
    made = counts.copy()
    hits, wrong = counts[:, _HITS], counts[:, _WRONG]
    words = hits + wrong + counts[:, QUANTITIES.index("deletions")]
    gone = rng.binomial(wrong, share)
    came = rng.binomial(hits, share * wrong.sum() / hits.sum())
    if group is not None and add:
        chance = min(add * words[group].sum() / max((hits - came)[group].sum(), 1), 1.0)
        came = came + np.where(group, rng.binomial(hits - came, chance), 0)
    made[:, _HITS] = hits - came + gone
    made[:, _WRONG] = wrong + came - gone
    return made


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
        self.accent = people["accent"][scored].to_numpy(object)
        self.group = self.accent == CHANGED
        groups, names = pd.factorize(self.accent, sort=True)
        self.groups: list[tuple[str, Ints, list[str]]] = [
            ("overall", np.zeros(len(groups), dtype=np.int64), ["all"]),
            ("accent", groups.astype(np.int64), [str(name) for name in names]),
        ]

    def night(self, counts: Ints) -> Scored:
        """Add an utterance's counts, shape (utterances, counts), up by speaker."""
        sums = np.zeros((len(self.utterances), len(QUANTITIES)), dtype=np.int64)
        np.add.at(sums, self._code, counts)
        scores = pd.DataFrame(sums.astype(np.int32), columns=list(QUANTITIES))
        ids = self.utterances["utterance_id"]
        scores = scores.assign(engine="simulated", condition="clean", utterance_id=ids, status="scored")
        return Scored(utterances=self.utterances, scores=scores)

    def words(self, rng: np.random.Generator, add: float, group: Mask | None = None) -> Ints:
        """Words that come and go, each by itself."""
        return perturbed(self.counts[0], rng, add=add, group=self.group if group is None else group)

    def clumps(self, rng: np.random.Generator, add: float, group: Mask | None = None, share: float = SWAPPED) -> Ints:
        """Utterances that come out as another system has them."""
        swapped = rng.random(len(self._code)) < share
        night = np.where(swapped[:, None], self.counts[1], self.counts[0])
        return perturbed(night, rng, share=0.0, add=add, group=self.group if group is None else group)

    def still(self, rng: np.random.Generator, add: float, group: Mask | None = None) -> Ints:
        """Nothing moves but what is changed."""
        return perturbed(self.counts[0], rng, share=0.0, add=add, group=self.group if group is None else group)


class Nights:
    """A history in memory, judged as ``asrfair nightly`` judges one on disk.

    Args:
        speakers: Whose nights.
        baseline: The counts of the first night.
        still: Whether the engine says that it always gives the same answer.
    """

    def __init__(self, speakers: Speakers, baseline: Ints, *, still: bool = False) -> None:
        self._speakers = speakers
        self._counts, self.last = baseline, None
        self._baseline = speakers.night(baseline)
        self._newest: list[Scored] = []
        self._rates = [_rates(self._baseline)]
        self._still = ("simulated",) if still else ()
        self._gates: dict[Key, Gate] = {}
        self._changes: dict[Key, list[float]] = {}

    def add(self, counts: Ints, settings: GateSettings) -> list[Gate]:
        """Judge a night by those before, and keep it."""
        night = self._speakers.night(counts)
        self._newest = [night, *self._newest[: settings.window_nights - 1]]
        values = {key: np.diff([rates[key] for rates in self._rates]).tolist() for key in self._rates[0]}
        movements = Movements(differences=values, still=self._still)
        self._rates.append(_rates(night))
        gates = relative_gates(
            self._newest, [self._baseline], GROUPS, settings,
            movements=movements, before=self._gates, steps=self.steps(counts), changes=self._changes,
        )  # fmt: skip
        self._gates = {(gate.engine, gate.condition, gate.attribute, gate.group): gate for gate in gates}
        for key, gate in self._gates.items():
            self._changes.setdefault(key, []).append(gate.z)
        self.last = counts
        return gates

    def steps(self, counts: Ints) -> dict[Key, Step]:
        """Return what a night adds to the charts."""
        errors, base = (array[:, _ERRORS].sum(axis=1).astype(float) for array in (counts, self._counts))
        last = np.full(len(errors), np.nan) if self.last is None else self.last[:, _ERRORS].sum(axis=1).astype(float)
        words = self._counts[:, _WORDS].sum(axis=1).astype(float)
        return {
            ("simulated", "clean", attribute, name): step
            for attribute, group, names in self._speakers.groups
            for name, step in zip(names, steps_by_group(errors, base, last, words, group, len(names), 1), strict=True)
        }


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


Draw = Callable[..., Ints]


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
    speakers: Speakers,
    draw: Draw,
    rng: np.random.Generator,
    *,
    quiet: int = QUIET_NIGHTS,
    limit: float = 0.0,
    still: bool = False,
) -> Month:
    """Simulate a month without a change, and the nights after a change.

    Args:
        speakers: Whose nights.
        draw: Makes a night, with a change of so many points.
        rng: Source of chance.
        quiet: Nights without a change; but for the last of them, their limit is 0.
        limit: ``max_increase`` from the last of them on.
        still: Whether the engine says that it always gives the same answer.
    """
    settings = GateSettings(limits=Limits(max_increase=limit), detect=CHANGE)
    strict = replace(settings, limits=Limits(max_increase=0.0))
    nights = Nights(speakers, draw(rng, 0.0), still=still)
    alarms = promised = caught = others = 0
    for number in range(quiet):
        last = number == quiet - 1
        gates = nights.add(draw(rng, 0.0), settings if last else strict)
        alarms += any(gate.found_nights == 1 for gate in gates)  # an alarm that stays is one
        if last:
            (promised,) = [gate.power_nights or 0 for gate in gates if gate.group == CHANGED]
    for number in range(1, 2 * settings.window_nights + 1):
        gates = nights.add(draw(rng, CHANGE), settings)
        failed = {gate.group for gate in gates if gate.status == "fail"}
        fresh = {gate.group for gate in gates if gate.found_nights == 1}
        others += bool(fresh - {CHANGED, "all"})
        if CHANGED in failed:
            caught = number
            break
    return Month(alarms=alarms, promised=promised, caught=caught, others=others)


class Charts:
    """The charts and the memory alone, without the tests of single nights: thousands of nights in a minute.

    What they find, the whole finds too; what they find wrongly adds to the false alarms of the tests.

    Args:
        speakers: Whose nights.
        baseline: The counts of the first night.
        still: Whether the engine says that it always gives the same answer.
    """

    def __init__(self, speakers: Speakers, baseline: Ints, *, still: bool = False) -> None:
        self._nights = Nights(speakers, baseline, still=still)
        self._movement = Movement(sd=0.0) if still else Movement()
        people = speakers.utterances.groupby("accent").size()
        self._large = {"all", *people.index[people >= GROUPS.min_speakers]}
        self._changes: dict[Key, list[float]] = {}
        self.gates: dict[Key, Gate] = {}

    def add(self, counts: Ints, settings: GateSettings) -> list[Gate]:
        """Add a night; return the gates."""
        steps = self._nights.steps(counts)
        self._nights.last = counts
        gates = {}
        for key, step in steps.items():
            if key[3] not in self._large:
                continue
            names = dict(zip(("engine", "condition", "attribute", "group"), key, strict=True))
            noise = step.noise * restlessness(self._changes.get(key, ()))
            gate = Gate(
                rule="max_increase", **names, status="pass", limit=settings.limits.max_increase,
                value=step.increase, tonight=step.increase,
            )  # fmt: skip
            gate = charted(gate, replace(step, noise=noise), len(self._large), 1, settings, self.gates)
            gate = replace(gate, status="fail" if alarms(gate) else "pass")
            gates[key] = stay_found(gate, self.gates.get(key), self._movement)
            self._changes.setdefault(key, []).append(gate.z)
        self.gates = gates
        return list(gates.values())


def quiet_alarms(speakers: Speakers, draw: Draw, rng: np.random.Generator, *, still: bool, nights: int) -> int:
    """Return how often the charts began to alarm in quiet nights, whatever the size."""
    settings = GateSettings(limits=Limits(max_increase=0.0))
    charts = Charts(speakers, draw(rng, 0.0), still=still)
    return sum(any(gate.found_nights == 1 for gate in charts.add(draw(rng, 0.0), settings)) for _ in range(nights))


def lasting(speakers: Speakers, draw: Draw, rng: np.random.Generator, *, still: bool, frozen: bool) -> tuple[int, int]:
    """Five quiet nights, then 5 points more in the Vietnamese-accented speakers, for good.

    Args:
        speakers: Whose nights.
        draw: Makes a night.
        rng: Source of chance.
        still: Whether the engine says that it always gives the same answer.
        frozen: Whether the changed nights are the same to the letter.

    Returns:
        On which night after the change it was found (0: never), and on how many later ones of 15 it was not.
    """
    settings = GateSettings(limits=Limits(max_increase=0.02))
    charts = Charts(speakers, draw(rng, 0.0), still=still)
    group = speakers.accent == LASTING
    for _ in range(5):
        charts.add(draw(rng, 0.0), settings)
    found = lost = 0
    night = draw(rng, 0.05, group)
    for number in range(1, 16):
        gates = charts.add(night if frozen else draw(rng, 0.05, group), settings)
        fails = any(gate.group == LASTING and gate.status == "fail" for gate in gates)
        found = found or (number if fails else 0)
        lost += bool(found) and not fails
    return found, lost


def drift(speakers: Speakers, draw: Draw, rng: np.random.Generator, limit: float, *, still: bool) -> int:
    """Five quiet nights, then 0.2 points more every night in the Spanish-accented speakers.

    Returns:
        How many tenths of a point it had come to when found; 0 if not by 6 points.
    """
    settings = GateSettings(limits=Limits(max_increase=limit))
    charts = Charts(speakers, draw(rng, 0.0), still=still)
    for _ in range(5):
        charts.add(draw(rng, 0.0), settings)
    for number in range(1, 31):
        gates = charts.add(draw(rng, DRIFT * number), settings)
        if any(gate.group == CHANGED and gate.status == "fail" for gate in gates):
            return 2 * number
    return 0


def outages(data: dict[str, Scored], months: int, seed: int) -> tuple[int, int]:
    """Lose 6 to 100 % of the utterances of a night, of everybody or of one of the larger accents.

    Returns:
        Nights, and how many of them no gate on failures noticed.
    """
    settings = GatesTable().settings()
    night = next(iter(data.values()))
    accents = night.utterances.groupby("accent").size()
    accents = accents[accents >= 200].index.tolist()
    place = night.utterances.set_index("utterance_id")["accent"].reindex(night.scores["utterance_id"]).to_numpy()
    unseen = 0
    for child in np.random.SeedSequence([seed, 15]).spawn(months):
        rng = np.random.default_rng(child)
        lost = rng.random(len(place)) < rng.uniform(0.06, 1.0)
        if rng.random() < 0.5:
            lost = (place == rng.choice(accents)) & (rng.random(len(place)) < rng.uniform(0.15, 1.0))
        scores = night.scores.assign(status=np.where(lost, "error", night.scores["status"]))
        gates = failed_gates(Scored(utterances=night.utterances, scores=scores), GROUPS, settings)
        unseen += not any(gate.status == "fail" for gate in gates)
    return months, unseen


def updates(speakers: Speakers, swapped: float, count: int, seed: int) -> int:
    """Count the alarms at updates of an engine that always answers the same, each of no effect on average."""
    settings = GateSettings(limits=Limits(max_increase=0.0))
    alarms = 0
    for child in np.random.SeedSequence([seed, 9]).spawn(count):
        rng = np.random.default_rng(child)
        before, after = (speakers.clumps(rng, 0.0, share=swapped) for _ in range(2))
        gates = Nights(speakers, before, still=True).add(after, settings)
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


def show_charts(speakers: Speakers, draw: Draw, count: int, seed: list[int], *, still: bool) -> None:
    """Simulate the charts alone, and print what came of it."""

    def seeds(place: int) -> list[np.random.Generator]:
        return [np.random.default_rng(child) for child in np.random.SeedSequence([*seed, place]).spawn(count)]

    quiet = [quiet_alarms(speakers, draw, rng, still=still, nights=QUIET_NIGHTS) for rng in seeds(1)]
    print(f"  {QUIET_NIGHTS} quiet nights: any alarm in {share(sum(n > 0 for n in quiet), count)}")
    for frozen in (False, True):
        found = [lasting(speakers, draw, rng, still=still, frozen=frozen) for rng in seeds(5 + frozen)]
        nights = dict(sorted(Counter(first for first, _ in found).items()))
        print(f"  5 points more for good in {LASTING}{', to the letter the same every night' * frozen}:")
        print(f"    night on which it was found (0: not in 15) -> months: {nights}")
        print(f"    months in which it was lost again: {sum(lost > 0 for _, lost in found)}")
    for limit in (0.0, 0.02):
        tenths = [drift(speakers, draw, rng, limit, still=still) for rng in seeds(7)]
        early = sum(0 < item <= 30 for item in tenths)
        known = [item / 10 if item else 99.0 for item in tenths]
        print(f"  0.2 points more every night in {CHANGED}, limit {100 * limit:.0f}: found by 3 points in")
        print(f"    {share(early, count)}; median at {np.median(known):.1f} points")


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default, help="the folder that holds edacc/")
    parser.add_argument("--months", type=int, default=150)
    parser.add_argument("--charts", type=int, default=150, help="months of the charts alone")
    parser.add_argument("--updates", type=int, default=800, help="updates without an effect on average, of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=0.0, help="max_increase after the change, a fraction")
    parser.add_argument("--only", nargs="+", choices=("words", "utterances", "still"))
    arguments = parser.parse_args()
    data = edacc(arguments.data)
    speakers = Speakers(data)
    ways: dict[str, Draw] = {"words": speakers.words, "utterances": speakers.clumps, "still": speakers.still}
    for place, (name, draw) in enumerate(ways.items()):
        if arguments.only and name not in arguments.only:
            continue
        begun = time.perf_counter()
        seeds = np.random.SeedSequence([arguments.seed, place]).spawn(arguments.months)
        still = name == "still"
        months = [
            month(speakers, draw, np.random.default_rng(seed), limit=arguments.limit, still=still) for seed in seeds
        ]
        if months:
            show(name, months, time.perf_counter() - begun)
        if arguments.charts:
            print(f"\n{name}: {arguments.charts} months of the charts alone")
            show_charts(speakers, draw, arguments.charts, [arguments.seed, place], still=still)
    nights, unseen = outages(data, max(arguments.months, arguments.charts), arguments.seed)
    print(f"\noutages of 6 % and more: {nights}, of which {unseen} went unnoticed")
    if arguments.updates:
        print(f"\nupdates of an engine that does not move, without effect on average (alpha a night {0.05 / 30:.4f})")
    for swapped in (0.05, 0.2, 0.5) if arguments.updates else ():
        alarms = updates(speakers, swapped, arguments.updates, arguments.seed)
        print(
            f"  {100 * swapped:.0f} % of the utterances as another system has them: {share(alarms, arguments.updates)}"
        )


if __name__ == "__main__":
    main()
