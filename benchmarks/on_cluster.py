"""What does a run on Ray cost beside the same run on this machine, and what does a second node gain?

    python benchmarks/on_cluster.py                      # PocketSphinx on a part of the demo corpus: minutes
    python benchmarks/on_cluster.py --utterances 120 --rounds 5

Nodes are simulated: each is a raylet of its own on this machine, with one processor to give. The cluster runs before a
run begins, as a cluster does; engines, actors and processes are started within it. Rounds take turns, and the best of each
counts, because other work on the machine only ever adds; Ray's habit of giving way to other processes (a niceness of 15) is
switched off. Processor seconds are those of all processes that come from
this one, raylets included, looked up twice a second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transcribe import part

from asrfair.acoustics import CLEAN_CONDITION
from asrfair.data.manifest import Manifest
from asrfair.recognise.transcribe import TranscribeSummary, transcribe
from asrfair.types import EngineSpec

POCKETSPHINX = EngineSpec(name="pocketsphinx", label="pocketsphinx")
SAME = ("utterances.parquet", "hypotheses.parquet", "achieved.parquet")


@contextmanager
def processor_seconds() -> Iterator[dict[int, float]]:
    """Yield, by process, the processor seconds used in the block by this process and all that come from it."""
    found: dict[int, float] = {}
    before = _descendants()
    over = threading.Event()

    def look() -> None:
        for pid, seconds in _descendants().items():
            found[pid] = seconds - before.get(pid, 0.0)

    def watch() -> None:
        while not over.wait(0.5):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        look()


def _descendants() -> dict[int, float]:
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ours(pid: int) -> bool:
        while pid and pid != os.getpid():
            pid = parents.get(pid, 0)
        return bool(pid)

    return {pid: used for pid, used in seconds.items() if ours(pid)}


@contextmanager
def nodes(count: int) -> Iterator[None]:
    """Run a cluster of so many nodes of one processor, which ``--on ray`` finds."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    store = 200 << 20
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": store}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(count - 1):
        cluster.add_node(num_cpus=1, object_store_memory=store)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        cluster.shutdown()


def timed(manifest: Manifest, run: Path, *, on: str, workers: int) -> tuple[float, float, TranscribeSummary]:
    """Return seconds by the clock without the engine's start, processor seconds, and the summary."""
    start = time.perf_counter()
    with processor_seconds() as used:
        summary = transcribe(manifest, [POCKETSPHINX], [CLEAN_CONDITION], run, on=on, workers=workers, progress=False)
    wall = time.perf_counter() - start
    return wall, sum(used.values()), summary


def main() -> None:
    """Print a line a way of working, and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ways = {"this machine, 1 process": (0, 1), "Ray, 1 node": (1, 1), "Ray, 2 nodes": (2, 2)}
    best: dict[str, tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        manifest = part(Path(folder), arguments.utterances, None)
        contents: set[tuple[bytes, ...]] = set()
        for turn in range(arguments.rounds):
            for name, (count, workers) in ways.items():
                run = Path(folder) / f"{turn}-{count}"
                if count:
                    with nodes(count):
                        wall, used, summary = timed(manifest, run, on="ray", workers=workers)
                else:
                    wall, used, summary = timed(manifest, run, on="", workers=workers)
                start_s = summary.engines["pocketsphinx"].start_s
                contents.add(tuple((run / file).read_bytes() for file in SAME))
                found = (wall, wall - start_s, used)
                print(
                    f"round {turn + 1}, {name}: {wall:.1f} s, {start_s:.1f} s of it starting; {used:.1f} s of processor"
                )
                best[name] = tuple(map(min, best.get(name, found), found))  # type: ignore[assignment]
        print(
            f"\n{summary.audio_s:,.0f} s of audio, {arguments.utterances} utterances; the best of {arguments.rounds} rounds"
        )
        print("| | seconds | without starting | processor seconds |\n|---|---|---|---|")
        for name, (wall, working, used) in best.items():
            print(f"| {name} | {wall:.1f} | {working:.1f} | {used:.1f} |")
        here, one, two = best.values()
        print(
            f"\nRay on one node over this machine: {one[1] / here[1]:.3f} of the time, {one[2] / here[2]:.3f} of the processor"
        )
        print(f"two nodes over one: {one[1] / two[1]:.2f} times as fast")
        print(f"all runs the same bytes: {len(contents) == 1}")


if __name__ == "__main__":
    main()
