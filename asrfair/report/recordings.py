"""Recordings for the page, as the engine heard them; only where a suite allows it: they are personal data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from asrfair.acoustics import CLEAN_CONDITION, RenderContext, Renderer, parse_condition
from asrfair.acoustics.profiles import RendererName
from asrfair.data.audio import AudioError, load_clip
from asrfair.data.manifest import read_manifest
from asrfair.errors import AsrfairError, InputError
from asrfair.report.loading import RunData, section

if TYPE_CHECKING:
    from asrfair.acoustics import Condition
    from asrfair.data.manifest import Manifest
    from asrfair.report.html.utterances import AudioSource
    from asrfair.types import Clip

SAMPLE_RATE_HZ: Final = 16_000


def recordings_of(run: RunData, manifest: Path) -> AudioSource:
    """Return the recordings of a run that was made from a manifest, as recorded and in the run's conditions.

    A condition whose profile is not known here, or is another one than the run's, is left out.

    Raises:
        InputError: The run's suite does not allow recordings in pages, or the manifest cannot be read.
    """
    if not section(run.about, "suite").get("audio"):
        raise InputError(
            "the run's suite does not allow recordings in the report: they are personal data",
            file=run.path / "run.json",
            remedy="If the speakers agreed to it, set audio = true under [report] of the suite, and run it",
        )
    conditions = []
    for about in run.about.get("conditions") or []:
        for render in get_args(RendererName):  # what a device rendered differs by less than can be heard
            with suppress(AsrfairError):
                condition = parse_condition(str(about["name"]), render=render)
                if condition.fingerprint == about["fingerprint"]:
                    conditions.append(condition)
    seed = run.about.get("seed")
    return recordings(
        read_manifest(manifest, allow_outside=True, allow_remote=None),
        conditions,
        seed=seed if isinstance(seed, int) else 0,
    )


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
