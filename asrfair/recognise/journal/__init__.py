"""The crash-safe record of a run: ``rows`` says what is recorded, ``store`` keeps it in SQLite."""

from asrfair.recognise.journal.rows import Achieved, Event, Row, Stamp, clean_text, row_of
from asrfair.recognise.journal.store import FILE_NAME, Journal, begin_anew

__all__ = ["FILE_NAME", "Achieved", "Event", "Journal", "Row", "Stamp", "begin_anew", "clean_text", "row_of"]
