"""Speed, scaling, memory and accuracy of the conditions, each beside audiomentations where it does the same.

    python benchmarks/conditions.py speed            our chain and audiomentations' on 10 s at 16 kHz, one core
    python benchmarks/conditions.py workers          two processes against one
    python benchmarks/conditions.py memory           a three-hour noise recording
    python benchmarks/conditions.py accuracy         every noise × 200 real utterances × 20 … −5 dB, and appended
    silence

``accuracy`` needs the real recordings beside the repository (ASRFAIR_SHARED_DATA). Nothing is written but to a
temporary folder.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 -- after the number of threads is set
import soundfile  # noqa: E402
import soxr  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from acoustics_helpers import HEADER, RATE, noise_of, real_corpus, real_speech, synthetic_speech  # noqa: E402
from independent_p56 import measure  # noqa: E402

from asrfair.acoustics import Condition, Renderer, parse_condition  # noqa: E402
from asrfair.types import Clip  # noqa: E402

SHARED = Path(os.environ.get("ASRFAIR_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
CHAIN = """
[[effect]]
use = "impulse_response"
file = "room.wav"
[[effect]]
use = "noise"
source = "file"
file = "noise.wav"
snr_db = 10
[[effect]]
use = "band"
low_hz = 300
high_hz = 3400
[[effect]]
use = "codec"
codec = "mulaw"
"""


def main() -> None:
    """Run the part that is named."""
    parts: dict[str, Callable[[Path], None]] = {
        "speed": speed, "workers": workers, "memory": memory, "accuracy": accuracy, "_window": _window,
    }  # fmt: skip
    if len(sys.argv) < 2 or sys.argv[1] not in parts:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        parts[sys.argv[1]](Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder))


def _materials(folder: Path) -> Path:
    """Write a minute of noise, an impulse response of 0.5 s (16 kHz) and the profile of the chain."""
    rng = np.random.default_rng(0)
    soundfile.write(folder / "noise.wav", 0.1 * rng.standard_normal(60 * RATE), RATE)
    tail = rng.standard_normal(RATE // 2) * 10 ** (-3 * np.arange(RATE // 2) / (RATE // 2)) * 0.1
    tail[0] = 1.0
    soundfile.write(folder / "room.wav", tail, RATE, subtype="FLOAT")
    path = folder / "chain.toml"
    path.write_text(HEADER.format(name="chain") + CHAIN, encoding="utf-8")
    return path


def speed(folder: Path) -> None:
    """Time noise + room + band + codec on 10 s, ours and audiomentations', in turns on one core, for two rooms."""
    import audiomentations

    path = _materials(folder)
    text = path.read_text(encoding="utf-8")
    simulated = text.replace('use = "impulse_response"\nfile = "room.wav"', 'use = "room"\nrt60_s = 0.4')
    path.with_name("simulated.toml").write_text(
        simulated.replace('name = "chain"', 'name = "simulated"'), encoding="utf-8"
    )
    rooms = {
        "recorded room": ("chain", audiomentations.ApplyImpulseResponse(ir_path=str(folder / "room.wav"), p=1)),
        "simulated room": (
            "simulated",
            audiomentations.RoomSimulator(
                calculation_mode="rt60", min_target_rt60=0.4, max_target_rt60=0.4, leave_length_unchanged=True, p=1
            ),
        ),
    }
    for name, (profile, room) in rooms.items():
        theirs = audiomentations.Compose(
            [
                room,
                audiomentations.AddBackgroundNoise(
                    sounds_path=str(folder / "noise.wav"), min_snr_db=10, max_snr_db=10, p=1
                ),
                audiomentations.BandPassFilter(
                    min_center_freq=1850, max_center_freq=1850, min_bandwidth_fraction=1.67,
                    max_bandwidth_fraction=1.67, min_rolloff=24, max_rolloff=24, zero_phase=True, p=1,
                ),
                audiomentations.Lambda(transform=_mulaw, p=1),
            ]
        )  # fmt: skip
        _race(name, parse_condition(str(folder / f"{profile}.toml")), theirs, 104 if profile == "chain" else 14)


