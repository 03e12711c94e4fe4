"""Write a manifest: a TOML card that people can go on editing, beside a table that comes back exactly as it was."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pandas as pd

from asrfair.data.manifest.card import CANONICAL_COLUMNS, AttributeCard, Card
from asrfair.data.tablefile import kind_of, write_csv, write_parquet
from asrfair.data.wholefile import open_whole_text, write_whole
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TEXTS = ("version", "licence", "citation", "consent", "description", "homepage", "language")


def write_manifest(card: Card, table: pd.DataFrame, card_path: Path) -> Path:
    """Write the card to ``card_path``, the table beside it under the name that the card gives; return the card's path.

    Args:
        card: With ``table`` set to a file name ending in .csv, .jsonl or .parquet.
        table: Text and number columns under our names; optional ones of ours that are empty are left out.
        card_path: The card's file.
    """
    kept = [name for name in CANONICAL_COLUMNS if name in table and _said(table[name])]
    kept = list(dict.fromkeys([*("utterance_id", "speaker_id", "reference"), *kept]))
    frame = table[[*kept, *(name for name in table.columns if name not in CANONICAL_COLUMNS)]]
    path = card_path.parent / card.table
    kind = kind_of(path)
    if kind == "csv":
        write_csv(frame, path, safe=False)
    elif kind == "parquet":
        write_parquet(frame, path)
    elif kind == "jsonl":
        records = (
            {name: None if pd.isna(value) else value for name, value in row.items()}
            for row in frame.to_dict(orient="records")
        )
        with open_whole_text(path) as stream:
            stream.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    else:
        raise InputError("manifests are written as .csv, .jsonl or .parquet", file=path, remedy="Choose one of them")
    write_whole(card_path, card_text(card))
    return card_path


def _said(column: pd.Series[str]) -> bool:
    return bool((column.notna() & (column.astype(str) != "")).any())


def card_text(card: Card) -> str:
    """Return the card as TOML. What it does not say stands there as a comment, to be filled in."""
    lines = ["[manifest]", f"name = {toml_text(card.name)}", f"table = {toml_text(card.table)}"]
    for name in _TEXTS:
        value = getattr(card, name)
        if value:
            lines.append(f"{name} = {toml_text(value)}")
        elif name in {"licence", "consent"}:
            lines.append(f'# {name} = ""')
    if card.ignore:
        lines.append(f"ignore = {_list(card.ignore)}")
    if card.columns:
        lines += ["", "[columns]", *(f"{_key(ours)} = {toml_text(theirs)}" for ours, theirs in card.columns.items())]
    if card.reference_remove:
        lines += ["", "[reference]", f"remove = {_list(card.reference_remove)}"]
    for name, attribute in card.attributes.items():
        lines += ["", f"[attributes.{_key(name)}]", *_attribute_lines(attribute)]
    return "\n".join(lines) + "\n"


def _attribute_lines(attribute: AttributeCard) -> list[str]:
    lines = [f"description = {toml_text(attribute.description)}"]
    if attribute.provenance is None:
        lines.append('# provenance = "self-reported"  # or "annotated", "recorded", "inferred"')
    else:
        lines.append(f"provenance = {toml_text(attribute.provenance)}")
    if attribute.level != "speaker":
        lines.append(f"level = {toml_text(attribute.level)}")
    if attribute.not_stated:
        lines.append(f"not_stated = {_list(attribute.not_stated)}")
    if attribute.values:
        lines.append(f"values = {_list(attribute.values)}")
    return lines


def toml_text(text: str) -> str:
    """Return text as a TOML string: literal where that keeps backslashes readable, else with escapes."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    escaped = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return re.sub("[\x80-\x9f]", lambda match: f"\\u{ord(match.group()):04x}", escaped)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml_text(name)


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(toml_text(value) for value in values)}]"
