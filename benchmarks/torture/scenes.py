"""What is tortured: one command each, on a small folder that can be made again in no time."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SUITE = """
[suite]
name = "small"
manifest = "manifest.csv"
[[engine]]
name = "fake"
options = {{ substitutions = 0.2, parallel = "inline" }}
[groups]
by = ["accent"]
min_speakers = 2
min_words = 5
[statistics]
draws = 100
[gates]
max_wer = {limit}
"""


WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "nurses",
    "write",
    "down",
)


@dataclass(frozen=True)
class Scene:
    """A command on a folder.

    Args:
        name: Of the command.
        prepare: Makes what the command needs in a new folder.
        work: The command; returns its exit code.
        result: The folders and files that it makes.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path], int]
    result: tuple[str, ...]


def write_suite(folder: Path) -> None:
    """Write a suite over 24 made-up utterances."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.toml").write_text(SUITE.format(limit=0.9))
    lines = ["utterance_id,speaker_id,reference,accent"]
    for i in range(24):
        text = " ".join(WORDS[(i * 5 + j) % len(WORDS)] for j in range(4 + i % 5))
        lines.append(f"u{i:03},s{i % 6},{text},{('us', 'scottish', 'indian')[i % 3]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def command(*arguments: str) -> int:
    """Run the command line in this process."""
    from asrfair.cli.main import run

    return run(list(arguments))


def _suite_run(folder: Path) -> int:
    return command("run", str(folder / "suite.toml"), "--out", str(folder / "run"), "--workers", "1", "--no-html")


def _with_run(folder: Path) -> None:
    write_suite(folder)
    assert _suite_run(folder) == 0


def _with_shards(folder: Path) -> None:
    write_suite(folder)
    for part in ("1", "2"):
        arguments = ("--out", str(folder / part), "--shard", f"{part}/2", "--workers", "1")
        assert command("run", str(folder / "suite.toml"), *arguments) == 0


def _merge(folder: Path) -> int:
    if (folder / "run").exists() and not (folder / "run" / "run.json").exists():
        shutil.rmtree(folder / "run")  # as its message asks for
    arguments = ("merge", str(folder / "1"), str(folder / "2"), "--out", str(folder / "run"), "--no-html")
    if (folder / "run" / "run.json").exists():
        return command("score", str(folder / "run"), "--no-html")
    return command(*arguments)


def _nights(folder: Path) -> None:
    write_suite(folder)
    assert _night(folder) == 0


def _night(folder: Path) -> int:
    return command(
        "nightly", str(folder / "suite.toml"), "--history", str(folder / "history"), "--workers", "1", "--json"
    )


def _kit(folder: Path) -> None:
    assert command("lastmile", "init", str(folder / "kit")) == 0


def _note(folder: Path) -> int:
    from asrfair.errors import AsrfairError
    from asrfair.lastmile.export_ledger import note, releasing, spent_epsilon
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder / "kit")
    try:
        with releasing(kit):
            if spent_epsilon(kit) < 1.0:
                note(kit, {"kind": "private", "epsilon": 1.0, "attributes": ["accent"], "file": "out.json"})
    except OSError:
        return 3
    except AsrfairError as error:
        return error.exit_code
    return 0


WHO = "s3"


def _leaver(folder: Path) -> None:
    """A run with a manifest from which somebody was taken."""
    _with_run(folder)
    _taken_out(folder)


def _leaver_of_nights(folder: Path) -> None:
    _nights(folder)
    _taken_out(folder)


def _taken_out(folder: Path) -> None:
    path = folder / "manifest.csv"
    kept = [line for line in path.read_text().splitlines() if f",{WHO}," not in line]
    path.write_text("\n".join(kept) + "\n")


def _leaver_of_kit(folder: Path) -> None:
    """A kit of transcripts of five people, one of whom wants to leave."""
    kit = folder / "kit"
    _kit(folder)
    settings = (kit / "kit.toml").read_text().replace('name = "pocketsphinx"', 'name = "precomputed"')
    (kit / "kit.toml").write_text(settings.replace("options = {}", 'options = { file = "heard.csv" }'))
    prompts = [line.partition(",")[0] for line in (kit / "prompts.csv").read_text().splitlines()[1:]]
    people = [f"s{number}" for number in range(5)]
    answers = "".join(f"{who},local,{('female', 'male')[n % 2]}\n" for n, who in enumerate(people))
    (kit / "speakers.csv").write_text(f"speaker_id,accent,gender\n{answers}")
    rows = [f"{who}/{prompt},the words of somebody here" for who in people for prompt in prompts]
    (kit / "heard.csv").write_text("\n".join(["utterance_id,hypothesis", *rows]) + "\n")
    agreed = [json.dumps({"speaker_id": who}) for who in people]
    (kit / "consents.jsonl").write_text("\n".join(agreed) + "\n")
    assert command("lastmile", "run", str(kit), "--no-benchmark", "--workers", "1") == 0
    _note(folder)


def _forget(folder: Path, what: str, *more: str) -> int:
    """Let somebody leave; what is found of them afterwards is a defect."""
    code = command("forget", WHO, str(folder / what), *more, "--yes")
    return 99 if code == 1 else code


SCENES = (
    Scene("run", write_suite, _suite_run, ("run",)),
    Scene("score", _with_run, lambda f: command("score", str(f / "run"), "--normalizer", "basic", "--no-html"), ("run",)),
    Scene("report", _with_run, lambda f: command("report", str(f / "run"), "--no-plots"), ("run",)),
    Scene("merge", _with_shards, _merge, ("run",)),
    Scene("nightly", _nights, _night, ("history",)),
    Scene("forget", _leaver, lambda f: _forget(f, "run", "--manifest", str(f / "manifest.csv")), ("run",)),
    Scene(
        "forget-nights", _leaver_of_nights, lambda f: _forget(f, "history", "--suite", str(f / "suite.toml")),
        ("history",),
    ),
    Scene("forget-kit", _leaver_of_kit, lambda f: _forget(f, "kit"), ("kit",)),
    Scene("ledger", _kit, _note, ("kit/exports.jsonl",)),
)  # fmt: skip


def digest(folder: Path, scene: Scene) -> dict[str, str]:
    """Hash what a scene has made, but for what may differ between equal runs (times, journals)."""
    found: dict[str, str] = {}
    for root in scene.result:
        path = folder / root
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(folder).as_posix()
            if any(part in name for part in ("timings", "journal", "work/", "cache.sqlite", ".lock", "history/lock")):
                continue
            if name.startswith("history/") and not file.name.endswith(".parquet"):
                continue  # records, verdicts and trends hold times of day
            found[name] = _content(file)
    if "history" in scene.result:
        numbers = sorted(p.name for p in (folder / "history" / "nights").iterdir())
        found["nights"] = " ".join(numbers)
    return found


def _content(file: Path) -> str:
    content = file.read_bytes()
    if file.name == "run.json":
        plain = json.loads(content)
        plain.pop("volatile", None)
        content = json.dumps(plain, sort_keys=True).encode()
    if file.name in {"report.html", "report.md"}:
        return "page"  # it says when it was made
    if file.name in {"forgotten.jsonl", ".releases"}:
        return str(len(content.splitlines()))  # times and chance
    if file.name == "exports.jsonl":
        return str(len(content.splitlines()))
    return hashlib.sha256(content).hexdigest()


def state_of(folder: Path, scene: Scene) -> str:
    """Return what `asrfair verify` finds wrong after a fault, or the empty string; unfinished work is nothing wrong."""
    from asrfair.cli.verify import _check

    for root in scene.result:
        path = folder / root.partition("/")[0]
        if path.is_dir():
            for item in _check(path):
                if item.problem and "cut off" not in item.text and "not a run folder" not in item.text:
                    return f"{item.path}: {item.text}"
    return ""
