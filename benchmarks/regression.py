"""The regression: speed at 100,000 utterances × 2,000 speakers, agreement with statsmodels, and truth by simulation.

Run: python benchmarks/regression.py [--sets 400] [--seed 1]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.stats

from asrfair.stats.explain import glm, regression
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
    heading = (
        "speakers groups        CV   φ law         | φ found |  SD    SE/SD cover | GLM SE/SD cover | LR test F  χ²"
    )
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
            pooled = glm.fit(design)
            assert fit.robust is not None
            row = [dispersion, test.p < 0.05, test.p_chi2 < 0.05]
            for estimate, robust in ((contrast @ fit.beta, fit.robust), (contrast @ pooled.beta, pooled.robust)):
                error, freedom = robust.contrast(contrast)
                row += [estimate, error, abs(estimate) <= scipy.stats.t.ppf(0.975, freedom) * error]
            rows.append(row)
        found = np.array(rows, dtype=float)
        mean, spread = found.mean(axis=0), found.std(axis=0)
        size, groups, cv, dispersion, law = case
        print(
            f"{size:8d} {groups:6d} {'/'.join(map(str, cv)):>10s} {dispersion:3.0f} {law:11s} | {mean[0]:7.2f} | "
            f"{spread[3]:5.3f} {mean[4] / spread[3]:5.2f} {mean[5]:6.3f} | {mean[7] / spread[6]:9.2f} {mean[8]:5.3f} | "
            f"{mean[1]:9.3f} {mean[2]:5.3f}",
            flush=True,
        )


def speed(seed: int) -> None:
    """Time of everything that a table row needs."""
    rng = np.random.default_rng(seed)
    speakers, rows, groups = 2000, 50, 20
    speaker = np.repeat(np.arange(speakers), rows)
    group = speaker % groups
    words = rng.integers(3, 30, len(speaker))
    covariates = rng.normal(size=(len(speaker), 5))
    person = rng.normal(0, 0.5, speakers)[speaker]
    errors = rng.poisson(words * 0.15 * np.exp(covariates @ np.full(5, 0.1) + person))
    begin = time.perf_counter()
    design = Design(errors=errors, ref_words=words, speaker=speaker, group=group, covariates=covariates)
    first = regression.fit(design, robust=False)
    dispersion = regression.within_dispersion(design, first)
    fit = regression.fit(design, scale=max(1.0, dispersion), first=first.beta)
    mixed = time.perf_counter() - begin
    regression.likelihood_ratio(design, fit)
    tested = time.perf_counter() - begin
    glm.fit(design)
    total = time.perf_counter() - begin
    print(
        f"{len(errors):,} utterances × {speakers:,} speakers, {groups} groups, 5 covariates: mixed model {mixed:.2f} s,"
    )
    print(f"with likelihood-ratio test {tested:.2f} s, with cluster-robust GLM {total:.2f} s")


def agreement(seed: int) -> None:
    """Distance to statsmodels' cluster-robust GLM in standard errors."""
    try:
        import statsmodels.api as sm
    except ImportError:
        print("statsmodels is not installed: no comparison")
        return
    design = simulate(np.random.default_rng(seed), 20, 3, (0.3,), 2.0, "log-normal")
    fit = glm.fit(design)
    columns = np.column_stack([np.eye(3)[design.group], design.covariates])
    model = sm.GLM(design.errors, columns, family=sm.families.Poisson(), offset=design.log_words)
    result = model.fit(cov_type="cluster", cov_kwds={"groups": design.speaker}, tol=1e-12)
    distance = np.max(np.abs(fit.beta - result.params) / result.bse)
    errors = np.max(np.abs(np.sqrt(np.diag(fit.sandwich)) / result.bse - 1))
    mixed = regression.fit(design, scale=max(1.0, fit.dispersion))
    contrasts = np.array([[-1, 1, 0, 0, 0], [-1, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1.0]])
    theirs = np.sqrt(np.einsum("cp,pq,cq->c", contrasts, result.cov_params(), contrasts))
    apart = np.abs(contrasts @ (mixed.beta - result.params)) / theirs
    print(f"GLM against statsmodels: estimates {distance:.1e} SE apart, cluster-robust SEs {errors:.1e} apart")
    print(f"mixed model against statsmodels' GLM, in SE: {', '.join(f'{value:.2f}' for value in apart)}")


def main() -> None:
    """Run all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    speed(options.seed)
    agreement(options.seed)
    truth(options.sets, options.seed)


if __name__ == "__main__":
    main()
