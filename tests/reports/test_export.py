"""Access: an export has all of a person."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest

from flask_eventtrack import track
from flask_eventtrack.identity.visitor import customer_uuid

from ..hosts import NAVIGATION, Host
from ..manual import run_blocks
from ..store.people import (
    ADA,
    ADA_UUID,
    BOB,
    BOB_UUID,
    browse,
    events_of,
    export,
    forget,
    strangers_of,
)
from ..store.records import an_event, an_id, write_records

# Access


def test_an_export_has_all_of_a_person(shop: Host) -> None:
    """Profile, aliases, sessions, events of all devices; the oldest first, ready for JSON."""
    browse(shop, "/", ADA)
    browse(shop, "/products/tea", ADA)
    browse(shop, "/", BOB)
    items = export(shop, ADA)
    kinds = [item["type"] for item in items]
    assert kinds == ["profile", *["alias"] * 2, *["session"] * 2, *["event"] * 6]
    assert json.loads(json.dumps(items)) == items
    assert items[0]["traits"] == {"name": "Lovelace"}
    assert items[0]["uuid"] == str(ADA_UUID)
    times = [item["time"] for item in items if item["type"] == "event"]
    moments = list(map(dt.datetime.fromisoformat, times))
    assert moments == sorted(moments)
    assert moments[0].tzinfo == dt.UTC
    assert not any(item.get("uuid") == str(BOB_UUID) for item in items)
    columns = {column.name for column in shop.state.pipeline.database.tables.event.columns}
    assert set(items[-1]) == columns | {"type"}


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_an_export_is_read_in_pages(shop: Host, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """Nothing is left out or comes twice, also among events of the same moment."""
    monkeypatch.setattr("flask_eventtrack.reports.export._PAGE", page)
    profiles = [ADA_UUID, *strangers_of(shop, 5)]
    events = [
        an_event(seconds=n // 15, uuid=profiles[n % 11 % 6], id=an_id(n), session=None)
        for n in range(30)
    ]
    write_records(shop, *events)
    found = [item for item in export(shop, ADA) if item["type"] == "event"]
    assert sorted(item["id"] for item in found) == sorted(str(event.id) for event in events)
    assert [item["time"] for item in found] == sorted(item["time"] for item in found)


def test_an_export_reads_when_it_is_asked(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads one page at a time; rows that are erased meanwhile are left out."""
    monkeypatch.setattr("flask_eventtrack.reports.export._PAGE", 2)
    strangers = strangers_of(shop, 5)
    events = [
        an_event(seconds=n, uuid=strangers[n // 2], id=an_id(n), session=None) for n in range(10)
    ]
    write_records(shop, *events)
    with shop.app.app_context():
        items = shop.events.export(ADA)
    assert [next(items)["type"] for _ in range(7)] == ["profile", *["alias"] * 5, "event"]
    forget(shop, ADA)
    assert [item["id"] for item in items] == [str(events[1].id)]


# The guide


def test_the_guide_erases_and_exports(host: Host) -> None:
    """Its examples run, and do what it says."""
    browse_as = run_blocks("docs/howto/erase-and-export.md", vars_of(host))
    client = host.client()
    client.get("/", headers=NAVIGATION)
    with host.app.app_context():
        track("order.ship", {}, customer="7")
    host.clock.advance(seconds=1)
    answer = client.get("/account/7/data")
    assert [json.loads(line)["type"] for line in answer.text.splitlines()] == ["event"]
    host.clock.advance(seconds=1)
    assert client.post("/account/7/delete").status_code == 303
    assert browse_as["told"] == ["7"]
    assert events_of(host, customer_uuid("flask-eventtrack", "7")) == []


def vars_of(host: Host) -> dict[str, t.Any]:
    host.events.define("order.ship")
    return {"app": host.app, "events": host.events}
