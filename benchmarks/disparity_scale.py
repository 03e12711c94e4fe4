"""Everything in one pass for a large run: time and memory of ``analyse_run`` with all tables.

    python benchmarks/disparity_scale.py                      # 1,000,000 utterances × 10 conditions, 20,000 speakers
    python benchmarks/disparity_scale.py --utterances 100000  # a tenth: 1,000,000 scored rows in all

The run folder is made first (not timed). The analysis runs in a process of its own, whose peak memory is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from asrfair.stats import analyse_run
from asrfair.types import GroupSettings, StatisticsSettings


def make_run(run: Path, *, utterances: int, speakers: int, groups: int, conditions: int, engines: int) -> None:
    """Write utterances, scores, hypotheses-free: counts of a plausible run, block by block."""
    rng = np.random.default_rng(1)
    speaker = np.sort(rng.integers(0, speakers, utterances))
    accent = rng.integers(0, groups // 2, speakers)
    gender = rng.integers(0, 2, speakers)
    ids = np.array([f"u{index:08d}" for index in range(utterances)])
    pd.DataFrame(
        {
            "utterance_id": ids,
            "speaker_id": np.array([f"s{index:06d}" for index in range(speakers)])[speaker],
            "reference": "a reference of ten words that nobody reads again here",
            "exclude": "",
            "duration_s": 4.0,
            "language": "en",
            "accent": np.array([f"accent {index:02d}" for index in range(groups // 2)])[accent[speaker]],
            "gender": np.array(["female", "male"])[gender[speaker]],
        }
    ).to_parquet(run / "utterances.parquet", index=False)
    words = rng.integers(4, 20, utterances)
    own = rng.gamma(4, 0.25, speakers)[speaker] * (0.08 + 0.004 * accent[speaker])
    writer: pq.ParquetWriter | None = None
    for engine in range(engines):
        for condition in range(conditions):
            errors = np.minimum(rng.poisson(own * words * (1 + 0.2 * condition)), words)
            table = pa.table(
                {
                    "engine": pa.array([f"engine {engine}"] * utterances).dictionary_encode(),
                    "condition": pa.array(
                        ["clean" if condition == 0 else f"place {condition}"] * utterances
                    ).dictionary_encode(),
                    "utterance_id": ids,
                    "status": pa.array(["scored"] * utterances).dictionary_encode(),
                    "hits": (words - errors).astype(np.int32),
                    "substitutions": errors.astype(np.int32),
                    **{
                        name: np.zeros(utterances, dtype=np.int32)
                        for name in (
                            "deletions",
                            "insertions",
                            "char_substitutions",
                            "char_deletions",
                            "char_insertions",
                        )
                    },
                    "char_hits": (5 * words).astype(np.int32),
                    "key_terms": np.zeros(utterances, dtype=np.int32),
                    "key_term_hits": np.zeros(utterances, dtype=np.int32),
                }
            )
            writer = writer or pq.ParquetWriter(run / "scores.parquet", table.schema, compression="zstd")
            writer.write_table(table)
    if writer is not None:
        writer.close()


def analyse(run: Path, full: bool) -> None:
    """Analyse in this process and print what it took."""
    start = time.perf_counter()
    groups = GroupSettings(by=(("accent",), ("gender",), ("accent", "gender")))
    found = analyse_run(run, groups, StatisticsSettings(), full=full)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    rows = {name: len(table) for name, table in found.tables.items()}
    print(f"analyse_run, {'all' if full else 'core'} tables: {seconds:.1f} s, peak memory {peak:.2f} GiB; rows {rows}")


def main() -> None:
    """Make the run and analyse it, core tables first, then all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--speakers", type=int, default=20_000)
    parser.add_argument("--groups", type=int, default=60, help="groups of the intersection accent × gender")
    parser.add_argument("--conditions", type=int, default=10)
    parser.add_argument("--engines", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        make_run(
            run,
            utterances=options.utterances,
            speakers=options.speakers,
            groups=options.groups,
            conditions=options.conditions,
            engines=options.engines,
        )
        print(
            f"{options.utterances:,} utterances × {options.engines} engines × {options.conditions} conditions",
            flush=True,
        )
        context = multiprocessing.get_context("spawn")
        for full in (False, True):
            process = context.Process(target=analyse, args=(run, full))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
