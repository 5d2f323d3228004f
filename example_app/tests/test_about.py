"""The two pages that tell: what is recorded, and what is recorded of this visitor."""

from __future__ import annotations

import html
import re
import typing as t

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from example_app.models import db
from example_app.tracking import events
from flask_eventtrack import TrackedSession
from flask_eventtrack.catalogue.builtin import builtin_catalogue

from .helpers import log_in, pay, recorded, rows, submit, track_in_browser

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/150.0.0.0 Safari/537.36"
)


def text_of(page: str) -> str:
    """Return what a page says, without its tags, in one line."""
    main = page.partition("<main")[2].partition("</main>")[0].replace("<wbr>", "")
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def outline(page: str) -> list[list[str]]:
    """Return the labels of each session on "About you"; those on a page are indented."""
    told = []
    for section in page.split('<section class="session')[1:]:
        labels, depth = [], 0
        for found in re.finditer(r'(<ol)|(</ol>)|class="label">(.*?)<', section):
            depth += bool(found[1]) - bool(found[2])
            if found[3]:
                labels.append("  " * (depth - 1) + found[3])
        told.append(labels)
    return told


# About you


def test_about_you_shows_the_visitors_own_events(client: FlaskClient) -> None:
    """The page before is on it. Its own visit is recorded when it has been sent."""
    client.get("/products/otto")
    page = client.get("/about-you").text
    assert "Viewed Otto" in page
    assert '<dd id="event-count">3</dd>' in page


@pytest.mark.app(EVENTTRACK_COUNTRY_HEADER="CF-IPCountry")
def test_about_you_shows_all_that_is_stored_of_a_session(client: FlaskClient) -> None:
    """Device, browser, system, language, country, source, campaign, times: every column."""
    headers = {
        "User-Agent": CHROME,
        "Accept-Language": "de-CH",
        "CF-IPCountry": "CH",
        "Referer": "https://news.example/bowls",
    }
    client.get("/products/otto?utm_source=letter&utm_campaign=spring", headers=headers)
    [session] = rows(events.tables.session)
    told = text_of(client.get("/about-you", headers=headers).text)
    for said in (
        "Device desktop Browser Chrome System Windows Language de-CH Country CH Came from letter",
        "Page before https://news.example/bowls Campaign source letter Campaign spring",
        "Ended not yet Pages 1 Events 2 First page /products/otto Last page /products/otto",
        "Not known: campaign medium, campaign term, campaign content, in view.",
    ):
        assert said in told
    for name in TrackedSession._fields:
        value = session[name]
        shown = f"{value:%-d %b %Y, %H:%M:%S} UTC" if name.endswith("_at") and value else value
        assert str(shown or "") in told


def test_about_you_shows_traits_and_profiles_of_a_customer(client: FlaskClient) -> None:
    """And says from when on the customer is known."""
    client.get("/")
    anonymous = rows(events.tables.event)[0]["uuid"]
    assert "Traits" not in client.get("/about-you").text
    log_in(client)
    submit(client, "/newsletter", email="ada@example.com", topic="green things")
    told = text_of(client.get("/about-you").text)
    assert "Traits newsletter green things" in told
    assert f"Earlier you were {anonymous}" in told
    assert "Customer 1 You are logged in. First seen as a customer" in told


def test_events_are_told_below_their_page(client: FlaskClient) -> None:
    """Newest page first; on a page, in the order in which they happened."""
    client.get("/products/otto")
    submit(client, "/basket/add", sku="K-03", quantity="1")
    client.get("/basket")
    submit(client, "/basket/update", sku="K-03", quantity="3")
    [told] = outline(client.get("/about-you").text)
    assert told == [
        "Visited page Basket · The Wobbly Shelf",
        "  Changed the quantity of Otto to 3",
        "Visited page Otto, fruit bowl · The Wobbly Shelf",
        "  Viewed Otto",
        "  Added Otto to the basket",
        "Started session",
    ]


def test_events_of_two_tabs_are_told_below_the_tab_s_page(client: FlaskClient) -> None:
    """What the browser sends names its page, whichever page was opened later."""
    [first] = re.findall(r' data-visit="([^"]+)"', client.get("/lookbook/slow-morning").text)
    page = "01a1fc87-6f20-7637-8a31-23ef52d2a832"
    visit = {"visit": first, "page": page, "event_id": page}
    assert track_in_browser(client, "page.visit", url="http://localhost/").status_code == 202
    seen = {"action": "page.visit", "params": {"url": "http://localhost/lookbook/slow-morning"}}
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert client.post("/_et/in", json=seen | visit, headers=headers).status_code == 202
    client.get("/products/otto")
    like = {"action": "lookbook.like", "params": {"look": "slow-morning"}}
    client.post("/_et/in", json=like | {"visit": first, "page": page}, headers=headers)
    [told] = outline(client.get("/about-you").text)
    assert told[:2] == ["Visited page Otto, fruit bowl · The Wobbly Shelf", "  Viewed Otto"]
    at = told.index("  Liked the look slow-morning")
    assert told[at - 1] == "Visited page The slow morning · The Wobbly Shelf"


def test_sessions_are_told_apart(client: FlaskClient) -> None:
    """A log-out ends the first; its customer sees both after the next log-in."""
    log_in(client)
    submit(client, "/logout")
    client.get("/about")
    log_in(client)
    page = client.get("/about-you").text
    assert [labels[-1] for labels in outline(page)] == ["Started session"] * 2
    assert re.findall(r'<h3 id="session-\d">(.*)', page) == ["This session", "Earlier session"]


