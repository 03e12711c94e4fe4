"""Engines that misbehave in the ways that only time shows: they refuse late, stop, sleep, answer and are paid."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from asrfair.errors import EngineError
from asrfair.recognise.engines import EngineBase, EngineTraits
from asrfair.types import Hypothesis


class Refusing(EngineBase):
    """Refuses as a whole, as a service does with a key that has run out, when it gets to certain utterances."""

    @classmethod
    def traits_for(cls, spec, context):
        return EngineTraits(
            needs_audio=False, parallel="threads", concurrency=spec.options.get("concurrency", 2), deterministic=False
        )

    def transcribe(self, clips):
        if any(clip.utterance_id in self.spec.options["ids"] for clip in clips):
            time.sleep(0.5)
            raise EngineError("refused")
        return [Hypothesis(utterance_id=clip.utterance_id, text="yes") for clip in clips]


class Stopping(EngineBase):
    """Stops its own process, once, in the middle of the work."""

    traits = EngineTraits(needs_audio=False)

    def transcribe(self, clips):
        mark = Path(self.spec.options["once"]) / "stopped"
        if clips[0].utterance_id == "u0004" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return [Hypothesis(utterance_id=clip.utterance_id, text="yes") for clip in clips]


class Sleeping(EngineBase):
    """Sleeps for ever over certain utterances."""

    traits = EngineTraits(needs_audio=False, patience_s=1.0)

    def transcribe(self, clips):
        if clips[0].utterance_id in self.spec.options["ids"]:
            time.sleep(3600)
        return [Hypothesis(utterance_id=clip.utterance_id, text="yes") for clip in clips]
