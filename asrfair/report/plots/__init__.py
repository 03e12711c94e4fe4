"""Plots of a run, one a module: each function takes the run's tables and returns a matplotlib figure.

A notebook calls them with the frames that :func:`asrfair.report.load_run` returns::

    run = load_run(Path("runs/demo"))
    forest_plot(run.disparity, attribute="accent", condition="clean")
"""

from asrfair.report.plots.forest import forest_plot

__all__ = ["forest_plot"]
