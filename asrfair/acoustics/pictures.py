"""Pictures of a place: a clip before and after, and a contact sheet of all profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from asrfair.data.wholefile import open_whole
from asrfair.errors import printable

if TYPE_CHECKING:
    import numpy.typing as npt

    from asrfair.types import Clip

DEPTH_DB: Final = 75.0
"""How far below the loudest cell of the clean clip the colours go."""

_INK, _MUTED, _BEFORE, _AFTER = "#1b1f24", "#5b6570", "#0072b2", "#d55e00"
_RC: Final[Mapping[str, Any]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "text.parse_math": False,
    "text.usetex": False,
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One picture of a contact sheet."""

    title: str
    caption: str
    clip: Clip


def before_and_after(before: Clip, after: Clip, path: Path, *, title: str, achieved: Mapping[str, float | str]) -> None:
    """Write a PNG: the two spectrograms on one scale, and the two long-term spectra in third octaves."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(dict(_RC)):
        figure = Figure(figsize=(11, 5.6), dpi=120)
        grid = figure.add_gridspec(
            2, 3, width_ratios=[2.2, 0.04, 1], left=0.06, right=0.93, top=0.83, bottom=0.09, hspace=0.4, wspace=0.17
        )
        top = _peak_db(before)
        image: Any = None
        for row, (clip, name) in enumerate(((before, "before"), (after, "after"))):
            axes = figure.add_subplot(grid[row, 0])
            image = _spectrogram(axes, clip, top)
            axes.set_title(f"{name}: {clip.duration_s:.2f} s, {clip.sample_rate_hz} Hz")
            axes.set_ylabel("frequency (kHz)")
        axes.set_xlabel("time (s)")
        bar = figure.colorbar(image, cax=figure.add_subplot(grid[:, 1]))
        bar.outline.set_visible(False)
        bar.ax.set_title("dB", fontsize=8)
        side = figure.add_subplot(grid[:, 2])
        for clip, name, colour, dash in ((before, "before", _BEFORE, "-"), (after, "after", _AFTER, "--")):
            centres, levels = third_octaves(clip.samples, clip.sample_rate_hz)
            side.semilogx(centres, levels, color=colour, linestyle=dash, label=name)
        side.set_title("long-term level in third octaves")
        side.set_xlabel("frequency (Hz)")
        side.set_ylabel("dB re full scale")
        side.yaxis.tick_right()
        side.yaxis.set_label_position("right")
        ticks = [t for t in (63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000) if t < before.sample_rate_hz / 2]
        side.set_xticks(ticks, [str(t) if t < 1000 else f"{t // 1000}k" for t in ticks])
        side.minorticks_off()
        side.legend(frameon=False)
        figure.text(0.06, 0.955, printable(title, limit=110), fontsize=13, fontweight="bold", color=_INK)
        figure.text(0.06, 0.905, _summary(achieved), fontsize=8.5, color=_MUTED)
        _save(figure, path)


def contact_sheet(tiles: Sequence[Tile], path: Path, *, title: str, columns: int = 4) -> None:
    """Write a PNG with one spectrogram a condition, all on the scale of the first."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = -(-len(tiles) // columns)
    with mpl.rc_context(dict(_RC)):
        figure = Figure(figsize=(3.3 * columns, 1.75 * rows + 0.7), dpi=120)
        height = 1.75 * rows + 0.7
        grid = figure.add_gridspec(
            rows, columns, left=0.035, right=0.99, top=1 - 0.75 / height, bottom=0.3 / height, hspace=0.55, wspace=0.14
        )
        top = _peak_db(tiles[0].clip)
        for i, tile in enumerate(tiles):
            axes = figure.add_subplot(grid[i // columns, i % columns])
            _spectrogram(axes, tile.clip, top)
            axes.set_title(printable(tile.title, limit=34), fontsize=8.5, fontweight="bold", pad=11)
            caption = printable(tile.caption, limit=60)
            axes.text(0, 1.03, caption, transform=axes.transAxes, fontsize=6.8, color=_MUTED)
            axes.tick_params(labelsize=6.5, length=2)
        figure.text(0.035, 1 - 0.35 / height, printable(title, limit=120), fontsize=12, fontweight="bold", color=_INK)
        _save(figure, path)


def third_octaves(
    samples: npt.NDArray[Any], sample_rate_hz: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return centres (Hz, from 50 up) and levels (dB re full scale) of third-octave bands, shape (bands,)."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2 * 2 / samples.size**2
    frequencies = np.arange(spectrum.size) * sample_rate_hz / samples.size
    centres = 1000 * 2 ** (np.arange(-13, 14) / 3)
    centres = centres[centres * 2 ** (1 / 6) <= sample_rate_hz / 2]
    cumulative = np.concatenate([[0.0], np.cumsum(spectrum)])
    low = np.searchsorted(frequencies, centres * 2 ** (-1 / 6))
    high = np.searchsorted(frequencies, centres * 2 ** (1 / 6))
    levels = 10 * np.log10(np.maximum(cumulative[high] - cumulative[low], 1e-12))
    return centres, levels


def _transform(clip: Clip) -> tuple[npt.NDArray[np.float64], float]:
    rate = clip.sample_rate_hz
    size = round(0.032 * rate)
    hop = max(round(0.008 * rate), clip.samples.size // 1500)
    samples = clip.samples.astype(np.float64)
    if samples.size < size:
        samples = np.pad(samples, (0, size - samples.size))
    engine = ShortTimeFFT(hann(size, sym=False), hop, rate, scale_to="magnitude")
    power = np.abs(engine.stft(samples)) ** 2
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-14))
    return levels, samples.size / rate


def _peak_db(clip: Clip) -> float:
    return float(_transform(clip)[0].max())


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    hertz: npt.NDArray[np.float64] = 700 * (10 ** (mel / 2595) - 1)
    return hertz


def _spectrogram(axes: Any, clip: Clip, top_db: float) -> Any:
    levels, duration = _transform(clip)
    highest = clip.sample_rate_hz / 2
    wanted = _hertz(np.linspace(0, _mel(highest), 200))
    rows = np.clip(np.round(wanted / highest * (len(levels) - 1)).astype(np.int64), 0, len(levels) - 1)
    image = axes.imshow(
        levels[rows],
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top_db - DEPTH_DB,
        vmax=top_db,
        extent=(0, duration, 0, _mel(highest)),
        interpolation="nearest",
    )
    ticks = [hz for hz in (0, 500, 1000, 2000, 4000, 8000, 16_000) if hz <= highest]
    axes.set_yticks([_mel(hz) for hz in ticks], [f"{hz / 1000:g}" for hz in ticks])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return image


def _summary(achieved: Mapping[str, float | str]) -> str:
    """Return the achieved values that fit on one line: ratios and levels first."""
    wanted = [
        k for k in achieved if k.endswith(("snr_db", "snr_end_db", "level_dbfs", "headroom_gain_db", "rt60_s", "loss"))
    ]
    parts = []
    for key in wanted[:6]:
        value = achieved[key]
        parts.append(f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {printable(value, limit=30)}")
    return "   ".join(parts)


def _save(figure: Any, path: Path) -> None:
    with open_whole(path) as stream:
        figure.savefig(stream, format=path.suffix.lstrip("."), metadata={"Software": None})
