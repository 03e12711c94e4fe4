"""Damaged and hostile files of every format, under a limit on memory: an error with one line, never anything else."""

from __future__ import annotations

import json
import os
import random
import resource
import struct
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asrfair.errors import AsrfairError

ADDRESS_SPACE = 1 << 30
"""Bytes that a case may take beyond what the process had before: 1 GiB."""
CASE_S = 20

HOSTILE = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"[" * 5000, b"{" * 5000, b'{"a":' * 3000, b"9" * 5000, b"1e999", b"-1", b"NaN",
    b"\x1b[31m", "\u202e".encode(), b"a." * 2000, b"'" * 3, b'"""', b"\r\n", b"\\ud800", b"subprocess:getoutput", b"../../x",
    b"[[a]]\n" * 500, b",".join([b"x"] * 2000), b"= ", b"null", b"{}", b"[]",
)  # fmt: skip


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Return a file with one to four things wrong."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        size = len(data)
        place = dice.randrange(size) if size else 0
        what = dice.randrange(7)
        if what == 0 and size:
            data[place] ^= 1 << dice.randrange(8)
        elif what == 1:
            del data[place : place + dice.choice([1, 2, 8, 64, 1024])]
        elif what == 2:
            data[place:place] = dice.choice(HOSTILE)
        elif what == 3:
            data[place:place] = data[place : place + dice.choice([4, 64, 4096])]
        elif what == 4:
            del data[place:]
        elif what == 5 and size > 8:
            data[place : place + 4] = struct.pack(
                "<I", dice.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, dice.randrange(2**32)])
            )
        else:
            data[place:place] = os.urandom(0) + dice.randbytes(dice.choice([1, 4, 32]))
    return bytes(data)


def readers(folder: Path) -> dict[str, tuple[Path, Callable[[Path], Any]]]:
    """Return a good file of each format, and what reads it."""
    from asrfair.acoustics import parse_condition
    from asrfair.cards.outline import OUTLINES
    from asrfair.cards.prose import read_prose
    from asrfair.data.audio import load_clip
    from asrfair.data.hypotheses import read_hypotheses
    from asrfair.data.manifest import read_manifest
    from asrfair.data.resources import shipped
    from asrfair.data.runfile import read_content, settings_from_json
    from asrfair.data.tablefile import read_result, read_table
    from asrfair.lastmile.read_exports import read_export
    from asrfair.lastmile.settings import read_kit
    from asrfair.nightly import History
    from asrfair.runs.suite import read_key_terms, read_suite
    from asrfair.types import Utterance

    def run_json(path: Path) -> Any:
        content = read_content(path.parent)
        return settings_from_json(content)

    def night(path: Path) -> Any:
        return History(path.parents[2]).night(1)

    def clip(path: Path) -> Any:
        return load_clip(Utterance(utterance_id="u", speaker_id="s", reference="r", audio=path), 16_000)

    import numpy as np
    import pandas as pd
    import soundfile

    files = folder / "files"
    files.mkdir(exist_ok=True)
    samples = np.random.default_rng(1).normal(0, 0.1, 8000)
    for name, subtype in (("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III")):
        soundfile.write(files / name, samples, 16_000, subtype=subtype)
    frame = pd.DataFrame({"utterance_id": ["u000", "u001"], "hypothesis": ["the quick", "brown fox"]})
    frame.to_csv(files / "h.csv", index=False)
    frame.to_json(files / "h.jsonl", orient="records", lines=True)
    frame.to_parquet(files / "h.parquet")
    (files / "h.trn").write_text("the quick (s0-u000)\nbrown fox (s1-u001)\n")
    (files / "h.ctm").write_text("u000 1 0.0 0.5 the\nu000 1 0.5 0.5 quick\n")
    (files / "terms.txt").write_text("fox # an animal\nlazy dog\n")
    (files / "card.toml").write_text(
        '[manifest]\nname = "m"\nversion = "1"\ntable = "m.csv"\n[attributes.accent]\nprovenance = "self-reported"\n'
    )
    (files / "m.csv").write_bytes((folder / "manifest.csv").read_bytes())
    (files / "prose.toml").write_bytes(b"")
    profile = next(iter(sorted(shipped("noise_profiles").glob("*.toml"))))
    (files / "place.toml").write_bytes(profile.read_bytes())
    (files / "export.json").write_text(
        json.dumps({"format": "asrfair-export", "version": 1, "sha256": "0" * 64, "body": {"site": "a", "rows": []}})
    )
    from asrfair.cards.prose import blank_prose

    (files / "prose.md").write_text(blank_prose(OUTLINES["aws"], ("fake",)))
    return {
        "run.json": (folder / "run" / "run.json", run_json),
        "night.json": (folder / "history" / "nights" / "night-000001" / "night.json", night),
        "kit.toml": (folder / "kit" / "kit.toml", lambda path: read_kit(path.parent)),
        "suite.toml": (folder / "suite.toml", read_suite),
        "card.toml": (files / "card.toml", read_manifest),
        "manifest.csv": (folder / "manifest.csv", read_manifest),
        "place.toml": (files / "place.toml", lambda path: parse_condition(str(path))),
        "prose.md": (files / "prose.md", lambda path: read_prose(path, OUTLINES["aws"])),
        "terms.txt": (files / "terms.txt", read_key_terms),
        "export.json": (files / "export.json", read_export),
        "scores.parquet": (folder / "run" / "scores.parquet", read_table),
        "disparity.csv": (folder / "run" / "disparity.csv", read_result),
        **{name: (files / name, read_hypotheses) for name in ("h.csv", "h.jsonl", "h.parquet", "h.trn", "h.ctm")},
        **{name: (files / name, clip) for name in ("a.wav", "a.flac", "a.ogg", "a.mp3")},
    }


