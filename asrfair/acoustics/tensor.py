"""The same chain for a batch of tensors, on a graphics card or a processor, with torch (extra ``gpu``).

For the effects that allow it: gain, band, distance, room, impulse_response, noise, and the codecs mulaw and alaw. What
is drawn, and what noise and responses sound like, comes from the same code and seeds as in ``render``; filtering,
reverberation, levels, mixing and companding are done on the device, in float64. Resampling for a codec goes through
soxr on the processor, since another resampler would give other quantisation steps. Against ``Renderer`` no sample
differs by more than ``TOLERANCE`` of full scale; after a codec, where the last bits of the input decide between two
quantisation steps, the neighbouring one may be taken, and the difference lies at least ``CODEC_DB`` below the signal.

A run renders so where its suite says ``render = "device"`` (:func:`on_device`). Its conditions then have fingerprints of
their own: bytes follow the device and the batch, within the tolerance.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soxr
from scipy import fft

from asrfair.acoustics.effects.base import Achieved, EffectContext, Samples, effect_of
from asrfair.acoustics.effects.codec import COMPANDED, companding
from asrfair.acoustics.effects.distance import distance_taps
from asrfair.acoustics.effects.impulse_response import file_hash, prepared_response
from asrfair.acoustics.effects.noise import ATTEMPTS, exposure, least_power, mix_layers, set_against
from asrfair.acoustics.effects.parameters import draw, number, text
from asrfair.acoustics.effects.room import drawn_response
from asrfair.acoustics.filters import band_taps
from asrfair.acoustics.level import ActiveLevel, amplitude, decibels, mean_power, together_db
from asrfair.acoustics.render import NOTHING, PEAK, Rendered, clipped_fraction, input_acoustics, recording_snr_db
from asrfair.acoustics.seeding import generator
from asrfair.acoustics.speech_material import Corpus, RenderContext
from asrfair.acoustics.tensor_level import BatchLevel, batch_active_level, fftconvolve, valid_mask
from asrfair.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asrfair.acoustics.profiles import Condition, Step
    from asrfair.types import Clip

TOLERANCE: Final = 1e-6
"""Of full scale. A float32 sample near full scale has steps of 6e-8."""

CODEC_DB: Final = 55.0

SUPPORTED: Final = ("gain", "band", "distance", "room", "impulse_response", "noise", "codec")
RENDERING: Final = "tensors 1"
"""Which rendering this is; raised when other samples come out."""


def unsupported(condition: Condition) -> tuple[str, ...]:
    """Return the labels of the effects of a condition that cannot be rendered as tensors."""
    return tuple(step.label for step in condition.steps if not _allowed(step))


def _allowed(step: Step) -> bool:
    if step.effect != "codec":
        return step.effect in SUPPORTED
    codec = step.params.codec  # type: ignore[attr-defined]
    names = getattr(codec, "values", (codec,))
    return all(name in COMPANDED for name in names)


def on_device(condition: Condition) -> Condition:
    """Return the condition with this renderer: another fingerprint, since bytes differ. Clean is nobody's work.

    Raises:
        InputError: An effect cannot be rendered as tensors.
        MissingExtraError: torch is not installed.
    """
    if condition.profile is None:
        return condition
    _check(condition)
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(extra="gpu", package="torch", needed_for='render = "device"')
    fingerprint = hashlib.sha256(f"{RENDERING} {condition.fingerprint}".encode()).hexdigest()
    return replace(condition, renderer="device", fingerprint=fingerprint)


def _check(condition: Condition) -> None:
    refused = unsupported(condition)
    if refused:
        raise InputError(
            f"{condition.name} cannot be rendered on a device: its effect {refused[0]!r} has no form for tensors",
            file=None if condition.profile is None else condition.profile.path,
            remedy=f'Leave out render = "device". These have one: {", ".join(SUPPORTED)} (codec: {", ".join(COMPANDED)})',
        )


class TensorRenderer:
    """Renders batches of clips into conditions on a device.

    Args:
        conditions: All conditions that will be asked for.
        seed: The run's seed.
        context: The whole manifest, for babble and speech-shaped noise.
        device: As torch names it; it must know float64 (``cpu``, ``cuda``).

    Raises:
        InputError: A condition has an effect that cannot be rendered as tensors.
        MissingExtraError: torch is not installed.
    """

    def __init__(
        self,
        conditions: Sequence[Condition],
        seed: int,
        context: RenderContext | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        for condition in conditions:
            _check(condition)
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError(extra="gpu", package="torch", needed_for="rendering on a device") from error

        self.torch: Any = torch
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.startswith("cuda") else None
        self.seed = seed
        self._corpus = Corpus(context or RenderContext())

    def render(self, clips: Sequence[Clip], condition: Condition, speaker_ids: Sequence[str]) -> list[Rendered]:
        """Render a batch; every clip as ``Renderer.render`` would, within the stated tolerance.

        Args:
            clips: At one sampling rate, of any lengths.
            condition: One of the conditions named before.
            speaker_ids: Who speaks in each clip.
        """
        if condition.profile is None:
            return [Rendered(clip=replace(c, condition=condition.name), achieved=input_acoustics(c)) for c in clips]
        sound = [row for row, clip in enumerate(clips) if clip.samples.size]
        if len(sound) < len(clips):
            heard = iter(self.render([clips[row] for row in sound], condition, [speaker_ids[row] for row in sound]))
            return [
                next(heard)
                if clip.samples.size
                else Rendered(clip=replace(clip, condition=condition.name), achieved=dict(NOTHING))
                for clip in clips
            ]
        if not clips:
            return []
        if len({clip.sample_rate_hz for clip in clips}) > 1:
            raise InputError("the clips of a batch must have one sampling rate")
        with self.torch.inference_mode(), self._on_own_stream():
            batch = _Batch(self, clips, condition, speaker_ids)
            for step in condition.steps:
                batch.run(step)
            return batch.finish()

    def render_alone(self, clip: Clip, condition: Condition, speaker_id: str) -> Rendered:
        """Render one clip."""
        return self.render([clip], condition, [speaker_id])[0]

    def _on_own_stream(self) -> AbstractContextManager[Any]:
        """Wait, where this waits, for what was rendered, not for a model that computes on the same device."""
        return nullcontext() if self._stream is None else self.torch.cuda.stream(self._stream)

    def convolve(self, samples: Any, kernels: Sequence[Samples], starts: Sequence[int]) -> Any:
        """Convolve every clip with its own kernel and cut from that kernel's start on; shapes stay."""
        torch = self.torch
        latest, longest = max(starts), max(k.size - s for k, s in zip(kernels, starts, strict=True))
        # A transform of a length without large prime factors is many times faster.
        size = fft.next_fast_len(samples.shape[1] + latest + longest - 1, real=True)
        table = np.zeros((len(kernels), size - samples.shape[1] + 1))
        for row, (kernel, start) in enumerate(zip(kernels, starts, strict=True)):
            table[row, latest - start : latest - start + kernel.size] = kernel
        full = fftconvolve(torch, samples, torch.as_tensor(table, device=samples.device))
        return full[:, latest : latest + samples.shape[1]]

    def level(self, samples: Any, lengths: Any, sample_rate_hz: int) -> BatchLevel:
        """Measure active levels."""
        return batch_active_level(self.torch, samples, lengths, sample_rate_hz)

    def resample(self, samples: Any, lengths: Sequence[int], old_hz: int, new_hz: int) -> tuple[Any, list[int]]:
        """Resample every clip as ``Renderer`` does; return the batch (zeros after each end) and the new lengths."""
        table = samples.cpu().numpy()
        rows = [
            soxr.resample(row[:length], old_hz, new_hz, quality="HQ")
            for row, length in zip(table, lengths, strict=True)
        ]
        result = np.zeros((len(rows), max(row.size for row in rows)))
        for target, row in zip(result, rows, strict=True):
            target[: row.size] = row
        return self.torch.as_tensor(result, device=samples.device), [row.size for row in rows]


