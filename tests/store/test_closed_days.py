"""Closed days hold what a plain count of sessions and events gives, whatever happens."""

from __future__ import annotations

import datetime as dt
import itertools
import pathlib
import tempfile
import typing as t
import uuid as uuidlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack import EventTrack
from flask_eventtrack.records import Event, Identified, SessionRef

from ..commands import run
from ..conftest import MakeHost, create_tables
from ..hosts import FakeClock, Host, make_host
from ..pipeline.waiting import PATIENT
from ..servers import make_database
from .halves import browser_half
from .persons import apply_aliases
from .plain_counts import check, check_closed, look
from .records import a_page, an_event, write_records

SITES = ("a.example", "b.example")
#: Each zone, and a day before its clocks change.
ZONES = {
    "UTC": dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC),
    "Europe/Berlin": dt.datetime(2026, 3, 27, 20, tzinfo=dt.UTC),
    "America/New_York": dt.datetime(2025, 10, 31, 20, tzinfo=dt.UTC),
    "Asia/Kolkata": dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC),
    "Asia/Kathmandu": dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC),
    "Pacific/Tongatapu": dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC),
}
DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
WHOLE_HOURS = ("America/New_York", "Europe/Berlin", "Pacific/Tongatapu", "UTC")


class History:
    """Some visitors of two sites, and what happens to them."""

    def __init__(self, host: Host, zone: str) -> None:
        self.host, self.zone = host, zone
        self.devices = [uuidlib.uuid5(uuidlib.NAMESPACE_DNS, str(each)) for each in range(3)]
        self.customers = [uuidlib.uuid5(uuidlib.NAMESPACE_URL, str(each)) for each in range(2)]
        self.number = 0

    @property
    def writer(self) -> t.Any:
        return self.host.state.pipeline.writer

    def do(self, step: str, one: int, other: int) -> None:
        getattr(self, step)(one, other)

    def visit(self, one: int, other: int) -> None:
        """A page, perhaps late: up to three days."""
        hours = (0, 0, 0.2, 7, 25, 70)[other % 6]
        write_records(self.host, self.page(one, self.host.clock.moment, hours))

    def page(self, one: int, now: dt.datetime, hours: float, **fields: t.Any) -> Event:
        device = self.devices[one % 3]
        moment = now - dt.timedelta(hours=hours)
        # A session has 5 hours at most, and begins with the event that comes first.
        session_id = uuidlib.uuid5(device, str(int(moment.timestamp()) // 18_000))
        self.number += 1
        given: dict[str, t.Any] = {
            "time": moment,
            "received_at": now,
            "id": uuidlib.uuid5(device, f"event {self.number}"),
            "uuid": device,
            "device": device,
            "site": SITES[one // 3 % 2],
            "session": SessionRef(session_id, device, moment),
        }
        return a_page(f"/{self.number % 4}", **given | fields)

    def order(self, one: int, other: int) -> None:
        """An event that is no page; sometimes a bot's, sometimes without a session."""
        page = self.page(one, self.host.clock.moment, (0, 30)[other % 2])
        write_records(
            self.host,
            an_event(
                id=page.id,
                time=page.time,
                received_at=page.received_at,
                uuid=page.uuid,
                site=page.site,
                session=page.session if other % 3 else None,
                source="bot" if other % 5 == 4 else "server",
            ),
        )

    def stand_in(self, one: int, other: int) -> None:
        """The browser's half comes first, without cookies; the server's joins it later."""
        now = self.host.clock.moment
        hours = (0, 26)[other % 2]
        server = self.page(one, now, hours)
        stranger = uuidlib.uuid5(self.devices[0], f"stranger {self.number}")
        browser = browser_half(
            server,
            id=uuidlib.uuid5(stranger, "half"),
            time=server.time,
            received_at=now,
            uuid=stranger,
            site=server.site,
            session=SessionRef(uuidlib.uuid5(stranger, "session"), stranger, server.time),
        )
        write_records(self.host, browser)
        if other % 3:
            self.host.clock.advance(hours=2)
        if other % 4 == 3:
            self.sweep(0, 0)
        write_records(self.host, server)

    def log_in(self, one: int, other: int) -> None:
        customer = self.customers[other % 2]
        record = Identified(
            uuid=customer,
            customer_id=str(customer),
            time=self.host.clock.moment,
            anonymous=self.devices[one % 3],
        )
        write_records(self.host, record)

    def unmerge(self, one: int, other: int) -> None:
        self.writer.unmerge(self.devices[one % 3])

    def forget(self, one: int, other: int) -> None:
        everyone = [*self.devices, *self.customers]
        for _ in self.host.state.pipeline.forget([everyone[one % 5]]):
            pass

    def wait(self, one: int, other: int) -> None:
        self.host.clock.advance(hours=(1, 5, 13, 24)[other % 4])

    def sweep(self, one: int, other: int) -> None:
        self.host.state.pipeline.sweep()

    def prune(self, one: int, other: int) -> None:
        for _ in self.host.state.pipeline.prune():
            pass

    def look(self) -> t.Any:
        return look(self.host, self.zone)


STEPS: tuple[str, ...] = ("visit",) * 5 + ("wait",) * 4 + ("sweep",) * 2
STEPS += ("order", "stand_in", "log_in", "log_in", "unmerge", "forget")
numbers = st.integers(0, 29)


def histories(*more: str) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    step = st.tuples(st.sampled_from((*STEPS, *more)), numbers, numbers)
    return st.lists(step, min_size=12, max_size=22)


def live(host: Host, zone: str, steps: list[tuple[str, int, int]], *without: str) -> None:
    """Let a history happen, and compare after each step, marked or not."""
    history, left_out = History(host, zone), frozenset(without)
    for step in steps:
        history.do(*step)
        check(history.look(), without=left_out)
    host.clock.advance(days=2)
    history.sweep(0, 0)
    check_closed(history.look(), without=left_out)


def open_site(
    url: str,
    zone: str,
    options: dict[str, t.Any] | None = None,
    clock: FakeClock | None = None,
    **config: t.Any,
) -> Host:
    clock = clock or FakeClock(ZONES[zone])
    settings = {**PATIENT, "EVENTTRACK_TIMEZONE": zone, **config}
    if options:
        settings["SQLALCHEMY_ENGINE_OPTIONS"] = options
    host = make_host(url, settings, clock=clock, events=EventTrack(clock=clock), create=False)
    create_tables(host)
    return host


@settings(max_examples=8, deadline=None)
@given(zone=st.sampled_from(sorted(ZONES)), steps=histories())
def test_closed_days_are_a_plain_count(zone: str, steps: list[tuple[str, int, int]]) -> None:
    """Late visits, joined halves, merges, erasures, days of 23 and 25 hours."""
    with tempfile.TemporaryDirectory() as folder:
        host = open_site(f"sqlite:///{folder}/site.db", zone)
        try:
            live(host, zone, steps)
        finally:
            host.close()


@settings(max_examples=6, deadline=None)
@given(zone=st.sampled_from(WHOLE_HOURS), steps=histories("prune", "prune", "wait", "wait"))
def test_closed_days_outlive_their_sessions(zone: str, steps: list[tuple[str, int, int]]) -> None:
    """With sessions kept for two days only."""
    with tempfile.TemporaryDirectory() as folder:
        keep = {"session.*": dt.timedelta(days=2)}
        host = open_site(f"sqlite:///{folder}/site.db", zone, EVENTTRACK_RETENTION=keep)
        try:
            live(host, zone, steps, "session.start", "session.end")
        finally:
            host.close()


#: A database session of another zone must make no difference.
SHANGHAI = {
    "postgresql": {"connect_args": {"options": "-c timezone=Asia/Shanghai"}},
    "mariadb": {"connect_args": {"init_command": "SET time_zone = '+08:00'"}},
}
#: A merge and its end, a late visit, a late half, a person who is erased, and nights between them.
STORY = [
    ("visit", 0, 0),
    ("wait", 0, 1),
    ("visit", 3, 0),
    ("log_in", 0, 0),
    ("order", 1, 1),
    ("wait", 0, 3),
    ("visit", 1, 0),
    ("stand_in", 2, 3),
    ("wait", 0, 3),
    ("sweep", 0, 0),
    ("visit", 1, 5),
    ("visit", 2, 4),
    ("log_in", 1, 0),
    ("sweep", 0, 0),
    ("unmerge", 0, 0),
    ("visit", 0, 4),
    ("sweep", 0, 0),
    ("forget", 3, 0),
    ("visit", 2, 4),
]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_databases_agree(kind: str, zone: str, tmp_path: pathlib.Path) -> None:
    """Servers whose sessions are in another zone."""
    for url in make_database(kind, tmp_path):
        host = open_site(url, zone, SHANGHAI[kind])
        try:
            live(host, zone, STORY)
        finally:
            host.close()


def test_a_day_is_closed_when_its_last_session_is_over(make: MakeHost) -> None:
    """36 minutes after midnight, as sessions may end 30 minutes later and are swept by then."""
    host = open_site_of(make)
    history = History(host, "Europe/Berlin")
    history.visit(0, 0)
    host.clock.advance(hours=3, minutes=35, seconds=59)  # it was 21:00 in Berlin
    history.sweep(0, 0)
    assert history.look().closed is None
    host.clock.advance(seconds=1)
    history.sweep(0, 0)
    assert history.look().closed.until == dt.date(2026, 3, 27)


def test_a_day_that_is_not_closed_is_not_counted_again(make: MakeHost) -> None:
    """Its mark waits until it is closed."""
    history = three_days(make)
    history.wait(0, 3)
    history.sweep(0, 0)
    history.host.clock.advance(hours=20, minutes=10)
    history.visit(1, 2)  # 12 minutes ago, at 23:58
    assert len(history.look().marked_days) == 1
    history.sweep(0, 0)
    assert len(history.look().marked_days) == 1
    history.wait(0, 0)
    assert [step.kind for step in history.host.state.pipeline.close_days()] == ["closed"]
    check_closed(history.look())


def test_what_is_marked_meanwhile_is_left_to_the_next_run(make: MakeHost) -> None:
    """So a run ends, however fast the marks come."""
    history = three_days(make)
    moment, kinds = history.host.clock.moment, []
    write_records(history.host, history.page(1, moment, 25))
    steps = history.host.state.pipeline.close_days()
    for number, step in enumerate(itertools.islice(steps, 5)):
        kinds.append(step.kind)
        # In an earlier session, so that its visitor is marked as well.
        write_records(history.host, history.page(1, moment, 31 + 6 * number))
    assert kinds == ["recounted", "people"]
    check(history.look())


def test_a_report_does_not_count_too_many_marked_people(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored stands meanwhile, and the report says that some is counted again."""
    history = three_days(make)
    write_records(history.host, history.page(1, history.host.clock.moment, 25))
    reports = history.host.state.reports
    assert reports.overview(reports.period("7d")).recounting == 0
    monkeypatch.setattr("flask_eventtrack.store.closed_days.MOST_PENDING", 0)
    assert reports.overview(reports.period("7d")).recounting == 1


def test_a_clock_ahead_of_the_databases_closes_no_day(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what an earlier release has closed like that is opened again."""
    clock = FakeClock(dt.datetime.now(dt.UTC).replace(microsecond=0) + 3 * DAY)
    host = make(PATIENT, events=EventTrack(clock=clock))._replace(clock=clock)
    history = History(host, "UTC")
    history.visit(0, 0)
    clock.advance(days=2)
    assert next(host.state.pipeline.close_days(), None) is None
    with monkeypatch.context() as patch:
        patch.setattr("flask_eventtrack.store.closed_days.limit_by_database", lambda _, now: now)
        assert [step.kind for step in host.state.pipeline.close_days()][1:] == ["closed", "closed"]
    first = next(host.state.pipeline.close_days(), None)
    assert first is not None
    assert first.kind == "reopened"


def test_times_at_the_ends_of_the_calendar_set_no_mark(make: MakeHost) -> None:
    """In America, the year 1 begins in the year 0."""
    clock = FakeClock(ZONES["America/New_York"])
    config = {**PATIENT, "EVENTTRACK_TIMEZONE": "America/New_York"}
    host = make(config, events=EventTrack(clock=clock))._replace(clock=clock)
    history = History(host, "America/New_York")
    first = dt.datetime.min.replace(tzinfo=dt.UTC)
    write_records(host, history.page(0, clock.moment, 0, time=first, session=None))
    assert [row["time"] for row in host.rows("event")] == [first]
    assert history.look().marked_days == []


def open_site_of(make: MakeHost, **config: t.Any) -> Host:
    clock = FakeClock(ZONES["Europe/Berlin"])
    settings = {**PATIENT, "EVENTTRACK_TIMEZONE": "Europe/Berlin", **config}
    return make(settings, events=EventTrack(clock=clock))._replace(clock=clock)


def three_days(make: MakeHost, **config: t.Any) -> History:
    """Return a site in Berlin after three days, with two visitors on each."""
    history = History(open_site_of(make, **config), "Europe/Berlin")
    for device in (0, 1, 0, 4, 2, 0):
        history.visit(device, 0)
        history.wait(0, 2 if device else 1)
    history.wait(0, 3)
    history.sweep(0, 0)
    return history


def test_another_zone_counts_all_days_anew(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """And so does the next process, which knows the setting only."""
    history = three_days(make)
    history.host.close()
    url = history.host.app.config["SQLALCHEMY_DATABASE_URI"]
    host = open_site(url, "Asia/Kolkata", clock=history.host.clock)
    later = History(host, "Asia/Kolkata")
    later.sweep(0, 0)
    stored = later.look()
    host.close()
    check_closed(stored)
    assert stored.closed is not None
    assert stored.closed.zone == "Asia/Kolkata"
    assert {row["zone"] for row in history.host.rows("closed")} == {"Asia/Kolkata"}


def test_processes_with_two_zones_do_not_count_against_each_other(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that started last counts the days once; the other gives way, and says so once."""
    history = three_days(make)
    url = history.host.app.config["SQLALCHEMY_DATABASE_URI"]
    other = open_site(url, "Asia/Kolkata", clock=history.host.clock)
    writers = [host.state.pipeline.writer for host in (other, history.host)]
    steps = [[len(list(writer.close_days())) for writer in writers] for _ in range(3)]
    other.close()
    assert steps[0][0] > 0
    assert [steps[0][1], *steps[1], *steps[2]] == [0, 0, 0, 0, 0]
    assert caplog.text.count("counts the days of reports in Asia/Kolkata") == 1


def spoil(history: History) -> None:
    """Change closed days without a mark, as nobody should."""
    database = history.host.state.pipeline.database
    tables = database.tables
    with database.begin() as connection:
        connection.execute(tables.daily.update().values(sessions=99))
        connection.execute(tables.person_day.delete())
        connection.execute(tables.returning.update().values(visitors=99))


def test_an_upgrade_counts_cohorts(make: MakeHost) -> None:
    """Of days that an earlier release has closed: the writer counts them anew."""
    history = three_days(make)
    database = history.host.state.pipeline.database
    before = history.look()
    with database.begin() as connection:
        connection.execute(database.tables.cohort.delete())
    assert "ET023" in run(history.host, "doctor").output
    assert run(history.host, "upgrade").exit_code == 0
    history.sweep(0, 0)
    assert "ET023" not in run(history.host, "doctor").output
    after = history.look()
    assert before.cohort
    assert (after.cohort, after.person_day) == (before.cohort, before.person_day)


def test_rebuild_reports_counts_all_days(make: MakeHost) -> None:
    """Whatever was stored."""
    history = three_days(make)
    number = len({row["day"] for row in history.look().daily})
    spoil(history)
    result = run(history.host, "rebuild-reports")
    assert result.output.endswith(f"{number} days counted.\n")
    check_closed(history.look())


def test_each_step_of_a_rebuild_leaves_the_numbers_right(make: MakeHost) -> None:
    """Days that are removed are not closed meanwhile."""
    history = three_days(make)
    history.writer.recount_days(dt.date.min)
    kinds = set()
    for step in history.host.state.pipeline.close_days():
        kinds.add(step.kind)
        check(history.look())
    assert kinds == {"reopened", "closed"}


def test_days_are_counted_anew_if_none_is_known_to_be_closed(make: MakeHost) -> None:
    """Whoever empties ``eventtrack_closed`` gets what it says."""
    history = three_days(make)
    database = history.host.state.pipeline.database
    with database.begin() as connection:
        connection.execute(database.tables.closed.delete())
    history.sweep(0, 0)
    check_closed(history.look())


def test_rebuild_reports_leaves_days_before_the_first(make: MakeHost) -> None:
    history = three_days(make)
    closed = history.look().closed
    assert closed is not None
    last = max(row["day"] for row in history.look().daily)
    spoil(history)
    result = run(history.host, "rebuild-reports", "--since", str(last))
    assert "1 day counted." in result.output
    stored = history.look()
    assert stored.closed == closed
    spoiled = {row["day"] for row in stored.daily if row["sessions"] == 99}
    assert spoiled == {row["day"] for row in stored.daily} - {last}


def test_rebuild_reports_of_a_new_site(make: MakeHost) -> None:
    history = History(open_site_of(make), "Europe/Berlin")
    assert "0 days counted." in run(history.host, "rebuild-reports").output
    assert history.host.rows("closed") == []


def test_an_erased_person_is_in_no_closed_day(make: MakeHost) -> None:
    """When the erasure returns: the days were theirs, too."""
    history = three_days(make)
    people = {row["person"] for row in history.look().person_day}
    assert history.devices[0] in people
    history.forget(0, 0)
    stored = history.look()
    assert {row["person"] for row in stored.person_day} == people - {history.devices[0]}
    assert stored.marked_people == []
    check(stored)
    history.sweep(0, 0)
    check_closed(history.look())


def sessions_of(history: History) -> list[tuple[uuidlib.UUID, uuidlib.UUID]]:
    return [(row["id"], row["uuid"]) for row in history.host.rows("session")]


def test_each_step_of_an_erasure_leaves_the_numbers_right(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing else marks a day: no session, or a session that another person began."""
    monkeypatch.setattr("flask_eventtrack.store.erasure.BATCH_SIZE", 1)
    history = three_days(make)
    now = history.host.clock.moment
    history.order(0, 3)  # 30 hours ago, without a session
    assert [row["day"] for row in history.look().marked_days] == [dt.date(2026, 3, 29)]
    night = now.replace(day=29, hour=21, minute=30)  # before midnight in Berlin, and after it
    shared = SessionRef(uuidlib.uuid4(), history.devices[1], night)
    for device, minutes in ((1, 0), (0, 50), (1, 60)):
        page = history.page(device, now, 0, time=night + minutes * MINUTE, session=shared)
        write_records(history.host, page)
    history.sweep(0, 0)
    check_closed(history.look())
    assert (shared.id, history.devices[1]) in sessions_of(history)
    for _ in history.host.state.pipeline.forget([history.devices[0]]):
        check(history.look())
    assert shared.id not in dict(sessions_of(history))
    history.sweep(0, 0)
    check_closed(history.look())


def test_a_session_that_moves_to_the_day_before_takes_its_visitor_along(make: MakeHost) -> None:
    """By a late event."""
    history = three_days(make)
    morning = history.host.clock.moment.replace(day=29, hour=22, minute=10)  # 0:10 in Berlin
    session_id = uuidlib.uuid4()
    for moment in (morning, morning - 20 * MINUTE):
        ref = SessionRef(session_id, history.devices[2], moment)
        write_records(
            history.host, history.page(5, history.host.clock.moment, 0, time=moment, session=ref)
        )
        check(history.look())
        history.sweep(0, 0)
        check_closed(history.look())


def test_what_an_alias_changes_later_is_counted_again(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch rewrites some sessions, and a chore the others."""
    history = three_days(make)
    monkeypatch.setattr("flask_eventtrack.store.person._CHUNK", 1)
    history.log_in(0, 0)
    history.sweep(0, 0)
    check_closed(history.look())
    assert {row["person"] for row in history.look().sessions} >= set(history.devices)
    assert apply_aliases(history.host) > 1
    assert history.devices[0] not in {row["person"] for row in history.look().sessions}
    check(history.look())


def test_an_hour_of_two_days_marks_both() -> None:
    """In Kathmandu, a day begins at 18:15 UTC."""
    with tempfile.TemporaryDirectory() as folder:
        host = open_site(f"sqlite:///{folder}/site.db", "Asia/Kathmandu")
        try:
            history = History(host, "Asia/Kathmandu")
            began = host.clock.moment.replace(hour=18, minute=30)
            for _ in range(4):
                history.visit(0, 0)
                history.wait(0, 3)
            history.sweep(0, 0)
            write_records(host, history.page(1, host.clock.moment, 0, time=began, session=None))
            assert [row["day"].day for row in history.look().marked_days] == [1, 2]
            check(history.look())
        finally:
            host.close()


def test_pruned_days_stay_as_they_were_counted(make: MakeHost) -> None:
    """And are not counted again, although an event of theirs comes late."""
    history = three_days(make, EVENTTRACK_RETENTION={"session.*": dt.timedelta(days=2)})
    before = history.look()
    history.prune(0, 0)
    after = history.look()
    assert after.closed is not None
    assert before.closed is not None
    assert before.closed.since < after.closed.since <= after.closed.until
    assert len(after.sessions) < len(before.sessions)
    assert min(row["day"] for row in after.person_day) >= after.closed.since
    page = history.page(0, min(row["started_at"] for row in before.sessions), 0)
    write_records(history.host, page)
    history.sweep(0, 0)
    later = history.look()
    assert later.marked_days == []
    assert (later.daily, later.returning) == (before.daily, before.returning)
    history.prune(0, 0)
    assert history.look().closed == after.closed


def test_a_day_after_a_pruned_one_follows_it(make: MakeHost) -> None:
    """A visitor with a late visit is not new again, though no day that is counted knows them."""
    keep = {"session.*": dt.timedelta(days=2)}
    history = History(open_site_of(make, EVENTTRACK_RETENTION=keep), "Europe/Berlin")
    for device in (0, 1):
        history.visit(device, 0)
        history.host.clock.advance(hours=2)
    history.host.clock.advance(hours=45)  # the first visit is two days old, the second is not
    history.sweep(0, 0)
    history.prune(0, 0)
    closed = history.look().closed
    assert closed is not None
    assert closed.since == dt.date(2026, 3, 28)
    write_records(history.host, history.page(1, history.host.clock.moment, 25))
    history.sweep(0, 0)
    days = [(r["day"].day, r["previous"]) for r in history.look().person_day if r["site"] == ""]
    assert days == [(27, dt.date.min), (28, dt.date(2026, 3, 27))]
    history.forget(1, 0)
    stored = history.look()
    assert stored.person_day == []
    assert {row["day"].day: row["visitors"] for row in stored.returning} == {27: 2}


def test_pages_of_pruned_events_stay_where_hours_are_of_two_days(tmp_path: pathlib.Path) -> None:
    """The totals by hour cannot tell them there, so a day that is counted again keeps its pages."""
    zone, keep = "Asia/Kathmandu", {"page.visit": dt.timedelta(days=2)}
    host = open_site(f"sqlite:///{tmp_path}/site.db", zone, EVENTTRACK_RETENTION=keep)
    try:
        history = History(host, zone)
        for _ in range(4):
            history.visit(0, 0)
            history.wait(0, 3)
        history.sweep(0, 0)
        before = [row for row in history.look().daily if row["dimension"] == "page"]
        history.prune(0, 0)
        first = min(row["started_at"] for row in history.look().sessions)
        session = SessionRef(uuidlib.uuid4(), history.devices[1], first)
        page = history.page(1, host.clock.moment, 0, time=first, session=session)
        write_records(host, page)
        assert len(history.look().marked_days) == 1
        history.sweep(0, 0)
        assert history.look().marked_days == []
        assert before == [row for row in history.look().daily if row["dimension"] == "page"]
    finally:
        host.close()


def test_values_beyond_the_largest_are_one_row(make: MakeHost) -> None:
    """500 actions and the rest, whose sum stays."""
    history = History(open_site_of(make), "Europe/Berlin")
    now = history.host.clock.moment
    write_records(
        history.host,
        *(
            an_event(f"a{each % 501}.b", time=now, received_at=now, id=uuidlib.UUID(int=each + 1))
            for each in range(502)
        ),
    )
    history.wait(0, 3)
    history.sweep(0, 0)
    rows = [row for row in history.look().daily if row["dimension"] == "action"]
    everywhere = {row["value"]: row["events"] for row in rows if row["site"] == ""}
    assert len(everywhere) == 501
    assert everywhere["a0.b"] == 2
    assert (everywhere["…"], sum(everywhere.values())) == (1, 502)


def test_no_mark_for_today(make: MakeHost) -> None:
    """The writer's usual work costs nothing: neither a log-in nor a page of today sets a mark."""
    history = three_days(make)
    history.stand_in(2, 0)
    history.visit(0, 0)
    assert history.look().marked_people == []
    history.log_in(0, 0)
    stored = history.look()
    assert stored.marked_days == []
    # The log-in gave their earlier days to the customer.
    assert {row["person"] for row in stored.marked_people} == {
        history.devices[0],
        history.customers[0],
    }


def test_days_without_visits_are_passed_over(make: MakeHost) -> None:
    """A year later, after one step."""
    history = three_days(make)
    history.host.clock.advance(days=200)
    assert [step.kind for step in history.host.state.pipeline.close_days()] == ["closed"]


def test_a_day_that_a_clock_ahead_has_closed_is_counted_when_it_is_over(make: MakeHost) -> None:
    """And nothing of it is lost: sessions of today set no mark."""
    host = open_site_of(make)
    history = History(host, "Europe/Berlin")
    history.visit(0, 0)
    host.clock.advance(days=1)
    history.visit(1, 0)
    host.clock.advance(days=3)
    history.sweep(0, 0)
    host.clock.advance(days=-3)
    history.visit(2, 0)
    history.sweep(0, 0)
    closed = history.look().closed
    assert closed is not None
    assert closed.until == dt.date(2026, 3, 27)
    host.clock.advance(days=1, hours=5)
    history.sweep(0, 0)
    check_closed(history.look())
    assert {
        row["day"]: row["sessions"]
        for row in host.rows("daily")
        if (row["site"], row["dimension"]) == ("", "")
    } == {dt.date(2026, 3, 27): 1, dt.date(2026, 3, 28): 2}


def test_closing_a_day_gives_the_cache_back(tmp_path: pathlib.Path) -> None:
    """SQLite has a larger one only while it adds the visitors of a day."""
    host = open_site(f"sqlite:///{tmp_path}/site.db", "Europe/Berlin")
    try:
        History(host, "Europe/Berlin").visit(0, 0)
        host.clock.advance(days=2)
        assert [step.kind for step in host.state.pipeline.close_days()][-1] == "closed"
        with host.state.pipeline.database.begin() as connection:
            assert connection.exec_driver_sql("PRAGMA cache_size").scalar() == -8000
    finally:
        host.close()
