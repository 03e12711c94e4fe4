"""``asrfair manifest plan``: how many more speakers a corpus needs before it can show what should be seen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--by", multiple=True, required=True, metavar="ATTRIBUTE[,ATTRIBUTE…]", help="May be given several times."
)
@click.option(
    "--difference",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Difference in WER that should be found.",
)
@click.option(
    "--wer", type=click.FloatRange(0, min_open=True), help="Expected WER of the rest of the speakers [default: 0.15]."
)
@click.option(
    "--cv", type=click.FloatRange(0, min_open=True), help="Expected spread between speakers, sd / mean [default: 0.6]."
)
@click.option(
    "--run", "run_path", type=click.Path(path_type=Path), help="Take WER and spread from this scored run instead."
)
@click.option("--engine", help="The engine of that run (default: the first).")
@click.option("--power", type=click.FloatRange(0.5, 1, max_open=True), default=0.8, show_default=True)
@click.option(
    "--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option("--allow-outside", is_flag=True, help="Allow paths that leave the manifest's folder (links followed).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")  # fmt: skip
def plan(
    path: Path,
    by: tuple[str, ...],
    difference: float,
    wer: float | None,
    cv: float | None,
    run_path: Path | None,
    engine: str | None,
    power: float,
    confidence: float,
    allow_outside: bool,
    as_json: bool,
) -> None:
    """Say what the speakers of the manifest at PATH would let one see, and how many more a difference needs.

    Each group is held against all other speakers who stated theirs.
    """
    from asrfair.data.manifest import check_groupable, read_manifest
    from asrfair.stats.plan.power import plan_speakers
    from asrfair.stats.plan.speakers_needed import Assumptions, in_several, plan_table

    read = read_manifest(path, allow_outside=allow_outside, allow_remote=None)
    asked = [tuple(name.strip() for name in names.split(",") if name.strip()) for names in by]
    check_groupable(read, asked, allow_inferred=True)
    if run_path is not None:
        measured_wer, measured_cv = _measured(run_path, asked[0], engine)
        wer, cv = wer or measured_wer, cv or measured_cv
    assumed = Assumptions(rate=wer or 0.15, cv=cv or 0.6, difference=difference, level=confidence, power=power)
    words = _words(read.table, asked)
    table, several = plan_table(words, asked, assumed), in_several(words, asked)
    each = plan_speakers(rate=assumed.rate, difference=difference, cv=assumed.cv, level=confidence, power=power)
    if as_json:
        records = json.loads(table.to_json(orient="records", force_ascii=True))
        given = {
            "wer": assumed.rate,
            "cv": assumed.cv,
            "difference": difference,
            "power": power,
            "confidence": confidence,
        }
        both = None if each is None else each.speakers
        found = {"assumed": given, "groups": records, "speakers_of_two_equal_groups": both}
        found["speakers_in_several_groups"] = several
        click.echo(json.dumps(found, ensure_ascii=True, indent=2))
        return
    click.echo(
        f"To find a difference of {100 * difference:g} points with probability {power:g}, if the WER of the rest is "
        f"{100 * assumed.rate:.1f} % and speakers vary by {100 * assumed.cv:.0f} % of it:"
    )
    names = [printable(str(group), limit=60) for group in table["group"]]
    width = max([len("group"), *map(len, names)])
    click.echo(f"{'group':{width}}  speakers  seen now (points)  speakers needed  more")
    columns = (table[name].tolist() for name in ("speakers", "detectable", "speakers_needed", "more_speakers"))
    for name, speakers, seen, needed, more in zip(names, *columns, strict=True):
        points = "–" if math.isnan(seen) else f"{100 * seen:.1f}"
        click.echo(f"{name:{width}}  {speakers:8d}  {points:>17}  {_count(needed):>15}  {_count(more):>4}")
    if (table["speakers_needed"] == math.inf).any():
        click.echo("∞: no number is enough while the rest of the speakers are so few.")
    if each is not None:
        click.echo(f"Two groups of the same size would need {each.speakers} speakers each.")
    for attribute, count in several.items():
        click.echo(
            f"{count} speakers are in several groups of {printable(attribute, limit=60)}. The plan takes groups as different "
            "people: the same people compared with themselves need fewer, by how far their own rates go together."
        )


def _count(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "∞" if value == math.inf else f"{value:.0f}"


def _words(table: pd.DataFrame, by: list[tuple[str, ...]]) -> pd.DataFrame:
    """Words of each speaker and combination of attribute values, excluded utterances left out."""
    rows = table[table["exclude"] == ""]
    columns = ["speaker_id", *dict.fromkeys(name for names in by for name in names)]
    counted = rows[columns].assign(words=[len(str(text).split()) for text in rows["reference"]])
    return counted.groupby(columns)["words"].sum().reset_index()


def _measured(run: Path, by: tuple[str, ...], engine: str | None) -> tuple[float, float]:
    from asrfair.stats.frame import load_frame
    from asrfair.stats.plan.speakers_needed import spread_in
    from asrfair.types import GroupSettings

    frame = load_frame(run, GroupSettings(by=(by,)))
    if engine is not None and engine not in frame.engines:
        raise InputError(
            "the run has no such engine",
            file=run,
            column="--engine",
            value=engine,
            remedy=did_you_mean(engine, frame.engines),
        )
    rate, cv = spread_in(frame, by, engine)
    if not rate > 0:
        raise InputError("the run has no errors to plan with", file=run, remedy="Give --wer and --cv")
    return rate, max(cv, 0.05)
