"""Do the claims of a run hold? Whole runs are simulated from known truth, and every affirmative sentence is judged.

    python benchmarks/claims.py                      # everything; hours on one core
    python benchmarks/claims.py --runs 2000 --draws 500 --only test     # the test of groups alone, a minute
    python benchmarks/claims.py --runs 200 --draws 500 --only null mixed power

Printed are shares of runs with their Monte-Carlo standard errors:

- *test*: the test of groups without the run around it, many sets at once;
- *null*: no group, engine or place differs; any affirmative sentence is false;
- *mixed*: some attributes and engines differ; the share of false ones among those affirmed, averaged over runs;
- *power*: how often the one group that is worse is said to be, beside Welch's t on speakers' rates (Bonferroni);
- *checker*: sentences that contradict their table or each other (:func:`asrfair.say.check.contradictions`).

Speakers' rates scatter by a gamma law (coefficient of variation 0.7), by a t law with three degrees of freedom on the
log scale, or in two kinds (15 % of speakers at 4.5 times the rate); words a speaker are log-normal (σ 0.76: effective
speakers are .56 of all), and in one world speakers who say more make fewer errors; errors of an engine are Poisson
around a rate that engines and places share for nine tenths of its spread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from calibration import grouping_of
from scipy import stats

from asrfair.say.check import contradictions
from asrfair.say.claims import worded
from asrfair.stats.attribute_rates import attribute_rates
from asrfair.stats.claims.collect import claim_table
from asrfair.stats.claims.dealt import deal
from asrfair.stats.claims.group_questions import group_test
from asrfair.stats.core_tables import disparity_table, gaps_table, in_run_order
from asrfair.stats.estimate.group_rates import Rates, rates_of_cells
from asrfair.stats.explain.adjusted import adjusted_table
from asrfair.stats.explain.subgroups import subgroup_table
from asrfair.stats.frame import load_frame
from asrfair.stats.groups import make_grouping
from asrfair.types import GroupSettings, StatisticsSettings

Floats = npt.NDArray[np.float64]

UTTERANCES = 6
WORDS = 50.0
WORDS_SIGMA = 0.76
SPREAD = 0.7
OWN_SPREAD = 0.2
RATE = 0.15
CHECKED = 1
"""Every so many runs the sentences are made and held against the tables."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A run to simulate.

    Attributes:
        sizes: Speakers of each group of the first attribute.
        rates: Their true rates; all 0.15 by default.
        engines: How an engine multiplies everybody's rate.
        places: How a condition does; ``clean`` is the first.
        attributes: Number of attributes; those after the first are dealt out at random.
        several: Share of speakers whose utterances are spread over two groups.
        prompts: Sentences that everybody reads (0: each speaker says other ones), with an effect of SD 0.8 on the log.
        lists: Whether groups read different lists of prompts.
        adjust: Whether the length of an utterance is held fixed.
        subgroups: Whether combinations are searched.
        world: ``gamma``, ``t3``, ``bimodal``, ``length`` (speakers who say more make fewer errors) or ``loops``.
        family: ``fdr`` or ``strict``.
        primary: Questions stated before the data.
    """

    sizes: tuple[int, ...] = (8,) * 7
    rates: tuple[float, ...] = ()
    engines: tuple[float, ...] = (1.0,)
    places: tuple[float, ...] = (1.0,)
    attributes: int = 1
    several: float = 0.0
    prompts: int = 0
    lists: bool = False
    adjust: bool = False
    subgroups: bool = False
    world: str = "gamma"
    family: str = "fdr"
    primary: tuple[str, ...] = ()


def spread(rng: np.random.Generator, world: str, shape: tuple[int, ...], cv: float = SPREAD) -> Floats:
    """Draw relative rates of mean (for t3: median) 1."""
    if world == "t3":
        return np.exp(0.5 * np.clip(rng.standard_t(3, shape), -8.0, 8.0))
    if world == "bimodal":
        return np.where(rng.random(shape) < 0.15, 4.5, 1.0) / 1.525
    return rng.gamma(1 / cv**2, cv**2, shape)


def simulate(design: Design, rng: np.random.Generator, run: Path) -> Path:
    """Write a scored run."""
    sizes = np.array(design.sizes)
    speakers = int(sizes.sum())
    group = np.repeat(np.arange(len(sizes)), sizes)
    length = rng.normal(0.0, 1.0, speakers)
    own = spread(rng, design.world, (speakers,))
    if design.world == "length":
        own = own * np.exp(-0.3 * length - 0.045)
    speaker = np.repeat(np.arange(speakers), UTTERANCES)
    place_of = group[speaker].copy()
    if design.several:
        moved = (rng.random(speakers) < design.several)[speaker] & (np.arange(len(speaker)) % 2 == 1)
        place_of[moved] = rng.integers(0, len(sizes), int(moved.sum()))
    scale = np.exp(WORDS_SIGMA * length - WORDS_SIGMA**2 / 2)
    words = np.maximum(2, np.rint(WORDS * scale[speaker] * rng.gamma(8.0, 1 / 8.0, len(speaker)))).astype(np.int64)
    reference = np.array([f"u{i}" for i in range(len(speaker))], dtype=object)
    item = np.ones(len(speaker))
    if design.prompts:
        count = design.prompts * (len(sizes) if design.lists else 1)
        effect = np.exp(rng.normal(-0.32, 0.8, count))
        chosen = np.concatenate([rng.choice(design.prompts, UTTERANCES, replace=False) for _ in range(speakers)])
        chosen = chosen + (place_of * design.prompts if design.lists else 0)
        item, reference = effect[chosen], np.array([f"sentence {c}" for c in chosen], dtype=object)
        words = np.full(len(speaker), int(WORDS))
    table = pd.DataFrame(
        {
            "utterance_id": [f"u{i:06d}" for i in range(len(speaker))],
            "speaker_id": [f"s{s:04d}" for s in speaker],
            "reference": reference,
            "exclude": "",
            "duration_s": words / 2.5,
            "language": "en",
            "a0": [f"g{g}" for g in place_of],
        }
    )
    for extra in range(1, design.attributes):
        table[f"a{extra}"] = rng.permutation(np.array([f"h{s % 3}" for s in range(speakers)]))[speaker]
    table.to_parquet(run / "utterances.parquet", index=False)
    rates = np.array(design.rates or (RATE,) * len(sizes))[place_of]
    blocks = []
    for e, better in enumerate(design.engines):
        for c, harder in enumerate(design.places):
            mine = own * spread(rng, "gamma", (speakers,), OWN_SPREAD)
            errors = rng.poisson(rates * better * harder * mine[speaker] * item * words)
            inserted = np.maximum(errors - words, 0)
            if design.world == "loops":
                inserted = inserted + np.where(rng.random(len(speaker)) < 0.001, rng.integers(200, 600), 0)
            substituted = np.minimum(errors, words)
            blocks.append(
                pd.DataFrame(
                    {
                        "engine": f"e{e}",
                        "condition": "clean" if c == 0 else f"place{c}",
                        "utterance_id": table["utterance_id"],
                        "status": "scored",
                        "hits": words - substituted,
                        "substitutions": substituted,
                        "deletions": 0,
                        "insertions": inserted,
                    }
                )
            )
    pd.concat(blocks, ignore_index=True).to_parquet(run / "scores.parquet", index=False)
    return run


def analyse(design: Design, run: Path, *, draws: int, seed: int, words: bool = True) -> dict[str, pd.DataFrame]:
    """Make the tables that claims need, and the claims, with their sentences or, which is faster, without."""
    groups = GroupSettings(by=tuple((f"a{i}",) for i in range(design.attributes)), min_speakers=3)
    statistics = StatisticsSettings(
        draws=draws,
        seed=seed,
        adjust=("length",) if design.adjust else (),
        family=design.family,  # type: ignore[arg-type]
        primary=design.primary,
    )
    frame = load_frame(run, groups)
    ledger = pd.DataFrame({name: pd.Series(dtype=str) for name in ("engine", "condition", "utterance_id", "reason")})
    groupings = [make_grouping(frame, by) for by in ((), *groups.by)]
    parts = [attribute_rates(frame, grouping, groups, statistics) for grouping in groupings]
    tables = {
        "gaps": in_run_order(
            frame,
            [
                gaps_table(frame, part.rates, part.compared, parts[0].rates, statistics, part.largest)
                for part in parts[1:]
            ],
        ),
    }  # fmt: skip
    if design.adjust:
        tables["adjusted"] = adjusted_table(frame, groupings[1:], groups, statistics)
    if design.subgroups:
        tables["subgroups"] = subgroup_table(
            frame, statistics, attributes=[f"a{i}" for i in range(design.attributes)], min_speakers=3
        )
    tables["claims"] = claim_table(frame, parts[1:], tables, groups, statistics, ledger)
    if words:
        disparity = [
            disparity_table(frame, part.grouping, part.rates, groups, statistics, ledger, flags=part.flags)
            for part in parts
        ]
        tables |= {"claims": worded(tables["claims"]), "disparity": in_run_order(frame, disparity)}
    return tables


def is_false(row: Mapping[str, object], design: Design) -> bool:
    """Whether an affirmed claim contradicts the truth of its design."""
    names = [f"g{g}" for g in range(len(design.sizes))]
    rates = dict(zip(names, design.rates or (RATE,) * len(names), strict=True))
    sizes = dict(zip(names, design.sizes, strict=True))
    kind, group, estimate = str(row["kind"]), str(row["group"]), float(str(row["estimate"]))
    first = row["attribute"] in {"a0", "overall", ""}
    engine = {f"e{i}": value for i, value in enumerate(design.engines)}
    place = {"clean": design.places[0]} | {f"place{i}": v for i, v in enumerate(design.places) if i}
    gap = max(rates.values()) - min(rates.values())
    if kind in {"omnibus", "gap"}:
        return not first or gap == 0
    if kind == "worst":
        worst = max(rates.values())
        return not first or not any(rates[name] == worst for name in str(row["among"]).split("|"))
    if kind == "group":
        rest = sum(rates[g] * sizes[g] for g in names if g != group) / max(
            sum(sizes[g] for g in names if g != group), 1
        )
        return not first or (rates[group] - rest) * estimate <= 0
    if kind in {"engine", "gap_engine", "worst_engine"}:
        truth = engine[str(row["engine"])] - engine[str(row["versus"])]
        truth *= gap if kind == "gap_engine" and first else 0.0 if kind == "gap_engine" else 1.0
        return truth * estimate <= 0
    if kind == "condition":
        return (place[str(row["condition"])] - 1.0) * estimate <= 0
    if kind == "interaction":
        rest = sum(rates[g] * sizes[g] for g in names if g != group) / max(
            sum(sizes[g] for g in names if g != group), 1
        )
        return not first or (rates[group] - rest) * (place[str(row["condition"])] - 1.0) * estimate <= 0
    if kind == "interaction_ratio":
        return True
    if kind == "adjusted":
        return not first or (rates[group] - rates[str(row["versus"])]) * np.log(estimate) <= 0
    parts = str(row["group"]).split(", ")
    mine = [rates[part.partition("=")[2]] for part in parts if part.startswith("a0=")]
    return not mine or (mine[0] - np.mean(list(rates.values()))) * np.log(estimate) <= 0


@dataclass(kw_only=True)
class Tally:
    """What many runs of one design gave."""

    runs: int = 0
    any_false: int = 0
    shares: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    told: int = 0
    checked: int = 0
    contradictions: list[str] = field(default_factory=list)

    def contradicted(self) -> str:
        """Contradictions, and in how many runs they were looked for."""
        return f"contradictions {len(self.contradictions)} in {self.checked} runs"

    def share(self) -> str:
        """Share of runs with any false claim, with its standard error."""
        return _percent(self.any_false, self.runs)


def _percent(count: float, runs: int) -> str:
    share = count / max(runs, 1)
    return f"{100 * share:5.1f} ± {100 * np.sqrt(max(share * (1 - share), 1 / max(runs, 1) / 4) / max(runs, 1)):.1f}"


def many(design: Design, runs: int, *, draws: int, seed: int) -> Tally:
    """Simulate and judge many runs."""
    tally = Tally()
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        with tempfile.TemporaryDirectory(prefix="asrfair-claims-", dir=_fast()) as folder:
            run = simulate(design, rng, Path(folder))
            words = number % CHECKED == 0
            tables = analyse(design, run, draws=draws, seed=number, words=words)
        claims = tables["claims"]
        yes = claims[claims["affirmed"].astype(bool)].to_dict("records")
        wrong = [row for row in yes if is_false({str(k): v for k, v in row.items()}, design)]
        tally.runs += 1
        tally.any_false += bool(wrong)
        tally.told += len(yes)
        tally.shares.append(len(wrong) / len(yes) if yes else 0.0)
        tally.kinds.update({str(row["kind"]) for row in wrong})
        if words:
            tally.checked += 1
            tally.contradictions += contradictions(tables)
    return tally


def _fast() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


BASE = Design()
NULL = {
    "1 engine, 7 × 8": BASE,
    "the same, length held fixed": replace(BASE, adjust=True),
    "4 engines": replace(BASE, engines=(1.0,) * 4),
    "3 engines × 3 attributes × 2 places, adjust, subgroups": replace(
        BASE, engines=(1.0,) * 3, attributes=3, places=(1.0, 1.0), adjust=True, subgroups=True
    ),
    "sizes 3–60": replace(BASE, sizes=(3, 5, 8, 12, 20, 40, 60)),
    "speakers in several groups": replace(BASE, several=0.5),
    "the same 20 sentences": replace(BASE, prompts=20),
    "other 20 sentences for each group": replace(BASE, prompts=20, lists=True),
    "4 engines × 3 attributes, strict": replace(BASE, engines=(1.0,) * 4, attributes=3, family="strict"),
    "4 engines × 3 attributes, a0 and engines primary": replace(
        BASE, engines=(1.0,) * 4, attributes=3, primary=("a0", "engine")
    ),
}
MIXED = {
    "7 × 20, one at 18 %, 3 engines": replace(
        BASE, sizes=(20,) * 7, rates=(0.1,) * 6 + (0.18,), engines=(1.0, 1.0, 1.2), attributes=3
    ),
    "7 × 20, 10–18 %, 3 engines, 2 places": replace(
        BASE, sizes=(20,) * 7, rates=(0.1, 0.11, 0.12, 0.13, 0.14, 0.16, 0.18), engines=(1.0, 1.0, 1.5),
        attributes=2, places=(1.0, 1.5),
    ),
    "the first, strict": replace(
        BASE, sizes=(20,) * 7, rates=(0.1,) * 6 + (0.18,), engines=(1.0, 1.0, 1.2), attributes=3, family="strict"
    ),
}  # fmt: skip
POWER = {
    **{f"2 × {k}": replace(BASE, sizes=(k, k), rates=(0.1, 0.18)) for k in (10, 20, 40)},
    **{f"7 × {k}": replace(BASE, sizes=(k,) * 7, rates=(0.1,) * 6 + (0.18,)) for k in (10, 20, 40)},
    "5–60, worst has 60": replace(BASE, sizes=(5, 6, 8, 10, 20, 40, 60), rates=(0.1,) * 6 + (0.18,)),
    "7 × 20, 10–18 %": replace(BASE, sizes=(20,) * 7, rates=(0.1, 0.11, 0.12, 0.13, 0.14, 0.16, 0.18)),
}
WORLDS = ("gamma", "t3", "length", "bimodal", "loops")


def null_lines(runs: int, draws: int) -> list[str]:
    """Share of null runs with any affirmative sentence, by design and world."""
    lines = [f"any affirmative sentence where nothing is there, % of {runs} runs"]
    for world in WORLDS:
        for name, design in NULL.items():
            if world != "gamma" and (design.prompts or design.subgroups or design.attributes > 1):
                continue
            if world not in WORLDS[:3] and name not in {"1 engine, 7 × 8", "4 engines"}:
                continue
            count = runs if not design.subgroups else max(runs // 4, 1)
            tally = many(replace(design, world=world), count, draws=draws, seed=1)
            kinds = ", ".join(f"{kind} {count}" for kind, count in tally.kinds.most_common())
            lines.append(
                f"{name:55} {world:8} {tally.runs:5d} runs {tally.share()}   {kinds or '–'}; {tally.contradicted()}"
            )
            print(lines[-1], flush=True)
            for text in tally.contradictions[:3]:
                print("    " + text, flush=True)
    return lines


def mixed_lines(runs: int, draws: int) -> list[str]:
    """Share of false ones among the affirmed, where some differ."""
    lines = [f"share of false ones among the affirmed, % (runs with any false one), {runs} runs"]
    for name, design in MIXED.items():
        tally = many(design, runs, draws=draws, seed=2)
        error = np.std(tally.shares) / np.sqrt(runs)
        lines.append(
            f"{name:45} {100 * np.mean(tally.shares):.2f} ± {100 * error:.2f} ({tally.share()}); "
            f"{tally.told / runs:.1f} affirmed a run; {dict(tally.kinds)}; {tally.contradicted()}"
        )
        print(lines[-1], flush=True)
        for text in tally.contradictions[:3]:
            print("    " + text, flush=True)
    return lines


def power_lines(runs: int, draws: int) -> list[str]:
    """How often the worst group is said to be worse, and by Welch's t on speakers' rates."""
    lines = [f"the group at 18 % is said to be worse, % of {runs} runs: claim, Welch (Bonferroni); gap bound above 0"]
    for name, design in POWER.items():
        found = np.zeros(3)
        for number in range(runs):
            rng = np.random.default_rng([3, number])
            with tempfile.TemporaryDirectory(prefix="asrfair-claims-", dir=_fast()) as folder:
                run = simulate(design, rng, Path(folder))
                claims = analyse(design, run, draws=draws, seed=number, words=False)["claims"]
                found[1] += welch(run, design)
            yes = claims[claims["affirmed"].astype(bool)]
            worst = f"g{int(np.argmax(design.rates))}"
            group = yes[(yes["kind"] == "group")]
            said = ((group["group"] == worst) & (group["estimate"] > 0)).any()
            if len(design.sizes) == 2:
                said = len(group) > 0
            found[0] += said
            found[2] += (yes["kind"] == "gap").any()
        lines.append(f"{name:25} " + "   ".join(_percent(value, runs) for value in found))
        print(lines[-1], flush=True)
    return lines


UNLIKE = {
    **{f"7 × {k}": ((k,) * 7, ()) for k in (5, 8, 20, 50)},
    "3–60": ((3, 5, 8, 12, 20, 40, 60), ()),
    "5, 40": ((5, 40), ()),
    "40 alike, 5 scattered": ((40, 5), (0.5, 1.2)),
    "40 scattered, 5 alike": ((40, 5), (1.2, 0.5)),
}
"""Groups of equal rates for the test by itself: sizes, and the spread of each group where it is not the same."""


def draw_many(
    rng: np.random.Generator,
    sizes: tuple[int, ...],
    rates: tuple[float, ...],
    world: str,
    cvs: tuple[float, ...],
    sets: int,
) -> Rates:
    """Draw many sets of groups at once; they stand where runs stand in an analysis."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    shape = (sets, len(group))
    length = rng.normal(0.0, 1.0, shape)
    words = np.maximum(5, np.rint(UTTERANCES * WORDS * np.exp(WORDS_SIGMA * length - WORDS_SIGMA**2 / 2))).astype(
        np.int64
    )
    own = spread(rng, world, shape)
    if cvs:
        own = np.concatenate([spread(rng, world, (sets, k), cv) for k, cv in zip(sizes, cvs, strict=True)], axis=1)
    if world == "length":
        own = own * np.exp(-0.3 * length - 0.045)
    errors = rng.poisson(np.array(rates or (RATE,) * len(sizes))[group] * own * words)
    if world == "loops":
        looped = rng.random(shape) < 0.001 * UTTERANCES
        errors = errors + np.where(looped, rng.integers(200, 600, shape), 0)
    return rates_of_cells(grouping_of(sizes), errors, words, words)


