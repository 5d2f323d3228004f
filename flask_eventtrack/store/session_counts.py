"""What sessions add up to, by the values of their dimensions. It is the one way to count them.

Closed days, the days that are counted live, and filtered reports all read rows of
:func:`session_query` and add them to a :class:`Tally`.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from .dialects import id_as_text
from .tables import COUNTS, cached_on_table
from .types import NAIVE

#: What sessions are counted by. ``hour`` is the local hour of their start, "00" to "23".
DIMENSIONS: t.Final = (
    "channel",
    "source",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "entry_rule",
    "exit_rule",
    "country",
    "language",
    "browser",
    "os",
    "device_type",
    "site",
    "hour",
)
#: The value that stands for all those beyond the :data:`MOST_VALUES` largest.
OTHERS: t.Final = "…"
MOST_VALUES = 500

_MEASURED = ("started_at", "last_seen_at", "pages", "events", "visible_ms")
#: The columns of a session on which the counts depend, without ``person``.
COUNTED: t.Final = (*_MEASURED, *(name for name in DIMENSIONS if name != "hour"))
_CHUNK = 2000
_BITS = 64
_HALF, _WHOLE = 1 << (_BITS - 1), 1 << _BITS
_PAGE, _EVENT, _BOUNCE, _SECOND, _VISIBLE = (1 << (_BITS * place) for place in range(1, 6))


class Counts(t.NamedTuple):
    """The sums over sessions, in the order of the columns of ``eventtrack_daily``."""

    sessions: int = 0
    pages: int = 0
    events: int = 0
    bounces: int = 0
    seconds: int = 0
    visible_ms: int = 0


class SessionFacts(t.NamedTuple):
    """A row of :func:`session_query`; the values of the dimensions that were asked for follow.

    The times are UTC without their zone. ``person`` is text: hashing and comparing is all that it
    is good for.
    """

    started_at: dt.datetime
    last_seen_at: dt.datetime
    pages: int
    events: int
    visible_ms: int
    person: str


def pack(counts: Counts) -> int:
    """Return counts as one number. Such numbers can be added, and subtracted."""
    return sum(count << (_BITS * place) for place, count in enumerate(counts))


def unpack(packed: int) -> Counts:
    """Return the counts in a sum of :func:`pack`."""
    counts = []
    for _ in COUNTS:
        count = (packed + _HALF) % _WHOLE - _HALF
        counts.append(count)
        packed = (packed - count) >> _BITS
    return Counts(*counts)


@cached_on_table
def session_query(
    session: sa.Table, dialect_name: str, dimensions: tuple[str, ...] = DIMENSIONS
) -> sa.Select[t.Any]:
    """Return the query for the rows of a tally, of the sessions between ``:lower`` and ``:upper``.

    Conditions may be added to it. ``hour`` has no column: the tally makes it.
    """
    columns: list[sa.ColumnElement[t.Any]] = [
        sa.type_coerce(session.c[name], NAIVE) if name.endswith("_at") else session.c[name]
        for name in _MEASURED
    ]
    person = sa.func.coalesce(
        id_as_text(dialect_name, session.c.person), id_as_text(dialect_name, session.c.uuid)
    )
    columns.append(person.label("person"))
    columns += (session.c[name] for name in dimensions if name != "hour")
    started_at = session.c.started_at
    lower, upper = (sa.bindparam(name, type_=started_at.type) for name in ("lower", "upper"))
    return sa.select(*columns).where(started_at >= lower, started_at < upper)


class Tally:
    """Adds up sessions.

    :param zone: the site's, for the dimension ``hour``.
    :param dimensions: those of the rows that are added.
    """

    def __init__(self, zone: dt.tzinfo, dimensions: tuple[str, ...] = DIMENSIONS) -> None:
        self._zone = zone
        self._dimensions = dimensions
        self._columns = [name for name in dimensions if name != "hour"]
        self._total = 0
        #: By dimension and value, as numbers for :func:`unpack`.
        self.values: dict[str, collections.defaultdict[str, int]] = {
            name: collections.defaultdict(int) for name in dimensions
        }

    @property
    def total(self) -> Counts:
        """The sums over all sessions."""
        return unpack(self._total)

    def add(self, rows: cabc.Sequence[cabc.Sequence[t.Any]]) -> None:
        """Add rows of :func:`session_query`: many at a time, which is much faster."""
        if not rows:
            return
        starts, ends, pages, events, visible, _, *columns = zip(*rows, strict=True)
        packed = list(map(_pack_session, starts, ends, pages, events, visible))
        self._total += sum(packed)
        for name, column in zip(self._columns, columns, strict=True):
            _add_column(self.values[name], column, packed)
        if "hour" in self.values:
            _add_column(self.values["hour"], map(self._hour_of, starts), packed)

    def count(self, dimension: str) -> dict[str, Counts]:
        """Return the sums by the values of a dimension."""
        return {value: unpack(packed) for value, packed in self.values[dimension].items()}

    def merge(self, other: Tally) -> None:
        """Add what another tally has added."""
        self._total += other._total
        for name, values in other.values.items():
            for value, packed in values.items():
                self.values[name][value] += packed

    def _hour_of(self, start: dt.datetime) -> str:
        return f"{start.replace(tzinfo=dt.UTC).astimezone(self._zone).hour:02}"


def tally_sites(
    connection: sa.Connection,
    session: sa.Table,
    zone: dt.tzinfo,
    lower: dt.datetime,
    upper: dt.datetime,
    dimensions: tuple[str, ...] = DIMENSIONS,
) -> dict[str, Tally]:
    """Return the tallies of the sessions that began from ``lower`` until before ``upper``, by site.

    :param dimensions: some, and ``site`` among them.
    """
    place = len(SessionFacts._fields) + [d for d in dimensions if d != "hour"].index("site")
    tallies: dict[str, Tally] = {}
    query = session_query(session, connection.dialect.name, dimensions)
    bounds = {"lower": lower, "upper": upper}
    options = {"yield_per": _CHUNK}
    for rows in connection.execute(query, bounds, execution_options=options).partitions():
        for site, theirs in _by_site(rows, place).items():
            if site not in tallies:
                tallies[site] = Tally(zone, dimensions)
            tallies[site].add(theirs)
    return tallies


def _by_site(
    rows: cabc.Sequence[sa.Row[t.Any]], place: int
) -> dict[str, cabc.Sequence[sa.Row[t.Any]]]:
    if all(row[place] == rows[0][place] for row in rows):
        return {rows[0][place].strip(): rows}
    groups: dict[str, list[sa.Row[t.Any]]] = {}
    for row in rows:
        groups.setdefault(row[place].strip(), []).append(row)
    return {**groups}


def cut_values(
    counts: cabc.Mapping[str, Counts], by: t.Literal["sessions", "pages", "events"]
) -> dict[str, Counts]:
    """Return the largest values, and the sum of the rest under :data:`OTHERS`."""
    if len(counts) <= MOST_VALUES:
        return dict(counts)
    order = sorted(counts, key=lambda value: (-getattr(counts[value], by), value))
    kept = {value: counts[value] for value in order[:MOST_VALUES]}
    rest = pack(kept.pop(OTHERS, Counts()))
    rest += sum(pack(counts[value]) for value in order[MOST_VALUES:])
    return kept | {OTHERS: unpack(rest)}


def _pack_session(
    started_at: dt.datetime, last_seen_at: dt.datetime, pages: int, events: int, visible_ms: int
) -> int:
    lasted = last_seen_at - started_at
    return (
        1
        + pages * _PAGE
        + events * _EVENT
        + (_BOUNCE if pages == events == 1 else 0)
        + (lasted.days * 86_400 + lasted.seconds) * _SECOND
        + visible_ms * _VISIBLE
    )


def _add_column(
    sums: collections.defaultdict[str, int],
    column: cabc.Iterable[str | None],
    packed: cabc.Iterable[int],
) -> None:
    for value, number in zip(column, packed, strict=True):
        sums[value or ""] += number
    # A space at the end, which MariaDB does not tell apart, and which nobody sees.
    for value in [value for value in sums if value != value.strip()]:
        sums[value.strip()] += sums.pop(value)
