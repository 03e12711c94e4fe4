"""Whisper's log-mel features, made where the model is: only the samples travel, and nothing comes back in between.

The feature extractor of transformers can use a device too, but brings its result back to the processor, and so waits
for everything that the device has been given. The arithmetic here is the same, step by step; when an engine starts, it
is tried out on the processor, and used only if it gives the extractor's features to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_NEEDED = ("mel_filters", "n_fft", "hop_length", "n_samples")


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """Log-mel features of a fixed window.

    Args:
        torch: The module.
        fft: Samples of a frame.
        hop: Samples from one frame to the next.
        size: Samples of the window.
        window: Hann window, shape (fft,), on the device.
        filters: Mel filters, shape (frequencies, mels), on the device.
    """

    torch: Any
    fft: int
    hop: int
    size: int
    window: Any
    filters: Any

    @classmethod
    def of(cls, torch: Any, extractor: Any, device: str) -> LogMel | None:
        """Return what makes an extractor's features on a device, or ``None`` if that extractor makes others."""
        if not all(hasattr(extractor, name) for name in _NEEDED) or extractor.n_samples % extractor.hop_length:
            return None
        found = cls._on(torch, extractor, "cpu")
        noise = np.random.default_rng(1).normal(0, 0.1, (2, extractor.n_samples // 2)).astype(np.float32)
        clips = [noise[0], noise[1, : extractor.n_samples // 3]]
        with torch.inference_mode():
            ours = found.features(found.prepare(clips))
            theirs = extractor(
                clips, sampling_rate=extractor.sampling_rate, return_tensors="pt", return_attention_mask=True
            )
        same = set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
        return cls._on(torch, extractor, device) if same else None

    @classmethod
    def _on(cls, torch: Any, extractor: Any, device: str) -> LogMel:
        return cls(
            torch=torch,
            fft=extractor.n_fft,
            hop=extractor.hop_length,
            size=extractor.n_samples,
            window=torch.hann_window(extractor.n_fft, device=device),
            filters=torch.from_numpy(extractor.mel_filters).to(device, torch.float32),
        )

    def prepare(self, arrays: Sequence[Any]) -> dict[str, Any]:
        """Return samples, shape (clips, longest), zeros after each end, and the mask of frames, (clips, frames)."""
        torch = self.torch
        lengths = torch.tensor([min(len(array), self.size) for array in arrays])
        samples = torch.zeros(len(arrays), int(lengths.max()))
        for row, array in zip(samples, arrays, strict=True):
            row[: min(len(array), self.size)] = torch.from_numpy(np.ascontiguousarray(array[: self.size], np.float32))
        starts = torch.arange(0, self.size, self.hop)
        return {"samples": samples, "attention_mask": (starts[None] < lengths[:, None]).to(torch.int32)}

    def features(self, inputs: Any) -> dict[str, Any]:
        """Return ``input_features``, shape (clips, mels, frames), and the mask."""
        torch, samples = self.torch, inputs["samples"]
        samples = torch.nn.functional.pad(samples, (0, self.size - samples.shape[1]))
        spectra = torch.stft(samples, self.fft, self.hop, window=self.window, return_complex=True)
        power = (spectra[..., :-1].abs() ** 2).contiguous()
        logs = torch.clamp(self.filters.T @ power, min=1e-10).log10()
        logs = torch.maximum(logs, logs.amax(dim=(1, 2), keepdim=True) - 8.0)
        return {"input_features": (logs + 4.0) / 4.0, "attention_mask": inputs["attention_mask"]}
