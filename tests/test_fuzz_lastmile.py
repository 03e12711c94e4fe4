"""A fuzzer over a kit's files and over exports: what stands in them is used or refused in a sentence, never a traceback."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_lastmile_merge import exported, site

from asrfair.errors import AsrfairError
from asrfair.lastmile.check import check_kit
from asrfair.lastmile.export import canonical, make_export, sealed_text
from asrfair.lastmile.kit import init_kit
from asrfair.lastmile.pool_exports import merge_exports
from asrfair.lastmile.private import plan_release, release
from asrfair.lastmile.settings import read_kit

VALUES = [
    "0", "-1", "1e308", "nan", "inf", "true", '""', '"x"', '"\\u0000"', '"../../etc"', "[]", "{}", '["a", 1]', "[[[]]]",
    "1979-05-27", "9223372036854775807", "12345678901234567890123", '"' + "x" * 5000 + '"', '[["accent", "gender"]]',
    '"\\u202Ex"', '"é × ü"', "0.5", '["accent", "accent"]', "[[]]", '"demo"', '"-26"', "99",
]  # fmt: skip
LINES = [
    "[kit]", "[[kit]]", "[attributes.wer]", "[attributes.site]", "[attributes.'a × b']", "[attributes.failed]", "= 3",
    "[attributes.'=x']", "\x00", "a", "name = 3", "[export]", "by = []", "values = ['not_stated']", "é = 1", "[attributes.'']",
    "[attributes.speaker_id]", "[attributes.utterances]", '"""', "\\", "x" * 50_000, "values = ['suppressed']", "[a.b.c]",
]  # fmt: skip
TABLE = [
    "",
    "speaker-01",
    "a/../b",
    "..",
    "/dev/null/x",
    "\x00",
    "x" * 3000,
    '"',
    "é",
    "\u202e",
    "=cmd()",
    " ",
    "NaN",
    ",",
]
JSON: list[Any] = [
    None, True, -1, 0, 10**6, 10**30, 1.5, "", "x", "\x1b[2J", "\ud800", "us × x", "x" * 300, [], {}, [[]], ["a"], {"a": 1}, "site",
    "wer", "utterance_id", "speaker_id", "=cmd()", "room", "demo", "clean", "\u202e", "reference", "exclude", "overall",
]  # fmt: skip


def mutate_lines(text: str, rng: random.Random, inserted: list[str]) -> str:
    """Drop, double or insert lines, break a character, or replace a value."""
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 2, 4])):
        i = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0 and len(lines) > 1:
            del lines[i]
        elif kind == 1:
            lines.insert(i, lines[rng.randrange(len(lines))])
        elif kind == 2:
            lines.insert(i, rng.choice(inserted))
        elif kind == 3 and lines[i]:
            at = rng.randrange(len(lines[i]))
            lines[i] = lines[i][:at] + chr(rng.choice([0, 9, 34, 39, 44, 61, 91, 0xFEFF, 0x202E])) + lines[i][at + 1 :]
        else:
            lines[i] = re.sub(r"= .*", lambda _: "= " + rng.choice(VALUES), lines[i], count=1)
    return "\n".join(lines)


