"""Managers share the overview by links that open nothing else, and end."""

from __future__ import annotations

import html
import pathlib
import re

import pytest
from flask import request
from werkzeug.test import TestResponse

from flask_eventtrack import EventTrack

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, FakeClock, Host
from ..test_security import HOSTILE
from .pages import add_sessions, find_links, read_headline, read_numbers
from .staff import CONFIG, look, text_of, token_of
from .test_access import METHODS, answer

LINKS = "/_et/links"


@pytest.fixture
def office(make: MakeHost, clock: FakeClock) -> Host:
    """A host with sessions on two sites."""
    host = make(CONFIG, events=EventTrack(clock=clock))
    add_sessions(host, *({"site": f"{name}.test", "country": "DE"} for name in "aab"))
    return host


def send(host: Host, headers: dict[str, str] | None = None, **fields: str) -> TestResponse:
    """Send a form of the page as a manager; a token is among the fields unless they say another."""
    data = {"token": token_of(look(host, LINKS).text), **fields}
    sent = SAME_ORIGIN if headers is None else headers
    return look(host, LINKS, method="POST", data=data, headers=sent)


def find_urls(host: Host) -> list[str]:
    """Return the URLs that the page shows, the newest first."""
    urls = re.findall(r'class="url" value="http://localhost([^"]+)"', look(host, LINKS).text)
    assert all(url.endswith("/") for url in urls)
    return urls


def share(host: Host, name: str = "the agency", days: str = "30", site: str = "") -> str:
    """Make a link, and return the path of its URL."""
    response = send(host, name=name, days=days, site=site)
    assert response.status_code == 303, response.text
    assert response.headers["Cache-Control"] == "no-store"
    host.clock.advance(seconds=1)
    return find_urls(host)[0]


def read(host: Host, path: str, **headers: str) -> str:
    """Get a page as a stranger."""
    return text_of(host.client().get(path, headers=headers))


def audit(host: Host) -> list[tuple[str, str, str]]:
    return [(r["actor"], r["action"], r["subject"]) for r in host.rows("audit", "at", "id")]


def test_a_link_from_its_form_to_its_end(
    make: MakeHost, database_url: str, clock: FakeClock
) -> None:
    """Made, opened by a stranger, revoked and forgotten, on each kind of database."""
    host = make(CONFIG, url=database_url)
    host.events.dashboard_user(lambda: "Grace")
    add_sessions(host, {})
    assert "There are no links yet." in look(host, LINKS).text
    assert look(host, LINKS, method="HEAD").status_code == 200
    send(host, name="Ada", days="7")
    clock.advance(days=1)
    bob = share(host, "Bob", "7")
    urls = find_urls(host)
    assert urls[0] == bob
    assert {read_headline(read(host, url)) for url in urls} == {read_headline(read(host, bob))}
    ada = host.rows("link", "created_at")[0]
    for _ in range(2):
        assert send(host, revoke=str(ada["id"])).location == LINKS
    assert [host.client().get(url).status_code for url in urls] == [200, 404]
    assert find_urls(host) == [bob]
    assert "Made by <bdi>Grace</bdi> on 21 Nov 2026, 12:00. Revoked on" in look(host, LINKS).text
    expected = [("Grace", *act) for act in (("link", "Ada"), ("link", "Bob"), ("revoke", "Ada"))]
    assert audit(host) == expected
    page = look(host, "/_et/audit").text
    assert "<td>revoked the link</td>\n<td><bdi>Ada</bdi></td>" in page
    clock.advance(days=7)
    assert "Ended on 29 Nov 2026, 12:00" in look(host, LINKS).text
    clock.advance(days=24)
    page = look(host, LINKS).text
    assert ("Ada" in page, "Bob" in page) == (False, True)
    share(host, "Cleo")
    assert [row["name"] for row in host.rows("link", "created_at")] == ["Bob", "Cleo"]


def test_what_is_below_a_link(office: Host) -> None:
    """Filters, periods and JSON, with all that the page needs; every link on it leads below it."""
    url = share(office)
    page = read(office, f"{url}?period=today&measure=sessions&locations=language")
    assert read_numbers(page)["Visitors"][0] == "3"
    assert "Read-only, until 21 Dec 2026" in page
    found = {html.unescape(each) for each in re.findall(r'(?:href|action|src)="([^"]+)"', page)}
    assert {each for each in found if not each.startswith(url)} == {"data:,", "#main", "/"}
    for each in sorted(found - {"data:,", "#main", "/"}):
        assert office.client().get(each).status_code == 200, each
    assert len([each for each in found if re.search("/dashboard/", each)]) == 2
    condition = {"operator": "is", "field": "site", "value": "b.test", "period": "today"}
    response = office.client().get(url, query_string=condition, follow_redirects=True)
    assert read_numbers(response.text)["Visitors"][0] == "1"
    assert response.request.path == url
    numbers = office.client().get(f"{url}overview.json?period=today").get_json()["numbers"]
    assert numbers["visitors"] == 3
    wrong = office.client().get(f"{url}?period=fortnight")
    assert (wrong.status_code, find_links(wrong.text, "To the overview")) == (400, [url])


