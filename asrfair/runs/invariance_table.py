"""The check of batch invariance as a table: transcripts that flip, and what that does to each group's WER."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asrfair.data.tablefile import write_csv
from asrfair.recognise.transcribe.invariance import choose_sample, in_batches, transcribe_alone
from asrfair.scoring import score_tables
from asrfair.types import INTERSECTION, OVERALL_ATTRIBUTE, OVERALL_GROUP, GroupSettings, ScoringSettings

if TYPE_CHECKING:
    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.types import EngineSpec

INVARIANCE_FILE = "invariance.csv"
COLUMNS = (
    "engine", "condition", "attribute", "group", "utterances", "flips", "ref_words", "wer_run", "wer_alone",
    "difference",
)  # fmt: skip
KEY = ["engine", "condition", "utterance_id"]
COUNTS = ["hits", "substitutions", "deletions", "insertions"]


def check_invariance(
    manifest: Manifest,
    engines: Sequence[EngineSpec],
    conditions: Sequence[Condition],
    run: Path,
    *,
    count: int,
    groups: GroupSettings,
    scoring: ScoringSettings,
    seed: int,
    workers: int | None,
    on: str = "",
    progress: bool,
    base: Path,
) -> dict[str, Any]:
    """Transcribe a group-balanced sample one utterance at a time, and compare with the run.

    Writes ``invariance.csv`` into the run folder: a row an engine, condition, attribute and group.

    Args:
        manifest: The run's manifest.
        engines: The run's engines; those that get one utterance a call anyway are not run again.
        conditions: The run's conditions.
        run: The run folder, transcribed.
        count: Utterances of the sample.
        groups: What the sample is balanced over, and the groups of the table.
        scoring: How text is compared.
        seed: The run's seed.
        workers: Worker processes; ``None`` is one a core.
        on: Where to transcribe; see :func:`asrfair.recognise.transcribe.transcribe`.
        progress: Whether to show a progress bar.
        base: The folder that relative paths in engine options start from.

    Returns:
        What stands in ``run.json``: the sample's size, and for each engine whether it gets batches, flips and WERs.

    Raises:
        EngineError: An engine cannot start or has failed as a whole.
    """
    attributes = list(dict.fromkeys(name for by in groups.by for name in by))
    sample = choose_sample(manifest, attributes, count, seed=seed)
    batched = in_batches(engines, base)
    frame = pd.DataFrame(columns=[*KEY, "flip"])
    if batched and sample:
        with tempfile.TemporaryDirectory(dir=run, prefix=".invariance-") as name:
            folder = Path(name)
            transcribe_alone(
                manifest, batched, conditions, folder / "alone", sample=sample, seed=seed, workers=workers, on=on,
                progress=progress, base=base,
            )  # fmt: skip
            frame = _compared(run, folder, sample, [spec.label for spec in batched], scoring)
    rows = list(_rows(frame, manifest, groups, [s.label for s in batched], [c.name for c in conditions]))
    write_csv(pd.DataFrame(rows, columns=list(COLUMNS)), run / INVARIANCE_FILE)
    overall = [row for row in rows if row["attribute"] == OVERALL_ATTRIBUTE]
    found = {}
    for spec in engines:
        mine = {row["condition"]: row for row in overall if row["engine"] == spec.label}
        kept = ("utterances", "flips", "wer_run", "wer_alone", "difference")
        found[spec.label] = {
            "batched": spec in batched,
            "flips": sum(row["flips"] for row in mine.values()),
            "conditions": {condition: {key: row[key] for key in kept} for condition, row in mine.items()},
        }
    return {"asked": count, "utterances": len(sample), "seed": seed, "engines": found}


def _compared(
    run: Path, folder: Path, sample: Sequence[str], labels: Sequence[str], scoring: ScoringSettings
) -> pd.DataFrame:
    """Return a row an engine, condition and utterance: whether it flipped, and the counts of both ways."""
    of_sample = pc.field("utterance_id").isin(list(sample))
    chosen = pq.read_table(run / "utterances.parquet", filters=of_sample)
    settings = replace(scoring, characters=False, key_terms=())
    sides = {}
    for name, source in (("run", run), ("alone", folder / "alone")):
        mine = pc.field("engine").isin(list(labels)) & of_sample
        hypotheses = pq.read_table(source / "hypotheses.parquet", filters=mine)
        table = hypotheses.to_pandas()
        scores = score_tables(chosen, hypotheses, settings).scores.to_pandas()
        counts = scores.astype(dict.fromkeys([*KEY, "status"], str)).set_index(KEY)[[*COUNTS, "status"]]
        texts = table.drop_duplicates(KEY).set_index(KEY)
        counts["text"] = (texts["status"] + " " + texts["hypothesis"]).reindex(counts.index, fill_value="missing")
        sides[name] = counts
    both = sides["run"].add_suffix("_run").join(sides["alone"].add_suffix("_alone"))
    both["flip"] = both["text_run"] != both["text_alone"]
    found: pd.DataFrame = both.reset_index()
    return found


def _rows(
    frame: pd.DataFrame, manifest: Manifest, groups: GroupSettings, labels: Sequence[str], conditions: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the table's rows: everybody first, then the groups of each attribute."""
    if frame.empty:
        return
    people = manifest.table.set_index("utterance_id")
    keys: dict[tuple[str, ...], Any] = {(OVERALL_ATTRIBUTE,): pd.Series(OVERALL_GROUP, index=frame.index)}
    for by in groups.by:
        parts: list[Any] = [people[name].reindex(frame["utterance_id"]).set_axis(frame.index) for name in by]
        keys[by] = parts[0].str.cat(parts[1:], sep=INTERSECTION) if len(parts) > 1 else parts[0]
    for label in labels:
        for condition in conditions:
            mine = frame[(frame["engine"] == label) & (frame["condition"] == condition)]
            for by, column in keys.items():
                for group, part in mine.groupby(column.loc[mine.index], sort=True):
                    yield {
                        "engine": label,
                        "condition": condition,
                        "attribute": INTERSECTION.join(by),
                        "group": group,
                        "utterances": len(part),
                        "flips": int(part["flip"].sum()),
                        **_rates(part),
                    }


def _rates(part: pd.DataFrame) -> dict[str, Any]:
    """Return pooled WERs over the utterances that were scored both ways; ``None`` without reference words."""
    part = part[(part["status_run"] == "scored") & (part["status_alone"] == "scored")]
    words, rates = 0, {}
    for side in ("run", "alone"):
        hits, *errors = (int(part[f"{name}_{side}"].sum()) for name in COUNTS)
        words = hits + errors[0] + errors[1]
        rates[f"wer_{side}"] = sum(errors) / words if words else None
    both = rates["wer_run"], rates["wer_alone"]
    difference = None if both[0] is None or both[1] is None else both[0] - both[1]
    return {"ref_words": words, **rates, "difference": difference}
