"""Word error rate by profile and severity: does a place that is called worse make recognition worse?

    python benchmarks/conditions_wer.py run OUT.csv [--every N] [--longest S] [--only PROFILE …]
    python benchmarks/conditions_wer.py plot OUT.csv OUT.png

``run`` lets PocketSphinx hear the demo and small_speech. It appends to OUT.csv and goes on where it stopped. It takes every
Nth of the demo's 120 utterances and, where the real recordings lie beside the repository (ASRFAIR_SHARED_DATA), the read
sentences of small_speech of 2.5 to S seconds. The
decoder's beams are narrowed (maxhmmpf 3000, maxwpf 10): twice as fast, at error rates within some points.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from rapidfuzz.distance import Levenshtein  # noqa: E402 -- after the number of threads is set

from asrfair.acoustics import RenderContext, Renderer, list_profiles, parse_condition  # noqa: E402
from asrfair.data.audio import load_clip  # noqa: E402
from asrfair.data.manifest import read_manifest  # noqa: E402
from asrfair.recognise.engines import EngineContext, create  # noqa: E402
from asrfair.scoring.normalize import get_normalizer  # noqa: E402
from asrfair.types import EngineSpec, Utterance  # noqa: E402

SHARED = Path(os.environ.get("ASRFAIR_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
SEVERITIES = ("mild", "moderate", "severe")
COLUMNS = ("corpus", "profile", "severity", "utterances", "words", "errors", "wer", "seconds")


def main() -> None:
    """Run or plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "plot"])
    parser.add_argument("table", type=Path)
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--longest", type=float, default=4.0)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.table, arguments.every, arguments.longest, arguments.only)
    else:
        plot(arguments.table, arguments.picture or arguments.table.with_suffix(".png"))


def _demo(every: int) -> tuple[list[Utterance], RenderContext]:
    utterances = list(read_manifest(REPOSITORY / "manifests" / "demo" / "demo.toml").utterances())
    return utterances[::every], RenderContext.of(utterances)


def _small_speech(longest_s: float) -> tuple[list[Utterance], RenderContext]:
    folder = SHARED / "small_speech"
    if not (folder / "manifest.csv").is_file():
        return [], RenderContext()
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    utterances = [
        Utterance(
            utterance_id=row["utt_id"],
            speaker_id=row["speaker_id"],
            reference=row["reference"],
            audio=(folder / row["audio_path"]).absolute(),
            duration_s=float(row["duration"]),
        )
        for row in rows
    ]
    read = [u for u in utterances if 2.5 <= (u.duration_s or 0) <= longest_s and len(u.reference.split()) >= 7]
    return read, RenderContext.of(utterances)


def run(table: Path, every: int, longest_s: float, only: list[str]) -> None:
    """Fill the table, condition by condition; what it holds is not done again."""
    done = set()
    if table.exists():
        with table.open(encoding="utf-8") as file:
            done = {(row["corpus"], row["profile"], row["severity"]) for row in csv.DictReader(file)}
    else:
        table.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    spec = EngineSpec(
        name="pocketsphinx", label="pocketsphinx", options={"parameters": {"maxhmmpf": 3000, "maxwpf": 10}}
    )
    engine = create(spec, EngineContext())
    normalize = get_normalizer("whisper-english").rules
    corpora = {"demo": _demo(every), "small_speech": _small_speech(longest_s)}
    for profile, severity in _conditions(only):
        for corpus, (utterances, context) in corpora.items():
            if not utterances or (corpus, profile, severity) in done:
                continue
            start = time.perf_counter()
            place = parse_condition(f"{profile}@{severity}" if severity else profile)
            renderer = Renderer([place], 1, context)
            errors = words = 0
            for utterance in utterances:
                clip = renderer.render(load_clip(utterance, 16_000), place, utterance.speaker_id).clip
                reference = normalize(utterance.reference).split()
                heard = normalize(engine.transcribe([clip])[0].text).split()
                errors += Levenshtein.distance(reference, heard)
                words += len(reference)
            row = (corpus, profile, severity, len(utterances), words, errors, round(errors / words, 4))
            with table.open("a", encoding="utf-8") as file:
                print(*row, round(time.perf_counter() - start, 1), sep=",", file=file)


def _conditions(only: list[str]) -> Iterator[tuple[str, str]]:
    yield "clean", ""
    for path in list_profiles():
        if only and path.stem not in only:
            continue
        for severity in SEVERITIES:
            yield path.stem, severity


def plot(table: Path, picture: Path) -> None:
    """Draw one line a profile, from mild to severe, for each corpus."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(r["corpus"], r["profile"], r["severity"]): 100 * float(r["wer"]) for r in rows}
    words = {r["corpus"]: r["words"] for r in rows}
    corpora = [c for c in ("demo", "small_speech") if c in words]
    profiles = sorted(
        {r["profile"] for r in rows if all((corpora[0], r["profile"], s) in found for s in SEVERITIES)},
        key=lambda p: -sum(found.get((c, p, "moderate"), 0) for c in corpora),
    )
    colours = {"mild": "#56b4e9", "moderate": "#0072b2", "severe": "#d55e00"}
    markers = {"mild": "o", "moderate": "s", "severe": "D"}
    with mpl.rc_context({"font.family": ["DejaVu Sans"], "font.size": 9}):
        figure = Figure(figsize=(5 * len(corpora) + 1.5, 0.29 * len(profiles) + 1.5), dpi=130, layout="constrained")
        axes = figure.subplots(1, len(corpora), sharey=True, squeeze=False)[0]
        for ax, corpus in zip(axes, corpora, strict=True):
            clean = found.get((corpus, "clean", ""))
            if clean is not None:
                ax.axvline(clean, color="#444444", linestyle=":", linewidth=1.2)
                ax.text(clean + 1, -0.75, f"clean {clean:.0f} %", fontsize=8, color="#444444", va="center")
            for y, profile in enumerate(profiles):
                values = [found.get((corpus, profile, s)) for s in SEVERITIES]
                shown = [v for v in values if v is not None]
                ax.plot(shown, [y] * len(shown), color="#c5ccd3", linewidth=2, zorder=1)
                for severity, value in zip(SEVERITIES, values, strict=True):
                    if value is not None:
                        ax.scatter(value, y, color=colours[severity], marker=markers[severity], s=26, zorder=2,
                                   label=severity if y == 0 else None)  # fmt: skip
            ax.set_title(f"{corpus} ({words[corpus]} words)", loc="left", fontsize=10, fontweight="bold")
            ax.set_xlabel("word error rate (%)")
            ax.set_xlim(0, max(100, 5 + max(v for (c, _, _), v in found.items() if c == corpus)))
            ax.grid(axis="x", color="#e3e7eb", linewidth=0.7)
            ax.set_axisbelow(True)
            for side in ("top", "right", "left"):
                ax.spines[side].set_visible(False)
            ax.tick_params(left=False)
        axes[0].set_yticks(range(len(profiles)), profiles)
        axes[0].set_ylim(len(profiles) - 0.4, -1.2)
        axes[-1].legend(frameon=False, loc="lower right", fontsize=8)
        figure.savefig(picture, metadata={"Software": None})
    rising = [
        p for p in profiles for c in corpora
        if (v := [found.get((c, p, s)) for s in SEVERITIES]) and None not in v and v[0] <= v[1] <= v[2]
    ]  # fmt: skip
    total = sum(1 for p in profiles for c in corpora if all((c, p, s) in found for s in SEVERITIES))
    print(f"{len(rising)} of {total} profile × corpus rise (or stay) with severity; {picture}")


if __name__ == "__main__":
    main()
