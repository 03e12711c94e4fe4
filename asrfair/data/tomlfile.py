"""TOML files that people write: parsed with line numbers, so that an error can point at the place to mend."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from asrfair.data.plainread import read_bytes
from asrfair.errors import InputError

MAX_BYTES = 2_000_000
MAX_DOTS = 30
"""Deepest dotted key: the memory that the parser takes grows with the square of a key's parts."""
_DOTTED = re.compile(
    rb"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')(?:[ \t]*+\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')){%d}""" % MAX_DOTS
)
_TABLE = re.compile(r"^\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*(?P<name>"[^"]*"|'[^']*'|[\w.\- "']+?)\s*=""")

Model = TypeVar("Model", bound=pydantic.BaseModel)


class TomlFile:
    """A parsed TOML file that knows on which line each key stands.

    Raises:
        InputError: The file is missing, too large, not UTF-8 or not TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            raw = read_bytes(path, most=MAX_BYTES, remedy="Check the path and its permissions; is it a TOML file?")
        except FileNotFoundError as error:
            raise InputError(
                f"the file cannot be read: {error.strerror}", file=path, remedy="Check the path and its permissions"
            ) from error
        deep = _DOTTED.search(raw)
        if deep:
            line = raw[: deep.start()].count(b"\n") + 1
            raise InputError(f"a key has more than {MAX_DOTS} parts", file=path, line=line, remedy="Shorten it")
        try:
            self.text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise InputError("the file is not UTF-8", file=path, line=line, remedy="Save it as UTF-8") from error
        try:
            self.data: dict[str, Any] = tomllib.loads(self.text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            # Python gives the line as a number from 3.14 on; before, it stands in the text alone.
            match = re.search(r"line (\d+)", str(error))
            raise InputError(
                f"the file is not valid TOML: {error}",
                file=path,
                line=getattr(error, "lineno", int(match.group(1)) if match else None),
                remedy="See https://toml.io for the syntax",
            ) from error

    def line_of(self, *keys: str | int) -> int | None:
        """Return the one-based line of the key at a path such as ``("engine", 0, "name")``, or its nearest parent's."""
        wanted = tuple(keys)
        best: tuple[int, int] | None = None
        prefix: tuple[str | int, ...] = ()
        arrays: dict[tuple[str, ...], int] = {}
        for number, line in enumerate(self.text.splitlines(), start=1):
            table = _TABLE.match(line)
            if table:
                names = _split(table.group("name"))
                if line.lstrip().startswith("[["):
                    arrays[names] = arrays.get(names, -1) + 1
                resolved: list[str | int] = []
                for depth in range(len(names)):
                    resolved.append(names[depth])
                    if names[: depth + 1] in arrays:
                        resolved.append(arrays[names[: depth + 1]])
                prefix = tuple(resolved)
                path = prefix
            else:
                key = _KEY.match(line)
                if not key:
                    continue
                path = prefix + _split(key.group("name"))
            common = len(path)
            if common <= len(wanted) and wanted[:common] == path and (best is None or common > best[0]):
                best = (common, number)
        return best[1] if best else None

    def error(self, message: str, *keys: str | int, remedy: str = "", value: object = None) -> InputError:
        """Build (not raise) an error that points at a key of this file."""
        names = ".".join(str(key) for key in keys)
        return InputError(
            message, file=self.path, line=self.line_of(*keys), column=names or None, value=value, remedy=remedy
        )

    def validate(self, model: type[Model], data: Any = None, *, at: tuple[str | int, ...] = ()) -> Model:
        """Check ``data`` (by default the whole file) against a pydantic model; unknown keys name the nearest known one.

        Raises:
            InputError: The first problem found, with file, line, key, value and remedy.
        """
        try:
            return model.model_validate(self.data if data is None else data)
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False)
            # A key with a typing mistake is the cause of the required key that is missing beside it.
            first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
            keys = (*at, *first["loc"])
            if first["type"] == "extra_forbidden":
                known = _known_keys(model, first["loc"][:-1])
                raise self.error(
                    f"unknown key {str(first['loc'][-1])!r}", *keys, remedy=did_you_mean(str(first["loc"][-1]), known)
                ) from error
            value = None if first["type"] == "missing" else first.get("input")
            message = "a required key is missing" if first["type"] == "missing" else first["msg"]
            raise self.error(message, *keys, value=value, remedy="See docs/formats.md") from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a remedy that names the nearest known word, or all of them."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    listing = ", ".join(choices[:40]) + (" …" if len(choices) > 40 else "")
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {listing or '(none)'}"


def _split(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r'"([^"]*)"|\'([^\']*)\'|([^.\s"\']+)', dotted)
    return tuple(a or b or c for a, b, c in parts)


def _known_keys(model: type[pydantic.BaseModel], location: tuple[str | int, ...]) -> list[str]:
    current: type[pydantic.BaseModel] | None = model
    for step in location:
        if current is None:
            return []
        field = current.model_fields.get(str(step)) if isinstance(step, str) else None
        if field is None and isinstance(step, str):
            field = next((f for f in current.model_fields.values() if f.alias == step), None)
        if field is not None:
            current = _model_in(field.annotation)
    return [] if current is None else [f.alias or name for name, f in current.model_fields.items()]


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
