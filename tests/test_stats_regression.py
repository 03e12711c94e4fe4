"""Regression, sandwich and quadrature: against statsmodels, against scipy's integrals, and from known truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from asrfair.stats.explain import regression
from asrfair.stats.explain.design import Design
from asrfair.stats.explain.quadrature import integrate, posterior_mode


def simulate(
    rng: np.random.Generator,
    *,
    speakers: int,
    groups: int,
    spread: float = 0.5,
    dispersion: float = 1.0,
    effects: tuple[float, ...] = (0.2, -0.1),
    gap: float = 0.0,
) -> dict[str, np.ndarray]:
    """Rows of counts whose truth is known: log-normal speakers, negative-binomial bursts, covariates tied to groups."""
    rows = np.maximum(5, rng.lognormal(0, 0.6, speakers) * 25).astype(int)
    speaker = np.repeat(np.arange(speakers), rows)
    group = (np.arange(speakers) % groups)[speaker]
    words = rng.integers(3, 30, len(speaker))
    covariates = rng.normal(size=(len(speaker), len(effects))) + 0.5 * group[:, None]
    intercept = rng.normal(0, np.sqrt(np.log1p(spread**2)), speakers)[speaker]
    rate = words * 0.15 * np.exp(covariates @ np.array(effects) + gap * group + intercept)
    if dispersion > 1:
        rate = rng.gamma(rate / (dispersion - 1), dispersion - 1)
    return {
        "errors": rng.poisson(rate),
        "ref_words": words,
        "speaker": speaker,
        "group": group,
        "covariates": covariates,
    }


def test_integral_agrees_with_scipy() -> None:
    """The log integral of a speaker is that of adaptive quadrature, for few and many errors."""
    cases = [(0.0, 3.0, 0.5), (7.0, 2.0, 0.8), (250.0, 200.0, 0.4), (3.0, 40.0, 1.5)]
    for errors, expected, sigma in cases:
        mode = float(posterior_mode(np.array([errors]), np.array([expected]), sigma)[0])

        def height(z: float, errors: float = errors, expected: float = expected, sigma: float = sigma) -> float:
            return errors * sigma * z - expected * np.exp(sigma * z) + scipy.stats.norm.logpdf(z)

        top = height(mode)
        area = scipy.integrate.quad(lambda z, top=top: np.exp(height(z) - top), mode - 12, mode + 12, epsabs=1e-12)[0]
        found = integrate(np.array([errors]), np.array([expected]), sigma)
        assert found.value[0] == pytest.approx(top + np.log(area), abs=1e-6)


def test_derivatives_of_the_likelihood() -> None:
    """Gradient and Hessian are those of finite differences."""
    data = simulate(np.random.default_rng(0), speakers=20, groups=4)
    design = Design(**data)
    point = np.append(np.log(np.full(4, 0.12)), [0.1, 0.0, np.log(0.4)])
    state = regression._evaluate(design, point, 1.3)
    step = 1e-5
    above = [regression._evaluate(design, point + step * unit, 1.3) for unit in np.eye(len(point))]
    below = [regression._evaluate(design, point - step * unit, 1.3) for unit in np.eye(len(point))]
    gradient = np.array([(a.value - b.value) / (2 * step) for a, b in zip(above, below, strict=True)])
    hessian = np.array([(a.gradient - b.gradient) / (2 * step) for a, b in zip(above, below, strict=True)])
    np.testing.assert_allclose(state.gradient, gradient, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(state.hessian, hessian, rtol=1e-5, atol=1e-4)


def test_jackknife_agrees_with_refitting_without_each_speaker() -> None:
    """The one-step shifts are close to those of fitting again without each speaker, of the mixed model."""
    data = simulate(np.random.default_rng(2), speakers=24, groups=3)
    contrast = np.array([-1.0, 1.0, 0.0, 0.0, 0.0])
    whole = regression.fit(Design(**data))
    shifts = []
    for speaker in range(24):
        keep = data["speaker"] != speaker
        without = regression.fit(Design(**{name: values[keep] for name, values in data.items()}), robust=False)
        shifts.append(contrast @ (without.beta - whole.beta))
    exact = np.sqrt(7 / 8 * np.sum(np.square(shifts)))
    assert whole.robust is not None
    assert whole.robust.contrast(contrast)[0] == pytest.approx(exact, rel=0.06)


def test_mixed_model_agrees_with_statsmodels() -> None:
    """Mixed model and statsmodels' GEE (independence: the cluster-robust GLM) estimate the same contrasts and slopes.

    In one data set they differ by chance, as they weigh speakers differently; the mean over twelve is within a
    tenth of a standard error. Standard errors agree within 10 %.
    """
    import statsmodels.api as sm

    contrasts = np.array([[-1, 1, 0, 0, 0, 0], [-1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1.0]])
    differences, errors_of_both = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        speaker = np.repeat(np.arange(120), 40)
        group = (speaker % 4).astype(np.int64)
        words = rng.integers(5, 25, len(speaker))
        covariates = rng.normal(size=(len(speaker), 2)) + 0.3 * group[:, None]
        intercept = rng.normal(0, 0.15, 120)[speaker]
        errors = rng.poisson(words * 0.15 * np.exp(covariates @ [0.2, -0.1] + 0.2 * group + intercept))
        fit = regression.fit(
            Design(errors=errors, ref_words=words, speaker=speaker, group=group, covariates=covariates)
        )
        columns = np.column_stack([np.eye(4)[group], covariates])
        gee = sm.GEE(errors, columns, groups=speaker, family=sm.families.Poisson(), offset=np.log(words)).fit()
        assert fit.robust is not None
        theirs = np.sqrt(np.einsum("cp,pq,cq->c", contrasts, gee.cov_params(), contrasts))
        differences.append(contrasts @ (fit.beta - gee.params) / theirs)
        errors_of_both.append([[fit.robust.contrast(c)[0] for c in contrasts], theirs])
    np.testing.assert_array_less(np.abs(np.mean(differences, axis=0)), 0.1)
    ours, theirs = np.mean(errors_of_both, axis=0)
    np.testing.assert_allclose(ours[:2], theirs[:2], rtol=0.1)


def test_standard_errors_from_known_truth() -> None:
    """Over 300 simulated sets the mean standard error of a group contrast is within 10 % of the true spread.

    Bursts (dispersion 3), eight speakers a group, unequal lengths, covariates that differ between groups.
    """
    rng = np.random.default_rng(4)
    contrast = np.array([-1.0, 1.0, 0.0, 0.0, 0.0])
    found = []
    for _ in range(300):
        design = Design(**simulate(rng, speakers=24, groups=3, spread=0.6, dispersion=3.0))
        first = regression.fit(design, robust=False)
        dispersion = regression.within_dispersion(design, first)
        fit = regression.fit(design, scale=dispersion, first=first.beta)
        assert fit.robust is not None
        error, freedom = fit.robust.contrast(contrast)
        test = regression.likelihood_ratio(design, fit)
        estimate = contrast @ fit.beta
        inside = abs(estimate) <= scipy.stats.t.ppf(0.975, freedom) * error
        found.append((estimate, error, inside, dispersion, test.p < 0.05))
    estimates, errors, covered, dispersions, rejected = np.array(found).T
    assert errors.mean() == pytest.approx(estimates.std(), rel=0.10)
    assert abs(estimates.mean()) < 3 * estimates.std() / np.sqrt(300)
    assert dispersions.mean() == pytest.approx(3.0, rel=0.1)
    assert 0.93 <= covered.mean() <= 0.99
    assert rejected.mean() <= 0.08


def test_between_speaker_spread_is_found() -> None:
    """With many speakers the estimated standard deviation of the intercepts is the true one, and so are the slopes."""
    rng = np.random.default_rng(5)
    fit = regression.fit(Design(**simulate(rng, speakers=600, groups=2, spread=0.5, gap=0.3)))
    assert fit.sigma == pytest.approx(np.sqrt(np.log(1.25)), rel=0.08)
    np.testing.assert_allclose(fit.beta[2:], [0.2, -0.1], atol=0.03)
    assert fit.beta[1] - fit.beta[0] == pytest.approx(0.3, abs=0.15)


def test_no_spread_between_speakers() -> None:
    """Speakers who do not differ give a spread near zero and the estimates of statsmodels' plain regression."""
    import statsmodels.api as sm

    data = simulate(np.random.default_rng(6), speakers=30, groups=2, spread=0.0)
    fit = regression.fit(Design(**data))
    assert fit.sigma < 0.1
    columns = np.column_stack([np.eye(2)[data["group"]], data["covariates"]])
    plain = sm.GLM(data["errors"], columns, family=sm.families.Poisson(), offset=np.log(data["ref_words"])).fit()
    np.testing.assert_allclose(fit.beta, plain.params, atol=0.01)


