"""Reads which events are new since a position of the commit log.

The log tells each row once, with the last transaction that changed it. So a visit that its browser
joined before it was read is told with the later transaction. ``added_in`` says which transaction
has stored it, and :mod:`..pipeline.following` tells by that whether the event is new to a reader.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..text import action_label
from .changes import newest_position, read_commits
from .dialects import in_chunks
from .logged import ADDED_IN, BATCH
from .person import resolve_people
from .tables import Tables, cached_on_table


@dataclasses.dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is in the database, as functions of ``events.on()`` get it."""

    id: uuidlib.UUID
    """The event's id. It is the same each time that the event is told."""
    action: str
    """What was done, such as ``"order.pay"``."""
    time: dt.datetime
    """When it was done, in UTC."""
    label: str
    """The event in words. One that was stored without a label has one made of its action."""
    params: dict[str, t.Any]
    """The parameters."""
    customer_id: str | None
    """The customer's id, as the app has given it; None if the person is not known so far."""
    uuid: uuidlib.UUID
    """The profile of the person."""
    session_id: uuidlib.UUID | None
    """The session, if the event belongs to one."""
    site: str
    """The site on which it was recorded."""
    url_rule: str
    """The URL rule of the page on which it was recorded; empty if there is none."""
    source: str
    """``"server"``, ``"browser"``, ``"app"``, or ``"bot"``."""


class Found(t.NamedTuple):
    """An event of a transaction, and the batch of the one that stored it; None if that is not
    known: it is an event from before the log, or the writer has not counted it yet."""

    added_in: int | None
    event: StoredEvent


class Place(t.NamedTuple):
    """A transaction, and the wanted events that it was the last to change."""

    position: int
    batch: int
    events: list[Found]


class News(t.NamedTuple):
    """The next transactions, and the newest position once their events had been read.

    No change behind ``newest`` was seen by the reader.
    """

    places: list[Place]
    newest: int


_COLUMNS = (
    *("id", "action", "time", "label", "params", "uuid", "session_id", "site", "url_rule"),
    "source",
)


def read_news(
    connection: sa.Connection, tables: Tables, position: int, pattern: str, limit: int = 20
) -> News:
    """Return the next transactions behind a position, with the events that fit a pattern.

    The events have no customers yet: :func:`name_customers`.

    :param pattern: an action, a prefix with ``.*``, or ``*``.
    :raises SnapshotNeeded: the log is off, or was off for a while, or no longer reaches back to the
        position.
    """
    commits = read_commits(connection, tables, position, limit)
    places = {each.batch: Place(each.seq, each.batch, []) for each in commits}
    if places:
        query, values = _query(tables.event), {"batches": list(places)}
        for batch, added_in, *row in connection.execute(
            query.where(_fits(tables, pattern)), values
        ):
            if matches(pattern, row[1]):  # letter case counts, whatever the database says
                places[batch].events.append(Found(added_in, _event_of(row)))
    for place in places.values():
        place.events.sort(key=lambda found: (found.event.time, found.event.id))
    # Last, so that it is at least as new as the rows.
    return News(list(places.values()), newest_position(connection, tables))


def name_customers(
    connection: sa.Connection, tables: Tables, events: cabc.Iterable[StoredEvent]
) -> dict[uuidlib.UUID, StoredEvent]:
    """Return events by their ids, with the ids of the customers."""
    found = list(events)
    people = resolve_people(connection, tables, {each.uuid for each in found})
    profile, customers = tables.profile.c, dict[uuidlib.UUID, str]()
    query = sa.select(profile.uuid, profile.customer_id)
    for uuids in in_chunks(set(people.values())):
        rows = connection.execute(query.where(profile.uuid.in_(uuids)))
        customers.update((row.uuid, row.customer_id) for row in rows)
    return {
        each.id: dataclasses.replace(each, customer_id=customers.get(people[each.uuid]))
        for each in found
    }


def matches(pattern: str, action: str) -> bool:
    """Whether an action fits a pattern."""
    return pattern in {"*", action} or (pattern.endswith(".*") and action.startswith(pattern[:-1]))


@cached_on_table
def _query(event: sa.Table) -> sa.Select[t.Any]:
    query = sa.select(event.c[BATCH], event.c[ADDED_IN], *(event.c[name] for name in _COLUMNS))
    return query.where(event.c[BATCH].in_(sa.bindparam("batches", expanding=True)))


def _fits(tables: Tables, pattern: str) -> sa.ColumnElement[bool]:
    action = tables.event.c.action
    if pattern == "*":
        return sa.true()
    if pattern.endswith(".*"):
        return action.startswith(pattern[:-1], autoescape=True)
    return action == pattern


def _event_of(row: cabc.Sequence[t.Any]) -> StoredEvent:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["label"] = (values["label"] or "").strip() or action_label(values["action"])
    return StoredEvent(**values, customer_id=None)
