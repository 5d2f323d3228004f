"""Goals: defined in code or saved, counted, and as filters."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack import EventTrack
from flask_eventtrack.errors import InvalidDefinition, ReportError
from flask_eventtrack.money import Money
from flask_eventtrack.reports.counting import Answer, Counter, Question
from flask_eventtrack.reports.explore.goals import Goal, Goals, as_definition
from flask_eventtrack.reports.explore.rows import GoalRow
from flask_eventtrack.reports.explore.steps import Step
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.period import Period
from flask_eventtrack.store.reading import TimeUp
from flask_eventtrack.store.saved import Saved, add_saved, remove_saved

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from ..visits import Visitor, close_days, go_to
from ..visits import open_shop as open_visited
from .stories import NOW, Told, open_shop, tell

STORY = [
    *(Told(60 * who, who, who % 2, "it.view") for who in range(4)),
    *(Told(5, 0, 0, "it.buy", {"sku": "a"}), Told(6, 0, 0, "it.buy", {"sku": "b"})),
    *(Told(7, 0, 2, "it.buy", {"sku": "a"}), Told(70, 1, 1, "it.buy", {"sku": "b"})),
    Told(71, 1, 1, "/thanks", {"scroll": 90}),
]


def save(host: Host, name: str, step: Step) -> bool:
    database = host.state.pipeline.database
    row = Saved(uuidlib.uuid4(), "goal", name, as_definition(Goal(name, step)), "ada", NOW)
    with database.begin() as connection:
        return add_saved(connection, database.tables, row)


def read(host: Host, *texts: str) -> dict[str, GoalRow]:
    found = host.state.reports.goals(host.state.reports.period("7d"), Filter.parse(texts))
    return {row.name: row for row in found}


def sessions(host: Host, *texts: str) -> int:
    reports = host.state.reports
    found = reports.overview(reports.period("7d"), Filter.parse(texts), comparison="none")
    return found.numbers.sessions


def test_goals_are_counted_and_filter(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """On each kind of database, those of the code and those that are saved alike."""
    host = open_shop(make, clock, url=database_url)
    host.events.goal("buys a", "it.buy", where=["is:sku:a"], description="Worth it.")
    tell(host, STORY)
    assert save(host, "read", Step.parse("page:/thanks", ["at_least:scroll:75"]))
    found = read(host)
    assert list(found) == ["buys a", "read"]
    bought = found["buys a"]
    assert (bought.conversions, bought.rate, bought.people) == (2, 2 / 5, 1)
    assert (bought.description, bought.step, bought.where) == ("Worth it.", "it.buy", ("is:sku:a",))
    assert (found["read"].conversions, found["read"].people) == (1, 1)
    assert read(host, "is:source:direct")["read"].rate == 1 / 2
    assert sessions(host, "is:goal:buys a") == 2
    assert sessions(host, "is:goal:read") == 1
    assert sessions(host, "is:goal:read", "is:goal:buys a") == 3
    assert sessions(host, "is_not:goal:read", "is_not:goal:buys a") == 2
    assert read(host, "is:goal:buys a")["read"].conversions == 0


def test_a_goal_has_rows_by_a_dimension(make: MakeHost, clock: FakeClock) -> None:
    """With the sessions that did not reach it, and what was ordered in those that did."""
    host = open_visited(make, clock)
    host.events.goal("put", "cart.put")
    for number, source in enumerate(("news", "news", "ads")):
        visitor = Visitor(host).see(f"/?utm_source={source}", "2026-11-03 09:00")
        if number:
            visitor.do("/cart/pen/12.50")
        visitor.do(f"/order/{number}/20.00")
    go_to(clock, "2026-11-04 12:00")
    host.flush()
    reports = host.state.reports
    found = reports.goal("put", "utm_source", reports.period("7d"))
    rows = [(r.value, r.sessions, r.conversions, r.rate, r.people, r.orders) for r in found.rows]
    assert rows == [("ads", 1, 1, 1.0, 1, 1), ("news", 2, 1, 0.5, 1, 1)]
    assert found.rows[0].revenue == (Money("20.00", "EUR"),)
    assert found.goal.revenue == (Money("40.00", "EUR"),)
    assert (found.goal.orders, found.rows_in_all) == (2, 2)
    with pytest.raises(ReportError, match=r"There is no goal 'sold'\. The goals are: put"):
        reports.goal("sold", "source", reports.period("7d"))


def test_a_goal_begins_a_funnel_as_a_filter(make: MakeHost, clock: FakeClock) -> None:
    """Attempts begin in sessions that reached it."""
    host = open_shop(make, clock)
    host.events.goal("buys a", "it.buy", where=["is:sku:a"])
    tell(host, STORY)
    reports = host.state.reports
    only = Filter.parse(["is:goal:buys a"])
    found = reports.funnel(["it.view", "it.buy"], reports.period("7d"), only)
    assert [step.count for step in found.steps] == [1, 1]


def test_a_goal_of_a_gone_event_says_so(make: MakeHost, clock: FakeClock) -> None:
    """One that is saved may outlive its event's definition; the others are still shown."""
    host = open_shop(make, clock)
    tell(host, STORY)
    save(host, "old", Step.parse("it.gone"))
    save(host, "read", Step.parse("page:/thanks"))
    assert read(host)["read"].conversions == 1
    hint = "Did you mean 'it.view'?"
    assert read(host)["old"].problem == f"The event 'it.gone' is not defined. {hint}"
    with pytest.raises(ReportError, match=r"The event 'it\.gone' is not defined"):
        sessions(host, "is:goal:old")


