"""Noise profiles: TOML files that describe a place as a chain of effects, with named severities; and conditions.

A condition is ``clean``, a profile (``imaging-floor``), a profile at a severity (``imaging-floor@moderate``), or one
with single parameters changed (``imaging-floor@snr=5``, ``imaging-floor@severe,room.rt60_s=0.8``).
The schema is written out in docs/profiles.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from asrfair.acoustics.effects.base import EffectParams, Inspection, effect_names, effect_of
from asrfair.acoustics.effects.parameters import plain
from asrfair.data import resources
from asrfair.data.tomlfile import TomlFile, did_you_mean
from asrfair.errors import InputError
from asrfair.types import CLEAN

RENDERING = "2"
RendererName = Literal["processor", "device"]
"""Changes whenever the same profile and seed would give other bytes; part of every fingerprint."""

FURTHER = "further"
"""Folder of the shipped profiles that are no places, or that need an extra."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MAX_EFFECTS = 32

Line = Annotated[str, pydantic.Field(min_length=1, max_length=4000)]


class _Header(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, pydantic.Field(pattern=f"^{NAME.pattern}$")]
    description: Line
    licence: Line
    source: Line
    place: str = ""
    reasons: str = ""
    references: list[Line] = []
    severity: str = ""


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    profile: _Header
    effect: list[dict[str, Any]] = pydantic.Field(min_length=1, max_length=_MAX_EFFECTS)
    severity: dict[str, dict[str, dict[str, Any]]] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One effect of a chain: which, under which label (unique in the chain), with which parameters."""

    label: str
    effect: str
    params: EffectParams
    inspection: Inspection = field(default_factory=Inspection)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What a profile file says. ``severity`` is the one that holds where none is named; empty if it has none."""

    name: str
    path: Path
    description: str
    licence: str
    source: str
    place: str = ""
    reasons: str = ""
    references: tuple[str, ...] = ()
    severity: str = ""
    severities: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Where: ``clean`` (no profile, no steps) or a profile with everything but the dice decided. Picklable.

    Args:
        name: As tables show it.
        profile: The profile, or ``None`` for clean.
        severity: The severity that holds, possibly the profile's default; empty if it has none.
        steps: The chain.
        warnings: What the user should know before relying on it.
        fingerprint: Hash over everything that decides the samples: chain, parameters, files, rendering version.
        renderer: ``processor`` (:mod:`~asrfair.acoustics.render`), or ``device`` (:mod:`~asrfair.acoustics.tensor`).
    """

    name: str
    profile: Profile | None = None
    severity: str = ""
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    renderer: RendererName = "processor"


CLEAN_CONDITION = Condition(name=CLEAN, fingerprint=hashlib.sha256(f"clean {RENDERING}".encode()).hexdigest())


class ProfileFile:
    """A checked profile file.

    Raises:
        InputError: Anything in it is wrong, in any severity, with file, line and the nearest known key.
    """

    def __init__(self, path: Path) -> None:
        self._toml = TomlFile(path)
        self._file = self._toml.validate(_File)
        header = self._file.profile
        self._labels = self._read_labels()
        severities = tuple(self._file.severity)
        if severities and header.severity not in severities:
            raise self._toml.error(
                "the profile has severities and names none that holds by default",
                "profile",
                "severity",
                value=header.severity,
                remedy=f"Under [profile], write severity = {json.dumps(severities[0])}. Known: {', '.join(severities)}",
            )
        if header.severity and not severities:
            raise self._toml.error("the profile has no severities", "profile", "severity", value=header.severity)
        for severity, changes in self._file.severity.items():
            if not NAME.fullmatch(severity):
                raise self._toml.error("a severity's name is lower-case letters, digits and '-'", "severity", severity)
            for label in changes:
                if label not in self._labels:
                    raise self._toml.error(
                        "no effect of the chain has this label", "severity", severity, label,
                        remedy=did_you_mean(label, self._labels),
                    )  # fmt: skip
        self.profile = Profile(
            name=header.name,
            path=path.absolute(),
            description=header.description,
            licence=header.licence,
            source=header.source,
            place=header.place,
            reasons=header.reasons,
            references=tuple(header.references),
            severity=header.severity,
            severities=severities,
        )
        for severity in severities or ("",):
            self.steps(severity, {})

    def _read_labels(self) -> tuple[str, ...]:
        labels: list[str] = []
        for i, effect in enumerate(self._file.effect):
            use = effect.get("use")
            if not isinstance(use, str):
                raise self._toml.error(
                    "an effect needs a 'use'", "effect", i, remedy=f"Known: {', '.join(effect_names())}"
                )
            if use not in effect_names():
                raise self._toml.error(
                    "unknown effect", "effect", i, "use", value=use, remedy=did_you_mean(use, effect_names())
                )
            label = effect.get("label", use)
            if not isinstance(label, str) or not _LABEL.fullmatch(label):
                raise self._toml.error(
                    "a label is a letter followed by letters, digits and '_'", "effect", i, "label", value=label
                )
            if label in labels:
                raise self._toml.error(
                    f"two effects are called {label!r}", "effect", i, "use", remedy='Give one of them a label = "…"'
                )
            labels.append(label)
        return tuple(labels)

    def steps(self, severity: str, changes: dict[str, dict[str, Any]]) -> tuple[Step, ...]:
        """Return the chain at a severity, with further changes by label.

        Raises:
            InputError: A parameter is wrong.
        """
        steps = []
        for i, (label, effect) in enumerate(zip(self._labels, self._file.effect, strict=True)):
            named = self._file.severity.get(severity, {}).get(label, {})
            if "use" in named or "label" in named:
                raise self._toml.error(
                    "a severity changes parameters, not which effect it is", "severity", severity, label,
                    remedy="Remove 'use' and 'label' here",
                )  # fmt: skip
            own = {k: v for k, v in effect.items() if k not in {"use", "label"}} | named
            merged = self._changed(own, changes.get(label, {}), label)
            implementation = effect_of(effect["use"])
            try:
                params = implementation.parse(self._toml, merged, ("effect", i))
            except InputError as error:
                if severity or changes:
                    where = f"severity {severity!r}" if severity else "the changes asked for"
                    raise InputError(
                        f"{error.message} (with {where})", file=error.file, line=error.line, column=error.column,
                        value=error.value, remedy=error.remedy,
                    ) from error  # fmt: skip
                raise
            steps.append(Step(label=label, effect=effect["use"], params=params))
        return tuple(steps)

    def _changed(self, own: dict[str, Any], changes: dict[str, Any], label: str) -> dict[str, Any]:
        """Return an effect's parameters with changes; ``SOURCE.KEY`` is one of the layer with that source."""
        merged = own | {key: value for key, value in changes.items() if "." not in key}
        for path, value in changes.items():
            source, dot, key = path.partition(".")
            if not dot:
                continue
            layers = merged.get("layer", [])
            sources = [layer.get("source") for layer in layers] if isinstance(layers, list) else []
            if sources.count(source) != 1:
                raise InputError(
                    f"the effect {label!r} has {sources.count(source)} layers of this source",
                    file=self._toml.path, value=source, remedy=did_you_mean(source, list(dict.fromkeys(sources))),
                )  # fmt: skip
            merged["layer"] = [{**layer, key: value} if layer["source"] == source else layer for layer in layers]
        return merged


