"""A copy in ClickHouse: how fast it is made, and the filtered reports and funnels counted there."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import importlib.util
import pathlib
import re
import statistics
import tempfile
import time
import typing as t

from flask_eventtrack import EventTrack
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.library import Reports

from .databases import KINDS, version_of
from .history import Site, open_site
from .hosts import Place, make_app
from .report import (
    Table,
    Unavailable,
    at_least,
    at_most,
    progress,
    rounds,
    versions,
    whole,
)

TITLE = "The copy in ClickHouse"
_EVENTS, _QUICK_EVENTS = 10_000_000, 100_000
_DAYS = 365
_LIMIT = 500
_FROM = ("sqlite", "postgresql")
_FILTERS = {
    "is:device_type:desktop": "half of the sessions",
    "is_not:country:C0": "nearly all sessions",
    "is:page:/rule7": "the sessions that saw a page",
    "is:source:source29": "a fifteenth of the sessions",
}
_FUNNELS = {
    ("shop.action1", "shop.action2", "shop.action3"): "three events",
    ("page:/rule1", "page:/rule2", "page:/rule3"): "three pages",
    ("page.visit", "shop.action2"): "any page, then an event",
    ("page.visit", "page.visit"): "any two pages",
}
# A visitor has about two sessions, and a session about four events.
_SESSIONS = """
INSERT INTO eventtrack_session (id, uuid, device_id, person, started_at, last_seen_at, pages,
  events, visible_ms, site, source, utm_campaign, browser, os, device_type, language, country,
  channel, entry_rule, exit_rule, version)
SELECT reinterpretAsUUID(sipHash128(number)) AS id,
  reinterpretAsUUID(sipHash128('person', number % {people})) AS who, who, who,
  now64(6) - toIntervalSecond(intDiv(number * {seconds}, {sessions})) AS start,
  start + toIntervalSecond(cityHash64('d', number) % 900),
  if(cityHash64('p', number) % 100 < 45, 1, 2 + cityHash64('p', number) % 5) AS pages,
  pages + (pages > 1), 1000 * (cityHash64('v', number) % 300), 'shop.test',
  concat('source', toString(toUInt32(sqrt(cityHash64('s', number) % 900)))),
  if(number % 4 = 0, concat('campaign', toString(cityHash64('c', number) % 104)), NULL),
  ['Chrome', 'Firefox', 'Safari', 'Edge'][1 + cityHash64('b', number) % 4],
  ['Windows', 'macOS', 'iOS', 'Android'][1 + cityHash64('o', number) % 4],
  ['desktop', 'mobile'][1 + cityHash64('t', number) % 2], 'en',
  concat('C', toString(toUInt32(sqrt(cityHash64('l', number) % 3600)))), 'search',
  concat('/rule', toString(cityHash64('e', number) % 60)),
  concat('/rule', toString(cityHash64('x', number) % 60)), 1
FROM numbers({sessions})
"""
_INTO_EVENTS = """
INSERT INTO eventtrack_event (id, action, time, received_at, stored_at, uuid, session_id, site,
  url_rule, source, params, version)
SELECT reinterpretAsUUID(sipHash128('event', number)),
  if(number % 5 < 2, 'page.visit',
    concat('shop.action', toString(cityHash64('a', number) % 40))) AS a,
  now64(6) - toIntervalSecond(intDiv(number * {seconds}, {events})) AS at, at, at,
  reinterpretAsUUID(sipHash128('person', intDiv(number * {sessions}, {events}) % {people})),
  reinterpretAsUUID(sipHash128(intDiv(number * {sessions}, {events}))), 'shop.test',
  if(a = 'page.visit', concat('/rule', toString(cityHash64('r', number) % 60)), ''), 'browser',
  '{{"path": "/", "status": 200}}', 1
FROM numbers({events}) SETTINGS max_partitions_per_insert_block = 0
"""
_ORDERS = """
INSERT INTO eventtrack_transaction (id, time, stored_at, session_id, site, currency, amount,
  cancelled, version)
SELECT reinterpretAsUUID(sipHash128('order', number)),
  now64(6) - toIntervalSecond(intDiv(number * {seconds}, {orders})) AS at, at,
  reinterpretAsUUID(sipHash128(number * 24)), 'shop.test', 'EUR', 1000 + number % 500, 0, 1
