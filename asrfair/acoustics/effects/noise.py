"""Noise at a signal-to-noise ratio that is defined over active speech.

Speech level is the active speech level of the speech alone (ITU-T P.56, see ``level``); noise level is the RMS of the
noise over the same active samples. What happens in the pauses does not count, so the SNR that a recogniser meets while
somebody speaks is the one that was asked for, however long the pauses are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

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
from asrfair.acoustics.level import NOMINAL_LEVEL_DBFS, amplitude, decibels, mean_power
from asrfair.acoustics.sources.base import SOURCES, Request, SourceParams, source_of
from asrfair.data.tomlfile import TomlFile, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from asrfair.acoustics.speech_material import Corpus

ATTEMPTS = 8
"""How often a noise that misses the speech (a gap in a recording, a knock in a pause) is drawn again."""

MISSES_DB = 12.0
"""A noise misses the speech where it is this far below its expected level over the active samples."""


class NoiseParams(EffectParams):
    """``snr_db`` over active speech, and one or more layers whose levels stand in relation to each other."""

    snr_db: Annotated[Number, within(-40, 100)]
    layer: tuple[pydantic.SerializeAsAny[SourceParams], ...] = pydantic.Field(min_length=1, max_length=32)


class NoiseEffect(Effect):
    """Adds noise from one source, or from several in layers."""

    params = NoiseParams
    traits = EffectTraits(level="keeps", adds_noise=True, linear=True)

    def parse(self, toml: TomlFile, data: Mapping[str, Any], at: tuple[str | int, ...]) -> NoiseParams:
        """Check the parameters; ``source = …`` in the effect itself is short for a single layer."""
        own = {"snr_db", "restore_level", "layer"}
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
        """Add the noise. Achieved: ``snr_db`` and ``noise_level_dbfs`` over active speech, and what the sources say."""
        asked = number(params.snr_db)
        speech = context.level
        level = speech.level_dbfs if speech is not None else NOMINAL_LEVEL_DBFS
        expected = sum(amplitude(number(layer.level_db)) ** 2 for layer in params.layer)
        floor = expected * 10 ** (-MISSES_DB / 10)
        achieved: Achieved = {}
        for attempt in range(ATTEMPTS):
            noise, achieved = mix_layers(samples.size, sample_rate_hz, params, context, attempt)
            power = wanted = mean_power(noise) if speech is None else speech.power(noise)
            if power >= floor:
                break
        else:
            # It never met the speech: set its level by what it has on average and let the achieved SNR say so.
            wanted = floor
            achieved["missed_speech"] = 1.0
        gain = amplitude(level - asked) / np.sqrt(wanted)
        if attempt:
            achieved["redrawn"] = float(attempt)
        achieved["snr_db_asked"] = asked
        if speech is None:
            achieved["no_active_speech"] = 1.0
        if power > 0:
            achieved["noise_level_dbfs"] = decibels(power * gain**2)
            if speech is not None:
                achieved["snr_db"] = level - decibels(power * gain**2)
        noise *= gain
        noise += samples
        return noise, achieved


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
