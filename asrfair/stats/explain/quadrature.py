"""The integral over one speaker's random intercept, by adaptive Gauss–Hermite quadrature.

With a log link a speaker's rows enter only through E = Σ errors and Λ = Σ expected errors at intercept zero:

    I(E, Λ, σ) = ∫ exp(E σ z − Λ e^{σz}) φ(z) dz

(Liu & Pierce 1994, "A note on Gauss–Hermite quadrature": nodes centred at the mode and scaled by the curvature there.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from asrfair.stats.explain.design import Floats

NODES = 25
MODE_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class Integral:
    """The log integral of every speaker and its derivatives; each of shape (speakers,).

    Args:
        value: log I.
        mean: E[e^{σz} | errors]: −∂ log I / ∂Λ; the factor by which the speaker's rate is multiplied.
        variance: Var[e^{σz} | errors].
        slope: ∂ log I / ∂σ.
        curvature: ∂² log I / ∂σ².
        cross: ∂ mean / ∂σ.
    """

    value: Floats
    mean: Floats
    variance: Floats
    slope: Floats
    curvature: Floats
    cross: Floats


def integrate(errors: Floats, expected: Floats, sigma: float, *, nodes: int = NODES) -> Integral:
    """Integrate over the intercept of every speaker.

    Args:
        errors: Shape (speakers,): E; need not be whole numbers (quasi-likelihood scales them).
        expected: Shape (speakers,): Λ, positive.
        sigma: Standard deviation of the intercepts on the log scale, positive.
        nodes: Quadrature points.
    """
    mode = posterior_mode(errors, expected, sigma)
    spread = 1 / np.sqrt(1 + sigma**2 * expected * np.exp(sigma * mode))
    points, weights = _nodes(nodes)
    z = mode[:, None] + np.sqrt(2) * spread[:, None] * points
    growth = np.exp(np.clip(sigma * z, -700, 700))
    rate = expected[:, None] * growth
    height = errors[:, None] * sigma * z - rate - z**2 / 2 + points**2 + np.log(weights)
    top = height.max(axis=1, keepdims=True)
    share = np.exp(height - top)
    total = share.sum(axis=1, keepdims=True)
    share /= total
    value = top[:, 0] + np.log(total[:, 0]) + np.log(np.sqrt(2) * spread) - 0.5 * np.log(2 * np.pi)
    mean = np.sum(share * growth, axis=1)
    pull = z * (errors[:, None] - rate)
    slope = np.sum(share * pull, axis=1)
    return Integral(
        value=value,
        mean=mean,
        variance=np.sum(share * (growth - mean[:, None]) ** 2, axis=1),
        slope=slope,
        curvature=np.sum(share * ((pull - slope[:, None]) ** 2 - z**2 * rate), axis=1),
        cross=np.sum(share * (z * growth + (growth - mean[:, None]) * pull), axis=1),
    )


@cache
def _nodes(count: int) -> tuple[Floats, Floats]:
    """Points and weights of Gauss and Hermite; they are asked for at every step of a fit."""
    points, weights = np.polynomial.hermite.hermgauss(count)
    return points, weights


def posterior_mode(errors: Floats, expected: Floats, sigma: float) -> Floats:
    """Return the z at which each integrand is largest.

    With t = σz the root of f(t) = σ²(E − Λeᵗ) − t is wanted. f is concave and falls, so Newton's steps from a point
    right of the root approach it from the right without overshooting; max(0, log E/Λ) is such a point.
    """
    with np.errstate(divide="ignore"):
        t = np.maximum(0.0, np.log(errors) - np.log(expected))
    variance = sigma**2
    for _ in range(MODE_STEPS):
        rate = expected * np.exp(t)
        move = (variance * (errors - rate) - t) / (variance * rate + 1)
        t = t + move
        if np.max(np.abs(move)) < 1e-12 * (1 + np.max(np.abs(t))):
            break
    mode: Floats = t / sigma
    return mode
