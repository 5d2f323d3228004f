"""Events of made-up visitors: sessions of ten events, fifty at a time, half of known devices."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import functools
import itertools
import random
import time
import typing as t
import uuid as uuidlib

import msgspec

from flask_eventtrack.ids import uuid7
from flask_eventtrack.records import Client, Event, SessionRef, from_ns

from .wsgi import BROWSER

ACTION = "product.view"
PARAMS_BYTES = 300
_SESSION_EVENTS = 10
_AT_A_TIME = 50
_CLIENT = Client(
    user_agent=BROWSER["User-Agent"], language=BROWSER["Accept-Language"], address="198.51.100.0"
)
Row = tuple[t.Any, ...]


class Moment(t.NamedTuple):
    """Who did something, and when."""

    id: uuidlib.UUID
    time: dt.datetime
    device: uuidlib.UUID
    session: uuidlib.UUID
    started: dt.datetime
    is_first: bool


class Traffic:
    """Endless traffic, the same in every run but for its times."""

    def __init__(self) -> None:
        self._random = random.Random(20261121)
        self._devices: list[int] = []
        self._moments = self._go_on()

    def _go_on(self) -> cabc.Iterator[Moment]:
        while True:
            started = from_ns(time.time_ns())
            pairs = [(self._device(), self._uuid()) for _ in range(_AT_A_TIME)]
            for turn, (device, session) in itertools.product(range(_SESSION_EVENTS), pairs):
                now = time.time_ns()
                yield Moment(uuid7(now), from_ns(now), device, session, started, not turn)

    def _uuid(self) -> uuidlib.UUID:
        return uuidlib.UUID(int=self._random.getrandbits(128), version=4)

    def _device(self) -> uuidlib.UUID:
        if self._devices and self._random.random() < 0.5:
            return uuidlib.UUID(int=self._random.choice(self._devices))
        device = self._uuid()
        self._devices.append(device.int)
        return device

    def events(self, number: int, site: str) -> list[Event]:
        """Return events as the collector puts them on their way."""
        return [_event(moment, site) for moment in itertools.islice(self._moments, number)]

    def rows(self, number: int, columns: cabc.Sequence[str], sample: Row) -> list[Row]:
        """Return rows like one that a driver has read, of events to come."""
        at = {name: columns.index(name) for name in _VARYING}
        rows = []
        for moment in itertools.islice(self._moments, number):
            row = list(sample)
            for name, index in at.items():
                row[index] = _like(sample[index], getattr(moment, _VARYING[name]))
            rows.append(tuple(row))
        return rows


# The columns that differ from row to row, and what of a moment they hold.
_VARYING = {
    "id": "id",
    "time": "time",
    "received_at": "time",
    "stored_at": "time",
    "uuid": "device",
    "session_id": "session",
}


def _event(moment: Moment, site: str) -> Event:
    return Event(
        id=moment.id,
        action=ACTION,
        time=moment.time,
        received_at=moment.time,
        uuid=moment.device,
        params=_params(),
        label="Viewed A mug to drink from",
        source="browser",
        site=site,
        session=SessionRef(moment.session, moment.device, moment.started),
        client=_CLIENT if moment.is_first else None,
    )


def _params() -> dict[str, t.Any]:
    params = {
        "sku": "A1-4711",
        "name": "A mug to drink from",
        "price": 12.5,
        "url": "https://shop.example.com/products/a-mug-to-drink-from",
        "title": "A mug to drink from, in our shop",
        "text": "",
    }
    return {**params, "text": _filling(tuple(params.items()))}


@functools.cache
def _filling(params: tuple[tuple[str, t.Any], ...]) -> str:
    words = "words of a description that nobody reads to the end "
    return (words * 9)[: PARAMS_BYTES - len(msgspec.json.encode(dict(params)))]


def _like(sample: object, value: t.Any) -> object:
    """Return a UUID or a moment in the form in which a driver has returned another."""
    if isinstance(value, dt.datetime):
        naive = value.replace(tzinfo=None)
        if isinstance(sample, int):
            return int(value.timestamp() * 1e6)
        return str(naive) if isinstance(sample, str) else naive
    if isinstance(sample, bytes):
        return value.bytes
    if isinstance(sample, str):
        return str(value) if "-" in sample else value.hex
    return value
