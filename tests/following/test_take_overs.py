"""What is handed over when one process leaves a function to another, and what ends none."""

from __future__ import annotations

import threading
import typing as t

import pytest

from flask_eventtrack import StoredEvent, errors
from flask_eventtrack.pipeline import following

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import wait_until
from ..store.people import forget
from .test_functions import LIVE, started
from .told import Told, open_shop, read, row_of, ship


def open_live(make: MakeHost, call: t.Any, **options: t.Any) -> Host:
    """Return a host whose threads have made the function's position."""
    host = open_shop(make, LIVE)
    host.events.on("order.*", call, name="told", **options)
    host.client().get("/")
    wait_until(lambda: len(read(host)) == 1)
    return host


def take_over(host: Host, number: int) -> None:
    """End the threads as a worker does that ends in order, and go on in another one."""
    host.state.pipeline._stop_follower(5)
    host.clock.advance(minutes=6)
    ship(host, number)
    host.state.pipeline._start_follower()


def test_a_process_that_ends_hands_over_what_was_told_of_a_transaction(make: MakeHost) -> None:
    """All events of the transaction come, each once, however few a process has told."""
    calls: list[int] = []
    host: Host | None = None

    def stop_at_times(event: StoredEvent) -> None:
        calls.append(event.params["number"])
        if len(calls) in {3, 6} and host is not None:
            host.state.pipeline._follower._stops.set()  # type: ignore[union-attr]

    host = open_live(make, stop_at_times)
    with host.state.pipeline.write_alone():
        ship(host, *range(8))
    wait_until(lambda: len(calls) == 3)
    take_over(host, 100)
    wait_until(lambda: len(calls) == 6, 30)
    take_over(host, 101)
    wait_until(lambda: len(calls) == 10, 30)
    assert calls == [*range(8), 100, 101]


def test_tries_are_counted_over_take_overs(make: MakeHost) -> None:
    """Also where other events of the transaction go well."""
    calls: list[int] = []

    def fail_for_two(event: StoredEvent) -> None:
        calls.append(event.params["number"])
        if event.params["number"] == 2:
            raise RuntimeError("always")

    host = open_live(make, fail_for_two, tries=3)
    with host.state.pipeline.write_alone():
        ship(host, 1, 2)
    for tries in (1, 2):
        wait_until(lambda tries=tries: row_of(host)["tries"] == tries, 30)  # type: ignore[misc]
        take_over(host, 10 * tries)
    wait_until(lambda: calls[-2:] == [10, 20], 30)
    assert calls == [1, 2, 2, 2, 10, 20]
    assert row_of(host)["given_up"] == 1


def test_what_is_no_exception_ends_no_function(make: MakeHost) -> None:
    """``gevent.Timeout`` is none, nor is what ``sys.exit()`` raises."""

    def leave(event: StoredEvent) -> None:
        if event.params["number"]:
            raise SystemExit("leaves")

    host, other = open_shop(make, LIVE), Told()
    host.events.on("order.*", leave, name="leaving")
    host.events.on("order.*", other, name="other")
    started(host, other)
    ship(host, 1, 2)
    wait_until(lambda: other.numbers == [0, 1, 2])
    wait_until(lambda: row_of(host, "leaving")["tries"] == 1)
    assert row_of(host, "leaving")["error"] == "SystemExit: leaves"


def test_a_clock_that_is_put_back_makes_no_function_wait(make: MakeHost) -> None:
    told = Told()
    host = open_live(make, told)
    told.fails_for = {1}
    host.clock.advance(days=365)
    ship(host, 1)
    wait_until(lambda: row_of(host)["tries"] == 1)
    told.fails_for = set()
    host.clock.advance(days=-365)
    wait_until(lambda: told.numbers == [1])


def test_an_erasure_removes_what_functions_have_failed_with(
    make: MakeHost, database_url: str
) -> None:
    """The text may name anybody."""

    def fail(event: StoredEvent) -> None:
        raise RuntimeError("no address of Ada Lovelace")

    host = open_shop(make, url=database_url)
    host.events.on("order.*", fail, name="told", tries=1)
    ship(host, 1, customer="ada-7")
    with pytest.raises(RuntimeError):
        host.flush()
    assert row_of(host)["error"]
    forget(host, "ada-7")
    assert row_of(host)["error"] is None


def test_a_function_that_does_not_return_is_named(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "_LONG", 0)
    monkeypatch.setattr(following, "LEASE", following.LEASE / 10)
    message = "The function told has not returned from the event"

    is_over = threading.Event()

    def hang(event: StoredEvent) -> None:
        is_over.wait(30)

    host = open_live(make, hang)
    ship(host, 1)
    try:
        wait_until(lambda: message in caplog.text, 30)
    finally:
        is_over.set()


def test_an_async_function_is_refused(make: MakeHost) -> None:
    """It would return a coroutine, which nobody runs."""

    async def call(event: StoredEvent) -> None: ...

    class Call:
        async def __call__(self, event: StoredEvent) -> None: ...

    host = open_shop(make)
    for each in (call, Call()):
        with pytest.raises(errors.InvalidDefinition, match="is async"):
            host.events.on("order.*", each, name="told")
