"""Retention that is counted in the copy has the same numbers as that of the host's database."""

from __future__ import annotations

import datetime as dt
import random
import typing as t

import pytest

from flask_eventtrack.reports.explore.retention_rows import Retention
from flask_eventtrack.reports.explore.steps import Step
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.library import Reports

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.explore.stories import DAY as TOLD_FROM
from ..reports.explore.stories import Told
from ..reports.explore.test_retention import FIRST, LAST, LATER, MINUTES
from ..reports.visits import Visitor
from ..store.people import forget
from .copies import ClickHouse, copy
from .reported import Ask, ask_copy, assert_same
from .told import BLOG, GONE, HOSTILE, UNNAMED, open_told, retell

pytestmark = pytest.mark.usefixtures("no_chores")

NOW = dt.datetime(2026, 12, 8, 12, tzinfo=dt.UTC)
DAY = 24 * 60
QUESTIONS: tuple[tuple[tuple[str, ...], dict[str, t.Any]], ...] = (
    ((), {"by": "day", "first": "it.view", "returning": "it.view"}),
    ((), {"by": "month", "first": "page:/", "dimension": "source"}),
    ((), {"by": "week", "dimension": "source", "returning": "it.buy"}),
    ((), {"by": "week", "sites": {"localhost", BLOG}, "last": LAST - dt.timedelta(days=14)}),
    ((), {"by": "day", "first": "it.buy", "last": LAST - dt.timedelta(days=20)}),
    ((), {"by": "week", "sites": {BLOG}, "first": "it.view", "dimension": "site"}),
    (("is:source:google",), {"by": "day"}),
    (("is_not:source:google",), {"by": "week", "first": "it.view", "returning": "page:/"}),
    (("is:source:",), {"by": "day", "first": "page:/checkout", "returning": "it.view"}),
    (("is_not:page:/",), {"by": "week", "first": "it.view", "dimension": "source"}),
    (("is_not:page:/",), {"by": "day", "first": "it.view", "since": LAST - dt.timedelta(days=14)}),
    (("is:it.view.sku:a",), {"by": "month", "sites": {"localhost"}, "returning": "it.view"}),
    (("is:hour:23", "is:hour:00"), {"by": "day", "dimension": "source"}),
)


def retention(
    *texts: str, since: dt.date = FIRST, last: dt.date = LAST, **options: t.Any
) -> Ask[t.Any]:
    limits = Filter.parse(texts)
    return lambda reports: reports.retention(
        reports.period("custom", since, last), limits, **options
    )


def make_up(seed: int = 1) -> list[Told]:
    """Return what a hundred people and some bots did, often at the same moment, around midnights of
    Berlin."""
    chance = random.Random(seed)
    story = [
        Told(
            chance.choice(MINUTES) + chance.choice(LATER) * DAY,
            chance.randrange(100),
            chance.choice((0, 1, 2, 3, 4, 5, None)),
            chance.choice(("it.view", "it.view", "it.buy", "/", "/checkout")),
            chance.choice(({}, {"sku": "a"})),
            site=chance.choice(("localhost", BLOG)),
        )
        for _ in range(500)
    ]
    bots = [Told(chance.choice(MINUTES), who, None, "it.view", source="bot") for who in range(9)]
    return story + bots


def day(
    number: int, who: int, session: int | None = 0, what: str = "it.view", **more: t.Any
) -> Told:
    """Return something that happened at noon of a day, counted from the 3rd of November."""
    return Told(number * DAY + DAY / 2, who, session, what, **more)


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> Host:
    return open_told(make, clock, clickhouse, NOW)


def test_any_question(shop: Host, clickhouse: ClickHouse) -> None:
    retell(shop, clickhouse, make_up())
    for texts, options in QUESTIONS:
        assert_same(shop, retention(*texts, **options))


