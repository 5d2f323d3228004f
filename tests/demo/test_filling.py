"""`flask eventtrack demo-data`: the stored rows are those that the product would have written."""

from __future__ import annotations

import collections
import datetime as dt
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack import track
from flask_eventtrack.demo.filling import fill
from flask_eventtrack.store.fast_rows import read_rows
from flask_eventtrack.store.rows import TransactionRow
from flask_eventtrack.store.touches import columns_of, find_touches, read_profiles, touches_of
from tests.commands import run
from tests.conftest import MakeHost
from tests.hosts import Host

_Row = dict[str, t.Any]
_DERIVED = {"session.start", "session.end"}


def fill_host(host: Host, events: int = 1500, days: int = 9) -> None:
    with host.app.app_context():
        collections.deque(fill(host.state, events, days), maxlen=0)


def by_session(events: list[_Row]) -> dict[t.Any, list[_Row]]:
    found: dict[t.Any, list[_Row]] = collections.defaultdict(list)
    for row in events:
        found[row["session_id"]].append(row)
    return found


def recount(events: list[_Row]) -> _Row:
    """Return the columns of a session that its events tell."""
    own = [row for row in events if row["action"] not in _DERIVED]
    pages = [row for row in own if row["action"] == "page.visit"]
    return {
        "uuid": own[-1]["uuid"],
        "started_at": own[0]["time"],
        "last_seen_at": own[-1]["time"],
        "pages": len(pages),
        "events": len(own),
        "entry": pages[0]["params"]["path"],
        "entry_at": pages[0]["time"],
        "entry_rule": pages[0]["url_rule"],
        "exit": pages[-1]["params"]["path"],
        "exit_at": pages[-1]["time"],
        "exit_rule": pages[-1]["url_rule"],
        "referrer": pages[0]["params"].get("referrer"),
        "utm_campaign": pages[0]["params"].get("utm_campaign"),
        "utm_source": pages[0]["params"].get("utm_source"),
        "visible_ms": sum(row["params"].get("visible_ms", 0) for row in pages),
    }


def test_sessions_and_totals_are_what_a_recount_of_the_events_gives(db_host: Host) -> None:
    """On each database."""
    fill_host(db_host)
    events = db_host.rows("event", "time", "id")
    aliases = {row["anonymous_uuid"]: row["customer_uuid"] for row in db_host.rows("alias")}
    sessions = {row["id"]: row for row in db_host.rows("session")}
    assert aliases
    assert by_session(events).keys() == sessions.keys()
    for session_id, theirs in by_session(events).items():
        row, counted = sessions[session_id], recount(theirs)
        assert {name: row[name] for name in counted} == counted
        assert row["person"] == aliases.get(row["uuid"], row["uuid"])
        assert row["device_id"] in {row["uuid"], *aliases}
        starts, ends = (
            [e for e in theirs if e["action"] == name] for name in sorted(_DERIVED)[::-1]
        )
        assert [e["time"] for e in starts] == [row["started_at"] - dt.timedelta(microseconds=1)]
        assert len(ends) == (row["ended_at"] is not None)
        for end in ends:
            seconds = (row["last_seen_at"] - row["started_at"]).total_seconds()
            numbers = {"duration": seconds, "pages": row["pages"], "events": row["events"]}
            assert end["params"] == {**numbers, "reason": "timeout"}
            assert end["time"] == row["ended_at"] == row["last_seen_at"]
    assert read_totals(db_host) == count_totals(events)


def read_totals(host: Host) -> list[dict[tuple[t.Any, ...], int]]:
    names = {"hourly": ("hour", "action", "url_rule"), "quality": ("hour", "action", "outcome")}
    return [
        {
            tuple(row[name] for name in names[table]): row["count"]
            for row in host.rows(table)
            if row.get("outcome", "accepted") == "accepted"
        }
        for table in names
    ]


def count_totals(events: list[_Row]) -> list[dict[tuple[t.Any, ...], int]]:
    def hour(moment: dt.datetime) -> dt.datetime:
        return moment.replace(minute=0, second=0, microsecond=0)

    happened = ((hour(row["time"]), row["action"], row["url_rule"]) for row in events)
    accepted = (
        (hour(row["received_at"]), row["action"], "accepted")
        for row in events
        if row["action"] not in _DERIVED
    )
    return [dict(collections.Counter(happened)), dict(collections.Counter(accepted))]


