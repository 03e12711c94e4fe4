"""Mozilla Common Voice: a folder a language, clips/ beside validated.tsv, test.tsv and the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest
from asrfair.data.manifest import AttributeCard, Card
from asrfair.data.tablefile import read_table
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = ("validated", "test", "dev", "train", "other", "invalidated")
_UNSTATED = ("do_not_wish_to_say",)

CARD = Card(
    name="common_voice",
    licence="CC0-1.0",
    citation="Ardila, R. et al. (2020). Common Voice: A Massively-Multilingual Speech Corpus. LREC 2020, 4211–4215.",
    consent="Contributors gave their voices under CC0; you may not attempt to find out who they are.",
    homepage="https://commonvoice.mozilla.org",
    attributes={
        "accent": AttributeCard(
            description="accents, in the contributor's own words or chosen from a list; several are one cell",
            provenance="self-reported",
            not_stated=_UNSTATED,
        ),
        "age": AttributeCard(description="age band", provenance="self-reported", not_stated=_UNSTATED),
        "gender": AttributeCard(description="gender", provenance="self-reported", not_stated=_UNSTATED),
        "style": AttributeCard(
            description="sentences: read", provenance="recorded", level="utterance", values=("read",)
        ),
        "variant": AttributeCard(description="variant of the language", provenance="self-reported"),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read one split of one language. Rows of ``invalidated`` are kept and never scored."""
    split = request.option("split", "test", choices=SPLITS)
    path = request.need(f"{split}.tsv")
    table = read_table(path, kind="tsv")
    for name in ("client_id", "path", "sentence"):
        if name not in table:
            raise InputError(f"the table has no column {name!r}", file=path, line=1, remedy="Is it Common Voice's?")
    if table.empty:
        raise InputError("the table has no rows", file=path, remedy="Choose another split")
    clip = table["path"].where(table["path"].str.contains(r"\.[a-z0-9]{2,4}$"), table["path"] + ".mp3")
    rows = pd.DataFrame(
        {
            "utterance_id": clip.str.replace(r"\.[a-z0-9]{2,4}$", "", regex=True),
            "speaker_id": table["client_id"],
            "reference": table["sentence"],
            "audio": "clips/" + clip,
            "duration_s": _durations(request.source / "clip_durations.tsv", clip),
            "language": table.get("locale", ""),
            "exclude": "invalidated by the contributors" if split == "invalidated" else "",
        }
    )
    for ours, theirs in (("accent", "accents"), ("accent", "accent"), ("age", "age"), ("gender", "gender")):
        if theirs in table and ours not in rows:
            rows[ours] = table[theirs]
    rows["style"] = "read"
    if "variant" in table and (table["variant"] != "").any():
        rows["variant"] = table["variant"]
    stated = int((rows["accent"] != "").sum()) if "accent" in rows else 0
    notes = (
        f"{stated:,} of {len(rows):,} rows state an accent; stating it is voluntary, so groups are self-selected.",
    )
    return ImportedCorpus(card=CARD, rows=rows, notes=notes)


def _durations(path: Path, clip: pd.Series[str]) -> pd.Series[float]:
    """Read clip_durations.tsv: milliseconds a clip, where the release has it."""
    if not path.is_file():
        return pd.Series(float("nan"), index=clip.index)
    table = read_table(path, kind="tsv")
    if table.shape[1] < 2:
        raise InputError("the table needs the columns clip and duration[ms]", file=path, line=1)
    milliseconds = pd.to_numeric(table.iloc[:, 1], errors="coerce")
    known = pd.Series(milliseconds.to_numpy() / 1000, index=table.iloc[:, 0].to_numpy())
    return clip.map(known[~known.index.duplicated()])


IMPORTER = Importer(
    read=read,
    summary="Mozilla Common Voice, one language",
    layout="cv-corpus-…/en: clips/*.mp3, validated.tsv, test.tsv, dev.tsv, train.tsv, clip_durations.tsv",
    options={"split": f"which table: {', '.join(SPLITS)} (default test)"},
)
