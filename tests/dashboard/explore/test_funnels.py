"""The pages of funnels: composed by a form, with exact numbers, and open to whom they should be."""

from __future__ import annotations

import csv
import io
import re

import pytest
from flask import request

from ...conftest import MakeHost
from ...hosts import SAME_ORIGIN, FakeClock, Host
from ...reports.explore.stories import Told, open_shop, person_of, tell
from ..pages import find_links, look, read_headline, read_table
from ..test_hostile import HOSTILE, check

STORY = [
    *(Told(who, who, who % 2, "it.view", {"sku": "mug"}) for who in range(4)),
    *(Told(who + 2, who, who % 2, "/checkout") for who in range(2)),
    Told(10, 0, 0, "it.buy", {"sku": "mug"}),
]
FUNNEL = "step=it.view&step=page:/checkout&step=it.buy&period=7d"


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    host = open_shop(make, clock)
    tell(host, STORY)
    return host


def open_for(make: MakeHost, clock: FakeClock) -> Host:
    """Return a shop whose visitors' header says what they may see."""
    permission = {
        "EVENTTRACK_DASHBOARD_PERMISSION": lambda: request.headers.get("X-Staff"),
        "EVENTTRACK_REPORT_TOKENS": {"numbers": ["n" * 40], "view": ["v" * 40]},
    }
    host = open_shop(make, clock, config=permission)
    tell(host, STORY)
    return host


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_funnel_says_what_it_means(shop: Host) -> None:
    """In its first sentences, its columns and the table behind them."""
    page = look(shop, f"/funnels?{FUNNEL}&where=1:is:sku:mug")
    assert read_headline(page) == "From it.view to it.buy"
    text = text_of(page)
    assert "25.0% of 4 people got to the last step within 7 days." in text
    assert "Most were lost between it.view and /checkout." in text
    assert "1. it.view sku is mug 4 people 100% 2 lost" in text
    assert "3. it.buy 1 person 25.0% 50.0% of the step before median 8m 00s" in text
    assert read_table(page, "data") == [
        ["Step", "People", "Of the first", "Of the step before", "Lost", "Median time"],
        ["1. it.view (sku is mug)", "4", "100%", "", "2", ""],
        ["2. /checkout", "2", "50.0%", "50.0%", "1", "2m 00s"],
        ["3. it.buy", "1", "25.0%", "50.0%", "", "8m 00s"],
    ]
    assert re.findall(r'class="here" y="([\d.]+)"', page) == ["0.0", "50.0", "75.0"]


def test_a_funnel_has_rows_by_a_dimension(shop: Host) -> None:
    """Each row leads to the funnel of it alone."""
    page = look(shop, f"/funnels?{FUNNEL}&by=source")
    assert read_table(page)[1:] == [
        ["Direct", "2", "1", "0", "0%"],
        ["google", "2", "1", "1", "50.0%"],
    ]
    (href,) = find_links(page, "google")
    page = look(shop, href.removeprefix("/_et"))
    assert "50.0% of 2 people got to the last step" in text_of(page)


def test_the_form_leads_to_the_url_that_says_it(shop: Host) -> None:
    """Empty fields are left out, steps are numbered anew, and a path is taken for a page."""
    fields = [
        *(("compose", "1"), ("period", "7d"), ("f", "is:source:google")),
        *(("step", " "), ("on", "1"), ("parameter", "sku"), ("operator", "is"), ("value", "lost")),
        *(("step", "it.view "), ("on", "2"), ("parameter", "sku"), ("operator", "is")),
        *(("value", "mug"), ("on", "2"), ("parameter", ""), ("operator", "is"), ("value", "")),
        *(("step", "/checkout"), ("per", "session"), ("within", "1d"), ("same", ""), ("by", "")),
        ("not", "it.drop"),
    ]
    answer = shop.client().get("/_et/funnels", query_string=fields)
    assert (answer.status_code, answer.location) == (
        303,
        "/_et/funnels?period=7d&f=is:source:google&per=session&within=1d"
        "&step=it.view&step=page:/checkout&where=1:is:sku:mug&not=it.drop",
    )
    page = look(shop, answer.location.removeprefix("/_et"))
    assert "50.0% of 2 sessions got to the last step within 1 day." in text_of(page)
    assert 'value="mug"' in page
    assert '<option value="page:/products/&lt;slug&gt;">' in page
    assert '<option value="it.drop">' in page


