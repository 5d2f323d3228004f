"""All events, sessions or people, read in pieces: for an export of any size.

Rows are read in the order of a moment that each row has, a few thousand in a transaction. So an
export takes the same memory for any number of rows, keeps no snapshot open, and can go on behind
any of its rows.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..store.host_transaction import is_counted
from ..store.logged import own_columns
from ..store.tables import Tables
from ..store.types import UTCDateTime
from .feed import SLOWEST_COMMIT, Wanted
from .reader import Reader

What = t.Literal["events", "sessions", "people"]

_CHUNK = 5000
# Clocks of several machines may differ, so an event may be stored a little before it happens.
_SKEW = dt.timedelta(days=1)
_FIRST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class _Kind(t.NamedTuple):
    """A table: the moment by which it is read, the one that is asked for, and its inner columns."""

    table: str
    moment: str
    about: str
    key: str = "id"
    inner: frozenset[str] = frozenset()


_KINDS: t.Final[dict[What, _Kind]] = {
    "events": _Kind("event", "stored_at", "time", inner=frozenset({"claimed_by"})),
    "sessions": _Kind(
        "session", "started_at", "started_at", inner=frozenset({"private_at", "logged_out_at"})
    ),
    "people": _Kind("profile", "first_seen_at", "first_seen_at", key="uuid"),
}


class Place(t.NamedTuple):
    """A row by the moment and the key by which rows are read; without a key, the moment's last."""

    moment: dt.datetime
    key: uuidlib.UUID | None = None


class Chunk(t.NamedTuple):
    """Rows, and how far they lead: the part of the moments that is done, from 0 to 1.

    Ids and moments are texts, and values of JSON columns are :class:`msgspec.Raw`.
    """

    rows: list[tuple[t.Any, ...]]
    done: float


