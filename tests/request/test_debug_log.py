"""In debug, the app's log has a line for each event that is recorded or refused."""

from __future__ import annotations

import logging
import urllib.parse

import pytest

from flask_eventtrack import track
from flask_eventtrack.errors import UndefinedEvent

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host


def make_debug_host(make: MakeHost, *, debug: bool) -> Host:
    host = make({"DEBUG": debug})
    host.events.define("mug.view", anonymous=True)

    @host.app.get("/mug")
    def mug() -> str:
        track("mug.view", {"sku": "A1", "note": "x\n" * 200})
        return "<title>Mug</title>"

    @host.app.get("/wrong")
    def wrong() -> str:
        with pytest.raises(UndefinedEvent):
            track("mug.veiw")
        return "<title>Wrong</title>"

    return host


def test_the_log_says_why_an_event_is_not_recorded(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever tries a view with curl is a bot."""
    host = make_debug_host(make, debug=True)
    with caplog.at_level(logging.INFO, host.app.logger.name):
        host.client().get("/mug", headers={"User-Agent": "curl/8.0"})
        host.client().get("/mug", headers={**NAVIGATION, "DNT": "1", "Sec-GPC": "1"})
    texts = [each.getMessage() for each in caplog.records if each.name == host.app.logger.name]
    assert [text for text in texts if "mug.view" in text] == [
        "EventTrack did not record mug.view in GET /mug: a bot makes the request, and curl is one.",
        "EventTrack did not record mug.view in GET /mug: the browser asks not to be tracked.",
    ]


def test_what_a_request_recorded_is_in_the_log(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """What was refused too, with the reason; each in one line."""
    host = make_debug_host(make, debug=True)
    client = host.client()
    with caplog.at_level(logging.INFO, host.app.logger.name):
        client.get("/mug", headers=NAVIGATION)
        client.get("/wrong", headers=NAVIGATION)
        client.post("/_et/in", json={"action": "a.b"}, headers=SAME_ORIGIN)
    view, visit, refused, wrong, posted = [
        each.getMessage() for each in caplog.records if each.name == host.app.logger.name
    ]
    assert view.startswith("EventTrack recorded mug.view in GET /mug: sku='A1', note='x\\nx\\n")
    assert view.endswith("…")
    assert len(view) < 260
    assert visit.startswith("EventTrack recorded page.visit in GET /mug: url='http://")
    assert refused == (
        "EventTrack refused mug.veiw in GET /wrong: 'mug.veiw' is not defined. "
        "Did you mean 'mug.view'?"
    )
    assert wrong.startswith("EventTrack recorded page.visit in GET /wrong: ")
    assert posted.startswith("EventTrack refused a.b in POST /_et/in: 'a.b' is not defined.")
    assert not any("\n" in line for line in (view, visit, refused, wrong, posted))


def test_what_a_request_recorded_is_in_a_header(make: MakeHost) -> None:
    """Of each answer; the browser half writes it to the console."""
    client = make_debug_host(make, debug=True).client()
    for _ in range(2):
        headers = client.get("/wrong", headers=NAVIGATION).headers.getlist("Server-Timing")
        told = [urllib.parse.unquote(header) for header in headers]
        assert told[0] == (
            "eventtrack;desc=\"refused mug.veiw: 'mug.veiw' is not defined. "
            "Did you mean 'mug.view'?\""
        )
        assert told[1].startswith('eventtrack;desc="recorded page.visit: ')
        assert len(told) == 2
    assert client.get("/mug").headers["Server-Timing"].isascii()


def test_commands_log_too(make: MakeHost, caplog: pytest.LogCaptureFixture) -> None:
    """No request has come before."""
    host = make_debug_host(make, debug=True)
    with caplog.at_level(logging.INFO, host.app.logger.name), host.app.app_context():
        track("mug.view", customer="7")
    assert caplog.messages == ["EventTrack recorded mug.view: no parameters"]


def test_in_production_the_log_is_quiet(make: MakeHost, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing listens, so nothing is expanded for it."""
    host = make_debug_host(make, debug=False)
    with caplog.at_level(logging.INFO):
        answer = host.client().get("/mug", headers=NAVIGATION)
    assert "Server-Timing" not in answer.headers
    assert [each for each in caplog.messages if each.startswith("EventTrack")] == []
