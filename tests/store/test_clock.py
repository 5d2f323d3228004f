"""A clock that is wrong: what seems old by it alone is kept."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION, START, FakeClock, Host
from .records import an_event, an_id, quality, write_records

DAY = dt.timedelta(days=1)
CONFIG = {"EVENTTRACK_RETENTION": 30 * DAY}
JUMPS = [35, 730, 20_000]


def days_ago(host: Host, *ages: float) -> None:
    for days in ages:
        moment = host.clock.moment - days * DAY
        event = an_event(time=moment, received_at=moment, id=an_id(-days), session=None)
        write_records(host, event)


def count(host: Host) -> int:
    return host.actions()["order.ship"]


@pytest.fixture
def real_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock that stands at what the databases' own clocks say."""
    return FakeClock(dt.datetime.now(dt.UTC).replace(microsecond=0))


@pytest.fixture
def now_host(make: MakeHost, real_clock: FakeClock, database_url: str) -> Host:
    from flask_eventtrack import EventTrack

    host = make(CONFIG, url=database_url, events=EventTrack(clock=real_clock))
    return host._replace(clock=real_clock)


@pytest.mark.parametrize("days", JUMPS)
def test_a_clock_that_is_ahead_prunes_what_is_old_by_the_databases(
    now_host: Host, days: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest waits for --yes, and the log says so."""
    days_ago(now_host, 1, 29, 31, 400)
    now_host.clock.advance(days=days)
    assert sum(removed.events for removed in now_host.state.pipeline.prune()) == 2
    assert "The clock may be wrong: this machine's clock says " in caplog.text
    answer = run(now_host, "prune")
    assert answer.exit_code == 1
    assert "run this command with --yes" in answer.output
    assert count(now_host) == 2
    assert run(now_host, "prune", "--yes").exit_code == 0
    assert count(now_host) == 0


@pytest.mark.parametrize("days", [31, 730])
def test_a_clock_that_is_ahead_on_all_machines_is_known_by_the_newest_rows(
    make: MakeHost, days: float, clock: FakeClock
) -> None:
    """The database's may be the same clock: nothing was stored for as long as it jumped."""
    clock.advance(days=-1000)
    host = make(CONFIG)
    days_ago(host, 1, 40)
    clock.advance(days=days)
    days_ago(host, 0)  # an event of after the jump proves nothing
    assert run(host, "prune").exit_code == 1
    assert count(host) == 2
    assert run(host, "prune", "--yes").exit_code == 0
    assert count(host) == 1
    clock.advance(days=29)
    assert run(host, "prune").exit_code == 0


def test_a_site_that_is_used_prunes_by_itself(make: MakeHost, clock: FakeClock) -> None:
    """A pause of less than a retention raises no doubt, nor do many of them."""
    clock.advance(days=-1000)
    host = make(CONFIG)
    for _ in range(12):
        days_ago(host, 0)
        clock.advance(days=25)
        answer = run(host, "prune")
        assert answer.exit_code == 0, answer.output
    assert count(host) == 1


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_thread_waits_for_yes_as_well(
    now_host: Host, make: MakeHost, monkeypatch: pytest.MonkeyPatch, caplog: t.Any
) -> None:
    """It says so once a day, and its mark makes no later run believe the clock."""
    writer = now_host.state.pipeline.writer
    monkeypatch.setattr(
        writer, "_hooks", _with(writer._hooks, config=_with(now_host.state.config, prune=True))
    )
    days_ago(now_host, 1, 31)
    now_host.clock.advance(days=730)
    for _ in range(3):
        list(writer.prune_daily() or ())
    assert caplog.text.count("The clock may be wrong") == 1
    assert count(now_host) == 1
    now_host.clock.advance(days=1)
    list(writer.prune_daily() or ())
    assert count(now_host) == 1
    assert {key for key in quality(now_host) if key[0] == "pruned"} == {("pruned", "", "doubted")}


def _with(value: t.Any, **changes: t.Any) -> t.Any:
    import dataclasses

    return dataclasses.replace(value, **changes)


@pytest.mark.parametrize("hours", [2, 24, 17_520])
def test_a_clock_that_is_ahead_ends_nobodys_session(now_host: Host, hours: float) -> None:
    """By the database's clock it was active a moment ago."""
    now_host.client().get("/", headers=NAVIGATION)
    now_host.flush()
    now_host.clock.advance(hours=hours)
    assert now_host.state.pipeline.sweep() == []
    now_host.clock.advance(hours=-hours)
    assert now_host.state.pipeline.sweep() == []


def test_a_session_that_a_wrong_clock_began_ends_by_that_clock(now_host: Host) -> None:
    """Its times are from the same clock."""
    now_host.clock.advance(days=730)
    now_host.client().get("/", headers=NAVIGATION)
    now_host.flush()
    now_host.clock.advance(hours=1)
    assert len(now_host.state.pipeline.sweep()) == 1


def test_a_wrong_clock_leaves_the_salts_of_others(now_host: Host) -> None:
    """Those of today stay, and its own go once the clock is right."""
    table = now_host.state.pipeline.database.tables.salt
    today = now_host.clock.moment.date()
    with now_host.state.pipeline.database.begin() as connection:
        connection.execute(table.insert(), [{"day": today, "salt": "x"}])
    now_host.clock.advance(days=730)
    with now_host.state.pipeline.database.begin() as connection:
        connection.execute(table.insert(), [{"day": today + 730 * DAY, "salt": "y"}])
    now_host.state.pipeline.sweep()
    assert len(now_host.rows("salt")) == 2
    now_host.clock.advance(days=-730)
    now_host.state.pipeline.sweep()
    assert [row["day"] for row in now_host.rows("salt")] == [today]


BOUNDARIES = [
    dt.datetime(2026, 12, 31, 23, 59, 30, tzinfo=dt.UTC),
    dt.datetime(2028, 2, 28, 23, 59, 30, tzinfo=dt.UTC),
    dt.datetime(2028, 2, 29, 23, 59, 30, tzinfo=dt.UTC),
    dt.datetime(2027, 3, 28, 0, 59, 30, tzinfo=dt.UTC),  # Europe's clocks go forward
    dt.datetime(2026, 10, 25, 0, 59, 30, tzinfo=dt.UTC),  # and back
    dt.datetime(2027, 3, 14, 6, 59, 30, tzinfo=dt.UTC),  # New York's
]


@pytest.fixture(params=BOUNDARIES, ids=str)
def boundary(request: pytest.FixtureRequest, clock: FakeClock) -> dt.datetime:
    """Half a minute before a year, a leap day or an hour that clocks change ends."""
    moment: dt.datetime = request.param
    clock.advance(seconds=(moment - START).total_seconds())
    return moment


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[str]:
    """The time zone of the process."""
    import time

    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_hours_and_sessions_at_a_boundary(
    make: MakeHost, boundary: dt.datetime, zone: str, clock: FakeClock
) -> None:
    """Each event counts in its own UTC hour; a session goes on, and ends once, with its length."""
    host = make({"EVENTTRACK_DEFAULT_POLICY": "full"})
    client = host.client()
    for _ in range(2):
        client.get("/", headers=NAVIGATION)
        clock.advance(minutes=1)
    hours = {
        row["hour"]: row["count"] for row in host.rows("hourly") if row["action"] == "page.visit"
    }
    start = boundary.replace(minute=0, second=0)
    assert hours == {start: 1, start + dt.timedelta(hours=1): 1}
    clock.advance(minutes=40)
    assert len(host.state.pipeline.sweep()) == 1
    [end] = host.events_of("session.end")
    assert end["params"]["duration"] == 60.0
    assert end["time"] == boundary + dt.timedelta(minutes=1)


def test_salts_and_retention_at_a_boundary(
    make: MakeHost, boundary: dt.datetime, zone: str, clock: FakeClock
) -> None:
    """A salt lives for its UTC day and the next; the day's pruning is claimed once a UTC day."""
    host = make({**CONFIG, "EVENTTRACK_DEFAULT_POLICY": "anonymous", "EVENTTRACK_PRUNE": True})
    days_ago(host, 29.9, 30.1)
    host.client().get("/", headers=NAVIGATION)
    assert [row["day"] for row in host.rows("salt")] == [boundary.date()]
    writer = host.state.pipeline.writer
    list(writer.prune_daily() or ())
    assert count(host) == 1
    assert writer.prune_daily() is None
    midnight = boundary.replace(hour=0, minute=0, second=0) + DAY
    clock.advance(seconds=(midnight - boundary).total_seconds())
    assert writer.prune_daily() is not None
    for salts in (1, 0):
        host.state.pipeline.sweep()
        assert len(host.rows("salt")) == salts
        clock.advance(days=1)
        host.state.pipeline.sweep()
