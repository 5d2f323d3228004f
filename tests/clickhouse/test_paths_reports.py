"""Paths that are counted in the copy have the same numbers as those of the host's database."""

from __future__ import annotations

import datetime as dt
import random
import typing as t

import pytest

from flask_eventtrack.reports.explore.steps import Step
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.library import Reports

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.explore.stories import DAY, NOW, Told
from ..reports.explore.test_paths import MINUTES, iter_paths, walk_through
from .copies import ClickHouse
from .reported import Ask, ask_copy, assert_same
from .told import BLOG, GONE, HOSTILE, UNNAMED, open_told, retell

pytestmark = pytest.mark.usefixtures("no_chores")

QUESTIONS: tuple[tuple[str, tuple[str, ...], dict[str, t.Any]], ...] = (
    ("page:/", (), {}),
    ("page:/a", (), {"direction": "before"}),
    ("page.visit", (), {}),
    ("it.buy", (), {}),
    ("it.buy", (), {"direction": "before", "sites": {BLOG}}),
    ("page:/", ("is:source:google",), {"direction": "before"}),
    ("it.buy", ("is_not:source:google", "is_not:page:/b"), {}),
    ("page:/a", ("at_least:page.visit.scroll:75",), {"sites": {"localhost", BLOG}}),
)


def paths(start: str | Step, *texts: str, **options: t.Any) -> Ask[t.Any]:
    """Ask for the first two days of a story."""
    limits = Filter.parse(texts)

    def ask(reports: Reports) -> t.Any:
        period = reports.period("custom", DAY.date(), DAY.date() + dt.timedelta(days=1))
        return reports.paths(start, period, limits, **options)

    return ask


def make_up(seed: int = 1) -> list[Told]:
    """Return what a hundred people saw, often at the same moment, and around midnight of Berlin."""
    chance = random.Random(seed)
    minutes = (*MINUTES, -4000, -61, -60, -59.99, 2819, 2820)
    return [
        Told(
            chance.choice(minutes),
            chance.randrange(100),
            chance.choice((0, 0, 1, 2, UNNAMED, GONE, None)),
            chance.choice(("/", "/", "/a", "/b", "/c", "it.buy")),
            chance.choice(({}, {"scroll": 80})),
            site=chance.choice(("localhost", BLOG)),
        )
        for _ in range(2000)
    ]


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> Host:
    return open_told(make, clock, clickhouse, NOW)


def test_any_question(shop: Host, clickhouse: ClickHouse) -> None:
    retell(shop, clickhouse, make_up())
    for start, texts, options in QUESTIONS:
        assert_same(shop, paths(start, *texts, **options))
    read = Step.parse("page:/", ["at_least:scroll:75"])
    for direction in ("next", "before"):
        assert_same(shop, paths(read, direction=direction))


def test_visits_of_one_moment(shop: Host, clickhouse: ClickHouse) -> None:
    """They are in the order of their routes, and before an event. One page several times in a row
    is one place, also if it is the start."""
    at_once = [Told(0, 0, 0, each) for each in ("/b", "/", "it.buy", "/a", "/")]
    later = [Told(minute, 0, 0, each) for minute, each in enumerate(("/b", "/b", "/c", "/"), 1)]
    retell(shop, clickhouse, [*at_once, *later, Told(5, 1, 0, "it.buy")])
    for start, direction, trails in (
        ("page:/", "next", {("/a", "/b", "/c"): 1}),
        ("page:/", "before", {(None,): 1}),
        ("page:/b", "next", {("/c", "/", None): 1}),
        ("page:/b", "before", {("/a", "/", None): 1}),
        ("it.buy", "next", {("/b", "/c", "/"): 1, (None,): 1}),
        ("it.buy", "before", {("/b", "/a", "/"): 1, (None,): 1}),
    ):
        ask = paths(start, direction=direction)
        assert dict(iter_paths(ask_copy(shop, ask))) == trails
        assert_same(shop, ask)


def test_hostile_values_stay_values(shop: Host, clickhouse: ClickHouse) -> None:
    """As routes and in conditions."""
    routes = [f"/{text}" for text in HOSTILE]
    told = Told(9, 9, 0, "it.buy", {"sku": HOSTILE[2]})
    retell(shop, clickhouse, [*walk_through(0, *routes), *walk_through(9, *routes), told])
    for number, route in enumerate(routes):
        found = ask_copy(shop, paths(f"page:{route}", *(f"is_not:source:{x}" for x in HOSTILE)))
        trail = (*routes[number + 1 :], None)[:3]
        assert dict(iter_paths(found)) == {trail: 2}
    step = Step.parse("it.buy", [f"is:sku:{text}" for text in HOSTILE])
    assert_same(shop, paths(step, direction="before"))
    assert ask_copy(shop, paths(step)).sessions == 1
