"""How long events are kept. Older ones are removed in small batches; totals stay."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import fnmatch
import functools
import typing as t

import sqlalchemy as sa

from ..records import CHARGE, PAGE_VISIT, SESSION_END
from .agent_days import count_days, remove_day
from .claims import claim
from .clock import Doubt, find_doubt, is_older
from .closed_days import keep_from
from .engine import Database
from .erasure import BATCH_SIZE
from .local_days import day_of
from .logged import PRUNED, REASON
from .revenue import stripped_values
from .tables import Tables
from .visitor_days import forget_days

_BEGINNING = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)  # the first that MariaDB knows
# An outcome in the quality counters: its row marks a day on which old events were removed.
_PRUNED = "pruned"
_DOUBTED = "doubted"  # the reason of such a row, if the clock may have been wrong
# For how long nothing may be stored before the clock is doubted: the shortest retention within
# these limits, so that not all events can become old at once.
_GAPS = dt.timedelta(days=7), dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True, slots=True)
class Retention:
    """Says how long the events of each action are kept.

    :param by_definition: the time by action, from the definitions.
    :param by_pattern: ``EVENTTRACK_RETENTION``; the first pattern that an action matches counts,
        unless its definition says otherwise.
    :param keeps_revenue: whether the amounts of orders stay, without the person.
    """

    by_definition: cabc.Mapping[str, dt.timedelta]
    by_pattern: cabc.Mapping[str, dt.timedelta]
    keeps_revenue: bool = True

    def latest(self, now: dt.datetime) -> dt.datetime | None:
        """Return the moment since which all events are kept, or None if all are kept forever."""
        keeps = [*self.by_definition.values(), *self.by_pattern.values()]
        return _before(now, min(keeps, default=None))

    @property
    def gap(self) -> dt.timedelta | None:
        """For how long nothing may be stored before the clock is doubted; None for any time."""
        keeps = [*self.by_definition.values(), *self.by_pattern.values()]
        return min(max(min(keeps), _GAPS[0]), _GAPS[1]) if keeps else None

    def __bool__(self) -> bool:
        """Whether some events are not kept forever."""
        return bool(self.by_definition or self.by_pattern)

    def cutoff(self, action: str, now: dt.datetime) -> dt.datetime | None:
        """Return the moment before which an action's events are removed, or None."""
        keep = self.by_definition.get(action)
        if keep is None:
            fitting = (p for p in self.by_pattern if fnmatch.fnmatchcase(action, p))
            keep = self.by_pattern.get(next(fitting, ""))
        return _before(now, keep)


