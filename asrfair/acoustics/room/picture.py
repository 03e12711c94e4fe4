"""One page of what ``profile make`` heard: when, how loud, which tones, which beat."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from asrfair.acoustics.room.usable_noise import CELL_S, Heard, read, reasons
from asrfair.data.wholefile import open_whole
from asrfair.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_INK, _MUTED, _USED, _TONE = "#1b1f24", "#5b6570", "#0072b2", "#d55e00"
_BEATS: Final = (_TONE, "#009e73", "#cc79a7", "#999999")
_REASONS: Final[Mapping[str, str]] = {
    "speech": "#d55e00",
    "clipped": "#cc79a7",
    "silent": "#999999",
    "short": "#d9d9d9",
}
_RC: Final[Mapping[str, Any]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "text.parse_math": False,
    "text.usetex": False,
    "savefig.facecolor": "white",
}
MOST_LINES = 12
_SPECTROGRAM_S = 12.0
_MOST_POINTS = 4000


def draw(heard: Heard, path: Path, *, title: str, text: str) -> None:
    """Write the page as PNG.

    Args:
        heard: What was heard.
        path: Where to.
        title: The profile's name.
        text: What was heard, in words.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(dict(_RC)):
        figure = Figure(figsize=(11.7, 8.3), dpi=110)
        grid = figure.add_gridspec(
            3, 2, width_ratios=[1.45, 1], height_ratios=[1, 1.3, 1.15],
            left=0.07, right=0.97, top=0.83, bottom=0.07, hspace=0.5, wspace=0.2,
        )  # fmt: skip
        _levels(figure.add_subplot(grid[0, :]), heard)
        _spectrum(figure.add_subplot(grid[1, :]), heard)
        _spectrogram(figure.add_subplot(grid[2, 0]), heard)
        _beat(figure.add_subplot(grid[2, 1]), heard)
        used = sum(s.duration_s for s in heard.usable)
        total = sum(r.duration_s for r in heard.recordings)
        head = f"{used:.1f} s of {total:.1f} s used, in {len(heard.usable)} stretches; refused: "
        text = f"{head}{reasons(heard.stretches)}. {text}"
        figure.text(0.07, 0.95, printable(title, limit=80), fontsize=15, fontweight="bold", color=_INK)
        figure.text(0.07, 0.932, textwrap.fill(text, 165), fontsize=9, color=_MUTED, verticalalignment="top")
        with open_whole(path) as stream:
            figure.savefig(stream, format=path.suffix.lstrip("."), metadata={"Software": None})


