"""Poisson regression with a random intercept for every speaker.

    e_ij | r_i ~ Poisson(λ_ij),  log λ_ij = log n_ij + μ_g(i) + θᵀx_ij + r_i,  r_i ~ N(0, σ²)

(Liu, Veliche & Peng, arXiv 2109.09061). e are the errors and n the reference words of utterance j of speaker i, x its
covariates. exp(μ_g − μ_ref) is the rate ratio of two groups at equal covariates, each speaker weighed by what is known
of them and not by how much they said. The likelihood is maximised by Newton's method with analytic derivatives.

Errors come in bursts: given speaker and covariates their variance is φ times a Poisson variance. φ is estimated and
errors and words are divided by it (quasi-likelihood: the same rates from fewer effective words), so that bursts are
not taken for speakers. The standard errors leave out whole speakers and rest on neither φ nor σ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from asrfair.stats.explain.design import Blocks, Design, Floats
from asrfair.stats.explain.quadrature import Integral, integrate
from asrfair.stats.explain.sandwich import Robust, leave_speakers_out

MAX_STEPS = 100
SMALLEST_SIGMA = 1e-3
LARGEST_SIGMA = 5.0


@dataclass(frozen=True, kw_only=True)
class MixedFit:
    """A fitted model.

    Args:
        beta: Shape (parameters,): group intercepts, then slopes.
        sigma: Between-speaker standard deviation on the log scale.
        log_likelihood: Up to a constant of the data; of the scaled counts where ``scale`` is not 1.
        covariance: Shape (parameters, parameters): inverse information (model-based).
        robust: Leave-one-speaker-out shifts (the reported standard errors); ``None`` where they were not asked for.
        scale: The φ by which errors and words were divided.
        steps: Newton steps made.
    """

    beta: Floats
    sigma: float
    log_likelihood: float
    covariance: Floats
    robust: Robust | None
    scale: float
    steps: int


@dataclass(frozen=True, kw_only=True)
class _State:
    value: float
    gradient: Floats
    hessian: Floats


def fit(design: Design, *, scale: float = 1.0, robust: bool = True, first: Floats | None = None) -> MixedFit:
    """Maximise the likelihood over group intercepts, slopes and log σ.

    Args:
        design: The rows.
        scale: Over-dispersion φ ≥ 1 within speakers.
        robust: Whether leave-one-speaker-out shifts are computed.
        first: Starting values of the group intercepts and slopes (otherwise pooled rates and no slopes).

    Raises:
        ArithmeticError: No convergence.
    """
    beta = pooled_rates(design) if first is None else first
    theta = np.log(_first_sigma(design, beta, scale))
    point = np.append(beta, theta)
    state = _evaluate(design, point, scale)
    for steps in range(1, MAX_STEPS + 1):  # noqa: B007 -- the count is reported
        move = _newton_move(state)
        decrement = float(state.gradient @ move)
        if decrement < 1e-9:
            break
        size = min(1.0, 1.0 / max(1e-300, abs(float(move[-1]))))
        while True:
            candidate = point + size * move
            candidate[-1] = np.clip(candidate[-1], np.log(SMALLEST_SIGMA), np.log(LARGEST_SIGMA))
            later = _evaluate(design, candidate, scale)
            if later.value >= state.value - 1e-10 * abs(state.value) or size < 1e-8:
                break
            size /= 2
        stuck = bool(np.max(np.abs(candidate - point)) < 1e-10)
        point, state = candidate, later
        at_edge = point[-1] <= np.log(SMALLEST_SIGMA) + 1e-12 and np.max(np.abs(state.gradient[:-1])) < 1e-6
        if stuck or at_edge:
            break
    else:
        raise ArithmeticError("the mixed model did not converge")
    sigma = float(np.exp(point[-1]))
    covariance = _covariance(state)
    shifts = None
    if robust:
        information = -state.hessian[:-1, :-1]
        shifts = leave_speakers_out(design, information, _pieces(design, point, scale))
    return MixedFit(
        beta=point[:-1],
        sigma=sigma,
        log_likelihood=state.value,
        covariance=covariance,
        robust=shifts,
        scale=scale,
        steps=steps,
    )


def pooled_rates(design: Design) -> Floats:
    """Return the groups' pooled log rates and zero slopes: where the search for the maximum starts."""
    errors = np.bincount(design.group, weights=design.errors, minlength=design.groups)
    words = np.bincount(design.group, weights=design.words, minlength=design.groups)
    beta = np.zeros(design.parameters)
    beta[: design.groups] = np.log(np.maximum(errors, 0.5) / words)
    return beta


def within_dispersion(design: Design, mixed: MixedFit) -> float:
    """Return Pearson's χ² over its degrees of freedom, given each speaker's estimated intercept; 1 under Poisson."""
    expected: Floats = np.exp(design.predict(mixed.beta))
    factor = _speaker_integral(design, expected, mixed.sigma, mixed.scale).mean
    rate = expected * factor[design.speaker]
    squares = float(np.sum((design.errors - rate) ** 2 / rate))
    freedom = len(design.errors) - design.parameters - design.speakers
    return float(squares / max(freedom, 1))