FROM numbers({orders})
"""


def run(*, quick: bool) -> cabc.Iterator[Table]:
    events, number = (_QUICK_EVENTS, 2) if quick else (_EVENTS, 7)
    table = Table(
        f"The overview of 30 days in a copy of {events:,} events of a year, with its sessions and "
        "orders: all numbers, series and panels, whole.",
        ("filter", "matches", "median, ms", "slowest, ms", "target", "compared, ms"),
    )
    funnels = Table(
        "Funnels of 30 days in the same copy, by person, whole.",
        ("steps", "what", "people at the first", "median, ms", "slowest, ms"),
    )
    if importlib.util.find_spec("chdb") is None:
        table.notes.append("Skipped: chdb is not installed.")
        yield table
        return
    with tempfile.TemporaryDirectory() as folder, _open(pathlib.Path(folder), events) as reports:
        for text, matches in _FILTERS.items():
            alone = [_measure(reports, text, "none") for _ in rounds(number, text)]
            compared = [_measure(reports, text, "previous") for _ in range(number)]
            table.add(
                f"`{text}`",
                matches,
                whole(statistics.median(alone)),
                whole(max(alone)),
                at_most(_LIMIT),
                whole(statistics.median(compared)),
            )
        for steps, what in _FUNNELS.items():
            text = ", ".join(f"`{step}`" for step in steps)
            found = [_measure_funnel(reports, steps) for _ in rounds(number, text)]
            times, people = zip(*found, strict=True)
            funnels.add(
                text,
                what,
                whole(people[0]),
                whole(statistics.median(times)),
                whole(max(times)),
            )
    table.notes.append(
        f"{number} rounds, in {versions('chdb')} in the same process, which uses all processors. "
        "The rows are made there, into the tables of the copy, and not merged by hand."
    )
    yield table
    yield funnels
    yield _make_copies(*((10_000, 1) if quick else (600_000, 3)))


def _make_copies(events: int, number: int) -> Table:
    """Copy a history of three months with the command, into chdb in the same process."""
    table = Table(
        f"`flask eventtrack copy --anew` of {events:,} events of three months, with their sessions "
        "and orders.",
        ("from", "rows", "rows/s", "slowest", "target", "CPU, µs/row"),
    )
    for kind in _FROM:
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                open_site(kind, events, 90, EVENTTRACK_COMMIT_LOG=True) as site,
            ):
                place = f"clickhousedb:///default?interface=chdb&path={folder}/chdb"
                turns = [_copy(site, place) for _ in rounds(number, f"a copy from {KINDS[kind]}")]
                version = version_of(site.url)
        except Unavailable as error:
            table.notes.append(f"{KINDS[kind]} {error}")
            continue
        rows, speeds, costs = zip(*turns, strict=True)
        table.add(
            version,
            whole(rows[0]),
            whole(statistics.median(speeds)),
            whole(min(speeds)),
            at_least(50_000),
            whole(statistics.median(costs)),
        )
    table.notes.append(f"{number} rounds. CPU is that of the process, ClickHouse's part included.")
    return table


def _copy(site: Site, place: str) -> tuple[int, float, float]:
    """Make a copy; return its rows, how many of them a second, and the CPU of each, in µs."""
    began, cpu = time.perf_counter(), time.process_time()
    answer = site.app.test_cli_runner().invoke(args=["eventtrack", "copy", "--anew", "--to", place])
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert answer.exit_code == 0, answer.output
    found = re.search(r"([\d,]+) rows copied", answer.output)
    assert found, answer.output
    rows = int(found[1].replace(",", ""))
    return rows, rows / seconds, cpu / rows * 1_000_000


def _measure_funnel(reports: Reports, steps: tuple[str, ...]) -> tuple[float, int]:
    """Return the milliseconds that a funnel took, and how many people began it."""
    began = time.perf_counter()
    found = reports.funnel(steps, reports.period("30d"))
    milliseconds = (time.perf_counter() - began) * 1000
    assert found.cut is None
    assert found.steps[0].count
    return milliseconds, found.steps[0].count


def _measure(reports: Reports, text: str, comparison: t.Literal["none", "previous"]) -> float:
    began = time.perf_counter()
    found = reports.overview(reports.period("30d"), Filter.parse([text]), comparison=comparison)
    milliseconds = (time.perf_counter() - began) * 1000
    assert found.cut is None
    assert found.numbers.sessions
    return milliseconds


@contextlib.contextmanager
def _open(folder: pathlib.Path, number: int) -> cabc.Iterator[Reports]:
    from flask_eventtrack.clickhouse.server import connect, parse_place

    url = f"clickhousedb:///default?interface=chdb&path={folder / 'chdb'}"
    settings: dict[str, t.Any] = {"EVENTTRACK_COMMIT_LOG": True, "EVENTTRACK_REPORTS_URL": url}
    app, db = make_app(Place(folder), "copied", **settings)
    events = EventTrack(app, db)
    for action in range(40):
        events.define(f"shop.action{action}")
    with app.app_context():
        db.create_all()
        answer = app.test_cli_runner().invoke(args=["eventtrack", "copy", "--to", url])
        assert answer.exit_code == 0, answer.output
        server = connect(parse_place(url))
        sizes = {"events": number, "sessions": number // 4, "people": number // 9}
        sizes |= {"orders": number // 100, "seconds": _DAYS * 86_400}
        for statement in (_SESSIONS, _INTO_EVENTS, _ORDERS):
            progress("making rows in ClickHouse")
            server.run(statement.format(**sizes))
        server.close()
        yield events.reports
        events.reports.reader.close()
