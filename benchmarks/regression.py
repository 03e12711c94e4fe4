"""The mixed model against statsmodels' cluster-robust GLM: speed at three sizes, and truth by simulation.

Run: python benchmarks/regression.py [--sets 400] [--seed 1]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.stats
import statsmodels.api as sm

from asrfair.stats.explain import regression
from asrfair.stats.explain.design import Design

CASES = (
    # speakers a group, groups, CV between speakers (one a group or one for all), dispersion within, law
    (5, 4, (0.4,), 1.0, "log-normal"),
    (5, 4, (0.8,), 3.0, "log-normal"),
    (8, 4, (0.8,), 1.0, "gamma"),
    (10, 4, (0.4,), 3.0, "log-normal"),
    (20, 3, (0.8,), 3.0, "log-normal"),
    (20, 3, (0.4, 0.8, 0.8), 3.0, "log-normal"),
    (50, 3, (0.8,), 3.0, "gamma"),
)


def simulate(
    rng: np.random.Generator, size: int, groups: int, spread: tuple[float, ...], dispersion: float, law: str
) -> Design:
    """Make one data set without a difference between groups: unequal lengths, covariates that differ by group."""
    speakers = size * groups
    rows = np.maximum(5, rng.lognormal(0, 0.6, speakers) * 25).astype(int)
    speaker = np.repeat(np.arange(speakers), rows)
    own_group = np.arange(speakers) % groups
    group = own_group[speaker]
    words = rng.integers(3, 30, len(speaker))
    covariates = rng.normal(size=(len(speaker), 2)) + 0.5 * group[:, None]
    cv = np.broadcast_to(np.array(spread), groups)[own_group]
    person = rng.gamma(1 / cv**2, cv**2) if law == "gamma" else np.exp(rng.normal(0, np.sqrt(np.log1p(cv**2))))
    rate = words * 0.15 * np.exp(covariates @ [0.2, -0.1]) * person[speaker]
    if dispersion > 1:
        rate = rng.gamma(rate / (dispersion - 1), dispersion - 1)
    return Design(errors=rng.poisson(rate), ref_words=words, speaker=speaker, group=group, covariates=covariates)


def truth(sets: int, seed: int) -> None:
    """Standard errors, coverage and size of the tests, no difference between groups being true."""
    print(f"Known truth, {sets} sets each: no difference between groups; nominal coverage 95 %, level 5 %")
    heading = "speakers groups        CV   φ law         | φ found |  SD    SE/SD cover | statsmodels SE/SD cover | LR test F  χ²"
    print(heading)
    for case in CASES:
        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(sets):
            design = simulate(rng, *case)
            contrast = np.zeros(design.parameters)
            contrast[:2] = -1, 1
            first = regression.fit(design, robust=False)
            dispersion = regression.within_dispersion(design, first)
            fit = regression.fit(design, scale=max(1.0, dispersion), first=first.beta)
            test = regression.likelihood_ratio(design, fit)
            assert fit.robust is not None
            row = [dispersion, test.p < 0.05, test.p_chi2 < 0.05]
            theirs = clustered(design)
            for estimate, error, freedom in (
                (contrast @ fit.beta, *fit.robust.contrast(contrast)),
                (contrast @ theirs.params, np.sqrt(contrast @ theirs.cov_params() @ contrast), design.speakers - 1),
            ):
                row += [estimate, error, abs(estimate) <= scipy.stats.t.ppf(0.975, freedom) * error]
            rows.append(row)
        found = np.array(rows, dtype=float)
        mean, spread = found.mean(axis=0), found.std(axis=0)
        size, groups, cv, dispersion, law = case
        print(
            f"{size:8d} {groups:6d} {'/'.join(map(str, cv)):>10s} {dispersion:3.0f} {law:11s} | {mean[0]:7.2f} | "
            f"{spread[3]:5.3f} {mean[4] / spread[3]:5.2f} {mean[5]:6.3f} | {mean[7] / spread[6]:17.2f} {mean[8]:5.3f} | "
            f"{mean[1]:9.3f} {mean[2]:5.3f}",
            flush=True,
        )


def clustered(design: Design):  # type: ignore[no-untyped-def]  # noqa: ANN201 -- statsmodels has no types
    """Fit statsmodels' Poisson GLM with standard errors clustered by speaker."""
    columns = np.column_stack([np.eye(design.groups)[design.group], design.covariates])
    model = sm.GLM(design.errors, columns, family=sm.families.Poisson(), offset=design.log_words)
    return model.fit(cov_type="cluster", cov_kwds={"groups": design.speaker})


SIZES = (
    # name, utterances, speakers, groups
    ("EdAcc", 9_000, 120, 20),
    ("AfriSpeech", 60_000, 2_400, 108),
    ("large", 100_000, 2_000, 20),
)


def speed(seed: int) -> None:
    """Time of one row of the table: mixed model, dispersion and test; and of statsmodels' GLM."""
    for name, rows, speakers, groups in SIZES:
        rng = np.random.default_rng(seed)
        speaker = np.sort(rng.integers(0, speakers, rows))
        group = np.unique(speaker % groups, return_inverse=True)[1]
        words = rng.integers(3, 30, rows)
        covariates = rng.normal(size=(rows, 5))
        person = rng.normal(0, 0.5, speakers)[speaker]
        errors = rng.poisson(words * 0.15 * np.exp(covariates @ np.full(5, 0.1) + person))
        begin = time.perf_counter()
        design = Design(errors=errors, ref_words=words, speaker=speaker, group=group, covariates=covariates)
        first = regression.fit(design, robust=False)
        dispersion = regression.within_dispersion(design, first)
        fit = regression.fit(design, scale=max(1.0, dispersion), first=first.beta)
        regression.likelihood_ratio(design, fit)
        ours = time.perf_counter() - begin
        begin = time.perf_counter()
        clustered(design)
        theirs = time.perf_counter() - begin
        print(
            f"{name}: {rows:,} utterances × {speakers:,} speakers, {groups} groups, 5 covariates: mixed model, twice, with "
            f"test {ours:.2f} s; statsmodels' clustered GLM, once {theirs:.2f} s"
        )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    speed(options.seed)
    truth(options.sets, options.seed)


if __name__ == "__main__":
    main()
