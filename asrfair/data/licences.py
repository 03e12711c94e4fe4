"""Under which licences asrfair's installed packages stand, as their own metadata says."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from asrfair.data.provenance import packages

NOTES = {
    "soxr": "LGPL 2.1 or later (libsoxr, linked dynamically): who passes it on passes on its licence, and lets it be replaced",
    "praat-parselmouth": "GPL 3 or later, for voices changed by Praat only (the extra voices)",
    "soundfile": "the wheel carries libsndfile and its codecs: LGPL 2.1 or later",
}
"""What the metadata does not say, and who passes asrfair on should know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """A package, its version and its licence; ``note`` is what its metadata leaves out."""

    package: str
    version: str
    licence: str
    note: str = ""


def licences() -> list[Licence]:
    """Return the licences of all installed packages that asrfair leads to, sorted by name."""
    found = []
    for name, version in packages().items():
        if name == "python":
            continue
        about = importlib.metadata.metadata(name)
        classifiers = [
            line.rpartition(" :: ")[2]
            for line in about.get_all("Classifier") or ()
            if line.startswith("License :: ") and not line.endswith("OSI Approved")
        ]
        given = [(about.get_all(key) or [""])[0] for key in ("License-Expression", "License")]
        stated = (given[0] or "; ".join(classifiers) or given[1] or "not stated").strip()
        found.append(
            Licence(package=name, version=version, licence=stated.splitlines()[0][:100], note=NOTES.get(name, ""))
        )
    return found
