"""For whom the recogniser fails: group rates, gaps, their intervals and tests, from the counts of a scored run."""

from asrfair.disparity.analyse import Analysis, analyse_run
from asrfair.disparity.frame import QUANTITIES, STATUSES, Frame, load_frame
from asrfair.disparity.groups import Grouping, make_grouping
from asrfair.disparity.intervals import Rates, group_rates

__all__ = [
    "QUANTITIES",
    "STATUSES",
    "Analysis",
    "Frame",
    "Grouping",
    "Rates",
    "analyse_run",
    "group_rates",
    "load_frame",
    "make_grouping",
]
