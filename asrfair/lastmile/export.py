"""What may leave a site: counts a person, group and condition, under codes, and nothing that anybody wrote.

Every text in an export comes from a list that ships with asrfair or from the answers that ``kit.toml`` allows to leave;
everything else is a number, a version or a hash. Whatever is not on a list leaves as ``other`` or under a number.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from asrfair.acoustics.profiles import list_further_profiles, list_profiles
from asrfair.data.resources import shipped
from asrfair.data.runfile import read_run_file
from asrfair.data.wholefile import write_whole
from asrfair.errors import InputError
from asrfair.lastmile.export_ledger import Shown, note, read_ledger, releasing, shown_before
from asrfair.lastmile.run_kit import BENCHMARK, ROOM
from asrfair.lastmile.settings import DEMO, Kit
from asrfair.lastmile.site_key import pseudonym, site_key
from asrfair.lastmile.suppress import OTHER, SUPPRESSED, Withheld, classes_of, suppress
from asrfair.recognise.engines.table import ENGINES
from asrfair.types import CLEAN, NOT_STATED
from asrfair.version import __version__

FORMAT = "asrfair-lastmile-export"
FORMAT_VERSION = 1
PRIVATE_FORMAT = "asrfair-lastmile-private"
OWN_ROOM = "own-room-"
"""What a profile that asrfair does not ship leaves as, with a number."""

COUNTS = (
    "utterances",
    "hits",
    "substitutions",
    "deletions",
    "insertions",
    "key_terms",
    "key_term_hits",
    "failed",
)
ROW = ("source", "engine", "condition", "speaker", "groups", *COUNTS)
QUANTITIES = ("active_level_dbfs", "snr_estimate_db", "clipped_fraction", "active_fraction")
RENDERED = ("snr_db", "rt60_s", "loss")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,39}")
_SUFFIX = re.compile(r"(?:mild|moderate|severe|snr=-?[0-9]{1,2}(?:\.[0-9]{1,2})?)")
_PACKAGES = ("python", "asrfair", "numpy", "pandas", "rapidfuzz", "soundfile", "soxr", "whisper-normalizer")


@dataclass(frozen=True, kw_only=True)
class Export:
    """What would leave: ``body`` is JSON-like, ``text`` the bytes of the file, ``code`` what signs it off."""

    body: Mapping[str, Any]
    text: str
    sha256: str
    withheld: Withheld

    @property
    def code(self) -> str:
        """The code of the sign-off page: it changes with every byte."""
        return self.sha256[:12]


def make_export(kit: Kit) -> Export:
    """Gather the counts of a kit's runs; nothing is written but the site's secret key, which stays.

    Raises:
        InputError: Nothing was run yet, or nothing is left once small cells are held back.
    """
    key = site_key(kit)
    before = shown_before(kit)
    attributes = sorted({name for item in kit.by for name in item})
    rows: list[list[Any]] = []
    acoustics: list[list[Any]] = []
    runs: list[dict[str, Any]] = []
    withheld = Withheld()
    for source in (ROOM, BENCHMARK):
        folder = kit.run_folder(source)
        if not (folder / "run.json").is_file():
            continue
        content = read_run_file(folder)
        named = DEMO if source == BENCHMARK and kit.benchmark == DEMO else source
        engines = engine_names(content)
        conditions = condition_names(content)
        counts = counts_of(folder, attributes)
        check_names(folder, counts, engines, conditions)
        for name in attributes:
            counts[name] = _allowed(counts[name], kit.values[name] if named != DEMO else _demo_values(name))
        if named == DEMO:
            # Synthetic voices are nobody: there is no cell too small to show.
            kept = counts
        else:
            counts["speaker_id"] = [pseudonym(key, f"{named}\0{name}") for name in counts["speaker_id"]]
            people = _enough(counts, kit)
            earlier = [_of_source(shown, named) for shown in before]
            classes = classes_of(people, earlier, kit.export_speakers)
            kept, held = suppress(
                counts[counts["speaker_id"].isin(classes)], attributes, classes=classes,
                least_speakers=kit.export_speakers, least_words=kit.export_words,
            )  # fmt: skip
            withheld = withheld + held + Withheld(absent=len(people) - len(classes))
        if named == DEMO:
            kept = kept.assign(speaker_id=[pseudonym(b"asrfair demo", f"{named}\0{who}") for who in kept["speaker_id"]])
        for item in kept.to_dict("records"):
            rows.append(
                [
                    named,
                    engines[str(item["engine"])],
                    conditions[str(item["condition"])],
                    str(item["speaker_id"]),
                    [str(item[name]) for name in attributes],
                    *(int(item[name]) for name in COUNTS),
                ]
            )
        acoustics += _acoustics(folder, named, conditions)
        runs.append(_run(content, named, engines, conditions))
    if not runs:
        raise InputError("the kit has not been run", file=kit.folder, remedy="Run: asrfair lastmile run FOLDER")
    if not rows:
        raise InputError(
            "nothing is left to export: every cell is too small",
            file=kit.folder,
            remedy=f"Record more people; fewer than {kit.export_speakers} never share a visible group",
        )
    body = {
        "site": pseudonym(key, "site"),
        "release": len(read_ledger(kit)) + 1,
        "asrfair": __version__,
        "language": kit.language if re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", kit.language) else OTHER,
        "attributes": attributes,
        "least_speakers": kit.export_speakers,
        "least_words": kit.export_words,
        "runs": sorted(runs, key=lambda item: str(item["source"])),
        "columns": list(ROW),
        "rows": sorted(rows, key=lambda row: json.dumps(row[:5])),
        "acoustics": sorted(acoustics),
        "withheld": {
            "people": withheld.people,
            "rows": withheld.rows,
            "groups_hidden": withheld.groups,
            "absent": withheld.absent,
        },
    }
    return _sealed(body, withheld)


def _enough(counts: pd.DataFrame, kit: Kit) -> list[str]:
    """Who has any row that may leave."""
    words = counts["hits"] + counts["substitutions"] + counts["deletions"]
    rows = counts[(words >= kit.export_words) | (counts["failed"] > 0) & (words == 0)]
    return sorted(rows["speaker_id"].unique())


def _of_source(shown: Shown, source: str) -> Shown:
    return {who.removeprefix(f"{source}/"): own for who, own in shown.items() if who.startswith(f"{source}/")}


def _shown(body: Mapping[str, Any]) -> Shown:
    """Return what an export shows of each person; people of the shipped voices are nobody."""
    found: Shown = {}
    for row in body["rows"]:
        if row[0] != DEMO:
            person = found.setdefault(f"{row[0]}/{row[3]}", {})
            for name, group in zip(body["attributes"], row[4], strict=True):
                if group != SUPPRESSED and group not in person.setdefault(name, []):
                    person[name].append(group)
    return found


def canonical(body: Mapping[str, Any]) -> str:
    """Return the one JSON text of a body: sorted keys, ASCII, no spaces."""
    return json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def sealed_text(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the file's text and the SHA-256 of its body."""
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()
    content = {"format": FORMAT, "version": FORMAT_VERSION, "sha256": digest, "body": body}
    return json.dumps(content, sort_keys=True, ensure_ascii=True, indent=1, allow_nan=False) + "\n", digest