def test_a_device_without_a_log_in_does_not_show_its_customer(client: FlaskClient) -> None:
    """A browser that was only closed: its next user sees the present session at most."""
    log_in(client)
    submit(client, "/newsletter", email="ada@example.com", topic="green things")
    client.delete_cookie(client.application.config["SESSION_COOKIE_NAME"])
    client.delete_cookie("eventtrack_session")
    client.get("/products/otto")
    page = client.get("/about-you").text
    assert "not known yet" in page
    assert "Traits" not in page
    assert outline(page) == [
        ["Visited page Otto, fruit bowl · The Wobbly Shelf", "  Viewed Otto", "Started session"]
    ]


def test_a_long_story_goes_on_with_a_link(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest events first; the link leads to those before, and an odd moment to the newest."""
    monkeypatch.setattr("example_app.views.visitor.MOST_SHOWN", 3)
    for path in ("/", "/lookbook", "/about", "/basket"):
        client.get(path)
    page = client.get("/about-you?before=yesterday").text
    [link] = re.findall(r'id="older" href="([^"]+)"', page)
    rest = client.get(html.unescape(link)).text
    first, second = ([label[13:18] for label in outline(p)[0]] for p in (page, rest))
    assert (first, second) == (["Baske", "About", "Lookb"], ["Usefu", "on"])
    assert "Device" in text_of(rest)


def test_about_you_respects_a_refusal(client: FlaskClient) -> None:
    """It says that nothing is recorded, and shows nothing, whoever refused: visitor or browser."""
    client.get("/products/otto")
    page = client.get("/about-you", headers={"Sec-GPC": "1"}).text
    assert "Your browser asks not to be tracked." in page
    assert outline(page) == []
    client.set_cookie("eventtrack_consent", "none")
    page = client.get("/about-you").text
    assert "You have asked us not to record you" in page
    assert outline(page) == []


@pytest.mark.app(EVENTTRACK_ENABLED=False)
def test_the_pages_need_no_tracking(client: FlaskClient) -> None:
    """Without it there is nothing to tell, and nothing to object to."""
    assert client.get("/about-you").status_code == 200
    assert "/_et/" not in client.get("/about").text


# About the shop


def named_on_about(client: FlaskClient) -> set[str]:
    return {
        html.unescape(name) for name in re.findall(r"<code>(.*?)</code>", client.get("/about").text)
    }


def test_about_names_every_event_and_its_parameters(client: FlaskClient) -> None:
    """The shop's definitions, and the built-in events that it records."""
    named = named_on_about(client)
    state = client.application.extensions["eventtrack"]
    used = {
        "page.visit",
        "session.start",
        "session.end",
        "customer.login",
        "customer.logout",
        "transaction.cancel",
        "element.view",
        "element.hover",
        "link.click",
        "form.start",
        "form.submit",
        "form.abandon",
    }
    builtin = {definition.action for definition in builtin_catalogue()}
    for definition in state.catalogue:
        if definition.action in used or definition.action not in builtin:
            assert definition.action in named
            fields = set(getattr(definition.schema, "__dataclass_fields__", ()))
            assert fields - {"currency"} <= named, definition.action


def test_about_names_what_is_recorded_of_a_walk(client: FlaskClient) -> None:
    """Every action and parameter that a visitor leaves in the table."""
    client.get("/products/otto?utm_source=letter", headers={"Referer": "https://news.example/"})
    client.get("/search?q=tea")
    submit(client, "/signup", name="Ada", email="ada@example.com", password="wobble")
    submit(client, "/newsletter", email="ada@example.com", topic="green things")
    submit(client, "/basket/add", sku="K-03", quantity="3")
    submit(client, "/basket/update", sku="K-03", quantity="1")
    submit(client, "/checkout", name="Ada", address="1 Test Street", coupon="WOBBLE10")
    pay(client)
    submit(client, "/orders/1/cancel")
    track_in_browser(client, "lookbook.like", look="slow-morning")
    submit(client, "/logout")
    named = named_on_about(client)
    left: list[dict[str, t.Any]] = rows(events.tables.event)
    assert len({row["action"] for row in left}) == 15
    for row in left:
        assert {row["action"], *row["params"]} <= named
    [profile] = rows(events.tables.profile)
    assert {*profile["traits"]} <= named
    assert len(recorded("transaction.charge")) == 1


def test_about_names_every_column(client: FlaskClient) -> None:
    """Of all tables that say something about a person."""
    named = named_on_about(client)
    found = sa.inspect(db.engine)
    for table in ("event", "session", "profile", "alias", "transaction"):
        columns = {column["name"] for column in found.get_columns(f"eventtrack_{table}")}
        assert columns <= named


def test_about_names_every_cookie_with_its_lifetime(client: FlaskClient) -> None:
    """Those of the extension, and the shop's own."""
    choice = {"json": {"choice": "full"}, "headers": {"Sec-Fetch-Site": "same-origin"}}
    answers = [log_in(client), client.post("/_et/consent", **choice)]
    sent = [cookie for answer in answers for cookie in answer.headers.getlist("Set-Cookie")]
    cookies = {cookie.partition("=")[0] for cookie in sent}
    assert len(cookies) == 5
    assert cookies <= named_on_about(client)
    told = text_of(client.get("/about").text)
    for lifetime in ("400 days", "half an hour", "until you close the browser"):
        assert lifetime in told


def test_about_says_how_to_object(client: FlaskClient) -> None:
    """The link leads to the page that takes the choice."""
    page = client.get("/about").text
    assert "How to object" in page
    assert 'href="/_et/privacy"' in page
    assert "Do not measure my visits" in client.get("/_et/privacy").text
