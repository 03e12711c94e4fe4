"""Other people talking: babble made from the manifest's other speakers, never from the utterance's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic

from asrfair.acoustics.level import active_level, amplitude, mean_power
from asrfair.acoustics.sources.base import Request, Source, SourceParams
from asrfair.errors import InputError

if TYPE_CHECKING:
    from asrfair.acoustics.effects.base import Achieved, Samples
    from asrfair.acoustics.speech_material import Corpus

_FADE_S = 0.02
_ENOUGH = 200


class BabbleParams(SourceParams):
    """``talkers`` at once: 1 or 2 compete with the speaker (a television), from about 6 on they are a crowd."""

    talkers: int = pydantic.Field(default=6, ge=1, le=64)


class Babble(Source):
    """Sums streams of speech of other speakers, each stream at the same active level, heard through the chain's room.

    Talkers are drawn without replacement; where the manifest has fewer other speakers than talkers, they are used
    again with other utterances.
    """

    params = BabbleParams

    def check_corpus(self, params: Any, corpus: Corpus) -> None:  # noqa: ARG002 -- the protocol's signature
        """Refuse a manifest with fewer than two audible speakers: somebody would hear themselves."""
        if len(corpus.speakers) < 2:
            raise InputError(
                f"babble is made from the other speakers of the manifest, and it has {len(corpus.speakers)} with audio",
                remedy='Use source = "speech_shaped" or a recording of a crowd instead',
            )

    def make(self, request: Request, params: Any) -> tuple[Samples, Achieved]:
        """Return the babble. Achieved: ``talkers`` (distinct speakers) and ``speakers`` (who, up to eight)."""
        context = request.context
        others = context.corpus.others(context.speaker_id)
        order = request.generator("talkers").permutation(len(others))
        chosen = [others[int(order[i % len(others)])] for i in range(params.talkers)]
        total = np.zeros(request.size)
        for i, speaker in enumerate(chosen):
            stream = _stream(request, speaker, request.generator("stream", str(i)))
            total += context.elsewhere(stream, str(i))
        power = mean_power(total)
        distinct = sorted(set(chosen))
        achieved: Achieved = {"talkers": float(len(distinct)), "speakers": " ".join(distinct[:8])}
        return (total / np.sqrt(power) if power > 0 else total), achieved


def _stream(request: Request, speaker: str, rng: np.random.Generator) -> Samples:
    """Return utterances of a speaker in a row, each at unit active level, from a random place in the first."""
    positions = request.context.corpus.of_speaker(speaker)
    order = rng.permutation(len(positions))
    fade = max(1, round(_FADE_S * request.sample_rate_hz))
    pieces: list[Samples] = []
    size, turn = 0, 0
    while size < request.size and turn < _ENOUGH:
        clip = request.context.corpus.load(positions[int(order[turn % len(order)])], request.sample_rate_hz)
        level = None if clip is None else active_level(clip.samples, request.sample_rate_hz)
        if clip is not None and level is not None:
            samples = clip.samples.astype(np.float64)
            if not pieces:
                samples = samples[int(rng.uniform(0, 0.5) * samples.size) :]
            samples = samples * amplitude(-level.level_dbfs)
            edge = min(fade, samples.size // 2)
            samples[:edge] *= np.arange(edge) / edge if edge else 1.0
            samples[samples.size - edge :] *= np.arange(edge)[::-1] / edge if edge else 1.0
            pieces.append(samples)
            size += samples.size
        turn += 1
    if not pieces:
        return np.zeros(request.size)
    stream = np.concatenate(pieces)
    if stream.size < request.size:
        stream = np.resize(stream, request.size)
    return stream[: request.size]
