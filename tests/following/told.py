"""Hosts whose functions note what they were called with."""

from __future__ import annotations

import typing as t

from flask_eventtrack import EventTrack, StoredEvent, track
from flask_eventtrack.pipeline.following import Follower

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from ..store.copies import LOG

ON = {**PATIENT, **LOG}


class Told(list[StoredEvent]):
    """A function on events that keeps them, and fails as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_for: set[t.Any] = set()
        self.calls = 0

    def __call__(self, event: StoredEvent) -> None:
        self.calls += 1
        if event.params.get("number") in self.fails_for:
            raise RuntimeError(f"cannot send {event.params['number']} to ada@example.com")
        self.append(event)

    @property
    def numbers(self) -> list[t.Any]:
        return [event.params.get("number") for event in self]


def open_shop(make: MakeHost, config: dict[str, t.Any] | None = None, **options: t.Any) -> Host:
    """Return a host with the log, and with two definitions."""
    host = make({**ON, **(config or {})}, **options)
    for action in ("order.ship", "other.thing"):
        host.events.define(action, anonymous=True)
    return host


def ship(host: Host, *numbers: int, customer: str = "7", action: str = "order.ship") -> None:
    """Record an event for each number."""
    with host.app.app_context():
        for number in numbers:
            host.clock.advance(milliseconds=1)  # by which they are in order
            track(action, customer=customer, params={"number": number})


def follower_of(host: Host) -> Follower:
    """Return what runs the functions of a host in this process."""
    found = host.state.pipeline._find_follower()
    assert found is not None
    return found


def row_of(host: Host, name: str = "told") -> dict[str, t.Any]:
    [row] = [row for row in read(host) if row["name"] == name]
    return row


def read(host: Host) -> list[dict[str, t.Any]]:
    database = host.state.pipeline.database
    table = database.tables.follower
    assert table is not None
    with database.read() as connection:
        return [dict(row) for row in connection.execute(table.select()).mappings()]


__all__ = ["EventTrack", "Told", "follower_of", "open_shop", "read", "row_of", "ship"]
