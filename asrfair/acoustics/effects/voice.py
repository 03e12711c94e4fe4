"""``pitch``, ``formants``, ``speaking_rate`` and ``slowing``: the same words in a voice that is changed a little.

Made by Praat's overlap-add (PSOLA: Moulines & Charpentier 1990, *Speech Communication* 9, 453–467) through parselmouth,
the extra ``voices``. Every change, also one of nothing, goes through the same resynthesis, so that a condition without
a change says what the resynthesis itself costs. A changed voice is not another person: what is measured is how far a
recogniser's answer rests on pitch, vocal-tract length or pace, and nothing is inferred about anybody.

They stand first in a chain: noise that is resynthesised with a voice would no longer be that noise.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from asrfair.acoustics.effects.base import (
    Achieved,
    Effect,
    EffectContext,
    EffectParams,
    EffectTraits,
    Inspection,
    Samples,
)
from asrfair.acoustics.effects.parameters import Number, number, within
from asrfair.acoustics.envelope import envelope_shift_percent
from asrfair.acoustics.level import fit_length
from asrfair.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from asrfair.acoustics.level import ActiveLevel

LOWEST_HZ, HIGHEST_HZ = 60.0, 700.0
"""Where a voice's pitch is looked for: deep men to small children."""

LEAST_S = 0.2
"""Praat wants a few periods; a shorter clip is lengthened with silence for it, and cut again."""

LEAST_VOICED = 5
"""With fewer voiced frames of 10 ms a clip has no median pitch."""

_STEP_S = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceChange:
    """Factors; 1 changes nothing.

    Args:
        pitch: On the fundamental frequency.
        pitch_range: On its excursions around its median, on a logarithmic scale.
        formants: On all resonances of the vocal tract.
        duration: On the whole clip.
        stretches: (start in seconds, end, factor): on the duration of a part, in place of ``duration``.
    """

    pitch: float = 1.0
    pitch_range: float = 1.0
    formants: float = 1.0
    duration: float = 1.0
    stretches: Sequence[tuple[float, float, float]] = field(default_factory=tuple)


class _VoiceEffect(Effect):
    """What the four share: Praat's version is part of the condition, alignment is not claimed to the millisecond."""

    traits: ClassVar[EffectTraits] = EffectTraits(keeps_alignment=False, level="restored")

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- no files
        """Find Praat.

        Raises:
            MissingExtraError: parselmouth is not installed.
        """
        import_parselmouth()
        return Inspection(files={"praat-parselmouth": importlib.metadata.version("praat-parselmouth")})


class PitchParams(EffectParams):
    """``semitones`` up or down; ``range_percent`` of the melody's own excursions (100: as they are)."""

    semitones: Annotated[Number, within(-12, 12)] = 0.0
    range_percent: Annotated[Number, within(10, 300)] = 100.0


class PitchEffect(_VoiceEffect):
    """Higher or lower, formants and timing kept."""

    params: ClassVar[type[EffectParams]] = PitchParams

    def apply(
        self, samples: Samples, sample_rate_hz: int, params: Any, rng: np.random.Generator, context: EffectContext
    ) -> tuple[Samples, Achieved]:
        """Shift the pitch; see ``Effect.apply``.

        Achieved, beside what was asked: ``semitones`` between the medians, ``pitch_hz`` after.
        """
        semitones, range_percent = number(params.semitones), number(params.range_percent)
        factor = 2 ** (semitones / 12)
        wanted = VoiceChange(pitch=factor, pitch_range=range_percent / 100)
        result = resynthesised(samples, sample_rate_hz, wanted, rng, context.utterance_id)
        asked: Achieved = {"semitones_asked": semitones, "melody_percent_asked": range_percent - 100}
        return result, asked | _pitch_achieved(samples, result, sample_rate_hz, factor)


class FormantsParams(EffectParams):
    """``percent`` by which all formants rise (a shorter vocal tract) or fall."""

    percent: Annotated[Number, within(-30, 40)] = 0.0


class FormantsEffect(_VoiceEffect):
    """Another length of the vocal tract, pitch and timing kept."""

    params: ClassVar[type[EffectParams]] = FormantsParams

    def apply(
        self, samples: Samples, sample_rate_hz: int, params: Any, rng: np.random.Generator, context: EffectContext
    ) -> tuple[Samples, Achieved]:
        """Shift the formants; see ``Effect.apply``.

        Achieved, beside what was asked: ``formants_percent``, by how much the spectral envelope moved along a
        logarithmic frequency axis, and the pitch that should have stayed.
        """
        percent = number(params.percent)
        wanted = VoiceChange(formants=1 + percent / 100)
        result = resynthesised(samples, sample_rate_hz, wanted, rng, context.utterance_id)
        achieved: Achieved = {"formants_percent_asked": percent}
        shift = envelope_shift_percent(samples, result, sample_rate_hz)
        if shift is not None:
            achieved["formants_percent"] = shift
        return result, achieved | _pitch_achieved(samples, result, sample_rate_hz, 1.0)


