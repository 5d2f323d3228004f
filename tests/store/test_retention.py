"""Retention: events past their period are removed in small batches, and totals stay."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack import EventTrack
from flask_eventtrack.errors import ConfigError, InvalidDefinition
from flask_eventtrack.store.retention import Pruned, Retention

from ..conftest import MakeHost
from ..hosts import NAVIGATION, START, FakeClock, Host
from ..manual import run_blocks
from ..pipeline.waiting import refused, wait_until
from .records import NAIVE, an_event, an_id, quality, totals, write_records

DAY = dt.timedelta(days=1)
YEAR = dt.timedelta(days=365)


def prune(host: Host) -> Pruned:
    total = Pruned()
    with host.app.app_context():
        for more in host.state.pipeline.prune():
            total += more
    return total


def days_ago(host: Host, days: float, action: str = "order.ship") -> None:
    """Write an event that happened some days ago."""
    moment = host.clock.moment - dt.timedelta(days=days)
    event = an_event(action, time=moment, received_at=moment, id=an_id(-days), session=None)
    write_records(host, event)


def ages(host: Host, action: str = "order.ship") -> list[float]:
    """Return how many days old an action's events are."""
    return [(host.clock.moment - row["time"]) / DAY for row in host.events_of(action)]


@pytest.mark.parametrize(
    ("keep", "setting", "left"),
    [
        (None, None, [400, 40, 31, 30, 1]),
        (None, 30 * DAY, [30, 1]),
        (None, 30 * 86_400, [30, 1]),
        (None, {"*": 30 * DAY}, [30, 1]),
        (None, {"order.*": 30 * DAY, "*": DAY}, [30, 1]),
        (None, {"order.ship": YEAR, "order.*": DAY}, [40, 31, 30, 1]),
        (None, {"page.*": DAY}, [400, 40, 31, 30, 1]),
        (30 * DAY, None, [30, 1]),
        (30 * 86_400, YEAR, [30, 1]),
        (YEAR, DAY, [40, 31, 30, 1]),
        (dt.timedelta.max, DAY, [400, 40, 31, 30, 1]),
    ],
)
def test_each_event_is_kept_as_long_as_is_said(
    make: MakeHost, database_url: str, keep: t.Any, setting: t.Any, left: list[float]
) -> None:
    """By its definition, else by the first pattern that fits, else for ever; totals stay."""
    host = make({"EVENTTRACK_RETENTION": setting}, url=database_url)
    host.events.define("order.ship", keep=keep)
    for days in (400, 40, 31, 30, 1):
        days_ago(host, days)
    before = totals(host)
    assert prune(host) == Pruned(events=5 - len(left))
    assert ages(host) == left
    assert totals(host) == before
    assert prune(host) == Pruned()


def test_sessions_go_with_their_events(make: MakeHost, database_url: str) -> None:
    """A session that is over is kept as long as session.end; a silent one is ended first."""
    host = make({"EVENTTRACK_RETENTION": 30 * DAY}, url=database_url)
    host.clock.advance(days=-100)  # a clock ahead of the database's is not believed
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    host.clock.advance(days=29)
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    host.clock.advance(days=2)
    assert prune(host) == Pruned(events=3, sessions=1)
    assert host.actions() == {"page.visit": 1, "session.start": 1, "session.end": 1}
    [session] = host.rows("session")
    assert session["started_at"] == START - 71 * DAY


def test_a_late_event_of_a_session_that_is_gone_starts_it_once(
    make: MakeHost, database_url: str
) -> None:
    """A browser may have kept it offline: the start that is still there is not counted again."""
    host = make({"EVENTTRACK_RETENTION": {"session.end": DAY}}, url=database_url)
    write_records(host, an_event(seconds=1))
    host.clock.advance(hours=1)
    host.state.pipeline.sweep()
    before = totals(host)
    host.clock.advance(days=2)
    assert prune(host) == Pruned(events=1, sessions=1)
    write_records(host, an_event("order.late", seconds=2))
    assert host.actions() == {"session.start": 1, "order.ship": 1, "order.late": 1}
    [session] = host.rows("session")
    assert session["events"] == 1
    [late] = totals(host).keys() - before.keys()
    assert late[2] == "order.late"


