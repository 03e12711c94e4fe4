"""How fast is scoring, and is it right? Against the loops that people write, in the same run, on the same texts.

    python benchmarks/scoring.py                  # everything: about three minutes on two cores
    python benchmarks/scoring.py --only align     # alignment of 100,000 pairs against jiwer, counts compared on all
    python benchmarks/scoring.py --only run       # a whole run (10 conditions share references) against the naive loop
    python benchmarks/scoring.py --only memory    # peak memory of scoring for growing runs

Texts are made from the words below by a seed: 15 words an utterance, with punctuation, contractions and numbers as
recognisers write them; 13 % of the words are lost, replaced or doubled. Times are wall clock; the processor time beside
it is what counts on a machine that has other things to do.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.scoring import score_run
from asrfair.scoring.align import count_errors
from asrfair.types import ScoringSettings

Result = TypeVar("Result")

WORDS = """
the and I to a of you that in it is was for on have they we be with this know like so not but there what do are at if
my he or all just me then about people as would when can think from one because she up had out yeah okay well really
very go time some good who how your an their which more them want her him its our were been where will now by other
other's didn't don't I'm it's that's he's we're they've can't won't let's she'd I'll gonna wanna because cause colour
favourite organise travelling centre grey Monday London doctor patient scanner heart breath hold still please table
twenty hundred thousand five fifteen second first half percent 3 25 1,000 $20 5% 1990s uh um hmm Mr. Dr. St. Mrs.
Mandarin Lagos university brother sister mother football music computer weather coffee kitchen garden village morning
speak speaking spoke word words sentence language English accent record recording listen listening hear heard answer
question number letter phone message music's year years day days week house home work school money family friend man
woman child children world hand place case point government company problem fact group system program night water room
""".split()  # noqa: SIM905 -- a list of words reads better as text
MARKS = [""] * 10 + [",", ".", "?", "...", "!"]


def make_texts(rows: int, seed: int, words: int = 15) -> list[str]:
    """Return texts of common words, the first of the list more often than the last."""
    generator = np.random.default_rng([seed, 0])
    share = 1 / np.arange(3, len(WORDS) + 3)
    picks = generator.choice(len(WORDS), (rows, words), p=share / share.sum())
    marks = generator.integers(0, len(MARKS), (rows, words))
    return [" ".join(WORDS[w] + MARKS[m] for w, m in zip(*row, strict=True)) for row in zip(picks, marks, strict=True)]


def corrupt(texts: list[str], seed: int) -> list[str]:
    """Return the texts as a recogniser might return them."""
    generator = np.random.default_rng([seed, 1])
    out = []
    for text in texts:
        heard = []
        words = text.split()
        for word, dice, other in zip(
            words, generator.random(len(words)), generator.integers(0, len(WORDS), len(words)), strict=True
        ):
            if dice < 0.03:
                continue
            heard.append(WORDS[other] if dice < 0.1 else word)
            if dice > 0.97:
                heard.append(WORDS[other])
        out.append(" ".join(heard))
    return out


def timed(what: Callable[[], Result]) -> tuple[Result, float, float]:
    """Return the result, the wall time and the processor time (children included), in seconds."""
    before, cpu = time.perf_counter(), _processor_s()
    result = what()
    return result, time.perf_counter() - before, _processor_s() - cpu


def _processor_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def benchmark_alignment(pairs: int) -> None:
    """Align pairs of 15 words; jiwer is the oracle for all of them."""
    import jiwer

    references = make_texts(pairs, 1)
    hypotheses = corrupt(references, 2)

    def ours() -> list[tuple[int, int, int, int]]:
        return [count_errors(r.split(), h.split()) for r, h in zip(references, hypotheses, strict=True)]

    def theirs() -> list[tuple[int, int, int, int]]:
        out = []
        for reference, hypothesis in zip(references, hypotheses, strict=True):
            found = jiwer.process_words(reference, hypothesis)
            out.append((found.hits, found.substitutions, found.deletions, found.insertions))
        return out

    counts, wall, cpu = timed(ours)
    print(
        f"alignment, one core, from strings: {pairs / wall:>9,.0f} pairs/s wall, {pairs / cpu:>9,.0f} by processor time"
    )
    oracle, other_wall, other_cpu = timed(theirs)
    print(
        f"loop over jiwer.process_words:     {pairs / other_wall:>9,.0f} pairs/s wall, "
        f"{pairs / other_cpu:>9,.0f} by processor time"
    )
    same = sum(a == b for a, b in zip(counts, oracle, strict=True))
    print(
        f"ratio {other_wall / wall:.1f} wall, {other_cpu / cpu:.1f} processor; "
        f"counts identical on {same:,} of {pairs:,} pairs"
    )


def write_run(run: Path, utterances: int, conditions: int) -> None:
    """Write a run folder: one engine, conditions that share references."""
    references = make_texts(utterances, 3)
    ids = [f"u{index:08d}" for index in range(utterances)]
    run.mkdir(parents=True, exist_ok=True)
    people = [f"s{index % 1000}" for index in range(utterances)]
    table = {"utterance_id": ids, "speaker_id": people, "reference": references, "exclude": [""] * utterances}
    pq.write_table(pa.table(table), run / "utterances.parquet")
    writer = None
    for number in range(conditions):
        columns = {
            "engine": ["engine"] * utterances,
            "condition": [f"condition-{number}"] * utterances,
            "utterance_id": ids,
            "status": ["ok"] * utterances,
            "hypothesis": corrupt(references, 100 + number),
            "error": [""] * utterances,
        }
        part = pa.table(columns)
        writer = writer or pq.ParquetWriter(run / "hypotheses.parquet", part.schema)
        writer.write_table(part)
    assert writer is not None
    writer.close()


def benchmark_run(folder: Path, utterances: int, conditions: int, workers: int) -> None:
    """Score a whole run with whisper-english, against normalizing both sides and calling jiwer for each row."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    run = folder / "run"
    write_run(run, utterances, conditions)
    rows = utterances * conditions
    settings = ScoringSettings(normalizer="whisper-english", characters=True)
    summary, wall, cpu = timed(lambda: score_run(run, settings, workers=workers))
    print(
        f"score_run, {conditions} conditions x {utterances:,} utterances, {workers} workers, words and characters: "
        f"{wall:.1f} s wall, {cpu:.1f} s processor, {rows / wall:,.0f} rows/s"
    )
    normalize = EnglishTextNormalizer()
    references = dict(
        zip(*pq.read_table(run / "utterances.parquet", columns=["utterance_id", "reference"]), strict=True)
    )
    references = {key.as_py(): value.as_py() for key, value in references.items()}
    table = pq.read_table(run / "hypotheses.parquet", columns=["utterance_id", "hypothesis"]).to_pydict()

    def naive() -> int:
        errors = 0
        for utterance, hypothesis in zip(table["utterance_id"], table["hypothesis"], strict=True):
            reference = normalize(references[utterance])
            if not reference.split():
                errors += len(normalize(hypothesis).split())
                continue
            found = jiwer.process_words(reference, normalize(hypothesis))
            errors += found.substitutions + found.deletions + found.insertions
        return errors

    _, command_wall, command_cpu = timed(lambda: score_by_command(folder, run, conditions, workers))
    print(
        f"whole asrfair score, with tables, plots and report: {command_wall:.1f} s wall, {command_cpu:.1f} s processor"
    )
    errors, naive_wall, naive_cpu = timed(naive)
    ours = sum(counts.errors for counts in summary.counts.values())
    print(
        f"naive loop (words only, one core): {naive_wall:.1f} s wall, {naive_cpu:.1f} s processor, "
        f"{rows / naive_wall:,.0f} rows/s"
    )
    print(
        f"naive loop over score_run: {naive_wall / wall:.1f} wall, {naive_cpu / cpu:.1f} processor; "
        f"over the whole command: {naive_wall / command_wall:.1f} wall, {naive_cpu / command_cpu:.1f} processor; "
        f"errors {ours:,} and {errors:,}: {'identical' if ours == errors else 'DIFFERENT'}"
    )