class SpeakingRateParams(EffectParams):
    """``percent`` faster (negative: slower); pauses change as the words do. Pitch is kept."""

    percent: Annotated[Number, within(-50, 100)] = 0.0


class SpeakingRateEffect(_VoiceEffect):
    """Faster or slower, pitch and formants kept."""

    params: ClassVar[type[EffectParams]] = SpeakingRateParams
    traits: ClassVar[EffectTraits] = EffectTraits(changes_length=True, keeps_alignment=False, level="restored")

    def apply(
        self, samples: Samples, sample_rate_hz: int, params: Any, rng: np.random.Generator, context: EffectContext
    ) -> tuple[Samples, Achieved]:
        """Stretch time; see ``Effect.apply``.

        Achieved, beside what was asked: ``rate_percent`` by the number of samples, and the pitch.
        """
        percent = number(params.percent)
        wanted = VoiceChange(duration=1 / (1 + percent / 100))
        result = resynthesised(samples, sample_rate_hz, wanted, rng, context.utterance_id)
        achieved: Achieved = {"rate_percent_asked": percent}
        if result.size:
            achieved["rate_percent"] = 100 * (samples.size / result.size - 1)
        return result, achieved | _pitch_achieved(samples, result, sample_rate_hz, 1.0)


class SlowingParams(EffectParams):
    """Slower words, longer pauses between them, a flatter melody: what tired speech is described by.

    ``slower_percent`` longer words, ``pauses_percent`` longer pauses inside the utterance (0.2 s and more by P.56),
    ``range_percent`` of the melody's own excursions.
    """

    slower_percent: Annotated[Number, within(0, 100)] = 10.0
    pauses_percent: Annotated[Number, within(0, 400)] = 50.0
    range_percent: Annotated[Number, within(10, 100)] = 80.0


class SlowingEffect(_VoiceEffect):
    """The timing and melody of tired speech; of tiredness itself it knows nothing."""

    params: ClassVar[type[EffectParams]] = SlowingParams
    traits: ClassVar[EffectTraits] = EffectTraits(changes_length=True, keeps_alignment=False, level="restored")

    def apply(
        self, samples: Samples, sample_rate_hz: int, params: Any, rng: np.random.Generator, context: EffectContext
    ) -> tuple[Samples, Achieved]:
        """Stretch words and pauses; see ``Effect.apply``.

        Achieved, beside what was asked: ``longer_percent`` of the clip, ``pauses_s`` before and ``pauses_added_s``, and
        the pitch.
        """
        slower, longer, melody = (
            number(v) for v in (params.slower_percent, params.pauses_percent, params.range_percent)
        )
        words, pauses = 1 + slower / 100, 1 + longer / 100
        silent = pauses_of(context.level, sample_rate_hz) if samples.size == context.speech.size else ()
        wanted = VoiceChange(
            pitch_range=melody / 100,
            stretches=_parts(silent, samples.size / sample_rate_hz, words, pauses),
        )
        result = resynthesised(samples, sample_rate_hz, wanted, rng, context.utterance_id)
        lengths = sum(stop - start for start, stop in silent)
        return result, {
            "slower_percent_asked": slower,
            "pauses_percent_asked": longer,
            "melody_percent_asked": melody - 100,
            "longer_percent": 100 * (result.size / max(samples.size, 1) - 1),
            "pauses_s": lengths,
            "pauses_added_s": lengths * (pauses - 1),
            **_pitch_achieved(samples, result, sample_rate_hz, 1.0),
        }


def pauses_of(level: ActiveLevel | None, sample_rate_hz: int) -> tuple[tuple[float, float], ...]:
    """Return where nobody speaks between words, in seconds: the gaps between the stretches of active speech."""
    if level is None:
        return ()
    ends = zip(level.spans[:-1], level.spans[1:], strict=True)
    return tuple((before[1] / sample_rate_hz, after[0] / sample_rate_hz) for before, after in ends)


def _parts(
    pauses: Sequence[tuple[float, float]], end_s: float, words: float, silence: float
) -> tuple[tuple[float, float, float], ...]:
    """Cut a clip into words and pauses, each with its factor."""
    parts, place = [], 0.0
    for start, stop in pauses:
        parts += [(place, start, words), (start, stop, silence)]
        place = stop
    return (*parts, (place, end_s, words))


