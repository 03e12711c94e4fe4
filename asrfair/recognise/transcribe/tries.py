"""Who is tried again and who is given up when a worker dies: one rule for processes and for actors on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asrfair.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asrfair.types import Utterance

ATTEMPTS = 2
"""How often a batch is begun before it is given up because its process died each time."""
START_ATTEMPTS = 2
"""How often one worker may die before its engine is ready."""
DEATHS_IN_A_ROW = 20
"""So many deaths without one result between them mean that the engine, not the audio, is at fault."""
BATCH_S = 1800.0
"""How long a batch may take, whatever its audio …"""
BATCH_FACTOR = 60.0
"""… and beyond that, so many times the length of its audio."""


class Tries:
    """Counts deaths: those in a row, and those of each batch under each condition."""

    def __init__(self) -> None:
        self._in_vain: dict[tuple[int, int], int] = {}
        self._deaths = 0

    def settled(self, job: int, condition: int) -> None:
        """A batch under a condition has its result."""
        self._deaths = 0
        self._in_vain.pop((job, condition), None)

    def died(self, how: str, *, starting: int = 0) -> None:
        """Count the death of a worker.

        Args:
            how: What it died of, as the end of a sentence.
            starting: How often this worker has died by now before its engine was ready.

        Raises:
            EngineError: Too often.
        """
        self._deaths += 1
        if starting >= START_ATTEMPTS or self._deaths >= DEATHS_IN_A_ROW:
            when = "while starting" if starting else f"{self._deaths} times in a row"
            raise EngineError(
                f"a worker process {how} {when}",
                remedy="If memory ran out, use fewer workers. A script that calls asrfair needs "
                "`if __name__ == '__main__':` around its work",
            )

    def given_up(self, job: int, condition: int) -> bool:
        """Count a death at a batch under a condition; return whether that was the last attempt."""
        attempts = self._in_vain.pop((job, condition), 0) + 1
        if attempts < ATTEMPTS:
            self._in_vain[job, condition] = attempts
        return attempts >= ATTEMPTS


def limit_s(utterances: Iterable[Utterance], patience_s: float | None) -> float:
    """Return how many seconds a batch may take; ``patience_s`` is what its engine allows in place of ``BATCH_S``."""
    return (BATCH_S if patience_s is None else patience_s) + BATCH_FACTOR * sum(map(_audio_s, utterances))


def _audio_s(utterance: Utterance) -> float:
    """Return about how long an utterance is; one of which nobody has said it counts as ten seconds."""
    if utterance.start_s is not None and utterance.end_s is not None:
        return max(utterance.end_s - utterance.start_s, 0.0)
    return 10.0 if utterance.duration_s is None else utterance.duration_s