def score_by_command(folder: Path, run: Path, conditions: int, workers: int) -> None:
    """Score the same texts as files, with the command that a user types."""
    arguments = [sys.executable, "-m", "asrfair.cli.main", "score", "--manifest", str(folder / "manifest.csv")]
    pq.read_table(run / "utterances.parquet").drop_columns("exclude").to_pandas().to_csv(
        folder / "manifest.csv", index=False
    )
    for number in range(conditions):
        file = folder / f"hypotheses-{number}.csv"
        rows = pq.read_table(run / "hypotheses.parquet", filters=[("condition", "=", f"condition-{number}")])
        rows.select(["utterance_id", "hypothesis"]).to_pandas().to_csv(file, index=False)
        arguments += ["--hypotheses", f"engine@condition-{number}={file}"]
    arguments += [
        "--normalizer",
        "whisper-english",
        "--workers",
        str(workers),
        "--out",
        str(folder / "out"),
        "--no-html",
    ]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)


def benchmark_memory(folder: Path) -> None:
    """Peak memory of scoring in a fresh process for growing runs."""
    code = (
        "import sys,resource;from pathlib import Path;from asrfair.scoring import score_run;"
        "from asrfair.types import ScoringSettings;"
        "s=score_run(Path(sys.argv[1]),ScoringSettings(),workers=1) if sys.argv[1]!='-' else None;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)"
    )

    def peak_mib(run: str) -> int:
        return int(subprocess.run([sys.executable, "-c", code, run], check=True, capture_output=True, text=True).stdout)

    print(f"peak memory: {peak_mib('-')} MiB for the imports alone")
    for utterances, conditions in ((20_000, 1), (20_000, 10), (100_000, 1), (100_000, 4)):
        run = folder / f"memory-{utterances}-{conditions}"
        write_run(run, utterances, conditions)
        text = pq.read_table(run / "utterances.parquet").nbytes // 2**20
        print(
            f"  {utterances:>7,} utterances (table {text} MiB) x {conditions:>2} conditions: {peak_mib(str(run))} MiB"
        )


def main() -> None:
    """Run the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["align", "run", "memory"])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--conditions", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        if options.only in {None, "align"}:
            benchmark_alignment(options.pairs)
        if options.only in {None, "run"}:
            benchmark_run(Path(folder), options.utterances, options.conditions, options.workers)
        if options.only in {None, "memory"}:
            benchmark_memory(Path(folder))


if __name__ == "__main__":
    main()
