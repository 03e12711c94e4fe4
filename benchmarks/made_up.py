"""A made-up benchmark in the shape of AfriSpeech: 25 engines × 108 accents, scored and analysed by asrfair itself.

    python benchmarks/made_up.py --out /tmp/made-up                              # transcripts, run folder, report
    python benchmarks/made_up.py --out /tmp/made-up --engines 6 --accents 12     # a small one

What makes such runs hard to read is in it: accents of one speaker and of hundreds, engines that repeat themselves (a
WER above 100 %), accents that are hard for every engine, long dictations beside short answers. Nobody said any of it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import time
from pathlib import Path
from typing import Final

import numpy as np

ACCENTS: Final = (
    *(
        "yoruba",
        "igbo",
        "swahili",
        "hausa",
        "ijaw",
        "afrikaans",
        "idoma",
        "zulu",
        "setswana",
        "twi",
        "isizulu",
        "igala",
    ),
    *("izon", "kiswahili", "ebira", "luganda", "urhobo", "nembe", "ibibio", "pidgin", "luhya", "kinyarwanda", "xhosa"),
    *("tswana", "esan", "alago", "tshivenda", "fulani", "isoko", "akan (fante)", "ikwere", "sepedi", "efik", "edo"),
    *("luo", "kikuyu", "bekwarra", "isixhosa", "hausa/fulani", "epie", "isindebele", "venda and xitsonga", "sotho"),
    *("akan", "nupe", "anaang", "english", "afemai", "shona", "eggon", "luganda and kiswahili", "ukwuani", "sesotho"),
    *("benin", "kagoma", "nasarawa eggon", "tiv", "south african english", "borana", "swahili, luganda", "ogoni"),
    *("mada", "bette", "berom", "bini", "ngas", "etsako", "okrika", "venda", "siswati", "damara", "yoruba, hausa"),
    *("southern sotho", "kanuri", "itsekiri", "ekpeye", "mwaghavul", "bajju", "ekene", "jaba", "ika", "angas", "ateso"),
    *("brass", "ikulu", "eleme", "chichewa", "oklo", "meru", "agatu", "okirika", "igarra", "ijaw(nembe)", "khana"),
    *("ogbia", "gbagyi", "portuguese", "delta", "bassa", "etche", "kubi", "jukun", "igbo and yoruba", "urobo"),
    *("kalabari", "ibani", "obolo", "tigrinya"),
)
ENGINES: Final = tuple(
    f"{family}_{size}"
    for family, sizes in {
        "whisper": ("tiny", "base", "small", "medium", "large_v2", "large_v3", "large_v3_turbo"),
        "wav2vec2": ("base_960h", "large_960h", "large_robust", "xlsr_53"),
        "hubert": ("large_ls960", "xlarge_ls960"),
        "wavlm": ("base_plus", "large"),
        "parakeet": ("ctc_0.6b", "rnnt_1.1b", "tdt_0.6b_v3"),
        "canary": ("180m_flash", "1b"),
        "service": ("north", "south", "east", "west", "medical"),
    }.items()
    for size in sizes
)
SENTENCES: Final = (
    "the patient was seen in clinic today and has no known drug allergies blood pressure is one hundred twenty over "
    "eighty she was given paracetamol for pain and amoxicillin twice daily for seven days review again next week if "
    "fever returns or breathing becomes difficult please call ward nine a chest x ray showed nothing new he denies "
    "cough vomiting or weight loss and eats well his mother will bring him back on monday morning before noon"
)
"""Where the words of every sentence come from; dictations in a clinic, made up."""
WORDS: Final = tuple(SENTENCES.split())


def make_transcripts(
    folder: Path,
    *,
    engines: int = 25,
    accents: int = 108,
    speakers: int = 750,
    conditions: tuple[str, ...] = ("clean",),
    seed: int = 1,
) -> list[str]:
    """Write a manifest (``manifest.csv``, ``made-up.toml``) and transcripts; return the arguments of ``asrfair score``.

    Args:
        folder: Where to; made if need be.
        engines: How many of :data:`ENGINES`.
        accents: How many of :data:`ACCENTS`; the later, the fewer speakers.
        speakers: Speakers in all, at least one an accent.
        conditions: Names; the further down, the noisier.
        seed: Of everything that is drawn.
    """
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    share = 1 / (1 + np.arange(accents)) ** 1.1
    extra = generator.choice(accents, max(speakers - accents, 0), p=share / share.sum())
    accent = np.concatenate([np.arange(accents), extra])
    own = generator.gamma(6, 1 / 6, len(accent))
    hard = 0.7 + 0.9 * generator.beta(2, 3, accents)
    rows = []
    for person, group in enumerate(accent.tolist()):
        for _ in range(int(generator.integers(2, 6))):
            length = int(generator.choice([6, 12, 18, 60], p=[0.3, 0.4, 0.25, 0.05]))
            start = int(generator.integers(0, len(WORDS)))
            text = [WORDS[(start + step) % len(WORDS)] for step in range(length)]
            rows.append((f"utt-{len(rows):05d}", person, text, group))
    genders = generator.choice(["female", "male", ""], len(accent), p=[0.55, 0.4, 0.05])
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("utterance_id", "speaker_id", "reference", "accent", "gender"))
        for name, person, text, group in rows:
            writer.writerow((name, f"speaker-{person:04d}", " ".join(text), ACCENTS[group], genders[person]))
    (folder / "made-up.toml").write_text(
        '[manifest]\nname = "made-up"\nversion = "1"\ntable = "manifest.csv"\nlicence = "CC0-1.0"\n'
        '[attributes.accent]\ndescription = "made up"\nprovenance = "self-reported"\n'
        '[attributes.gender]\ndescription = "made up"\nprovenance = "self-reported"\n',
        encoding="utf-8",
    )
    arguments = ["--manifest", str(folder / "made-up.toml"), "--by", "accent", "--by", "gender"]
    for number in range(engines):
        skill = 0.10 + 0.30 * number / max(engines - 1, 1) * float(generator.uniform(0.7, 1.3))
        loops = 0.012 if ENGINES[number].startswith("wav2vec2") else 0.001
        for noise, condition in enumerate(conditions):
            path = folder / f"{ENGINES[number]}-{noise}.csv"
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(("utterance_id", "hypothesis"))
                for name, person, text, group in rows:
                    rate = min(skill * hard[group] * own[person] * (1 + 0.6 * noise), 0.85)
                    writer.writerow((name, _heard(text, rate, loops, generator)))
            arguments += ["--hypotheses", f"{ENGINES[number]}@{condition}={path}"]
    return arguments


def _heard(text: list[str], rate: float, loops: float, generator: np.random.Generator) -> str:
    """Return what an engine with this error rate makes of a sentence; now and then it repeats the last words."""
    heard: list[str] = []
    draws = generator.random((len(text), 2))
    for word, (wrong, kind) in zip(text, draws.tolist(), strict=True):
        if wrong >= rate:
            heard.append(word)
        elif kind < 0.6:
            heard.append(WORDS[int(kind * 1000) % len(WORDS)])
        elif kind < 0.85:
            continue
        else:
            heard += [word, WORDS[int(kind * 1000) % len(WORDS)]]
    if generator.random() < loops:
        heard += (heard[-2:] or ["the"]) * int(generator.integers(10, 120))
    return " ".join(heard)


def make_made_up_run(folder: Path, *, draws: int = 200, html: bool = True, **size: object) -> Path:
    """Make transcripts and score them; return the run folder."""
    from asrfair.cli.main import run as command

    arguments = make_transcripts(folder, **size)  # type: ignore[arg-type]
    arguments += ["--draws", str(draws), "--out", str(folder / "run"), *([] if html else ["--no-html"])]
    code = command(["score", *arguments, "--json"])
    if code:
        raise SystemExit(code)
    return folder / "run"


def main() -> None:
    """Make the run and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engines", type=int, default=25)
    parser.add_argument("--accents", type=int, default=108)
    parser.add_argument("--speakers", type=int, default=750)
    parser.add_argument("--draws", type=int, default=200)
    chosen = parser.parse_args()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        run = make_made_up_run(
            chosen.out, draws=chosen.draws, engines=chosen.engines, accents=chosen.accents, speakers=chosen.speakers
        )
    print(f"{run}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
