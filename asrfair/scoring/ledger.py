"""The ledger: every utterance that was not scored, or looks wrong, with a reason."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from asrfair.data.tablefile import spreadsheet_safe
from asrfair.data.wholefile import open_whole_text

COLUMNS = ("engine", "condition", "utterance_id", "speaker_id", "reason", "detail")

REASONS: dict[str, str] = {
    "excluded": "the manifest gives a reason to exclude it: not scored",
    "empty_reference": "the reference has no words after normalization: what was recognised are insertions",
    "empty_hypothesis": "nothing was recognised: every reference word is a deletion",
    "engine_error": "the engine failed",
    "unreadable_audio": "the audio could not be read",
    "truncated_audio": "the audio file was cut short: its header or the manifest promises more",
    "worker_timed_out": "the engine gave no answer in its time, twice",
    "missing_hypothesis": "there is no hypothesis for it",
    "unknown_utterance": "a hypothesis for an utterance that the manifest does not have: not scored",
    "duplicate_hypothesis": "the same hypothesis stands there more than once: scored once",
    "not_scorable": "the text is too long to be aligned, or the normalizer failed on it",
    "repetition_loop": "the hypothesis repeats a phrase over and over: scored",
    "text_on_silence": "text was recognised where the reference has no words",
    "length_out_of_proportion": "the hypothesis is far longer or shorter than the reference: scored",
}
"""Reason → what it means. Whether errors and missing hypotheses count as deletions is a scoring setting."""

GAVE_NOTHING = ("engine_error", "unreadable_audio", "truncated_audio", "worker_timed_out", "missing_hypothesis")
"""Reasons that mean: the engine gave nothing that could be scored."""

LOOKS_WRONG = ("repetition_loop", "empty_hypothesis", "text_on_silence", "length_out_of_proportion")
"""Reasons that mean: it was scored, but the engine did not mishear, it failed."""

MAX_DETAIL = 500


class LedgerRow(NamedTuple):
    """One line of the ledger, but for engine and condition. Sorts by utterance, then reason."""

    utterance_id: str
    speaker_id: str
    reason: str
    detail: str


class LedgerWriter:
    """Writes ``ledger.csv`` block by block; the file appears whole when the ``with`` block ends, or not at all."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._file = open_whole_text(path, private=True)

    def write(self, engine: str, condition: str, rows: Iterable[LedgerRow]) -> None:
        """Write the rows of one engine under one condition, sorted."""
        head = (spreadsheet_safe(engine), spreadsheet_safe(condition))
        for row in sorted(rows):
            self.counts[row.reason] += 1
            detail = row.detail if len(row.detail) <= MAX_DETAIL else row.detail[: MAX_DETAIL - 1] + "…"
            cells = (row.utterance_id, row.speaker_id, row.reason, detail)
            self._writer.writerow((*head, *(spreadsheet_safe(cell) for cell in cells)))

    def __enter__(self) -> Self:
        self._writer = csv.writer(self._file.__enter__(), lineterminator="\n")
        self._writer.writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)
