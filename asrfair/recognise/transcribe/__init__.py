"""Plans batches, feeds engines, records what comes back, survives being killed.

``plan`` says which utterances go together, ``work`` what is done to them and what comes of it, ``crew`` who does it:
this process, the processes of this machine (``workers``, ``pool``, ``channel``) or a cluster (``on_ray``), by one interface.
``tries`` says who is tried again. ``transcribe_run`` puts it together with the journal, ``finalise`` writes Parquet.
Names are imported on first use: workers, and whatever only feeds engines, need no manifest and no Parquet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asrfair.recognise.transcribe.plan import plan_batches
    from asrfair.recognise.transcribe.summary import EngineSummary, TranscribeSummary
    from asrfair.recognise.transcribe.transcribe_run import transcribe

__all__ = ["EngineSummary", "TranscribeSummary", "plan_batches", "transcribe"]

_PLACES = {
    "EngineSummary": "summary",
    "TranscribeSummary": "summary",
    "plan_batches": "plan",
    "transcribe": "transcribe_run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
