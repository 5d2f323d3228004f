"""Records as a journal holds them, written at once, and what the tables then hold."""

from __future__ import annotations

import collections
import datetime as dt
import typing as t
import uuid as uuidlib

from flask_eventtrack.clients.facts import AgentParser, FactFinder
from flask_eventtrack.ids import uuid7
from flask_eventtrack.records import (
    Client,
    Event,
    Identified,
    Outcome,
    Record,
    SessionEnd,
    SessionRef,
    from_ns,
)
from flask_eventtrack.store.batch import Batch, Written, write_batch
from flask_eventtrack.store.sessions import Transaction

from ..hosts import CHROME, START, Host

DEVICE = uuidlib.UUID("11111111-1111-4111-8111-111111111111")
SITE = "localhost"
# A moment of no time zone, which no check lets through: what the store refuses everywhere.
NAIVE = dt.datetime(2026, 11, 21)  # noqa: DTZ001
HourKey = tuple[dt.datetime, str, str, str]

_facts = FactFinder(AgentParser("builtin"), None)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def an_id(seconds: float = 0) -> uuidlib.UUID:
    return uuid7(int(at(seconds).timestamp() * 1_000_000) * 1000)


def session_of(device: uuidlib.UUID, number: int = 1, start: float = 0) -> SessionRef:
    return SessionRef(uuidlib.uuid5(device, str(number)), device, at(start))


def an_event(
    action: str = "order.ship",
    seconds: float = 1,
    device: uuidlib.UUID = DEVICE,
    **fields: t.Any,
) -> Event:
    """Return an event of a device's first session, ``seconds`` after START."""
    given: dict[str, t.Any] = {
        "id": an_id(seconds),
        "action": action,
        "time": at(seconds),
        "received_at": at(seconds),
        "uuid": device,
        "params": {},
        "site": SITE,
        "session": session_of(device),
    }
    return Event(**given | fields)


def a_page(path: str = "/", seconds: float = 0, **fields: t.Any) -> Event:
    """Return the server's half of a page visit."""
    params = {"url": f"http://{SITE}{path}", "path": path, "status": 200, "title": path or "Home"}
    params["url_rule"] = path
    given: dict[str, t.Any] = {
        "params": params | fields.pop("params", {}),
        "half": "server",
        "url_rule": path,
        "client": Client(user_agent=CHROME, language="de-AT,de"),
    }
    return an_event("page.visit", seconds, **given | fields)


def write(
    host: Host,
    *events: Event,
    ends: t.Sequence[SessionEnd] = (),
    identified: t.Sequence[Identified] = (),
    outcomes: t.Mapping[Outcome, int] | None = None,
    denied: frozenset[str] = frozenset(),
    replayed: bool = False,
) -> Written:
    """Write one batch in one transaction, as a writer does."""
    database = host.state.pipeline.database
    batch = Batch(list(events), list(ends), list(identified), outcomes or {}, replayed=replayed)
    with database.begin() as connection:
        transaction = Transaction(
            connection,
            database.tables,
            from_ns(host.clock()),
            _facts,
            lambda action, site: action not in denied,
        )
        return write_batch(transaction, batch)


def write_records(host: Host, *records: Record) -> None:
    """Write records as the thread does that takes them out of the journal."""
    host.state.pipeline.writer.commit(records, {})


def totals(host: Host) -> dict[HourKey, int]:
    """Return the hourly totals that are not nought."""
    return {
        (row["hour"], row["site"], row["action"], row["url_rule"]): row["count"]
        for row in host.rows("hourly")
        if row["count"]
    }


def recount(host: Host) -> dict[HourKey, int]:
    """Count the event table by hour, site, action and rule."""
    return collections.Counter(
        (
            row["time"].replace(minute=0, second=0, microsecond=0),
            row["site"],
            row["action"],
            row["url_rule"],
        )
        for row in host.rows("event")
    )


def quality(host: Host) -> dict[tuple[str, str, str], int]:
    found: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for row in host.rows("quality"):
        found[row["outcome"], row["action"], row["reason"]] += row["count"]
    return found


def contents(host: Host) -> dict[str, t.Any]:
    """Return all that the tables hold of what happened."""
    tables = {name: host.rows(name) for name in ("event", "session", "profile", "alias")}
    for rows in tables.values():
        rows.sort(key=repr)
    return {**tables, "hourly": totals(host)}


def the_session(host: Host) -> dict[str, t.Any]:
    [row] = host.rows("session")
    return row


def a_story() -> list[Event]:
    return [
        a_page("/", 0),
        an_event("button.click", 3, source="browser"),
        a_page("/products/mug", 10),
        an_event("order.ship", 11, session=None, uuid=uuidlib.uuid5(DEVICE, "customer")),
        a_page("/", 4000, session=session_of(DEVICE, 2, 4000)),
    ]