def test_links_keep_the_funnel(shop: Host) -> None:
    """Those to another period, and those that remove a filter."""
    page = look(shop, f"/funnels?{FUNNEL}&f=is:source:google&not=it.drop&within=1h")
    own = "step=it.view&step=page:/checkout&step=it.buy&not=it.drop&within=1h"
    (remove,) = re.findall(r'href="([^"]+)" aria-label="Remove: Source is google"', page)
    assert remove.replace("&amp;", "&") == f"/_et/funnels?period=7d&{own}"
    (week,) = re.findall(r'href="([^"]*period=28d[^"]*)"', page)
    assert own in week.replace("&amp;", "&")


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("step=it.view", "A funnel has 2 to 8 steps, not 1."),
        ("step=it.view&step=it.lose", "The event &#39;it.lose&#39; is not defined."),
        (
            "step=it.view&step=it.buy&within=soon",
            "is no duration. Write one such as 30m, 12h or 7d",
        ),
    ],
)
def test_a_mistake_is_said_beside_the_form(shop: Host, query: str, mistake: str) -> None:
    """What was typed stays. A program gets a problem document."""
    answer = shop.client().get(f"/_et/funnels?{query}")
    assert answer.status_code == 400
    assert mistake in answer.text
    assert 'value="it.view"' in answer.text
    assert shop.client().get(f"/_et/funnels.json?{query}").get_json()["code"] == "invalid_report"


def test_an_empty_page_says_what_will_appear(shop: Host) -> None:
    """Without a funnel, the form alone; without events, a sentence."""
    page = look(shop, "/funnels")
    assert read_headline(page) == "Funnels"
    assert "How many people go from one step to the next" in page
    tell(shop, [])
    page = look(shop, f"/funnels?{FUNNEL}&by=source")
    assert "Nobody reached the first step in this period." in page
    assert "Where attempts began will appear here" in page
    page = look(shop, f"/funnels/lost?{FUNNEL}&after=1")
    assert "People who get to this step and no further will appear here." in page


def test_who_was_lost_leads_to_their_pages(shop: Host) -> None:
    """The latest first, as a page, JSON and a file."""
    page = look(shop, f"/funnels?{FUNNEL}")
    (href,) = find_links(page, "2 lost after it.view")
    page = look(shop, href.removeprefix("/_et"))
    assert read_headline(page) == "2 people got to it.view but not to /checkout"
    gone = [str(person_of(3)), str(person_of(2))]
    assert re.findall(r'<tr><td><a href="/_et/people/([^"]+)">', page) == gone
    client = shop.client()
    found = client.get(href.replace("lost?", "lost.json?")).get_json()
    assert ([row["person"] for row in found["people"]], found["total"]) == (gone, 2)
    data = client.get(href.replace("lost?", "lost.csv?")).data.decode("utf-8-sig")
    assert [row[0] for row in csv.reader(io.StringIO(data))] == ["uuid", *gone]
    (back,) = find_links(page, "\u2190 From it.view to it.buy")
    assert read_headline(look(shop, back.removeprefix("/_et"))) == "From it.view to it.buy"


def test_many_who_were_lost_have_pages(shop: Host) -> None:
    """Fifty at a time; the links keep the funnel."""
    tell(shop, [Told(who, who, 0, "it.view") for who in range(60)])
    page = look(shop, f"/funnels/lost?{FUNNEL}&after=1")
    assert "1 \u2013 50 of 60" in page
    (href,) = find_links(page, "Next")
    page = look(shop, href.removeprefix("/_et"))
    assert "51 \u2013 60 of 60" in page
    (back,) = find_links(page, "Previous")
    assert back.endswith("&after=1&offset=0")


