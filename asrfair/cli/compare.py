"""``asrfair compare``: two runs on the same speakers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrfair.cli.options import parse_by, parse_pairs

if TYPE_CHECKING:
    from asrfair.stats.compare.runs import Comparison


@click.command()
@click.argument("run_a", type=click.Path(path_type=Path, file_okay=False))
@click.argument("run_b", type=click.Path(path_type=Path, file_okay=False))
@click.option("--pair", multiple=True, metavar="LABEL_A=LABEL_B", help="Engines to compare (default: same label).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the table to this CSV file.")
@click.option("--by", multiple=True, metavar="ATTRIBUTE[,ATTRIBUTE…]", help="Group by this instead of as RUN_A does.")
@click.option("--where", multiple=True, metavar="ATTRIBUTE=VALUE", help="Only utterances with this value.")
@click.option("--min-speakers", type=click.IntRange(1), help="A group with fewer speakers gets no interval.")
@click.option("--min-words", type=click.IntRange(0), help="A group with fewer reference words gets no interval.")
@click.option("--allow-inferred", is_flag=True, default=None, help="Allow grouping by attributes that were guessed.")
@click.option("--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), help="Coverage.")
@click.option("--draws", type=click.IntRange(100, 1_000_000), help="Sign patterns of the test.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the draws.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def compare(run_a: Path, run_b: Path, pair: tuple[str, ...], out: Path | None, as_json: bool, **options: Any) -> None:
    """Compare RUN_A with RUN_B: the same speakers, paired, group by group.

    Groups and statistics are those of RUN_A unless given here. Both must be scored by the same rules.

    \b
    asrfair compare runs/monday runs/tuesday --by accent
    asrfair compare runs/old runs/new --pair whisper-small=whisper-large
    """  # noqa: D301 -- \b is click's mark for a block that is not wrapped
    from asrfair.api.stages import compare as compare_results
    from asrfair.data.tablefile import write_csv

    given = ("min_speakers", "min_words", "allow_inferred", "confidence", "draws", "seed")
    settings = {name: options[name] for name in given if options[name] is not None}
    if options["where"]:
        settings["where"] = parse_pairs(options["where"], "--where")
    by = parse_by(options["by"]) if options["by"] else None
    found = compare_results(run_a, run_b, by=by, pairs=parse_pairs(pair, "--pair"), **settings).found
    if out is not None:
        write_csv(found.table, out)
    if as_json:
        click.echo(json.dumps(_to_json(found), ensure_ascii=True, indent=2))
        return
    _print(found, out)


def _to_json(found: Comparison) -> dict[str, Any]:
    from asrfair.say.claims import comparison_sentences
    from asrfair.say.left_out import left_out_sentences

    return {
        "pairs": [list(pair) for pair in found.pairs],
        "shared_utterances": found.shared,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "changed": found.changed,
        "where": dict(found.where),
        "left_out": json.loads(found.left_out.to_json(orient="records", double_precision=15)),
        "left_out_sentences": list(left_out_sentences(found.left_out)),
        "findings": list(comparison_sentences(found.claims)),
        "comparisons": json.loads(found.table.to_json(orient="records", double_precision=15)),
    }


def _print(found: Comparison, out: Path | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from asrfair.errors import printable
    from asrfair.report.console import say, terminal
    from asrfair.say import numbers as sentences
    from asrfair.say.claims import comparison_sentences
    from asrfair.say.left_out import left_out_sentences
    from asrfair.say.sample import selection

    console = terminal()
    chosen = selection(found.where)
    if chosen:
        say(console, chosen)
    for line in left_out_sentences(found.left_out):
        say(console, line)
    console.print()
    for line in comparison_sentences(found.claims):
        say(console, line, style="bold")
    for (a, b, condition), block in found.table.groupby(["engine_a", "engine_b", "condition"], sort=False):
        table = Table(title=Text(printable(f"{a} − {b}, {condition}")), box=None, title_justify="left")
        for heading in ("Attribute", "Group"):
            table.add_column(heading)
        for heading in ("WER % A", "WER % B", "A − B, points", "interval"):
            table.add_column(heading, justify="right")
        for row in block.to_dict("records"):
            cells = (
                str(row["attribute"]),
                str(row["group"]),
                f"{100 * row['wer_a']:.1f}",
                f"{100 * row['wer_b']:.1f}",
                f"{100 * row['difference']:+.1f}".replace("-", "−"),
                sentences.span(row["ci_low"], row["ci_high"], unit="") or str(row["flag"]).replace("_", " "),
            )
            table.add_row(*(Text(printable(cell)) for cell in cells))
        console.print()
        console.print(table)
    console.print()
    left_out = (
        f"{found.only_first:,} only in A, {found.only_second:,} only in B, {found.changed:,} changed between them"
    )
    say(console, f"{found.shared:,} utterances in both; besides {left_out}.")
    if out is not None:
        say(console, f"Table: {out}")
