"""The plots of a result, with what may be left out left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError
from asrfair.report import plots
from asrfair.report.figures import labelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from asrfair.api.result import Result


@dataclass(frozen=True)
class Plots:
    """Plots of a result, each a matplotlib figure.

    Where none is named, the first attribute, engine and condition are shown.
    """

    result: Result

    def forest(self, attribute: str | None = None, *, condition: str | None = None) -> Figure:
        """Rates of the groups with their intervals, a panel an engine."""
        data = self.result.run
        return labelled(
            plots.forest_plot(
                data.disparity,
                attribute=self._attribute(attribute),
                condition=condition or data.main_condition,
                confidence=data.confidence,
            ),
            data,
        )

    def heat_map(self, attribute: str | None = None, *, engine: str | None = None) -> Figure:
        """Groups against conditions."""
        data = self.result.run
        return labelled(
            plots.heat_map(data.disparity, attribute=self._attribute(attribute), engine=engine or data.engines[0]), data
        )

    def engines(
        self, attribute: str | None = None, *, engine_a: str | None = None, engine_b: str | None = None
    ) -> Figure:
        """One engine against another, a point a group.

        Raises:
            InputError: There is only one engine.
        """
        data = self.result.run
        if len(data.engines) < 2:
            raise InputError("there is only one engine", value=data.engines[0])
        return labelled(
            plots.engine_against_engine(
                data.disparity,
                attribute=self._attribute(attribute),
                condition=data.main_condition,
                engine_a=engine_a or data.engines[0],
                engine_b=engine_b or data.engines[1],
                confidence=data.confidence,
            ),
            data,
        )

    def coverage(self, attribute: str | None = None) -> Figure:
        """How many speakers each group has."""
        data = self.result.run
        return labelled(
            plots.coverage_plot(
                data.tables["coverage"], attribute=self._attribute(attribute), min_speakers=data.min_speakers
            ),
            data,
        )

    def speakers(
        self, attribute: str | None = None, *, engine: str | None = None, condition: str | None = None
    ) -> Figure:
        """How rates are spread over the speakers of each group."""
        data, attribute = self.result.run, self._attribute(attribute)
        scores, people = data.scores(), data.utterances()
        assert scores is not None
        assert people is not None
        return labelled(
            plots.speaker_strip(
                plots.speaker_rates(scores, people, attribute=attribute, metric=data.metric),
                attribute=attribute,
                engine=engine or data.engines[0],
                condition=condition or data.main_condition,
                min_speakers=data.min_speakers,
            ),
            data,
        )

    def gap_over_conditions(self, attribute: str | None = None, *, engine: str | None = None) -> Figure:
        """Which conditions widen the gap, and for whom.

        Raises:
            InputError: There is only one condition.
        """
        data = self.result.run
        if "interactions" not in data.tables:
            raise InputError("there is only one condition, so no gap widens from one to the other")
        return labelled(
            plots.gap_over_conditions(
                data.tables["interactions"],
                attribute=self._attribute(attribute),
                engine=engine or data.engines[0],
                confidence=data.confidence,
            ),
            data,
        )

    def _attribute(self, name: str | None) -> str:
        known = self.result.attributes
        if not known:
            raise InputError("nobody is grouped by anything", remedy="Give by=…")
        if name is None:
            return known[0]
        if name not in known:
            raise InputError("there is no such attribute", value=name, remedy=did_you_mean(name, known))
        return name
