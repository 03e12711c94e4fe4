"""Poisson regression of errors with standard errors that take the speaker as the unit.

Errors of a row have mean words · exp(μ_group + Zγ); the estimate is the pooled one (each word counts the same),
whatever the spread of the speakers. It is the cross-check of the mixed model in :mod:`asrfair.stats.explain.regression`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asrfair.stats.explain.design import Blocks, Design, Floats
from asrfair.stats.explain.sandwich import Robust, leave_speakers_out

TOLERANCE = 1e-10
MAX_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class PoissonFit:
    """A fitted Poisson regression.

    Args:
        beta: Shape (parameters,): group intercepts (log error rate at covariates zero), then covariate slopes.
        information: Shape (parameters, parameters): XᵀWX.
        robust: Leave-one-speaker-out shifts (the reported standard errors).
        sandwich: Shape (parameters, parameters): the plain cluster-robust covariance with the usual small-sample
            factor K/(K−1) · (n−1)/(n−p), as other packages report it.
        dispersion: Pearson χ² over its degrees of freedom; 1 under a Poisson model.
        steps: Newton steps made.
    """

    beta: Floats
    information: Floats
    robust: Robust
    sandwich: Floats
    dispersion: float
    steps: int


def start(design: Design) -> Floats:
    """Return the groups' pooled log rates and zero slopes: a starting point, exact where there are no covariates."""
    errors = np.bincount(design.group, weights=design.errors, minlength=design.groups)
    words = np.bincount(design.group, weights=design.words, minlength=design.groups)
    beta = np.zeros(design.parameters)
    beta[: design.groups] = np.log(np.maximum(errors, 0.5) / words)
    return beta


def information_of(design: Design, weights: Floats) -> Floats:
    """Return XᵀWX; shape (parameters, parameters)."""
    total = np.zeros((design.parameters, design.parameters))
    for blocks in design.blocks(weights):
        total += design.scatter_matrix(blocks.index, blocks.matrix)
    return total


def estimate(design: Design) -> tuple[Floats, int]:
    """Return the Poisson estimate and the number of Newton steps.

    The likelihood is concave; a step that lowers it is halved (McCullagh & Nelder 1989, section 2.5: iteratively
    reweighted least squares is Newton's method here).

    Raises:
        ArithmeticError: No convergence, as when covariates separate the errors.
    """
    beta = start(design)
    eta = design.predict(beta)
    value = _log_likelihood(design, eta)
    for step in range(1, MAX_STEPS + 1):
        rate = np.exp(eta)
        gradient = design.total(design.errors - rate)
        move = np.linalg.solve(information_of(design, rate), gradient)
        scale = 1.0
        while True:
            candidate = beta + scale * move
            eta = design.predict(candidate)
            now = _log_likelihood(design, eta)
            if now >= value - 1e-9 * abs(value) or scale < 1e-6:
                break
            scale /= 2
        beta, value = candidate, now
        if float(gradient @ move) < TOLERANCE * max(1.0, abs(value)):
            return beta, step
    raise ArithmeticError("the Poisson regression did not converge")


def fit(design: Design) -> PoissonFit:
    """Fit and compute both covariances.

    Raises:
        ArithmeticError: No convergence.
    """
    beta, steps = estimate(design)
    rate = np.exp(design.predict(beta))
    information = information_of(design, rate)
    residual = design.errors - rate
    meat = np.zeros_like(information)
    for blocks in design.blocks(residual):
        meat += design.scatter_matrix(blocks.index, blocks.vector[:, :, None] * blocks.vector[:, None, :])
    inverse = np.linalg.inv(information)
    rows, p = len(design.errors), design.parameters
    correction = design.speakers / max(design.speakers - 1, 1) * (rows - 1) / max(rows - p, 1)
    return PoissonFit(
        beta=beta,
        information=information,
        robust=leave_speakers_out(design, information, _pieces(design, rate, residual)),
        sandwich=inverse @ meat @ inverse * correction,
        dispersion=float(np.sum(residual**2 / rate) / max(rows - p, 1)),
        steps=steps,
    )


def _pieces(design: Design, rate: Floats, residual: Floats) -> Iterator[tuple[Blocks, Floats]]:
    for blocks, scores in zip(design.blocks(rate), design.blocks(residual), strict=True):
        yield blocks, scores.vector


def _log_likelihood(design: Design, eta: Floats) -> float:
    with np.errstate(over="ignore"):
        return float(design.errors @ eta - np.exp(eta).sum())
