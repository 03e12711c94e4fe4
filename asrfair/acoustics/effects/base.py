"""What an effect is: one frozen parameter model, one ``apply``, a few facts about it; and the table of effects.

An effect gets the samples of one utterance and returns them changed, together with what it *achieved* (which may
differ from what was asked, and is recorded for every utterance). To add one, write a class in a file of its family
and a line in ``EFFECTS``; other people's come in through the entry-point group ``asrfair.effects``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pydantic

from asrfair.data.tomlfile import TomlFile, did_you_mean
from asrfair.errors import AsrfairError, EnvironmentFailedError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from asrfair.acoustics.level import ActiveLevel
    from asrfair.acoustics.speech_material import Corpus

Samples: TypeAlias = npt.NDArray[np.float64]
"""Mono audio, shape (samples,), full scale 1.0. Effects compute in float64 and may exceed full scale."""

Achieved: TypeAlias = dict[str, float | str]
"""What an effect really did, by quantity with its unit as suffix: ``{"snr_db": 9.98, "file": "tap.wav"}``."""

EFFECTS: dict[str, str] = {
    "noise": "asrfair.acoustics.effects.noise:NoiseEffect",
    "impulse_response": "asrfair.acoustics.effects.impulse_response:ImpulseResponseEffect",
    "room": "asrfair.acoustics.effects.room:RoomEffect",
    "distance": "asrfair.acoustics.effects.distance:DistanceEffect",
    "handset": "asrfair.acoustics.effects.handset:HandsetEffect",
    "band": "asrfair.acoustics.effects.band:BandEffect",
    "codec": "asrfair.acoustics.effects.codec:CodecEffect",
    "packet_loss": "asrfair.acoustics.effects.packet_loss:PacketLossEffect",
    "gain": "asrfair.acoustics.effects.gain:GainEffect",
    "clip": "asrfair.acoustics.effects.gain:ClipEffect",
    "agc": "asrfair.acoustics.effects.gain:AgcEffect",
    "limiter": "asrfair.acoustics.effects.gating:LimiterEffect",
    "gate": "asrfair.acoustics.effects.gating:GateEffect",
    "suppressor": "asrfair.acoustics.effects.suppressor:SuppressorEffect",
    "webrtc": "asrfair.acoustics.effects.suppressor:WebrtcEffect",
    "echo": "asrfair.acoustics.effects.echo:EchoEffect",
    "pad_silence": "asrfair.acoustics.effects.padding:PadSilenceEffect",
    "pitch": "asrfair.acoustics.effects.voice:PitchEffect",
    "formants": "asrfair.acoustics.effects.voice:FormantsEffect",
    "speaking_rate": "asrfair.acoustics.effects.voice:SpeakingRateEffect",
    "slowing": "asrfair.acoustics.effects.voice:SlowingEffect",
    "breathiness": "asrfair.acoustics.effects.voice_source:BreathinessEffect",
    "effort": "asrfair.acoustics.effects.voice_source:EffortEffect",
    "audiomentations": "asrfair.acoustics.effects.augment:AudiomentationsEffect",
    "callable": "asrfair.acoustics.effects.plugin:CallableEffect",
}
"""Name → ``module:attribute`` of an ``Effect`` class, imported on use."""

ENTRY_POINTS = "asrfair.effects"


class EffectParams(pydantic.BaseModel):
    """Base of every effect's parameters: frozen, unknown keys refused.

    ``restore_level``: whether the renderer brings the active speech level back to what it was before the effect.
    The default follows the effect's traits; an effect that sets the level has nothing to restore.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    restore_level: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectTraits:
    """Facts that the renderer, the tests and the documentation rely on.

    Args:
        changes_length: The result may have another number of samples (silence padding). All others keep it.
        keeps_alignment: Speech stays where it was: cross-correlation lag 0 within 1 ms.
        level: ``keeps``: active speech level is untouched; ``restored``: it changes as a by-product and the renderer
            restores it (unless ``restore_level = false``); ``sets``: changing it is the point.
        adds_noise: The result is the input plus something that is not speech. The renderer follows the speech alone
            around such an effect, so that levels and SNR stay defined over speech.
        linear: Superposition holds, so that the SNR at the end of the chain can be measured.
        full_scale: The input must lie within ±1 (a codec): the renderer scales down before and up again after.
    """

    changes_length: bool = False
    keeps_alignment: bool = True
    level: Literal["keeps", "restored", "sets"] = "restored"
    adds_noise: bool = False
    linear: bool = False
    full_scale: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What an effect found out about its parameters once, before anything is rendered.

    Args:
        files: SHA-256 of every file that it will read, by path as text; part of the condition's fingerprint.
        warnings: Sentences for the user.
        facts: Anything picklable that ``apply`` needs and that is slow to measure; given back in the context.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectContext:
    """What an effect may know beside its samples.

    Args:
        utterance_id: The utterance that is rendered.
        speaker_id: Who speaks: babble never uses this speaker.
        folder: Folder of the profile file; relative paths start here.
        speech: The speech alone at this place of the chain (equal to the samples where no noise came before).
            Treat as read-only.
        level: The active level of that speech; ``None`` where there is none.
        corpus: The other utterances of the manifest.
        facts: The ``facts`` of this effect's own ``Inspection``.
        generator: Gives an independent generator for a purpose; ``generator("offset")`` is the same at each call.
        own_snr_db: The recording's own active level over its own noise, A-weighted or not; ``None`` where it cannot
            be said.
        elsewhere: Puts sound from another place of the same room (or rooms) that the speech has been through: other
            talkers are heard in it as well. The text tells places apart.
    """

    utterance_id: str
    speaker_id: str
    folder: Path
    speech: Samples
    level: ActiveLevel | None
    corpus: Corpus
    facts: Mapping[str, Any]
    generator: Callable[..., np.random.Generator]
    own_snr_db: Callable[[bool], float | None] = lambda weighted: None  # noqa: ARG005 -- nothing is known of it
    elsewhere: Callable[[Samples, str], Samples] = lambda samples, place: samples  # noqa: ARG005 -- no room


