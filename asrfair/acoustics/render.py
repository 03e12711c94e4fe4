"""Renders an utterance into a condition: the chain of effects, seeded by names, levels restored, what was achieved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from asrfair.acoustics.effects.base import Achieved, Effect, EffectContext, Samples, effect_of
from asrfair.acoustics.effects.parameters import draw
from asrfair.acoustics.level import ActiveLevel, active_level, amplitude, decibels, own_snr_db, together_db
from asrfair.acoustics.seeding import generator
from asrfair.acoustics.speech_material import Corpus, RenderContext
from asrfair.acoustics.weighting import a_weighted
from asrfair.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asrfair.acoustics.profiles import Condition, Profile, Step
    from asrfair.types import Clip

PEAK = 0.999
"""What is louder than this at the end of a chain is turned down as a whole, never clipped; the gain is recorded."""

CLIPPED = 0.999
"""Samples beyond this share of the clip's format count as clipped where they stand in a row."""

NOTHING: dict[str, float | str] = {"active_fraction": 0.0, "clipped_fraction": 0.0}
"""What is achieved with a clip of no samples."""

__all__ = ["RenderContext", "Rendered", "Renderer", "input_acoustics", "needs_manifest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A clip in its condition, and what was achieved, by quantity with its unit as suffix."""

    clip: Clip
    achieved: dict[str, float | str]


class Renderer:
    """Renders utterances. The same bytes whatever the order, the worker, the batch or the way processes start.

    Args:
        conditions: All conditions of the run.
        seed: The run's seed.
        manifest_context: The whole manifest, for babble and speech-shaped noise.

    Raises:
        InputError: A condition needs other speakers or audio that the manifest does not have.
    """

    def __init__(
        self, conditions: Sequence[Condition], seed: int, manifest_context: RenderContext | None = None
    ) -> None:
        self.conditions = tuple(conditions)
        self.seed = seed
        self.context = manifest_context or RenderContext()
        self._corpus = Corpus(self.context)
        self._effects: dict[str, Effect] = {}
        for condition in self.conditions:
            for step in condition.steps:
                self._effect(step.effect).check_corpus(step.params, self._corpus)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.conditions, self.seed, self.context)

    def _effect(self, name: str) -> Effect:
        if name not in self._effects:
            self._effects[name] = effect_of(name)
        return self._effects[name]

    def render(self, clip: Clip, condition: Condition, speaker_id: str) -> Rendered:
        """Render one utterance.

        In ``clean`` the samples come back as they are and ``achieved`` holds the acoustics of the recording itself.

        Raises:
            InputError: An effect failed or broke its promise on this clip.
        """
        if condition.profile is None:
            return Rendered(clip=replace(clip, condition=condition.name), achieved=input_acoustics(clip))
        if clip.samples.size == 0:
            return Rendered(clip=replace(clip, condition=condition.name), achieved=dict(NOTHING))
        chain = _Chain(clip, condition.profile, speaker_id, self.seed, self._corpus)
        for step in condition.steps:
            chain.run(step, self._effect(step.effect))
        samples, achieved = chain.finish()
        return Rendered(clip=replace(clip, samples=samples, condition=condition.name), achieved=achieved)


def needs_manifest(condition: Condition) -> bool:
    """Whether what is heard depends on the manifest's other utterances; supposed of effects of other packages."""
    if any(not type(step.params).__module__.startswith("asrfair.") for step in condition.steps):
        return True
    try:
        Renderer([condition], seed=0)
    except InputError:
        return True
    return False


