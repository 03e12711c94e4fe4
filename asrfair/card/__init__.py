"""Service cards: what a service does for every group, each number from a run and none that could tell of one person."""

from asrfair.card.evidence import SMALLEST, Evidence, gather
from asrfair.card.floors import Floor, floors
from asrfair.card.outline import OUTLINES
from asrfair.card.prose import AuthorProse, blank_prose, read_prose
from asrfair.card.write import FORMATS, card_bytes, write_card

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
