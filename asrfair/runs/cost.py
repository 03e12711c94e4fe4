"""What a suite costs before it is run: hours of devices and processors, requests, disk, memory, money.

Nothing is guessed about an engine: how fast it is comes from ``asrfair bench``, from a run, or from its publisher, and what
an hour costs from the user. What asrfair itself needs is measured by ``benchmarks/scale.py`` (docs/scale.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pydantic

from asrfair.data.runfile import read_run_file
from asrfair.data.tomlfile import TomlFile, did_you_mean
from asrfair.errors import InputError
from asrfair.runs.suite import Suite
from asrfair.types import CLEAN

DISK_BYTES_A_ROW: Final = 200.0
"""Journal, transcripts, scores, times and measured values of one utterance by one engine in one place."""
DRIVER_MB: Final = 250.0
DRIVER_BYTES_AN_UTTERANCE: Final = 800.0
"""What a driver holds of every utterance: the manifest, its plan and what it hands out."""


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Prices(_Table):
    currency: str = "EUR"
    gpu_hour: float = pydantic.Field(default=0.0, ge=0)
    core_hour: float = pydantic.Field(default=0.0, ge=0)
    disk_gb_month: float = pydantic.Field(default=0.0, ge=0)


class _Machine(_Table):
    gpus: int = pydantic.Field(default=1, ge=1)
    cores: int = pydantic.Field(default=1, ge=1)
    decode_rtfx: float = pydantic.Field(default=1000.0, gt=0)
    render_rtfx: float = pydantic.Field(default=200.0, gt=0)


class _Engine(_Table):
    rtfx: float | None = pydantic.Field(default=None, gt=0)
    on: Literal["gpu", "core", "service"] = "core"
    start_s: float = pydantic.Field(default=0.0, ge=0)
    audio_hour: float = pydantic.Field(default=0.0, ge=0)
    request: float = pydantic.Field(default=0.0, ge=0)
    concurrency: int = pydantic.Field(default=1, ge=1)


class _File(_Table):
    prices: _Prices = _Prices()
    machine: _Machine = _Machine()
    engine: dict[str, _Engine] = {}


@dataclass(frozen=True, kw_only=True)
class EngineCost:
    """What one engine needs.

    Attributes:
        label: Its label in the suite.
        on: Where it runs.
        audio_hours: Hours of audio that it hears, over all conditions.
        gpu_hours: Hours of a device.
        core_hours: Hours of a processor core: the engine's own, decoding, conditions.
        requests: Calls of a service.
        wall_hours: How long it takes with the devices and cores that there are.
        price: In the currency of the price table.
    """

    label: str
    on: str
    audio_hours: float
    gpu_hours: float
    core_hours: float
    requests: int
    wall_hours: float
    price: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a suite needs in all.

    Attributes:
        engines: Each engine.
        hours: Hours of the corpus, once.
        utterances: Utterances of the corpus.
        rows: Utterances × engines × conditions.
        disk_gb: The run folder.
        memory_gb: The driver's peak.
        price: All engines and a month of the run folder.
        currency: Of prices.
    """

    engines: tuple[EngineCost, ...]
    hours: float
    utterances: int
    rows: int
    disk_gb: float
    memory_gb: float
    price: float
    currency: str


