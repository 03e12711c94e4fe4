"""Scoring: how wrong every hypothesis is, and an account of those that could not be scored."""

from asrfair.score.alignments import AlignedUtterance, worst_utterances
from asrfair.score.ledger import REASONS
from asrfair.score.score_run import COUNT_COLUMNS, ScoreSummary, rescore_frame, score_run

__all__ = [
    "COUNT_COLUMNS",
    "REASONS",
    "AlignedUtterance",
    "ScoreSummary",
    "rescore_frame",
    "score_run",
    "worst_utterances",
]
