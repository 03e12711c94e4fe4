"""Which importers there are: the built-in ones, other packages' entry points, and the user's own function in a file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Any

from asrfair.data.corpora.base import Importer
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import AsrfairError, InputError, printable

ENTRY_POINTS = "asrfair.importers"

IMPORTERS: dict[str, str] = {
    "generic": "asrfair.data.corpora.generic:IMPORTER",
    "afrispeech": "asrfair.data.corpora.afrispeech:IMPORTER",
    "common_voice": "asrfair.data.corpora.common_voice:IMPORTER",
    "coraal": "asrfair.data.corpora.coraal:IMPORTER",
    "edacc": "asrfair.data.corpora.edacc:IMPORTER",
    "fsdd": "asrfair.data.corpora.fsdd:IMPORTER",
    "hf": "asrfair.data.corpora.hf:IMPORTER",
    "kaldi": "asrfair.data.corpora.kaldi:IMPORTER",
    "l2_arctic": "asrfair.data.corpora.l2_arctic:IMPORTER",
    "lhotse": "asrfair.data.corpora.lhotse:IMPORTER",
    "librispeech": "asrfair.data.corpora.librispeech:IMPORTER",
    "nemo": "asrfair.data.corpora.nemo:IMPORTER",
    "speechocean762": "asrfair.data.corpora.speechocean762:IMPORTER",
    "vctk": "asrfair.data.corpora.vctk:IMPORTER",
}
"""Name → ``module:attribute``, imported on use."""


def importer_names() -> list[str]:
    """Return the names of all importers, built-in and installed."""
    return [*IMPORTERS, *sorted(set(_entry_points()) - set(IMPORTERS))]


def find_importer(name: str) -> Importer:
    """Return the importer of a name, of ``module:attribute``, or of ``file.py:attribute``.

    Code is loaded only from what the user names.

    Raises:
        InputError: There is none, or it cannot be loaded.
    """
    target = IMPORTERS.get(name) or _entry_points().get(name)
    if target is None:
        if ":" not in name and not name.endswith(".py"):
            raise InputError(
                f"there is no importer {name!r}",
                remedy=did_you_mean(name, importer_names()) + ". Your own: module:function or file.py:function",
            )
        target = name
    module_name, _, attribute = target.rpartition(":") if ":" in target else (target, "", "read")
    found: Any = _attribute(_module(module_name), attribute, target)
    if isinstance(found, Importer):
        return found
    if callable(found):
        return Importer(read=found, summary=(found.__doc__ or "").strip(), layout="", options=None)
    raise InputError(f"{target} is neither a function nor an Importer", remedy="See docs/importers.md")


def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def _module(name: str) -> Any:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        return _file_module(Path(name))
    except AsrfairError:
        raise
    except Exception as error:
        raise InputError(
            f"the importer {name} cannot be loaded: {type(error).__name__}: {printable(str(error))}",
            remedy="Correct the code, or install what it imports",
        ) from error


def _file_module(path: Path) -> Any:
    if not path.is_file():
        raise InputError("there is no such file", file=path, remedy="Name the file of your importer")
    spec = importlib.util.spec_from_file_location(f"asrfair_user_importer_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError("the file cannot be loaded as Python", file=path, remedy="Its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _attribute(module: Any, name: str, target: str) -> Any:
    if not hasattr(module, name):
        public = [word for word in vars(module) if not word.startswith("_")]
        raise InputError(f"{target}: there is no {name!r} in it", remedy=did_you_mean(name, public))
    return getattr(module, name)