def group_p(rates: Rates, draws: int, rng: np.random.Generator) -> Floats:
    """P-values of every set and group, shape (S, G)."""
    test = group_test(deal(rates.grouping, draws, rng), rates, np.ones(rates.rate.shape, dtype=bool))
    return np.stack([one.p(score) for one, score in zip(test.largest, test.score, strict=True)])


def test_lines(sets: int, draws: int) -> list[str]:
    """The test of groups by itself: many sets at once. Alarms where nothing differs, then power beside Welch's."""
    lines = [f"the test of groups alone, {sets} sets: % with p ≤ .05 where no group differs"]
    lines.append(f"{'':32}" + "".join(f"{world:>14}" for world in WORLDS))
    rng = np.random.default_rng(7)
    for name, (sizes, cvs) in UNLIKE.items():
        shares = []
        for world in WORLDS if not cvs else WORLDS[:1]:
            p = np.concatenate([
                group_p(draw_many(rng, sizes, (), world, cvs, min(250, sets)), draws, rng)
                for _ in range(max(sets // 250, 1))
            ])  # fmt: skip
            shares.append(_percent(float((p.min(axis=1) <= 0.05).sum()), len(p)))
        lines.append(f"{name:32}" + "".join(f"{share:>14}" for share in shares))
        print("\n".join(lines[-1:] if len(lines) > 3 else lines), flush=True)
    print("power: the group at 18 % against the others; Welch on speakers' rates, Bonferroni", flush=True)
    for name, design in POWER.items():
        for world in WORLDS[:3]:
            found = np.zeros(2)
            worst = int(np.argmax(design.rates))
            for _ in range(max(sets // 250, 1)):
                rates = draw_many(rng, design.sizes, design.rates, world, (), min(250, sets))
                found[0] += (group_p(rates, draws, rng)[:, worst] <= 0.05).sum()
                x = rates.cell_errors / rates.cell_words
                mine = rates.grouping.cell_group == worst
                p = stats.ttest_ind(x[:, mine], x[:, ~mine], axis=1, equal_var=False).pvalue
                found[1] += (p * (1 if len(design.sizes) == 2 else len(design.sizes)) <= 0.05).sum()
            count = max(sets // 250, 1) * min(250, sets)
            lines.append(f"{name:25} {world:8} {_percent(found[0], count)}   Welch {_percent(found[1], count)}")
            print(lines[-1], flush=True)
    return lines


def welch(run: Path, design: Design) -> bool:
    """Whether Welch's t on speakers' rates, worst group against the rest, is below 5 % over the number of groups."""
    table = pd.read_parquet(run / "utterances.parquet", columns=["utterance_id", "speaker_id", "a0"])
    scores = pd.read_parquet(run / "scores.parquet")
    scores["errors"] = scores["substitutions"] + scores["insertions"]
    scores["words"] = scores["hits"] + scores["substitutions"]
    sums = table.merge(scores).groupby(["speaker_id", "a0"])[["errors", "words"]].sum().reset_index()
    rate, group = sums["errors"] / sums["words"], sums["a0"]
    worst = f"g{int(np.argmax(design.rates))}"
    tests = 1 if len(design.sizes) == 2 else len(design.sizes)
    p = stats.ttest_ind(rate[group == worst], rate[group != worst], equal_var=False).pvalue
    return bool(p * tests <= 0.05)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument(
        "--only", nargs="+", default=["test", "null", "mixed", "power"], choices=("null", "mixed", "power", "test")
    )
    asked = parser.parse_args()
    started = time.perf_counter()
    if "test" in asked.only:
        test_lines(asked.runs, asked.draws)
    if "null" in asked.only:
        print("null", flush=True)
        null_lines(asked.runs, asked.draws)
    if "mixed" in asked.only:
        print("mixed", flush=True)
        mixed_lines(asked.runs, asked.draws)
    if "power" in asked.only:
        print("power", flush=True)
        power_lines(asked.runs, asked.draws)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
