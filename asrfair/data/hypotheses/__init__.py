"""Hypotheses in files: what a recogniser returned, as CSV, TSV, JSON Lines, Parquet, sclite .trn or .ctm.

This is the way in for any service: asrfair needs no access to it, only its transcripts.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from asrfair.data.hypotheses.sclite import read_ctm, read_trn
from asrfair.data.hypotheses.table import COLUMNS, HYPOTHESIS_NAMES, ID_NAMES, read_hypothesis_table
from asrfair.data.tablefile import SUFFIXES, suffix_of
from asrfair.errors import InputError

__all__ = ["COLUMNS", "FORMATS", "HYPOTHESIS_NAMES", "ID_NAMES", "check_known", "read_hypotheses"]

FORMATS = (*SUFFIXES, ".trn", ".ctm")
_LOOKED_AT = 1000
"""Ids of a file that are looked for before all of them are, which takes long where there are many."""


def read_hypotheses(path: Path, *, utterances: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read a file of hypotheses; the suffix names the format, ``.gz`` after it that it is compressed.

    Rows that say the same about one utterance are all returned (scoring counts one and notes the rest in the ledger).

    Args:
        path: The file.
        utterances: The manifest's table (``utterance_id``, ``audio``, ``start_s``, ``end_s``, ``channel``), by which a
            .ctm of long recordings is cut into utterances. Other formats name utterances themselves.

    Returns:
        Columns ``utterance_id``, ``hypothesis``, ``language`` and ``words`` (text, empty where the file has none;
        ``words`` is a JSON list of objects with word, start_s, end_s, confidence) and ``confidence`` (float, NaN).

    Raises:
        InputError: The file cannot be read, lacks a column, has a row without an id, or two rows that contradict each
            other; with the line.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix == ".trn":
        return read_trn(path)
    if suffix == ".ctm":
        return read_ctm(path, utterances)
    if suffix not in SUFFIXES:
        raise InputError(
            f"the format {path.suffix!r} of the hypotheses is not known",
            file=path,
            remedy=f"Use one of {', '.join(FORMATS)}",
        )
    return read_hypothesis_table(path)


def check_known(path: Path, ids: pd.Series[str], known: pd.Series[str]) -> None:
    """Refuse a file none of whose rows is of an utterance of the manifest: then the ids are written differently.

    Args:
        path: The file.
        ids: The ids of its rows.
        known: The manifest's ids.

    Raises:
        InputError: Not one id of the file is the manifest's.
    """
    if not len(ids) or not len(known) or known.isin(ids.head(_LOOKED_AT)).any() or ids.isin(known).any():
        return
    raise InputError(
        "no id in the file is an utterance of the manifest",
        file=path,
        remedy=f"Ids look like {known.iloc[0]}, transcripts' like {ids.iloc[0]}: write the manifest's ids",
    )