def test_orders_have_the_amounts_of_their_events_and_the_touches_of_their_people(
    make: MakeHost,
) -> None:
    """As the store finds them in what is stored, with the lookback of the app."""
    host = make({"EVENTTRACK_LOOKBACK": dt.timedelta(minutes=5)})
    fill_host(host, 9000)
    charges = {row["id"]: row for row in host.events_of("transaction.charge")}
    bought: collections.Counter[str] = collections.Counter()
    for row in host.events_of("product.buy"):
        bought[row["params"]["order_id"]] += row["params"]["amount_minor"]
    tables = host.state.pipeline.database.tables
    with host.state.pipeline.database.read() as connection:
        orders = read_rows(connection, TransactionRow, sa.select(tables.transaction))
        touches = find_touches(connection, tables, orders, host.state.config.lookback)
    assert charges.keys() == {order.id for order in orders}
    assert len(orders) > 10
    assert any(order.uuid != order.person for order in orders)
    for order, found in zip(orders, touches, strict=True):
        params = charges[order.id]["params"]
        assert order.amount == params["total_minor"]
        assert order.amount + params["discount_minor"] == bought[params["order_id"]]
        assert {name: getattr(order, name) for name in columns_of(*found)} == columns_of(*found)


def test_profiles_have_the_touches_and_orders_of_their_people(host: Host) -> None:
    """And everyone who has an alias has a profile."""
    fill_host(host, 6000)
    tables = host.state.pipeline.database.tables
    profiles = {row["uuid"]: row for row in host.rows("profile")}
    assert profiles.keys() == {row["customer_uuid"] for row in host.rows("alias")}
    with host.state.pipeline.database.read() as connection:
        kept = read_profiles(connection, tables.profile, list(profiles))
        found = touches_of(connection, tables.session, "person", list(profiles))
    assert [kept[uuid] for uuid in profiles] == found
    orders = collections.Counter(row["uuid"] for row in host.rows("transaction"))
    logins = collections.Counter(row["uuid"] for row in host.events_of("customer.login"))
    traits = {(row["uuid"], row["name"]): row["value"] for row in host.rows("trait")}
    assert len(traits) == sum(len(row["traits"]) for row in profiles.values())
    for uuid, row in profiles.items():
        assert traits[uuid, "email"] == row["traits"]["email"]
        assert traits[uuid, "name"] == row["traits"]["name"].lower()
        assert row["traits"].get("orders", 0) == orders[uuid]
        assert uuid == host.state.profile_of(row["customer_id"])
        assert logins[uuid] in {1, 2}


def test_chores_find_nothing_left_to_do(host: Host) -> None:
    """Sessions are swept, and aliases and orders settled, but for those of the last minutes."""
    fill_host(host)
    late = host.clock.moment - dt.timedelta(minutes=2)
    for table, column in (("alias", "applied_at"), ("transaction", "settled_at")):
        rows = host.rows(table)
        assert all(row["stored_at"] > late for row in rows if row[column] is None)
        assert any(row[column] for row in rows)
    assert host.state.pipeline.sweep() == []


def test_indexes_are_there_again(host: Host) -> None:
    """They are removed while an empty SQLite file is filled."""
    fill_host(host, 50, 1)
    assert "ET023" not in run(host, "doctor").output
    with host.state.pipeline.database.read() as connection:
        indexes = sa.inspect(connection).get_indexes("eventtrack_event")
    assert len(indexes) == len(host.state.pipeline.database.tables.event.indexes)


# The command


def test_command_says_what_it_has_made(host: Host) -> None:
    """About as many events as it was asked for."""
    answer = run(host, "demo-data", "--events", "400", "--days", "3")
    assert answer.exit_code == 0
    events, sessions, orders = (
        len(host.rows(name)) for name in ("event", "session", "transaction")
    )
    assert 400 <= events < 480
    assert f"Made {events} events in {sessions} sessions and {orders} order" in answer.output


