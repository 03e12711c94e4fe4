"""What a transcription did: counts, times, fingerprints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from asrfair.progress import clock
from asrfair.recognise.transcribe.recordings import TOUCHED
from asrfair.recognise.transcribe.work import StageTimes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asrfair.recognise.journal import Event


@dataclass(kw_only=True, slots=True)
class EngineSummary:
    """One engine of a run.

    Args:
        label: As tables show it.
        name: As the table of engines has it.
        options: Its options, without secrets; paths relative to the suite where they lie below it.
        fingerprint: What its transcripts depend on (versions, hashes of model files).
        batches: Batches of its plan.
        padding_efficiency: Seconds of audio over seconds with padding, by the plan.
        workers: Processes that worked for it.
        engines: Engines that recognised at once: processes, or calls to a service.
        results: Results of this session (those of earlier ones, before a resume, not counted).
        audio_s: Seconds of audio recognised in this session.
        wall_s: Seconds that this took, starting included.
        start_s: Seconds until the first worker's engine was ready.
        stages: Seconds by stage, summed over workers.
        replaced_workers: Processes that died and were replaced.
        statistics: What the engine counted, added up over its workers.
        paid: Whether its answers cost money.
        asked_again: Requests of the whole run that were sent again because an earlier answer never arrived: the run
            was cut off, or a process died. They may have been paid for twice.
        singles: Utterances that were taken out of batches whose workers died.
        gpu: Mean use and peak memory of its CUDA devices, as ``asrfair.data.gpu.watched`` has them; empty without one.
    """

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    batches: int = 0
    padding_efficiency: float = 1.0
    workers: int = 0
    engines: int = 1
    results: int = 0
    audio_s: float = 0.0
    wall_s: float = 0.0
    start_s: float = 0.0
    stages: StageTimes = field(default_factory=StageTimes)
    replaced_workers: int = 0
    statistics: Mapping[str, float] = field(default_factory=dict)
    gpu: Mapping[str, float] = field(default_factory=dict)
    paid: bool = False
    asked_again: int = 0
    singles: int = 0

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio per second; ``None`` if there was no audio."""
        return self.audio_s / self.wall_s if self.audio_s and self.wall_s else None

    @property
    def engine_rtfx(self) -> float | None:
        """The same if there were nothing to start, decode or render: of the engine alone; ``None`` without audio."""
        spent = self.stages.engine_s / self.engines
        return self.audio_s / spent if self.audio_s and spent else None

    def line(self) -> str | None:
        """Return one line for people about speed; ``None`` if nothing was heard in this session."""
        if self.rtfx is None or self.engine_rtfx is None:
            return None
        parts = [f"{self.label}: {self.rtfx:,.1f}× real time, the engine alone {self.engine_rtfx:,.1f}×"]
        stages = self.stages
        spent = {
            "starting": self.start_s,
            "decoding": stages.decode_s,
            "conditions": stages.condition_s,
            "engine": stages.engine_s,
        }
        times = ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in spent.items())
        parts.append(f"{times} over {self.workers} process(es)")
        if self.padding_efficiency < 1:
            parts.append(f"{100 * (1 - self.padding_efficiency):.0f} % of what it heard was padding")
        if self.gpu:
            parts.append(f"GPU {self.gpu['use_percent']:.0f} % busy, {self.gpu['peak_mib']:,.0f} MiB at most")
        return "; ".join(parts) + "."


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscribeSummary:
    """A whole transcription.

    Args:
        engines: By label, in the suite's order.
        counts: Rows of the run by status, those of earlier sessions included.
        resumed: Rows that were there before this session.
        wall_s: Seconds of this session.
        workers: Worker processes that were asked for.
        events: What a reader should know: batches that were split, workers that died, recordings that were touched.
        on: Where the work was done, if not on the machine that the run was started on.
        where: The same in words.
    """

    engines: Mapping[str, EngineSummary]
    counts: Mapping[str, int]
    resumed: int
    wall_s: float
    workers: int
    events: tuple[Event, ...] = ()
    on: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""

    @property
    def results(self) -> int:
        """Rows of the whole run."""
        return sum(self.counts.values())

    @property
    def audio_s(self) -> float:
        """Seconds of audio recognised in this session."""
        return sum(engine.audio_s for engine in self.engines.values())

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio per second of this session; ``None`` if there was no audio."""
        return self.audio_s / self.wall_s if self.audio_s and self.wall_s else None

    def lines(self) -> list[str]:
        """Return what was done, in words, and a line an engine about how fast and where the time went."""
        new = sum(engine.results for engine in self.engines.values())
        parts = [f"Transcribed {new:,} results in {clock(self.wall_s)} with {self.workers} worker(s){self.where}"]
        if self.resumed:
            parts.append(f"{self.resumed:,} were there before")
        touched = [event.detail for event in self.events if event.kind == TOUCHED]
        if len(touched) < len(self.events):
            others = len(self.events) - len(touched)
            parts.append(f"{others:,} event(s) such as a split batch or a worker killed (run.json)")
        again = [
            f"{engine.label}: {engine.asked_again:,} request(s) were sent again, because the run was cut off before "
            "their answers came: they may have been paid for twice."
            for engine in self.engines.values()
            if engine.asked_again
        ]
        speeds = [line for engine in self.engines.values() if (line := engine.line()) is not None]
        return ["; ".join(parts) + ".", *again, *speeds, *(f"{detail}." for detail in touched)]

    def volatile(self) -> dict[str, Any]:
        """Return, for ``run.json``, what may differ between identical runs."""
        return {
            "wall_s": round(self.wall_s, 3),
            "audio_s": round(self.audio_s, 3),
            "rtfx": None if self.rtfx is None else round(self.rtfx, 3),
            "workers": self.workers,
            **({"on": dict(self.on)} if self.on else {}),
            "resumed": self.resumed,
            "counts": dict(self.counts),
            "engines": {
                label: {
                    "workers": engine.workers,
                    "engines": engine.engines,
                    "batches": engine.batches,
                    "padding_efficiency": round(engine.padding_efficiency, 4),
                    "results": engine.results,
                    "audio_s": round(engine.audio_s, 3),
                    "wall_s": round(engine.wall_s, 3),
                    "start_s": round(engine.start_s, 3),
                    "rtfx": None if engine.rtfx is None else round(engine.rtfx, 3),
                    "engine_rtfx": None if engine.engine_rtfx is None else round(engine.engine_rtfx, 3),
                    "gpu": {name: round(value, 1) for name, value in engine.gpu.items()},
                    "replaced_workers": engine.replaced_workers,
                    **({"asked_again": engine.asked_again} if engine.paid else {}),
                    "statistics": dict(engine.statistics),
                    "stages": {name: round(value, 3) for name, value in asdict(engine.stages).items()},
                }
                for label, engine in self.engines.items()
            },
            "events": [asdict(event) for event in self.events],
        }
