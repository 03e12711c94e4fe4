"""Break one thing at a time in what decides (statistics, scoring, sentences, gates): does a quick test notice?

    python benchmarks/mutation.py --minutes 15                      # a random sample, as many as fit
    python benchmarks/mutation.py --only asrfair/stats/claims --count 20 --seed 3

A sample of single changes (a comparison, an operator, a number, a condition, ``min`` for ``max``) is drawn from all of
them, evenly over places. Each is made in a copy of the package, and the tests that import the module, then those of its
room, run on it until one fails. Printed: the share that was noticed with its standard error, and every survivor.

cosmic-ray 8.7 was looked at: it writes mutants into the working tree, has no sample, and starts one and the same test
command anew for each. Here libraries are imported once, each mutant is a fork, and runs the tests that are its own.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "asrfair/stats": ("test_stats_claims.py", "test_stats_analyse.py"),
    "asrfair/scoring": ("test_score_align.py", "test_score_run.py"),
    "asrfair/say": ("test_say_claims.py", "test_say_cautions.py"),
    "asrfair/nightly/absolute.py": ("test_nightly_gates.py",),
    "asrfair/nightly/relative.py": ("test_nightly_gates.py", "test_nightly_lasting.py"),
    "asrfair/nightly/lasting.py": ("test_nightly_lasting.py", "test_nightly_gates.py"),
}
"""What is mutated, and the tests that every part of it has to pass."""
PAIRS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
SKIPPED = (ast.Raise, ast.JoinedStr, ast.arg, ast.Import, ast.ImportFrom, ast.Assert)


def changes(node: ast.AST) -> Iterator[Callable[[], None]]:
    """Yield every change below a node, as a function that makes it in the tree."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"} or isinstance(node, SKIPPED):
            continue
        for place, child in enumerate(value) if isinstance(value, list) else ((-1, value),):
            if type(child) in PAIRS:
                yield _put(node, name, place, PAIRS[type(child)]())
            elif isinstance(child, ast.Constant) and type(child.value) in {bool, int, float}:
                other = not child.value if isinstance(child.value, bool) else child.value + 1
                yield _put(node, name, place, ast.Constant(other))
            elif isinstance(child, ast.UnaryOp) and not isinstance(child.operand, ast.Constant):
                yield _put(node, name, place, child.operand)
            elif name == "test" and isinstance(child, ast.expr) and not isinstance(child, ast.Compare):
                yield _put(node, name, place, ast.UnaryOp(op=ast.Not(), operand=child))
            elif name == "func" and getattr(child, "id", getattr(child, "attr", "")) in NAMES:
                key = "id" if isinstance(child, ast.Name) else "attr"
                yield _put(child, key, -1, NAMES[getattr(child, key)])
            if isinstance(child, ast.AST):
                yield from changes(child)


def _put(node: ast.AST, name: str, place: int, new: object) -> Callable[[], None]:
    def make() -> None:
        if place < 0:
            setattr(node, name, new)
        else:
            getattr(node, name)[place] = new

    return make


def tests_of(module: str) -> list[str]:
    """Return the test files of a module: those that import it, then those of its room."""
    dotted = module.removesuffix(".py").replace("/", ".")
    direct = [p.name for p in sorted((ROOT / "tests").glob("test_*.py")) if dotted in p.read_text(encoding="utf-8")]
    room = next(tests for name, tests in ROOMS.items() if module.startswith(name))
    return list(dict.fromkeys([*direct, *room]))


def survives(copy: Path, tests: list[str], limit_s: int) -> bool:
    """Whether all tests pass on the copy, in a fork."""
    child = os.fork() if tests else -1
    if child < 0:
        return True
    if not child:
        import pytest

        signal.alarm(limit_s)  # a change that never ends is noticed too
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy)
        sys.path.insert(0, str(copy))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        given = ["-x", "-q", "-m", "not slow and not browser", "-p", "no:xdist", "-p", "no:cacheprovider"]
        os._exit(int(pytest.main([*given, *(str(copy / "tests" / name) for name in tests)])))
    return os.waitpid(child, 0)[1] == 0


def main() -> None:
    """Draw, break, test, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--count", type=int, default=10_000, help="at most so many")
    parser.add_argument("--only", default="", help="only modules whose path begins so")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in ("jiwer", "matplotlib.pyplot", "pandas", "pyarrow.parquet", "scipy.stats"):
        import_module(name)  # once, for all forks

    started, noticed, asked, sound = time.monotonic(), 0, 0, set[str]()
    modules = [str(p.relative_to(ROOT)) for room in ROOMS for p in sorted([ROOT / room, *(ROOT / room).rglob("*.py")])]
    sources = {
        m: (ROOT / m).read_text(encoding="utf-8") for m in modules if m.endswith(".py") and m.startswith(options.only)
    }
    places = [(m, n) for m, text in sources.items() for n in range(sum(1 for _ in changes(ast.parse(text))))]
    random.Random(options.seed).shuffle(places)
    with tempfile.TemporaryDirectory(prefix="asrfair-mutation-") as folder:
        copy = Path(folder)
        for path in ROOT.iterdir():
            if path.name != "asrfair" and not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
        shutil.copytree(ROOT / "asrfair", copy / "asrfair", ignore=shutil.ignore_patterns("__pycache__"))
        sys.dont_write_bytecode = True
        for module, number in places[: options.count]:
            if time.monotonic() - started > 60 * options.minutes:
                break
            tests = tests_of(module)
            if not survives(copy, [name for name in tests if name not in sound], 600):
                raise SystemExit(f"the tests of {module} fail without any change: {', '.join(tests)}")
            sound.update(tests)
            tree = ast.parse(sources[module])
            list(changes(tree))[number]()
            before, after = ast.unparse(ast.parse(sources[module])), ast.unparse(ast.fix_missing_locations(tree))
            (copy / module).write_text(after, encoding="utf-8")
            asked += 1
            if survives(copy, tests, 300):
                lines = [b for a, b in zip(before.splitlines(), after.splitlines(), strict=False) if a != b]
                print(f"SURVIVED {module} #{number}: {lines[0].strip() if lines else '(no change)'}", flush=True)
            else:
                noticed += 1
            (copy / module).write_text(sources[module], encoding="utf-8")
    share = noticed / max(asked, 1)
    error = (max(share * (1 - share), 1 / max(asked, 1)) / max(asked, 1)) ** 0.5
    print(f"{noticed} of {asked} noticed: {100 * share:.0f} ± {100 * error:.0f} %; drawn from {len(places):,} changes")


if __name__ == "__main__":
    main()
