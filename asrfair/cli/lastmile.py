"""``asrfair lastmile``: a customer measures the recogniser in its own rooms; nothing but counts leaves the site."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asrfair.errors import printable

if TYPE_CHECKING:
    from asrfair.lastmile.pages import Page

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def lastmile() -> None:
    """Measure a recogniser in your own room: init, check, noise, run, report; then export, if you agree.

    Everything works without a network as long as the recogniser does.
    """


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.option("--vocabulary", type=_FILE, help="Your own words, one a line.")
@click.option("--sentences", type=_FILE, help="Sentences to read in place of the everyday ones, one a line.")
@click.option("--speakers", type=click.IntRange(1, 999), help="How many people will read (default 6).")
def init(folder: Path, vocabulary: Path | None, sentences: Path | None, speakers: int | None) -> None:
    """Make FOLDER with settings, sheets to print and prompts; again after you edited them."""
    from asrfair.lastmile.kit import init_kit
    from asrfair.lastmile.sheets import languages

    made = init_kit(folder, vocabulary=vocabulary, sentences=sentences, speakers=speakers)
    click.echo(f"{len(made.prompts)} sentences for each person. Files:")
    for path in made.files:
        _say(f"  {path}")
    if not made.kit.language.lower().startswith(made.language):
        _say(
            f"The sheets are in English: none ship in {made.kit.language!r} (there are {', '.join(languages())}). Translate "
            f"{made.template} as {folder / 'sheets.toml'}, then run init again."
        )
    _say(f"Next: read {folder / 'INSTRUCTIONS.html'}, record, then: asrfair lastmile check {folder}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.option("--lan", is_flag=True, help="Let a phone or tablet in this room open the page too (extra 'record').")
@click.option("--port", type=click.IntRange(1024, 65535), help="Port of this machine (default: any that is free).")
@click.option("--no-browser", is_flag=True, help="Do not open the page here; only show its link.")
@click.option("--device", is_flag=True, help="Record in this terminal instead of a browser (extra 'device').")
def record(folder: Path, lan: bool, port: int | None, no_browser: bool, device: bool) -> None:
    """Record people in FOLDER sentence by sentence, on a page of this machine: consent, questions, the empty room."""
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder)
    if device:
        if lan or port is not None or no_browser:
            raise click.UsageError("--device records in the terminal: --lan, --port and --no-browser are for the page.")
        from asrfair.lastmile.recorder.terminal import record_in_terminal

        record_in_terminal(kit)
    else:
        from asrfair.lastmile.recorder.server import record_in_browser

        record_in_browser(kit, port=port, lan=lan, open_browser=not no_browser, say=_say_lines)
    _say(f"Next: asrfair lastmile check {folder}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.argument("speaker")
@click.argument("recording", type=_FILE)
@click.option("--write", is_flag=True, help="Write the cuts as recordings; without it they are only shown.")
@click.option("--no-words", is_flag=True, help="Do not listen to the cuts (quicker).")
def cut(folder: Path, speaker: str, recording: Path, write: bool, no_words: bool) -> None:
    """Cut one long RECORDING of SPEAKER into the sentences of FOLDER that are not recorded yet: shown first, then --write."""
    from asrfair.lastmile.cut import plan_cuts, write_cuts
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder)
    found = plan_cuts(kit, speaker, recording, listen=not no_words)
    for one in found.cuts:
        _say(f"{one.prompt.prompt_id}  {_clock(one.start_s)}–{_clock(one.end_s)}  {one.prompt.text}")
        if one.doubt:
            _say(f"    listen to it: {one.doubt}")
    for prompt in found.not_found:
        _say(f"{prompt.prompt_id}  not found: {prompt.text}")
    for start, end in found.left_over:
        _say(f"    belongs to no sentence: {_clock(start)}–{_clock(end)}")
    if not write:
        _say("Nothing was written. If the times are right, the same command again with --write.")
        return
    written = write_cuts(kit, speaker, recording, found)
    _say(f"{len(written)} recordings in {kit.recordings / speaker}. Next: asrfair lastmile check {folder}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.option("--no-words", is_flag=True, help="Do not listen for the sentences' words (quicker).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list instead of sentences.")
def check(folder: Path, no_words: bool, as_json: bool) -> None:
    """Listen to the recordings in FOLDER and say which to make again, and why."""
    from asrfair.lastmile.check import check_kit, page_of
    from asrfair.lastmile.settings import read_kit

    checked = check_kit(read_kit(folder), words=not no_words, progress=not as_json)
    if as_json:
        click.echo(json.dumps([asdict(item) for item in checked.findings], ensure_ascii=True, indent=2))
        return
    _print(page_of(checked))
    if checked.recordings:
        _say(f"The same as a page: {folder / 'CHECK.html'}. Next: asrfair lastmile noise {folder}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.argument("recordings", nargs=-1, type=_FILE)
@click.option("--overwrite", is_flag=True, help="Replace the room's profile.")
def noise(folder: Path, recordings: tuple[Path, ...], overwrite: bool) -> None:
    """Turn RECORDINGS of the room (by default all in FOLDER/room) into its noise profile."""
    from asrfair.acoustics.room.make_profile import sentence
    from asrfair.lastmile.room_profile import make_room
    from asrfair.lastmile.settings import read_kit

    room = make_room(read_kit(folder), recordings, overwrite=overwrite)
    made = room.made
    for stretch in made.heard.refused:
        name = printable(made.heard.recordings[stretch.recording].path.name, limit=60)
        _say(f"{name}: {stretch.start_s:.1f} to {stretch.end_s:.1f} s is not used ({stretch.reason})")
    _say(f"What was heard: {sentence(made.heard)}")
    for warning in made.warnings:
        _say(f"Warning: {warning}")
    _say(f"Voices stand {room.snr_db:.0f} dB above the room ({room.source}).")
    _say(f"Profile: {made.profile}. Next: asrfair lastmile run {folder}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.option("--workers", type=click.IntRange(1), help="Worker processes (default: one a core).")
@click.option("--no-benchmark", is_flag=True, help="Only people's recordings, no benchmark speech in the room.")
@click.option("--fresh", is_flag=True, help="Begin anew, whatever was done before.")
def run(folder: Path, workers: int | None, no_benchmark: bool, fresh: bool) -> None:
    """Run the recordings in FOLDER, and benchmark speech put into the room, through your recogniser.

    What was cut off goes on; what changed since (recordings, room, recogniser) is run anew.
    """
    from asrfair.lastmile.plain_report import plain_report
    from asrfair.lastmile.run_kit import run_kit
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder)
    done = run_kit(kit, workers=workers, benchmark=not no_benchmark, fresh=fresh, say=_say)
    again = done.checked.of("again")
    if again:
        _say(f"{len(again)} recordings are missing or must be made again: see {folder / 'CHECK.html'}")
    for note in done.notes:
        _say(note)
    for name, result in done.results.items():
        scored, left = result.score.statuses["scored"], result.score.rows - result.score.statuses["scored"]
        why = f"; {left} were not (reasons in {result.run / 'ledger.csv'})" if left else ""
        _say(f"{name}: {scored} recordings were scored{why}")
    _, files = plain_report(kit)
    _say(f"Open {files[-1]}, or: asrfair lastmile report {folder}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
def report(folder: Path) -> None:
    """Say in plain words who is understood worse in FOLDER's room, which words are lost, what to do."""
    from asrfair.lastmile.plain_report import plain_report
    from asrfair.lastmile.settings import read_kit

    page, files = plain_report(read_kit(folder))
    _print(page)
    _say(f"The same as a page: {files[-1]}")


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.option("--out", type=_FILE, help="Where to write the export (JSON).")
@click.option("--sign-off", "code", metavar="CODE", help="The code at the end of the sign-off page: you agree to it.")
@click.option(
    "--private", "epsilon", type=float, metavar="EPSILON", help="Noisy counts only, epsilon for each attribute."
)
@click.option("--attribute", "attributes", multiple=True, help="With --private: release this attribute (repeatable).")
def export(
    folder: Path, out: Path | None, code: str | None, epsilon: float | None, attributes: tuple[str, ...]
) -> None:
    """Show exactly what would leave FOLDER; write it only with the code of that page.

    \b
    asrfair lastmile export kit                                     shows the page, writes nothing that leaves
    asrfair lastmile export kit --out counts.json --sign-off CODE   writes it
    """  # noqa: D301 -- \b is click's mark for a block that is not wrapped
    from asrfair.lastmile.settings import read_kit

    kit = read_kit(folder)
    if (out is None) != (code is None):
        raise click.UsageError("--out and --sign-off belong together: first look at the page, then give both.")
    if epsilon is None and attributes:
        raise click.UsageError("--attribute belongs to --private EPSILON.")
    if epsilon is not None:
        from asrfair.lastmile.private import plan_release, release

        plan = plan_release(kit, epsilon, attributes=attributes)
        _print(plan.page())
        if out is None or code is None:
            _say("Nothing was written, no epsilon was spent. If you agree, the same command again with:")
            _say(f"--out private.json --sign-off {plan.code}")
            return
        release(kit, plan, out, code)
        _say(f"Written: {out}")
        return
    from asrfair.lastmile.export import make_export, write_export
    from asrfair.lastmile.signoff import sign_off_page

    made = make_export(kit)
    page = sign_off_page(made)
    page.write(kit.folder / "SIGN-OFF")
    if out is None or code is None:
        _print(page)
        _say(f"Nothing that leaves was written. The page is in {kit.folder / 'SIGN-OFF.html'}. If you agree to it:")
        _say(f"asrfair lastmile export {folder} --out counts.json --sign-off {made.code}")
        return
    write_export(kit, made, out, code)
    _say(f"Written: {out}")


