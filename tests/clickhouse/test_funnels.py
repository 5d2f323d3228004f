"""Funnels that are counted in the copy: what they count is what the host's database says, and what
a plain count of the same events says."""

from __future__ import annotations

import datetime as dt
import random
import typing as t
import urllib.parse
import uuid as uuidlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.errors import ReportUnavailable
from flask_eventtrack.reports.explore.lost import Lost
from flask_eventtrack.reports.explore.plan import Per, Plan
from flask_eventtrack.reports.explore.rows import Funnel
from flask_eventtrack.reports.explore.steps import Step, as_step
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.library import Reports

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.explore.plain_funnel import count_plainly
from ..reports.explore.stories import Told, open_shop, person_of, tell
from ..reports.explore.test_funnel import PLANS
from ..reports.visits import Visitor
from ..store.copies import LOG
from ..store.halves import BROWSER, SERVER
from ..store.people import forget
from ..store.records import write_records
from .copies import ClickHouse, copy
from .reported import Ask, ask_copy, ask_host, assert_same, open_copied
from .test_reports import FILTERS, HOSTILE

pytestmark = pytest.mark.usefixtures("no_chores")

_PEOPLE = 60
_MINUTES = (-1, 0, 1, 1, 2, 2, 3, 3.5, 5, 1439, 1441, 1441, 2879, 2881)
_PARAMS: tuple[dict[str, t.Any], ...] = (
    *({}, {"sku": "a"}, {"sku": "b", "size": 3}, {"sku": "a", "size": 1, "scroll": 80}),
    {"sku": None},
)
#: What the copy has between two merges: earlier versions of rows, which say something else, and
#: rows that are gone.
_UNMERGED = (
    "INSERT INTO eventtrack_event SELECT * REPLACE (version + 2 AS version) FROM eventtrack_event",
    "INSERT INTO eventtrack_session SELECT * REPLACE (version + 2 AS version) "
    "FROM eventtrack_session",
    "INSERT INTO eventtrack_event SELECT * REPLACE (version - 1 AS version, "
    "time + toIntervalMinute(1) AS time, '/' AS url_rule, 'bot' AS source, NULL AS session_id, "
    '\'{"sku": "b", "scroll": 90}\' AS params, \'old.test\' AS site) FROM eventtrack_event FINAL',
    "INSERT INTO eventtrack_session SELECT * REPLACE (version - 1 AS version, "
    "generateUUIDv4() AS person, 'old' AS source, 'old.test' AS site) "
    "FROM eventtrack_session FINAL",
    "INSERT INTO eventtrack_event SELECT * REPLACE (reinterpretAsUUID(sipHash128(id)) AS id, "
    "version + gone AS version, gone AS is_deleted) FROM eventtrack_event FINAL "
    "ARRAY JOIN [0, 1] AS gone",
)
_FILTERS = (
    ("is_not:source:google",),
    ("is:source:",),
    ("is:source:google", "is:source:direct"),
    ("contains:source:OO",),
    ("is:page:/",),
    ("is_not:page:/",),
    ("is:event:it.buy", "is:site:localhost"),
    ("is_not:event:it.buy", "is_not:country:DE"),
    ("at_least:it.buy.size:2",),
    ("at_most:pages:1",),
    ("at_least:duration:60",),
    ("is:customer:no",),
    ("is:headless:no",),
    ("is_not:site:other.test",),
    ("is_not:hour:09",),
)


def make_history(seed: int) -> list[Told]:
    """Return events of many people, of which much happens at once."""
    chance, found = random.Random(seed), list[Told]()
    for who in range(_PEOPLE):
        for _ in range(chance.randrange(1, 14)):
            what = chance.choice(("it.view", "it.view", "it.buy", "it.drop", "/", "/checkout"))
            session = chance.choice((0, 0, 1, 2, None))
            source = "bot" if session is None and chance.random() < 0.3 else "server"
            params = chance.choice(_PARAMS)
            site = chance.choice(("localhost", "localhost", "other.test"))
            found.append(Told(chance.choice(_MINUTES), who, session, what, params, site, source))
    return found


def open_told(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse, story: t.Iterable[Told]
) -> Host:
    """Return a shop with a story and its copy."""
    config = {"EVENTTRACK_REPORTS_URL": clickhouse.url, **LOG}
    host = open_shop(make, clock, config=config)
    tell(host, story)
    copy(host, clickhouse)
    return host


def funnel(
    *steps: str, period: str = "7d", texts: t.Sequence[str] = (), **more: t.Any
) -> Ask[t.Any]:
    """Ask for a funnel, and for who stopped after its first step."""
    sites = more.pop("sites", None)
    by = more.pop("by", None)
    more["excluded"] = tuple(map(as_step, more.get("excluded", ())))
    return whole(Plan(tuple(map(as_step, steps)), **more), period, texts, by=by, sites=sites)


