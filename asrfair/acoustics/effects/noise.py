"""Noise at a signal-to-noise ratio that is defined over active speech.

Speech level is the active speech level of the speech alone (ITU-T P.56, see ``level``); noise level is the RMS of the
noise over the same active samples. What happens in the pauses does not count, so the SNR that a recogniser meets while
somebody speaks is the one that was asked for, however long the pauses are.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pydantic

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
from asrfair.acoustics.effects.talker import TalkerParams, talker_snr_db
from asrfair.acoustics.level import NOMINAL_LEVEL_DBFS, amplitude, decibels, mean_power
from asrfair.acoustics.sources.base import SOURCES, Request, SourceParams, source_of
from asrfair.acoustics.weighting import active_power
from asrfair.data.tomlfile import TomlFile, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from asrfair.acoustics.level import ActiveLevel
    from asrfair.acoustics.speech_material import Corpus

ATTEMPTS = 64
"""How often a noise that misses the speech (a gap in a recording, a knock in a pause) is drawn again.

A knock every three seconds misses three short words in four: with fewer attempts a word's length would decide who is
disturbed at all.
"""

MISSES_DB = 12.0
"""A noise misses the speech where it is this far below its expected level over the active samples."""


class NoiseParams(EffectParams):
    """How loud, and one or more layers whose levels stand in relation to each other.

    ``snr_db`` is over active speech, of the whole band or, with ``weighting = "A"``, of what is heard (IEC 61672);
    ``own_noise = "counted"`` adds only what the recording's own noise lacks, so that everybody meets the same ratio.
    Or ``level_dba`` at the microphone, against a ``talker`` of a certain effort at a certain distance.
    """

    snr_db: Annotated[Number, within(-40, 100)] | None = None
    weighting: Literal["flat", "A"] = "flat"
    own_noise: Literal["beside", "counted"] = "beside"
    level_dba: Annotated[Number, within(-20, 140)] | None = None
    talker: TalkerParams | None = None
    layer: tuple[pydantic.SerializeAsAny[SourceParams], ...] = pydantic.Field(min_length=1, max_length=32)

    @pydantic.model_validator(mode="after")
    def _one(self) -> NoiseParams:
        if (self.snr_db is None) == (self.level_dba is None):
            raise ValueError("give either snr_db, or level_dba and a talker")
        if self.talker is not None and self.level_dba is None:
            raise ValueError("a talker goes with level_dba")
        return self


class NoiseEffect(Effect):
    """Adds noise from one source, or from several in layers."""

    params = NoiseParams
    traits = EffectTraits(level="keeps", adds_noise=True, linear=True)

    def parse(self, toml: TomlFile, data: Mapping[str, Any], at: tuple[str | int, ...]) -> NoiseParams:
        """Check the parameters; ``source = …`` in the effect itself is short for a single layer."""
        own = set(NoiseParams.model_fields)
        if "source" in data:
            if "layer" in data:
                raise toml.error("a noise has either one source or layers", *at, "source", remedy="Remove one of them")
            layers: Any = [{k: v for k, v in data.items() if k not in own}]
            data = {k: v for k, v in data.items() if k in own} | {"layer": layers}
            places = [at]
        else:
            layers = data.get("layer")
            places = [(*at, "layer", i) for i in range(len(layers))] if isinstance(layers, list) else []
            if not places:
                raise toml.error(
                    "a noise needs a source",
                    *at,
                    remedy='Write source = "pink", or one [[effect.layer]] for each source',
                )
        parsed = []
        for layer, place in zip(layers, places, strict=True):
            if not isinstance(layer, dict) or not isinstance(layer.get("source"), str):
                raise toml.error("the layer names no source", *place, remedy=f"Known: {', '.join(SOURCES)}")
            name = layer["source"]
            if name not in SOURCES:
                raise toml.error(
                    "unknown noise source", *place, "source", value=name, remedy=did_you_mean(name, SOURCES)
                )
            source = source_of(name)
            known = {*source.params.model_fields, *(own if place is at else ())}
            for key in layer:
                if key not in known:
                    remedy = did_you_mean(key, known)
                    raise toml.error(f"unknown key {key!r}", *place, key, remedy=remedy)
            parsed.append(toml.validate(source.params, layer, at=place))
        return toml.validate(NoiseParams, {**data, "layer": tuple(parsed)}, at=at)

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:
        """Inspect every layer: files are measured and hashed once."""
        assert isinstance(params, NoiseParams)
        files: dict[str, str] = {}
        warnings: list[str] = []
        facts: dict[str, Any] = {}
        for i, layer in enumerate(params.layer):
            found = source_of(layer.source).inspect(layer, folder)
            files.update(found.files)
            warnings.extend(found.warnings)
            facts[str(i)] = dict(found.facts)
        return Inspection(files=files, warnings=tuple(warnings), facts=facts)

    def check_corpus(self, params: EffectParams, corpus: Corpus) -> None:
        """Ask every layer whether the corpus has what it needs."""
        assert isinstance(params, NoiseParams)
        for layer in params.layer:
            source_of(layer.source).check_corpus(layer, corpus)

    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,  # noqa: ARG002 -- every layer and attempt has its own, by name
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Add the noise.

        Achieved over active speech: ``snr_db`` and, A-weighted, ``snr_a_db``, ``noise_level_dbfs``,
        ``exposed_fraction``, and what the sources say.
        """
        speech = context.level
        floor = least_power(params)
        achieved: Achieved = {}
        for attempt in range(ATTEMPTS):
            noise, achieved = mix_layers(samples.size, sample_rate_hz, params, context, attempt)
            power = mean_power(noise) if speech is None else speech.power(noise)
            if power >= floor:
                break
        if attempt:
            achieved["redrawn"] = float(attempt)
        gain, facts = set_against(noise, sample_rate_hz, params, context)
        achieved |= facts
        if gain > 0:
            achieved["exposed_fraction"] = exposure(noise, sample_rate_hz, speech)
        noise *= gain
        noise += samples
        return noise, achieved