def fuzz(folder: Path, count: int, seed: int, batch: int = 500) -> tuple[Counter[str], list[str]]:
    """Read ``count`` damaged files, spread over the formats; return outcomes, and what was no plain error.

    Each batch runs in a forked child under the limit: one that dies, or hangs, is a defect of its own.
    """
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    formats = readers(folder)
    names = sorted(formats)
    for first in range(0, count, batch):
        report = folder / "report.jsonl"
        report.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            try:
                _batch(formats, names, range(first, min(first + batch, count)), seed, report)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        lines = report.read_text().splitlines() if report.exists() else []
        cases = [json.loads(line) for line in lines]
        for case in cases:
            if case["outcome"] in {"read", "refused"}:
                counts[case["outcome"]] += 1
            elif case["outcome"] != "begun":
                wrong.append(f"{case['name']} case {case['case']} (seed {seed}): {case['outcome']}")
        if os.waitstatus_to_exitcode(status) != 0:
            last = cases[-1] if cases else {"name": "?", "case": first}
            wrong.append(f"{last['name']} case {last['case']}: the process died ({os.waitstatus_to_exitcode(status)})")
        for path, _ in formats.values():
            saved = path.with_name(path.name + ".whole")
            if saved.exists():
                saved.replace(path)
    return counts, wrong


def _batch(formats: dict[str, Any], names: list[str], cases: range, seed: int, report: Path) -> None:
    import signal

    sizes = Path("/proc/self/statm").read_text().split()
    limit = int(sizes[0]) * os.sysconf("SC_PAGE_SIZE") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with report.open("w") as stream:
        for case in cases:
            name = names[case % len(names)]
            path, read = formats[name]
            saved = path.with_name(path.name + ".whole")
            if not saved.exists():
                saved.write_bytes(path.read_bytes())
            path.write_bytes(mutate(saved.read_bytes(), random.Random(f"{seed} {case}")))
            stream.write(json.dumps({"name": name, "case": case, "outcome": "begun"}) + "\n")
            stream.flush()
            signal.alarm(CASE_S)
            try:
                read(path)
                outcome = "read"
            except AsrfairError:
                outcome = "refused"
            except MemoryError:
                outcome = "more than 1 GiB of memory"
            except BaseException as error:  # noqa: BLE001 -- a defect, told with where it came from
                place = traceback.extract_tb(error.__traceback__)[-1]
                outcome = (
                    f"{type(error).__name__}: {str(error)[:150]} ({place.filename.rpartition('/')[2]}:{place.lineno})"
                )
            signal.alarm(0)
            stream.write(json.dumps({"name": name, "case": case, "outcome": outcome}) + "\n")
            path.write_bytes(saved.read_bytes())
            os.utime(path, (1e9 + case, 1e9 + case))