def mutate_json(value: Any, rng: random.Random) -> Any:
    """Replace, drop, double or rename one thing somewhere in a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        if rng.random() < 0.1:
            return {**value, str(rng.choice(JSON)): value[key]}
        return {**value, key: mutate_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        i = rng.randrange(len(value))
        if rng.random() < 0.1:
            return [*value[:i], *value[i + 1 :]]
        if rng.random() < 0.1:
            return [*value, value[i]]
        return [*value[:i], mutate_json(value[i], rng), *value[i + 1 :]]
    return rng.choice(JSON)


@pytest.mark.slow
def test_a_kit_s_settings_are_read_or_refused(tmp_path: Path) -> None:
    """300 broken kit.toml files: each makes a kit whose counts can be shown, or names file and line."""
    kit = site(tmp_path / "kit", 1, speakers=9)
    path = kit.folder / "kit.toml"
    text = path.read_text(encoding="utf-8")
    ends: Counter[str] = Counter()
    for case in range(300):
        path.write_text(mutate_lines(text, random.Random(case), LINES), encoding="utf-8")
        try:
            init_kit(kit.folder)
            make_export(read_kit(kit.folder))
            ends["used"] += 1
        except AsrfairError as error:
            ends["refused" if "kit" in str(error) else str(error)] += 1
    assert {"used", "refused"} == set(ends)
    assert min(ends.values()) > 50, ends


def test_a_kit_s_tables_are_read_or_refused(tmp_path: Path) -> None:
    """200 broken lists of people, sentences and words: each is checked or refused; nothing outside the kit is made."""
    made = init_kit(tmp_path / "outside" / "kit", speakers=2)
    kit = made.kit.folder
    names = ("speakers.csv", "prompts.csv", "vocabulary.txt", "sentences.txt")
    whole = {name: (kit / name).read_text(encoding="utf-8") for name in names}
    ends: Counter[str] = Counter()
    for case in range(200):
        rng = random.Random(case)
        for name in names:
            text = whole[name]
            if rng.random() < 0.5:
                text = mutate_lines(text, rng, TABLE)
            if rng.random() < 0.5:
                text = text.replace("speaker-02", rng.choice(TABLE))
            (kit / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            init_kit(kit)
            check_kit(read_kit(kit), words=False)
            ends["used"] += 1
        except AsrfairError:
            ends["refused"] += 1
        shutil.rmtree(kit / "recordings", ignore_errors=True)
        assert ["kit"] == [path.name for path in (tmp_path / "outside").iterdir()]
    assert min(ends["used"], ends["refused"]) > 20, ends


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [True, False], ids=["sealed again", "as it is"])
def test_exports_are_merged_or_refused(sealed: bool, tmp_path: Path) -> None:
    """300 broken exports, with and without a new hash that fits: each is pooled or refused in a sentence."""
    path = exported(site(tmp_path / "kit", 1, speakers=6), tmp_path / "good.json")
    good = json.loads(path.read_text(encoding="utf-8"))
    ends: Counter[str] = Counter()
    for case in range(300):
        rng = random.Random(case)
        if sealed:
            text, _ = sealed_text(mutate_json(good["body"], rng))
        else:
            text = json.dumps(mutate_json(good, rng))
        if rng.random() < 0.1:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice('{}[]",:0\\\x00') + text[at + 1 :]
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            merge_exports([path], tmp_path / "out")
            ends["pooled"] += 1
        except AsrfairError as error:
            ends["refused" if "good.json" in str(error) else str(error)] += 1
    assert set(ends) <= {"pooled", "refused"}
    assert ends["refused"] > 200, ends


def test_private_releases_are_merged_or_refused(tmp_path: Path) -> None:
    """300 broken private releases under a new hash that fits: each is pooled or refused in a sentence."""
    pytest.importorskip("opendp")
    kit, path = site(tmp_path / "kit", 1, speakers=6), tmp_path / "good.json"
    plan = plan_release(kit, 1.0)
    release(kit, plan, path, plan.code)
    good = json.loads(path.read_text(encoding="utf-8"))
    ends: Counter[str] = Counter()
    for case in range(300):
        body = mutate_json(good["body"], random.Random(case))
        digest = hashlib.sha256(canonical(body).encode()).hexdigest()
        path.write_text(json.dumps({**good, "body": body, "sha256": digest}), encoding="utf-8")
        try:
            merge_exports([path], tmp_path / "out")
            ends["pooled"] += 1
        except AsrfairError as error:
            ends["refused" if "good.json" in str(error) else str(error)] += 1
    assert {"pooled", "refused"} == set(ends), ends
