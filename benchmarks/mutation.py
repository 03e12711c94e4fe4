"""Break one thing at a time in what decides (statistics, scoring, sentences, gates): does a quick test notice?

    python benchmarks/mutation.py --minutes 15                      # a random sample, as many as fit
    python benchmarks/mutation.py --only asrfair/stats/claims --count 20 --seed 3

A sample of single changes (a comparison, an operator, a number, a condition, ``min`` for ``max``) is drawn from all of
them, evenly. The quick tests run once, watched: which functions does each enter? Then each change is made in a copy of
the package, and the tests that enter its function run on it, those that name the module first, then the quickest, until
one fails or eight seconds of tests has passed. Printed: the share that was noticed with its standard error, and every
survivor.

cosmic-ray 8.7 was looked at: it writes mutants into the working tree, has no sample, and starts one and the same test
command anew for each. Here libraries are imported once, each mutant is a fork, and runs the tests that are its own.
"""

from __future__ import annotations

import argparse
import ast
import os
import pickle
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from types import CodeType

import pytest

ROOT = Path(__file__).resolve().parents[1]
MUTATED = (
    *("asrfair/stats", "asrfair/scoring", "asrfair/say"),
    *("asrfair/nightly/absolute.py", "asrfair/nightly/relative.py", "asrfair/nightly/lasting.py"),
)
TESTS = (
    *("test_stats_*.py", "test_scor*.py", "test_say_*.py"),
    *("test_nightly_formulas.py", "test_nightly_gates.py", "test_nightly_lasting.py"),
)
TESTS_S = 8.0
"""So long do tests of one change take at most, as they were timed without it."""
PAIRS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
SKIPPED = (ast.Raise, ast.JoinedStr, ast.arg, ast.Import, ast.ImportFrom, ast.Assert)