@dataclass(frozen=True, kw_only=True)
class LikelihoodRatio:
    """The test that the groups do not differ once covariates are accounted for.

    Args:
        statistic: Twice the difference in log likelihood.
        freedom: Groups minus one.
        p_chi2: From the χ² distribution: too small with few speakers.
        p: From the F distribution with speakers minus groups denominator degrees of freedom.
    """

    statistic: float
    freedom: int
    p_chi2: float
    p: float


def likelihood_ratio(design: Design, full: MixedFit) -> LikelihoodRatio:
    """Test all groups at once against a common intercept.

    The χ² distribution of the statistic holds for many speakers. In a linear model with K independent units the
    statistic is a function of the F statistic, LR = K log(1 + qF/(K − p)), which is exact for few; it is used here with
    speakers as units.
    """
    null = Design(
        errors=design.errors,
        ref_words=design.words,
        speaker=design.speaker,
        group=np.zeros(len(design.errors), dtype=np.int64),
        covariates=design.covariates,
    )
    alone = fit(null, scale=full.scale, robust=False)
    statistic = max(0.0, 2 * (full.log_likelihood - alone.log_likelihood))
    q, units = design.groups - 1, design.speakers
    rest = units - design.groups
    if rest < 1:
        p = float("nan")
    else:
        f = np.expm1(min(statistic / units, 500.0)) * rest / q
        p = float(special.fdtrc(q, rest, f))
    return LikelihoodRatio(statistic=statistic, freedom=q, p_chi2=float(special.chdtrc(q, statistic)), p=p)


def _speaker_integral(design: Design, expected: Floats, sigma: float, scale: float) -> Integral:
    return integrate(design.errors_by_speaker / scale, design.by_speaker(expected) / scale, sigma)


def _evaluate(design: Design, point: Floats, scale: float) -> _State:
    """Log likelihood, gradient and Hessian in (β, log σ)."""
    beta, sigma = point[:-1], float(np.exp(point[-1]))
    eta = design.predict(beta)
    expected = np.exp(np.clip(eta, -700, 700))
    part = _speaker_integral(design, expected, sigma, scale)
    value = float(design.errors @ eta / scale + part.value.sum())
    gradient = np.empty(len(point))
    gradient[:-1] = design.total(design.errors - part.mean[design.speaker] * expected) / scale
    gradient[-1] = sigma * part.slope.sum()
    hessian = np.zeros((len(point), len(point)))
    for blocks in design.blocks(expected / scale):
        hessian[:-1, :-1] -= design.scatter_matrix(blocks.index, _own_information(blocks, part))
        mixed = sigma * part.cross[blocks.speakers][:, None] * blocks.vector
        hessian[:-1, -1] -= design.scatter_vector(blocks.index, mixed)
    hessian[-1, :-1] = hessian[:-1, -1]
    hessian[-1, -1] = sigma**2 * part.curvature.sum() + gradient[-1]
    return _State(value=value, gradient=gradient, hessian=hessian)


def _own_information(blocks: Blocks, part: Integral) -> Floats:
    mean, variance = part.mean[blocks.speakers], part.variance[blocks.speakers]
    outer = blocks.vector[:, :, None] * blocks.vector[:, None, :]
    information: Floats = mean[:, None, None] * blocks.matrix - variance[:, None, None] * outer
    return information


def _pieces(design: Design, point: Floats, scale: float) -> Iterator[tuple[Blocks, Floats]]:
    """Each speaker's own information and score at the estimate."""
    expected = np.exp(design.predict(point[:-1]))
    part = _speaker_integral(design, expected, float(np.exp(point[-1])), scale)
    residual = (design.errors - part.mean[design.speaker] * expected) / scale
    for blocks, scores in zip(design.blocks(expected / scale), design.blocks(residual), strict=True):
        own = Blocks(
            speakers=blocks.speakers,
            index=blocks.index,
            vector=blocks.vector,
            matrix=_own_information(blocks, part),
        )
        yield own, scores.vector


def _newton_move(state: _State) -> Floats:
    """Solve for the step; where the likelihood is not concave (far from its maximum) the curvature is bent upright."""
    information = -state.hessian
    try:
        np.linalg.cholesky(information)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(information)
        floor = 1e-6 * np.abs(values).max()
        return np.asarray(vectors @ ((vectors.T @ state.gradient) / np.maximum(np.abs(values), floor)))
    return np.asarray(np.linalg.solve(information, state.gradient))


def _covariance(state: _State) -> Floats:
    information = -state.hessian
    if information[-1, -1] <= 0:
        return np.asarray(np.linalg.inv(information[:-1, :-1]))
    return np.asarray(np.linalg.inv(information)[:-1, :-1])


def _first_sigma(design: Design, beta: Floats, scale: float) -> float:
    """Guess σ from the spread of the speakers' rates around the Poisson fit (method of moments)."""
    expected = design.by_speaker(np.exp(design.predict(beta)))
    excess = np.sum((design.errors_by_speaker - expected) ** 2 - scale * expected)
    return float(np.sqrt(np.clip(excess / np.sum(expected**2), 0.01, 2.0)))