@dataclasses.dataclass(frozen=True, slots=True)
class Bulk:
    """What is exported.

    :param since: only what happened, began or was first seen at this moment or later.
    :param until: only what did before this moment.
    :param actions: only events of these actions, or of patterns such as ``product.*``.
    """

    what: What
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    actions: tuple[str, ...] = ()

    def names(self, tables: Tables) -> list[str]:
        """Return the names of a row's columns."""
        return [column.name for column in public_columns(self.what, tables)]

    @property
    def place_names(self) -> tuple[str, str]:
        """The names of the columns that say a row's :class:`Place`."""
        kind = _KINDS[self.what]
        return kind.moment, kind.key

    def iter_chunks(
        self, reader: Reader, now: dt.datetime, after: Place | None = None
    ) -> cabc.Iterator[Chunk]:
        """Yield all rows.

        Events are those that were stored before :func:`find_end`, each of them once.

        :param after: the row behind which to go on.
        """
        first, end = self._find_span(reader, now)
        place = after or Place(first)
        while True:
            with reader.open() as connection:
                upper = self._find_upper(connection, reader.tables, place.moment, end)
                rows = self._read(connection, reader.tables, place, upper)
            length = (end - first).total_seconds()
            done = (upper - first).total_seconds() / length if length > 0 else 1.0
            yield Chunk(rows, min(1.0, done))
            if upper == end:
                return
            place = Place(upper)

    def _of(self, tables: Tables) -> tuple[_Kind, sa.Table]:
        kind = _KINDS[self.what]
        return kind, getattr(tables, kind.table)

    def _find_span(self, reader: Reader, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """Return a moment before all rows, and the one that ends the export."""
        kind, table = self._of(reader.tables)
        with reader.open() as connection:
            first = connection.scalar(sa.select(sa.func.min(table.c[kind.moment])))
        least = _FIRST if self.since is None else self.since - _SKEW
        first = max(first or now, least) - dt.timedelta(microseconds=1)
        return first, max(first, find_end(self.what, now))

    def _find_upper(
        self, connection: sa.Connection, tables: Tables, lower: dt.datetime, end: dt.datetime
    ) -> dt.datetime:
        """Return the moment up to which the next rows are read, from the index alone.

        All rows of a moment are read together. Without this limit, MariaDB would sort all rows.
        """
        kind, table = self._of(tables)
        moment = table.c[kind.moment]
        query = sa.select(moment).where(moment > lower, moment <= end).order_by(moment)
        found: dt.datetime | None = connection.scalar(query.offset(_CHUNK - 1).limit(1))
        return found or end

    def _read(
        self, connection: sa.Connection, tables: Tables, place: Place, upper: dt.datetime
    ) -> list[tuple[t.Any, ...]]:
        """Read rows; on SQLite as it stores them, which takes a third of the time."""
        is_stored = connection.dialect.name == "sqlite"
        columns = public_columns(self.what, tables)
        convert = _FROM_SQLITE if is_stored else _FROM_DRIVERS
        query = sa.select(*(sa.type_coerce(c, _STORED) if is_stored else c for c in columns))
        values = zip(*connection.execute(self._limit(query, tables, place, upper)), strict=True)
        kinds = [convert.get(_kind_of(column)) for column in columns]
        found = [list(map(f, each)) if f else each for f, each in zip(kinds, values, strict=False)]
        return list(zip(*found, strict=True))

    def _limit(
        self, query: sa.Select[t.Any], tables: Tables, place: Place, upper: dt.datetime
    ) -> sa.Select[t.Any]:
        kind, table = self._of(tables)
        moment, key = table.c[kind.moment], table.c[kind.key]
        is_next = moment > place.moment
        if place.key is not None:
            is_next = sa.or_(is_next, sa.and_(moment == place.moment, key > place.key))
        query = query.where(moment >= place.moment, moment <= upper, is_next)
        about = table.c[kind.about]
        if self.since is not None:
            query = query.where(about >= self.since)
        if self.until is not None:
            query = query.where(about < self.until)
        if self.what == "events":
            query = query.where(is_counted(tables), *Wanted(self.actions).conditions(tables))
        return query.order_by(moment, key)


def public_columns(what: What, tables: Tables) -> list[sa.Column[t.Any]]:
    """Return the columns of a table that are for readers elsewhere."""
    kind = _KINDS[what]
    table: sa.Table = getattr(tables, kind.table)
    return [column for column in own_columns(table) if column.name not in kind.inner]


def find_end(what: What, now: dt.datetime) -> dt.datetime:
    """Return the moment up to which rows are exported.

    A slow transaction may still commit events of the last seconds.
    """
    return now - SLOWEST_COMMIT if what == "events" else now


_STORED: t.Final = sa.types.NullType()
_Kinds = t.Literal["id", "moment", "json", "other"]


def _kind_of(column: sa.Column[t.Any]) -> _Kinds:
    if isinstance(column.type, sa.Uuid):
        return "id"
    if isinstance(column.type, UTCDateTime):
        return "moment"
    return "json" if isinstance(column.type, sa.JSON) else "other"


def _dash(stored: str | None) -> str | None:
    if stored is None:
        return None
    return f"{stored[:8]}-{stored[8:12]}-{stored[12:16]}-{stored[16:20]}-{stored[20:]}"


def _to_iso(stored: str | None) -> str | None:
    if stored is None:
        return None
    return f"{stored[:10]}T{stored[11:].removesuffix('.000000')}Z"  # as msgspec writes it


def _to_raw(stored: str | None) -> msgspec.Raw | None:
    return None if stored is None else msgspec.Raw(stored.encode())


def _encode(value: object) -> msgspec.Raw | None:
    return None if value is None else msgspec.Raw(msgspec.json.encode(value))


_Converters = dict[_Kinds, cabc.Callable[[t.Any], t.Any]]
_FROM_SQLITE: t.Final[_Converters] = {"id": _dash, "moment": _to_iso, "json": _to_raw}
_FROM_DRIVERS: t.Final[_Converters] = {
    "id": msgspec.to_builtins,
    "moment": msgspec.to_builtins,
    "json": _encode,
}
