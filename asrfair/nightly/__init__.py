"""The same suite every night: a history, gates, what changed, a verdict."""

from asrfair.nightly.history import History, Night
from asrfair.nightly.night import NightResult, run_night
from asrfair.nightly.several_suites import NightlyResult, run_suites
from asrfair.nightly.verdict import Verdict

__all__ = ["History", "Night", "NightResult", "NightlyResult", "Verdict", "run_night", "run_suites"]
