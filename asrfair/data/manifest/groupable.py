"""Which attributes may be grouped by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asrfair.data.manifest.model import Manifest
from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from asrfair.data.manifest.card import AttributeCard


def check_groupable(
    attributes: Manifest | Mapping[str, AttributeCard],
    by: Iterable[str | Sequence[str]],
    allow_inferred: bool = False,
    *,
    file: Path | None = None,
) -> None:
    """Refuse to group by what is unknown or was guessed.

    Args:
        attributes: The manifest, or its card's attributes.
        by: Attribute names, or several of them for an intersection.
        allow_inferred: Whether attributes that were inferred, not stated, may be used after all.
        file: The file to name in the error.

    Raises:
        InputError: An attribute is unknown, named twice in an intersection, or inferred and that is not allowed.
    """
    if isinstance(attributes, Manifest):
        file = file or attributes.path
        attributes = attributes.card.attributes
    for names in by:
        several = (names,) if isinstance(names, str) else tuple(names)
        if len(set(several)) != len(several):
            raise InputError(f"an attribute stands twice in {','.join(several)}", file=file, remedy="Name it once")
        if not several:
            raise InputError("a group needs at least one attribute", file=file, remedy=did_you_mean("", attributes))
        for name in several:
            if name not in attributes:
                raise InputError(
                    f"the manifest has no attribute {name!r}", file=file, remedy=did_you_mean(name, attributes)
                )
            if attributes[name].provenance == "inferred" and not allow_inferred:
                raise InputError(
                    f"the attribute {name!r} was inferred, not stated by the speakers",
                    file=file,
                    remedy="Group by what people said about themselves, or set allow_inferred = true",
                )
