import errno
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from koshi_flux.errors import OutputError
from koshi_flux.output.sinks import open_sink
from koshi_flux.output.writer import Writer


class Gate:
    """Writes wait here until it is opened."""

    def __init__(self):
        self.opened, self.written = threading.Event(), []

    def write(self, item: int) -> None:
        assert self.opened.wait(10)
        self.written.append(item)


def fails_at(bad: int, error: BaseException, written: list[int]) -> Callable[[int], None]:
    def write(item: int) -> None:
        if item == bad:
            raise error
        written.append(item)

    return write


def put_many(writer: Writer[int], count: int = 1000, then: BaseException | None = None) -> None:
    for item in range(count):
        writer.put(item)
    if then is not None:
        raise then


def test_items_are_written_in_order_on_one_other_thread():
    written, threads = [], set()
    with Writer(lambda item: (written.append(item), threads.add(threading.get_ident()))[0]) as writer:
        for item in range(100):
            writer.put(item)
    assert written == list(range(100))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_put_waits_while_bound_items_are_unwritten():
    gate, accepted = Gate(), []
    writer = Writer(gate.write, bound=3)

    def produce() -> None:
        for item in range(10):
            writer.put(item)
            accepted.append(item)

    producer = threading.Thread(target=produce)
    producer.start()
    producer.join(0.2)
    assert accepted == [0, 1, 2]
    gate.opened.set()
    producer.join(10)
    writer.close()
    assert gate.written == list(range(10))


def test_written_items_are_let_go():
    class Item:
        pass

    with Writer(lambda item: None, bound=2) as writer:
        alive = []
        for _ in range(20):
            item = Item()
            alive.append(weakref.ref(item))
            writer.put(item)
        del item
        gc.collect()
        assert sum(reference() is not None for reference in alive) <= 2


def test_an_error_comes_out_of_a_later_put_as_it_was_and_nothing_after_it_is_written():
    written, error = [], ZeroDivisionError("seven")
    writer = Writer(fails_at(7, error, written))
    with pytest.raises(ZeroDivisionError) as caught:
        put_many(writer)
    assert caught.value is error
    with pytest.raises(ZeroDivisionError):
        writer.close()
    assert written == list(range(7))


def test_an_error_in_the_last_item_comes_out_of_close():
    writer = Writer(fails_at(1, ZeroDivisionError(), []))
    writer.put(0)
    writer.put(1)
    with pytest.raises(ZeroDivisionError):
        writer.close()


def test_an_error_comes_out_of_the_with_block():
    with pytest.raises(ZeroDivisionError) as caught, Writer(fails_at(3, ZeroDivisionError(), [])) as writer:
        put_many(writer)
    assert not hasattr(caught.value, "__notes__")


def test_putting_on_after_an_error_never_hangs():
    writer, raised = Writer(fails_at(0, ZeroDivisionError(), []), bound=1), []

    def produce() -> None:
        for item in range(50):
            try:
                writer.put(item)
            except ZeroDivisionError:
                raised.append(item)

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    producer.join(10)
    assert not producer.is_alive()
    assert raised == list(range(1, 50))


def test_a_full_disk_becomes_an_output_error():
    writer = Writer(fails_at(0, OSError(errno.ENOSPC, "No space left on device"), []))
    writer.put(0)
    with pytest.raises(OutputError, match=r"the disk is full.*resume"):
        writer.close()


def test_what_was_handed_over_is_written_when_the_renderer_fails():
    gate = Gate()
    threading.Timer(0.05, gate.opened.set).start()
    with pytest.raises(KeyboardInterrupt), Writer(gate.write) as writer:
        put_many(writer, 3, KeyboardInterrupt())
    assert gate.written == [0, 1, 2]


def test_two_errors_are_both_told():
    with pytest.raises(KeyboardInterrupt) as caught, Writer(fails_at(0, ZeroDivisionError("zero"), [])) as writer:
        put_many(writer, 1, KeyboardInterrupt())
    assert caught.value.__notes__ == ["Besides, writing failed: zero"]


def test_an_interrupted_film_keeps_every_frame_that_was_put(tmp_path: Path, noise: Callable[..., np.ndarray]):
    def render() -> None:
        with (
            open_sink(tmp_path / "film.mp4", size=(64, 48)) as film,
            open_sink(tmp_path / "frames", size=(64, 48)) as frames,
            Writer(lambda frame: (frames.write(*frame), film.write(*frame))[0]) as writer,
        ):
            for index in range(6):
                writer.put((index, noise(index)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render()
    assert len(list((tmp_path / "frames").iterdir())) == 6
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6
