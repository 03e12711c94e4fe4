"""``python -m torture``: does what it can to lose a row, hang, print a traceback or take all memory; prints its counts."""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from torture.faults import ERRORS, KILL, POWER, complaint, in_child
from torture.flips import flip_all
from torture.fuzz import fuzz
from torture.power import cut_histories, cut_journals
from torture.scenes import SCENES, Scene, digest, state_of


def main() -> int:
    """Run all parts, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=600, help="errors, kills and power cuts at a call")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs at random times")
    parser.add_argument("--flips", type=int, default=1000, help="flipped bits in each kind of file")
    parser.add_argument("--fuzz", type=int, default=100_000, help="damaged files")
    parser.add_argument(
        "--cuts", type=int, default=1000, help="power cuts under a journal, and as many under a history"
    )
    parser.add_argument("--pools", type=int, default=10_000, help="interleavings of a pool")
    names = [scene.name for scene in SCENES]
    parser.add_argument("--scene", action="append", choices=names, help="faults and kills in these commands alone")
    options = parser.parse_args()
    scenes = [scene for scene in SCENES if scene.name in (options.scene or names)]
    for module in (
        "runs.pipeline",
        "runs.merge_shards",
        "nightly",
        "lastmile.export_ledger",
        "cli.verify",
        "report.html.page",
    ):
        importlib.import_module(f"asrfair.{module}")  # once, and not in every child
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        for part, count in (
            ("pools", options.pools),
            ("cuts", options.cuts),
            ("faults", options.faults),
            ("kills", options.kills),
            ("flips", options.flips),
            ("fuzz", options.fuzz),
        ):
            if count:
                start = time.monotonic()
                if part in {"faults", "kills"}:
                    line, found = (_faults if part == "faults" else _kills)(folder / part, count, options.seed, scenes)
                else:
                    line, found = PARTS[part](folder / part, count, options.seed)
                wrong += found
                print(f"{part}: {line}; {len(found)} defects; {time.monotonic() - start:.0f} s", flush=True)
    for line in wrong[:50]:
        print(f"DEFECT {line}")
    print(f"{len(wrong)} defects" if wrong else "No lost or wrong row, no traceback, no hang, no more memory.")
    return 1 if wrong else 0


def _faults(folder: Path, count: int, seed: int, scenes: Sequence[Scene]) -> tuple[str, list[str]]:
    """Errors, kills and power cuts at calls spread over all scenes."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    dice = random.Random(seed)
    kinds = [*ERRORS, KILL, POWER]
    for place, (scene, base, reference, calls) in enumerate(_prepared(folder, scenes, wrong)):
        for i in range(max(1, count // len(scenes))):
            kind, at = (
                kinds[(i + 3 * place) % len(kinds)],
                dice.randint(1, max(calls, 1)),
            )  # a few a scene: each kind somewhere
            work = _fresh(folder, base)
            outcome = in_child(lambda scene=scene, work=work: scene.work(work), folder, kind=kind, at=at)
            label = f"{scene.name}: {kind} at call {at} of {calls}"
            counts[kind] += 1
            wrong += _judge(label, scene, work, reference, complaint(outcome), folder)
    return ", ".join(f"{n:,} × {kind}" for kind, n in sorted(counts.items())), wrong


def _kills(folder: Path, count: int, seed: int, scenes: Sequence[Scene]) -> tuple[str, list[str]]:
    """SIGKILL at random times, in processes of their own."""
    wrong: list[str] = []
    dice = random.Random(seed)
    done = 0
    for scene, base, reference, _ in _prepared(folder, scenes, wrong):
        start = time.monotonic()
        in_child(lambda scene=scene, base=base: scene.work(_fresh(folder, base)), folder)
        lasts = time.monotonic() - start
        for _ in range(max(1, count // len(scenes))):
            work = _fresh(folder, base)
            outcome = _killed(scene, work, dice.uniform(0, lasts))
            done += 1
            wrong += _judge(f"{scene.name}: killed", scene, work, reference, outcome, folder)
    return f"{done:,} × SIGKILL over {', '.join(scene.name for scene in scenes)}", wrong


def _killed(scene: Scene, work: Path, after_s: float) -> str:
    child = os.fork()
    if child == 0:
        quiet = os.open("/dev/null", os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        code = scene.work(work)
        os._exit(code)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return ""


def _prepared(
    folder: Path, scenes: Sequence[Scene], wrong: list[str]
) -> Iterator[tuple[Scene, Path, dict[str, str], int]]:
    """Yield each scene with its prepared folder, what an undisturbed run makes of it, and how many calls that takes."""
    for scene in scenes:
        base = folder / f"{scene.name}-base"
        base.mkdir(parents=True)
        outcome = in_child(lambda scene=scene, base=base: (scene.prepare(base), 0)[1], folder)
        if outcome.code:
            wrong.append(f"{scene.name} cannot be prepared: {outcome.said[-800:]}")
            continue
        work = _fresh(folder, base)
        outcome = in_child(lambda scene=scene, work=work: scene.work(work), folder)
        if outcome.code:
            wrong.append(f"{scene.name} fails undisturbed: {outcome.said[-800:]}")
            continue
        yield scene, base, digest(work, scene), outcome.calls


def _fresh(folder: Path, base: Path) -> Path:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    return work


def _judge(label: str, scene: Scene, work: Path, reference: dict[str, str], complaint_: str, folder: Path) -> list[str]:
    """Return what is wrong after a fault: how it ended, what is left, and whether the same command makes it whole."""
    if complaint_:
        return [f"{label}: {complaint_}"]
    problem: list[str] = []

    def look() -> int:
        found = state_of(work, scene)
        if found:
            print(found)
        return 1 if found else 0

    outcome = in_child(look, folder)
    if outcome.code:
        problem.append(f"{label}: left damaged: {outcome.said[-400:]}")
    outcome = in_child(lambda: scene.work(work), folder)
    if outcome.code:
        return [*problem, f"{label}: the same command does not mend it ({outcome.code}): {outcome.said[-600:]}"]
    found = digest(work, scene)
    if found != reference:
        differs = sorted(name for name in {*found, *reference} if found.get(name) != reference.get(name))
        if scene.name == "nightly" and found.get("nights", "") > reference.get("nights", ""):
            return problem  # the first attempt had its night already: the second is one more, as it should be
        problem.append(f"{label}: afterwards not the same: {differs[:5]}")
    return problem


def _flips(folder: Path, count: int, seed: int) -> tuple[str, list[str]]:
    _furnished(folder)
    counts, wrong = flip_all(folder, count, seed)
    line = f"{count:,} bits in each of {counts['kinds']} kinds of file: {counts['noticed']:,} noticed, {counts['harmless']:,} harmless"
    return line, wrong


def _fuzz(folder: Path, count: int, seed: int) -> tuple[str, list[str]]:
    _furnished(folder)
    counts, wrong = fuzz(folder, count, seed)
    return f"{count:,} files: {counts['refused']:,} refused, {counts['read']:,} read", wrong


def _furnished(folder: Path) -> None:
    """Make a run, a history and a kit to be damaged, in a process of its own."""
    folder.mkdir(parents=True)
    code = (
        "import sys; from pathlib import Path; from torture.scenes import SCENES, _with_run, _nights, _kit, _note\n"
        "folder = Path(sys.argv[1]); _with_run(folder); _nights(folder); _kit(folder); _note(folder)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])


def _cuts(folder: Path, count: int, seed: int) -> tuple[str, list[str]]:
    folder.mkdir(parents=True)
    done, wrong = cut_journals(folder, count, seed)
    (folder / "nights").mkdir()
    nights, more = cut_histories(folder / "nights", count, seed)
    return f"{done:,} power cuts under a journal, {nights:,} under a history", wrong + more


def _pools(folder: Path, count: int, seed: int) -> tuple[str, list[str]]:
    """Interleavings of the pool: the deterministic scheduler of the tests."""
    del folder
    import pytest
    from test_recognise_pool import play, play_threads

    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    for number in range(count):
        with pytest.MonkeyPatch.context() as patch:
            try:
                outcomes[play(seed * 1_000_000 + number, patch)] += 1
            except AssertionError as error:
                wrong.append(f"pool, seed {seed * 1_000_000 + number}: {error}")
    threads = count // 10
    for number in range(threads):
        try:
            play_threads(seed * 1_000_000 + number)
        except AssertionError as error:
            wrong.append(f"threads, seed {seed * 1_000_000 + number}: {error}")
    ends = ", ".join(f"{n:,} {name}" for name, n in sorted(outcomes.items()))
    return f"{count:,} interleavings of processes ({ends}), {threads:,} of threads", wrong


PARTS = {"flips": _flips, "fuzz": _fuzz, "cuts": _cuts, "pools": _pools}

if __name__ == "__main__":
    sys.exit(main())
