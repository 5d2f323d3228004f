"""Event loops of asyncio in tests."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import concurrent.futures
import typing as t

_R = t.TypeVar("_R")


def run_alone(main: cabc.Callable[[], cabc.Coroutine[t.Any, t.Any, _R]]) -> _R:
    """Run a coroutine in a thread of its own: Playwright's loop stays in that of the tests."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(main())).result()
