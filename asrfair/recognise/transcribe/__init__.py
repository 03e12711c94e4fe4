"""Plans batches, feeds engines, records what comes back, survives being killed.

``plan`` says which utterances go together, ``work`` what is done to them, ``workers`` and ``pool`` who does it,
``run`` puts it together with the journal, ``finalise`` writes Parquet.
"""

from asrfair.recognise.transcribe.plan import plan_batches
from asrfair.recognise.transcribe.summary import EngineSummary, TranscribeSummary
from asrfair.recognise.transcribe.transcribe_run import transcribe

__all__ = ["EngineSummary", "TranscribeSummary", "plan_batches", "transcribe"]
