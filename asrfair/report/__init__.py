"""What people see: tables, plots, a Markdown page and one self-contained HTML page, all from a run folder's files.

Nothing is computed anew here: every number is read from the tables that ``asrfair score`` wrote.
"""

from __future__ import annotations

from pathlib import Path

from asrfair.data.runlock import writing
from asrfair.data.wholefile import subfolder, sweep
from asrfair.report.console import print_table
from asrfair.report.html.utterances import AudioSource
from asrfair.report.loading import RunData, load_run
from asrfair.report.markdown import write_markdown
from asrfair.report.runtables import all_tables, side_by_side, table
from asrfair.report.tables import Column, Table, write_table
from asrfair.report.terminal import print_run

__all__ = [
    "AudioSource",
    "Column",
    "RunData",
    "Table",
    "all_tables",
    "load_run",
    "print_run",
    "print_table",
    "side_by_side",
    "table",
    "write_report",
    "write_table",
]


def write_report(
    run: Path, *, html: bool = True, plots: bool = True, out: Path | None = None, audio: AudioSource | None = None
) -> list[Path]:
    """Write ``report.md``, ``report.html`` and ``plots/`` of a run; return the files written.

    Args:
        run: The run folder; only its files are read.
        html: Whether to write the HTML page.
        plots: Whether to write the plots as PNG and SVG.
        out: Where to write; the run folder itself when not given.
        audio: Where the page takes recordings of the worst utterances from; ``None`` (recordings are personal data)
            unless the suite allows it.

    Raises:
        InputError: The folder has no tables, or they cannot be read.
    """
    data = load_run(run)
    folder = out or run
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder):
        return _write(data, folder, html=html, plots=plots, audio=audio)


def _write(data: RunData, folder: Path, *, html: bool, plots: bool, audio: AudioSource | None) -> list[Path]:
    written: list[Path] = []
    if plots:
        from asrfair.report.figures import write_figures

        pictures = subfolder(folder, "plots")
        sweep(pictures)
        written = write_figures(data, pictures)
    written.append(write_markdown(data, folder / "report.md"))
    if html:
        from asrfair.report.html.page import write_html

        written.append(write_html(data, folder / "report.html", audio=audio))
    return written
