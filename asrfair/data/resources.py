"""Finds what ships with asrfair (manifests, noise profiles), in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from asrfair.errors import EnvironmentFailedError

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """Return the folder ``name`` (``manifests`` or ``noise_profiles``) that ships with asrfair.

    Raises:
        EnvironmentFailedError: The installation lacks it.
    """
    for candidate in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise EnvironmentFailedError(
        f"this installation of asrfair lacks its folder {name!r}",
        remedy="Reinstall it: pip install --force-reinstall asrfair",
    )