def resynthesised(
    samples: Samples, sample_rate_hz: int, change: VoiceChange, rng: np.random.Generator, utterance_id: str
) -> Samples:
    """Resynthesise a clip with a changed voice.

    Formants move by playing the clip faster, after which overlap-add brings pitch and duration back.

    Args:
        samples: Mono, shape (samples,).
        sample_rate_hz: Its rate.
        change: By which factors.
        rng: Praat draws where it puts grains of unvoiced sounds: seeds it.
        utterance_id: For messages.

    Returns:
        Shape (samples × duration,), to the sample.

    Raises:
        InputError: Praat failed on this clip.
    """
    import soxr

    stretches = change.stretches or ((0.0, samples.size / sample_rate_hz, change.duration),)
    size = round(sum((stop - start) * factor for start, stop, factor in stretches) * sample_rate_hz)
    seed = int(rng.integers(1, 2**31))
    if samples.size == 0 or not np.all(np.isfinite(samples)):
        return fit_length(samples, size)  # the renderer says what is wrong with it
    scale = _loudest(samples)
    # Praat's own threshold of silence is relative, so its scale does not matter but for numbers too small to square.
    source = fit_length(samples / scale, max(samples.size, round(LEAST_S * sample_rate_hz)))
    if change.formants != 1:
        source = soxr.resample(source, sample_rate_hz * change.formants, sample_rate_hz, quality="HQ")
    praat = import_parselmouth()
    try:
        made = _overlap_add(praat, source, sample_rate_hz, change, stretches, seed)
    except praat.PraatError as error:
        raise InputError(
            f"Praat cannot resynthesise utterance {utterance_id!r}: {str(error).splitlines()[0]}",
            remedy="Leave the recording out, or the conditions that change voices",
        ) from error
    # Praat takes the mean away, which would be a step between digital silence and sound.
    return fit_length((made + source.mean()) * scale, size)


def _overlap_add(
    praat: Any,
    source: Samples,
    rate: int,
    change: VoiceChange,
    stretches: Sequence[tuple[float, float, float]],
    seed: int,
) -> Samples:
    call = praat.praat.call
    # The same grains each time; the name of Praat's function warns of cryptography.
    praat.praat.run(f"random_initializeWithSeedUnsafelyButPredictably ({seed})")
    sound = praat.Sound(source, rate)
    low, high, median = _pitch_range(sound)
    manipulation = call(sound, "To Manipulation", _STEP_S, low, high)
    factor = change.pitch / change.formants
    if median and (factor != 1 or change.pitch_range != 1):
        tier = call(manipulation, "Extract pitch tier")
        call(tier, "Formula", f"{median * factor!r} * (self / {median!r}) ^ {change.pitch_range!r}")
        call([tier, manipulation], "Replace pitch tier")
    if change.formants != 1 or any(stretch != 1 for *_, stretch in stretches):
        tier = call("Create DurationTier", "durations", sound.xmin, sound.xmax)
        for start, stop, stretch in stretches:
            # Two points a part: a tier is a line between its points, and lines would blur words into pauses.
            first, last = start / change.formants, stop / change.formants
            edge = min(1e-6, (last - first) / 4)
            for time in (first + edge, last - edge):
                call(tier, "Add point", time, stretch * change.formants)
        call([tier, manipulation], "Replace duration tier")
    made = call(manipulation, "Get resynthesis (overlap-add)")
    return np.asarray(made.values[0], dtype=np.float64)


def _pitch_range(sound: Any) -> tuple[float, float, float]:
    """Return floor, ceiling and median of a voice's pitch in Hz, the median 0 where there is none.

    Two passes, after De Looze & Hirst 2008 (*Speech Prosody*): 0.75 of the lower and 1.5 of the upper quartile keep
    octave errors out.
    """
    values = _pitches(sound, LOWEST_HZ, HIGHEST_HZ)
    if values.size < LEAST_VOICED:
        return LOWEST_HZ, HIGHEST_HZ, 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    floor, ceiling = max(LOWEST_HZ, 0.75 * float(low)), min(HIGHEST_HZ, 1.5 * float(high))
    within_range = _pitches(sound, floor, ceiling)
    return floor, ceiling, float(np.median(within_range)) if within_range.size >= LEAST_VOICED else 0.0


def _pitches(sound: Any, floor: float, ceiling: float) -> Samples:
    values = np.asarray(sound.to_pitch(_STEP_S, floor, ceiling).selected_array["frequency"], dtype=np.float64)
    return values[values > 0]


def _pitch_achieved(before: Samples, after: Samples, rate: int, expected: float) -> Achieved:
    """Median pitch before and after; looked for after where the change should have put it."""
    pad = round(LEAST_S * rate)
    if not (np.all(np.isfinite(before)) and np.all(np.isfinite(after))):
        return {}
    praat = import_parselmouth()
    first = praat.Sound(fit_length(before / _loudest(before), max(before.size, pad)), rate)
    low, high, median = _pitch_range(first)
    if not median:
        return {"no_pitch": 1.0}
    second = praat.Sound(fit_length(after / _loudest(after), max(after.size, pad)), rate)
    values = _pitches(second, max(20.0, low * expected), high * expected)
    if values.size < LEAST_VOICED:
        return {"no_pitch": 1.0}
    found = float(np.median(values))
    return {"semitones": 12 * math.log2(found / median), "pitch_hz": found}


def _loudest(samples: Samples) -> float:
    return float(np.max(np.abs(samples), initial=0.0)) or 1.0


def import_parselmouth() -> Any:
    """Import parselmouth.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import parselmouth
        import parselmouth.praat
    except ImportError as error:
        raise MissingExtraError(
            extra="voices", package="praat-parselmouth", needed_for="Changing a voice's pitch, formants or pace"
        ) from error
    return parselmouth
