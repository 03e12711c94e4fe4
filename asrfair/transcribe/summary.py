"""What a transcription did: counts, times, fingerprints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from asrfair.progress import clock
from asrfair.transcribe.work import StageTimes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asrfair.journal import Event


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
        results: Results of this session (those of earlier ones, before a resume, not counted).
        audio_s: Seconds of audio recognised in this session.
        wall_s: Seconds that this took, starting included.
        stages: Seconds by stage, summed over workers.
        replaced_workers: Processes that died and were replaced.
        statistics: What the engine counted, added up over its workers.
    """

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    batches: int = 0
    padding_efficiency: float = 1.0
    workers: int = 0
    results: int = 0
    audio_s: float = 0.0
    wall_s: float = 0.0
    stages: StageTimes = field(default_factory=StageTimes)
    replaced_workers: int = 0
    statistics: Mapping[str, float] = field(default_factory=dict)

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio per second; ``None`` if there was no audio."""
        return self.audio_s / self.wall_s if self.audio_s and self.wall_s else None


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscribeSummary:
    """A whole transcription.

    Args:
        engines: By label, in the suite's order.
        counts: Rows of the run by status, those of earlier sessions included.
        resumed: Rows that were there before this session.
        wall_s: Seconds of this session.
        workers: Worker processes that were asked for.
        events: What a reader should know: batches that were split, workers that died.
    """

    engines: Mapping[str, EngineSummary]
    counts: Mapping[str, int]
    resumed: int
    wall_s: float
    workers: int
    events: tuple[Event, ...] = ()

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

    def line(self) -> str:
        """Return one line for people: what was done, how fast, where the time went."""
        new = sum(engine.results for engine in self.engines.values())
        total = StageTimes()
        for engine in self.engines.values():
            total.add(engine.stages)
        parts = [f"Transcribed {new:,} results in {clock(self.wall_s)} with {self.workers} worker(s)"]
        if self.resumed:
            parts.append(f"{self.resumed:,} were there before")
        if self.rtfx is not None:
            parts.append(
                f"{self.rtfx:,.1f}× real time "
                f"(decoding {total.decode_s:,.1f} s, conditions {total.condition_s:,.1f} s, "
                f"engine {total.engine_s:,.1f} s over all workers)"
            )
        if self.events:
            parts.append(f"{len(self.events):,} event(s) such as a split batch or a worker killed (run.json)")
        return "; ".join(parts) + "."

    def volatile(self) -> dict[str, Any]:
        """Return, for ``run.json``, what may differ between identical runs."""
        return {
            "wall_s": round(self.wall_s, 3),
            "audio_s": round(self.audio_s, 3),
            "rtfx": None if self.rtfx is None else round(self.rtfx, 3),
            "workers": self.workers,
            "resumed": self.resumed,
            "counts": dict(self.counts),
            "engines": {
                label: {
                    "workers": engine.workers,
                    "batches": engine.batches,
                    "padding_efficiency": round(engine.padding_efficiency, 4),
                    "results": engine.results,
                    "audio_s": round(engine.audio_s, 3),
                    "wall_s": round(engine.wall_s, 3),
                    "rtfx": None if engine.rtfx is None else round(engine.rtfx, 3),
                    "replaced_workers": engine.replaced_workers,
                    "statistics": dict(engine.statistics),
                    "stages": {name: round(value, 3) for name, value in asdict(engine.stages).items()},
                }
                for label, engine in self.engines.items()
            },
            "events": [asdict(event) for event in self.events],
        }
