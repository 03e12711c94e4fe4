"""Pools many sites' differentially private releases: sums of noisy words and errors, and what the noise does to a rate.

There are no people in such a release, so that no interval over people can be had. The range that is given here is of
the noise alone: k sites' noise on a sum has the variance ``2 · Σ scale²`` (discrete Laplace; exact to a fraction for
scales far above 1), and the range of the rate is simulated from it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pydantic

from asrfair.errors import InputError
from asrfair.lastmile.export import PRIVATE_FORMAT, canonical
from asrfair.lastmile.private import COLUMNS
from asrfair.lastmile.read_exports import MAX_BYTES, Code, Hash, Name, is_name
from asrfair.lastmile.settings import attribute_problem

DRAWS = 20_000
MOST_RATE = 2.0
WIDE = 0.1
_MOST = 10**12


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Group(_Table):
    attribute: Name
    epsilon: float = pydantic.Field(gt=0, le=100)
    columns: list[Name]
    rows: list[list[Any]] = pydantic.Field(max_length=100_000)


class Private(_Table):
    """What a release says of a site."""

    site: Code
    release: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 1
    asrfair: Name
    unit: Literal["person"]
    mechanism: Name
    sensitivity: int = pydantic.Field(gt=0, le=_MOST)
    scale: float = pydantic.Field(gt=0, le=_MOST)
    tables: list[_Group] = pydantic.Field(min_length=1, max_length=100)


class _File(_Table):
    format: Literal["asrfair-lastmile-private"]
    version: Annotated[int, pydantic.Field(ge=1, le=1)]
    sha256: Hash
    body: Private


def is_private(path: Path) -> bool:
    """Tell whether a file calls itself a private release; what cannot be read does not."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return False
        content = json.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == PRIVATE_FORMAT


def read_private(path: Path) -> Private:
    """Read and check one private release.

    Raises:
        InputError: It is malformed or was changed after it was written.
    """
    remedy = "Ask the site for a new one"
    try:
        content = json.loads(path.read_bytes().decode())
        file = _File.model_validate(content)
        digest = hashlib.sha256(canonical(content["body"]).encode()).hexdigest()
    except pydantic.ValidationError as error:
        one = error.errors(include_url=False)[0]
        what = f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
        raise InputError(f"the private release is malformed: {what}", file=path, remedy=remedy) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the private release is malformed: {error}", file=path, remedy=remedy) from error
    if digest != file.sha256:
        raise InputError(
            "the private release was changed after it was written: its hash does not fit", file=path, remedy=remedy
        )
    problem = next(filter(None, map(_problem, file.body.tables)), "")
    if problem or len({table.attribute for table in file.body.tables}) != len(file.body.tables):
        what = problem or "an attribute stands there twice"
        raise InputError(f"the private release is malformed: {what}", file=path, remedy=remedy)
    return file.body


def _problem(table: _Group) -> str:
    if table.columns != list(COLUMNS):
        return "other columns than a private release has"
    seen = set()
    for row in table.rows:
        if len(row) != len(COLUMNS) or not all(map(is_name, row[:3])):
            return "a row without engine, condition and group"
        if not all(type(value) is int and abs(value) <= _MOST for value in row[3:]):
            return "a sum is no whole number"
        if tuple(row[:3]) in seen:
            return "the same group twice"
        seen.add(tuple(row[:3]))
    return attribute_problem(table.attribute)


def check_apart(releases: Sequence[tuple[Path, Private]]) -> None:
    """Refuse releases in which people would count twice.

    Raises:
        InputError: Two releases are of one site, or one is a copy of another.
    """
    seen: dict[str, Path] = {}
    for path, body in releases:
        tables = json.dumps([table.model_dump() for table in body.tables], sort_keys=True)
        for mark, what in ((body.site, "of one site"), (tables, "the same numbers under two names")):
            if mark in seen:
                raise InputError(
                    f"two private releases are {what}: people would count twice",
                    file=path,
                    value=seen[mark].name,
                    remedy="Give only one of the two",
                )
            seen[mark] = path


def pool_private(releases: Sequence[tuple[Path, Private]]) -> pd.DataFrame:
    """Add up releases of different sites.

    Returns:
        A row an attribute, engine, condition and group: ``sites``, noisy ``words`` and ``errors``, ``noise_sd`` of each of
        the two, ``wer``, ``noise_low`` and ``noise_high`` (95 % of the noise alone), and ``flag`` ``noisy`` where that is
        wider than ten points.
    """
    sums: dict[tuple[str, str, str, str], list[float]] = {}
    for _, body in releases:
        for table in body.tables:
            for engine, condition, group, words, errors in table.rows:
                total = sums.setdefault((table.attribute, str(engine), str(condition), str(group)), [0, 0, 0, 0.0])
                total[0] += 1
                total[1] += words
                total[2] += errors
                total[3] += 2 * body.scale**2
    rows = []
    rng = np.random.default_rng(1)
    for key, (sites, words, errors, variance) in sums.items():
        noise_sd = math.sqrt(variance)
        noise = rng.normal(0.0, noise_sd, size=(2, DRAWS))
        rates = np.minimum(np.maximum(errors + noise[0], 0) / np.maximum(words + noise[1], 1), MOST_RATE)
        low, high = (float(x) for x in np.quantile(rates, [0.025, 0.975]))
        wer = max(errors, 0) / words if words > 0 else math.nan
        rows.append(
            (*key, int(sites), int(words), int(errors), noise_sd, wer, low, high, "noisy" if high - low > WIDE else "")
        )
    columns = ["attribute", "engine", "condition", "group", "sites", "words", "errors", "noise_sd"]
    return pd.DataFrame(rows, columns=[*columns, "wer", "noise_low", "noise_high", "flag"])
