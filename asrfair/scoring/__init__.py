"""Scoring: how wrong every hypothesis is, and an account of those that could not be scored."""

from asrfair.scoring.alignments import AlignedUtterance, align_utterances, worst_utterances
from asrfair.scoring.ledger import REASONS
from asrfair.scoring.score_run import ScoredTables, ScoreSummary, rescore_tables, score_run, score_tables

__all__ = [
    "REASONS",
    "AlignedUtterance",
    "ScoreSummary",
    "ScoredTables",
    "align_utterances",
    "rescore_tables",
    "score_run",
    "score_tables",
    "worst_utterances",
]
