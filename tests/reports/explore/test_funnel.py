"""Funnels: what they count is what a plain count of the same events counts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import typing as t
import uuid as uuidlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.errors import ReportError, ReportUnavailable
from flask_eventtrack.reports.explore.attempts import find_furthest
from flask_eventtrack.reports.explore.plan import Per, Plan, parse_duration, write_duration
from flask_eventtrack.reports.explore.rows import Funnel
from flask_eventtrack.reports.explore.steps import Step, as_step
from flask_eventtrack.reports.filters import Filter

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from .plain_funnel import count_plainly, fits, source_of
from .stories import DAY, Told, open_shop, person_of, tell

MINUTE, WEEK = dt.timedelta(minutes=1), dt.timedelta(days=7)
#: Few different minutes, so that much happens at once; on both days of the period, and beside it.
MINUTES = (-1, 0, 1, 1, 2, 2, 3, 5, 1439, 1441, 1441, 2879, 2881)
THINGS = st.builds(
    Told,
    minute=st.sampled_from(MINUTES),
    who=st.integers(0, 1),
    session=st.sampled_from((0, 0, 1, 2, None)),
    what=st.sampled_from(("it.view", "it.view", "it.buy", "it.drop")),
    params=st.sampled_from(({}, {"sku": "a"}, {"sku": "b", "size": 3}, {"sku": "a", "size": 1})),
    source=st.sampled_from(("server", "server", "browser")),
)
PAGES = st.builds(
    Told,
    minute=st.sampled_from(MINUTES),
    who=st.integers(0, 1),
    session=st.sampled_from((0, 1, None)),
    what=st.sampled_from(("/", "/checkout")),
    params=st.sampled_from(({}, {"scroll": 80})),
)
BOTS = st.builds(
    Told,
    st.sampled_from(MINUTES),
    st.integers(0, 2),
    st.none(),
    st.just("/"),
    source=st.just("bot"),
)
STORIES = st.lists(st.one_of(THINGS, THINGS, THINGS, PAGES, BOTS), max_size=18)
EVENTS = (
    Step.parse("it.view"),
    Step.parse("it.view", ["is:sku:a"]),
    Step.parse("it.buy"),
    Step.parse("it.buy", ["at_least:size:2"]),
    Step.parse("it.drop"),
)
ROUTES = (
    Step.parse("page:/"),
    Step.parse("page:/checkout"),
    Step.parse("page:/", ["at_least:scroll:75"]),
    Step.parse("page.visit"),
)
WITHINS = st.sampled_from(
    [MINUTE, 2 * MINUTE, 3 * MINUTE, dt.timedelta(days=1), dt.timedelta(days=7)]
)
PERS: st.SearchStrategy[Per] = st.sampled_from(("person", "session"))
EXCLUDED = st.lists(st.sampled_from(["it.drop", "it.view"]), max_size=2, unique=True)
PLANS = st.one_of(
    st.builds(
        Plan,
        st.lists(st.sampled_from(EVENTS), min_size=2, max_size=4).map(tuple),
        WITHINS,
        PERS,
        st.sampled_from((None, "sku")),
        EXCLUDED.map(lambda texts: tuple(map(Step.parse, texts))),
    ),
    st.builds(
        Plan,
        st.lists(st.sampled_from((*EVENTS, *ROUTES)), min_size=2, max_size=4).map(tuple),
        WITHINS,
        PERS,
        excluded=st.sampled_from(((), (Step.parse("page:/"),))),
    ),
)


def test_a_person_of_very_many_events_is_not_joined_for_ever(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading has a limit, and so has joining what was read."""
    host = open_shop(make, clock)
    tell(host, [Told(n, 0, 0, "it.view") for n in range(3)])
    monkeypatch.setattr("flask_eventtrack.reports.explore.funnel.SCAN_SECONDS", -1.0)
    reports = host.state.reports
    with pytest.raises(ReportUnavailable, match="Choose a shorter period or fewer steps"):
        reports.funnel(["it.view", "it.view"], reports.period("7d"))


