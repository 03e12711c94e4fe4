"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from asrfair.errors import InputError
from asrfair.types import GroupSettings, ScoringSettings, StatisticsSettings

Command = TypeVar("Command", bound=Callable[..., Any])

_SETTINGS: list[Callable[[Any], Any]] = [
    click.option("--by", multiple=True, metavar="ATTRIBUTE[,ATTRIBUTE…]", help="Group by an attribute or an intersection; may be given several times."),
    click.option("--where", multiple=True, metavar="ATTRIBUTE=VALUE", help="Only utterances with this value; may be given several times."),
    click.option("--min-speakers", type=click.IntRange(1), help="A group with fewer speakers gets no interval (default 5)."),
    click.option("--min-words", type=click.IntRange(0), help="A group with fewer reference words gets no interval (default 100)."),
    click.option("--reference", multiple=True, metavar="ATTRIBUTE=GROUP", help="Compare the groups of an attribute with this one."),
    click.option("--allow-inferred", is_flag=True, default=None, help="Allow grouping by attributes that were guessed; tables say so."),
    click.option("--normalizer", metavar="NAME", help="none, basic, whisper-english (default) or your own module:callable; +dialect-english adds reference variants."),
    click.option("--errors-as", type=click.Choice(["excluded", "deletions"]), help="What an engine error or a missing hypothesis counts as (default excluded)."),
    click.option("--empty-references", type=click.Choice(["insertions", "excluded"]), help="Where a reference has no words, what was recognised counts as insertions (default) or nowhere."),
    click.option("--key-terms", "key_terms_file", type=click.Path(path_type=Path), help="Vocabulary list, one term a line, whose recall is reported."),
    click.option("--interval", type=click.Choice(["jackknife", "percentile"]), help="Interval over speakers (default jackknife)."),
    click.option("--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), help="Coverage of the intervals (default 0.95)."),
    click.option("--prompts", type=click.Choice(["sample", "fixed"]), help="Whether sentences read by several speakers stand for others, or are all there are (default sample)."),
    click.option("--draws", type=click.IntRange(100, 1_000_000), help="Speaker draws and permutations (default 2000)."),
    click.option("--seed", type=click.IntRange(0), help="Seed of the draws (default 1)."),
    click.option("--adjust", multiple=True, metavar="COVARIATE", help="Covariate of the adjusted comparison; may be given several times."),
    click.option("--compare-normalizer", "normalizers", multiple=True, metavar="NAME", help="Recompute every gap under this normalizer too; all takes every one there is."),
    click.option("--metric", "metrics", multiple=True, metavar="NAME", help="A further metric, tabulated: latency, cer …, or your own module:attribute."),
    click.option("--main-metric", "metric", metavar="NAME", help="What groups are compared by instead of wer: a metric that is a share."),
    click.option("--detect", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Difference in WER that speakers_needed is for (default 0.05)."),
    click.option("--faas", is_flag=True, default=None, help="Tabulate the FAAS score, for comparability, with its flaws."),
    click.option("--subgroups", is_flag=True, default=None, help="Search combinations of attributes that nobody named."),
]  # fmt: skip


def settings_options(command: Command) -> Command:
    """Add the options of grouping, scoring and statistics to a command."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


def merge_settings(
    options: dict[str, Any],
    groups: GroupSettings,
    scoring: ScoringSettings,
    statistics: StatisticsSettings,
) -> tuple[GroupSettings, ScoringSettings, StatisticsSettings]:
    """Return the settings with what the command line gives laid over them; ``options`` are the command's keywords."""
    from asrfair.runs.suite import read_key_terms
    from asrfair.scoring.metric import allow_metric

    changes: dict[str, dict[str, Any]] = {"groups": {}, "scoring": {}, "statistics": {}}
    if options["by"]:
        changes["groups"]["by"] = parse_by(options["by"])
    if options["where"]:
        changes["groups"]["where"] = parse_pairs(options["where"], "--where")
    if options["reference"]:
        changes["groups"]["reference"] = parse_pairs(options["reference"], "--reference")
    for stage, names in (
        ("groups", ("min_speakers", "min_words", "allow_inferred")),
        ("scoring", ("normalizer", "errors_as", "empty_references")),
        ("statistics", ("interval", "confidence", "draws", "seed", "subgroups", "detect", "faas", "prompts", "metric")),
    ):
        for name in names:
            if options[name] is not None:
                changes[stage][name] = options[name]
    if options["key_terms_file"] is not None:
        changes["scoring"]["key_terms"] = tuple(dict.fromkeys(read_key_terms(options["key_terms_file"])))
    for name in ("adjust", "normalizers", "metrics"):
        if options[name]:
            changes["statistics"][name] = tuple(options[name])
    for name in ([options["metric"]] if options["metric"] else []) + list(options["metrics"]):
        allow_metric(name)
    return (
        dataclasses.replace(groups, **changes["groups"]),
        dataclasses.replace(scoring, **changes["scoring"]),
        dataclasses.replace(statistics, **changes["statistics"]),
    )


def parse_by(values: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Read ``--by accent --by accent,gender``.

    Raises:
        InputError: A value names no attribute, or one twice.
    """
    found = []
    for value in values:
        names = tuple(part.strip() for part in value.split(","))
        if not all(names) or len(set(names)) != len(names):
            raise InputError(
                "--by takes attribute names, separated by commas", value=value, remedy="For example: --by accent,gender"
            )
        found.append(names)
    return tuple(dict.fromkeys(found))


def parse_pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` pairs.

    Raises:
        InputError: A value has no equals sign, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} takes ATTRIBUTE=VALUE", value=value, remedy=f"For example: {option} accent=us")
        if name.strip() in pairs:
            raise InputError(f"{option} is given twice for {name.strip()!r}", value=value)
        pairs[name.strip()] = rest.strip()
    return pairs