class _Chain:
    """The state between effects: what is heard, the speech in it alone, and what has been achieved."""

    def __init__(self, clip: Clip, profile: Profile, speaker_id: str, seed: int, corpus: Corpus) -> None:
        self.clip, self.profile, self.speaker_id, self.seed, self.corpus = clip, profile, speaker_id, seed, corpus
        self.samples: Samples = clip.samples.astype(np.float64)
        self.speech: Samples = self.samples
        self.level: ActiveLevel | None = active_level(self.samples, clip.sample_rate_hz)
        self.linear_since_noise = True
        self.achieved: Achieved = {}
        self.recorded_level = self.level
        self.own: dict[bool, float | None] = {}
        self.ratios_db: list[float] = []
        self.rooms: list[Callable[[Samples, str], Samples]] = []

    def own_snr_db(self, weighted: bool) -> float | None:
        """Return the recording's own ratio, before anything was done to it."""
        if weighted not in self.own:
            self.own[weighted] = recording_snr_db(self.clip, self.recorded_level, weighted=weighted)
        return self.own[weighted]

    def elsewhere(self, samples: Samples, place: str) -> Samples:
        """Return sound from another place of the rooms so far."""
        for room in self.rooms:
            samples = room(samples, place)
        return samples

    def run(self, step: Step, effect: Effect) -> None:
        rate = self.clip.sample_rate_hz
        seeded = partial(generator, self.seed, self.profile.name, self.clip.utterance_id, step.label)
        params = draw(step.params, seeded, "draw")
        traits = effect.traits_of(params)
        context = EffectContext(
            utterance_id=self.clip.utterance_id,
            speaker_id=self.speaker_id,
            folder=self.profile.path.parent,
            speech=self.speech,
            level=self.level,
            corpus=self.corpus,
            facts=step.inspection.facts,
            generator=seeded,
            own_snr_db=self.own_snr_db,
            elsewhere=self.elsewhere,
        )

        rng = seeded("effect")
        start = rng.bit_generator.state

        def apply(samples: Samples) -> tuple[Samples, Achieved]:
            scale = 1.0
            if traits.full_scale:
                scale = max(1.0, _peak(samples))
            rng.bit_generator.state = start
            out, achieved = effect.apply(samples / scale if scale > 1 else samples, rate, params, rng, context)
            self._check(step.label, samples, out, changes_length=traits.changes_length)
            return (out * scale if scale > 1 else out), achieved

        alone = self.speech is self.samples
        heard, achieved = apply(self.samples)
        if traits.adds_noise:
            self.samples = heard
            if "snr_db" in achieved:
                self.ratios_db.append(float(achieved["snr_db"]))
        else:
            rng.bit_generator.state = start
            followed = effect.follow(self.speech, self.samples, heard, rate, params, rng, context)
            if followed is not None:
                speech = followed
            else:
                speech = heard if alone else apply(self.speech)[0]
            alone = speech is heard
            if not alone:
                self.linear_since_noise = self.linear_since_noise and traits.linear
            before, after = self.level, active_level(speech, rate)
            if after is None and not np.all(np.isfinite(speech)):
                self._not_finite(f"the effect {step.label!r}")
            restore = params.restore_level if params.restore_level is not None else traits.level == "restored"
            if before is not None and after is not None:
                gain_db = before.level_dbfs - after.level_dbfs
                if restore:
                    speech = _scaled(speech, amplitude(gain_db), self.speech)
                    heard = speech if alone else _scaled(heard, amplitude(gain_db), self.samples)
                    after = after.louder(gain_db)
                    achieved["restoring_gain_db"] = gain_db
                elif traits.level != "keeps":
                    achieved["level_change_db"] = -gain_db
            self.samples, self.speech, self.level = heard, speech, after
            if type(effect).elsewhere is not Effect.elsewhere:
                self.rooms.append(
                    lambda sound, where: effect.elsewhere(sound, rate, params, seeded("elsewhere", where), context)
                )
        self.achieved.update({f"{step.label}.{key}": value for key, value in achieved.items()})

    def _check(self, label: str, before: Samples, after: Samples, *, changes_length: bool) -> None:
        if after.ndim != 1 or (after.size != before.size and not changes_length):
            raise InputError(
                f"the effect {label!r} made {after.shape} samples of the {before.shape} of utterance "
                f"{self.clip.utterance_id!r}",
                file=self.profile.path,
                remedy="Effects keep the length unless they say that they do not",
            )

    def _not_finite(self, who: str) -> NoReturn:
        raise InputError(
            f"{who} made samples of utterance {self.clip.utterance_id!r} that are not finite",
            file=self.profile.path,
            remedy="Check its parameters, and the recording with 'asrfair manifest validate'",
        )

    def finish(self) -> tuple[npt.NDArray[np.float32], dict[str, float | str]]:
        peak = _peak(self.samples)
        if not math.isfinite(peak):
            self._not_finite("an effect of the chain")
        headroom = min(1.0, PEAK / peak) if peak > 0 else 1.0
        achieved, level = self.achieved, self.level
        if level is not None:
            achieved["active_level_dbfs"] = level.level_dbfs + 20 * float(np.log10(headroom))
            achieved["active_fraction"] = level.fraction
            noisy = self.speech is not self.samples and self.speech.size == self.samples.size
            if noisy and self.linear_since_noise:
                noise = level.power(self.samples - self.speech)
                if noise > 0:
                    achieved["snr_end_db"] = level.level_dbfs - decibels(noise)
                    self.ratios_db = [float(achieved["snr_end_db"])]
            own = self.own_snr_db(weighted=False)
            if own is not None:
                achieved["effective_snr_db"] = together_db([own, *self.ratios_db])
        achieved["headroom_gain_db"] = 20 * float(np.log10(headroom))
        samples = (self.samples * headroom if headroom < 1 else self.samples).astype(np.float32)
        achieved["clipped_fraction"] = clipped_fraction(samples, peak * headroom)
        return samples, achieved