def plan_cost(suite: Suite, prices: Path, *, hours: float, utterances: int, measured: Sequence[Path] = ()) -> Cost:
    """Add up what a suite needs.

    Args:
        suite: What is to be run.
        prices: A TOML file: ``[prices]``, ``[machine]`` and ``[engine.LABEL]`` with ``rtfx`` (seconds of audio a second
            of one device or core), ``on``, and a service's prices.
        hours: Hours of the corpus.
        utterances: Its utterances.
        measured: Runs that engines' speeds are taken from, where the file states none.

    Raises:
        InputError: The file is wrong, or nobody says how fast an engine is.
    """
    toml = TomlFile(prices)
    given = toml.validate(_File)
    labels = [spec.label for spec in suite.engines]
    for name in given.engine:
        if name not in labels:
            raise toml.error(f"the suite has no engine {name!r}", "engine", name, remedy=did_you_mean(name, labels))
    speeds = _measured(measured)
    noisy = sum(condition != CLEAN for condition in suite.conditions)
    found = []
    for spec in suite.engines:
        about = given.engine.get(spec.label, _Engine())
        rtfx, start_s = about.rtfx or speeds.get(spec.label, (0.0, 0.0))[0], about.start_s
        if not rtfx and about.on != "service":
            raise InputError(
                f"nobody says how fast {spec.label!r} is",
                file=prices,
                remedy=f"Write [engine.{spec.label}] with rtfx = … (asrfair bench {spec.name}), or give a run of it: --measured RUN",
            )
        found.append(
            _engine(
                spec.label, about, given, rtfx=rtfx, start_s=start_s or speeds.get(spec.label, (0.0, 0.0))[1],
                hours=hours, utterances=utterances, conditions=len(suite.conditions), noisy=noisy,
            )
        )  # fmt: skip
    rows = utterances * len(suite.engines) * len(suite.conditions)
    disk_gb = rows * DISK_BYTES_A_ROW / 1e9
    return Cost(
        engines=tuple(found),
        hours=hours,
        utterances=utterances,
        rows=rows,
        disk_gb=disk_gb,
        memory_gb=DRIVER_MB / 1e3 + utterances * DRIVER_BYTES_AN_UTTERANCE / 1e9,
        price=sum(engine.price for engine in found) + disk_gb * given.prices.disk_gb_month,
        currency=given.prices.currency,
    )


def _engine(
    label: str,
    about: _Engine,
    given: _File,
    *,
    rtfx: float,
    start_s: float,
    hours: float,
    utterances: int,
    conditions: int,
    noisy: int,
) -> EngineCost:
    machine, prices = given.machine, given.prices
    heard = hours * conditions
    prepared = hours / machine.decode_rtfx + hours * noisy / machine.render_rtfx
    service = about.on == "service"
    busy = heard / rtfx if rtfx else 0.0
    starts = start_s / 3600 * (machine.gpus if about.on == "gpu" else 0 if service else machine.cores)
    gpu = busy + starts if about.on == "gpu" else 0.0
    core = prepared + (busy + starts if about.on == "core" else 0.0)
    requests = utterances * conditions if service else 0
    lanes = {"gpu": machine.gpus, "core": machine.cores, "service": about.concurrency}[about.on]
    # Feeders work while a device or a service does; on cores both are done by the same processes.
    wall = (
        (core if about.on == "core" else 0.0) / machine.cores
        if about.on == "core"
        else max(busy / lanes, prepared / machine.cores) + start_s / 3600
    )
    return EngineCost(
        label=label,
        on=about.on,
        audio_hours=heard,
        gpu_hours=gpu,
        core_hours=core,
        requests=requests,
        wall_hours=wall,
        price=gpu * prices.gpu_hour
        + core * prices.core_hour
        + (heard * about.audio_hour + requests * about.request if service else 0.0),
    )


def _measured(runs: Sequence[Path]) -> dict[str, tuple[float, float]]:
    """Return, by engine label, how fast one process of it was in these runs and how long it took to start."""
    found: dict[str, tuple[float, float]] = {}
    for run in runs:
        content: Mapping[str, Any] = read_run_file(run, unfinished=True)
        try:
            for label, about in content["volatile"]["transcribe"]["engines"].items():
                busy = float(about["stages"]["engine_s"])
                if busy > 0:
                    found[label] = (float(about["audio_s"]) / busy, float(about["start_s"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                "the run does not say how fast its engines were",
                file=run,
                remedy="Give a run that was transcribed here",
            ) from error
    return found