class _Batch:
    """The state between effects, for all clips at once."""

    def __init__(
        self, renderer: TensorRenderer, clips: Sequence[Clip], condition: Condition, speaker_ids: Sequence[str]
    ) -> None:
        assert condition.profile is not None
        self.renderer, self.torch, self.clips = renderer, renderer.torch, clips
        self.condition, self.profile, self.speaker_ids = condition, condition.profile, speaker_ids
        self.rate = clips[0].sample_rate_hz
        table = np.zeros((len(clips), max(clip.samples.size for clip in clips)))
        for row, clip in enumerate(clips):
            table[row, : clip.samples.size] = clip.samples
        self.samples = self.torch.as_tensor(table, device=renderer.device)
        self.lengths = self.torch.as_tensor([clip.samples.size for clip in clips], device=renderer.device)
        self.valid = valid_mask(self.torch, self.lengths, table.shape[1])
        self.speech = self.samples
        self.level = renderer.level(self.samples, self.lengths, self.rate)
        self.recorded = self.level
        self.linear_since_noise = True
        self.ratios_db: list[list[float]] = [[] for _ in clips]
        self.rooms: list[tuple[Step, Sequence[Any], Sequence[Callable[..., np.random.Generator]]]] = []
        self.achieved: list[Achieved] = [{} for _ in clips]

    def run(self, step: Step) -> None:
        seeds = [
            partial(generator, self.renderer.seed, self.profile.name, c.utterance_id, step.label) for c in self.clips
        ]
        params = [draw(step.params, seed, "draw") for seed in seeds]
        if step.effect == "noise":
            self._add_noise(step, params, seeds)
            return
        apply, achieved = self._prepare(step, params, seeds)
        alone = self.speech is self.samples
        heard = apply(self.samples) * self.valid
        speech = heard if alone else apply(self.speech) * self.valid
        after = self.renderer.level(speech, self.lengths, self.rate)
        traits = effect_of(step.effect).traits
        if not alone:
            self.linear_since_noise = self.linear_since_noise and traits.linear
        restore = step.params.restore_level if step.params.restore_level is not None else traits.level == "restored"
        change = self.level.level_dbfs - after.level_dbfs
        if restore:
            gain = (10 ** (self.torch.nan_to_num(change, nan=0.0) / 20))[:, None]
            speech = speech * gain
            heard = speech if alone else heard * gain
            after = self.renderer.level(speech, self.lengths, self.rate)
        for row, value in enumerate(change.tolist()):
            if math.isfinite(value) and restore:
                achieved[row]["restoring_gain_db"] = value
            elif math.isfinite(value) and traits.level != "keeps":
                achieved[row]["level_change_db"] = -value
        self.samples, self.speech, self.level = heard, speech, after
        self.rooms.append((step, params, seeds))
        self._record(step.label, achieved)

    def _record(self, label: str, achieved: Sequence[Achieved]) -> None:
        for mine, found in zip(self.achieved, achieved, strict=True):
            mine.update({f"{label}.{key}": value for key, value in found.items()})

    def _prepare(
        self, step: Step, params: Sequence[Any], seeds: Sequence[Callable[..., np.random.Generator]]
    ) -> tuple[Callable[[Any], Any], list[Achieved]]:
        """Return what the effect does to a tensor (clips, samples), and what it achieves for every clip."""
        if step.effect == "gain":
            levels = self.level.level_dbfs.tolist()
            gains = [
                number(p.gain_db)
                if p.gain_db is not None
                else (0.0 if math.isnan(level) else number(p.level_dbfs) - level)
                for p, level in zip(params, levels, strict=True)
            ]
            factors = self.torch.as_tensor([amplitude(g) for g in gains], device=self.renderer.device)[:, None]
            return (lambda x: x * factors), [{"gain_db": g} for g in gains]
        if step.effect == "codec":
            names = [text(p.codec) for p in params]
            rates = [8000 if p.sample_rate_hz is None else int(number(p.sample_rate_hz)) for p in params]
            found: list[Achieved] = [{"codec": n, "codec_rate_hz": float(r)} for n, r in zip(names, rates, strict=True)]
            return partial(self._compand, names=names, rates=rates, found=found), found
        kernels, starts, achieved = [], [], []
        for p, seed in zip(params, seeds, strict=True):
            kernel, start, facts = self._kernel(step, p, seed)
            kernels.append(kernel)
            starts.append(start)
            achieved.append(facts)
        return partial(self.renderer.convolve, kernels=kernels, starts=starts), achieved

    def _kernel(
        self, step: Step, params: Any, seed: Callable[..., np.random.Generator]
    ) -> tuple[Samples, int, Achieved]:
        """Return a linear effect's impulse response, the index of its direct path, and what it achieves."""
        if step.effect == "room":
            return drawn_response(params, self.rate, seed("effect"))
        if step.effect == "impulse_response":
            path = self.profile.path.parent / text(params.file)
            digest = dict(step.inspection.facts.get("files", {})).get(str(path)) or file_hash(path)
            drr_db = None if params.drr_db is None else number(params.drr_db)
            channel = round(number(params.channel))
            response, direct, facts = prepared_response(str(path), digest, channel, self.rate, drr_db)
            return (
                response,
                direct,
                {"file": path.name, "file_sha256": digest, "channel": float(channel), **dict(facts)},
            )
        if step.effect == "distance":
            taps, achieved = distance_taps(params, self.rate)
            return taps, taps.size // 2, achieved
        low, high = number(params.low_hz), number(params.high_hz)
        band = band_taps(low, high, number(params.transition_hz), self.rate)
        taps = np.ones(1) if band is None else band
        return taps, taps.size // 2, {"low_hz": low, "high_hz": min(high, self.rate / 2)}

    def _compand(self, samples: Any, *, names: Sequence[str], rates: Sequence[int], found: Sequence[Achieved]) -> Any:
        result = samples.clone()
        for name, rate in sorted(set(zip(names, rates, strict=True))):
            rows = [i for i, pair in enumerate(zip(names, rates, strict=True)) if pair == (name, rate)]
            part = samples[rows]
            scale = part.abs().amax(dim=1, keepdim=True).clamp_min(1.0)
            narrow, lengths = part / scale, [self.clips[i].samples.size for i in rows]
            if rate != self.rate:
                narrow, lengths = self.renderer.resample(narrow, lengths, self.rate, rate)
            steps = COMPANDED[name]
            both, header = companding(name)
            for row, length in zip(rows, lengths, strict=True):
                seconds = self.clips[row].samples.size / self.rate
                found[row]["bitrate_kbps"] = (length + header) * 8 / 1000 / seconds
            table = self.torch.as_tensor(both[both.size // 2 :], device=samples.device)
            coded = table[self.torch.round(narrow.abs().clamp_max(1.0) * steps).long().clamp_max(len(table) - 1)]
            # A-law has no zero: what rounds to nothing keeps its sign.
            coded = self.torch.where(narrow < 0, -coded, coded)
            wide = coded if rate == self.rate else self.renderer.resample(coded, lengths, rate, self.rate)[0]
            size = min(wide.shape[1], samples.shape[1])
            result[rows, :size] = (wide * scale)[:, :size]
        return result

    def _add_noise(
        self, step: Step, params: Sequence[Any], seeds: Sequence[Callable[..., np.random.Generator]]
    ) -> None:
        torch, mask = self.torch, self.level.mask
        table = np.zeros(tuple(self.samples.shape))
        masks = mask.cpu().numpy()
        levels = self.level.level_dbfs.tolist()
        achieved: list[Achieved] = []
        speech = self.speech.cpu().numpy()
        for row, (clip, p) in enumerate(zip(self.clips, params, strict=True)):
            size = clip.samples.size
            alone, active = np.ascontiguousarray(speech[row, :size]), masks[row, :size]
            level = None if math.isnan(levels[row]) else _given(levels[row], active)
            context = EffectContext(
                utterance_id=clip.utterance_id,
                speaker_id=self.speaker_ids[row],
                folder=self.profile.path.parent,
                speech=alone,
                level=level,
                corpus=self.renderer._corpus,  # noqa: SLF001 -- the batch is the renderer's own
                facts=step.inspection.facts,
                generator=seeds[row],
                own_snr_db=partial(self._own_snr_db, row),
                elsewhere=partial(self._elsewhere, row),
            )
            floor = least_power(p)
            for attempt in range(ATTEMPTS):
                noise, found = mix_layers(size, self.rate, p, context, attempt)
                if (mean_power(noise) if level is None else level.power(noise)) >= floor:
                    break
            if attempt:
                found["redrawn"] = float(attempt)
            gain, facts = set_against(noise, self.rate, p, context)
            if gain > 0:
                found["exposed_fraction"] = exposure(noise, self.rate, level)
            table[row, :size] = noise * gain
            achieved.append({**found, **facts})
        noises = torch.as_tensor(table, device=self.renderer.device)
        self.samples = self.samples + noises
        for row, values in enumerate(achieved):
            if "snr_db" in values:
                self.ratios_db[row].append(float(values["snr_db"]))
        self._record(step.label, achieved)

    def _own_snr_db(self, row: int, weighted: bool) -> float | None:
        level = self.recorded.level_dbfs[row].item()
        if math.isnan(level):
            return None
        mask = self.recorded.mask[row, : self.clips[row].samples.size].cpu().numpy()
        return recording_snr_db(self.clips[row], _given(level, mask), weighted=weighted)

    def _elsewhere(self, row: int, sound: Samples, where: str) -> Samples:
        for step, params, seed in self.rooms:
            sound = effect_of(step.effect).elsewhere(
                sound, self.rate, params[row], seed[row]("elsewhere", where), self._nobody(step, row, seed[row])
            )
        return sound

    def _nobody(self, step: Step, row: int, seed: Callable[..., np.random.Generator]) -> EffectContext:
        return EffectContext(
            utterance_id=self.clips[row].utterance_id,
            speaker_id=self.speaker_ids[row],
            folder=self.profile.path.parent,
            speech=np.zeros(0),
            level=None,
            corpus=self.renderer._corpus,  # noqa: SLF001 -- the batch is the renderer's own
            facts=step.inspection.facts,
            generator=seed,
        )

    def finish(self) -> list[Rendered]:
        torch = self.torch
        peaks = self.samples.abs().amax(dim=1)
        headroom = (PEAK / peaks.clamp_min(1e-30)).clamp_max(1.0)
        noise = (((self.samples - self.speech) ** 2) * self.level.mask).sum(dim=1)
        facts = torch.stack([peaks, headroom, self.level.level_dbfs, self.level.mask.sum(dim=1), noise]).tolist()
        samples = (self.samples * headroom[:, None]).to(torch.float32).cpu().numpy()
        noisy = self.linear_since_noise and self.speech is not self.samples
        rendered = []
        for row, (clip, peak, turned, level, active, power) in enumerate(zip(self.clips, *facts, strict=True)):
            if not math.isfinite(peak):
                raise InputError(
                    f"an effect of the chain made samples of utterance {clip.utterance_id!r} that are not finite",
                    file=self.profile.path,
                    remedy="Check its parameters, and the recording with 'asrfair manifest validate'",
                )
            achieved, gain_db = self.achieved[row], 20 * math.log10(turned)
            if not math.isnan(level):
                achieved["active_level_dbfs"] = level + gain_db
                achieved["active_fraction"] = active / clip.samples.size
                if noisy and power > 0:
                    achieved["snr_end_db"] = level - decibels(power / active)
                    self.ratios_db[row] = [float(achieved["snr_end_db"])]
                own = self._own_snr_db(row, weighted=False)
                if own is not None:
                    achieved["effective_snr_db"] = together_db([own, *self.ratios_db[row]])
            achieved["headroom_gain_db"] = gain_db
            mine = np.ascontiguousarray(samples[row, : clip.samples.size])
            achieved["clipped_fraction"] = clipped_fraction(mine, peak * turned)
            rendered.append(
                Rendered(clip=replace(clip, samples=mine, condition=self.condition.name), achieved=achieved)
            )
        return rendered


def _given(level_dbfs: float, active: Any) -> ActiveLevel:
    """Return a level that was measured in a batch, with its mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8))).tolist()
    spans = tuple(zip(edges[::2], edges[1::2], strict=True))
    return ActiveLevel(level_dbfs=level_dbfs, size=active.size, find_spans=lambda: spans)