def whole(
    plan: Plan, period: str = "7d", texts: t.Sequence[str] = (), **options: t.Any
) -> Ask[tuple[Funnel, Lost]]:
    """Ask for a funnel, and for all who stopped after a step, 1 unless given."""
    limits, sites = Filter.parse(texts), options.get("sites")
    after = options.pop("after", 1)

    def ask(reports: Reports) -> tuple[Funnel, Lost]:
        during = reports.period(period)
        lost = reports.lost(plan, after, during, limits, sites=sites, limit=200)
        return reports.funnel_of(plan, during, limits, **options), lost

    return ask


def counts(host: Host, ask: Ask[t.Any]) -> list[int]:
    """Return the count of each step, by the copy."""
    found, _ = ask_copy(host, ask)
    return [step.count for step in found.steps]


def test_any_funnel(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> None:
    """With each kind of row that the copy may have."""
    story = make_history(1)
    host = open_told(make, clock, clickhouse, story)
    for statement in _UNMERGED:
        clickhouse.run(statement)

    @settings(max_examples=15, deadline=None)
    @given(plan=PLANS, place=st.integers(0, 2))
    def check(plan: Plan, place: int) -> None:
        after = 1 + place % (len(plan.steps) - 1)
        ask = whole(plan, "7d", by="source", after=after)
        found, lost = ask_copy(host, ask)
        assert (found, lost) == ask_host(host, ask)
        period = host.state.reports.period("7d")
        expected = count_plainly(story, plan, period.start, period.end)
        assert [step.count for step in found.steps] == expected.counts
        assert [step.median for step in found.steps] == expected.medians
        assert {row.value: list(row.counts) for row in found.rows} == expected.rows
        who = expected.lost[after]
        assert ({row.person for row in lost.people}, lost.total) == (
            set(map(person_of, who)),
            len(who),
        )

    check()


def test_filters_and_sites(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> None:
    """Filters limit the first step only, also of events without a session."""
    host = open_told(make, clock, clickhouse, make_history(2))
    view, buy = "it.view", "it.buy"
    for place, texts in enumerate(_FILTERS):
        per = t.get_args(Per)[place % 2]
        assert_same(host, funnel("page:/", view, buy, texts=texts, per=per, by="source"))
    # The bit of what is excluded is beyond the first byte.
    assert_same(host, funnel(*[view] * 8, excluded=["it.drop"], texts=["is:source:google"]))
    for sites in ({"other.test"}, {"localhost", "other.test"}, set()):
        assert_same(host, funnel(view, buy, sites=sites, texts=["is_not:source:google"]))
    assert_same(host, funnel(view, buy, sites={"localhost"}, period="today"))


@pytest.mark.parametrize("per", t.get_args(Per))
def test_who_was_lost_comes_a_page_at_a_time(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse, per: Per
) -> None:
    """A person of several sessions comes once, with the latest of these."""
    host = open_told(make, clock, clickhouse, make_history(2))
    plan = Plan((Step.parse("it.view"), Step.parse("it.buy")), per=per)
    for limit, offset in ((1, 0), (3, 2), (10, 15), (5, 1000), (0, 0)):
        assert_same(host, lost_of(plan, limit, offset))


def lost_of(plan: Plan, limit: int, offset: int) -> Ask[Lost]:
    return lambda reports: reports.lost(plan, 1, reports.period("7d"), limit=limit, offset=offset)


def test_sessions_that_are_gone(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> None:
    """They stand for the first profile of all their events, also of those that are no step."""
    config = {"EVENTTRACK_REPORTS_URL": clickhouse.url, **LOG}
    host = open_shop(make, clock, config=config)
    tell(host, make_history(3))
    database = host.state.pipeline.database
    event, session = database.tables.event, database.tables.session
    with database.begin() as connection:
        for who in range(0, _PEOPLE, 2):
            for number in (0, 1):
                key = uuidlib.UUID(int=10_000 + 100 * who + number)
                of = event.update().where(event.c.session_id == key)
                profiles = (person_of(who + 1), person_of(who), uuidlib.UUID(int=9000 + who))
                connection.execute(of.values(uuid=profiles[0]))
                connection.execute(of.where(event.c.action == "it.drop").values(uuid=profiles[1]))
                connection.execute(of.where(event.c.action == "it.buy").values(uuid=profiles[2]))
                connection.execute(session.delete().where(session.c.id == key))
    copy(host, clickhouse)
    for statement in _UNMERGED:
        clickhouse.run(statement)
    for per in t.get_args(Per):
        for texts in ((), ("is_not:source:google",)):
            assert_same(host, funnel("it.view", "it.buy", per=per, texts=texts, by="source"))


def test_a_session_that_is_gone_may_have_no_first_step(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse
) -> None:
    """Only another of its events names its person."""
    story = [Told(0, 0, 0, "it.view"), Told(1, 0, 1, "it.buy"), Told(2, 0, 1, "it.drop")]
    host = open_shop(make, clock, config={"EVENTTRACK_REPORTS_URL": clickhouse.url, **LOG})
    tell(host, story)
    database = host.state.pipeline.database
    event, session = database.tables.event, database.tables.session
    with database.begin() as connection:
        of_drop = event.update().where(event.c.action == "it.drop")
        connection.execute(of_drop.values(uuid=person_of(0)))
        connection.execute(session.delete().where(session.c.id == uuidlib.UUID(int=10_001)))
    copy(host, clickhouse)
    assert_same(host, funnel("it.view", "it.buy"))
    assert counts(host, funnel("it.view", "it.buy")) == [1, 1]


def test_moments_that_are_close(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> None:
    """To the microsecond, also at the ends of the period and of the time that is given."""
    tick = 1 / 60_000_000
    views = [Told(n * 10 - place * tick, n, 0, "it.view") for n in range(9) for place in (0, n)]
    buys = [Told(n * 10 + (n % 3 - 1) * tick, n, n % 2, "it.buy") for n in range(9)]
    ends = [Told(minute, 20, 0, "it.view") for minute in (-4 * 1440 - tick, -4 * 1440, 4319.9)]
    host = open_told(make, clock, clickhouse, [*views, *buys, *ends])
    for microseconds in (1, 2, 3, 8, 60_000_000):
        within = dt.timedelta(microseconds=microseconds)
        assert_same(host, funnel("it.view", "it.buy", within=within, by="source"))
        assert_same(host, funnel("it.view", "it.view", within=within, excluded=["it.buy"]))
    assert counts(host, funnel("it.view", "it.buy", within=dt.timedelta(microseconds=1))) == [10, 6]


def test_each_filter(small_shop: Host) -> None:
    """Of a shop that people have visited, in a zone of its own."""
    plan = Plan((as_step("page:/"), as_step("page:/products/<slug>")))
    for texts in FILTERS:
        assert_same(small_shop, numbers_of(plan, texts))


def numbers_of(plan: Plan, texts: t.Sequence[str]) -> Ask[Funnel]:
    limits = Filter.parse(texts)
    return lambda reports: reports.funnel_of(plan, reports.period("30d"), limits)


def test_what_changes_later(small_shop: Host, clickhouse: ClickHouse) -> None:
    """An anonymous visitor who logs in is one person, and nobody once they are erased."""
    steps = funnel("page:/", "cart.put", by="browser")
    before = counts(small_shop, steps)
    first, second = Visitor(small_shop).see("/"), Visitor(small_shop).see("/")
    copy(small_shop, clickhouse)
    first.do("/login/77")
    second.do("/login/77").do("/cart/pen/1.00")
    copy(small_shop, clickhouse)
    assert_same(small_shop, steps)
    assert counts(small_shop, steps) == [before[0] + 1, before[1] + 1]
    forget(small_shop, "77")
    copy(small_shop, clickhouse)
    assert_same(small_shop, steps)
    assert counts(small_shop, steps) == before


def test_a_visit_that_gets_its_other_half_is_one(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse
) -> None:
    host = open_copied(make, clock, clickhouse)
    for half in (SERVER, BROWSER):
        write_records(host, half)
        copy(host, clickhouse)
        twice = funnel(f"page:{SERVER.url_rule}", "page.visit", by="source")
        assert_same(host, twice)
        assert counts(host, twice) == [1, 0]


def test_hostile_values_stay_values(small_shop: Host, clickhouse: ClickHouse) -> None:
    """As values of rows, of what steps are joined on, and in conditions and names of steps."""
    with small_shop.app.app_context():
        for text in HOSTILE:
            visitor = Visitor(small_shop)
            visitor.see("/?utm_source=" + urllib.parse.quote(text + "."))
            visitor.do(f"/cart/{urllib.parse.quote(text.replace('/', '')) or 'x'}/1.00")
            visitor.do("/cart/pen/1.00").do("/cart/pen/1.00")
    copy(small_shop, clickhouse)
    assert_same(small_shop, funnel("page:/", "cart.put", by="source"))
    assert_same(small_shop, funnel("cart.put", "cart.put", same="sku", by="utm_source"))
    for some in (HOSTILE[:7], HOSTILE[7:]):
        pages = [as_step(f"page:{text}") for text in some[:5]]
        put = Step.parse("cart.put", [f"is:sku:{text}" for text in some])
        texts = [f"is_not:source:{text}." for text in some]
        plan = Plan((put, Step.parse("cart.put"), *pages), excluded=tuple(pages))
        assert_same(small_shop, whole(plan, texts=texts, by="source"))
    everything = counts(small_shop, funnel("page:/", "cart.put"))
    assert everything[1] >= len(HOSTILE)


def test_without_the_copy(small_shop: Host, clickhouse: ClickHouse) -> None:
    """The host's database answers, and says why it is cut."""
    steps = funnel("page:/", "cart.put")
    expected = ask_copy(small_shop, steps)
    clickhouse.run("DROP TABLE eventtrack_copy SYNC")
    assert steps(small_shop.state.reports) == expected
    found, lost = ask_copy(small_shop, steps)
    sentence = "There is no copy in ClickHouse yet."
    assert [each.cut and each.cut.lacks_copy for each in (found, lost)] == [sentence] * 2


def test_joining_takes_no_longer_than_elsewhere(
    small_shop: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_eventtrack.reports.explore.funnel.SCAN_SECONDS", -1.0)
    with pytest.raises(ReportUnavailable, match="Choose a shorter period or fewer steps"):
        ask_copy(small_shop, funnel("page:/", "page:/products/<slug>"))