def test_command_refuses_a_database_with_events(host: Host) -> None:
    """It says how many there are, and adds to them if it is told to."""
    with host.app.app_context():
        track("page.visit", {"url": "https://a.example/"}, customer="42")
    answer = run(host, "demo-data", "--events", "100", "--days", "2")
    assert answer.exit_code == 1
    assert "The database holds 1 event, " in answer.output
    assert "--force" in answer.output
    assert len(host.rows("event")) == 1
    answer = run(host, "demo-data", "--events", "400", "--days", "2", "--force")
    assert answer.exit_code == 0
    assert len(host.rows("event")) > 400
    ids = {row["customer_id"] for row in host.rows("profile")} - {"42"}
    assert ids
    assert all(each.startswith("demo0-") for each in ids)


def test_command_says_when_reports_have_to_count_again(host: Host) -> None:
    """Days that were counted without the made-up sessions."""
    assert "rebuild-reports" not in run(host, "demo-data", "--events", "40", "--days", "1").output
    database = host.state.pipeline.database
    day = host.clock.moment.date()
    with database.begin() as connection:
        row = {"id": 1, "zone": "UTC", "since": day, "until": day}
        connection.execute(database.tables.closed.insert(), row)
    arguments = ("--events", "40", "--days", "1", "--seed", "1", "--force")
    assert "rebuild-reports" in run(host, "demo-data", *arguments).output


def test_the_same_history_is_not_added_twice(host: Host) -> None:
    """Another seed is."""
    for seed, code in (("1", 0), ("1", 1), ("2", 0)):
        answer = run(host, "demo-data", "--events", "60", "--days", "1", "--seed", seed, "--force")
        assert answer.exit_code == code
        if code:
            assert "Choose another seed than 1." in answer.output


@pytest.mark.parametrize(
    ("option", "value"), [("--events", "0"), ("--days", "0"), ("--days", "4000"), ("--seed", "-1")]
)
def test_command_refuses_numbers_that_make_no_history(host: Host, option: str, value: str) -> None:
    """The message names the range."""
    answer = run(host, "demo-data", option, value)
    assert answer.exit_code == 2
    assert f"Invalid value for '{option}': {value} is not in the range" in answer.output


def test_history_is_of_the_site_that_a_setting_names(make: MakeHost) -> None:
    """With its host in the URLs."""
    host = make({"EVENTTRACK_SITES": ["*.example.org", "shop.example.org"]})
    fill_host(host, 50, 1)
    assert {row["site"] for row in host.rows("session")} == {"shop.example.org"}
    for row in host.events_of("page.visit"):
        assert row["params"]["url"].startswith("http://shop.example.org/")


def test_hours_are_those_of_the_time_zone_of_the_site(make: MakeHost) -> None:
    """The same history is half a day later on the other side of the earth."""
    host = make({"EVENTTRACK_TIMEZONE": "Pacific/Auckland"})
    fill_host(host, 3000, 4)
    hours = collections.Counter(row["started_at"].hour for row in host.rows("session"))
    assert hours[8] > 2 * hours[14]  # 21:00 and 3:00 there


def test_what_went_wrong_is_told_by_the_pages(make: MakeHost) -> None:
    """The checkout broke last Tuesday, on the way from the basket; an event has a wrong name."""
    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": lambda: "manage"})
    fill_host(host, 9000)
    today = host.state.pipeline.writer.now.date()
    tuesday = today - dt.timedelta(days=(today.weekday() - 2) % 7 + 1)
    [broken] = [row for row in read_errors(host, tuesday) if row["status"] == 500]
    assert broken["route"] == "/checkout"
    assert broken["came_from"][0]["name"] == "/basket"
    assert 500 not in {row["status"] for row in read_errors(host, tuesday - dt.timedelta(days=1))}
    with host.app.app_context():
        rows = host.state.reports.quality(host.state.reports.period("30d")).rows
    told = {(row.outcome, row.action, row.reason) for row in rows}
    assert ("rejected", "newsletter.sign_up", "undefined_event") in told
    assert ("undefined", "product.addToCart", "colour") in told


def read_errors(host: Host, day: dt.date) -> list[_Row]:
    query = {"period": "custom", "from": day.isoformat(), "to": day.isoformat()}
    answer = host.app.test_client().get("/_et/routes.json", query_string=query)
    errors: list[_Row] = answer.get_json()["errors"]
    return errors
