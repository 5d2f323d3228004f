"""Elements and forms: what they count is what a plain count of the same events counts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.reports import counting
from flask_eventtrack.reports.explore.element_rows import ElementRow, Elements, FormRow
from flask_eventtrack.reports.filters import Filter

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from .plain_elements import count_elements, count_forms
from .plain_funnel import source_of
from .stories import DAY, Told, open_shop, tell

Params = dict[str, t.Any]

IDS = st.sampled_from(("spring", "autumn", "order"))
FORMS = st.sampled_from(({"form": "order"}, {"form": "news"}, {}))
FIELDS = st.sampled_from(({"field": "email"}, {"field": "topic"}, {}))
DWELLS = st.sampled_from(({}, {"dwell_ms": 300}, {"dwell_ms": 300}, {"dwell_ms": 4000}))


def told(what: str, params: st.SearchStrategy[Params]) -> st.SearchStrategy[Told]:
    return st.builds(
        Told,
        minute=st.sampled_from((-30, 0, 1, 2, 3, 4, 1439, 2870, 2890)),
        who=st.integers(0, 3),
        session=st.sampled_from((0, 0, 1, 2, None)),
        what=st.just(what),
        params=params,
    )


def merged(*parts: st.SearchStrategy[Params]) -> st.SearchStrategy[Params]:
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


NAMED = IDS.map(lambda name: {"id": name})
STORIES = st.lists(
    st.one_of(
        told("element.view", NAMED),
        told("element.hover", merged(NAMED, DWELLS)),
        told("element.hover", merged(NAMED, DWELLS)),
        told("link.click", NAMED),
        told("button.click", st.one_of(NAMED, st.just({}))),
        told("form.start", FORMS),
        told("form.submit", FORMS),
        told("form.abandon", merged(FORMS, FIELDS)),
        told("form.abandon", merged(FORMS, FIELDS)),
    ),
    max_size=30,
)


def test_elements_and_forms_are_what_a_plain_count_says(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Of any history and filter; and no rate is more than one."""
    host = open_shop(make, clock, url=database_url)

    @settings(max_examples=80, deadline=None)
    @given(story=STORIES, source=st.sampled_from((None, "google")))
    def check(story: list[Told], source: str | None) -> None:
        tell(host, story)
        reports = host.state.reports
        period = reports.period("custom", DAY.date(), DAY.date() + dt.timedelta(days=1))
        limits = Filter.parse([] if source is None else [f"is:source:{source}"])
        found = reports.elements(period, limits)
        mine = [
            each
            for each in story
            if 0 <= each.minute < 2880 and (source is None or source_of(each) == source)
        ]
        assert {row.id: dataclasses.asdict(row) for row in found.elements} == count_elements(mine)
        assert {row.form: describe(row) for row in found.forms} == count_forms(mine)
        check_order(found)

    check()


def describe(row: FormRow) -> dict[str, object]:
    """Return a form as the plain count says it: its fields with their numbers."""
    said = dataclasses.asdict(row)
    assert said.pop("fields_in_all") == len(row.fields)
    assert sum(each.share for each in row.fields) == pytest.approx(1 if row.fields else 0)
    return said | {"fields": {each.field: each.sessions for each in row.fields}}


def check_order(found: Elements) -> None:
    assert found.elements_in_all == len(found.elements)
    assert found.forms_in_all == len(found.forms)
    seen = [row.seen for row in found.elements]
    begun = [row.begun for row in found.forms]
    assert (seen, begun) == (sorted(seen, reverse=True), sorted(begun, reverse=True))


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_shop(make, clock)


def ask(host: Host, *texts: str, sites: list[str] | None = None) -> Elements:
    period = host.state.reports.period("7d")
    return host.state.reports.elements(period, Filter.parse(texts), sites=sites)


def hover(who: int, *dwells: int, id_: str = "spring") -> list[Told]:
    return [
        Told(minute, who, 0, "element.hover", {"id": id_, "dwell_ms": dwell})
        for minute, dwell in enumerate(dwells)
    ]


def click(who: int, id_: str = "spring") -> Told:
    return Told(9, who, 0, "link.click", {"id": id_, "href": "http://localhost/"})


def test_longer_than_usual_is_longer_than_the_median(shop: Host) -> None:
    """Each session counts with its longest hover: here 300, 400, 900 and 2,000 ms."""
    stories = [hover(0, 300), hover(1, 100, 400, 100), hover(2, 900, 800), hover(3, 2000)]
    tell(shop, [*(each for story in stories for each in story), click(0), click(3), click(4)])
    [row] = ask(shop).elements
    assert row == ElementRow(
        id="spring",
        views=0,
        seen=0,
        hovered=4,
        median_dwell_ms=400,
        clicked=3,
        hover_rate=None,
        click_rate=None,
        hovered_long=2,
        hovered_long_clicked=1,
        long_click_rate=0.5,
    )


def test_a_form_that_is_sent_after_all_is_not_abandoned(shop: Host) -> None:
    """Whoever comes back to it in the same session. The last field counts."""
    params = {"form": "order"}
    story = [
        *(Told(0, who, 0, "form.start", params) for who in range(3)),
        Told(1, 0, 0, "form.abandon", {**params, "field": "topic"}),
        Told(5, 0, 0, "form.abandon", {**params, "field": "address"}),
        Told(3, 0, 0, "form.abandon", {**params, "field": "email"}),
        Told(2, 1, 0, "form.abandon", {**params, "field": "address"}),
        Told(3, 1, 0, "form.submit", params),
    ]
    tell(shop, story)
    [row] = ask(shop).forms
    assert (row.begun, row.sent, row.abandoned) == (3, 1, 1)
    assert [(each.field, each.sessions, each.share) for each in row.fields] == [("address", 1, 1)]


def test_numbers_that_no_browser_sends_do_no_harm(shop: Host) -> None:
    """Anyone may post any dwell that is an integer."""
    tell(shop, [*hover(0, 2**63 - 1), *hover(1, -5), *hover(2, 700)])
    [row] = ask(shop).elements
    assert (row.hovered, row.median_dwell_ms, row.hovered_long) == (3, 700, 1)


def test_the_largest_hundred_are_returned(shop: Host) -> None:
    """And how many there are is said."""
    names = [f"banner-{number:03}" for number in range(120)]
    story = [Told(0, 0, 0, "element.view", {"id": name}) for name in names]
    story += [Told(0, 0, 0, "form.start", {"form": name}) for name in names[:110]]
    tell(shop, story)
    found = ask(shop)
    assert [row.id for row in found.elements] == names[110:]
    assert (len(found.forms), found.forms_in_all) == (100, 110)


def test_sites_limit_the_events(shop: Host) -> None:
    """A report of one site has none of another's."""
    view = Told(0, 0, 0, "element.view", {"id": "spring"})
    tell(shop, [view, dataclasses.replace(view, site="elsewhere", params={"id": "autumn"})])
    assert [row.id for row in ask(shop, sites=["localhost"]).elements] == ["spring"]
    assert [row.id for row in ask(shop, sites=["elsewhere"]).elements] == ["autumn"]
    assert ask(shop, sites=[]).elements == ()


def test_what_takes_too_long_is_cut_and_says_so(
    shop: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest part is read first."""
    tell(shop, [Told(0, 0, 0, "element.view", {"id": "spring"})])
    monkeypatch.setattr(counting, "SCAN_SECONDS", -1.0)
    cut = ask(shop).cut
    assert cut is not None
    assert cut.sentence