@lastmile.command()
@click.argument("exports", nargs=-1, required=True, type=_FILE)
@click.option("--out", required=True, type=_FOLDER, help="Folder of the pooled tables.")
@click.option("--min-speakers", type=click.IntRange(1), default=5, show_default=True, help="Fewer get no interval.")
@click.option(
    "--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option("--skip-bad", is_flag=True, help="Leave damaged, changed and doubled exports out instead of stopping.")
def merge(exports: tuple[Path, ...], out: Path, min_speakers: int, confidence: float, skip_bad: bool) -> None:
    """Pool many sites' EXPORTS into tables of disparity, with site as a further level."""
    from asrfair.lastmile.pool_exports import merge_exports

    merged = merge_exports(exports, out, min_speakers=min_speakers, confidence=confidence, skip_bad=skip_bad)
    _print(merged.page)
    for path in merged.files:
        _say(str(path))


@lastmile.command()
@click.argument("folder", type=_FOLDER)
@click.option("--extra", "extras", multiple=True, help="An extra of asrfair to take along, such as vosk (repeatable).")
def bundle(folder: Path, extras: tuple[str, ...]) -> None:
    """Put everything that installs asrfair into FOLDER, for a machine that has only Python and no network."""
    from asrfair.lastmile.bundle import make_bundle

    made = make_bundle(folder, extras=extras)
    _say(
        f"{made.wheels} wheels, {made.size_mb:.0f} MB in {folder}. Copy it to the other machine and run: sh install.sh"
    )
    _say(f"{folder / 'README.txt'} says how, on Windows too.")


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _say(text: str) -> None:
    click.echo(printable(text, limit=2000))


def _say_lines(text: str) -> None:
    for line in text.splitlines():
        _say(line)


def _print(page: Page) -> None:
    """Print a page through rich, or plainly where the output is no terminal."""
    from asrfair.report.console import terminal

    console = terminal()
    if not console.is_terminal:
        click.echo(page.markdown(), nl=False)
        return
    from rich.markdown import Markdown

    console.print(Markdown(page.markdown()))
