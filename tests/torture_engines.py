"""Engines that misbehave in the ways that only time shows: they refuse late, stop, sleep, answer and are paid."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from transcribe_child import Listening

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


class Slow(EngineBase):
    """Listens as ``transcribe_child.Listening`` does, and takes its time; on a doomed node of Ray's, for ever.

    Over the utterance ``hold`` it sits until there is a file ``go``.
    """

    traits = EngineTraits()

    def transcribe(self, clips):
        doomed = self.spec.options.get("doomed")
        if doomed is not None:
            import ray

            if ray.get_runtime_context().get_node_id() == doomed:
                (Path(self.spec.options["marks"]) / doomed).touch()
                time.sleep(3600)
        marks = Path(self.spec.options["marks"])
        while clips[0].utterance_id == self.spec.options.get("hold") and not (marks / "go").exists():
            time.sleep(0.1)
        time.sleep(self.spec.options["seconds"])
        (marks / f"done-{clips[0].utterance_id}").touch()
        return Listening.transcribe(self, clips)


class Differing(EngineBase):
    """Says of itself that it is another one in every process; goes on only where it does not."""

    traits = EngineTraits(needs_audio=False)

    def transcribe(self, clips):
        while self.fingerprint():
            time.sleep(1)
        return [Hypothesis(utterance_id=clip.utterance_id, text="yes") for clip in clips]

    def fingerprint(self):
        return {"process": str(os.getpid())}


class Secretive(Differing):
    """Has an option that nobody else may know."""

    secret_options = frozenset({"password"})

    def fingerprint(self):
        return {}