def test_nothing_else_is_below_a_link(office: Host) -> None:
    """No other page, and no link to make or list more."""
    url = share(office)
    page = read(office, f"{url}?period=today")
    assert "Details" not in page
    assert re.findall('(?s)<nav class="main".*?</nav>', page)[0].count("<a ") == 1
    for path in ("details/source", "details/source.json", "revenue", "parameters", "live"):
        assert office.client().get(url + path).status_code == 404
    for path in ("live.json", "people", "people.csv", "audit", "links", "embed.css"):
        assert office.client().get(url + path).status_code == 404
        assert office.client().get(f"/_et/{path}").status_code == 404
    guess = "overview.json?f=is:transaction.charge.coupon:ada@example.com"
    assert look(office, f"/_et/{guess}").status_code == 200
    assert office.client().get(url + guess).status_code == 400
    for method in METHODS[2:6]:
        response = office.client().open(url, method=method, headers=SAME_ORIGIN)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET")
    assert len(office.rows("link")) == 1


def test_a_page_below_a_link_says_nothing_of_its_secret(office: Host) -> None:
    """Not even the host's own pages get it as a referrer, and no visit is recorded."""
    url = share(office)
    response = office.client().get(f"{url}?period=today", headers=NAVIGATION)
    private = office.client().get("/_et/", headers={"X-Staff": "view"})
    expected = dict(private.headers) | {"Referrer-Policy": "no-referrer"}
    lengths = {"Content-Length": response.headers["Content-Length"]}
    assert dict(response.headers) == expected | lengths
    assert office.rows("event") == []
    numbers = office.client().get(f"{url}overview.json").headers
    assert (numbers["Cache-Control"], numbers["X-Robots-Tag"]) == ("no-store", "noindex")
    secret = url.split("/")[3]
    assert not [name for name in ("link", "audit") if secret in str(office.rows(name))]


def test_a_link_of_one_site_shows_that_site(office: Host) -> None:
    """It cannot ask for another, and is not told that there is one."""
    url = share(office, site="a.test")
    page = read(office, f"{url}?period=today")
    assert read_numbers(page)["Visitors"][0] == "2"
    assert "b.test" not in page
    assert office.client().get(f"{url}?site=b.test").status_code == 400
    assert send(office, name="x", days="1", site="c.test").status_code == 400


def test_what_opens_nothing_is_a_404(office: Host) -> None:
    """A link that is revoked, has ended, was forged or erased is like a path that is not there."""
    ended, revoked, erased = (share(office, days=days) for days in ("1", "90", "90"))
    first, second, third = office.rows("link", "created_at")
    send(office, revoke=str(second["id"]))
    with office.state.pipeline.database.begin() as connection:
        table = office.state.pipeline.database.tables.link
        connection.execute(table.delete().where(table.c.id == third["id"]))
    assert office.client().get(ended).status_code == 200
    office.clock.now = int(first["ends_at"].timestamp()) * 1_000_000_000
    good = share(office).split("/")[3]
    secrets = {
        "ended": ended.split("/")[3],
        "revoked": revoked.split("/")[3],
        "erased": erased.split("/")[3],
        "cut": good[:-1],
        "changed": ("B" if good[0] == "A" else "A") + good[1:],
        "no text": "%ff%00",
        "the id alone": str(first["id"]),
    }
    assert look(office, f"/_et/shared/{secrets['revoked']}/").status_code == 404
    for method in METHODS:
        wanted = answer(office, "/_et/no/such/page", method)
        for name, secret in secrets.items():
            for path in ("", "/", "/overview.json", "/dashboard/0123456789ab/dashboard.css"):
                found = answer(office, f"/_et/shared/{secret}{path}", method)
                assert found == wanted, (name, path, method)


