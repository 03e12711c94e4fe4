"""For whom the recogniser fails: group rates, gaps, their intervals and tests, from the counts of a scored run."""

from asrfair.stats.analyse import Analysis, analyse_frame, analyse_run, named, write_tables
from asrfair.stats.estimate.group_rates import Rates, group_rates
from asrfair.stats.frame import Frame, frame_of, load_frame
from asrfair.stats.groups import Grouping, make_grouping

__all__ = [
    "Analysis",
    "Frame",
    "Grouping",
    "Rates",
    "analyse_frame",
    "analyse_run",
    "frame_of",
    "group_rates",
    "load_frame",
    "make_grouping",
    "named",
    "write_tables",
]
