"""asrfair measures for whom, and where, speech recognition fails.

The names below are the public interface, semantically versioned; everything else may change. Each is imported on its
first use, so that ``import asrfair`` costs nothing.

>>> import asrfair as af
>>> af.score("lie still please", "lie still peas").wer
0.3333333333333333
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asrfair.version import __version__

if TYPE_CHECKING:
    from asrfair.api.disparity import disparity
    from asrfair.api.result import Result, load_run
    from asrfair.api.scores import Scores, score
    from asrfair.api.stages import Comparison, card, compare, render, rescore, score_files, transcribe
    from asrfair.api.testing import assert_no_gap
    from asrfair.errors import AsrfairError
    from asrfair.scoring.metric import Metric, metric
    from asrfair.types import ErrorCounts

__all__ = [
    "AsrfairError",
    "Comparison",
    "ErrorCounts",
    "Metric",
    "Result",
    "Scores",
    "__version__",
    "assert_no_gap",
    "card",
    "compare",
    "disparity",
    "load_run",
    "metric",
    "render",
    "rescore",
    "score",
    "score_files",
    "transcribe",
]

_HOMES = {
    "AsrfairError": "asrfair.errors",
    "Comparison": "asrfair.api.stages",
    "ErrorCounts": "asrfair.types",
    "Metric": "asrfair.scoring.metric",
    "Result": "asrfair.api.result",
    "Scores": "asrfair.api.scores",
    "assert_no_gap": "asrfair.api.testing",
    "card": "asrfair.api.stages",
    "compare": "asrfair.api.stages",
    "disparity": "asrfair.api.disparity",
    "load_run": "asrfair.api.result",
    "metric": "asrfair.scoring.metric",
    "render": "asrfair.api.stages",
    "rescore": "asrfair.api.stages",
    "score": "asrfair.api.scores",
    "score_files": "asrfair.api.stages",
    "transcribe": "asrfair.api.stages",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Import a public name on its first use (PEP 562)."""
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module 'asrfair' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