def changes(node: ast.AST, inside: int = 0) -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield every change below a node: the first line of the function that it is in, and what makes it in the tree."""
    if isinstance(node, ast.FunctionDef):
        inside = min([node.lineno, *(item.lineno for item in node.decorator_list)])
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"} or isinstance(node, SKIPPED):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((-1, value),):
            if type(child) in PAIRS:
                yield inside, _put(node, name, index, PAIRS[type(child)]())
            elif isinstance(child, ast.Constant) and type(child.value) in {bool, int, float}:
                other = not child.value if isinstance(child.value, bool) else child.value + 1
                yield inside, _put(node, name, index, ast.Constant(other))
            elif isinstance(child, ast.UnaryOp) and not isinstance(child.operand, ast.Constant):
                yield inside, _put(node, name, index, child.operand)
            elif name == "test" and isinstance(child, ast.expr) and not isinstance(child, ast.Compare):
                yield inside, _put(node, name, index, ast.UnaryOp(op=ast.Not(), operand=child))
            elif name == "func" and getattr(child, "id", getattr(child, "attr", "")) in NAMES:
                key = "id" if isinstance(child, ast.Name) else "attr"
                yield inside, _put(child, key, -1, NAMES[getattr(child, key)])
            if isinstance(child, ast.AST):
                yield from changes(child, inside)


def _put(node: ast.AST, name: str, index: int, new: object) -> Callable[[], None]:
    def make() -> None:
        if index < 0:
            setattr(node, name, new)
        else:
            getattr(node, name)[index] = new

    return make


class Watch:
    """A plug-in of pytest: which functions of the package each test enters, and how long it takes.

    What is entered while a test is set up counts for all tests of its file, which may share what was made.
    """

    def __init__(self, package: Path) -> None:
        self.package = f"{package}{os.sep}"
        self.entered: dict[str, set[tuple[str, int]]] = {}
        self.took_s: dict[str, float] = {}

    def _watched(self, name: str, item: pytest.Item) -> Iterator[None]:
        started, codes = time.monotonic(), set[CodeType]()
        sys.setprofile(lambda frame, event, _: codes.add(frame.f_code) if event == "call" else None)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            found = {
                (c.co_filename[len(self.package) - 8 :], c.co_firstlineno)
                for c in codes
                if self.package in c.co_filename
            }
            self.entered.setdefault(name, set()).update(found)
            self.took_s[item.nodeid] = self.took_s.get(item.nodeid, 0.0) + time.monotonic() - started

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Watch fixtures."""
        return (yield from self._watched(item.nodeid.partition("::")[0], item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watch a test."""
        return (yield from self._watched(item.nodeid, item))

    def tests_of(self, module: str, line: int) -> list[str]:
        """Return the tests that enter a function, those that name its module first, then the quickest, to eight seconds.

        Line 0 is what runs when the module is imported: the tests of all its functions.
        """
        names = {n for n, codes in self.entered.items() if any(m == module and line in {0, at} for m, at in codes)}
        tests = [name for name in self.took_s if name in names or name.partition("::")[0] in names]
        dotted = module.removesuffix(".py").replace("/", ".")
        named = {name: dotted in (ROOT / name).read_text() for name in {name.partition("::")[0] for name in tests}}
        tests.sort(key=lambda name: (not named[name.partition("::")[0]], self.took_s[name]))
        total = list(accumulate(self.took_s[name] for name in tests))
        return tests[: max(1, sum(time_s < TESTS_S for time_s in total))]


class Only:
    """A plug-in of pytest: these tests, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self.order = {name: index for index, name in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the others out."""
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda i: self.order[i.nodeid])


def passes(copy: Path, files: list[str], plugin: object, limit_s: int, out: Path | None = None) -> bool:
    """Whether all tests pass on the copy, in a fork; ``out`` gets what the plug-in found."""
    child = os.fork()
    if not child:
        os.chdir(copy)
        os.environ.update(PYTHONPATH=str(copy), OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")
        sys.path.insert(0, str(copy))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        given = ["-x", "-q", "-m", "not slow and not browser and not engines", "--assert=plain"]
        given += [f"--timeout={limit_s}", "--timeout-method=thread"]  # a change that never ends is noticed too
        given += [
            "-p",
            "no:xdist",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(copy),
            "-c",
            str(copy / "pyproject.toml"),
        ]
        code = int(pytest.main([*given, *files], plugins=[plugin]))
        if out is not None and not code:
            out.write_bytes(pickle.dumps(vars(plugin)))
        os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SystemExit("no test was found")
    return status == 0


def main() -> None:
    """Draw, break, test, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--count", type=int, default=10_000, help="at most so many")
    parser.add_argument("--watched", type=Path, help="a file that keeps what the tests enter, for further samples")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of the sample: to go on with it")
    parser.add_argument("--only", default="", help="only modules whose path begins so")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in ("jiwer", "matplotlib.pyplot", "pandas", "pyarrow.parquet", "scipy.stats"):
        import_module(name)  # once, for all forks

    started, noticed, asked, alone = time.monotonic(), 0, 0, 0
    modules = [
        str(p.relative_to(ROOT)) for name in MUTATED for p in sorted([ROOT / name, *(ROOT / name).rglob("*.py")])
    ]
    sources = {
        m: (ROOT / m).read_text(encoding="utf-8") for m in modules if m.endswith(".py") and m.startswith(options.only)
    }
    found = [(m, n, line) for m, text in sources.items() for n, (line, _) in enumerate(changes(ast.parse(text)))]
    random.Random(options.seed).shuffle(found)
    with tempfile.TemporaryDirectory(prefix="asrfair-mutation-") as folder:
        copy = Path(folder).resolve()
        for path in ROOT.iterdir():
            if path.name != "asrfair" and not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
        shutil.copytree(ROOT / "asrfair", copy / "asrfair", ignore=shutil.ignore_patterns("__pycache__"))
        sys.dont_write_bytecode = True
        watch = Watch(copy / "asrfair")
        files = sorted({f"tests/{path.name}" for name in TESTS for path in (ROOT / "tests").glob(name)})
        kept = options.watched or copy / "watched"
        if not kept.exists() and not passes(copy, files, watch, 600, kept):
            raise SystemExit("tests fail without any change, or there are none")
        vars(watch).update(pickle.loads(kept.read_bytes()))
        print(f"{len(watch.took_s)} tests watched in {time.monotonic() - started:.0f} s", flush=True)
        for module, number, line in found[options.skip : options.skip + options.count]:
            if time.monotonic() - started > 60 * options.minutes:
                break
            tests = watch.tests_of(module, line)
            tree = ast.parse(sources[module])
            list(changes(tree))[number][1]()
            before, after = ast.unparse(ast.parse(sources[module])), ast.unparse(ast.fix_missing_locations(tree))
            (copy / module).write_text(after, encoding="utf-8")
            asked += 1
            if not tests or passes(copy, list({name.partition("::")[0] for name in tests}), Only(tests), 30):
                alone += not tests
                lines = [b for a, b in zip(before.splitlines(), after.splitlines(), strict=False) if a != b]
                print(
                    f"SURVIVED {module}:{line} #{number} ({len(tests)} tests): {lines[0].strip() if lines else '(no change)'}",
                    flush=True,
                )
            else:
                noticed += 1
            (copy / module).write_text(sources[module], encoding="utf-8")
    share = noticed / max(asked, 1)
    error = (max(share * (1 - share), 1 / max(asked, 1)) / max(asked, 1)) ** 0.5
    print(f"{noticed} of {asked} noticed: {100 * share:.0f} ± {100 * error:.0f} %; drawn from {len(found):,} changes")
    print(f"{alone} of those not noticed are in functions that no quick test of these rooms enters")


if __name__ == "__main__":
    main()