def parse_condition(text: str, *, profiles: Path | None = None, render: RendererName = "processor") -> Condition:
    """Turn the name of a condition into what is to be rendered; the files it needs are inspected and hashed now.

    Args:
        text: ``clean``, ``NAME``, ``NAME@SEVERITY``, ``NAME@snr=5``, ``NAME@SEVERITY,LABEL.KEY=VALUE`` (or
            ``LABEL.SOURCE.KEY=VALUE`` for the layer of a noise), where NAME is
            that of a profile in ``profiles`` or one that ships with asrfair, or the path of a profile file.
        profiles: Folder of the user's own profiles; looked at first.
        render: What is to render it; a device can only do so where every effect has a form for tensors.

    Raises:
        InputError: There is no such profile, or it is wrong.
        MissingExtraError: Rendering on a device needs torch.
    """
    if text == CLEAN:
        return CLEAN_CONDITION
    if render == "device":
        from asrfair.acoustics.tensor import on_device

        return on_device(parse_condition(text, profiles=profiles))
    name, suffix = _split(text)
    file = ProfileFile(find_profile(name, profiles))
    profile = file.profile
    if not name.endswith(".toml") and profile.name != name:
        raise InputError(
            f"the profile in {name}.toml calls itself {profile.name!r}",
            file=profile.path,
            column="profile.name",
            remedy="Give the file and the profile the same name",
        )
    severity, changes = _read_suffix(suffix, file, text)
    steps = _inspected(file.steps(severity, changes), profile.path.parent)
    warnings = tuple(f"{step.label}: {w}" for step in steps for w in step.inspection.warnings)
    canonical = json.dumps(
        [
            RENDERING,
            profile.name,
            [[s.label, s.effect, plain(s.params), sorted(s.inspection.files.values())] for s in steps],
        ],
        sort_keys=True,
        ensure_ascii=True,
    )
    return Condition(
        name=profile.name + (f"@{suffix}" if suffix else ""),
        profile=profile,
        severity=severity,
        steps=steps,
        warnings=warnings,
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
    )