class Effect(ABC):
    """One step of a chain. Instances hold no state: everything comes in through ``apply``'s arguments."""

    params: ClassVar[type[EffectParams]]
    traits: ClassVar[EffectTraits]

    def parse(self, toml: TomlFile, data: Mapping[str, Any], at: tuple[str | int, ...]) -> EffectParams:
        """Check the parameters as a profile file gives them. ``at`` is where they stand, for error messages.

        Raises:
            InputError: A parameter is unknown, missing or out of bounds; names the file and line.
        """
        return toml.validate(self.params, dict(data), at=at)

    def traits_of(self, params: Any) -> EffectTraits:  # noqa: ARG002 -- for those whose traits depend on them
        """Return the traits with these parameters."""
        return self.traits

    def inspect(self, params: EffectParams, folder: Path) -> Inspection:  # noqa: ARG002 -- for those that read files
        """Look once at what the parameters name (files, libraries), before anything is rendered.

        Raises:
            AsrfairError: It could not work: a file is missing or silent, an extra is not installed.
        """
        return Inspection()

    def check_corpus(self, params: Any, corpus: Corpus) -> None:  # noqa: B027 -- most need no corpus
        """Refuse a manifest that cannot give what the effect needs (babble needs other speakers).

        Raises:
            InputError: It cannot.
        """

    def elsewhere(
        self,
        samples: Samples,
        sample_rate_hz: int,  # noqa: ARG002 -- for those that are rooms
        params: Any,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
        context: EffectContext,  # noqa: ARG002
    ) -> Samples:
        """Return sound from somewhere else in the place that this effect is; anything but a room changes nothing."""
        return samples

    def follow(
        self,
        speech: Samples,  # noqa: ARG002 -- for those whose gain depends on the whole mixture
        before: Samples,  # noqa: ARG002
        after: Samples,  # noqa: ARG002
        sample_rate_hz: int,  # noqa: ARG002
        params: Any,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
        context: EffectContext,  # noqa: ARG002
    ) -> Samples | None:
        """Return what became of the speech alone inside the mixture.

        ``None``, as for most: what the effect makes of the speech alone (where nothing else was there, the result).

        Args:
            speech: The speech alone before the effect.
            before: The mixture before it.
            after: The mixture after it.
            sample_rate_hz: Sampling rate.
            params: As in ``apply``.
            rng: In the state that ``apply`` got it in.
            context: As in ``apply``.
        """
        return None

    @abstractmethod
    def apply(
        self,
        samples: Samples,
        sample_rate_hz: int,
        params: Any,
        rng: np.random.Generator,
        context: EffectContext,
    ) -> tuple[Samples, Achieved]:
        """Return the samples with the effect, and what was achieved.

        Args:
            samples: Mono float64, shape (samples,); never change it in place.
            sample_rate_hz: Sampling rate of input and output.
            params: An instance of ``self.params`` whose every ``Number`` and ``Text`` has been drawn: use ``number``
                and ``text`` to read them.
            rng: The effect's own generator. The same state at each call for this utterance (the renderer may call
                twice: for the mixture and for the speech alone).
            context: What else is known.
        """


def effect_names() -> tuple[str, ...]:
    """Return the names of all effects: ours, then those of installed packages."""
    plugins = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return (*EFFECTS, *sorted(p.name for p in plugins if p.name not in EFFECTS))


def effect_of(name: str) -> Effect:
    """Import and return an effect by name.

    Raises:
        InputError: There is none of that name.
        EnvironmentFailedError: It is a plug-in, and broken.
    """
    target = EFFECTS.get(name)
    if target is None:
        for plugin in importlib.metadata.entry_points(group=ENTRY_POINTS):
            if plugin.name == name:
                target = plugin.value
                break
    if target is None:
        raise InputError("unknown effect", value=name, remedy=did_you_mean(name, effect_names()))
    module, _, attribute = target.partition(":")
    try:
        effect = getattr(importlib.import_module(module), attribute)()
    except AsrfairError:
        raise
    except Exception as error:
        raise EnvironmentFailedError(
            f"the effect {name!r} cannot be loaded from {target}: {type(error).__name__}: {error}",
            remedy="Mend or uninstall the package that offers it",
        ) from error
    if not isinstance(effect, Effect):
        raise EnvironmentFailedError(
            f"the effect {name!r} of {target} is no effect",
            remedy="Its class derives from asrfair.acoustics.effects.base.Effect (docs/effects.md)",
        )
    return effect