def test_what_was_set_aside_goes_too(make: MakeHost, database_url: str) -> None:
    """By its action."""
    host = make({"EVENTTRACK_RETENTION": {"order.ship": DAY}}, url=database_url)
    for number, action in enumerate(("order.ship", "order.other")):
        write_records(host, an_event(action, time=NAIVE, id=an_id(number), session=None))
    assert prune(host) == Pruned()
    host.clock.advance(days=2)
    assert prune(host) == Pruned(rejected=1)
    assert [row["action"] for row in host.rows("rejected")] == ["order.other"]


def test_profiles_stay(make: MakeHost) -> None:
    """A customer is not an event: only forget() removes them."""
    host = make({"EVENTTRACK_RETENTION": DAY})

    @host.app.post("/login")
    def login() -> str:
        host.events.identify("7")
        return "welcome"

    host.client().post("/login")
    host.flush()
    host.clock.advance(days=2)
    assert prune(host).events == 3
    assert (len(host.rows("profile")), len(host.rows("alias")), host.rows("event")) == (1, 1, [])


def test_much_is_removed_in_batches(
    make: MakeHost, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, a transaction each, also among those of one moment."""
    monkeypatch.setattr("flask_eventtrack.store.retention.BATCH_SIZE", 10)
    host = make({"EVENTTRACK_RETENTION": {"a.b": DAY, "order.ship": 2 * DAY}}, url=database_url)
    for number in range(25):
        moment = START - dt.timedelta(days=5 + number // 12)
        for action in ("a.b", "order.ship", "kept.kept"):
            event = an_event(action, time=moment, id=an_id(number + len(action)), session=None)
            write_records(host, event)
    with host.app.app_context():
        batches = host.state.pipeline.prune()
        assert next(batches) == Pruned(events=10)
        assert len(host.rows("event")) == 65
        assert [batch.events for batch in batches] == [10, 5, 10, 10, 5]
    assert host.actions() == {"kept.kept": 25}


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_an_event_that_is_held_is_left_to_the_next_run(make: MakeHost, database_url: str) -> None:
    """No run waits: rows that another transaction holds stay until the next one."""
    host = make({"EVENTTRACK_RETENTION": DAY}, url=database_url)
    days_ago(host, 5)
    days_ago(host, 4)
    table = host.state.pipeline.database.tables.event
    with host.app.app_context(), host.db.engine.begin() as connection:
        oldest = sa.select(table.c.id).order_by(table.c.time).limit(1).with_for_update()
        connection.execute(oldest)
        assert prune(host) == Pruned(events=1)
    assert prune(host) == Pruned(events=1)


# Daily


def wait_for_chores(host: Host) -> None:
    """Wait until the thread has done twice what it does every minute."""
    done: list[object] = []
    writer, sweep = host.state.pipeline.writer, host.state.pipeline.writer.sweep

    def note() -> t.Any:
        done.append(None)
        return sweep()

    writer.sweep = note  # type: ignore[method-assign]
    wait_until(lambda: len(done) > 2)
    writer.sweep = sweep  # type: ignore[method-assign]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)


@pytest.mark.usefixtures("hasty")
def test_the_thread_prunes_daily_where_it_is_asked_to(make: MakeHost, database_url: str) -> None:
    """Once a UTC day, whichever process comes first."""
    config = {"EVENTTRACK_RETENTION": DAY, "EVENTTRACK_PRUNE": True}
    first = make(config, url=database_url)
    second = make(config, url=database_url, create=False)
    days_ago(first, 5)
    for host in (first, second):
        host.client().get("/", headers=NAVIGATION)
        host.flush()
    wait_until(lambda: ages(first) == [])
    wait_until(lambda: not any(h.state.pipeline.chores._pruning for h in (first, second)))
    days_ago(first, 5)
    wait_for_chores(first)
    wait_for_chores(second)
    assert ages(first) == [5]
    assert len([key for key in quality(first) if key[0] == "pruned"]) == 1
    first.clock.advance(days=1)
    wait_until(lambda: ages(first) == [])
    assert len([row for row in first.rows("quality") if row["outcome"] == "pruned"]) == 2


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_of_two_that_begin_a_day_at_once_one_prunes(make: MakeHost, database_url: str) -> None:
    """The other has looked already, and finds at its insert that it was second."""
    config = {"EVENTTRACK_RETENTION": DAY, "EVENTTRACK_PRUNE": True}
    first = make(config, url=database_url).state.pipeline.writer
    second = make(config, url=database_url, create=False).state.pipeline.writer
    begun: list[object] = []

    def be_faster(*args: t.Any) -> None:
        if args[2].startswith("INSERT INTO eventtrack_quality") and not begun:
            begun.append(None)
            begun.append(first.prune_daily())

    sa.event.listen(sa.Engine, "before_cursor_execute", be_faster)
    try:
        assert second.prune_daily() is None
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", be_faster)
    assert begun[1] is not None


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "config",
    [{"EVENTTRACK_RETENTION": DAY}, {"EVENTTRACK_PRUNE": True}],
    ids=["retention", "prune"],
)
def test_nothing_is_removed_that_nobody_asked_for(make: MakeHost, config: dict[str, t.Any]) -> None:
    """The thread prunes if it is told to, and if there is a retention."""
    host = make(config)
    host.client().get("/", headers=NAVIGATION)
    days_ago(host, 5)
    host.flush()
    wait_for_chores(host)
    assert ages(host) == [5]
    assert not [row for row in host.rows("quality") if row["outcome"] == "pruned"]


@pytest.mark.usefixtures("hasty")
def test_events_are_written_while_the_thread_prunes(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come first: a long run does not keep them waiting."""
    monkeypatch.setattr("flask_eventtrack.store.retention.BATCH_SIZE", 1)
    host = make({"EVENTTRACK_RETENTION": DAY, "EVENTTRACK_PRUNE": True})
    for number in range(300):
        days_ago(host, 5 + number / 100)
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    wait_until(lambda: len(ages(host)) < 300)
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    assert host.actions()["page.visit"] == 2
    wait_until(lambda: ages(host) == [], seconds=60)


@pytest.mark.usefixtures("hasty")
def test_pruning_that_fails_goes_on_the_next_day(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once; events are written meanwhile."""
    host = make({"EVENTTRACK_RETENTION": DAY, "EVENTTRACK_PRUNE": True})
    days_ago(host, 5)
    with refused(host, "DELETE ON eventtrack_event"):
        host.client().get("/", headers=NAVIGATION)
        wait_until(lambda: bool(caplog.messages))
        wait_for_chores(host)
    assert ages(host) == [5]
    assert host.actions()["page.visit"] == 1
    [message] = caplog.messages
    assert message.startswith("Pruning failed, and goes on tomorrow: ")
    host.clock.advance(days=1)
    wait_until(lambda: ages(host) == [])


# What is asked for


@pytest.mark.parametrize("keep", [0, -1, DAY * 0, True, "30 days", float("nan")])
def test_a_definition_refuses_what_is_no_time(keep: t.Any) -> None:
    """The error names the action and what was given."""
    with pytest.raises(InvalidDefinition, match=r"'a\.b': keep is a timedelta or a number of sec"):
        EventTrack().define("a.b", keep=keep)


def test_a_definition_that_is_kept_otherwise_is_another(host: Host) -> None:
    """As with every option."""
    host.events.define("a.b", keep=DAY)
    host.events.define("a.b", keep=86_400)
    with pytest.raises(InvalidDefinition, match="with other options"):
        host.events.define("a.b", keep=YEAR)


@pytest.mark.parametrize("value", [0, "30 days", {"a.*": 0}, {"": DAY}, {1: DAY}, [DAY]])
def test_a_retention_that_is_none_is_refused(make: MakeHost, value: t.Any) -> None:
    """At start-up."""
    with pytest.raises(ConfigError, match="EVENTTRACK_RETENTION must be"):
        make({"EVENTTRACK_RETENTION": value})


def test_all_for_ever_has_no_cutoff(clock: FakeClock) -> None:
    """``timedelta.max`` reaches before the first year."""
    retention = Retention({"a.b": dt.timedelta.max}, {})
    assert retention.latest(clock.moment) is retention.cutoff("a.b", clock.moment) is None


def test_the_guide_keeps_what_it_says(make: MakeHost) -> None:
    """Its definitions and settings are possible ones, and mean what it says."""
    names = run_blocks("docs/howto/retention.md", {})
    host = make(
        {name: value for name, value in names["app"].config.items() if "EVENTTRACK" in name},
        events=names["events"],
    )
    for action in ("page.visit", "search.run", "order.pay"):
        for days in (10, 40, 100, 4000):
            days_ago(host, days, action)
    prune(host)
    assert ages(host, "search.run") == [10]
    assert ages(host, "page.visit") == [40, 10]
    assert ages(host, "order.pay") == [4000, 100, 40, 10]
