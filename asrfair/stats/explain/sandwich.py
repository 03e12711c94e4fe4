"""Standard errors that take whole speakers as the unit: leave one speaker out, one Newton step each.

For a fit with information H, speaker s with score u_s and own information C_s, the estimate without that speaker is,
to one step, β − (H − C_s)⁻¹ u_s. The spread of these is the jackknife variance (CR3 of Bell & McCaffrey 2002;
MacKinnon, Nielsen & Webb 2023, "Cluster-robust inference"). It needs neither equal spread in all groups nor Poisson
variance, and unlike the plain sandwich it is not too small with few speakers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrfair.stats.explain.design import Blocks, Design, Floats


@dataclass(frozen=True, kw_only=True)
class Robust:
    """How the estimate moves without each speaker.

    Args:
        shifts: Shape (speakers, parameters): estimate without the speaker minus estimate, scaled so that the sum of
            squares is the stratified jackknife variance.
        stratum: Shape (speakers,): the group in which the speaker has most words.
        effective: Shape (groups,): Kish's effective number of speakers, (Σn)² / Σn².
    """

    shifts: Floats
    stratum: npt.NDArray[np.int64]
    effective: Floats

    @property
    def covariance(self) -> Floats:
        """Shape (parameters, parameters)."""
        return self.shifts.T @ self.shifts

    def contrast(self, weights: Floats) -> tuple[float, float]:
        """Return standard error and degrees of freedom (Welch–Satterthwaite over groups) of a contrast.

        Groups whose speakers contribute to the contrast's variance bring their effective number of speakers minus
        one; a difference of two small groups so has few degrees of freedom, whatever the number of other speakers.
        """
        used = np.flatnonzero(weights)
        squares = (self.shifts[:, used] @ weights[used]) ** 2
        parts = np.bincount(self.stratum, weights=squares, minlength=len(self.effective))
        variance = float(parts.sum())
        if variance <= 0:
            return 0.0, float("nan")
        freedom = np.maximum(self.effective - 1, 0.5)
        return float(np.sqrt(variance)), float(variance**2 / np.sum(parts**2 / freedom))


def leave_speakers_out(design: Design, information: Floats, pieces: Iterable[tuple[Blocks, Floats]]) -> Robust:
    """Compute the one-step jackknife.

    Args:
        design: The rows.
        information: Shape (parameters, parameters), positive definite.
        pieces: Chunks of speakers: blocks whose ``matrix`` is each speaker's own information, and the scores,
            shape (speakers, d).
    """
    inverse = np.linalg.inv(information)
    padded = np.zeros((design.parameters + 1, design.parameters + 1))
    padded[:-1, :-1] = inverse
    shifts = np.empty((design.speakers, design.parameters), order="F")
    for blocks, score in pieces:
        index = blocks.index
        local = padded[index[:, :, None], index[:, None, :]]
        # (H − B C Bᵀ)⁻¹ B u = H⁻¹ B (I − C G)⁻¹ u with G = Bᵀ H⁻¹ B
        system = np.eye(index.shape[1]) - blocks.matrix @ local
        solved = np.linalg.solve(system, score[:, :, None])[:, :, 0]
        shifts[blocks.speakers] = -np.einsum("kd,kdp->kp", solved, padded[index][:, :, :-1])
    stratum, effective = _strata(design)
    members = np.bincount(stratum, minlength=design.groups)[stratum]
    shifts *= np.sqrt((members - 1) / np.maximum(members, 1))[:, None]
    return Robust(shifts=shifts, stratum=stratum, effective=effective)


def _strata(design: Design) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the main group of each speaker and the effective number of speakers of each group."""
    words = np.add.reduceat(design.words, design.pair_starts[:-1])
    order = np.lexsort((words, design.pair_speaker))
    last = np.searchsorted(design.pair_speaker[order], np.arange(design.speakers), side="right") - 1
    stratum = design.pair_group[order][last]
    total = np.bincount(design.pair_group, weights=words, minlength=design.groups)
    squares = np.bincount(design.pair_group, weights=words**2, minlength=design.groups)
    return stratum, total**2 / squares