def test_who_is_new(shop: Host, clickhouse: ClickHouse) -> None:
    """Two first events at one moment have the smaller value. The others: one of a session that
    names nobody, one whose session is gone, one without any, and one who was here before, which
    the filter leaves out. With a filter, a session has to match it."""
    tie = [day(0, 1, session=0), day(0, 1, session=1), day(14, 1)]
    unclear = [day(0, 2, session=UNNAMED), day(0, 3, session=GONE)]
    without = [day(0, 4, None), day(7, 4, None), day(0, 6, None, source="bot")]
    before = [day(-2, 5, what="it.buy"), day(0, 5, session=1), day(7, 5, session=2)]
    retell(shop, clickhouse, [*tie, *unclear, *without, *before])
    found = ask_copy(shop, retention(first="it.view", dimension="source"))
    assert [(row.value, row.people) for row in found.rows] == [("direct", 2), ("", 1)]
    found = ask_copy(shop, retention("is_not:source:google", first="it.view", returning="it.view"))
    assert [found.people, *(cell.count for cell in found.rows[0].cells[:2])] == [2, 1, 1]
    assert ask_copy(shop, retention("is_not:source:google")).people == 1
    for texts in ((), ("is_not:source:google",), ("is:source:",)):
        assert_same(shop, retention(*texts, by="day"))
        assert_same(shop, retention(*texts, first="it.view", dimension="source"))


def test_days_in_the_zone(shop: Host, clickhouse: ClickHouse) -> None:
    """On the 25th of October, Berlin's day has 25 hours. A period that is yet to come has none."""
    start = dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC)  # of that day
    first = (start - TOLD_FROM) / dt.timedelta(minutes=1)
    minutes = first - 0.01, first, first + 25 * 60 - 0.01, first + 25 * 60
    story = [Told(minute, who, 0, "it.view") for who, minute in enumerate(minutes)]
    again = [Told(minute, 0, 1, "it.view") for minute in minutes[1:]]
    retell(shop, clickhouse, [*story, *again])

    def ask(reports: Reports) -> Retention:
        period = reports.period("custom", dt.date(2026, 10, 24), dt.date(2026, 10, 26))
        return reports.retention(period, by="day", first="it.view", returning="it.view")

    found = ask_copy(shop, ask)
    cells = [[row.people, *(cell.count for cell in row.cells)] for row in found.rows]
    assert cells == [[1, 1, 1], [2, 0], [1]]
    assert_same(shop, ask)
    later = dt.date(2027, 1, 1)
    assert_same(shop, lambda reports: reports.retention(reports.period("custom", later, later)))


def test_hostile_values_stay_values(shop: Host, clickhouse: ClickHouse) -> None:
    retell(shop, clickhouse, [day(0, who, params={"sku": x}) for who, x in enumerate(HOSTILE)])
    for before, people in (("", len(HOSTILE)), ("x", 0)):
        step = Step.parse("it.view", [f"is:sku:{before}{text}" for text in HOSTILE])
        limits = [f"is_not:source:{text}" for text in HOSTILE]
        assert ask_copy(shop, retention(*limits, first=step, returning=step)).people == people


def test_what_changes_later(small_shop: Host, clickhouse: ClickHouse) -> None:
    """A visitor turns out to be a customer who was here before, and is erased."""

    def ask(reports: Reports) -> Retention:
        return reports.retention(reports.period("30d"), Filter.parse(["is_not:browser:x"]))

    people = ask_copy(small_shop, ask).people
    visitor = Visitor(small_shop).see("/")
    copy(small_shop, clickhouse)
    assert ask_copy(small_shop, ask).people == people + 1
    visitor.do("/login/42")
    copy(small_shop, clickhouse)
    assert ask_copy(small_shop, ask).people == people
    assert_same(small_shop, ask)
    forget(small_shop, "42")
    copy(small_shop, clickhouse)
    assert ask_copy(small_shop, ask).people == people - 1
    assert_same(small_shop, ask)
