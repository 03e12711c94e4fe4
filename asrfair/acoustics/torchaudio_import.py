"""Imports torchaudio, also where its compiled extension does not fit the installed torch.

torchaudio's wheels on the package index are linked to CUDA, so beside a CPU build of torch the import raises
``OSError``. Most of it is plain torch: with its ``_extension`` module replaced before the import, resampling, filters,
features and the pipeline bundles work. What does need the extension (forced alignment, the RNN-T loss, fast ``lfilter``)
then raises an error that says so. The native import is always tried first.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any, NoReturn

from asrfair.errors import EnvironmentFailedError, MissingExtraError

NEEDS_EXTENSION = "this function of torchaudio needs its compiled extension, which does not fit the installed torch"


def import_torchaudio(needed_for: str, *, extra: str = "gpu") -> Any:
    """Return the module ``torchaudio``.

    Args:
        needed_for: What needs it, for the error message.
        extra: The extra of asrfair that installs it.

    Raises:
        MissingExtraError: torch or torchaudio is not installed.
        EnvironmentFailedError: It cannot be imported even without its extension.
    """
    for package in ("torch", "torchaudio"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(extra=extra, package=package, needed_for=needed_for)
    try:
        return importlib.import_module("torchaudio")
    except OSError:
        for name in [name for name in sys.modules if name == "torchaudio" or name.startswith("torchaudio.")]:
            del sys.modules[name]
    sys.modules["torchaudio._extension"] = _extension_stand_in()
    try:
        return importlib.import_module("torchaudio")
    except Exception as error:
        raise EnvironmentFailedError(
            f"torchaudio cannot be imported: {error}", remedy="Install torch and torchaudio of the same release"
        ) from error


def ensure_importable() -> None:
    """Make a later ``import torchaudio`` by another library (transformers does it) work; nothing if it is absent."""
    if importlib.util.find_spec("torch") is not None and importlib.util.find_spec("torchaudio") is not None:
        import_torchaudio("an optional import")


def _extension_stand_in() -> types.ModuleType:
    module = types.ModuleType("torchaudio._extension")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise EnvironmentFailedError(
            NEEDS_EXTENSION, remedy="Install torch and torchaudio of the same release and build"
        )

    attributes: dict[str, object] = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_RIR_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "_check_cuda_version": lambda: None,
        "fail_if_no_rir": lambda _: refuse,
        "fail_if_no_align": lambda _: refuse,
    }
    for name, value in attributes.items():
        setattr(module, name, value)
    return module