def input_acoustics(clip: Clip) -> dict[str, float | str]:
    """Measure the recording itself: what ``clean`` means for this utterance.

    Returns:
        ``active_level_dbfs`` and ``active_fraction`` after ITU-T P.56, ``clipped_fraction``, and
        ``snr_estimate_db``: active level over the recording's own noise floor (``level.own_snr_db``), which is also
        the ``effective_snr_db`` of a recording to which nothing was added.
    """
    if clip.samples.size == 0:
        return dict(NOTHING)
    achieved: dict[str, float | str] = {"clipped_fraction": clipped_fraction(clip.samples, _peak(clip.samples))}
    level = active_level(clip.samples, clip.sample_rate_hz)
    if level is None:
        achieved["active_fraction"] = 0.0
        return achieved
    achieved["active_level_dbfs"] = level.level_dbfs
    achieved["active_fraction"] = level.fraction
    own = own_snr_db(clip.samples, clip.sample_rate_hz, level.level_dbfs)
    if own is not None:
        achieved["snr_estimate_db"] = achieved["effective_snr_db"] = own
    return achieved


def recording_snr_db(clip: Clip, level: ActiveLevel | None, *, weighted: bool) -> float | None:
    """Return the ratio of a recording's active speech (its level) to its own noise, A-weighted or not."""
    if level is None:
        return None
    if not weighted:
        return own_snr_db(clip.samples, clip.sample_rate_hz, level.level_dbfs)
    heard = a_weighted(clip.samples.astype(np.float64), clip.sample_rate_hz)
    power = level.power(heard)
    return None if power <= 0 else own_snr_db(heard, clip.sample_rate_hz, decibels(power))


def _scaled(samples: Samples, gain: float, kept: Samples) -> Samples:
    """Multiply in place, unless the samples are those that the effect was given."""
    if samples.flags.writeable and not np.may_share_memory(samples, kept):
        samples *= gain
        return samples
    return samples * gain


def _peak(samples: npt.NDArray[Any]) -> float:
    return max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))


def clipped_fraction(samples: npt.NDArray[np.float32], peak: float) -> float:
    """Return the share of samples that stand in a run of two or more at the clip's own, near-full-scale peak."""
    if peak < 0.5:
        return 0.0
    high = np.abs(samples) >= peak * CLIPPED
    runs = high & (np.concatenate([[False], high[:-1]]) | np.concatenate([high[1:], [False]]))
    return float(np.count_nonzero(runs)) / samples.size
