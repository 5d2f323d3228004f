"""Hosts whose dashboard is open, visitors of them, and how to read what a page says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
import re
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from flask import request

from flask_eventtrack import EventTrack, track, track_transaction

from ..conftest import MakeHost
from ..hosts import FakeClock, Host

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@dataclasses.dataclass
class Put:
    sku: str
    price: float = 0.0


def open_dashboard(
    make: MakeHost, clock: FakeClock, permit: object = "manage", **config: t.Any
) -> Host:
    """Return a host whose dashboard everyone may see, with an event and an order page."""
    events = EventTrack(clock=clock)
    events.define("cart.put", anonymous=True)(Put)
    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": lambda: permit, **config}, events=events)

    @host.app.post("/cart/<sku>/<float:price>")
    def cart(sku: str, price: float) -> str:
        track("cart.put", {"sku": sku, "price": price})
        return ""

    @host.app.post("/order/<number>/<total>")
    def order(number: str, total: str) -> str:
        track_transaction(number, total, request.args.get("currency", "EUR"))
        return ""

    return host


def add_sessions(host: Host, *sessions: dict[str, t.Any], at: dt.datetime = NOON) -> None:
    """Store sessions of one page each, each of another person unless it says otherwise."""
    tables = host.state.pipeline.database.tables
    rows = []
    for session in sessions:
        person = session.get("person") or uuidlib.uuid4()
        started = session.get("started_at", at)
        row = {
            "id": uuidlib.uuid4(),
            "uuid": person,
            "person": person,
            "device_id": person,
            "started_at": started,
            "last_seen_at": started,
            "pages": 1,
            "events": 1,
            "site": "localhost",
            "source": "direct",
            "visible_ms": 0,
            **session,
        }
        rows.append(row)
    names = {name for row in rows for name in row}
    with host.state.pipeline.database.begin() as connection:
        connection.execute(
            sa.insert(tables.session), [{name: row.get(name) for name in names} for row in rows]
        )


def add_hours(host: Host, *counts: tuple[str, str, int], at: dt.datetime = NOON) -> None:
    """Store hourly totals: of an action, a URL rule and a number each."""
    tables = host.state.pipeline.database.tables
    with host.state.pipeline.database.begin() as connection:
        connection.execute(
            sa.insert(tables.hourly),
            [
                {"hour": at, "site": "localhost", "action": action, "url_rule": rule, "count": n}
                for action, rule, n in counts
            ],
        )


def look(host: Host, path: str = "/", **headers: str) -> str:
    """Return the text of a page that is there."""
    host.flush()
    response = host.client().get(f"/_et{path}", headers=headers)
    assert response.status_code == 200, response.text
    return response.text


def read_headline(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip()


def read_numbers(page: str) -> dict[str, tuple[str, str]]:
    """Return the numbers of the overview by name: the value and its change."""
    cells = re.findall(
        r'<span class="what">(.*?)</span> <b>(.*?)</b>\s*(?:<span class="delta[^>]*>(.*?)</span>)?',
        page,
    )
    return {name: (value, html.unescape(change)) for name, value, change in cells}


def read_rows(page: str, panel: str) -> list[tuple[str, ...]]:
    """Return the rows of a panel: label, number and share."""
    part = page.partition(f'id="{panel}"')[2].partition("</section>")[0].partition("<tbody>")[2]
    rows = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
    cells = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows)
    return [tuple(_strip(cell) for cell in row) for row in cells]


def read_table(page: str, kind: str = "full") -> list[list[str]]:
    """Return a table of details, or the one beside the chart, with its head."""
    start = f'<table class="{kind}">' if kind == "full" else '<details class="data">'
    part = page.partition(start)[2].partition("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", part, re.DOTALL)
    return [
        [_strip(c) for c in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
        for row in rows
    ]


def find_links(page: str, text: str) -> list[str]:
    """Return where the links with a text lead."""
    links = re.findall(r'<a\b[^>]*href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [html.unescape(href) for href, inner in links if _strip(inner) == text]


def _strip(text: str) -> str:
    bare = re.sub(r'<span class="cc".*?</span>|<svg.*?</svg>', "", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", bare)).split())
