"""Service cards: what a service does for every group, each number from a run and none that could tell of one person."""

from asrfair.report.card.evidence import SMALLEST, Evidence, gather
from asrfair.report.card.floors import Floor, floors
from asrfair.report.card.outline import OUTLINES
from asrfair.report.card.prose import AuthorProse, blank_prose, read_prose
from asrfair.report.card.write import FORMATS, card_bytes, write_card

__all__ = [
    "FORMATS",
    "OUTLINES",
    "SMALLEST",
    "AuthorProse",
    "Evidence",
    "Floor",
    "blank_prose",
    "card_bytes",
    "floors",
    "gather",
    "read_prose",
    "write_card",
]
