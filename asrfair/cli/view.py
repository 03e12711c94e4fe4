"""``asrfair view RUN…`` and ``asrfair open RUN``: look at runs in a browser, with or without all their utterances."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--audio",
    "manifest",
    type=click.Path(path_type=Path),
    help="Manifest of the runs: listen to the recordings, clean and as rendered, if the runs' suites allow that.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1 (default: a free one).")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def view(runs: tuple[Path, ...], manifest: Path | None, port: int, *, no_browser: bool) -> None:
    """Show RUNS in a browser with every utterance, until Ctrl-C.

    The page is served on 127.0.0.1 under a random address and to this machine only; nothing is written and nothing
    leaves. Whoever gets the address on this machine can read the transcripts.
    """
    from asrfair.report.html.serve import RunSite, Server, Site
    from asrfair.report.loading import load_run
    from asrfair.report.recordings import recordings_of

    loaded = [load_run(path) for path in runs]
    sites = [RunSite(run, recordings_of(run, manifest) if manifest else None) for run in loaded]
    with Server(Site(runs=sites), port) as server:
        click.echo(f"{server.address}\nOnly this machine can open it. Ctrl-C ends it.")
        if not no_browser:
            webbrowser.open(server.address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


@click.command("open")
@click.argument("run", type=click.Path(path_type=Path))
def open_report(run: Path) -> None:
    """Open report.html of RUN in a browser."""
    from asrfair.errors import InputError

    page = run / "report.html"
    if not page.is_file():
        raise InputError("the run has no report.html", file=run, remedy=f"Make it with: asrfair report {run}")
    click.echo(str(page))
    webbrowser.open(page.resolve().as_uri())