def test_programs_read_the_same(shop: Host) -> None:
    """JSON with all numbers, and a file of steps or of rows."""
    client = shop.client()
    found = client.get(f"/_et/funnels.json?{FUNNEL}&by=source").get_json()
    assert [step["count"] for step in found["steps"]] == [4, 2, 1]
    assert (found["within"], found["per"], found["rows"][1]["counts"]) == (
        604_800,
        "person",
        [2, 1, 1],
    )
    data = client.get(f"/_et/funnels.csv?{FUNNEL}").data.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(data)))[2] == [
        *("page:/checkout", "", "2", "0.5", "0.5", "1", "120.0"),
    ]
    data = client.get(f"/_et/funnels.csv?{FUNNEL}&by=source").data.decode("utf-8-sig")
    assert next(csv.reader(io.StringIO(data))) == [
        *("source", "1. it.view", "2. page:/checkout", "3. it.buy", "share")
    ]


@pytest.mark.parametrize(
    ("staff", "statuses"),
    [("", (404, 404)), ("numbers", (200, 404)), ("view", (200, 200)), ("manage", (200, 200))],
)
def test_people_are_for_those_who_may_see_them(
    make: MakeHost, clock: FakeClock, staff: str, statuses: tuple[int, int]
) -> None:
    """Whoever may see numbers alone gets them without links to people."""
    client = open_for(make, clock).client()
    paths = (f"/_et/funnels?{FUNNEL}", f"/_et/funnels/lost?{FUNNEL}&after=1")
    answers = [client.get(path, headers={"X-Staff": staff}) for path in paths]
    assert tuple(answer.status_code for answer in answers) == statuses
    assert ("/funnels/lost" in answers[0].text) == (staff in {"view", "manage"})


def test_tokens_read_what_their_scope_allows(make: MakeHost, clock: FakeClock) -> None:
    """Numbers for one, people for the other."""
    client = open_for(make, clock).client()
    for token, statuses in (("n" * 40, [200, 404]), ("v" * 40, [200, 200]), ("x" * 40, [404, 404])):
        headers = {"Authorization": f"Bearer {token}"}
        paths = (f"/_et/funnels.json?{FUNNEL}", f"/_et/funnels/lost.json?{FUNNEL}&after=1")
        assert [client.get(path, headers=headers).status_code for path in paths] == statuses


def test_numbers_alone_name_no_order(make: MakeHost, clock: FakeClock) -> None:
    """A condition on an order's number would tell about a person."""
    client = open_for(make, clock).client()
    query = "step=transaction.charge&step=it.buy&where=1:is:order_id:7"
    answer = client.get(f"/_et/funnels?{query}", headers={"X-Staff": "numbers"})
    assert (
        answer.status_code,
        "You may not filter by customer_id or order_id." in answer.text,
    ) == (
        400,
        True,
    )


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("&step=transaction.charge&where=2:is:order_id:7", "it has no condition on order_id"),
        ("&step=it.buy&by=nothing", "nothing"),
    ],
)
def test_what_others_may_not_see_is_not_saved(
    make: MakeHost, clock: FakeClock, query: str, mistake: str
) -> None:
    """A saved funnel is listed for all who may see numbers."""
    host = open_for(make, clock)
    path = f"/_et/funnels?step=it.view{query}"
    headers = {"X-Staff": "manage", **SAME_ORIGIN}
    page = host.client().get("/_et/funnels?step=it.view&step=it.buy", headers=headers).text
    token = re.search(r'name="token" value="([^"]+)"', page)
    data = {"token": token[1] if token else "", "name": "mine"}
    answer = host.client().post(path, data=data, headers=headers)
    assert (answer.status_code, mistake in answer.text) == (400, True)
    assert host.rows("saved") == []


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_in_a_funnel(shop: Host, text: str) -> None:
    """Steps, conditions, and what is typed into the form."""
    typed = [("step", text), ("step", f"page:/{text}"), ("where", f"1:is:sku:{text}")]
    typed += [("not", text), ("same", text), ("within", text), ("by", text), ("per", text)]
    answer = shop.client().get("/_et/funnels", query_string=typed)
    assert answer.status_code == 400
    check(answer.text)
    limits = [("step", "it.view"), ("step", f"page:/{text}"), ("where", f"1:is:sku:{text}")]
    for path, own in (("", []), ("/lost", [("after", "1")])):
        answer = shop.client().get(f"/_et/funnels{path}", query_string=[*limits, *own])
        assert answer.status_code == (400 if "\0" in text else 200)
        check(answer.text)
