"""One attribute on its way through an analysis: its groups, their rates, flags and, if asked for, bootstrap draws."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from asrfair.stats.core_tables import group_flags
from asrfair.stats.estimate.bootstrap import Draws, speaker_draws
from asrfair.stats.estimate.gaps import comparable
from asrfair.stats.estimate.group_rates import Rates, group_rates
from asrfair.stats.estimate.largest_difference import LargestDifference, largest_difference
from asrfair.stats.frame import Frame
from asrfair.stats.groups import Grouping
from asrfair.types import GroupSettings, StatisticsSettings


@dataclass(frozen=True, kw_only=True)
class AttributeRates:
    """Everything that several tables need of one attribute.

    Attributes:
        grouping: The groups.
        rates: Their rates.
        compared: Which are large enough to be compared, shape (R, G).
        flags: What is to be said of each rate, shape (R, G).
        draws: Of speakers; ``None`` unless intervals are percentiles.
        statistics: Seed.
    """

    grouping: Grouping
    rates: Rates
    compared: npt.NDArray[np.bool_]
    flags: npt.NDArray[np.object_]
    draws: Draws | None
    statistics: StatisticsSettings

    @cached_property
    def largest(self) -> LargestDifference:
        """The largest difference of any two groups under chance, drawn when it is first asked for."""
        return largest_difference(
            self.rates, self.compared, generator(self.statistics, "maxima", self.grouping.attribute)
        )


def attribute_rates(
    frame: Frame, grouping: Grouping, groups: GroupSettings, statistics: StatisticsSettings
) -> AttributeRates:
    """Pool the rates of an attribute's groups, and draw speakers where percentile intervals are asked for."""
    rates = group_rates(frame, grouping)
    compared = comparable(rates, min_speakers=groups.min_speakers, min_words=groups.min_words)
    percentile = statistics.interval == "percentile"
    draws = None
    if percentile:
        draws = speaker_draws(rates, statistics.draws, generator(statistics, "speakers", grouping.attribute))
    return AttributeRates(
        grouping=grouping,
        rates=rates,
        compared=compared,
        flags=group_flags(rates, groups, percentile=percentile),
        draws=draws,
        statistics=statistics,
    )


def generator(statistics: StatisticsSettings, *purpose: str) -> np.random.Generator:
    """A source of chance for one purpose, independent of what else was asked for."""
    digest = hashlib.blake2b("\x1f".join(purpose).encode(), digest_size=8, key=str(statistics.seed).encode()[:64])
    return np.random.default_rng(int.from_bytes(digest.digest(), "little"))
