"""The overview's answers by plain SQL over the same rows in DuckDB."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import csv
import datetime as dt
import importlib.util
import pathlib
import tempfile
import typing as t

import sqlalchemy as sa

from flask_eventtrack.money import Money
from flask_eventtrack.records import PAGE_VISIT
from flask_eventtrack.reports.amounts import Amounts
from flask_eventtrack.reports.overview import PANELS
from flask_eventtrack.reports.period import Period
from flask_eventtrack.reports.rows import Numbers, Overview
from flask_eventtrack.store.dialects import id_as_text
from flask_eventtrack.store.local_days import iter_days
from flask_eventtrack.store.types import NAIVE

from .history import Site
from .report import Unavailable, progress

_AT_ONCE = 10_000
_TEXTS = tuple(name for name in PANELS if name not in {"page", "action"})
_COLUMNS = {
    "session": {
        "started_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
        "pages": "INTEGER",
        "events": "INTEGER",
        "visible_ms": "BIGINT",
        "person": "VARCHAR",
        **dict.fromkeys(_TEXTS, "VARCHAR"),
    },
    "event": {"time": "TIMESTAMP", "action": "VARCHAR", "url_rule": "VARCHAR"},
    "orders": {
        "time": "TIMESTAMP",
        "is_charge": "BOOLEAN",
        "currency": "VARCHAR",
        "amount": "BIGINT",
    },
}
_SUMS = """count(*), sum(pages), sum(CASE WHEN pages = 1 AND events = 1 THEN 1 ELSE 0 END),
    sum((epoch_us(last_seen_at) - epoch_us(started_at)) // 1000000), sum(visible_ms)"""
_WITHIN = "day BETWEEN $first AND $last"
#: Days and the whole period (its day is NULL), new visitors, page visits, orders, the heatmap.
_QUERIES: t.Final = (
    f"SELECT day, {_SUMS}, count(DISTINCT person) FROM session WHERE {_WITHIN} "
    "GROUP BY GROUPING SETS ((day), ())",
    "SELECT day, count(*) FROM (SELECT min(day) AS day FROM session GROUP BY person) "
    f"WHERE {_WITHIN} GROUP BY day",
    f"SELECT day, count(*) FROM event WHERE action = '{PAGE_VISIT}' AND {_WITHIN} GROUP BY day",
    "SELECT day, currency, sum(CASE WHEN is_charge THEN 1 ELSE 0 END), sum(amount) "
    f"FROM orders WHERE {_WITHIN} GROUP BY day, currency",
    f"SELECT isodow(local) - 1, hour(local), count(*) FROM session WHERE {_WITHIN} GROUP BY ALL",
)
_TOP = "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"
_PANELS: t.Final = {
    **{name: f"SELECT {name}, {_SUMS} FROM session WHERE {_WITHIN} {_TOP}" for name in _TEXTS},
    "page": f"SELECT url_rule, count(*) FROM event WHERE action = '{PAGE_VISIT}' AND {_WITHIN} "
    f"{_TOP}",
    "action": f"SELECT action, count(*) FROM event WHERE {_WITHIN} {_TOP}",
}
#: How many statements answer, as a cell of a table.
STATEMENTS: t.Final = str(len(_QUERIES) + len(_PANELS))
_Rows = list[tuple[t.Any, ...]]


class Answers(t.NamedTuple):
    """What both have to agree on."""

    numbers: Numbers
    revenue: tuple[Money, ...]
    days: tuple[Numbers, ...]
    heatmap: tuple[tuple[int, ...], ...]
    panels: dict[str, _Rows]


def answers_of(overview: Overview) -> Answers:
    """Return the answers of our overview, whose series is by day."""
    panels = {
        name: [_row_of(row) for row in each.rows] for name, each in overview.breakdowns.items()
    }
    days = tuple(point.numbers for point in overview.series)
    return Answers(overview.numbers, overview.revenue, days, overview.heatmap, panels)


def _row_of(row: t.Any) -> tuple[t.Any, ...]:
    values = (row.value, row.count, row.pages, row.bounces, row.seconds, row.visible_ms)
    return tuple(value for value in values if value is not None)


class Duck:
    """A DuckDB file with the rows of a site, opened for reading."""

    def __init__(self, connection: t.Any) -> None:
        self._connection = connection

    def read(self, period: Period) -> tuple[list[_Rows], dict[str, _Rows]]:
        """Run the queries of a period."""
        bounds = {"first": period.first, "last": period.last}
        answers = [self._read(query, bounds) for query in _QUERIES]
        return answers, {name: self._read(query, bounds) for name, query in _PANELS.items()}

    def _read(self, query: str, bounds: dict[str, dt.date]) -> _Rows:
        rows: _Rows = self._connection.execute(query, bounds).fetchall()
        return rows


def make_answers(period: Period, rows: list[_Rows], panels: dict[str, _Rows]) -> Answers:
    """Return rows that were read as answers."""
    sums, new, visits, orders, heat = rows
    known = {row[0]: row for row in sums}
    new_by_day: dict[dt.date, int] = dict(new)
    visits_by_day: dict[dt.date, int] = dict(visits)
    amounts: dict[dt.date | None, Amounts] = {None: Amounts()}
    for day, currency, number, amount in orders:
        for key in (None, day):
            amounts.setdefault(key, Amounts()).add(int(number), currency, int(amount))

    def numbers(day: dt.date | None) -> Numbers:
        _, sessions, pages, bounces, seconds, visible_ms, visitors = known.get(day, (day, *[0] * 6))
        return Numbers(
            visitors=visitors,
            new_visitors=new_by_day.get(day, 0) if day else sum(new_by_day.values()),
            sessions=sessions,
            page_visits=visits_by_day.get(day, 0) if day else sum(visits_by_day.values()),
            pages=pages,
            bounces=bounces,
            visible_ms=visible_ms,
            seconds=seconds,
            orders=amounts[day].orders if day in amounts else 0,
        )

    hours = {(weekday, hour): number for weekday, hour, number in heat}
    return Answers(
        numbers(None),
        amounts[None].money(),
        tuple(numbers(day) for day in iter_days(period.first, period.last_begun)),
        tuple(tuple(hours.get((day, hour), 0) for hour in range(24)) for day in range(7)),
        panels,
    )


@contextlib.contextmanager
def open_duck(site: Site) -> cabc.Iterator[Duck]:
    """Copy the rows of a site into a DuckDB file; yields it, opened for reading.

    :raises Unavailable: DuckDB is not installed.
    """
    if importlib.util.find_spec("duckdb") is None:
        raise Unavailable("it is not installed")
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "history.duckdb")
        with duckdb.connect(path) as connection:
            for name, query in _queries_of(site).items():
                progress(f"DuckDB: {name}")
                _load(connection, site, name, query, pathlib.Path(folder, f"{name}.csv"))
        with duckdb.connect(path, read_only=True) as connection:
            yield Duck(connection)


