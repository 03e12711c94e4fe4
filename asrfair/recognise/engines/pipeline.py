"""A batch's way through a model on a device, in stages that work on several batches at once, so that none waits.

The walk of a batch, and which thread takes each step:

1. *prepare* (first thread): the engine makes arrays into tensors on the processor, cut into calls of the model.
2. *copy* (first thread): from pinned memory, on a stream of its own, while the batch before is still computed. An event
   says when the copy is through; nobody waits for it but the computing stream.
3. *launch* (second thread): features that the device makes, the model, the best labels. With a model that needs no word
   from the processor in between (CTC) this only fills the device's queue.
4. *fetch* (second thread): the copy of the labels back into pinned memory is put on a third stream, behind the model.
   The thread goes on to the next launch at once.
5. *read* (third thread): waits for that copy's event, then makes labels into texts.

:meth:`Pipeline.run` may be called from several threads, and it takes three of them to fill the stages
(``torch_device.BATCHES_AT_ONCE``). What belongs to one call stays together, and an answer depends on its own batch
alone. On a processor the stages and threads are the same; copies and events are nothing there.

A call of the model that lacks memory is halved and tried again; ``splits`` counts the halvings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from asrfair.recognise.engines import torch_device

Answer = TypeVar("Answer")
Tensors = Mapping[str, Any]


class Stages(Protocol[Answer]):
    """What an engine does in the stages."""

    def prepare(self, arrays: Sequence[Any]) -> Tensors:
        """Return the tensors of one call of the model, on the processor."""
        ...

    def launch(self, inputs: Tensors) -> Tensors:
        """Run the model on tensors that are on the device; return what is to be read, there."""
        ...

    def read(self, outputs: Tensors, arrays: Sequence[Any]) -> list[Answer]:
        """Return one answer an array; the tensors are on the processor again."""
        ...


@dataclass(kw_only=True, slots=True)
class _Call:
    """One call of the model on its way: its arrays, its tensors wherever they are, the event to wait for."""

    arrays: Sequence[Any]
    tensors: Tensors = field(default_factory=dict)
    on_device: bool = False
    event: Any = None
    began: Any = None
    ended: Any = None


class Pipeline(Generic[Answer]):
    """Three threads and three streams around an engine's stages.

    Args:
        stages: What the engine does.
        torch: The module.
        device: As torch names it.
        size: Most arrays in one call of the model.
    """

    def __init__(self, stages: Stages[Answer], torch: Any, device: str, *, size: int) -> None:
        self._stages = stages
        self._torch = torch
        self._streams = _CudaStreams(torch, device) if device.startswith("cuda") else _NoStreams(device)
        self._size = size
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=name, initializer=self._streams.enter_thread)
            for name in ("prepare", "launch", "read")
        ]
        self._order = threading.Lock()
        self.splits = 0
        self.seconds = {"prepare_s": 0.0, "starved_s": 0.0, "launch_s": 0.0, "device_s": 0.0, "read_s": 0.0}

    def run(self, arrays: Sequence[Any]) -> list[Answer]:
        """Return one answer an array, in order.

        Raises:
            Exception: What a stage raised; a lack of memory only if a single array does not fit.
        """
        preparing, launching, reading = self._threads
        with self._order:  # one order in all three, so that nobody is read behind somebody who is not yet computed
            prepared = preparing.submit(self._prepare, arrays)
            launched = launching.submit(lambda: self._launch(self._awaited(prepared)))
            answers = reading.submit(lambda: self._read(launched.result()))
        return answers.result()

    def statistics(self) -> dict[str, float]:
        """Return the halvings, and seconds by stage: ``starved_s`` is the launching thread's wait for a batch."""
        return {"out_of_memory_splits": float(self.splits), **self.seconds}

    def close(self) -> None:
        """End the threads; what they hold of the device is given back."""
        for threads in self._threads:
            threads.shutdown()

    def _awaited(self, prepared: Any) -> list[_Call]:
        start = time.perf_counter()
        calls: list[_Call] = prepared.result()
        self.seconds["starved_s"] += time.perf_counter() - start
        return calls

    def _prepare(self, arrays: Sequence[Any]) -> list[_Call]:
        start = time.perf_counter()
        with self._torch.inference_mode():
            calls = [self._ready(arrays[n : n + self._size]) for n in range(0, len(arrays), self._size)]
        self.seconds["prepare_s"] += time.perf_counter() - start
        return calls

    def _ready(self, arrays: Sequence[Any]) -> _Call:
        call = _Call(arrays=arrays, tensors=self._stages.prepare(arrays))
        try:
            self._copy(call)
        except Exception as error:
            if not torch_device.is_out_of_memory(error):
                raise
        return call  # without memory for it now: copied when it is its turn

    def _copy(self, call: _Call) -> None:
        call.tensors, call.event = self._streams.to_device(call.tensors)
        call.on_device = True

    def _launch(self, calls: list[_Call]) -> list[_Call]:
        start = time.perf_counter()
        with self._torch.inference_mode():
            launched = [part for call in calls for part in self._launched(call)]
        self.seconds["launch_s"] += time.perf_counter() - start
        return launched

    def _launched(self, call: _Call) -> list[_Call]:
        try:
            return [self._computed(call)]
        except Exception as error:
            if len(call.arrays) < 2 or not torch_device.is_out_of_memory(error):
                raise
        # Outside of the handler: the traceback would keep the failed batch's tensors alive.
        call.tensors = {}
        torch_device.release(self._torch)
        self.splits += 1
        middle = len(call.arrays) // 2
        halves = call.arrays[:middle], call.arrays[middle:]
        return [part for half in halves for part in self._launched(self._ready(half))]

    def _computed(self, call: _Call) -> _Call:
        if not call.on_device:
            self._copy(call)
        began = self._streams.computing(call.tensors, call.event)
        outputs = self._stages.launch(call.tensors)
        call.tensors = {}  # the stream remembers how long it needs them
        ended = self._streams.mark()
        fetched, event = self._streams.to_processor(outputs, ended)
        return _Call(arrays=call.arrays, tensors=fetched, event=event, began=began, ended=ended)

    def _read(self, calls: list[_Call]) -> list[Answer]:
        answers: list[Answer] = []
        for call in calls:
            self._streams.wait(call.event)
            start = time.perf_counter()
            self.seconds["device_s"] += self._streams.between(call.began, call.ended)
            with self._torch.inference_mode():
                answers += self._stages.read(call.tensors, call.arrays)
            self.seconds["read_s"] += time.perf_counter() - start
        return answers


