"""``asrfair card RUN…``: a service card from one or several runs and an author's prose."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(["aws", "model-card", "hf", "json"]),
    default="aws",
    show_default=True,
    help="aws: service card; model-card: after Mitchell et al.; hf: README with model-index; json: data.",
)
@click.option("--prose", type=click.Path(path_type=Path), help="What the author writes: TOML or Markdown.")
@click.option(
    "--format", "form", type=click.Choice(["html", "md", "pdf", "json"]), help="What --out ends with if not given."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option(
    "--smallest-cell",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Groups with fewer speakers are suppressed, and further ones from which they could be computed.",
)
@click.option(
    "--per-group", is_flag=True, help="hf: put every group into the metadata, not only everybody and the worst."
)
@click.option("--init", is_flag=True, help="Write a prose file to fill into --out, instead of a card.")
def card(
    runs: tuple[Path, ...],
    template: str,
    prose: Path | None,
    form: str | None,
    out: Path,
    smallest_cell: int,
    *,
    per_group: bool,
    init: bool,
) -> None:
    """Write a card about a service from RUNS: the author's prose, every number from the runs.

    Start with --init, fill the file, then give it as --prose. Prose that claims a number which the runs do not support
    builds no card.
    """
    from asrfair.api.stages import card as make_card
    from asrfair.cards import OUTLINES, blank_prose, gather
    from asrfair.data.wholefile import write_whole

    if init:
        if out.exists():
            raise click.UsageError(f"{click.format_filename(out)} is there already; it will not be overwritten")
        engines = gather(runs, smallest=smallest_cell).engines
        write_whole(out, blank_prose(OUTLINES[template], engines))
        click.echo(f"Wrote {click.format_filename(out)}: fill it, then: asrfair card RUN --prose FILE --out FILE")
        return
    if prose is None:
        raise click.UsageError("a card needs the author's prose: --prose FILE (make one to fill with --init)")
    if per_group and template != "hf":
        raise click.UsageError("--per-group is of --template hf")
    written = make_card(
        runs, prose=prose, out=out, template=template, form=form or "", smallest_cell=smallest_cell, per_group=per_group
    )
    click.echo(f"Wrote {click.format_filename(written)}")
