"""What changed voices and front ends cost PocketSphinx, on the demo's synthetic voices and on real clips.

    python benchmarks/changed_voices.py voices demo OUT [--every N]
    python benchmarks/changed_voices.py resynthesis small_speech OUT [--every N]
    python benchmarks/changed_voices.py frontends speechocean762 OUT --data ../shared/data [--every N]

Runs a suite of every Nth utterance into OUT (an interrupted one goes on) and prints the table of docs/effects.md: WER of
everybody, its change against the baseline, paired by utterance, with an interval over speakers, and what was achieved.
The real clips are small_speech's sentences of four words and more (audio books, LibriSpeech, CMU Arctic and others), or
those that adults read in speechocean762, speakers of Mandarin.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import pandas as pd  # noqa: E402 -- after the path is set

from asrfair.cli.main import run as asrfair  # noqa: E402
from asrfair.stats.estimate.paired import paired_change, paired_sums  # noqa: E402
from asrfair.stats.frame import load_frame  # noqa: E402
from asrfair.stats.groups import make_grouping  # noqa: E402
from asrfair.types import GroupSettings  # noqa: E402

CONDITIONS = {
    "resynthesis": ["clean", "voice-pitch@unchanged"],
    "voices": [
        *("clean", "voice-pitch@unchanged", "voice-pitch@lower", "voice-pitch@higher", "voice-formants@lower"),
        *("voice-formants@higher", "voice-rate@slower", "voice-rate@faster", "voice-slowed@clearly"),
        *("voice-breathy@clearly", "voice-effort@softer", "voice-effort@louder"),
    ],
    "frontends": [
        *("office", "office-wiener", "office-webrtc", "office-noisereduce", "office-rnnoise", "office-deepfilternet"),
        *("headset-suppressed@moderate", "laptop-call@moderate"),
    ],
}
RESYNTHESISED = "voice-pitch@unchanged"
THROUGH_PRAAT = ("voice-pitch", "voice-formants", "voice-rate", "voice-slowed")
REAL = {
    "small_speech": lambda row: len(row["reference"].split()) >= 4,
    "speechocean762": lambda row: int(row["age"]) >= 16,
}
QUANTITIES = (
    *("semitones", "formants_percent", "rate_percent", "longer_percent", "breath_db", "balance_change_db"),
    *(
        "speech_suppression_db",
        "noise_suppression_db",
        "gain_db",
        "speech_lost_fraction",
        "erle_db",
        "residual_echo_db",
    ),
)
OFFICE = """[profile]
name = "{name}"
description = "the noise of headset-suppressed at 8 dB(A), and one suppressor"
licence = "Apache-2.0"
source = "generated"
[[effect]]
use = "noise"
snr_db = 8
weighting = "A"
[[effect.layer]]
source = "fan"
blade_hz = 120
[[effect.layer]]
source = "speech_shaped"
spectrum = "international"
fluctuation_db = 5
fluctuation_hz = 3
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(CONDITIONS))
    parser.add_argument("corpus", choices=["demo", *REAL])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--every", type=int, default=4)
    arguments = parser.parse_args()
    folder = arguments.out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    suite = write_suite(folder, arguments.corpus, arguments.data, arguments.every, CONDITIONS[arguments.what])
    code = asrfair(["run", str(suite), "--out", str(folder / "run"), "--workers", "1"])
    if code:
        sys.exit(code)
    print_table(folder / "run", CONDITIONS[arguments.what])


def write_suite(folder: Path, corpus: str, data: Path, every: int, conditions: list[str]) -> Path:
    """Write manifest, profiles and suite; return the suite."""
    for name in conditions:
        if name.startswith("office"):
            method = name.partition("-")[2]
            use = 'use = "webrtc"\n' if method == "webrtc" else f'use = "suppressor"\nmethod = "{method}"\n'
            text = OFFICE.format(name=name) + (f"[[effect]]\n{use}" if method else "")
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    demo = corpus == "demo"
    source = REPOSITORY / "manifests" / "demo" / "demo.csv" if demo else data / corpus / "manifest.csv"
    with source.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if demo or REAL[corpus](row)]
    table = [
        {
            "utterance_id": row.get("utterance_id") or row["utt_id"],
            "speaker_id": row["speaker_id"],
            "reference": row["reference"],
            "audio": str((source.parent / (row.get("audio") or row["audio_path"])).resolve()),
            "gender": row["gender"],
        }
        for row in rows[::every]
    ]
    pd.DataFrame(table).to_csv(folder / "table.csv", index=False)
    card = '[manifest]\nname = "changed-voices"\ntable = "table.csv"\nlicence = "see its source"\n[attributes.gender]\n'
    (folder / "card.toml").write_text(card + 'provenance = "recorded"\n', encoding="utf-8")
    path = folder / "suite.toml"
    path.write_text(
        f'[suite]\nname = "changed-voices"\nmanifest = "card.toml"\nallow_outside = true\nprofiles = "."\n'
        f'conditions = {json.dumps(conditions)}\n[[engine]]\nname = "pocketsphinx"\n'
        'options = { parameters = { maxhmmpf = 3000, maxwpf = 10 } }\n[groups]\nby = ["gender"]\n',
        encoding="utf-8",
    )
    return path


def print_table(run: Path, conditions: list[str]) -> None:
    """Print one line a condition, as Markdown."""
    groups = GroupSettings(by=())
    frame = load_frame(run, groups)
    grouping = make_grouping(frame, ())
    achieved = pd.read_parquet(run / "achieved.parquet")
    means = achieved.groupby(["condition", "quantity"])["value"].mean()
    first = conditions[0]
    print(f"{len(frame.utterances)} utterances, {len(frame.speakers)} speakers, {int(frame.words.sum())} words\n")
    print("| condition | against | WER % | change, points | achieved |\n|---|---|---|---|---|")
    for place, name in enumerate(frame.conditions):
        against = RESYNTHESISED if name.startswith(THROUGH_PRAAT) and name != RESYNTHESISED else first
        sums = paired_sums(frame, [(place, frame.conditions.index(against))])
        found = paired_change(grouping, sums)
        low, high = found.difference_bounds(0.025)
        change = f"{100 * found.difference[0, 0]:+.1f} ({100 * low[0, 0]:+.1f} to {100 * high[0, 0]:+.1f})"
        values = means[name] if name in means.index.get_level_values(0) else pd.Series(dtype=float)
        said = "; ".join(
            f"{key.replace('_', ' ')} {value:.2f}"
            for quantity in QUANTITIES
            for key, value in ((str(k).rpartition(".")[2], v) for k, v in values.items())
            if key == quantity
        )
        rate = 100 * float(found.first.rate[0, 0])
        print(
            f"| {name} | {'' if name == first else against} | {rate:.1f} | {'' if name == first else change} | {said} |"
        )


if __name__ == "__main__":
    main()
