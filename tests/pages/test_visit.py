"""What is a visit, and what is recorded of it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .odd_pages import GOOGLEBOT, add_odd_pages

Headers = dict[str, str]


@pytest.mark.parametrize(
    ("path", "headers", "status", "visits"),
    [
        ("/", NAVIGATION, 200, 1),
        ("/", {}, 200, 1),
        ("/products/mug", NAVIGATION, 200, 1),
        ("/streamed", NAVIGATION, 200, 1),
        ("/unchanged", {"If-None-Match": '"v1"'}, 304, 1),
        ("/data.json", NAVIGATION, 200, 0),
        ("/feed.xml", NAVIGATION, 200, 0),
        ("/away", NAVIGATION, 302, 0),
        ("/missing", NAVIGATION, 404, 0),
        ("/gone", NAVIGATION, 410, 0),
        ("/assets/shop.css", NAVIGATION, 200, 0),
        ("/static/nothing.css", NAVIGATION, 404, 0),
        ("/quiet", NAVIGATION, 200, 0),
        ("/quieter", NAVIGATION, 200, 0),
        ("/admin/nested/", NAVIGATION, 200, 0),
        ("/_et/nothing", NAVIGATION, 404, 0),
        ("/", {"Sec-Fetch-Dest": "empty"}, 200, 0),
        ("/", {"Sec-Fetch-Dest": "iframe"}, 200, 0),
        ("/", {"Sec-Purpose": "prefetch"}, 200, 0),
        ("/", {"Sec-Purpose": "prefetch;prerender"}, 200, 0),
        ("/", {"Purpose": "prefetch"}, 200, 0),
        ("/partial", {"HX-Request": "true"}, 200, 0),
        ("/", {"HX-Request": "true", "HX-Boosted": "true"}, 200, 0),
        ("/partial", {"Turbo-Frame": "basket"}, 200, 0),
        ("/partial", {"X-Requested-With": "XMLHttpRequest"}, 200, 0),
        # Over plain HTTP, browsers say nothing of the destination.
        (
            "/",
            {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
            200,
            1,
        ),
        ("/", {"Accept": "text/html, application/xhtml+xml, */*"}, 200, 1),
        ("/", {"Accept": "*/*"}, 200, 1),
        ("/partial", {"Accept": "*/*", "Accept-Language": "de"}, 200, 0),
        ("/partial", {"Accept": "application/json, */*", "Accept-Language": "de"}, 200, 0),
        ("/partial", {"Accept": "text/html", "X-Up-Version": "3.9.0"}, 200, 0),
        ("/partial", {"Accept": "text/html, application/xhtml+xml", "X-Inertia": "true"}, 200, 0),
        ("/", {"User-Agent": GOOGLEBOT}, 200, 0),
    ],
)
def test_what_is_a_visit(odd: Host, path: str, headers: Headers, status: int, visits: int) -> None:
    """Every HTML document answered to a person counts once, and nothing else does."""
    response = odd.client().get(path, headers=headers)
    assert response.status_code == status
    assert odd.actions()["page.visit"] == visits
    assert ("Set-Cookie" in response.headers) == (visits > 0)


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/"), ("POST", "/form"), ("OPTIONS", "/")])
def test_only_get_is_a_visit(odd: Host, method: str, path: str) -> None:
    """A HEAD, a form's answer and a preflight do not show a page."""
    odd.client().open(path, method=method, headers=NAVIGATION)
    assert odd.actions() == {}


def test_an_exception_in_a_view_is_no_visit(make: MakeHost) -> None:
    """A 500 is answered and counted nowhere."""
    host = make({"TESTING": False})
    add_odd_pages(host.app, host.events)
    assert host.client().get("/broken", headers=NAVIGATION).status_code == 500
    assert host.actions() == {}


def test_reload_and_back_count_again(host: Host) -> None:
    """Each request for a page is a visit of its own, in the same session."""
    client = host.client()
    for path in ("/", "/products/mug", "/", "/"):
        client.get(path, headers=NAVIGATION)
    assert host.actions() == {"page.visit": 4, "session.start": 1}
    [session] = host.rows("session")
    assert (session["pages"], session["entry"], session["exit"]) == (4, "/", "/")


def test_two_visitors_are_two_devices(host: Host) -> None:
    """Browsers do not share a device, a profile or a session."""
    for client in (host.client(), host.client()):
        client.get("/", headers=NAVIGATION)
        client.get("/products/mug", headers=NAVIGATION)
    assert [row["pages"] for row in host.rows("session")] == [2, 2]
    assert len({row["uuid"] for row in host.rows("event")}) == 2


