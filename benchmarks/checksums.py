"""What checksums cost: the same work with them, and with each kind of them taken out.

    python benchmarks/checksums.py                # a minute on one core

Processor time, the best of several rounds: a journal of results recorded and read; a run folder scored, analysed and read
back; a table written and read. Without: SHA-256 of files not taken, rows' checksums a constant, no checksums of Parquet's pages.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torture.scenes import WORDS

from asrfair.data import runfile
from asrfair.data.runfile import read_run_file, write_run_file
from asrfair.data.tablefile import PARQUET
from asrfair.recognise.journal import Journal, Row, store
from asrfair.recognise.transcribe.finalise import HYPOTHESES
from asrfair.runs.pipeline import rescore, run_content
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


@contextmanager
def without() -> Iterator[None]:
    """Take checksums out: of files, of rows."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(runfile, "sha256_file", new=_nothing))
        stack.enter_context(mock.patch.object(store, "_checksum", new=_zero))
        stack.enter_context(mock.patch.object(runfile, "check_tables", new=_nothing))
        yield


def _nothing(*_: object, **__: object) -> str:
    return ""


def _zero(_values: object) -> int:
    return 0


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the least processor time of some rounds."""
    found = []
    for _ in range(rounds):
        runfile._checked.clear()  # noqa: SLF001
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def show(name: str, work: Callable[[], object], rounds: int) -> None:
    """Print one line: with, without, and the share that checksums cost."""
    checked = best(work, rounds)
    with without():
        plain = best(work, rounds)
    print(f"{name:<52}{checked:8.3f} s{plain:8.3f} s{100 * (checked / plain - 1):+7.1f} %")


def sentences(count: int) -> tuple[list[str], list[str]]:
    """Made-up references, and hypotheses that differ in a word of five."""
    rng = np.random.default_rng(1)
    references, hypotheses = [], []
    for _ in range(count):
        words = rng.choice(WORDS, int(rng.integers(5, 20)))
        references.append(" ".join(words))
        hypotheses.append(" ".join(np.where(rng.random(len(words)) < 0.2, "um", words)))
    return references, hypotheses


def journal(folder: Path, hypotheses: list[str]) -> None:
    """Record results as a run does, and read them back."""
    with tempfile.TemporaryDirectory(dir=folder) as name, Journal(Path(name)) as kept:
        for start in range(0, len(hypotheses), 64):
            rows = [Row(f"u{start + i:06}", "ok", text) for i, text in enumerate(hypotheses[start : start + 64])]
            kept.record("e", "clean", rows)
        for _ in kept.results("e", "clean"):
            pass


def make_run(run: Path, references: list[str], hypotheses: list[str]) -> None:
    """Write a run folder that can be scored."""
    run.mkdir()
    count = len(references)
    ids = [f"u{number:06}" for number in range(count)]
    utterances = {
        "utterance_id": ids, "speaker_id": [f"s{n % 60}" for n in range(count)], "reference": references,
        "exclude": [""] * count, "duration_s": [3.0] * count, "language": ["en"] * count,
        "accent": [("us", "scottish", "indian")[n % 60 % 3] for n in range(count)],
    }  # fmt: skip
    pq.write_table(pa.table(utterances), run / "utterances.parquet", **PARQUET)
    plain = {"engine": "e", "condition": "clean", "status": "ok", "error": "", "language": "", "words": ""}
    columns = {name: [value] * count for name, value in plain.items()}
    columns |= {"utterance_id": ids, "hypothesis": hypotheses, "confidence": [None] * count}
    table = pa.table([pa.array(columns[field.name], field.type) for field in HYPOTHESES], schema=HYPOTHESES)
    pq.write_table(table, run / "hypotheses.parquet", **PARQUET)
    about = {"name": "made up", "attributes": {"accent": {"description": "", "provenance": "self-reported"}}}
    content = run_content(
        about, GroupSettings(by=(("accent",),)), ScoringSettings(), StatisticsSettings(draws=200)
    )  # fmt: skip
    content["engines"] = [{"label": "e", "name": "fake", "options": {}, "fingerprint": {}}]
    content["conditions"] = [{"name": "clean", "fingerprint": ""}]
    write_run_file(run, content)


def pages(path: Path, table: pa.Table, *, checked: bool) -> None:
    """Write and read a table."""
    pq.write_table(table, path, **{**PARQUET, "write_page_checksum": checked})
    pq.read_table(path, page_checksum_verification=checked)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    references, hypotheses = sentences(arguments.utterances)
    with tempfile.TemporaryDirectory(prefix="asrfair-checksums-") as name:
        folder = Path(name)
        print(f"{arguments.utterances:,} utterances".ljust(52) + "      with   without    cost")
        show("journal: record and read", lambda: journal(folder, hypotheses), arguments.rounds)
        make_run(folder / "run", references, hypotheses)
        rescore(folder / "run", report=False, workers=1)
        show(
            "score and analyse a run",
            lambda: rescore(folder / "run", report=False, workers=1),
            arguments.rounds,
        )
        make_run(folder / "again", references, hypotheses)
        rescore(folder / "again", report=False, workers=1)
        begun = best(lambda: read_run_file(folder / "again"), 5)
        size = sum(path.stat().st_size for path in (folder / "again").iterdir())
        print(f"checking a run's tables ({size / 1e6:.1f} MB), once a process   {1000 * begun:.1f} ms")
        table = pq.read_table(folder / "again" / "hypotheses.parquet")
        checked, plain = (
            best(lambda on=on: pages(folder / "t.parquet", table, checked=on), 10) for on in (True, False)
        )
        label = "Parquet: write and read transcripts, page checksums"
        print(f"{label:<52}{checked:8.3f} s{plain:8.3f} s{100 * (checked / plain - 1):+7.1f} %")


if __name__ == "__main__":
    main()