def _sealed(body: Mapping[str, Any], withheld: Withheld) -> Export:
    text, digest = sealed_text(body)
    return Export(body=body, text=text, sha256=digest, withheld=withheld)


def write_export(kit: Kit, made: Export, out: Path, code: str) -> None:
    """Write the export, if its page was signed off, and note it in the kit's own ledger.

    Raises:
        InputError: The code is not that of the content, or something was released since it was made.
    """
    check_code(made.code, code)
    with releasing(kit):
        if made.body["release"] != len(read_ledger(kit)) + 1:
            raise InputError(
                "something was released since this export was made", file=kit.folder, remedy="Look at its page again"
            )
        note(kit, {"kind": "counts", "sha256": made.sha256, "file": out.name, "shown": _shown(made.body)})
    write_whole(out, made.text)


def check_code(expected: str, code: str) -> None:
    """Refuse a sign-off code that belongs to other content.

    Raises:
        InputError: It does.
    """
    if not secrets.compare_digest(expected.encode(), code.strip().lower().encode("utf-8", "replace")):
        raise InputError(
            "the code does not belong to what would leave now",
            value=code,
            remedy="Look at the page again (asrfair lastmile export FOLDER) and give the code that stands there",
        )


def engine_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Label → name as it leaves: the engine's name if asrfair ships it, numbered if there are several."""
    names: dict[str, str] = {}
    for engine in content["engines"]:
        base = str(engine["name"]) if engine["name"] in ENGINES else OTHER
        taken = sum(name == base or name.startswith(f"{base}-") for name in names.values())
        names[str(engine["label"])] = f"{base}-{taken + 1}" if taken else base
    return names


def condition_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Condition → name as it leaves: shipped profiles keep theirs, the customer's are numbered."""
    known = {path.stem for path in [*list_profiles(), *list_further_profiles()]}
    names: dict[str, str] = {}
    own: dict[str, str] = {}
    for item in content["conditions"]:
        name = str(item["name"])
        profile, at, suffix = name.partition("@")
        if name == CLEAN:
            names[name] = CLEAN
            continue
        base = profile if profile in known else own.setdefault(profile, f"{OWN_ROOM}{len(own) + 1}")
        shown = base
        if at:
            shown = f"{base}@{suffix if _SUFFIX.fullmatch(suffix) else OTHER}"
        taken = sum(other == shown or other.startswith(f"{shown}#") for other in names.values())
        names[name] = f"{shown}#{taken + 1}" if taken else shown
    return names