def _levels(axes: Any, heard: Heard) -> None:
    """Level over time, all recordings one after another, with what was refused in colour."""
    from matplotlib.patches import Patch

    starts = np.concatenate([[0.0], np.cumsum([r.duration_s for r in heard.recordings])])
    shown: dict[str, Any] = {}
    for stretch in heard.stretches:
        begin = starts[stretch.recording]
        if stretch.reason:
            colour = _REASONS[stretch.reason]
            axes.axvspan(begin + stretch.start_s, begin + stretch.end_s, color=colour, alpha=0.3, linewidth=0)
            shown.setdefault(stretch.reason, Patch(color=colour, alpha=0.3, label=f"refused: {stretch.reason}"))
    for index, levels in enumerate(heard.levels_dbfs):
        step = max(1, math.ceil(levels.size / _MOST_POINTS))
        whole = levels[: levels.size // step * step].reshape(-1, step).max(axis=1) if step > 1 else levels
        time = starts[index] + (np.arange(whole.size) + 0.5) * CELL_S * step
        axes.plot(time, whole, color=_USED, linewidth=0.8)
        if index:
            axes.axvline(starts[index], color=_MUTED, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, starts[-1])
    lowest = min(float(levels.min()) for levels in heard.levels_dbfs)
    axes.set_ylim(bottom=max(lowest, heard.noise.quiet_dbfs - 25) - 3)
    axes.set_title("When: level every tenth of a second" + (" (recordings in a row)" if len(starts) > 2 else ""))
    axes.set_xlabel("time (s)")
    axes.set_ylabel("dB re full scale")
    if shown:
        axes.legend(
            handles=list(shown.values()), frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(shown)
        )


def _spectrum(axes: Any, heard: Heard) -> None:
    """Long-term spectrum, fine and in third octaves, with the tones named."""
    noise = heard.noise
    low = noise.frequency_hz >= 20
    axes.semilogx(noise.frequency_hz[low], noise.spectrum_db[low], color=_USED, linewidth=0.8, label="in bands of 4 Hz")
    bands = np.isfinite(noise.band_dbfs) & (noise.band_hz >= 25)
    axes.step(
        noise.band_hz[bands] * 2 ** (1 / 6), noise.band_dbfs[bands], where="pre", color=_MUTED, linewidth=1.1,
        label="in third octaves",
    )  # fmt: skip
    named: list[float] = []
    top = float(np.max(noise.spectrum_db[low]))
    for tone in noise.tones[:10]:
        level = float(np.interp(tone.frequency_hz, noise.frequency_hz, noise.spectrum_db))
        axes.plot([tone.frequency_hz], [level], marker="v", color=_TONE, markersize=5)
        if all(abs(math.log2(tone.frequency_hz / other)) > 0.28 for other in named):
            axes.annotate(
                f"{tone.frequency_hz:.1f}", (tone.frequency_hz, level), xytext=(0, 7), textcoords="offset points",
                ha="center", fontsize=8, color=_TONE,
            )  # fmt: skip
            named.append(tone.frequency_hz)
    highest = max(heard.recordings[s.recording].sample_rate_hz for s in heard.usable) / 2
    axes.set_xlim(20, min(highest, 20_000))
    floor = float(np.percentile(noise.spectrum_db[low], 2))
    axes.set_ylim(max(floor, top - 90) - 5, top + 12)
    ticks = [t for t in (31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000) if t < highest]
    axes.set_xticks(ticks, [f"{t:g}" if t < 1000 else f"{t // 1000}k" for t in ticks])
    axes.minorticks_off()
    count = len(noise.tones)
    found = f"{count} steady tone{'s' if count > 1 else ''}, in Hz" if count else "no steady tone"
    axes.set_title(f"What: long-term spectrum; {found}")
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel("dB re full scale")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _spectrogram(axes: Any, heard: Heard) -> None:
    """The longest usable stretch, its first seconds; not where people's talk could be read from it."""
    if heard.speech_s:
        axes.set_axis_off()
        axes.set_title("No spectrogram: people speak in what was used")
        return
    longest = max(heard.usable, key=lambda s: s.duration_s)
    recording = heard.recordings[longest.recording]
    end = min(longest.end_s, longest.start_s + _SPECTROGRAM_S)
    samples = next(read(recording, longest.start_s, end)).astype(np.float64)
    rate = recording.sample_rate_hz
    size = min(1 << round(math.log2(rate * 0.064)), samples.size)
    hop = max(1, size // 4)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size)
    levels = 10 * np.log10(np.abs(np.fft.rfft(frames, axis=1)).T ** 2 + 1e-12)
    peak = float(np.percentile(levels, 99.8))
    axes.imshow(
        levels, origin="lower", aspect="auto", cmap="magma", vmin=peak - 65, vmax=peak, interpolation="nearest",
        extent=(longest.start_s, end, 0, rate / 2000),
    )  # fmt: skip
    axes.set_ylim(0, min(rate / 2000, 8))
    name = printable(recording.path.name, limit=32)
    axes.set_title(f"Spectrogram from {longest.start_s:.1f} s of {name}")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("frequency (kHz)")


def _beat(axes: Any, heard: Heard) -> None:
    """Autocorrelation of the envelope, with the beat's multiples."""
    noise = heard.noise
    axes.plot(noise.lag_s[1:], noise.correlation[1:], color=_USED, linewidth=1)
    axes.axhline(0, color=_MUTED, linewidth=0.6)
    axes.set_ylim(-0.6, 1.05)
    shown = 4.0 if not noise.beats else min(4.0, max(0.5, 4 / min(beat.rate_hz for beat in noise.beats)))
    axes.set_xlim(0, min(shown, float(noise.lag_s[-1])))
    for beat, colour in zip(noise.beats, _BEATS, strict=False):  # no more, or a fast beat hides the curve
        for multiple in range(1, min(int(shown * beat.rate_hz), MOST_LINES) + 1):
            axes.axvline(multiple / beat.rate_hz, color=colour, linewidth=0.8, linestyle="--")
    listed = ", ".join(f"{beat.rate_hz:.3f}" for beat in noise.beats)
    axes.set_title(
        f"Beats of the envelope: {listed} a second" if listed else "Beats of the envelope: none that is steady"
    )
    axes.set_xlabel("lag (s)")
    axes.set_ylabel("autocorrelation")
