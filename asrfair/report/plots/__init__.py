"""Plots of a run, one a module: each function takes the run's tables and returns a matplotlib figure.

A notebook calls them with the frames that :func:`asrfair.report.load_run` returns::

    run = load_run(Path("runs/demo"))
    forest_plot(run.disparity, attribute="accent", condition="clean")
"""

from asrfair.report.plots.coverage import coverage_plot
from asrfair.report.plots.engines import engine_against_engine
from asrfair.report.plots.forest import forest_plot
from asrfair.report.plots.heat import heat_map
from asrfair.report.plots.many_engines import engine_heat_map, ranked_engines
from asrfair.report.plots.snr import snr_curves, snr_of_conditions
from asrfair.report.plots.speakers import speaker_rates, speaker_strip
from asrfair.report.plots.widening import gap_over_conditions

__all__ = [
    "coverage_plot",
    "engine_against_engine",
    "engine_heat_map",
    "forest_plot",
    "gap_over_conditions",
    "heat_map",
    "ranked_engines",
    "snr_curves",
    "snr_of_conditions",
    "speaker_rates",
    "speaker_strip",
]