def check_names(run: Path, counts: pd.DataFrame, engines: Mapping[str, str], conditions: Mapping[str, str]) -> None:
    """Refuse a run whose tables and ``run.json`` do not speak of the same engines and conditions.

    Raises:
        InputError: They do not.
    """
    for column, known in (("engine", engines), ("condition", conditions)):
        unknown = sorted(set(counts[column].astype(str)) - known.keys())
        if unknown:
            raise InputError(
                f"scores.parquet has a {column} that run.json does not have",
                file=run / "run.json",
                value=unknown[0],
                remedy="Run the kit again: asrfair lastmile run FOLDER",
            )


def counts_of(run: Path, attributes: list[str]) -> pd.DataFrame:
    """Sum the scores to one row an engine, condition, speaker and combination of groups."""
    utterances = pq.read_table(run / "utterances.parquet").to_pandas()
    for name in attributes:
        if name not in utterances:
            utterances[name] = NOT_STATED
    scores = pq.read_table(run / "scores.parquet").to_pandas()
    rows = scores.merge(utterances[["utterance_id", "speaker_id", *attributes]], on="utterance_id", how="left")
    rows = rows[rows["status"].isin(["scored", "error", "missing"])].copy()
    rows["utterances"] = (rows["status"] == "scored").astype("int64")
    rows["failed"] = (rows["status"] != "scored").astype("int64")
    for name in COUNTS[1:-1]:
        rows[name] = np.where(rows["status"] == "scored", rows[name], 0)
    keys = ["engine", "condition", "speaker_id", *attributes]
    summed: pd.DataFrame = rows.groupby(keys, sort=True, dropna=False)[list(COUNTS)].sum().reset_index()
    return summed


def _allowed(column: pd.Series[Any], values: tuple[str, ...]) -> pd.Series[Any]:
    known = {*values, NOT_STATED}
    return column.where(column.isin(known), OTHER)


def _demo_values(name: str) -> tuple[str, ...]:
    from asrfair.data.manifest import read_manifest

    manifest = read_manifest(shipped("manifests") / "demo" / "demo.toml")
    return tuple(manifest.table[name].unique()) if name in manifest.attributes else ()


def _acoustics(run: Path, source: str, conditions: Mapping[str, str]) -> list[list[Any]]:
    path = run / "achieved.parquet"
    if not path.is_file():
        return []
    table = pq.read_table(path).to_pandas()
    table = table[np.isfinite(table["value"].to_numpy(dtype="float64"))]
    if table.empty:  # transcripts only: nothing was heard
        return []
    leaf = table["quantity"].str.rpartition(".")[2]
    known = table["quantity"].isin(QUANTITIES) | (
        table["quantity"].str.contains(".", regex=False) & leaf.isin(RENDERED)
    )
    table = table[known].assign(leaf=leaf[known])
    found = []
    for (condition, quantity), rows in table.groupby(["condition", "leaf"]):
        if len(rows) >= 5:
            values = rows["value"].to_numpy(float)
            spread = round(float(values.std(ddof=1)), 2)
            found.append(
                [
                    source,
                    conditions.get(str(condition), OTHER),
                    str(quantity),
                    round(float(values.mean()), 2),
                    spread,
                    len(rows),
                ]
            )
    return found


def _run(
    content: Mapping[str, Any], source: str, engines: Mapping[str, str], conditions: Mapping[str, str]
) -> dict[str, Any]:
    normalizer = str(content["scoring"].get("normalizer_version", ""))
    known = re.fullmatch(r"(none|basic|whisper-english)(@[0-9.]{1,12})?", normalizer)
    packages = {
        name: version
        for name, version in content.get("packages", {}).items()
        if name in {*_PACKAGES, *(str(e["name"]) for e in content["engines"])} and _VERSION.fullmatch(str(version))
    }
    return {
        "source": source,
        "engines": [
            {
                "name": engines[str(e["label"])],
                "fingerprint": hashlib.sha256(canonical(e["fingerprint"]).encode()).hexdigest(),
            }
            for e in content["engines"]
        ],
        "conditions": [conditions[str(item["name"])] for item in content["conditions"]],
        "condition_hashes": [str(item["fingerprint"]) for item in content["conditions"]],
        "normalizer": normalizer if known else OTHER,
        "packages": packages,
    }
