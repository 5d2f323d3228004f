"""The pages of goals, and what managers save."""

from __future__ import annotations

import csv
import io
import re

import pytest
from werkzeug.test import TestResponse

from ...conftest import MakeHost
from ...hosts import SAME_ORIGIN, FakeClock, Host
from ...reports.explore.stories import tell
from ..pages import find_links, read_headline, read_table
from ..test_hostile import HOSTILE, check
from .test_funnels import FUNNEL, STORY, open_for, text_of


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_for(make, clock)


SKU = {"parameter": "sku", "operator": "is"}
ORDER = {"parameter": "order_id", "operator": "is", "value": "7"}


def get(host: Host, path: str, staff: str = "manage") -> TestResponse:
    host.flush()
    return host.client().get(f"/_et{path}", headers={"X-Staff": staff})


def post(host: Host, path: str, staff: str = "manage", **fields: str) -> TestResponse:
    """Open a page and send a form of it."""
    found = re.search(r'name="token" value="([^"]+)"', get(host, path).text)
    token = found[1] if found else ""
    headers = {"X-Staff": staff, **SAME_ORIGIN}
    return host.client().post(f"/_et{path}", data={"token": token, **fields}, headers=headers)


def test_a_goal_is_made_and_removed(shop: Host) -> None:
    """It is counted at once; the audit says who did it."""
    answer = post(shop, "/goals", name="mug sold", event="it.buy", **SKU, value="mug")
    assert (answer.status_code, answer.location) == (303, "/_et/goals")
    page = get(shop, "/goals?period=7d").text
    assert read_table(page.replace('"full goals"', '"full"'))[1] == [
        *("mug sold it.buy sku is mug", "1", "25.0%", "1", "")
    ]
    assert "mug sold by unknown" in text_of(page)
    answer = post(shop, "/goals", name="mug sold", event="it.view")
    assert (answer.status_code, "There is a goal &#39;mug sold&#39; already" in answer.text) == (
        400,
        True,
    )
    assert "saved the goal mug sold" in text_of(get(shop, "/audit").text)
    assert post(shop, "/goals", remove="mug sold").status_code == 303
    assert "Goals will appear here" in get(shop, "/goals").text
    assert "removed the goal mug sold" in text_of(get(shop, "/audit").text)


def test_a_goal_has_a_page_by_dimensions(shop: Host) -> None:
    """As a page, JSON and a file; and it is a filter of the overview."""
    shop.events.goal("bought", "it.buy", description="Somebody paid.")
    page = get(shop, "/goals?period=7d").text
    assert "Somebody paid." in page
    (href,) = find_links(page, "bought")
    page = get(shop, href.removeprefix("/_et")).text
    assert read_headline(page) == "bought: 1 conversion"
    (href,) = find_links(page, "Source")
    page = get(shop, href.removeprefix("/_et")).text
    assert read_table(page)[1:] == [["google", "2", "1", "50.0%", "1", ""]]
    found = get(shop, "/goals/bought.json?period=7d&by=source").get_json()
    assert (found["rows"][0]["value"], found["rows"][0]["sessions"]) == ("google", 2)
    data = get(shop, "/goals/bought.csv?period=7d&by=source").data.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(data)))[1] == ["google", "2", "1", "0.5", "1", "0", ""]
    data = get(shop, "/goals.csv?period=7d").data.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(data)))[1][:5] == ["bought", "it.buy", "", "1", "0.25"]
    assert get(shop, "/goals.json?period=7d").get_json()[0]["conversions"] == 1
    page = get(shop, "/?period=7d&f=is:goal:bought").text
    assert "Goal is" in text_of(page)
    assert "1 visitor" in text_of(page) or "1 person" in read_headline(page)
    assert get(shop, "/goals/none").status_code == 400


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"name": "", "event": "it.buy"}, "The name of a goal has 1 to 64"),
        ({"name": "a", "event": ""}, "is no step. Give an event"),
        ({"name": "a", "event": "it.lose"}, "The event &#39;it.lose&#39; is not defined."),
        ({"name": "a", "event": "it.buy", "parameter": "size", "operator": "at_least"}, "a number"),
        ({"name": "a", "event": "it.buy", "token": "x"}, "The form was too old"),
        ({"name": "a.json", "event": "it.buy"}, "cannot end with"),
        (
            {"name": "a", "event": "transaction.charge", **ORDER},
            "it has no condition on order_id",
        ),
    ],
)
def test_a_wrong_goal_is_said_on_the_page(shop: Host, fields: dict[str, str], mistake: str) -> None:
    """What was typed stays, and nothing is saved."""
    answer = post(shop, "/goals", **fields)
    assert answer.status_code == 400
    assert mistake in answer.text
    assert shop.rows("saved") == []


def test_a_goal_loses_what_a_database_cannot_store(shop: Host) -> None:
    """PostgreSQL takes no NUL, and says that it does not answer."""
    assert post(shop, "/goals", name="a", event="it.buy", **SKU, value="a\0b").status_code == 303
    [row] = shop.rows("saved")
    assert "is:sku:a\ufffdb" in str(row["definition"])


@pytest.mark.parametrize("staff", ["", "numbers", "view"])
@pytest.mark.parametrize("path", ["/goals", f"/funnels?{FUNNEL}"])
def test_only_managers_save(shop: Host, staff: str, path: str) -> None:
    """Others see no form, and a post of theirs is answered as if there was no page."""
    assert post(shop, path, staff, name="a", event="it.buy").status_code == 404
    assert get(shop, path, staff).status_code == (200 if staff else 404)
    assert 'method="post"' not in get(shop, path, staff).text
    assert shop.rows("saved") == []


def test_a_funnel_is_saved_and_opened(shop: Host) -> None:
    """Under its name, with its rows, for any period; whoever may manage removes it."""
    path = f"/funnels?{FUNNEL}&by=source&within=1h"
    assert post(shop, path, name="To the order").status_code == 303
    assert (
        "The funnel &#39;To the order&#39; exists already"
        in post(shop, path, name="To the order").text
    )
    page = get(shop, "/funnels?period=28d", "numbers").text
    assert "Remove" not in page
    (href,) = find_links(page, "To the order")
    assert href == (
        "/_et/funnels?period=28d&step=it.view&step=page:/checkout&step=it.buy&within=1h&by=source"
    )
    assert "within 1 hour" in get(shop, href.removeprefix("/_et")).text
    assert post(shop, "/funnels", remove="To the order").status_code == 303
    assert shop.rows("saved") == []
    assert post(shop, path, name=" ").status_code == 400
    assert post(shop, "/funnels?step=it.view", name="one").status_code == 400


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_in_what_is_saved(shop: Host, text: str) -> None:
    """Names of funnels may be anything; goals have plain names."""
    post(shop, f"/funnels?{FUNNEL}", name=text)
    check(get(shop, "/funnels").text)
    check(get(shop, "/audit").text)
    fields = {"name": text, "event": text, "parameter": text, "value": text, "description": text}
    check(post(shop, "/goals", **fields).text or "<script></script>")
    post(shop, "/goals", **{**fields, "name": "a", "event": "it.buy", **SKU})
    check(get(shop, "/goals").text)
    check(get(shop, "/goals/a").text)


def test_an_empty_goal_says_what_will_appear(shop: Host) -> None:
    """A sentence instead of a table."""
    shop.events.goal("bought", "it.buy")
    tell(shop, STORY[:1])
    page = get(shop, "/goals/bought?period=7d").text
    assert "Rows will appear here once a session reaches this goal." in page
