"""A history of ours in Runlight's own tables, as its tracker and its writer would have filled them.

``runlight`` is imported where it is needed, since it may not be installed.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import hashlib
import json
import pathlib
import secrets
import sqlite3
import typing as t

import sqlalchemy as sa

from flask_eventtrack.records import CAMPAIGN, PAGE_VISIT, SESSION_END, SESSION_START
from flask_eventtrack.store.local_days import day_of

from .history import Site
from .report import progress

SITE = "default"
_HOST = "shop.example"
_AT_ONCE = 5000
_DERIVED = (SESSION_START, SESSION_END)
_SESSION = (
    *("id", "site", "visitor", "started_at", "last_at", "entry_path", "exit_path", "pageviews"),
    *("events", "engaged_ms", "hostname", "referrer_host", "referrer_path", "source", "channel"),
    *(*CAMPAIGN, "country", "browser", "os", "device", "language", "screen"),
)
_EVENT = (
    *("site", "ts", "kind", "visitor", "session", "pageview", "path", "hostname", "title", "name"),
    *("props", "engaged_ms", "scroll"),
)
_Row = tuple[t.Any, ...]


class _Refused:
    """Makes none of Runlight's requests to elsewhere: it would look for the site's icon."""

    def fetch(self, url: str, init: object = None) -> t.NoReturn:
        from runlight.http.fetcher import FetchError

        raise FetchError(f"{url} is not asked")


def make_runlight(path: pathlib.Path, zone: str) -> t.Any:
    """Return Runlight on a SQLite file."""
    from runlight import Runlight, Stores

    site = {"id": SITE, "name": "Shop", "hostnames": [_HOST], "timezone": zone}
    return Runlight(store=Stores.sqlite(str(path)), site=site, fetcher=_Refused())


def convert(site: Site, path: pathlib.Path) -> t.Any:
    """Write the history of a site on SQLite; return Runlight with it, without its rollups."""
    runlight = make_runlight(path, str(site.state.config.timezone))
    runlight.init()
    history = _History(site)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        _insert(connection, "rl_events", _EVENT, history.iter_events())
        _insert(connection, "rl_sessions", _SESSION, history.iter_sessions())
    runlight.store.optimize()
    return runlight


def build_rollups(runlight: t.Any) -> None:
    """Run its scheduled command, which adds up ten days, until all days are added up."""
    built = -1
    while built != (built := len(runlight.store.rollup_days(SITE))):
        runlight.check()


def _insert(
    connection: sqlite3.Connection,
    table: str,
    columns: tuple[str, ...],
    rows: cabc.Iterable[_Row],
) -> None:
    progress(f"Runlight: {table}")
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


class _History:
    """Our rows as rows of Runlight, in the order of their time."""

    def __init__(self, site: Site) -> None:
        self._zone = site.state.config.timezone
        self._engine = sa.create_engine(site.url, poolclass=sa.NullPool)
        self._tables = site.state.reports.reader.tables
        self._visitors: dict[str, str] = {}
        self._screens: dict[str, str] = {}
        self._attribute = functools.cache(_attribute)

    def iter_sessions(self) -> cabc.Iterator[_Row]:
        """Yield the rows of visits. A visitor is a device on one day, as Runlight counts them."""
        for row in self._read(self._tables.session, "started_at"):
            session = row.id.hex
            campaign = tuple(row._mapping[name] or "" for name in CAMPAIGN)
            described = (row.country, row.browser, row.os, row.device_type, row.language)
            yield (
                *(session, SITE, self._visitor_of(row), _ms(row.started_at), _ms(row.last_seen_at)),
                *(row.entry or "", row.exit or "", row.pages, row.events - row.pages),
                *(row.visible_ms, _HOST, *self._attribute(row.referrer or "", campaign), *campaign),
                *(value or "" for value in described),
                self._screens.get(session, ""),
            )

    def iter_events(self) -> cabc.Iterator[_Row]:
        """Yield the rows of page views, of their time in view, and of other events."""
        self._visitors = {
            row.id.hex: self._visitor_of(row)
            for row in self._read(self._tables.session, "started_at")
        }
        for row in self._read(self._tables.event, "time"):
            if row.action not in _DERIVED:
                yield from self._iter_rows(row)

    def _iter_rows(self, row: t.Any) -> cabc.Iterator[_Row]:
        session, params, at = row.session_id.hex, row.params, _ms(row.time)
        visitor = self._visitors[session]
        if row.action != PAGE_VISIT:
            props = json.dumps({name: str(value) for name, value in params.items()})
            named = (visitor, session, "", "", _HOST, "", row.action)
            yield (SITE, at, "event", *named, props, 0, None)
            return
        self._screens.setdefault(session, params.get("screen", ""))
        view, path = secrets.token_hex(6), params["path"]
        shared = (visitor, session, view, path, _HOST)
        yield (SITE, at, "pageview", *shared, params.get("title", ""), "", None, 0, None)
        if visible := params.get("visible_ms"):
            scroll = params.get("scroll")
            yield (SITE, at + visible, "engagement", *shared, "", "", None, visible, scroll)

    def _visitor_of(self, session: t.Any) -> str:
        day = day_of(session.started_at, self._zone)
        return hashlib.sha256(f"{day}{session.device_id}".encode()).hexdigest()[:16]

    def _read(self, table: sa.Table, order: str) -> cabc.Iterator[t.Any]:
        query = sa.select(table).order_by(table.c[order])
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=_AT_ONCE).execute(query)


def _attribute(referrer: str, campaign: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a visit came from, in Runlight's own words."""
    from runlight.sources import attribute

    utm = {name.removeprefix("utm_"): value for name, value in zip(CAMPAIGN, campaign, strict=True)}
    page = {"hostname": _HOST, "path": "/", "utm": utm, "ref": "", "paid": False}
    found = attribute(page, referrer, [_HOST])
    return tuple(found[name] for name in ("referrerHost", "referrerPath", "source", "channel"))


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)