def least_power(params: NoiseParams) -> float:
    """Return the mean square over the active samples below which a noise misses the speech."""
    return sum(amplitude(number(layer.level_db)) ** 2 for layer in params.layer) * float(10 ** (-MISSES_DB / 10))


def set_against(
    noise: Samples, sample_rate_hz: int, params: NoiseParams, context: EffectContext
) -> tuple[float, Achieved]:
    """Return the factor that brings noise to its level beside the speech, and what is achieved with it.

    Args:
        noise: Shape (samples,), of any level.
        sample_rate_hz: Its rate.
        params: Drawn.
        context: The speech and its level.
    """
    weighted = params.weighting == "A" or params.level_dba is not None
    level = context.level
    achieved: Achieved = {}
    flat = level.level_dbfs if level is not None else NOMINAL_LEVEL_DBFS
    heard = flat
    if level is not None:
        heard_power = active_power(context.speech, sample_rate_hz, level, weighted=True)
        heard = decibels(heard_power) if heard_power > 0 else flat
    if params.level_dba is not None:
        asked, achieved = talker_snr_db(
            params.talker or TalkerParams(), number(params.level_dba), None if level is None else flat
        )
    else:
        asked = number(params.snr_db)  # type: ignore[arg-type]  # one of the two is given
    achieved["snr_db_asked"] = asked
    wanted = asked
    own = context.own_snr_db(weighted) if params.own_noise == "counted" else None
    if own is not None:
        missing = 10 ** (-asked / 10) - 10 ** (-own / 10)
        if missing <= 0:
            return 0.0, {**achieved, "own_noise_exceeds": 1.0, "own_snr_db": own}
        achieved["own_noise_exceeds"], achieved["own_snr_db"] = 0.0, own
        wanted = -decibels(missing)
    powers = {w: active_power(noise, sample_rate_hz, level, weighted=w) for w in (False, True)}
    power = powers[weighted]
    least = least_power(params)
    if level is not None and powers[False] < least:
        # It never met the speech: set its level by what it has on average and let the achieved SNR say so.
        achieved["missed_speech"] = 1.0
        power *= least / powers[False] if powers[False] > 0 else 0.0
        power = power or least
    gain = amplitude((heard if weighted else flat) - wanted) / math.sqrt(power if power > 0 else least)
    if level is None:
        achieved["no_active_speech"] = 1.0
    if powers[False] > 0:
        achieved["noise_level_dbfs"] = decibels(powers[False] * gain**2)
        if level is not None:
            achieved["snr_db"] = flat - decibels(powers[False] * gain**2)
            achieved["snr_a_db"] = heard - decibels(powers[True] * gain**2)
    return gain, achieved


def exposure(noise: Samples, sample_rate_hz: int, level: ActiveLevel | None) -> float:
    """Return the share of active speech in which noise sounds: 20 ms frames within 10 dB of its mean there.

    Steady noise is there all the time; of a knock a second, a long sentence meets more than a short word. Compared by
    group, this says whose words were met.
    """
    frame = max(1, round(0.02 * sample_rate_hz))
    count = noise.size // frame
    if count == 0:
        return 1.0
    frames = noise[: count * frame].reshape(count, frame)
    powers = np.einsum("ij,ij->i", frames, frames) / frame
    active = np.ones(count, dtype=bool)
    if level is not None:
        active = level.mask[: count * frame].reshape(count, frame).mean(axis=1) >= 0.5
    if not active.any():
        return 1.0
    return float(np.mean(powers[active] >= 0.1 * powers[active].mean()))


def mix_layers(
    size: int, sample_rate_hz: int, params: NoiseParams, context: EffectContext, attempt: int
) -> tuple[Samples, Achieved]:
    """Sum the layers, each at its level."""
    total: Samples | None = None
    achieved: Achieved = {}
    for i, layer in enumerate(params.layer):
        request = Request(
            size=size,
            sample_rate_hz=sample_rate_hz,
            context=context,
            facts=context.facts.get(str(i), {}),
            generator=partial(context.generator, "layer", str(i), layer.source, str(attempt)),
        )
        noise, found = source_of(layer.source).make(request, layer)
        noise = noise if number(layer.level_db) == 0 else amplitude(number(layer.level_db)) * noise
        total = noise if total is None else total + noise
        prefix = f"{layer.source}_" if len(params.layer) == 1 else f"{layer.source}{i + 1}_"
        achieved.update({prefix + key: value for key, value in found.items()})
    assert total is not None
    return total, achieved
