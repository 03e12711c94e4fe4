"""When a batch does not fit the device's memory: halve it, try again, and count how often that was needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Backoff(Generic[Item, Result]):
    """Calls a function on a batch; on an out-of-memory error on its halves, down to single items.

    ``splits`` counts the halvings. Order and number of results are kept.

    Args:
        call: Turns a batch into one result an item.
        is_out_of_memory: Tells an out-of-memory error from any other.
        release: Gives unused memory back before the next try.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item]], list[Result]],
        *,
        is_out_of_memory: Callable[[BaseException], bool],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._call = call
        self._is_out_of_memory = is_out_of_memory
        self._release = release
        self.splits = 0

    def run(self, batch: Sequence[Item]) -> list[Result]:
        """Return one result an item.

        Raises:
            Exception: What ``call`` raised, if it was no lack of memory, or if a single item does not fit.
        """
        try:
            return self._call(batch)
        except Exception as error:
            if len(batch) < 2 or not self._is_out_of_memory(error):
                raise
        # Outside of the handler: the traceback would keep the failed batch's tensors alive.
        self._release()
        self.splits += 1
        middle = len(batch) // 2
        return self.run(batch[:middle]) + self.run(batch[middle:])
