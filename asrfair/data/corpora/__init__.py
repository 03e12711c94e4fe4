"""Importers: one a file, each from a corpus' own distributed layout to a manifest; and the table of their names."""

from __future__ import annotations

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest
from asrfair.data.corpora.registry import IMPORTERS, find_importer, importer_names
from asrfair.data.corpora.writing import import_corpus

__all__ = [
    "IMPORTERS",
    "ImportRequest",
    "ImportedCorpus",
    "Importer",
    "find_importer",
    "import_corpus",
    "importer_names",
]
