"""What the torch engines share: which device, which number format, how to tell a lack of memory, one-time settings."""

from __future__ import annotations

import gc
from typing import Any, Literal

from asrfair.errors import EngineError, MissingExtraError
from asrfair.recognise.engines.base import EngineTraits

Precision = Literal["auto", "fp32", "fp16", "bf16"]


def import_torch(extra: str, engine: str) -> Any:
    """Import torch, or name the pip command.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(extra=extra, package="torch", needed_for=f"the engine {engine!r}") from error
    return torch


def devices(asked: str | list[str]) -> tuple[str, ...]:
    """Return the devices to use, one engine process each: ``auto`` is every CUDA device, or else the processor.

    Asking the driver happens here without creating a CUDA context in the run's own process.
    """
    if isinstance(asked, list):
        return tuple(asked) or ("cpu",)
    if asked != "auto":
        return (asked,)
    try:
        import torch
    except ImportError:
        return ("cpu",)
    count = torch.cuda.device_count()
    return tuple(f"cuda:{index}" for index in range(count)) or ("cpu",)


LIBRARIES_BYTES = 700 * 2**20
"""What a process of torch and a model library holds before it has loaded any weights."""


BATCHES_AT_ONCE = 3
"""Batches that an engine on a device is given at once: one is prepared, one computed, one read (``pipeline``)."""


def traits(
    asked: str | list[str], *, max_batch: int | None, max_padded_s: float | None, threads: int, weights_bytes: int
) -> EngineTraits:
    """Return the traits of an engine that takes batches: one process a device, or several on the processor.

    On the processor every worker has a model of its own and decodes, renders and recognises by itself, with a fixed
    number of threads: that keeps all cores at work on audio, and the transcripts do not depend on how many there are.

    Args:
        asked: The option ``device``.
        max_batch: Most clips a call; by default 32 on CUDA and 1 on the processor, where batches gain little.
        max_padded_s: Budget of a batch in seconds, padding included.
        threads: Processor threads of each worker, on the processor.
        weights_bytes: Size of the model's weights.
    """
    names = devices(asked)
    on_processor = names == ("cpu",)
    return EngineTraits(
        parallel="processes" if on_processor else "device",
        devices=names,
        max_batch=max_batch or (32 if names[0].startswith("cuda") else 1),
        max_padded_s=max_padded_s,
        threads=threads if on_processor else 1,
        memory_bytes=LIBRARIES_BYTES + weights_bytes if on_processor else 0,
        concurrency=1 if on_processor else BATCHES_AT_ONCE,
    )


def dtype_of(torch: Any, precision: Precision, device: str) -> Any:
    """Return the torch dtype: ``auto`` is bf16 on a CUDA device that has it, fp16 on an older one, fp32 elsewhere."""
    if precision == "auto":
        if not device.startswith("cuda"):
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def prepare(torch: Any, device: str, threads: int) -> None:
    """Make the device usable and arithmetic repeatable: fixed algorithms, no reduced-precision matrix products.

    Raises:
        EngineError: The device is not there.
    """
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise EngineError(f"there is no CUDA device for {device!r}", remedy="`asrfair doctor` shows what is there")
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    else:
        torch.set_num_threads(max(threads, 1))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a lack of device memory from other errors, without importing torch."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def release(torch: Any) -> None:
    """Give unused device memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