def test_a_link_outlives_its_key_as_long_as_that_is_a_fallback(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """Without it, the page shows another URL of the same link."""
    place = f"sqlite:///{tmp_path / 'shared.db'}"
    url = share(make(CONFIG, url=place))
    for keys, status in (
        ({"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["a secret for tests only"]}, 200),
        ({"SECRET_KEY": "new"}, 404),
        ({"SECRET_KEY": "another app's"}, 404),
    ):
        host = make(CONFIG | keys, url=place, create=False)
        assert host.client().get(url).status_code == status
    [shown] = find_urls(host)
    assert shown != url
    assert host.client().get(shown).status_code == 200


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_are_shown_as_text(office: Host, text: str) -> None:
    """In the list, in the form and in the audit."""
    name = text.strip()[:100]
    send(office, name=name, days="30")
    kept = send(office, name=name, days="31").text
    for page in (look(office, LINKS).text, kept, look(office, "/_et/audit").text):
        assert not re.search(r"<img src=x|<script>alert|href=\"javascript|\u202e", page)
        assert len(page) < 30_000


def test_a_link_has_no_filter_on_a_goal(office: Host) -> None:
    """A goal may have conditions on parameters, which links may not filter by."""
    office.events.goal("bought", "transaction.charge", where=["at_least:total:100"])
    path = share(office)
    for condition in ("is:goal:bought", "is:transaction.charge.currency:EUR"):
        refused = office.client().get(f"{path}?f={condition}")
        assert refused.status_code == 400
        assert "no filters on goals or the parameters of events" in refused.text


def test_a_name_loses_what_a_database_cannot_store(office: Host) -> None:
    send(office, name="A\0da", days="30")
    assert "\0" not in office.rows("link")[0]["name"]


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"name": "  "}, "Say who the link is for."),
        ({"name": "x" * 101}, "A name has at most 100 characters. This one has 101."),
        ({"days": "31"}, "Choose when the link ends."),
        ({"days": "1e9"}, "Choose when the link ends."),
        ({"days": ""}, "Choose when the link ends."),
        ({"site": "c.test"}, "There is no such site."),
        ({"token": "x"}, "The form was too old"),
    ],
    ids=str,
)
def test_a_mistake_is_said_beside_what_was_typed(
    office: Host, fields: dict[str, str], mistake: str
) -> None:
    """And nothing is made."""
    response = send(office, None, **{"name": "Ada & Bob", "days": "90", "site": "b.test", **fields})
    assert (response.status_code, mistake in response.text) == (400, True)
    name = html.escape(fields.get("name", "Ada & Bob").strip())
    assert f'name="name" value="{name}"' in response.text
    assert ('<option value="b.test" selected>' in response.text) == ("site" not in fields)
    assert ('<option value="90" selected>' in response.text) == ("days" not in fields)
    assert office.rows("link") == office.rows("audit") == []


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, {"Origin": "null"}, {}],
    ids=str,
)
def test_a_form_of_another_page_makes_and_revokes_nothing(
    office: Host, headers: dict[str, str]
) -> None:
    """Even with a token that it cannot have; and a token is good for an hour."""
    url = share(office)
    [row] = office.rows("link")
    token = token_of(look(office, LINKS).text)
    for fields in ({"name": "Mallory", "days": "365"}, {"revoke": str(row["id"])}):
        assert send(office, headers, **fields).status_code == 400
        office.clock.advance(hours=1)
        assert send(office, None, **fields, token=token).status_code == 400
    assert office.client().get(url).status_code == 200
    assert len(office.rows("link")) == 1


def test_a_hundred_links_are_the_most(office: Host) -> None:
    """One that has ended or was revoked leaves room."""
    for number in range(100):
        assert send(office, name=f"no {number}", days="1").status_code == 303
    refused = send(office, name="no 100", days="1")
    assert (refused.status_code, "There are 100 links" in refused.text) == (400, True)
    send(office, revoke=str(office.rows("link")[0]["id"]))
    assert send(office, name="no 100", days="1").status_code == 303


def test_revoking_what_is_not_there_is_no_error(office: Host) -> None:
    """Somebody else may have been faster."""
    for text in ("", "x", "00000000-0000-4000-8000-000000000001"):
        assert send(office, revoke=text).status_code == 303
    assert office.rows("audit") == []


def test_a_log_in_wall_lets_links_through_by_their_endpoints(office: Host) -> None:
    """As the docs say: all that a link opens has an endpoint with the same beginning."""

    @office.app.before_request
    def ask_for_login() -> str | None:
        is_open = (request.endpoint or "").startswith("eventtrack_dashboard.shared_")
        return None if is_open or "X-Staff" in request.headers else "Who are you?"

    url = share(office)
    page = read(office, url)
    for path in [
        f"{url}overview.json",
        *re.findall(r'(?:href|src)="([^"]+/dashboard/[^"]+)"', page),
    ]:
        assert read(office, path) != "Who are you?"
    assert read(office, "/_et/") == "Who are you?"


def test_a_link_opens_before_the_first_visit(make: MakeHost) -> None:
    """Without a word on how to set up the app."""
    host = make(CONFIG)
    page = read(host, share(host))
    assert read_numbers(page)["Visitors"][0] == "0"
    assert "eventtrack" not in re.sub(r'"[^"]*"', "", page)


def test_a_database_that_is_away_is_said_to_who_has_a_link(office: Host) -> None:
    """And only to them."""
    url = share(office)
    database = office.state.pipeline.database
    with database.begin() as connection:
        database.tables.link.drop(connection)
    response = office.client().get(url)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "15")
    assert office.client().get("/_et/shared/x/").status_code == 404
