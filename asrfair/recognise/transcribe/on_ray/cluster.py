"""The cluster: found, told to be quiet, its nodes compared with this machine, its room divided among workers."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from asrfair.data.provenance import usable_cores
from asrfair.errors import EnvironmentFailedError, InputError, MissingExtraError
from asrfair.recognise.transcribe.crew import Crew, InThisProcess, Machines
from asrfair.recognise.transcribe.on_ray.crew import ClusterLostError, RayCrew, Room

if TYPE_CHECKING:
    from types import TracebackType

    from asrfair.recognise.transcribe.work import Setup

SOUND = ("asrfair", "numpy", "scipy", "soundfile", "soxr", "pyroomacoustics", "audiomentations", "av")
"""Packages that decide what an engine gets to hear. What else decides its transcripts is in the engine's fingerprint."""

_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


class RayCluster(Machines):
    """A cluster that Ray runs; the driver, which alone writes the journal, is this process.

    Args:
        on: ``ray``: the cluster that this machine is a node of (or ``RAY_ADDRESS`` names); where there is none, Ray is
            started on this machine for the run. ``ray://HOST:PORT``: a cluster elsewhere, through its client server.
        workers: Most processes that work for an engine; ``None`` is one a processor of the cluster.

    Raises:
        InputError: ``on`` is neither.
        MissingExtraError: Ray is not installed.
        EnvironmentFailedError: There is no cluster there, or a node has other versions.
    """

    def __init__(self, on: str, workers: int | None) -> None:
        if on != "ray" and not (on.startswith("ray://") and len(on) > len("ray://")):
            raise InputError("unknown place to work", column="--on", value=on, remedy="Give ray, or ray://HOST:10001")
        self._on = on
        self._asked = workers
        self._ours = False

    def __enter__(self) -> Self:
        self._ray = _imported()
        if not self._ray.is_initialized():
            _connect(self._ray, self._on)
            self._ours = True
        try:
            nodes = _nodes(self._ray)
        except BaseException:
            self._leave()
            raise
        self._cpus = [int(_room(node).get("CPU", 0)) for node in nodes]
        self._gpus = sum(int(_room(node).get("GPU", 0)) for node in nodes)
        self.workers = max(1, sum(self._cpus) if self._asked is None else self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, ClusterLostError):
            self._leave()

    def _leave(self) -> None:
        if self._ours:
            self._ray.shutdown()

    def crew(self, setup: Setup, batches: int) -> Crew:
        """Return who works for an engine; see ``Machines.crew``.

        Raises:
            EnvironmentFailedError: No node has what one worker of the engine needs.
        """
        traits = setup.traits
        count = max(1, min(self.workers, batches))
        if traits.parallel == "inline":
            return InThisProcess(setup)
        if traits.parallel == "processes":
            fit = sum(cpus // traits.threads for cpus in self._cpus)
            if not fit:
                raise EnvironmentFailedError(
                    f"no node of the Ray cluster has {traits.threads} processor(s) for a worker"
                )
            room = Room(cpus=traits.threads, memory_bytes=traits.memory_bytes)
            engines = max(1, min(count // traits.threads, fit))
            return RayCrew(self._ray, setup, engines=engines, room=room, threads=traits.threads)
        feeders = max(1, min(count, sum(self._cpus)))
        if not any(device.startswith("cuda") for device in traits.devices):
            engines = len(traits.devices) if traits.parallel == "device" else 1
            return RayCrew(self._ray, setup, engines=engines, room=Room(), feeders=feeders, threads=max(*self._cpus, 1))
        if not self._gpus:
            raise EnvironmentFailedError(
                "no node of the Ray cluster has a GPU",
                remedy='Start Ray there with --num-gpus, or write device = "cpu" into the suite',
            )
        engines = min(self._gpus, batches)
        return RayCrew(self._ray, setup, engines=engines, room=Room(gpus=1), feeders=feeders, device="cuda:0")

    def volatile(self) -> dict[str, Any]:
        """Return how large the cluster is; no names and no addresses."""
        return {"ray": self._ray.__version__, "nodes": len(self._cpus), "cpus": sum(self._cpus), "gpus": self._gpus}

    def words(self) -> str:
        """Return where the work is done, as the end of a sentence."""
        gpus = f" and {self._gpus:,} GPU(s)" if self._gpus else ""
        return f" on Ray ({len(self._cpus):,} node(s) with {sum(self._cpus):,} processor(s){gpus})"


def _imported() -> Any:
    """Import Ray with its reports to its makers off, and without its hints on the terminal."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # what is said to a cluster that is gone must not start another one
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(extra="ray", package="ray", needed_for="--on ray") from error
    with suppress(
        AttributeError, ImportError
    ):  # what raylets say of workers that die goes to standard output otherwise
        from ray._private import worker

        worker._worker_logs_enabled = False  # noqa: SLF001 -- Ray has no switch for it
    return ray


def _connect(ray: Any, on: str) -> None:
    """Connect to the cluster, or start one here if there is none and none was named."""
    try:
        if on != "ray":
            try:
                ray.init(on, **_QUIET)
            except (
                ConnectionAbortedError
            ):  # the client server could not start a server for us; a busy one can the next time
                ray.init(on, **_QUIET)
            return
        try:
            ray.init("auto", **_QUIET)
        except ConnectionError:
            if os.environ.get("RAY_ADDRESS"):
                raise
            ray.init(num_cpus=usable_cores(), include_dashboard=False, **_QUIET)
    except ImportError as error:
        raise MissingExtraError(extra="ray", package=error.name or "grpcio", needed_for=f"--on {on}") from error
    except Exception as error:
        raise EnvironmentFailedError(
            f"the Ray cluster cannot be reached: {type(error).__name__}: {error}",
            remedy="Start it with `ray start --head`; through ray:// it needs the same versions of Python and Ray as here",
        ) from error


def _room(node: dict[str, Any]) -> dict[str, float]:
    """Return the processors and GPUs of a node that may work; a head without either only keeps the books."""
    return {name: amount for name, amount in node["Resources"].items() if name in {"CPU", "GPU"} and amount}


def _nodes(ray: Any) -> list[dict[str, Any]]:
    """Return the nodes that may work, all with the versions of this machine.

    Raises:
        EnvironmentFailedError: There is none, one does not answer, or one has other versions.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and _room(node)]
    if not nodes:
        raise EnvironmentFailedError("the Ray cluster has no node that may work", remedy="`ray status` shows its nodes")
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = _look()
    here = look(SOUND)
    task = ray.remote(look)
    asked = {
        node["NodeID"]: task.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(SOUND)
        for node in nodes
    }
    for node in nodes:
        try:
            there = ray.get(asked[node["NodeID"]], timeout=120)
        except ray.exceptions.RayError as error:
            raise EnvironmentFailedError(
                f"the node {node['NodeName']} of the Ray cluster does not answer: {type(error).__name__}"
            ) from error
        check_versions(node["NodeName"], here, there)
    return nodes


def check_versions(name: str, here: dict[str, str], there: dict[str, str]) -> None:
    """Refuse a node that would hear something else, or count otherwise.

    Raises:
        EnvironmentFailedError: Its versions are not those of this machine; the message names all that differ.
    """
    differs = [
        f"{package} {there.get(package) or 'missing'} (here {version or 'missing'})"
        for package, version in here.items()
        if there.get(package) != version
    ]
    if differs:
        raise EnvironmentFailedError(
            f"the node {name} of the Ray cluster has other versions: {', '.join(differs)}",
            remedy="Install on every node what is installed here; results of different versions cannot be mixed",
        )


def _look() -> Any:
    """Return a function that looks up versions where it runs.

    It stands inside this one so that it travels as code and not as a name: a node may have no asrfair, or another.
    """

    def look(packages: tuple[str, ...]) -> dict[str, str]:
        import importlib.metadata

        found = {}
        for package in packages:
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found[package] = ""
        try:
            from asrfair.version import __version__
        except ImportError:
            found["asrfair"] = ""
        else:
            found["asrfair"] = __version__
        return found

    return look
