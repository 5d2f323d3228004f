"""Bots on pages: which are seen, and which a tag lets in."""

from __future__ import annotations

import collections
import typing as t

import pytest
from flask import render_template_string, request

from flask_eventtrack import current_visitor, identify, track

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN
from .odd_pages import GOOGLEBOT, PAGE


def test_bot_is_seen_and_recorded_nowhere(make: MakeHost) -> None:
    """A bot's views run, its ``track()`` returns None, and nothing is stored."""
    host = make()
    host.events.define("a.b")
    seen: list[t.Any] = []

    @host.app.get("/seen")
    def see() -> str:
        seen.extend([track("a.b"), current_visitor.is_bot])
        return "<p>"

    host.client(GOOGLEBOT).get("/seen")
    assert seen == [None, True]
    assert host.actions() == {}


def test_tagged_bot_is_recorded_as_nobodys(make: MakeHost) -> None:
    """``EVENTTRACK_BOTS = "tag"``: with the reason, without a session or cookies, in no total."""
    host = make({"EVENTTRACK_BOTS": "tag"})
    host.events.define("a.b")

    @host.app.get("/seen")
    def see() -> str:
        track("a.b", {"bot": "its own"} if "own" in request.args else {})
        track("a.b", in_transaction=True)
        host.db.session.commit()
        profile = identify("7")
        assert (profile is None) is current_visitor.is_bot
        return render_template_string(PAGE)

    client = host.client()
    client.get("/seen", headers=NAVIGATION)
    device = client.get_cookie("eventtrack_device")
    people = host.rows("event")
    totals = {row["action"]: row["count"] for row in host.rows("hourly")}
    assert totals["page.visit"] == 1
    as_bot = {"User-Agent": GOOGLEBOT}
    for path in ("/seen", "/seen?own"):
        page = client.get(path, headers={**NAVIGATION, **as_bot})
        assert "Set-Cookie" not in page.headers
    posted = client.post(
        "/_et/in", json={"action": "button.click"}, headers={**SAME_ORIGIN, **as_bot}
    )
    assert posted.json is not None
    assert posted.json["results"][0]["error"]["code"] == "bot"
    assert client.get_cookie("eventtrack_device") == device

    bots = [row for row in host.rows("event") if row not in people]
    assert collections.Counter(row["action"] for row in bots) == {"a.b": 4, "page.visit": 2}
    assert {(row["source"], row["session_id"]) for row in bots} == {("bot", None)}
    reasons = collections.Counter(row["params"]["bot"] for row in bots)
    assert reasons == {"names 'googlebot'": 5, "its own": 1}
    [(profile, _), *others] = collections.Counter(row["uuid"] for row in bots).most_common()
    assert [count for _, count in others] == [1, 1]  # in a transaction of the host's
    assert len(host.rows("session")) == 1
    with host.app.app_context():
        assert host.events.forget(profile).events == 4
    assert {row["action"]: row["count"] for row in host.rows("hourly")} == totals


def test_tagged_bot_gets_no_cookies_with_an_event_outside_of_pages(make: MakeHost) -> None:
    """A device of its own would replace the one of a person with the same cookies."""
    host = make({"EVENTTRACK_BOTS": "tag"})
    host.events.define("a.b")

    @host.app.post("/form")
    def take() -> str:
        return str(track("a.b"))

    client = host.client()
    client.get("/", headers=NAVIGATION)
    response = client.post("/form", headers={"User-Agent": GOOGLEBOT})
    assert response.text != "None"
    assert "Set-Cookie" not in response.headers
    assert "Set-Cookie" not in host.client(GOOGLEBOT).post("/form").headers


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        ({"EVENTTRACK_DEFAULT_POLICY": "anonymous"}, {"page.visit": 1}),
        ({"EVENTTRACK_DEFAULT_POLICY": "none"}, {}),
    ],
)
def test_tag_adds_nothing_to_what_the_policy_allows(
    make: MakeHost, settings: dict[str, str], recorded: dict[str, int]
) -> None:
    host = make({"EVENTTRACK_BOTS": "tag", **settings})
    host.events.define("a.b")

    @host.app.get("/seen")
    def see() -> str:
        assert track("a.b") is None
        return "<p>"

    host.client(GOOGLEBOT).get("/seen", headers=NAVIGATION)
    assert host.actions() == recorded
    assert not host.rows("hourly")


def test_nameless_program_is_a_bot_outside_of_tests(make: MakeHost) -> None:
    """A request without a user agent is no person's, except a test's own."""
    for is_testing in (False, True):
        host = make({"TESTING": is_testing})
        host.client("").get("/", headers=NAVIGATION)
        assert host.actions()["page.visit"] == is_testing
