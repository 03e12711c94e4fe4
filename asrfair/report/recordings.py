"""Recordings for the page, as the engine heard them; only where a suite allows it: they are personal data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from asrfair.acoustics import CLEAN_CONDITION, RenderContext, Renderer
from asrfair.data.audio import AudioError, load_clip

if TYPE_CHECKING:
    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.report.worst_utterances import AudioSource
    from asrfair.types import Clip

SAMPLE_RATE_HZ: Final = 16_000


def recordings(manifest: Manifest, conditions: Sequence[Condition] = (), *, seed: int = 0) -> AudioSource:
    """Return a function from utterance and condition to what was heard, or ``None`` where there is no such recording.

    Args:
        manifest: Where the audio is.
        conditions: What to render; clean audio is always there.
        seed: The run's seed, so that the noise is the noise of the run.
    """
    utterances = {utterance.utterance_id: utterance for utterance in manifest.utterances()}
    by_name = {CLEAN_CONDITION.name: CLEAN_CONDITION, **{condition.name: condition for condition in conditions}}
    renderer = Renderer(tuple(by_name.values()), seed, RenderContext.of(utterances.values()))

    def find(utterance_id: str, condition: str) -> Clip | None:
        utterance = utterances.get(utterance_id)
        if utterance is None or utterance.audio is None or condition not in by_name:
            return None
        try:
            clip = load_clip(utterance, SAMPLE_RATE_HZ)
        except AudioError:
            return None
        return renderer.render(clip, by_name[condition], utterance.speaker_id).clip

    return find
