"""What a severity means: A-weighted SNR and intelligibility (STOI) of every shipped profile at every severity.

    python benchmarks/severities.py [--every N] [--write docs/profiles.md]

Renders utterances of the demo and, where they lie beside the repository, real read sentences. STOI (Taal et al. 2011,
IEEE Trans. Audio, Speech and Language Processing 19(7)) is between the recording and what the place makes of it, 0 to 1,
by the package pystoi. It reads what noise, room and line leave of the speech, and says nothing about any recogniser.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 -- after the number of threads is set

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from asrfair.acoustics import RenderContext, Renderer, list_profiles, parse_condition  # noqa: E402 -- threads first
from asrfair.data.audio import load_clip  # noqa: E402
from asrfair.data.manifest import read_manifest  # noqa: E402
from asrfair.types import Utterance  # noqa: E402

SHARED = Path(os.environ.get("ASRFAIR_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
SEVERITIES = ("mild", "moderate", "severe")
BEGIN, END = "<!-- severities: begin -->\n", "<!-- severities: end -->\n"


def main() -> None:
    """Print the table, or write it between the marks in a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=12)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    lines = [
        "| profile | SNR in dB(A): mild | moderate | severe | STOI: mild | moderate | severe |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for profile in list_profiles():
        if arguments.only and profile.stem not in arguments.only:
            continue
        found = [_measure(profile.stem, severity, arguments.every) for severity in SEVERITIES]
        ratios = [f"{snr:.0f}" if np.isfinite(snr) else "" for snr, _ in found]
        lines.append(f"| `{profile.stem}` | " + " | ".join([*ratios, *(f"{s:.2f}" for _, s in found)]) + " |")
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    if arguments.write:
        text = arguments.write.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        arguments.write.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after, encoding="utf-8")


def _speech(every: int) -> tuple[list[Utterance], RenderContext]:
    demo = list(read_manifest(REPOSITORY / "manifests" / "demo" / "demo.toml").utterances())
    real = [
        Utterance(utterance_id=f.stem, speaker_id=f.parent.name, reference="x", audio=f.absolute())
        for f in sorted((SHARED / "speechocean762" / "test").glob("*/*.flac"))
    ]
    return [*demo[::every], *real[:: 3 * every]], RenderContext.of([*demo, *real])


def _measure(profile: str, severity: str, every: int) -> tuple[float, float]:
    """Return the mean A-weighted SNR (NaN without noise) and the mean STOI."""
    from pystoi import stoi

    utterances, context = _speech(every)
    condition = parse_condition(f"{profile}@{severity}")
    renderer = Renderer([condition], 1, context)
    ratios, indices = [], []
    for utterance in utterances:
        clip = load_clip(utterance, 16_000)
        found = renderer.render(clip, condition, utterance.speaker_id)
        ratios += [float(v) for k, v in found.achieved.items() if k.endswith(".snr_a_db")]
        before = round(float(found.achieved.get("pad_silence.before_s", 0.0)) * 16_000)
        heard = found.clip.samples[before : before + clip.samples.size].astype(np.float64)
        indices.append(float(stoi(clip.samples.astype(np.float64), heard, 16_000)))
    return float(np.mean(ratios)) if ratios else float("nan"), float(np.mean(indices))


if __name__ == "__main__":
    main()
