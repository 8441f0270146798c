"""Writing behind the renderer's back: encoders and disks work while the next frame is drawn."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from koshi_flux.output.disk import explained

Item = TypeVar("Item")


class Writer(Generic[Item]):
    """Calls `write` with each item on one other thread, in order, while at most `bound` items wait.

    What `write` raises comes out of the next `put` or of `close`, as it was raised; nothing after it is written.

        with open_sink(path, size=size) as film, Writer(lambda frame: film.write(*frame)) as writer:
            writer.put((0, pixels))
    """

    def __init__(self, write: Callable[[Item], None], bound: int = 4):
        self._write, self._bound = write, bound
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="koshi-writer")
        self._waiting: deque[Future[None]] = deque()
        self._last: Future[None] = Future()
        self._last.set_result(None)

    def put(self, item: Item) -> None:
        """Hand an item over; waits while `bound` of them are unwritten, so that memory does not grow."""
        if self._last.done():
            self._last.result()
        while len(self._waiting) >= self._bound:
            self._waiting.popleft().result()
        self._last = self._thread.submit(self._write_after, self._last, item)
        self._waiting.append(self._last)

    def _write_after(self, previous: Future[None], item: Item) -> None:
        """Write one item, or fail as the one before it failed: a run must not have holes."""
        previous.result()
        with explained("the next frame"):
            self._write(item)

    def close(self) -> None:
        """Wait until all is written."""
        self._thread.shutdown()
        self._waiting.clear()
        self._last.result()

    def __enter__(self) -> "Writer[Item]":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Write what was handed over, also after an error; the error that came first is the one that is raised."""
        if error is None:
            return self.close()
        self._thread.shutdown()
        failure = self._last.exception()
        if failure is not None and failure is not error:
            error.add_note(f"Besides, writing failed: {failure}")
        return None
