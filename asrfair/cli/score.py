"""``asrfair score``: transcripts that exist already, to tables. No audio, no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asrfair.cli.options import merge_settings, settings_options
from asrfair.errors import InputError
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--manifest", type=click.Path(path_type=Path), help="A manifest's card (TOML) or table.")
@click.option(
    "--hypotheses", multiple=True, metavar="LABEL[@CONDITION]=FILE",
    help="Transcripts of one engine: CSV, TSV, JSONL (also .gz), Parquet, sclite trn or ctm; a folder or pattern of parts "
    "of them; or, without LABEL=, a folder or pattern with a file an engine. May be given several times.",
)  # fmt: skip
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run folder to write; with RUN, a new one that leaves RUN as it is.",
)
@settings_options
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes for normalizing (default: one a core).")
@click.option("--no-html", is_flag=True, help="Do not write report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def score(
    run: Path | None,
    manifest: Path | None,
    hypotheses: tuple[str, ...],
    out: Path | None,
    workers: int | None,
    no_html: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score a RUN again with other settings, or a manifest with hypothesis files.

    \b
    asrfair score RUN --normalizer basic
    asrfair score RUN --by accent,gender --out ANOTHER
    asrfair score --manifest edacc.toml --hypotheses whisper-small=out.csv --by accent --out RUN
    """  # noqa: D301 -- \b is click's mark for a block that is not wrapped
    from asrfair.api.stages import rescore, score_files
    from asrfair.cli.closing_lines import print_outcome
    from asrfair.data.runfile import settings_of
    from asrfair.data.trust import name_code

    name_code(
        [*([options["normalizer"]] if options["normalizer"] else []), *options["normalizers"], *options["metrics"]]
    )
    if run is not None:
        if manifest is not None or hypotheses:
            raise InputError(
                "give either a RUN folder (and --out, to leave it as it is), or --manifest with --hypotheses and --out",
                remedy="See asrfair score --help",
            )
        groups, scoring, statistics = merge_settings(options, *settings_of(run, unfinished=True))
        result = rescore(
            run, out=out, groups=groups, scoring=scoring, statistics=statistics, workers=workers, report=True,
            html=not no_html,
        )  # fmt: skip
    else:
        if manifest is None or not hypotheses or out is None:
            raise InputError(
                "scoring transcripts needs --manifest, --hypotheses and --out",
                remedy="Such as: asrfair score --manifest m.toml --hypotheses whisper=out.csv --by accent --out RUN",
            )
        groups, scoring, statistics = merge_settings(options, GroupSettings(), ScoringSettings(), StatisticsSettings())
        result = score_files(
            manifest, hypotheses, out=out, groups=groups, scoring=scoring, statistics=statistics, workers=workers,
            report=True, html=not no_html,
        )  # fmt: skip
    print_outcome(result, as_json=as_json)
