"""``asrfair profile``: the places that speech can be put into: list, show, check, hear and see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrfair.errors import AsrfairError, InputError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asrfair.acoustics import Condition, RenderContext
    from asrfair.acoustics.room.usable_noise import Voices
    from asrfair.types import Clip, Utterance

_PATH = click.Path(path_type=Path)
_folder = click.option("--profiles", type=_PATH, help="Folder of your own profiles, looked at before the shipped ones.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def profile() -> None:
    """List, show, check and render noise profiles: where speech is put before it is recognised."""


@profile.command("list")
@_folder
@_as_json
def list_command(profiles: Path | None, as_json: bool) -> None:
    """List the profiles: name, severities, what the place is."""
    from asrfair.acoustics.profiles import ProfileFile, list_further_profiles, list_profiles

    own = list_profiles(profiles) if profiles else []
    places = {p.stem: p for p in [*list_profiles(), *own]}
    further = {p.stem: p for p in list_further_profiles() if p.stem not in places}
    found = {
        kind: [ProfileFile(paths[name]).profile for name in sorted(paths)]
        for kind, paths in (("place", places), ("further", further))
    }
    if as_json:
        rows = [
            {
                "name": p.name,
                "kind": kind,
                "severities": list(p.severities),
                "default": p.severity,
                "description": p.description,
            }
            for kind, listed in found.items()
            for p in listed
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=True))
        return
    width = max((len(p.name) for listed in found.values() for p in listed), default=0)
    for kind, listed in found.items():
        if kind == "further":
            click.echo("\nVoices changed a little, and front ends that need an extra (docs/effects.md):")
        for p in listed:
            click.echo(f"{p.name:<{width}}  {printable(p.description, limit=160)}")
    click.echo(
        f"\n{len(places)} profiles of places, {len(further)} others. Write NAME, NAME@SEVERITY or NAME@snr=5 in a suite; "
        "`asrfair profile show NAME`."
    )


@profile.command()
@click.argument("condition")
@_folder
@_as_json
def show(condition: str, profiles: Path | None, as_json: bool) -> None:
    """Show what CONDITION (NAME, NAME@SEVERITY, NAME@snr=5, a .toml file) is made of, and why."""
    parsed = _parse(condition, profiles)
    described = _describe(parsed)
    if as_json:
        click.echo(json.dumps(described, indent=2, ensure_ascii=True))
        return
    assert parsed.profile is not None
    p = parsed.profile
    click.secho(printable(parsed.name), bold=True)
    click.echo(printable(p.description, limit=1000))
    for heading, text in (
        ("Place", p.place),
        ("Why these numbers", p.reasons),
        ("Source", p.source),
        ("Licence", p.licence),
    ):
        if text:
            click.echo(f"\n{heading}: {printable(' '.join(text.split()), limit=4000)}")
    if p.references:
        click.echo("\nReferences:")
        for reference in p.references:
            click.echo(f"  - {printable(reference, limit=400)}")
    if p.severities:
        click.echo(f"\nSeverities: {', '.join(p.severities)} (default {p.severity}; shown: {parsed.severity})")
    for number, step in enumerate(described["chain"], start=1):
        click.echo(f"\n{number}. {step['effect']}" + (f" ({step['label']})" if step["label"] != step["effect"] else ""))
        _echo_parameters(step["parameters"])
    for warning in parsed.warnings:
        click.echo(f"\nWarning: {printable(warning, limit=400)}")


@profile.command()
@click.argument("files", nargs=-1, required=True)
@_folder
@_as_json
def check(files: tuple[str, ...], profiles: Path | None, as_json: bool) -> int:
    """Check profile FILES (or names): every severity, every file that they read.

    Exits with 2 if anything is wrong, with 0 if there are only warnings.
    """
    from asrfair.acoustics.profiles import ProfileFile, find_profile, parse_condition

    rows: list[dict[str, Any]] = []
    for name in files:
        try:
            path = find_profile(name, profiles)
            severities = ProfileFile(path).profile.severities or ("",)
            warnings: dict[str, None] = {}
            for severity in severities:
                condition = parse_condition(f"{path}@{severity}" if severity else str(path))
                warnings.update(dict.fromkeys(condition.warnings))
            rows.append({"profile": name, "error": None, "warnings": list(warnings)})
        except AsrfairError as error:
            rows.append({"profile": name, "error": str(error), "warnings": []})
    failed = sum(row["error"] is not None for row in rows)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=True))
        return 2 if failed else 0
    for row in rows:
        if row["error"] is not None:
            click.echo(f"wrong  {row['error']}")
        else:
            click.echo(f"ok     {printable(row['profile'], limit=300)}")
        for warning in row["warnings"]:
            click.echo(f"       warning: {printable(warning, limit=400)}")
    return 2 if failed else 0


@profile.command()
@click.argument("conditions", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All profiles, and one contact sheet of them.")
@click.option("--audio", type=_PATH, help="Render this recording instead of a manifest's utterance.")
@click.option("--manifest", "manifest_path", type=_PATH, help="Manifest of the utterance (default: the demo's).")
@click.option("--utterance", help="Id of the utterance (default: the first that is not excluded).")
@click.option("--out", type=_PATH, default=Path("rendered"), show_default=True, help="Folder to write to.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the run.")
@click.option(
    "--sample-rate", type=click.IntRange(4000, 192_000), default=16_000, show_default=True, help="Rate in Hz."
)
@_folder
def render(
    conditions: tuple[str, ...],
    every: bool,
    audio: Path | None,
    manifest_path: Path | None,
    utterance: str | None,
    out: Path,
    seed: int,
    sample_rate: int,
    profiles: Path | None,
) -> None:
    """Render one utterance into CONDITIONS: a WAV, a picture before and after, and what was achieved, for each.

    With several conditions, or --all, a contact sheet shows them side by side.
    """
    from asrfair.acoustics.profiles import list_profiles, parse_condition

    names = list(conditions)
    if every:
        found = [*list_profiles(profiles), *list_profiles()] if profiles else list_profiles()
        names += sorted({p.stem for p in found} - set(names))
    if not names:
        raise InputError("no condition is named", remedy="Name one, such as imaging-floor@severe, or give --all")
    speech, context = _speech(audio, manifest_path, utterance)
    parsed = [parse_condition(name, profiles=profiles) for name in names]
    clean = _load(speech, sample_rate)
    written = _render_all(clean, speech.speaker_id, parsed, context, out, seed)
    for path in written:
        click.echo(str(path))


@profile.command()
@click.argument("recordings", nargs=-1, required=True, type=_PATH)
@click.option("--name", required=True, help="Name of the profile: lower-case letters, digits and '-'.")
@click.option("--out", type=_PATH, default=Path(), show_default="here", help="Folder to write to.")
@click.option("--snr", type=click.FloatRange(-30, 60), default=12.0, show_default=True, help="SNR of 'moderate' in dB.")
@click.option("--description", default="", help="What this noise is, in one sentence.")
@click.option("--place", default="", help="Where it was recorded and who will talk there.")
@click.option("--licence", default="", help="Terms of the recordings.")
@click.option("--overwrite", is_flag=True, help="Replace a profile of this name.")
@click.option(
    "--voices", type=click.Choice(["refuse", "keep", "out"]), default="refuse", show_default=True,
    help="Where people talk: refuse those stretches, keep the talk (with --consent), or generate the machines without it.",
)  # fmt: skip
@click.option("--consent", default="", help="Who agreed that their talk stays in the noise, and to what.")
@_as_json
def make(
    recordings: tuple[Path, ...],
    name: str,
    out: Path,
    snr: float,
    description: str,
    place: str,
    licence: str,
    overwrite: bool,
    voices: Voices,
    consent: str,
    as_json: bool,
) -> None:
    """Make a profile from RECORDINGS of your own room.

    Cuts out speech, clipping and silence; measures level, spectrum, steady tones and beat of what is left; writes
    NAME.toml, the noise in the folder NAME, and NAME.png, one page of what was heard. Nothing is sent anywhere.
    """
    from asrfair.acoustics.room.make_profile import describe, make_profile, sentence

    made = make_profile(
        recordings,
        name,
        out,
        snr_db=snr,
        description=description,
        place=place,
        licence=licence,
        overwrite=overwrite,
        voices=voices,
        consent=consent,
    )
    if as_json:
        files = {"profile": str(made.profile), "picture": str(made.picture), "cuts": [str(c) for c in made.cuts]}
        heard = {**files, **describe(made.heard), "warnings": list(made.warnings)}
        click.echo(json.dumps(heard, indent=2, ensure_ascii=True))
        return
    for stretch in made.heard.stretches:
        file = printable(made.heard.recordings[stretch.recording].path.name, limit=60)
        verdict = f"refused: {stretch.reason}" if stretch.reason else "used"
        click.echo(f"{file}  {stretch.start_s:7.1f} – {stretch.end_s:7.1f} s  {verdict}")
    click.echo(sentence(made.heard))
    for warning in made.warnings:
        click.echo(f"Warning: {printable(warning, limit=400)}")
    for path in (made.profile, made.picture, *made.cuts[:1]):
        click.echo(printable(str(path), limit=500))
    click.echo(f"Try it: asrfair profile render {printable(str(made.profile), limit=500)}")


def _render_all(
    clean: Clip, speaker_id: str, parsed: Sequence[Condition], context: RenderContext, out: Path, seed: int
) -> list[Path]:
    import soundfile

    from asrfair.acoustics import Renderer
    from asrfair.acoustics.pictures import Tile, before_and_after, contact_sheet
    from asrfair.data.wholefile import write_whole

    renderer = Renderer(parsed, seed, context)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    tiles = [Tile(title="clean", caption=clean.utterance_id, clip=clean)]
    for condition in parsed:
        rendered = renderer.render(clean, condition, speaker_id)
        stem = out / _file_name(f"{clean.utterance_id}--{condition.name}")
        soundfile.write(f"{stem}.wav", rendered.clip.samples, rendered.clip.sample_rate_hz, subtype="PCM_16")
        write_whole(Path(f"{stem}.json"), json.dumps(rendered.achieved, indent=2, sort_keys=True) + "\n")
        title = f"{condition.name} · {clean.utterance_id}"
        before_and_after(clean, rendered.clip, Path(f"{stem}.png"), title=title, achieved=rendered.achieved)
        written += [Path(f"{stem}{suffix}") for suffix in (".wav", ".json", ".png")]
        tiles.append(Tile(title=condition.name, caption=_caption(rendered.achieved), clip=rendered.clip))
    if len(parsed) > 1:
        sheet = out / "contact-sheet.png"
        contact_sheet(tiles, sheet, title=f"{len(parsed)} conditions · {clean.utterance_id}")
        written.append(sheet)
    return written


def _parse(text: str, profiles: Path | None) -> Condition:
    from asrfair.acoustics import parse_condition

    parsed = parse_condition(text, profiles=profiles)
    if parsed.profile is None:
        raise InputError("'clean' is no profile: audio is used as it is", remedy="asrfair profile list")
    return parsed


def _describe(parsed: Condition) -> dict[str, Any]:
    from asrfair.acoustics.effects.parameters import plain

    p = parsed.profile
    assert p is not None
    chain = [{"label": s.label, "effect": s.effect, "parameters": plain(s.params)} for s in parsed.steps]
    return {
        "name": parsed.name,
        "profile": p.name,
        "severity": parsed.severity,
        "severities": list(p.severities),
        "description": p.description,
        "place": p.place,
        "reasons": p.reasons,
        "references": list(p.references),
        "source": p.source,
        "licence": p.licence,
        "fingerprint": parsed.fingerprint,
        "warnings": list(parsed.warnings),
        "chain": chain,
    }


def _echo_parameters(parameters: dict[str, Any], indent: str = "   ") -> None:
    for key, value in parameters.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                text = ", ".join(f"{k} = {_short(v)}" for k, v in item.items())
                click.echo(f"{indent}{key}: {printable(text, limit=600)}")
        else:
            click.echo(f"{indent}{key} = {printable(_short(value), limit=300)}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return str(value)


def _caption(achieved: dict[str, float | str]) -> str:
    parts = []
    for key, value in achieved.items():
        if isinstance(value, float) and key.endswith((".snr_db", ".rt60_s", ".loss")):
            parts.append(
                f"{key.rpartition('.')[2]} {value:.1f}" if abs(value) >= 1 else f"{key.rpartition('.')[2]} {value:.2f}"
            )
        elif key.endswith(".codec"):
            parts.append(str(value))
    return "  ".join(parts[:4])


def _file_name(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.@=,") else "_" for c in text)[:150].lstrip(".")


def _speech(audio: Path | None, manifest_path: Path | None, utterance: str | None) -> tuple[Utterance, RenderContext]:
    """Find the utterance to render, and the corpus around it."""
    from asrfair.acoustics import RenderContext
    from asrfair.data import resources
    from asrfair.data.manifest import read_manifest
    from asrfair.types import Utterance

    if audio is not None and utterance is not None and manifest_path is None:
        raise InputError("--utterance names one of a manifest, and --audio a recording", remedy="Give one of the two")
    path = manifest_path or resources.shipped("manifests") / "demo" / "demo.toml"
    utterances = list(read_manifest(path).utterances())
    context = RenderContext.of(utterances)
    if audio is not None:
        stem = _file_name(audio.stem) or "audio"
        return Utterance(utterance_id=stem, speaker_id="", reference="", audio=audio.absolute()), context
    for found in utterances:
        if found.utterance_id == utterance or (utterance is None and found.audio is not None and not found.exclude):
            return found, context
    from asrfair.data.tomlfile import did_you_mean

    known = [u.utterance_id for u in utterances]
    raise InputError("the manifest has no such utterance", value=utterance, remedy=did_you_mean(utterance or "", known))


def _load(utterance: Utterance, sample_rate_hz: int) -> Clip:
    from asrfair.data.audio import load_clip

    return load_clip(utterance, sample_rate_hz)