def test_speakers_in_several_groups() -> None:
    """An attribute that varies within a speaker (a topic) is fitted, more sharply than one between speakers."""
    rng = np.random.default_rng(7)
    speaker = np.repeat(np.arange(40), 30)
    topic = rng.integers(0, 2, len(speaker))
    intercept = rng.normal(0, 0.8, 40)[speaker]
    errors = rng.poisson(10 * 0.2 * np.exp(0.5 * topic + intercept))
    design = Design(errors=errors, ref_words=np.full(len(speaker), 10), speaker=speaker, group=topic)
    fit = regression.fit(design)
    assert fit.robust is not None
    error, _ = fit.robust.contrast(np.array([-1.0, 1.0]))
    assert design.slots == 2
    assert fit.beta[1] - fit.beta[0] == pytest.approx(0.5, abs=0.15)
    assert error < 0.1


def test_chunks_of_speakers_do_not_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handling ten speakers at a time gives the same fit as all at once."""
    from asrfair.stats.explain import design as module

    data = simulate(np.random.default_rng(8), speakers=60, groups=3)
    whole = regression.fit(Design(**data))
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 3 * 9 * 10)
    pieces = regression.fit(Design(**data))
    np.testing.assert_allclose(pieces.beta, whole.beta, rtol=1e-9)
    assert pieces.robust is not None
    assert whole.robust is not None
    np.testing.assert_allclose(pieces.robust.covariance, whole.robust.covariance, rtol=1e-6)


def test_rows_without_words_are_refused() -> None:
    """A row without reference words has no rate and is refused, not silently skipped."""
    with pytest.raises(ValueError, match="at least one reference word"):
        Design(errors=[1, 2], ref_words=[3, 0], speaker=[0, 1], group=[0, 0])
