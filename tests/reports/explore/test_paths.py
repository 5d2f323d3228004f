"""Paths: what they count is what a plain count of the same events counts."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports import counting
from flask_eventtrack.reports.explore.path_rows import Direction, PathNode, Paths
from flask_eventtrack.reports.explore.steps import Step
from flask_eventtrack.reports.filters import Filter

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from .plain_funnel import fits, source_of
from .stories import DAY, Told, open_shop, tell

MINUTES = (-30, 0, 1, 1, 2, 3, 4, 5, 6, 7, 1439, 2870, 2890)
PAGES = st.builds(
    Told,
    minute=st.sampled_from(MINUTES),
    who=st.integers(0, 2),
    session=st.sampled_from((0, 0, 0, 1, None)),
    what=st.sampled_from(("/", "/a", "/b", "/c")),
    params=st.sampled_from(({}, {"scroll": 80})),
)
EVENTS = st.builds(
    Told,
    st.sampled_from(MINUTES),
    st.integers(0, 2),
    st.sampled_from((0, 1, None)),
    st.just("it.buy"),
)
STORIES = st.lists(st.one_of(PAGES, PAGES, PAGES, EVENTS), max_size=24)
STARTS = st.sampled_from(
    [
        Step.parse("page:/"),
        Step.parse("page:/a"),
        Step.parse("page:/", ["at_least:scroll:75"]),
        Step.parse("it.buy"),
    ]
)


def test_paths_are_what_a_plain_count_says(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """In both directions, of any history, start and filter."""
    host = open_shop(make, clock, url=database_url)

    @settings(max_examples=80, deadline=None)
    @given(
        story=STORIES,
        start=STARTS,
        direction=st.sampled_from(("next", "before")),
        source=st.sampled_from((None, "google")),
    )
    def check(story: list[Told], start: Step, direction: Direction, source: str | None) -> None:
        tell(host, story)
        reports = host.state.reports
        period = reports.period("custom", DAY.date(), DAY.date() + dt.timedelta(days=1))
        limits = Filter.parse([] if source is None else [f"is:source:{source}"])
        found = reports.paths(start, period, limits, direction=direction)
        expected = count_plainly(story, start, direction, source)
        assert dict(iter_paths(found)) == expected
        assert found.sessions == sum(expected.values())
        check_shares(found, found.sessions)

    check()


def count_plainly(
    story: list[Told], start: Step, direction: Direction, source: str | None
) -> dict[tuple[str | None, ...], int]:
    """Count how many sessions have each path."""
    paths: collections.Counter[tuple[str | None, ...]] = collections.Counter()
    for who, session in {(each.who, each.session) for each in story if each.session is not None}:
        told = [each for each in story if (each.who, each.session) == (who, session)]
        starts = [each for each in told if fits(start, each) and 0 <= each.minute < 2880]
        if starts and source in {None, source_of(told[0])}:
            first = min(each.minute for each in starts)
            paths[walk(told, start, first, direction)] += 1
    return paths


def walk(
    told: list[Told], start: Step, first: float, direction: Direction
) -> tuple[str | None, ...]:
    seen = sorted((each.minute, each.what) for each in told if each.is_page)
    if start.route is not None:
        place = seen.index((first, start.route))
        before, after = seen[:place], seen[place + 1 :]
    else:
        before = [each for each in seen if each[0] <= first]
        after = [each for each in seen if each[0] > first]
    routes = [what for _, what in (after if direction == "next" else reversed(before))]
    path: list[str | None] = []
    last = start.route
    for route in routes:
        if route != last:
            path.append(route)
        last = route
    return tuple([*path, None][:3])


def iter_paths(found: Paths | PathNode) -> cabc.Iterator[tuple[tuple[str | None, ...], int]]:
    for node in found.nodes:
        if node.nodes:
            yield from (((node.page, *path), number) for path, number in iter_paths(node))
        else:
            yield (node.page,), node.sessions


def check_shares(found: Paths | PathNode, sessions: int) -> None:
    """Each level has all sessions of the one before, the most frequent first."""
    if found.nodes:
        assert sum(node.sessions for node in found.nodes) + found.rest == sessions
        assert [n.sessions for n in found.nodes] == sorted(
            (n.sessions for n in found.nodes), reverse=True
        )
    for node in found.nodes:
        assert node.share == node.sessions / sessions
        check_shares(node, node.sessions)


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_shop(make, clock)


def ask(host: Host, start: str, *texts: str, **options: t.Any) -> Paths:
    period = host.state.reports.period("7d")
    return host.state.reports.paths(start, period, Filter.parse(texts), **options)


def walk_through(who: int, *places: str, session: int = 0) -> list[Told]:
    return [Told(minute, who, session, place) for minute, place in enumerate(places)]


def test_a_page_several_times_in_a_row_is_one(shop: Host) -> None:
    """Also if it is the start; and "left" is a place."""
    tell(shop, walk_through(0, "/", "/", "/a", "it.view", "/a", "/"))
    found = ask(shop, "page:/")
    assert list(iter_paths(found)) == [(("/a", "/", None), 1)]


def test_the_page_of_an_event_is_before_it(shop: Host) -> None:
    """Events are places only as the start."""
    tell(shop, walk_through(0, "/", "/a", "it.view", "it.buy", "/b"))
    assert list(iter_paths(ask(shop, "it.buy"))) == [(("/b", None), 1)]
    found = ask(shop, "it.buy", direction="before")
    assert list(iter_paths(found)) == [(("/a", "/", None), 1)]
    tell(shop, [Told(0, 0, 0, "it.buy"), Told(0, 0, 0, "/a")])
    assert list(iter_paths(ask(shop, "it.buy", direction="before"))) == [(("/a", None), 1)]


def test_beyond_ten_pages_are_together(shop: Host) -> None:
    """With how many they are; "left" is shown in any case."""
    stories = [walk_through(who, "/", f"/{who % 13:02}") for who in range(30)]
    tell(shop, [told for story in [*stories, walk_through(99, "/")] for told in story])
    found = ask(shop, "page:/")
    assert [(node.page, node.sessions) for node in found.nodes] == [
        *((f"/{number:02}", 3) for number in range(4)),
        *((f"/{number:02}", 2) for number in range(4, 10)),
        (None, 1),
    ]
    assert (found.sessions, found.rest, found.other_pages) == (31, 6, 3)


def test_a_session_counts_once(shop: Host) -> None:
    """From the first start on, and its own pages alone."""
    first, second = walk_through(0, "/", "/a", "/", "/b"), walk_through(0, "/", "/c", session=1)
    tell(shop, [*first, *second])
    found = ask(shop, "page:/")
    assert dict(iter_paths(found)) == {("/a", "/", "/b"): 1, ("/c", None): 1}
    found = ask(shop, "page:/", "is:source:direct")
    assert dict(iter_paths(found)) == {("/c", None): 1}


def test_a_limit_is_said(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nothing there is no path."""
    monkeypatch.setattr(counting, "SCAN_SECONDS", -1.0)
    found = ask(shop, "page:/")
    assert (found.nodes, found.sessions) == ((), 0)
    assert found.cut is not None
    assert found.cut.sentence == "of the last 0 of 7 days"


def test_wrong_questions_are_refused(shop: Host) -> None:
    """The error says what there is."""
    with pytest.raises(ReportError, match="The direction is 'next' or 'before', not 'back'"):
        ask(shop, "page:/", direction="back")
    with pytest.raises(ReportError, match=r"The event 'it\.lose' is not defined"):
        ask(shop, "it.lose")
