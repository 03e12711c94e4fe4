"""What makes a run this run: settings that are checked first, and the fingerprints that a resume must share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrfair.errors import InputError
from asrfair.recognise.engines.table import load_class
from asrfair.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.recognise.engines import EngineContext, EngineTraits
    from asrfair.types import EngineSpec


def check_settings(
    engines: Sequence[EngineSpec], conditions: Sequence[Condition], *, workers: int | None, shard: tuple[int, int]
) -> None:
    """Refuse impossible settings before anything is started or written.

    Raises:
        InputError: Two engines or conditions have one name, there is none, or a number is out of range.
    """
    for names, what in (
        ([spec.label for spec in engines], "engine label"),
        ([condition.name for condition in conditions], "condition"),
    ):
        if not names:
            raise InputError(f"a run needs at least one {what.split()[0]}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"the {what} {twice!r} is used twice", remedy="Give each a name of its own")
    if workers is not None and workers < 1:
        raise InputError("at least one worker is needed", value=workers)
    if not 0 <= shard[0] < shard[1]:
        raise InputError("a shard is i of n with 0 ≤ i < n", value=shard)


def public_options(spec: EngineSpec, base: Path) -> dict[str, Any]:
    """Return an engine's options without secrets, and with paths below ``base`` made relative to it."""
    secret: frozenset[str] = getattr(load_class(spec.name), "secret_options", frozenset())
    root = f"{base.resolve()}/"

    def shown(value: Any) -> Any:
        if isinstance(value, Path):
            value = str(value)
        if isinstance(value, str):
            return value.removeprefix(root)
        if isinstance(value, dict):
            return {str(key): shown(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [shown(item) for item in value]
        return value

    return {key: shown(value) for key, value in spec.options.items() if key not in secret}


def fingerprints(
    manifest: Manifest,
    engines: Sequence[EngineSpec],
    traits: Mapping[str, EngineTraits],
    conditions: Sequence[Condition],
    context: EngineContext,
    shard: tuple[int, int],
) -> dict[str, str]:
    """Return what a resume must share with what was begun, by a name that people understand."""
    found = {
        "asrfair's version": __version__,
        "the manifest": manifest.fingerprint,
        "the seed": str(context.seed),
        "the shard": f"{shard[0]}/{shard[1]}",
    }
    for spec in engines:
        stated = asdict(traits[spec.label])
        planned = {key: stated[key] for key in ("sample_rate_hz", "needs_audio", "max_batch", "max_padded_s")}
        content = [spec.name, public_options(spec, context.base), planned]
        text = json.dumps(content, sort_keys=True, default=str)
        found[f"engine {spec.label!r}"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    for condition in conditions:
        found[f"condition {condition.name!r}"] = condition.fingerprint
    return found
