"""The queue in memory, into which requests put while the writer takes."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc

from flask_eventtrack.pipeline.queue import MemoryQueue


@contextlib.contextmanager
def at_any_allocation(call: cabc.Callable[[], object]) -> cabc.Iterator[None]:
    """Call as another thread may: the garbage collector, which may be due at any allocation, runs
    finalizers, between which threads change."""

    def collect(phase: str, info: object) -> None:
        call()

    thresholds = gc.get_threshold()
    gc.callbacks.append(collect)
    gc.set_threshold(1, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(collect)


def test_what_is_put_while_the_writer_takes_waits_for_the_next_time() -> None:
    queue, payloads = MemoryQueue(10_000), [b"first", b"second"]
    queue.put(payloads)
    with at_any_allocation(lambda: queue.put([b"later"])):
        claimed = queue.claim(2)
        queue.peek()
    assert claimed is not None
    assert claimed.payloads == payloads
