"""The shop on a real server: what a browser sends over HTTP is read from the database."""

from __future__ import annotations

import http.cookiejar
import json
import re
import typing as t
import urllib.parse
import urllib.request
import uuid

from pytest_flask.live_server import LiveServer

from example_app.tracking import events

from .helpers import FROM_OWN_PAGE, HOME_VISITED, recorded, rows, story

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"


class Browser:
    """Keeps cookies, and sends what a browser and the shop's script send."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def open(self, path: str, body: bytes | None = None, **headers: str) -> str:
        """Return a page; with a body, post it as a form is posted."""
        url = self._server.url(path)
        request = urllib.request.Request(url, body, {"User-Agent": FIREFOX, **headers})
        with self._opener.open(request, timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def track(self, *batch: dict[str, t.Any]) -> list[str]:
        """Post events as the script does, and return what became of each."""
        [csrf] = [cookie.value for cookie in self._cookies if cookie.name == "eventtrack_csrf"]
        body = json.dumps({"events": batch, "csrf_token": csrf}).encode()
        headers = {"Content-Type": "text/plain;charset=UTF-8", **FROM_OWN_PAGE}
        answer = json.loads(self.open("/_et/in", body, **headers))
        return [result["status"] for result in answer["results"]]

    def have_all_written(self) -> None:
        """Open the page that flushes: the events wait in the server's process, not in this one."""
        self.open("/about-you")


def test_the_script_joins_the_visit_of_its_page(live_server: LiveServer) -> None:
    """The tag names the visit, to which the script adds what it sees. Then comes a click."""
    browser = Browser(live_server)
    [visit] = re.findall(r' data-visit="([^"]+)"', browser.open("/"))
    page = {"visit": visit, "page": str(uuid.uuid4())}
    seen = {"url": live_server.url("/"), "viewport": "1280x720"}
    assert browser.track(
        {"action": "page.visit", "event_id": page["page"], "params": seen, **page},
        {"action": "link.click", "params": {"id": "spring", "href": "/?category=green"}, **page},
    ) == ["accepted", "accepted"]
    browser.have_all_written()
    [joined] = [row for row in rows(events.tables.event) if row["claimed_by"] is not None]
    assert (joined["label"], str(joined["claimed_by"])) == (HOME_VISITED, page["page"])
    assert (joined["params"]["status"], joined["params"]["viewport"]) == (200, "1280x720")
    [click] = recorded("link.click")
    assert click == {"id": "spring", "href": "/?category=green", "visit": page["page"]}
    [session] = rows(events.tables.session)
    assert (session["browser"], session["os"], session["site"]) == ("Firefox", "Linux", "localhost")


def test_a_customer_logs_in_and_wishes(live_server: LiveServer) -> None:
    """The cookies that the server sets are enough to know the customer again."""
    browser = Browser(live_server)
    [token] = set(re.findall(r'name="form_token" value="([^"]+)"', browser.open("/login")))
    form = {"form_token": token, "email": "demo@example.com", "password": "demo"}
    browser.open("/login", urllib.parse.urlencode(form).encode())
    wish = {"action": "product.wish", "params": {"sku": "K-03", "name": "Otto"}}
    assert browser.track(wish) == ["accepted"]
    browser.have_all_written()
    assert story("1")[:5] == [
        "Started session",
        "Visited page Log in · The Wobbly Shelf",
        "Logged in",
        HOME_VISITED,
        "Wished for Otto",
    ]
