"""What the run was made of, as lines that a reader can compare with another run's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asrfair.report.loading import RunData, section


def provenance_rows(run: RunData) -> list[tuple[str, str]]:
    """Return (what, value) pairs from ``run.json``; what it does not say is left out."""
    about = run.about
    manifest, scoring = section(about, "manifest"), section(about, "scoring")
    statistics, groups = section(about, "statistics"), section(about, "groups")
    rows = [
        ("Corpus", _joined(manifest, "name", "version")),
        ("Licence of the corpus", _text(manifest.get("licence"))),
        ("Rows of the manifest", _text(manifest.get("rows"))),
        ("Fingerprint of the manifest", _text(manifest.get("fingerprint"))),
    ]
    for name, attribute in section(manifest, "attributes").items():
        if isinstance(attribute, dict):
            rows.append((f"Attribute {name}", _joined(attribute, "provenance", "description", between=": ")))
    for engine in about.get("engines") or []:
        if isinstance(engine, dict):
            options = ", ".join(f"{key}={_text(value)}" for key, value in section(engine, "options").items())
            rows.append(
                (f"Engine {_text(engine.get('label'))}", "; ".join(filter(None, (_text(engine.get("name")), options))))
            )
    rows += [
        (f"Condition {_text(condition.get('name'))}", _text(condition.get("fingerprint"))[:16])
        for condition in about.get("conditions") or []
        if isinstance(condition, dict)
    ]
    rows += [
        ("Only utterances with", ", ".join(f"{name} = {value}" for name, value in run.where.items())),
        ("Seed", _text(about.get("seed"))),
        ("Normalizer", _text(scoring.get("normalizer"))),
        ("Engine errors count as", _text(scoring.get("errors_as"))),
        (
            "Smallest group with an interval",
            f"{_text(groups.get('min_speakers'))} speakers" if groups.get("min_speakers") else "",
        ),
        ("Interval", _interval(statistics)),
        ("asrfair", _text(about.get("asrfair"))),
        ("Packages", ", ".join(f"{key} {value}" for key, value in section(about, "packages").items())),
        ("Code", _text(about.get("git"))),
    ]
    return [(key, value) for key, value in rows if value]


def _text(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items() if _text(item))
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)


def _joined(table: Mapping[str, Any], *names: str, between: str = " ") -> str:
    return between.join(filter(None, (_text(table.get(name)) for name in names)))


def _interval(statistics: Mapping[str, Any]) -> str:
    kind = _text(statistics.get("interval"))
    if not kind:
        return ""
    share = f"{100 * float(statistics.get('confidence', 0.95)):g} %"
    return f"{kind}, {share}, {_text(statistics.get('draws'))} draws, seed {_text(statistics.get('seed'))}"
