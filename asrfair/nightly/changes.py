"""What changed between two nights, in sentences: engine, model, packages, manifest rows, noise files, rules, suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from asrfair.errors import AsrfairError
from asrfair.recognise.engines.table import load_class

Kind = Literal["package", "engine", "manifest", "noise", "condition", "normalizer", "suite", "code"]
SHOWN = 5
"""How many names a sentence lists."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two nights.

    Args:
        kind: What sort of thing changed; the trend page marks it.
        name: Which: a package, an engine's label, a file, a condition, an utterance.
        before: As it was; empty for what is new.
        after: As it is; empty for what is gone.
        text: One sentence.
    """

    kind: Kind
    name: str
    before: str
    after: str
    text: str


def inputs_of(content: Mapping[str, Any], noise_files: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return all that a night's figures depend on, from its ``run.json``.

    Args:
        content: The content of ``run.json``.
        noise_files: Condition → file → SHA-256.
    """
    suite = content["suite"]
    return {
        "package": dict(content["packages"]),
        "code": (content.get("git") or {}).get("revision", ""),
        "engine": {item["label"]: _flat(item) for item in content["engines"]},
        "condition": {item["name"]: item["fingerprint"] for item in content["conditions"]},
        "noise": {condition: dict(files) for condition, files in noise_files.items()},
        "manifest": {
            "name": content["manifest"]["name"],
            "version": content["manifest"]["version"],
            "fingerprint": content["manifest"]["fingerprint"],
        },
        "normalizer": rules_of(content),
        "suite": {"name": suite.get("name", ""), "sha256": suite.get("sha256", ""), "seed": str(content.get("seed"))},
    }