def find_profile(name: str, profiles: Path | None = None) -> Path:
    """Return the file of a profile: a path that ends in ``.toml``, or a name in a folder of profiles.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    if "\0" in name:
        raise InputError("not a usable path", value=name)
    if name.endswith(".toml"):
        places = [Path(name)] if profiles is None else [profiles / name, Path(name)]
        for place in places:
            if place.is_file():
                return place
        raise InputError("there is no such profile file", file=places[0], remedy="Check the path")
    shipped = resources.shipped("noise_profiles")
    folders = [*([] if profiles is None else [profiles]), shipped, shipped / FURTHER]
    if NAME.fullmatch(name):
        for folder in folders:
            if (folder / f"{name}.toml").is_file():
                return folder / f"{name}.toml"
    known = [CLEAN, *(p.stem for folder in folders for p in list_profiles(folder))]
    raise InputError(
        "there is no such condition or profile", value=name, remedy=did_you_mean(name, dict.fromkeys(known))
    )


def list_profiles(folder: Path | None = None) -> list[Path]:
    """Return the profile files of a folder (by default the shipped places), sorted by name."""
    return sorted((folder or resources.shipped("noise_profiles")).glob("*.toml"))


def list_further_profiles() -> list[Path]:
    """Return the shipped files that are no places: voices changed a little, front ends that need an extra."""
    return list_profiles(resources.shipped("noise_profiles") / FURTHER)


def _split(text: str) -> tuple[str, str]:
    name, at, suffix = text.rpartition("@")
    if not at or "/" in suffix or suffix.endswith(".toml"):
        return text, ""
    if not suffix:
        raise InputError("nothing follows the '@'", value=text, remedy="Write a severity, or snr=NUMBER")
    return name, suffix


def _read_suffix(suffix: str, file: ProfileFile, text: str) -> tuple[str, dict[str, dict[str, Any]]]:
    severity = file.profile.severity
    changes: dict[str, dict[str, Any]] = {}
    steps = file.steps(severity, {})
    labels = [step.label for step in steps]
    named = False
    for part in suffix.split(",") if suffix else ():
        key, equals, value = part.strip().partition("=")
        if not equals:
            if named or key not in file.profile.severities:
                raise InputError(
                    "the profile has no such severity" if not named else "two severities are named",
                    value=text,
                    remedy=did_you_mean(key, file.profile.severities),
                )
            severity, named = key, True
            continue
        if key in {"snr", "snr_db"}:
            noises = [step.label for step in steps if "snr_db" in type(step.params).model_fields]
            if len(noises) != 1:
                raise InputError(
                    f"the profile has {len(noises)} effects with an SNR, so 'snr=' is not clear",
                    value=text,
                    remedy=f"Write LABEL.snr_db=NUMBER with a label of {', '.join(noises or labels)}",
                )
            label, key = noises[0], "snr_db"
            if not _NUMBER.fullmatch(value):
                raise InputError("an SNR is a number of decibels", value=text)
        else:
            label, dot, key = key.partition(".")
            if not dot or label not in labels:
                raise InputError(
                    "a change is written snr=NUMBER or LABEL.KEY=VALUE", value=text, remedy=did_you_mean(label, labels)
                )
        changes.setdefault(label, {})[key] = float(value) if _NUMBER.fullmatch(value) else value
    return severity, changes


def _inspected(steps: tuple[Step, ...], folder: Path) -> tuple[Step, ...]:
    return tuple(
        Step(
            label=step.label,
            effect=step.effect,
            params=step.params,
            inspection=effect_of(step.effect).inspect(step.params, folder),
        )
        for step in steps
    )
