"""Which metrics the table of metrics has: those of scoring, those of the ledger, those of times, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence

from asrfair.scoring.metric import METRICS as COUNTED
from asrfair.scoring.metric import Metric, get_metric

METRICS: tuple[Metric, ...] = (
    *(metric for metric in COUNTED.values() if metric.name != "wer"),
    Metric(name="empty_rate", numerator=("empty_hypothesis",), denominator=("attempted",), most=1.0),
    Metric(name="loop_rate", numerator=("repetition_loop",), denominator=("attempted",), most=1.0),
    Metric(name="failure_rate", numerator=("failed",), denominator=("attempted",), most=1.0),
)
"""The metrics of every full analysis, beside WER."""

LATENCY: tuple[Metric, ...] = (
    Metric(name="latency_s", numerator=("latency_s",), denominator=("timed",), unit="s", events=False),
    Metric(name="real_time_factor", numerator=("timed_latency_s",), denominator=("duration_s",), unit="", events=False),
)
"""Mean seconds an utterance, and seconds of work a second of audio. Only on request: times differ from run to run."""


def requested_metrics(names: Sequence[str]) -> tuple[list[Metric], bool]:
    """Return the metrics of the settings beside the standard ones, and whether times are needed.

    Args:
        names: ``latency``, a metric of asrfair's or of the user's own.

    Raises:
        InputError: There is no such metric.
    """
    found: dict[str, Metric] = {}
    for name in names:
        for metric in LATENCY if name == "latency" else (get_metric(name),):
            found[metric.name] = metric
    standard = {metric.name for metric in METRICS}
    return [metric for metric in found.values() if metric.name not in standard], "latency" in names