def _before(now: dt.datetime, keep: dt.timedelta | None) -> dt.datetime | None:
    try:
        return None if keep is None else now - keep
    except OverflowError:  # timedelta.max: forever
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were removed, or would be.

    Of ``transactions``, the amounts may have stayed, without anybody. ``agent_counts`` are rows of
    what agents have read.
    """

    events: int = 0
    sessions: int = 0
    transactions: int = 0
    rejected: int = 0
    agent_counts: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Pruned(*map(sum, pairs))


class _Old(t.NamedTuple):
    """The rows of a table that are past their retention; ``kind`` is a field of Pruned.

    If there are ``values``, the rows get these instead of being deleted.
    """

    kind: str
    table: sa.Table
    moment: sa.Column[t.Any]
    condition: sa.ColumnElement[bool]
    values: cabc.Mapping[str, t.Any] | None = None

    def numbers(self, number: int) -> Pruned:
        return Pruned(**{self.kind: number})


def doubt_clock(database: Database, retention: Retention, now: dt.datetime) -> Doubt | None:
    """Return why not all that seems old should be removed, or None."""
    quality = database.tables.quality.c
    was_right = sa.and_(quality.outcome == _PRUNED, quality.reason == "", quality.hour <= now)
    with database.look() as connection:
        since = connection.scalar(sa.select(sa.func.max(quality.hour)).where(was_right))
        return find_doubt(connection, database.tables, now, since, retention.gap)


def prune(
    database: Database,
    retention: Retention,
    now: dt.datetime,
    limit: dt.datetime | None = None,
    zone: dt.tzinfo = dt.UTC,
) -> cabc.Iterator[Pruned]:
    """Remove what is past its retention, the oldest first, and yield each batch's numbers.

    An ended session is kept as long as ``session.end`` events are, and an order as long as
    ``transaction.charge``, and what agents have read as long as page visits. Several processes may
    do this at once.

    :param limit: the latest moment that is believed, if ``now`` is later; see :class:`Doubt`.
    :param zone: the site's: days whose sessions are removed stay as they were counted.
    """
    for old in _find_old(database, retention, now, limit or now):
        since = _BEGINNING
        while batch := database.take_turn(
            functools.partial(_remove, database.tables, zone, old, since)
        ):
            removed, since = batch
            yield old.numbers(removed)
    day = _first_day_kept(retention, now, limit or now, zone)
    if day is not None:
        remove = functools.partial(remove_day, database.tables, day)
        while removed := database.take_turn(remove):
            yield Pruned(agent_counts=removed)


def _first_day_kept(
    retention: Retention, now: dt.datetime, limit: dt.datetime, zone: dt.tzinfo
) -> dt.date | None:
    """Return the first day of which it is kept what agents have read; None to keep all."""
    cutoff = retention.cutoff(PAGE_VISIT, now)
    try:
        return cutoff and day_of(cutoff - max(now - limit, dt.timedelta()), zone)
    except OverflowError:
        return None


def count_old(
    database: Database,
    retention: Retention,
    now: dt.datetime,
    limit: dt.datetime | None = None,
    zone: dt.tzinfo = dt.UTC,
) -> Pruned:
    """Return how many rows :func:`prune` would remove."""
    total = Pruned()
    day = _first_day_kept(retention, now, limit or now, zone)
    if day is not None:
        with database.read() as connection:
            total += Pruned(agent_counts=count_days(database.tables, day, connection))
    for old in _find_old(database, retention, now, limit or now):
        query = sa.select(sa.func.count()).select_from(old.table).where(old.condition)
        with database.read() as connection:
            total += old.numbers(connection.scalar(query) or 0)
    return total


def claim_day(database: Database, now: dt.datetime, *, is_doubted: bool = False) -> bool:
    """Return True to the first caller of a UTC day, among all processes: that one prunes.

    :param is_doubted: whether the clock may be wrong. Then the day says nothing to later runs.
    """
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return claim(database, _PRUNED, day, reason=_DOUBTED if is_doubted else "")


def _find_old(
    database: Database, retention: Retention, now: dt.datetime, limit: dt.datetime
) -> cabc.Iterator[_Old]:
    latest = retention.latest(now)
    if latest is None:
        return
    tables = database.tables
    moments = {"events": tables.event.c.time, "rejected": tables.rejected.c.rejected_at}
    for kind, moment in moments.items():
        table = moment.table
        old = sa.select(table.c.action).where(moment < latest).distinct()
        with database.look() as connection:
            actions = connection.scalars(old).all()
        for cutoff, among in _group_by_cutoff(retention, actions, now).items():
            is_old = is_older(moment, cutoff, now, limit)
            yield _Old(kind, table, moment, sa.and_(is_old, table.c.action.in_(among)))
    over = retention.cutoff(SESSION_END, now)
    if over is not None:
        ended_at = tables.session.c.ended_at
        yield _Old("sessions", tables.session, ended_at, is_older(ended_at, over, now, limit))
    charged = retention.cutoff(CHARGE, now)
    if charged is not None:
        table = tables.transaction
        is_old, values = is_older(table.c.time, charged, now, limit), None
        if retention.keeps_revenue:
            is_old, values = sa.and_(is_old, table.c.uuid.is_not(None)), stripped_values(table)
        yield _Old("transactions", table, table.c.time, is_old, values)


def _group_by_cutoff(
    retention: Retention, actions: cabc.Iterable[str], now: dt.datetime
) -> dict[dt.datetime, list[str]]:
    groups: dict[dt.datetime, list[str]] = {}
    for action in actions:
        cutoff = retention.cutoff(action, now)
        if cutoff is not None:
            groups.setdefault(cutoff, []).append(action)
    return groups


def _remove(
    tables: Tables, zone: dt.tzinfo, old: _Old, since: dt.datetime, connection: sa.Connection
) -> tuple[int, dt.datetime] | None:
    """Remove a batch; return the number of rows and where the next begins, None at the end.

    Rows that another transaction holds are left to the next run.
    """
    query = sa.select(old.table.c.id, old.moment).where(old.condition, old.moment >= since)
    batch = query.order_by(old.moment).limit(BATCH_SIZE).with_for_update(skip_locked=True)
    rows = connection.execute(batch).all()
    if not rows:
        return None
    change = old.table.delete() if old.values is None else old.table.update().values(old.values)
    are_it = old.table.c.id.in_([row.id for row in rows])
    visits: cabc.Sequence[t.Any] = []
    if old.table is tables.session:
        columns = old.table.c.person, old.table.c.uuid, old.table.c.started_at
        visits = connection.execute(sa.select(*columns).where(are_it)).all()
    connection.execute(change.where(are_it), execution_options={REASON: PRUNED})
    if visits:
        _leave_days(connection, tables, zone, visits)
    return len(rows), rows[-1][1]


def _leave_days(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    visits: cabc.Sequence[t.Any],
) -> None:
    """Have the days of removed sessions stay as they were counted, without the people."""
    day = day_of(max(row.started_at for row in visits), zone) + dt.timedelta(days=1)
    keep_from(connection, tables, day)
    forget_days(connection, tables, {row.person or row.uuid for row in visits}, day)