def test_every_parameter_of_a_visit(make: MakeHost) -> None:
    """What the server knows of a visit is in its row, and secrets are not."""
    host = make({"EVENTTRACK_COUNTRY_HEADER": "CF-IPCountry"})
    headers = NAVIGATION | {
        "Referer": "https://user:pw@search.example/find?q=mug&token=1#top",
        "Accept-Language": "de-AT,de;q=0.9,en;q=0.8",
        "CF-IPCountry": "at",
    }
    query = "utm_source=news&utm_medium=mail&utm_campaign=spring&Password=x&colour=red"
    host.client().get(
        f"/products/blue mug?{query}", headers=headers, base_url="https://Shop.example:8443"
    )
    [visit] = host.events_of("page.visit")
    [session] = host.rows("session")
    assert visit["params"].pop("duration_ms") == 0.0
    assert visit["params"] == {
        "url": "https://shop.example:8443/products/blue%20mug"
        "?utm_source=news&utm_medium=mail&utm_campaign=spring&colour=red",
        "path": "/products/blue mug",
        "endpoint": "product",
        "url_rule": "/products/<slug>",
        "referrer": "https://search.example/find?q=mug",
        "title": "Blue Mug",
        "status": 200,
        "utm_source": "news",
        "utm_medium": "mail",
        "utm_campaign": "spring",
    }
    assert (visit["label"], visit["site"], visit["url_rule"], visit["source"]) == (
        "Visited page Blue Mug",
        "shop.example",
        "/products/<slug>",
        "server",
    )
    assert visit["time"] == visit["received_at"] == host.clock.moment
    assert {name: session[name] for name in ("browser", "os", "device_type", "language")} == {
        "browser": "Chrome",
        "os": "Linux",
        "device_type": "desktop",
        "language": "de-AT",
    }
    assert (session["country"], session["referrer"], session["source"]) == (
        "AT",
        "https://search.example/find?q=mug",
        "news",
    )
    assert (session["utm_campaign"], session["entry"]) == ("spring", "/products/blue mug")


@pytest.mark.parametrize(
    ("referrer", "source"),
    [
        ("", "direct"),
        ("http://localhost/other", "direct"),
        ("https://news.example/", "news.example"),
    ],
)
def test_source_of_a_session(host: Host, referrer: str, source: str) -> None:
    """Without a campaign a visit comes from another site, or directly."""
    host.client().get("/", headers=NAVIGATION | {"Referer": referrer})
    assert host.rows("session")[0]["source"] == source


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HTTP_HOST": "Shop.example:8000"}, "http://shop.example:8000/größe/products/a"),
        ({"HTTP_HOST": "shop.example:80"}, "http://shop.example/größe/products/a"),
        ({"HTTP_HOST": None, "SERVER_NAME": "inside"}, "http://inside/größe/products/a"),
        ({"HTTP_HOST": "a b"}, "/größe/products/a"),
    ],
)
def test_address_of_a_mounted_app(host: Host, environ: dict[str, str | None], url: str) -> None:
    """It is the address that the browser shows, or only the path if the host name is invalid."""
    made = host.client().get(
        "/products/a",
        base_url="http://localhost/größe",
        headers=NAVIGATION,
        environ_overrides=environ,
    )
    assert made.status_code == 200
    [event] = host.events_of("page.visit")
    assert (event["params"]["url"], event["params"]["path"]) == (
        quote(url, ":/"),
        "/größe/products/a",
    )


def test_duration_is_the_views(make: MakeHost) -> None:
    """``duration_ms`` runs from the request's arrival, which is also the visit's time."""
    host = make()

    @host.app.get("/slow")
    def slow() -> str:
        host.clock.advance(milliseconds=250)
        return "<p>at last"

    arrival = host.clock.moment
    host.client().get("/slow")
    [visit] = host.events_of("page.visit")
    assert (visit["params"]["duration_ms"], visit["time"]) == (250.0, arrival)


def test_redirect_after_login_counts_the_page_it_leads_to(host: Host) -> None:
    """A redirect is not a visit; the page behind it is."""
    response = host.client().get("/away", headers=NAVIGATION, follow_redirects=True)
    assert response.request.path == "/"
    assert host.actions()["page.visit"] == 1


def test_fetch_of_a_page_by_a_script_is_none(host: Host) -> None:
    """A browser marks what a script fetches, whatever the view answers."""
    host.client().get("/", headers=SAME_ORIGIN | {"Sec-Fetch-Dest": "empty"})
    assert host.actions() == {}