def test_a_funnel_is_what_a_plain_count_says(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Counts, medians, rows and who was lost, of any history and funnel."""
    host = open_shop(make, clock, url=database_url)

    @settings(max_examples=120, deadline=None)
    @given(story=STORIES, plan=PLANS)
    def check(story: list[Told], plan: Plan) -> None:
        tell(host, story)
        compare(host, story, plan)

    check()


@settings(max_examples=500, deadline=None)
@given(story=STORIES, plan=PLANS)
def test_attempts_are_those_of_the_definition(story: list[Told], plan: Plan) -> None:
    """Without a database, of many more histories: all as if one person had done it."""
    told = [dataclasses.replace(each, who=0, source="server") for each in story]
    plan = dataclasses.replace(plan, per="person")
    expected = count_plainly(told, plan, DAY - 60 * MINUTE, DAY + 3000 * MINUTE)
    events = []
    for each in told:
        at = DAY + each.minute * MINUTE
        places = [place for place, step in enumerate(plan.events) if fits(step, each)]
        value = None if plan.same is None else each.params.get(plan.same)
        if places and (plan.same is None or value is not None):
            events.append((at, sum(1 << p for p in places), source_of(each), value))
    found = find_furthest(events, len(plan.steps), plan.within)
    times = found.times if found else ()
    assert [int(place < len(times)) for place in range(len(plan.steps))] == expected.counts
    seconds = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    assert seconds == [each for each in expected.medians if each is not None]
    assert [found.value] * bool(times) == list(expected.rows) if found else not expected.rows


@pytest.mark.parametrize(
    ("story", "options", "expected"),
    [
        ([(0, "it.view"), (1440, "it.buy")], {}, [1, 1]),
        ([(0, "it.view"), (1, "it.buy"), (1441, "it.view")], {}, [1, 1]),
        ([(1439, "it.view"), (1441, "it.view"), (1442, "it.buy")], {}, [1, 1]),
        ([(0, "it.view"), (0, "it.buy")], {}, [1, 1]),
        ([(1, "it.view"), (0, "it.buy")], {}, [1, 0]),
        ([(0, "it.view"), (2, "it.buy")], {"within": 2 * MINUTE}, [1, 1]),
        ([(0, "it.view"), (3, "it.buy")], {"within": 2 * MINUTE}, [1, 0]),
        ([(0, "it.view"), (1, "it.drop"), (2, "it.buy")], {"excluded": ["it.drop"]}, [1, 0]),
        ([(0, "it.view"), (2, "it.drop"), (2, "it.buy")], {"excluded": ["it.drop"]}, [1, 1]),
        ([(0, "it.view"), (0, "it.drop"), (2, "it.buy")], {"excluded": ["it.drop"]}, [1, 1]),
        (
            [(0, "it.view"), (1, "it.drop"), (2, "it.view"), (3, "it.buy")],
            {"excluded": ["it.drop"]},
            [1, 1],
        ),
    ],
)
def test_the_borders_of_an_attempt(
    shop: Host, story: list[tuple[float, str]], options: dict[str, t.Any], expected: list[int]
) -> None:
    """At midnight, at one moment, at the end of the time, and with what is excluded."""
    tell(shop, [Told(minute, 0, 0, what) for minute, what in story])
    reports = shop.state.reports
    period = reports.period("custom", DAY.date(), DAY.date() + dt.timedelta(days=1))
    assert counts(reports.funnel(["it.view", "it.buy"], period, **options)) == expected


def test_steps_are_joined_on_a_parameter(shop: Host) -> None:
    """The value that got furthest counts; what has another value, or none, is no step."""
    a, b = {"sku": "a"}, {"sku": "b"}
    views = [Told(0, 0, 0, "it.view", a), Told(1, 0, 0, "it.view", b), Told(2, 0, 0, "it.view")]
    tell(shop, [*views, Told(3, 0, 0, "it.buy", b), Told(0, 1, 0, "it.view", a)])
    assert counts(ask(shop, "it.view", "it.buy", same="sku")) == [2, 1]
    tell(shop, [*views, Told(3, 0, 0, "it.buy")])
    assert counts(ask(shop, "it.view", "it.buy", same="sku")) == [1, 0]
    tell(shop, [*views, Told(2, 0, 0, "it.drop", a), Told(3, 0, 0, "it.buy", b)])
    found = ask(shop, "it.view", "it.buy", same="sku", excluded=["it.drop"])
    assert counts(found) == [1, 1]


def compare(host: Host, story: list[Told], plan: Plan) -> None:
    reports = host.state.reports
    period = reports.period("custom", DAY.date(), DAY.date() + dt.timedelta(days=1))
    expected = count_plainly(story, plan, period.start, period.end)
    found = reports.funnel_of(plan, period, by="source")
    assert [step.count for step in found.steps] == expected.counts
    assert [step.median for step in found.steps] == expected.medians
    assert {row.value: list(row.counts) for row in found.rows} == expected.rows
    for after, who in expected.lost.items():
        lost = reports.lost(plan, after, period)
        assert {row.person for row in lost.people} == set(map(person_of, who))
        assert lost.total == len(who)
        if plan.per == "person":
            assert found.steps[after - 1].lost == lost.total


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_shop(make, clock)


def ask(host: Host, *steps: str, texts: t.Sequence[str] = (), **options: t.Any) -> Funnel:
    period = host.state.reports.period("7d")
    return host.state.reports.funnel(steps, period, Filter.parse(texts), **options)


def counts(found: Funnel) -> list[int]:
    return [step.count for step in found.steps]


def test_shares_are_of_the_first_step_and_of_the_one_before(shop: Host) -> None:
    """With how many were lost, and the median time."""
    views = [Told(0, who, 0, "it.view") for who in range(4)]
    puts = [Told(1 + who, who, 0, "/basket") for who in range(2)]
    tell(shop, [*views, *puts, Told(10, 0, 0, "it.buy")])
    found = ask(shop, "it.view", "page:/basket", "it.buy", by="source")
    rows = [(s.count, s.share, s.share_of_previous, s.lost, s.median) for s in found.steps]
    assert rows == [(4, 1.0, None, 2, None), (2, 0.5, 0.5, 1, 60.0), (1, 0.25, 0.5, 0, 540.0)]
    assert [(row.value, row.counts, row.share) for row in found.rows] == [
        ("google", (4, 2, 1), 0.25)
    ]
    assert found.cut is None


def test_nobody_has_no_share(shop: Host) -> None:
    """Of nobody there is no part."""
    tell(shop, [])
    found = ask(shop, "it.view", "it.buy", by="country")
    assert [(s.count, s.share, s.share_of_previous) for s in found.steps] == [(0, None, None)] * 2
    assert (found.rows, found.rows_in_all) == ((), 0)


def test_the_first_of_equally_far_attempts_counts(shop: Host) -> None:
    """Its session says where it began."""
    tell(shop, [Told(0, 0, 1, "it.view"), Told(5, 0, 0, "it.view"), Told(9, 0, 0, "it.buy")])
    [direct] = ask(shop, "it.view", "it.buy", by="source").rows
    assert (direct.value, direct.counts) == ("direct", (1, 1))
    [google] = ask(shop, "it.view", "it.buy", by="source", within=5 * MINUTE).rows
    assert (google.value, google.counts) == ("google", (1, 1))


@pytest.mark.parametrize("others", [[], [Told(9, 0, 2, "it.buy")]], ids=["alone", "and-more"])
@pytest.mark.parametrize("google", [0, 5, 1445])
@pytest.mark.parametrize("is_told_first", [True, False])
def test_the_first_of_several_beginnings_counts(
    shop: Host, google: int, others: list[Told], *, is_told_first: bool
) -> None:
    """Whether or not a later step follows. Of those at one moment, the value decides."""
    views = [Told(google, 0, 0, "it.view"), Told(0, 0, 1, "it.view")]
    tell(shop, [*(views if is_told_first else views[::-1]), *others])
    [direct] = ask(shop, "it.view", "it.buy", by="source").rows
    assert (direct.value, direct.counts) == ("direct", (1, len(others)))


def test_the_value_decides_whatever_else_a_beginning_fits(shop: Host) -> None:
    """One of two beginnings at one moment fits a later step as well."""
    views = [Told(0, 0, 0, "it.view"), Told(0, 0, 1, "it.view", {"sku": "a"})]
    tell(shop, [*views, Told(5, 0, 2, "it.buy")])
    steps = "it.view", "it.buy", Step.parse("it.view", ["is:sku:a"])
    reports = shop.state.reports
    [direct] = reports.funnel(steps, reports.period("7d"), by="source").rows
    assert (direct.value, direct.counts) == ("direct", (1, 1, 0))


def test_a_filter_limits_where_attempts_begin(shop: Host) -> None:
    """The order may come from another session; a site limits every step."""
    tell(
        shop,
        [
            *(Told(0, 0, 0, "it.view"), Told(9, 0, 1, "it.buy"), Told(0, 1, 1, "it.view")),
            *(Told(0, 2, 0, "it.view"), Told(1, 2, 0, "it.buy", site="other.test")),
        ],
    )
    assert counts(ask(shop, "it.view", "it.buy")) == [3, 2]
    assert counts(ask(shop, "it.view", "it.buy", texts=["is:source:google"])) == [2, 2]
    assert counts(ask(shop, "it.view", "it.buy", texts=["is:event:it.view"])) == [3, 2]
    assert counts(ask(shop, "it.view", "it.view", texts=["is:source:google"])) == [2, 0]
    assert counts(ask(shop, "it.view", "it.buy", sites={"localhost"})) == [3, 1]
    assert counts(ask(shop, "it.view", "it.buy", texts=["is:site:localhost"])) == [3, 1]


def test_without_a_session_no_filter_matches(shop: Host) -> None:
    """Nothing is known of where it came from. A later step needs no session."""
    tell(
        shop,
        [
            *(Told(0, 0, None, "it.view"), Told(1, 0, None, "it.buy")),
            *(Told(0, 1, 1, "it.view"), Told(1, 1, None, "it.buy")),
        ],
    )
    assert counts(ask(shop, "it.view", "it.buy")) == [2, 2]
    for text in ("is_not:source:google", "is:source:", "is_not:page:/", "at_most:pages:9"):
        found = ask(shop, "it.view", "it.buy", texts=[text])
        assert counts(found) == [int(text != "is:source:")] * 2


def test_a_funnel_that_takes_too_long_says_of_what_it_is(
    shop: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the funnel of the latest part: what began before is not in it."""
    tell(shop, [Told(0, 0, 0, "it.view"), Told(1, 0, 0, "it.buy")])
    monkeypatch.setattr("flask_eventtrack.reports.counting.SCAN_SECONDS", -1)
    found = ask(shop, "it.view", "it.buy")
    assert counts(found) == [0, 0]
    assert found.cut is not None
    assert found.cut.sentence == "of the last 0 of 7 days"


def test_who_was_lost_comes_a_page_at_a_time(shop: Host) -> None:
    """The latest first; sessions are those of their people."""
    tell(shop, [Told(who + 10 * s, who, s, "it.view") for who in range(3) for s in range(2)])
    reports = shop.state.reports
    for per, total in (("person", 3), ("session", 6)):
        plan = Plan(tuple(map(as_step, ("it.view", "it.buy"))), per=t.cast("Per", per))
        period = reports.period("7d")
        assert reports.funnel_of(plan, period).steps[0].lost == total
        everyone = reports.lost(plan, 1, period)
        assert [row.person for row in everyone.people] == [person_of(who) for who in (2, 1, 0)]
        last = reports.lost(plan, 1, period, limit=1, offset=2)
        assert ([row.person for row in last.people], last.total) == ([person_of(0)], 3)
        with pytest.raises(ReportError, match="after a step from 1 to 1, not 2"):
            reports.lost(plan, 2, period)


def test_a_session_that_was_removed_is_still_its_persons(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Where sessions are kept for a shorter time than events, the events say whose they are."""
    shop = open_shop(make, clock, url=database_url)
    tell(shop, [Told(1, 0, 0, "it.view"), Told(2, 0, 1, "it.buy"), Told(1, 1, 0, "it.view")])
    database = shop.state.pipeline.database
    event = database.tables.event
    with database.begin() as connection:
        for number, uuid in ((10_000, 0), (10_001, 0), (10_100, 1)):
            of_session = event.c.session_id == uuidlib.UUID(int=number)
            change = event.update().where(of_session).values(uuid=person_of(uuid))
            connection.execute(change)
        connection.execute(database.tables.session.delete())
    assert counts(ask(shop, "it.view", "it.buy")) == [2, 1]
    assert counts(ask(shop, "it.view", "it.buy", per="session")) == [2, 0]
    plan, reports = Plan(tuple(map(as_step, ("it.view", "it.buy")))), shop.state.reports
    lost = reports.lost(plan, 1, reports.period("7d"))
    assert [row.person for row in lost.people] == [person_of(1)]


def test_a_plan_survives_the_url() -> None:
    """What is so anyway is left out; other arguments are left aside."""
    pairs = [
        *(("step", "it.view"), ("step", "it.buy"), ("where", "1:is:sku:a"), ("not", "it.drop")),
        *(("within", "90m"), ("per", "session"), ("same", "sku")),
    ]
    plan = Plan.parse([*pairs, ("period", "7d"), ("step", " ")])
    assert plan.to_query() == pairs
    assert plan.within == 90 * MINUTE
    assert Plan.parse([*pairs[:2], ("within", "7d"), ("same", "")]).to_query() == pairs[:2]


@pytest.mark.parametrize("text", ["1s", "90s", "1m", "90m", "5h", "36h", "1d", "366d"])
def test_a_duration_survives_the_url(text: str) -> None:
    """In the largest unit that it is whole in."""
    assert write_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("step=it.view", "A funnel has 2 to 8 steps, not 1"),
        ("&".join(["step=it.view"] * 9), "A funnel has 2 to 8 steps, not 9"),
        (
            "step=a.b&step=a.c&within=soon",
            "'soon' is no duration. Write one such as 30m, 12h or 7d.",
        ),
        ("step=a.b&step=a.c&within=367d", "a time from 1 second to 366 days"),
        ("step=a.b&step=a.c&per=visit", "each 'person' or 'session', not 'visit'"),
        ("step=a.b&step=page:/&same=sku", "Pages have no parameters to join steps on"),
        ("step=it.view&step=it.buy&same=colour", "'it.view' has no parameter 'colour'"),
        ("step=it.view&step=it.buy&not=it.lose", "The event 'it.lose' is not defined"),
        ("step=it.view&step=it.buy&not=page:", "'page:' is no step"),
    ],
)
def test_wrong_funnels_are_refused(shop: Host, query: str, problem: str) -> None:
    """The error says what is wrong."""
    pairs = [tuple(pair.split("=")) for pair in query.split("&")]
    with pytest.raises(ReportError, match=problem):
        Plan.parse(t.cast("t.Any", pairs)).check(shop.state.catalogue)


def test_excluded_events_are_few_and_plain(shop: Host) -> None:
    """There are no rows by what sessions do not have."""
    steps = tuple(map(as_step, ("it.view", "it.buy")))
    with pytest.raises(ReportError, match="cannot have conditions"):
        Plan(steps, excluded=(Step.parse("it.drop", ["is:sku:a"]),))
    with pytest.raises(ReportError, match="at most 8 excluded events"):
        Plan(steps, excluded=steps * 5)
    with pytest.raises(ReportError, match=r"There are no rows by 'hour'\. Choose one of: channel"):
        ask(shop, "it.view", "it.buy", by="hour")