def test_a_goal_is_checked_at_the_start(make: MakeHost, clock: FakeClock) -> None:
    """With the file and line of its definition."""
    events = EventTrack(clock=clock)
    events.goal("signup", "account.create")
    place = r"test_goals\.py, line \d+: The event 'account\.create' is not defined"
    with pytest.raises(InvalidDefinition, match=place):
        make(events=events)


@pytest.mark.parametrize(
    ("name", "event", "where", "problem"),
    [
        ("", "a.b", (), r"test_goals\.py, line \d+: The name of a goal has 1 to 64 letters"),
        ("a/b", "a.b", (), "The name of a goal"),
        ("x" * 65, "a.b", (), "The name of a goal"),
        ("signup", "", (), r"line \d+: '' is no step\. Give an event"),
        ("signup", "a.b", ("is:plan",), "<operator>:<parameter>:<value>"),
        ("sold", "a.b", (), r"The goal 'sold' is defined already in .*test_goals\.py, line \d+"),
    ],
)
def test_wrong_goals_are_refused(
    name: str, event: str, where: tuple[str, ...], problem: str
) -> None:
    """The error says what is wrong, and where."""
    events = EventTrack()
    events.goal("sold", "product.buy")
    events.goal("sold", "product.buy")
    with pytest.raises(InvalidDefinition, match=problem):
        events.goal(name, event, where=where)


def test_a_limit_is_said_of_each_goal(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing was read, there is no rate."""
    host = open_shop(make, clock)
    host.events.goal("buys", "it.buy")
    tell(host, STORY)
    monkeypatch.setattr("flask_eventtrack.reports.counting.SCAN_SECONDS", -1)
    row = read(host)["buys"]
    assert (row.conversions, row.rate) == (0, None)
    assert row.cut is not None


def cut_after(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """Make each count with a filter end after some parts of the period."""
    by_parts = Counter.by_parts

    def read_some(
        self: Counter, period: Period, read: t.Callable[[t.Any], t.Any], *rest: t.Any
    ) -> dt.datetime | None:
        done = itertools.count()

        def read_part(bounds: t.Any) -> t.Any:
            if next(done) == parts:
                raise TimeUp
            return read(bounds)

        return by_parts(self, period, read_part, *rest)

    monkeypatch.setattr(Counter, "by_parts", read_some)
    monkeypatch.setattr("flask_eventtrack.reports.counting.PART_SECONDS", 0)


@pytest.mark.parametrize("limits", [[], ["is:device_type:desktop"]])
def test_a_rate_is_of_what_was_read(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, limits: list[str]
) -> None:
    """Sessions of days that the limit has cut count neither above nor below the line."""
    host = open_visited(make, clock)
    host.events.goal("put", "cart.put")
    for day, source in (("03", "ads"), ("04", "ads"), ("11", "ads"), ("11", "ads"), ("11", "news")):
        visitor = Visitor(host).see(f"/?utm_source={source}", f"2026-11-{day} 09:00")
        if source == "news" or day < "10":
            visitor.do("/cart/pen/12.50").do(f"/order/{source}{day}/20.00")
    go_to(clock, "2026-11-11 12:00")
    close_days(host)
    reports, limit = host.state.reports, Filter.parse(limits)
    month = reports.period("month")
    cut_after(monkeypatch, 1)
    [row] = reports.goals(month, limit)
    assert row.cut is not None
    assert row.cut.sentence == "of the last 1 of 11 days"
    assert (row.conversions, row.people, row.orders) == (1, 1, 1)
    found = reports.goal("put", "utm_source", month, limit)
    assert found.goal == row
    assert row.rate == 1 / 3
    [value] = found.rows
    assert (value.value, value.sessions, value.conversions, value.rate) == ("news", 1, 1, 1.0)
    assert (value.people, value.orders) == (1, 1)
    cut_after(monkeypatch, 0)
    found = reports.goal("put", "utm_source", month, limit)
    assert (found.goal.conversions, found.goal.rate, found.rows) == (0, None, ())


def test_without_time_for_all_sessions_there_is_no_rate(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sessions of a part are counted in the time that is left."""
    host = open_visited(make, clock)
    host.events.goal("put", "cart.put")
    Visitor(host).see("/", "2026-11-11 09:00").do("/cart/pen/12.50")
    go_to(clock, "2026-11-11 12:00")
    host.flush()
    count = Counter.count

    def count_goals(self: Counter, period: Period, question: Question) -> Answer:
        answer = count(self, period, question)
        has_goal = any(each.field == "goal" for each in question.limits.conditions)
        return answer if has_goal else dataclasses.replace(answer, since=period.now)

    monkeypatch.setattr(Counter, "count", count_goals)
    reports = host.state.reports
    found = reports.goal("put", "source", reports.period("7d"))
    assert (found.goal.conversions, found.goal.rate) == (1, None)
    [value] = found.rows
    assert (value.sessions, value.conversions, value.rate) == (None, 1, None)


def test_names_are_taken_once(db_host: Host) -> None:
    """What is saved can be removed; the code's goal hides a saved one of its name."""
    assert save(db_host, "sold", Step.parse("product.buy"))
    assert not save(db_host, "sold", Step.parse("product.view"))
    database = db_host.state.pipeline.database
    goals = Goals()
    goals.define("sold", "product.view", (), "", "here")
    with database.begin() as connection:
        assert goals.read(connection, database.tables)["sold"].step == Step("product.view")
        [saved] = Goals().read(connection, database.tables).values()
        assert (saved.step, saved.made_by) == (Step("product.buy"), "ada")
        assert remove_saved(connection, database.tables, "goal", "sold")
        assert not remove_saved(connection, database.tables, "goal", "sold")