class _NoStreams:
    """A processor, or a device without streams of its own: everything happens in order, events are times."""

    def __init__(self, device: str) -> None:
        self._device = device

    def enter_thread(self) -> None:
        """Nothing to do."""

    def to_device(self, tensors: Tensors) -> tuple[Tensors, Any]:
        return {name: value.to(self._device) for name, value in tensors.items()}, None

    def computing(self, tensors: Tensors, event: Any) -> float:  # noqa: ARG002 -- there is nothing to wait for
        return self.mark()

    def mark(self) -> float:
        return time.perf_counter()

    def to_processor(self, tensors: Tensors, ended: Any) -> tuple[Tensors, Any]:  # noqa: ARG002 -- likewise
        return {name: value.cpu() for name, value in tensors.items()}, None

    def wait(self, event: Any) -> None:
        """Nothing to wait for."""

    def between(self, began: float, ended: float) -> float:
        return ended - began


class _CudaStreams:
    """Copies on streams of their own; the computing stream is the device's current one, where graphs expect it."""

    def __init__(self, torch: Any, device: str) -> None:
        self._torch, self._device = torch, torch.device(device)
        self._in, self._out = torch.cuda.Stream(self._device), torch.cuda.Stream(self._device)

    def enter_thread(self) -> None:
        self._torch.cuda.set_device(self._device)  # each thread has a current device of its own

    def to_device(self, tensors: Tensors) -> tuple[Tensors, Any]:
        with self._torch.cuda.stream(self._in):
            # Only from pinned memory does a copy not block. The allocator keeps that memory until the copy is through.
            moved = {
                name: (value.pin_memory() if value.device.type == "cpu" else value).to(self._device, non_blocking=True)
                for name, value in tensors.items()
            }
            event = self._torch.cuda.Event()
            event.record(self._in)
        return moved, event

    def computing(self, tensors: Tensors, event: Any) -> Any:
        stream = self._torch.cuda.current_stream(self._device)
        stream.wait_event(event)
        for value in tensors.values():
            value.record_stream(stream)  # made on another stream: not to be reused before this one is done with it
        return self.mark()

    def mark(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self._torch.cuda.current_stream(self._device))
        return event

    def to_processor(self, tensors: Tensors, ended: Any) -> tuple[Tensors, Any]:
        self._out.wait_event(ended)
        with self._torch.cuda.stream(self._out):
            fetched = {}
            for name, value in tensors.items():
                fetched[name] = self._torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
                fetched[name].copy_(value, non_blocking=True)
                value.record_stream(self._out)
            event = self._torch.cuda.Event()
            event.record(self._out)
        return fetched, event

    def wait(self, event: Any) -> None:
        event.synchronize()

    def between(self, began: Any, ended: Any) -> float:
        return float(began.elapsed_time(ended)) / 1000
