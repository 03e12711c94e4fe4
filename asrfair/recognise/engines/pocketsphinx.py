"""CMU PocketSphinx: offline, on one processor core a process, with the US-English model that its package carries.

A decoder keeps two things from one utterance to the next, the statistics of its noise suppression and of its cepstral
mean, so that a transcript depends on what was heard before it (3–6 of 16 real utterances changed their text with the
order). Here the front end is set back before every utterance: the text is the one that a new decoder gives.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic

from asrfair.data.provenance import sha256_paths
from asrfair.errors import EngineError, InputError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import Clip, EngineSpec, Hypothesis, WordTime

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE_RATE_HZ = 16_000
_FILLERS = ("<", "[", "(", "+")


class PocketSphinxOptions(pydantic.BaseModel):
    """Options of the engine.

    Args:
        hmm: Folder of an acoustic model; by default the packaged US-English one.
        lm: File of a language model; likewise.
        dict: File of a pronunciation dictionary; likewise.
        parameters: Further parameters of PocketSphinx by name, such as ``{beam = 1e-60, lw = 7.5}``.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    hmm: str | None = None
    lm: str | None = None
    dictionary: str | None = pydantic.Field(default=None, alias="dict")
    parameters: dict[str, str | float | int | bool] = {}


class PocketSphinx(EngineBase):
    """One decoder a worker process; 16 kHz, 16 bit."""

    traits = EngineTraits(sample_rate_hz=SAMPLE_RATE_HZ, parallel="processes")

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self._settings = _settings(read_options(PocketSphinxOptions, spec), spec, context)
        self._decoder: Any = self._start()

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:
        """Check the options; the traits are always the same."""
        _settings(read_options(PocketSphinxOptions, spec), spec, context)
        return cls.traits

    def _start(self) -> Any:
        from pocketsphinx import Decoder

        try:
            return Decoder(**self._settings)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise EngineError(
                f"PocketSphinx cannot start with these options: {type(error).__name__}: {error}",
                remedy="Check that hmm, lm and dict belong together, and the names of the parameters",
            ) from error

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Recognise each clip by itself."""
        return [self._recognise(clip) for clip in clips]

    def _recognise(self, clip: Clip) -> Hypothesis:
        if not len(clip.samples):
            return Hypothesis(utterance_id=clip.utterance_id, status="empty")
        pcm = np.round(np.clip(clip.samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        try:
            self._decoder.reinit_feat()
            self._decoder.start_utt()
            # The whole utterance at once: the cepstral mean is then its own, not a running one.
            self._decoder.process_raw(pcm, no_search=False, full_utt=True)
            self._decoder.end_utt()
        except Exception as error:
            self._decoder = self._start()
            raise RuntimeError(f"PocketSphinx failed: {error}") from error
        found = self._decoder.hyp()
        if found is None or not found.hypstr.strip():
            return Hypothesis(utterance_id=clip.utterance_id, status="empty")
        words = self._words()
        return Hypothesis(
            utterance_id=clip.utterance_id,
            text=found.hypstr,
            confidence=float(np.mean([word.confidence for word in words])) if words else None,
            words=words,
        )

    def _words(self) -> tuple[WordTime, ...]:
        """Return the words with times, without silences and fillers, and with ``read(2)`` written ``read``."""
        rate = float(self._decoder.config["frate"])
        return tuple(
            WordTime(
                word=segment.word.partition("(")[0],
                start_s=segment.start_frame / rate,
                end_s=(segment.end_frame + 1) / rate,
                confidence=min(max(float(segment.prob), 0.0), 1.0),
            )
            for segment in self._decoder.seg() or ()
            if not segment.word.startswith(_FILLERS)
        )

    def fingerprint(self) -> dict[str, str]:
        """Return the package's version, the hash of the model's files, and the parameters."""
        model = [Path(self._settings[key]) for key in ("hmm", "lm", "dict")]
        others = {key: value for key, value in self._settings.items() if key not in {"hmm", "lm", "dict", "loglevel"}}
        return {
            "pocketsphinx": importlib.metadata.version("pocketsphinx"),
            "model_sha256": sha256_paths(model),
            "parameters": " ".join(f"{key}={value}" for key, value in sorted(others.items())),
        }


def _settings(options: PocketSphinxOptions, spec: EngineSpec, context: EngineContext) -> dict[str, Any]:
    from pocketsphinx import get_model_path

    packaged = Path(get_model_path("en-us"))
    settings: dict[str, Any] = {
        "hmm": str(packaged / "en-us"),
        "lm": str(packaged / "en-us.lm.bin"),
        "dict": str(packaged / "cmudict-en-us.dict"),
        "samprate": float(SAMPLE_RATE_HZ),
        "loglevel": "FATAL",
    }
    for key in ("hmm", "lm", "dict"):
        given = getattr(options, "dictionary" if key == "dict" else key)
        if given is not None:
            path = context.path(given)
            if not path.exists():
                raise InputError(
                    f"engine {spec.label!r}: the path of {key!r} does not exist",
                    file=path,
                    column=key,
                    remedy="Relative paths start from the suite's folder",
                )
            settings[key] = str(path)
    for name, value in options.parameters.items():
        if name in settings:
            raise InputError(f"engine {spec.label!r}: {name!r} cannot be set among the parameters", column=name)
        settings[name] = value
    return settings