def _mulaw(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Do what a mu-law telephone line does, which audiomentations lacks: 8 kHz, 8 bits on a logarithmic scale."""
    narrow = soxr.resample(samples, sample_rate, 8000)
    companded = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log1p(255)
    steps = np.round((companded + 1) * 127.5) / 127.5 - 1
    expanded = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(255)) / 255
    return soxr.resample(expanded.astype(np.float32), 8000, sample_rate)


def _race(name: str, place: Condition, theirs: Callable[..., np.ndarray], turns: int) -> None:
    renderer = Renderer([place], 1)
    clips = [synthetic_speech(10.0, seed=i) for i in range(4)]
    times: dict[str, list[float]] = {"ours": [], "audiomentations": []}
    for turn in range(turns):
        clip = clips[turn % len(clips)]
        for who, spent in times.items():
            start = time.process_time()
            if who == "ours":
                renderer.render(clip, place, "s")
            else:
                theirs(clip.samples, RATE)
            # The first four turns fill caches: files, and the placements of a simulated room.
            if turn >= 4:
                spent.append(time.process_time() - start)
    # The least of many is what the code costs; what lies above it is the rest of the machine.
    least = {who: 1000 * min(values) for who, values in times.items()}
    middle = {who: 1000 * float(np.median(values)) for who, values in times.items()}
    print(f"{name}: ours {least['ours']:.1f} ms, audiomentations {least['audiomentations']:.1f} ms of processor time a "
          f"clip (least of {turns - 4}; medians {middle['ours']:.1f} and {middle['audiomentations']:.1f}): ours is "
          f"{least['audiomentations'] / least['ours']:.2f} times as fast")  # fmt: skip


def _many(work: tuple[str, int, int]) -> int:
    place = parse_condition(work[0])
    renderer = Renderer([place], 1)
    for i in range(work[1], work[2]):
        renderer.render(synthetic_speech(5.0, seed=i), place, "s")
    return work[2] - work[1]


def workers(folder: Path) -> None:
    """Time 160 clips of 5 s in one process and in two; loading the code is not counted."""
    path = str(_materials(folder))
    seconds = {}
    for count in (1, 2):
        share = 160 // count
        with multiprocessing.get_context("spawn").Pool(count) as pool:
            pool.map(_many, [(path, 0, 2)] * count, chunksize=1)
            start = time.perf_counter()
            pool.map(_many, [(path, i * share, (i + 1) * share) for i in range(count)], chunksize=1)
            seconds[count] = time.perf_counter() - start
    print(f"1 worker {seconds[1]:.2f} s, 2 workers {seconds[2]:.2f} s: {seconds[1] / seconds[2]:.2f} times as fast")


def memory(folder: Path) -> None:
    """Let a fresh process use a short and a three-hour recording as noise; print the memory that each costs."""
    rng = np.random.default_rng(0)
    minute = (0.1 * rng.standard_normal(60 * RATE)).astype(np.float32)
    peaks = {}
    for name, minutes in (("10 s", 0), ("3 h", 180)):
        home = folder / str(minutes)
        home.mkdir()
        with soundfile.SoundFile(home / "noise.wav", "w", RATE, 1, subtype="PCM_16") as file:
            file.write(minute[: 10 * RATE] if not minutes else minute)
            for _ in range(minutes - 1):
                file.write(minute)
        (home / "p.toml").write_text(
            HEADER.format(name="p") + '[[effect]]\nuse = "noise"\nsource = "file"\nfile = "noise.wav"\nsnr_db = 5\n'
        )
        done = subprocess.run(
            [sys.executable, __file__, "_window", str(home)], check=True, capture_output=True, text=True
        )
        found = json.loads(done.stdout)
        peaks[name] = found["peak_mb"]
        size_mb = (home / "noise.wav").stat().st_size / 1e6
        print(f"{name:5} recording of {size_mb:6.1f} MB: peak {found['peak_mb']:.1f} MB, "
              f"read once in {found['read_s']:.2f} s, then {found['render_ms']:.1f} ms a clip")  # fmt: skip
    print(f"three hours cost {peaks['3 h'] - peaks['10 s']:.1f} MB more than ten seconds")


def _window(folder: Path) -> None:
    start = time.perf_counter()
    place = parse_condition(str(folder / "p.toml"))
    read_s = time.perf_counter() - start
    renderer = Renderer([place], 1)
    start = time.perf_counter()
    for i in range(30):
        renderer.render(synthetic_speech(3.0, seed=i), place, "s")
    render_ms = (time.perf_counter() - start) / 30 * 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak, "read_s": read_s, "render_ms": render_ms}))


def accuracy(folder: Path) -> None:
    """Cross every noise with 200 utterances and six ratios; measure with code that shares nothing with ours."""
    from test_conditions_noise import SNRS, _noises

    speech, corpus = real_speech(SHARED, 200), real_corpus(SHARED)
    measured = {clip.utterance_id: measure(clip.samples.astype(np.float64), RATE) for clip, _ in speech}
    longer = [
        (
            Clip(
                utterance_id=clip.utterance_id,
                samples=np.concatenate([clip.samples, np.zeros(3 * RATE, np.float32)]),
                sample_rate_hz=RATE,
            ),
            speaker,
        )
        for clip, speaker in speech
    ]
    tails = {clip.utterance_id: measure(clip.samples.astype(np.float64), RATE) for clip, _ in longer}
    print(f"{'noise':18} {'worst error dB':>15} {'silence moves dB':>17} {'missed':>7} {'redrawn':>8}")
    for i, (name, body) in enumerate(_noises(SHARED).items()):
        path = folder / f"n-{i}.toml"
        path.write_text(
            HEADER.format(name=f"n-{i}") + f'[[effect]]\nuse = "noise"\nsnr_db = 0\n{body}\n', encoding="utf-8"
        )
        places = [parse_condition(f"{path}@snr={snr}") for snr in SNRS]
        renderer = Renderer(places, 1, corpus)
        worst = moved = 0.0
        missed = redrawn = 0
        for (clip, speaker), (long, _) in zip(speech, longer, strict=True):
            for snr, place in zip(SNRS, places, strict=True):
                found = renderer.render(clip, place, speaker)
                redrawn += "noise.redrawn" in found.achieved
                if "noise.missed_speech" in found.achieved:
                    missed += 1
                    continue
                error = _ratio(clip, found, measured[clip.utterance_id]) - snr
                worst = max(worst, abs(error))
                if snr == 5:
                    found = renderer.render(long, place, speaker)
                    if "noise.missed_speech" not in found.achieved:
                        moved = max(moved, abs(_ratio(long, found, tails[clip.utterance_id]) - snr - error))
        print(f"{name:18} {worst:15.4f} {moved:17.4f} {missed:7d} {redrawn:8d}", flush=True)


def _ratio(clip: Clip, found: object, level: tuple[float, np.ndarray]) -> float:
    noise = noise_of(clip, found.clip, found.achieved)  # type: ignore[attr-defined]
    return level[0] - 10 * float(np.log10(np.mean(noise[level[1]] ** 2)))


if __name__ == "__main__":
    main()
