"""Service cards: what a service does for every group, each number from a run and none that could tell of one person."""

from asrfair.cards.evidence import SMALLEST, Evidence, gather
from asrfair.cards.floors import Floor, floors
from asrfair.cards.outline import OUTLINES
from asrfair.cards.prose import AuthorProse, blank_prose, read_prose
from asrfair.cards.write import FORMATS, card_bytes, write_card

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
