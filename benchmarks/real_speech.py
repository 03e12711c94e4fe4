"""Real people, the real engine: PocketSphinx on three small sets of recordings; the README's example comes from here.

    python benchmarks/real_speech.py ../shared/data --out runs/real
    python benchmarks/real_speech.py ../shared/data --out runs/real --only speechocean762 --workers 1
    python benchmarks/real_speech.py ../shared/data --out runs/real --only fsdd --only speechocean762 --every 4 --threshold

With --threshold it looks for the SNR at which they fail instead (docs/thresholds.md).

Makes a manifest of each set (with the age band of speechocean762, whose children are under 16), runs the suite, and prints the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import pandas as pd

from asrfair.cli.main import run as asrfair

SETS = {
    "speechocean762": (
        ["gender", "age_band", ["gender", "age_band"]],
        "Mandarin-native children and adults reading English",
    ),
    "fsdd": (["accent"], "single spoken digits of six speakers: accent and speaker are the same thing"),
    "small_speech": (["accent", "gender"], "clips of mixed kind, native and Indian English"),
}


DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
THRESHOLDS = {"fsdd": (0.5, -10, 40), "speechocean762": (0.9, 0, 50), "small_speech": (0.5, 0, 50)}
"""The error rate that is looked for (PocketSphinx makes many errors on these), from and to which SNR in dB."""


def make_manifest(data: Path, name: str, folder: Path, every: int) -> Path:
    """Write a table with absolute audio paths and its card; return the card."""
    table = pd.read_csv(data / name / "manifest.csv", dtype=str, keep_default_na=False)
    table = table[table.groupby("speaker_id").cumcount() % every == 0]
    table["audio_path"] = [str((data / name / path).resolve()) for path in table["audio_path"]]
    if "age" in table:
        table["age_band"] = ["child" if int(age) < 16 else "adult" for age in table["age"]]
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)
    attributes = [column for column in ("accent", "gender", "age_band") if column in table]
    card = [
        "[manifest]", f"name = {json.dumps(name)}", 'version = "1"', f'table = "{name}.csv"', 'licence = "see its source"',
        f"description = {json.dumps(SETS[name][1])}", "[columns]", 'utterance_id = "utt_id"', 'audio = "audio_path"',
        'duration_s = "duration"',
    ]  # fmt: skip
    for attribute in attributes:
        card += [
            f"[attributes.{attribute}]",
            f'description = "{attribute}, as the corpus records it"',
            'provenance = "recorded"',
        ]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(card) + "\n", encoding="utf-8")
    return path


def write_digit_model(path: Path) -> None:
    """Write a language model of one word of ten, all alike: what a menu by voice expects (ARPA's format)."""
    rows = "".join(f"-1.0 {word} 0.0\n" for word in DIGITS)
    path.write_text(
        f"\\data\\\nngram 1=12\nngram 2=20\n\n\\1-grams:\n-99 <s> 0.0\n-1.0 </s>\n{rows}\n\\2-grams:\n"
        + "".join(f"-1.0 <s> {word}\n0.0 {word} </s>\n" for word in DIGITS)
        + "\n\\end\\\n",
        encoding="ascii",
    )


def make_suite(card: Path, name: str, conditions: list[str], place: str) -> Path:
    """Write the suite, for a place one that looks for thresholds there; return its path."""
    path = card.with_name(f"{name}-suite.toml")
    options = threshold = ""
    if name == "fsdd":
        write_digit_model(card.with_name("digits.lm"))
        options = 'options = { lm = "digits.lm" }\n'
    if place:
        wer, low, high = THRESHOLDS[name]
        threshold = f"[threshold]\nplaces = [{json.dumps(place)}]\nwer = {wer}\nlow = {low}\nhigh = {high}\n"
    path.write_text(
        f'[suite]\nname = "{name}"\nmanifest = "{card.name}"\nallow_outside = true\nconditions = {json.dumps(conditions)}\n'
        f'[[engine]]\nname = "pocketsphinx"\n{options}[groups]\nby = {json.dumps(SETS[name][0])}\n{threshold}',
        encoding="utf-8",
    )
    return path


def main() -> None:
    """Run the sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=list(SETS), action="append")
    parser.add_argument("--conditions", nargs="+", default=["clean"])
    parser.add_argument("--every", type=int, default=1, help="only every Nth recording of each speaker")
    parser.add_argument(
        "--threshold", nargs="?", const="imaging-floor", default="", metavar="PLACE", help="look for the SNR"
    )
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    workers = ["--workers", str(arguments.workers)] if arguments.workers else []
    for name in arguments.only or SETS:
        card = make_manifest(arguments.data, name, arguments.out / "manifests", arguments.every)
        suite = make_suite(card, name, arguments.conditions, arguments.threshold)
        started = time.perf_counter()
        verb = "threshold" if arguments.threshold else "run"
        code = asrfair([verb, str(suite), "--out", str(arguments.out / name), *workers])
        if code:
            sys.exit(code)
        print(f"{name}: {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
