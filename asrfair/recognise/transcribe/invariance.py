"""Does a transcript depend on the batch it was in? A sample is transcribed again, one utterance at a time.

Padding follows the batch, and the batch follows utterance length, which may differ between groups: an engine whose
transcripts follow padding has errors that belong to the plan and not to the speaker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asrfair.acoustics.seeding import digest
from asrfair.recognise.engines import EngineContext, traits_of
from asrfair.recognise.transcribe.transcribe_run import transcribe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.types import EngineSpec


def choose_sample(manifest: Manifest, attributes: Sequence[str], count: int, *, seed: int) -> list[str]:
    """Choose utterances, as many from each group as there can be.

    Every combination of the attributes' values is a group; they take turns, in the order of their names, and within a
    group the order is that of a keyed hash of the utterance id, so neither the manifest's order nor its size elsewhere
    changes which of a group's utterances come first.

    Args:
        manifest: The manifest; excluded rows are not chosen.
        attributes: What groups are made of; none is one group.
        count: How many utterances; fewer if there are not so many.
        seed: The run's seed.

    Returns:
        Utterance ids, ascending.
    """
    table = manifest.table[manifest.table["exclude"] == ""]
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in table[["utterance_id", *attributes]].itertuples(index=False):
        groups.setdefault(tuple(row[1:]), []).append(row[0])
    queues = [sorted(ids, key=lambda name: digest(seed, "invariance", name)) for _, ids in sorted(groups.items())]
    chosen: list[str] = []
    turn = 0
    while len(chosen) < min(count, len(table)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)][: count - len(chosen)]
        turn += 1
    return sorted(chosen)


def in_batches(engines: Sequence[EngineSpec], base: Path) -> list[EngineSpec]:
    """Return the engines that are given more than one utterance a call; of the others nothing can depend on a batch."""
    return [spec for spec in engines if traits_of(spec, EngineContext(base=base)).max_batch > 1]


def transcribe_alone(
    manifest: Manifest,
    engines: Sequence[EngineSpec],
    conditions: Sequence[Condition],
    folder: Path,
    *,
    sample: Sequence[str],
    seed: int,
    workers: int | None,
    on: str = "",
    progress: bool,
    base: Path,
) -> None:
    """Transcribe a sample, one utterance a call, with everything else as in the run, into a folder of its own.

    Raises:
        EngineError: An engine cannot start or has failed as a whole.
    """
    transcribe(
        manifest, engines, conditions, folder, seed=seed, workers=workers, on=on, progress=progress, base=base,
        alone=frozenset(sample),
    )  # fmt: skip
