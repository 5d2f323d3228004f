"""Made-up events of a few people, stored as they are, and a shop that defines them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from flask_eventtrack import EventTrack

from ...conftest import MakeHost
from ...hosts import FakeClock, Host

#: The day on which the stories begin, and the moment at which reports are asked for.
DAY = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
NOW = DAY + dt.timedelta(days=2, hours=12)
SOURCES = ("google", "direct", None)


@dataclasses.dataclass
class Thing:
    sku: str | None = None
    size: int | None = None


class Viewed(Thing):
    pass


class Bought(Thing):
    pass


class Dropped(Thing):
    pass


@dataclasses.dataclass(frozen=True)
class Told:
    """An event of a story: how many minutes after the beginning of the day it happened, who did it
    (by a number), in which of their sessions (None for none), and what it was: an action, or a
    route."""

    minute: float
    who: int
    session: int | None
    what: str
    params: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    site: str = "localhost"
    source: str = "server"

    @property
    def is_page(self) -> bool:
        return self.what.startswith("/")


def open_shop(make: MakeHost, clock: FakeClock, **options: t.Any) -> Host:
    """Return a host whose shop defines things that are viewed, bought and dropped."""
    events = EventTrack(clock=clock)
    for action, kind in (("it.view", Viewed), ("it.buy", Bought), ("it.drop", Dropped)):
        events.define(action, anonymous=True)(dataclasses.dataclass(kind))
    clock.now = int(NOW.timestamp()) * 1_000_000_000
    permit = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: "manage"}
    return make({**permit, **options.pop("config", {})}, events=events, **options)


def person_of(who: int) -> uuidlib.UUID:
    return uuidlib.UUID(int=1000 + who)


def tell(host: Host, story: t.Iterable[Told]) -> None:
    """Store the events of a story and their sessions, instead of what there was.

    Each session has the source of :data:`SOURCES` with its number, and is in a profile of its own:
    only the session's row names its person.
    """
    tables, told = host.state.pipeline.database.tables, list(story)
    sessions: dict[tuple[int, int], list[Told]] = {}
    for each in told:
        if each.session is not None:
            sessions.setdefault((each.who, each.session), []).append(each)
    with host.state.pipeline.database.begin() as connection:
        for table in (tables.event, tables.session):
            connection.execute(sa.delete(table))
        if sessions:
            rows = [_session_row(who, number, s) for (who, number), s in sessions.items()]
            connection.execute(sa.insert(tables.session), rows)
        if told:
            connection.execute(sa.insert(tables.event), [_event_row(each) for each in told])


def _session_row(who: int, number: int, story: list[Told]) -> dict[str, t.Any]:
    times = [DAY + dt.timedelta(minutes=each.minute) for each in story]
    return {
        "id": session_id(who, number),
        "uuid": _profile(who, number),
        "person": person_of(who),
        "device_id": person_of(who),
        "started_at": min(times),
        "last_seen_at": max(times),
        "pages": sum(each.is_page for each in story),
        "events": len(story),
        "site": "localhost",
        "source": SOURCES[number % len(SOURCES)],
        "visible_ms": 0,
    }


def _event_row(told: Told) -> dict[str, t.Any]:
    at = DAY + dt.timedelta(minutes=told.minute)
    has_session = told.session is not None
    return {
        "id": uuidlib.uuid4(),
        "action": "page.visit" if told.is_page else told.what,
        "time": at,
        "received_at": at,
        "stored_at": at,
        "uuid": _profile(told.who, t.cast("int", told.session))
        if has_session
        else person_of(told.who),
        "session_id": session_id(told.who, t.cast("int", told.session)) if has_session else None,
        "site": told.site,
        "url_rule": told.what if told.is_page else "",
        "source": told.source,
        "params": told.params,
    }


def session_id(who: int, number: int) -> uuidlib.UUID:
    return uuidlib.UUID(int=10_000 + 100 * who + number)


def _profile(who: int, number: int) -> uuidlib.UUID:
    return uuidlib.UUID(int=20_000 + 100 * who + number)
