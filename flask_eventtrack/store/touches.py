"""Touches: where people came from, of sessions, of customers' profiles and of transactions.

A transaction gets the first and the last touch of its person when it is stored, and again a minute
later, by which time other processes have written what led to it. After that they never change.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import operator
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..ids import is_customer
from ..records import TOUCH
from .dialects import ids_parameter, is_among
from .rows import SessionRow
from .tables import Tables, cached_on_table

_BEGINNING = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)  # the first that MariaDB knows
# How many orders or people a statement asks for.
_AT_ONCE = 20
# A session's columns for its touch, in the order of TOUCH.
_SESSION_COLUMNS = (
    *("source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
    *("referrer", "entry_rule", "channel", "started_at"),
)
_values_of = operator.attrgetter(*_SESSION_COLUMNS)
_FIRST, _LAST = (tuple(f"{which}_{name}" for name in TOUCH) for which in ("first", "last"))
#: The columns of the first touch and of the last, which :func:`read_touches` takes.
TOUCH_COLUMNS: t.Final = (*_FIRST, *_LAST)


class Touch(t.NamedTuple):
    """Where a session came from, and where and when it began; ``at`` is aware UTC.

    ``source`` and ``channel`` are as in a session. ``medium``, ``campaign``, ``term`` and
    ``content`` are the campaign's ``utm_`` parameters. ``rule`` is the URL rule of the first page.
    """

    source: str | None
    medium: str | None
    campaign: str | None
    term: str | None
    content: str | None
    referrer: str | None
    rule: str | None
    channel: str | None
    at: dt.datetime


Touches = tuple[Touch | None, Touch | None]
_NOTHING = (None,) * len(TOUCH)
_DIRECT = "direct"
_Query = sa.Select[t.Any]
_Statement = sa.CompoundSelect[t.Any]


class Attributed(t.Protocol):
    """A transaction whose touches are looked for."""

    @property
    def person(self) -> uuidlib.UUID | None: ...
    @property
    def time(self) -> dt.datetime: ...


def touch_of(session: SessionRow) -> Touch | None:
    """Return the touch of a session, or None if no page has told its origin yet."""
    return None if session.source is None else Touch(*_values_of(session))


def is_direct(touch: Touch) -> bool:
    return (touch.channel or touch.source) == _DIRECT


def attribute(
    connection: sa.Connection,
    tables: Tables,
    rows: cabc.Sequence[Attributed],
    lookback: dt.timedelta,
) -> None:
    """Set the ``first_*`` and ``last_*`` of new transactions, once the batch's sessions, profiles
    and aliases are written."""
    for row, touches in zip(rows, find_touches(connection, tables, rows, lookback), strict=True):
        for name, value in columns_of(*touches).items():
            setattr(row, name, value)


def find_touches(
    connection: sa.Connection,
    tables: Tables,
    rows: cabc.Sequence[Attributed],
    lookback: dt.timedelta,
) -> list[Touches]:
    """Return the first and the last touch of each transaction.

    The first is the profile's, or that of the person's first session. The last is the latest within
    the lookback that is not direct, or else the latest. What began after the transaction does not
    count.
    """
    people = {row.person for row in rows if row.person is not None and is_customer(row.person)}
    kept = read_profiles(connection, tables.profile, people)
    parameters = [
        {"person": row.person, "since": _begin(row.time, lookback), "until": row.time}
        for row in rows
    ]
    touches: list[Touches] = []
    found = _read(connection, lambda number: _of_orders(tables.session, number), parameters)
    for row, (first, last, direct) in zip(rows, found, strict=True):
        kept_first, kept_last = _kept_of(kept, row.person)
        if kept_first is not None and kept_first.at <= row.time:
            first = kept_first
        if kept_last is not None and _begin(row.time, lookback) <= kept_last.at <= row.time:
            last = kept_last if last is None or kept_last.at > last.at else last
        touches.append((first, last or direct))
    return touches


def _begin(time: dt.datetime, lookback: dt.timedelta) -> dt.datetime:
    """Return when the lookback of a transaction begins."""
    try:
        return time - lookback
    except OverflowError:  # before the year 1, which some back ends send for no time at all
        return _BEGINNING


def _kept_of(kept: cabc.Mapping[uuidlib.UUID, Touches], person: uuidlib.UUID | None) -> Touches:
    return (kept.get(person) if person else None) or (None, None)


# The queries. Each finds one touch by an index. Many of them are one statement, which is made once.


@cached_on_table
def _of_orders(session: sa.Table, number: int) -> _Statement:
    """Return the statement for the first touch of orders, the last, and the last of any kind."""
    queries: list[_Query] = []
    for n in range(number):
        names = (f"{name}{n}" for name in ("person", "since", "until"))
        person, since, until = map(_parameter, names)
        theirs = session.c.person == person, session.c.started_at <= until
        lately = *theirs, session.c.started_at >= since
        queries += [_earliest(session, *theirs), _latest(session, *lately)]
        queries.append(_latest(session, *lately, is_any=True))
    return _in_one(queries)


@cached_on_table
def _of_people(session: sa.Table, column: str, number: int) -> _Statement:
    """Return the statement for the first touch of profiles or persons, and for the last."""
    queries: list[_Query] = []
    for n in range(number):
        is_theirs = session.c[column] == sa.bindparam(f"uuid{n}")
        queries += [_earliest(session, is_theirs), _latest(session, is_theirs)]
    return _in_one(queries)


def _parameter(name: str) -> sa.BindParameter[t.Any]:
    return sa.bindparam(name)


def _earliest(session: sa.Table, *conditions: sa.ColumnElement[bool]) -> _Query:
    query = sa.select(*(session.c[name] for name in _SESSION_COLUMNS))
    query = query.where(*conditions, session.c.source.is_not(None))
    return query.order_by(session.c.started_at, session.c.id).limit(1)


def _latest(session: sa.Table, *conditions: sa.ColumnElement[bool], is_any: bool = False) -> _Query:
    """Return the query of the latest touch: of any, or of those that are not direct.

    Of sessions that an earlier release wrote, only the source says it.
    """
    query = sa.select(*(session.c[name] for name in _SESSION_COLUMNS))
    way = sa.func.coalesce(session.c.channel, session.c.source)
    query = query.where(*conditions, way.is_not(None) if is_any else way != _DIRECT)
    return query.order_by(session.c.started_at.desc(), session.c.id.desc()).limit(1)


def _in_one(queries: cabc.Iterable[_Query]) -> _Statement:
    return sa.union_all(
        *(
            sa.select(sa.literal_column(str(place), sa.Integer()).label("place"), query.subquery())
            for place, query in enumerate(queries)
        )
    )


def _read(
    connection: sa.Connection,
    make: cabc.Callable[[int], _Statement],
    parameters: cabc.Sequence[dict[str, t.Any]],
) -> cabc.Iterator[list[Touch | None]]:
    """Yield the touches that are found with each of the parameters, in their order.

    :param make: returns the statement for so many of them.
    """
    for start in range(0, len(parameters), _AT_ONCE):
        chunk = parameters[start : start + _AT_ONCE]
        statement = make(len(chunk))
        values = {f"{name}{n}": each[name] for n, each in enumerate(chunk) for name in each}
        width = len(statement.selects) // len(chunk)
        found: list[Touch | None] = [None] * len(statement.selects)
        for row in connection.execute(statement, values):
            found[row[0]] = Touch._make(row[1:])
        yield from (found[at : at + width] for at in range(0, len(found), width))


def columns_of(first: Touch | None, last: Touch | None) -> dict[str, t.Any]:
    """Return the columns ``first_*`` and ``last_*``."""
    values: list[t.Any] = [*(first or _NOTHING), *(last or _NOTHING)]
    return dict(zip(TOUCH_COLUMNS, values, strict=True))


def read_profiles(
    connection: sa.Connection, profile: sa.Table, uuids: cabc.Collection[uuidlib.UUID]
) -> dict[uuidlib.UUID, Touches]:
    """Return the first and the last touch of profiles that are stored."""
    if not uuids:
        return {}
    name = connection.dialect.name
    columns = [profile.c[each] for each in ("uuid", *TOUCH_COLUMNS)]
    query = sa.select(*columns).where(is_among(name, profile.c.uuid))
    rows = connection.execute(query, ids_parameter(name, [uuid.int for uuid in uuids]))
    return {uuid: read_touches(values) for uuid, *values in rows}


def read_touches(values: cabc.Sequence[t.Any]) -> Touches:
    """Return the first and the last touch of a profile."""
    first, last = Touch(*values[: len(TOUCH)]), Touch(*values[len(TOUCH) :])
    return (None if first.at is None else first, None if last.at is None else last)


def touches_of(
    connection: sa.Connection,
    session: sa.Table,
    column: t.Literal["uuid", "person"],
    uuids: cabc.Iterable[uuidlib.UUID],
) -> list[Touches]:
    """Return the first touch of each profile or person, and the last that is not direct."""
    parameters = [{"uuid": uuid} for uuid in uuids]
    found = _read(connection, lambda number: _of_people(session, column, number), parameters)
    return [(first, last) for first, last in found]


def update_touches(
    connection: sa.Connection,
    key: sa.Column[uuidlib.UUID],
    changes: cabc.Mapping[uuidlib.UUID, dict[str, t.Any]],
) -> None:
    """Write the columns of touches, in the order of the keys. All changes have the same columns, or
    none."""
    rows = [{"key": uuid, **values} for uuid, values in sorted(changes.items()) if values]
    if rows:
        update = key.table.update().where(key == sa.bindparam("key"))
        names = rows[0].keys() - {"key"}
        columns: dict[str, t.Any] = {name: sa.bindparam(name) for name in names}
        connection.execute(update.values(columns), rows)
