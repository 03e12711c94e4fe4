"""The stages around a model: what overlaps, what belongs together, what happens when memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asrfair.recognise.engines.shapes import length_bucket, row_bucket

torch = pytest.importorskip("torch", reason="torch is not installed (make test-engines installs it)")

from asrfair.recognise.engines.pipeline import Pipeline  # noqa: E402 -- after the skip

pytestmark = pytest.mark.engines

PATIENCE_S = 60.0
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Sums:
    """Sums numbers; each stage can be held, and a call of more than ``room`` numbers does not fit."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.launched: list[int] = []
        self.gates = {name: threading.Event() for name in ("prepare", "launch", "read")}
        self.entered = {name: threading.Semaphore(0) for name in self.gates}
        for gate in self.gates.values():
            gate.set()

    def _pass(self, stage: str) -> None:
        self.entered[stage].release()
        assert self.gates[stage].wait(PATIENCE_S)

    def prepare(self, arrays: Sequence[float]) -> dict[str, Any]:
        self._pass("prepare")
        return {"numbers": torch.tensor([list(arrays), list(arrays)])}

    def launch(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self._pass("launch")
        self.launched.append(inputs["numbers"].shape[1])
        if inputs["numbers"].shape[1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return {"sums": inputs["numbers"].sum(0)}

    def read(self, outputs: Mapping[str, Any], arrays: Sequence[float]) -> list[float]:
        self._pass("read")
        assert "cpu" == outputs["sums"].device.type
        return outputs["sums"].tolist()


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every device that there is."""
    return request.param


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    """Three callers, as a run has them."""
    with ThreadPoolExecutor(3) as threads:
        yield threads


def test_answers_belong_to_their_arrays(device: str, callers: ThreadPoolExecutor) -> None:
    """Two hundred calls of different lengths from three threads: everybody gets what belongs to them, in order."""
    pipeline = Pipeline(Sums(), torch, device, size=4)
    asked = [[float(n * 100 + m) for m in range(n % 11)] for n in range(200)]
    answers = list(callers.map(pipeline.run, asked))
    pipeline.close()
    assert [[2 * number for number in numbers] for numbers in asked] == answers


def test_three_batches_are_under_way(device: str, callers: ThreadPoolExecutor) -> None:
    """While one batch is held in reading, the next is launched, and the one after that prepared."""
    sums = Sums()
    pipeline = Pipeline(sums, torch, device, size=4)
    sums.gates["read"].clear()
    first = callers.submit(pipeline.run, [1.0])
    assert sums.entered["read"].acquire(timeout=PATIENCE_S)
    sums.gates["launch"].clear()
    second = callers.submit(pipeline.run, [2.0])
    for _ in range(2):
        assert sums.entered["launch"].acquire(timeout=PATIENCE_S)
    third = callers.submit(pipeline.run, [3.0])
    for _ in range(3):
        assert sums.entered["prepare"].acquire(timeout=PATIENCE_S)
    assert not any(call.done() for call in (first, second, third))
    for gate in sums.gates.values():
        gate.set()
    assert [[2.0], [4.0], [6.0]] == [call.result(PATIENCE_S) for call in (first, second, third)]
    pipeline.close()


def test_what_does_not_fit_is_halved_and_counted(device: str) -> None:
    """Memory for two: a call of eight becomes four, in order; one that does not fit alone is an error."""
    sums = Sums(room=2)
    pipeline = Pipeline(sums, torch, device, size=8)
    assert [2.0 * n for n in range(8)] == pipeline.run([float(n) for n in range(8)])
    assert [8, 4, 2, 2, 4, 2, 2] == sums.launched
    assert 3 == pipeline.splits == pipeline.statistics()["out_of_memory_splits"]
    sums.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        pipeline.run([1.0])
    sums.room = 1
    assert [2.0] == pipeline.run([1.0])
    pipeline.close()


def test_an_error_stays_with_its_batch(device: str, callers: ThreadPoolExecutor) -> None:
    """A batch that a stage refuses raises for its caller; those around it are answered."""
    pipeline = Pipeline(Sums(), torch, device, size=4)
    calls = [callers.submit(pipeline.run, numbers) for numbers in ([1.0], ["no number"], [3.0])]
    assert [2.0] == calls[0].result(PATIENCE_S)
    with pytest.raises((TypeError, ValueError)):
        calls[1].result(PATIENCE_S)
    assert [6.0] == calls[2].result(PATIENCE_S)
    pipeline.close()


@pytest.mark.parametrize("samples", [1, 2, 5, 1600, 16_000, 16_001, 479_999, 480_000])
def test_a_bucket_adds_a_quarter_at_most(samples: int) -> None:
    """Lengths are rounded up to a few, and what is one of them stays."""
    found = length_bucket(samples)
    assert samples <= found <= 1.25 * samples + 1
    assert found == length_bucket(found)


def test_there_are_few_buckets() -> None:
    """Of half a million lengths and 48 sizes of batches."""
    assert 50 >= len({length_bucket(samples) for samples in range(1600, 480_001, 7)})
    assert {1, 2, 4, 8, 16, 32, 48} == {row_bucket(rows, 48) for rows in range(1, 49)}
