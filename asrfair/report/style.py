"""The look of every plot: quiet, colours that colour-blind readers can tell apart, the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asrfair.data.wholefile import write_whole
from asrfair.report.fontset import BASE, columns, directed, families, shown
from asrfair.say import words
from asrfair.types import INTERSECTION, NOT_STATED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

INK: Final = "#1b1f24"
MUTED: Final = "#5b6570"
RULE: Final = "#d5dae0"
ACCENT: Final = "#0b5394"
WARN: Final = "#b3470b"

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8c6d00", "#56b4e9", "#882255", "#444444")
"""After Okabe and Ito (and Tol): distinct under every common colour blindness; each comes with its own marker."""
MARKERS: Final = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))

RC: Final[Mapping[str, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": False,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.max_open_warning": 0,
    "font.size": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 160,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "asrfair",
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
}

MAX_PIXELS: Final = 5_000_000
"""Size above which a PNG gets fewer dots an inch than 160."""


@contextmanager
def style() -> Iterator[None]:
    """Use asrfair's style inside the block, whatever the user's matplotlib settings are."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        mpl.rcParams["font.family"] = list(families())
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that needs no display and is remembered by nobody (no pyplot state)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, stem: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write a figure as ``stem.png`` and ``stem.svg``; the same figure gives the same bytes.

    Args:
        figure: What the functions of :mod:`asrfair.report.plots` return.
        stem: Path without suffix; its folder is made.
        formats: ``png``, ``svg`` or both.
    """
    written = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        write_whole(path, figure_bytes(figure, kind))
        written.append(path)
    return written


def figure_bytes(figure: Figure, kind: str, *, outlines: bool = False) -> bytes:
    """Return a figure as the bytes of a PNG or SVG file, without date or version in it.

    Args:
        figure: The figure.
        kind: ``png`` or ``svg``.
        outlines: Whether an SVG draws letters as outlines, for readers that do not choose fonts by letter.
    """
    try:
        return _drawn(figure, kind, (BASE,), outlines=outlines)  # of a list of fonts every one is asked for every text
    except UserWarning:
        return _drawn(figure, kind, families(), outlines=outlines)


def _drawn(figure: Figure, kind: str, fonts: tuple[str, ...], *, outlines: bool) -> bytes:
    """Draw a figure; a letter that the base font alone does not have is an error."""
    import matplotlib as mpl
    from matplotlib.text import Text

    stream = io.BytesIO()
    metadata = {"Date": None, "Creator": "asrfair"} if kind == "svg" else {"Software": "asrfair"}
    width, height = figure.get_size_inches()
    dpi = min(160.0, (MAX_PIXELS / (width * height)) ** 0.5)
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts)
    with style(), warnings.catch_warnings():
        mpl.rcParams["font.family"] = list(fonts)
        # A letter of a script that no shipped font has is drawn as a frame that names the script.
        warnings.filterwarnings("error" if fonts == (BASE,) else "ignore", message="Glyph .* missing from font")
        if outlines:
            mpl.rcParams["svg.fonttype"] = "path"
        figure.savefig(stream, format=kind, metadata=metadata, **({"dpi": dpi} if kind == "png" else {}))
    named = ", ".join(f"'{name}'" for name in fonts).encode()  # a browser has fonts of its own
    drawn = stream.getvalue()
    return drawn.replace(named, f"'{BASE}', 'Noto Sans', sans-serif".encode()) if kind == "svg" else drawn


def svg_size(drawing: bytes) -> tuple[int, int]:
    """Return width and height of one of our SVGs in CSS pixels (96 an inch; matplotlib writes points, 72 an inch)."""
    found = [re.search(rb"<svg[^>]*\b" + name + rb'="([\d.]+)pt"', drawing) for name in (b"width", b"height")]
    width, height = (round(float(match.group(1)) * 96 / 72) if match else 800 for match in found)
    return width, height


def shortened(text: str, limit: int = 34) -> str:
    """Return a label cut in the middle to ``limit`` characters, so that its beginning and its end can both be read."""
    text = shown(text)
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return text[:head].rstrip() + "…" + text[-(limit - 1 - head) :].lstrip()


def worst_row(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the row with the highest WER among those large enough for an interval (among all where none is).

    Those who did not state the attribute are no group that a title may call the worst, unless there is no other.
    """
    stated = rows[stated_groups(rows["group"])]
    rows = stated if len(stated) else rows
    known = rows[rows["ci_low"].notna()] if "ci_low" in rows else rows
    return (
        (known if len(known) else rows).sort_values("rate", ascending=False, kind="stable", na_position="last").iloc[0]
    )


def stated_groups(groups: pd.Series[Any]) -> pd.Series[bool]:
    """Tell which groups are of people who stated what they are grouped by."""
    return ~groups.astype(str).map(lambda name: NOT_STATED in name.split(INTERSECTION))


def of_all(shown: int, every: int, what: str) -> str:
    """Return "40 of 108 groups shown", or nothing where all are."""
    return f"{shown} of {words.counted(every, what)} shown" if shown < every else ""


def distinct(names: Sequence[str], limit: int = 34) -> list[str]:
    """Return labels of at most about ``limit`` characters that can be told apart wherever the names can.

    Names that would be cut to the same label keep their first word and the part in which they begin to differ.
    """
    labels = [shortened(name, limit) for name in names]
    for label in {label for label in labels if labels.count(label) > 1}:
        places = [place for place, other in enumerate(labels) if other == label]
        same = _shared_start([names[place] for place in places])
        start = max(names[places[0]].rfind(" ", 0, same), 0)
        for place in places:
            head = shortened(names[place], limit).split(" ")[0][:10]
            labels[place] = shortened(f"{head} …{names[place][start:]}", limit) if start else label
    seen: dict[str, int] = {}
    for place, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            labels[place] = f"{label} [{seen[label]}]"
    return labels


def _shared_start(names: Sequence[str]) -> int:
    """Return how many characters all names begin with together."""
    shortest, last = min(names), max(names)
    return next((at for at, c in enumerate(shortest) if at >= len(last) or last[at] != c), len(shortest))


def group_names(groups: Sequence[object]) -> list[str]:
    """Return the names of groups as labels that can be told apart, in any script."""
    return [directed(name) for name in distinct([words.group_words(group) for group in groups])]


def group_name(group: object) -> str:
    """Return the name of a group for a title."""
    return directed(words.group_words(group))


def group_labels(groups: Sequence[object], speakers: Sequence[int]) -> list[str]:
    """Return the labels of groups: names that can be told apart, each with its number of speakers."""
    names = group_names(groups)
    return [f"{name}  ({words.counted(count, 'speaker')})" for name, count in zip(names, speakers, strict=True)]


def wrapped(text: str, width: int, *, lines: int = 4) -> str:
    """Return a title broken into at most ``lines`` lines of at most ``width`` characters."""
    import textwrap

    text = shown(text)
    width = max(width * len(text) // max(columns(text), 1), 8)
    return "\n".join(textwrap.wrap(text, width, break_long_words=True, max_lines=lines, placeholder=" …")) or text