def rules_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the rules of scoring of a ``run.json``."""
    scoring = content["scoring"]
    return {
        "rules": scoring.get("normalizer_version") or scoring["normalizer"],
        "errors_as": scoring["errors_as"],
        "empty_references": scoring.get("empty_references", ""),
        "key_terms": "; ".join(scoring["key_terms"]),
        **({"metric": content["metric"]["name"]} if content.get("metric") else {}),
    }


def _flat(engine: Mapping[str, Any]) -> dict[str, str]:
    found = {"name": str(engine["name"])}
    if _answers_are_files(found["name"]):
        return found
    found.update({f"option {key}": str(value) for key, value in engine["options"].items()})
    found.update({str(key): str(value) for key, value in engine["fingerprint"].items()})
    return found


def _answers_are_files(name: str) -> bool:
    try:
        return bool(getattr(load_class(name), "answers_are_files", False))
    except AsrfairError:
        return False  # a plug-in that is gone: what it said of itself is all there is


def changes_between(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    rows_before: pd.DataFrame | None = None,
    rows_after: pd.DataFrame | None = None,
) -> list[Change]:
    """List what differs.

    Args:
        before: :func:`inputs_of` the earlier night.
        after: :func:`inputs_of` the later one.
        rows_before: ``utterances.parquet`` of the earlier night, with a column ``recording`` if audio was read.
        rows_after: That of the later one.
    """
    found = [
        *_pairs("package", before.get("package", {}), after.get("package", {}), "package {name}"),
        *_code(str(before.get("code", "")), str(after.get("code", ""))),
    ]
    engines = before.get("engine", {}), after.get("engine", {})
    for label in dict.fromkeys([*engines[0], *engines[1]]):
        if label not in engines[0] or label not in engines[1]:
            found.append(_came_or_went("engine", label, label in engines[1]))
            continue
        found += _pairs("engine", engines[0][label], engines[1][label], f"engine {label}: {{name}}")
    found += _conditions(before, after)
    found += _manifest(before.get("manifest", {}), after.get("manifest", {}), rows_before, rows_after)
    found += _pairs("normalizer", before.get("normalizer", {}), after.get("normalizer", {}), "scoring: {name}")
    found += _pairs("suite", before.get("suite", {}), after.get("suite", {}), "suite: {name}")
    return found


def _pairs(kind: Kind, before: Mapping[str, str], after: Mapping[str, str], form: str) -> list[Change]:
    found = []
    for name in dict.fromkeys([*before, *after]):
        old, new = str(before.get(name, "")), str(after.get(name, ""))
        if old != new:
            what = form.format(name=name.replace("_", " "))
            if kind == "normalizer" and name == "rules":
                what = "normalizer"
            if kind == "suite" and name == "sha256":
                what = "the text of the suite's file"
            text = f"{what} changed from {_short(old) or 'nothing'} to {_short(new) or 'nothing'}"
            found.append(Change(kind=kind, name=name, before=old, after=new, text=text))
    return found


def _code(before: str, after: str) -> list[Change]:
    if before == after:
        return []
    text = f"asrfair's own code changed from revision {_short(before) or 'none'} to {_short(after) or 'none'}"
    return [Change(kind="code", name="asrfair", before=before, after=after, text=text)]


def _conditions(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    found: list[Change] = []
    old, new = before.get("condition", {}), after.get("condition", {})
    noises = before.get("noise", {}), after.get("noise", {})
    for name in dict.fromkeys([*old, *new]):
        if name not in old or name not in new:
            found.append(_came_or_went("condition", name, name in new))
            continue
        if old[name] == new[name]:
            continue
        files = _pairs("noise", noises[0].get(name, {}), noises[1].get(name, {}), f"noise file {{name}} of {name}")
        for change in files:
            text = f"the noise file {change.name} of the condition {name} changed"
            if not change.before or not change.after:
                text = (
                    f"the noise file {change.name} of the condition {name} was {'added' if change.after else 'removed'}"
                )
            else:
                text += f" (SHA-256 {_short(change.before)} to {_short(change.after)})"
            found.append(Change(kind="noise", name=change.name, before=change.before, after=change.after, text=text))
        if not files:
            text = f"the profile of the condition {name} changed, or the way in which it is rendered"
            found.append(Change(kind="condition", name=name, before=old[name], after=new[name], text=text))
    return found


def _manifest(
    before: Mapping[str, str],
    after: Mapping[str, str],
    rows_before: pd.DataFrame | None,
    rows_after: pd.DataFrame | None,
) -> list[Change]:
    named = {key: before.get(key, "") for key in ("name", "version")}
    found = _pairs("manifest", named, {key: after.get(key, "") for key in named}, "manifest: {name}")
    if rows_before is None or rows_after is None:
        return found
    old, new = (rows.set_index("utterance_id") for rows in (rows_before, rows_after))
    same = old.index.intersection(new.index)
    for kind, ids in (("added", new.index.difference(old.index)), ("removed", old.index.difference(new.index))):
        if len(ids):
            found.append(_rows(f"{len(ids):,} {_were(len(ids))} {kind}", list(ids), kind))
    columns = [name for name in dict.fromkeys([*old.columns, *new.columns]) if name not in ("night", "suite")]
    for name in columns:
        if name not in old or name not in new:
            gone = "added" if name in new else "removed"
            text = f"the manifest's column {name} was {gone}"
            found.append(Change(kind="manifest", name=name, before="", after="", text=text))
            continue
        one, other = old.loc[same, name], new.loc[same, name]
        differs = (one != other) & ~(one.isna() & other.isna())
        rows = [str(item) for item in same[differs.to_numpy()]]
        if rows:
            what = {"recording": "the recording"}.get(name, f"the {name.replace('_', ' ')}")
            example = ""
            if len(rows) == 1 and name != "recording":
                example = f", from {_short(str(one[rows[0]]), 40)!r} to {_short(str(other[rows[0]]), 40)!r}"
            found.append(_rows(f"{what} of {len(rows):,} {_were(len(rows))} changed", rows, name, example))
    fingerprints = before.get("fingerprint", ""), after.get("fingerprint", "")
    if fingerprints[0] != fingerprints[1] and not found:
        text = "the manifest changed in something that is neither text nor a group: audio paths or segments"
        found.append(
            Change(kind="manifest", name="fingerprint", before=fingerprints[0], after=fingerprints[1], text=text)
        )
    return found


def _were(count: int) -> str:
    return "manifest row was" if count == 1 else "manifest rows were"


def _rows(text: str, ids: Sequence[str], name: str, tail: str = "") -> Change:
    listed = ", ".join(_short(str(item), 60) for item in ids[:SHOWN])
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return Change(kind="manifest", name=name, before="", after="", text=f"{text}: {listed}{more}{tail}")


def _came_or_went(kind: Kind, name: str, came: bool) -> Change:
    text = f"the {kind} {name} is {'new' if came else 'gone'}"
    return Change(kind=kind, name=name, before="" if came else name, after=name if came else "", text=text)


def _short(text: str, limit: int = 24) -> str:
    if len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text):
        return text[:12]
    return text if len(text) <= limit else text[: limit - 1] + "…"