def _queries_of(site: Site) -> dict[str, sa.Select[t.Any]]:
    """Return the queries of our rows, by DuckDB's table."""
    tables = site.state.reports.reader.tables
    session, event, order = tables.session.c, tables.event.c, tables.transaction.c
    dialect = sa.make_url(site.url).get_backend_name()
    person = sa.func.coalesce(
        id_as_text(dialect, session.person), id_as_text(dialect, session.uuid)
    )
    measured = (session.pages, session.events, session.visible_ms, person)
    started_at, last_seen_at = _naive(session.started_at), _naive(session.last_seen_at)
    texts = [session[name] for name in _TEXTS]
    is_recorded = event.source != "bot"
    money = (order.charge_id.is_(None), order.currency, order.amount)
    return {
        "session": sa.select(started_at, last_seen_at, *measured, *texts),
        "event": sa.select(_naive(event.time), event.action, event.url_rule).where(is_recorded),
        "orders": sa.select(_naive(order.time), *money),
    }


def _naive(column: sa.ColumnElement[t.Any]) -> sa.ColumnElement[t.Any]:
    return sa.type_coerce(column, NAIVE)


def _load(
    connection: t.Any, site: Site, name: str, query: sa.Select[t.Any], path: pathlib.Path
) -> None:
    """Copy rows by way of a CSV file, in the order of their time and with their local time."""
    engine = sa.create_engine(site.url, poolclass=sa.NullPool)
    with path.open("w", newline="") as file, engine.connect() as ours:
        options = {"yield_per": _AT_ONCE}
        csv.writer(file).writerows(ours.execution_options(**options).execute(query))
    columns = _COLUMNS[name]
    time, *_ = columns
    values = [
        f"trim(coalesce({column}, '')) AS {column}" if kind == "VARCHAR" else column
        for column, kind in columns.items()
    ]
    local = f"timezone('{site.state.config.timezone}', timezone('UTC', {time}))"
    connection.execute(
        f"CREATE TABLE {name} AS SELECT {', '.join(values)}, {local} AS local, local::DATE AS day "
        f"FROM read_csv('{path}', header = false, auto_detect = false, columns = {columns}) "
        f"ORDER BY {time}"
    )
    path.unlink()
