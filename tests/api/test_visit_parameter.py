"""Events of ``track()`` name the page visit in whose request they happen."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from flask import g

from flask_eventtrack import track

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host

FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@dataclasses.dataclass
class Visit:
    """A host's own parameter of that name."""

    visit: int | None = None


def add_view(host: Host, action: str = "note.add", **arguments: t.Any) -> Host:
    host.events.define("note.add", anonymous=True)
    host.events.define("doctor.visit")(Visit)

    @host.app.route("/note", methods=["GET", "POST"])
    def note() -> str:
        track(action, **arguments)
        return "<title>Noted</title>"

    return host


def visit_of(host: Host, action: str = "note.add") -> object:
    [event] = host.events_of(action)
    assert event["undefined"] is None
    return event["params"].get("visit")


def test_event_of_a_page_names_its_visit(host: Host) -> None:
    """By the id of the row, which is the same in the page's tag."""
    add_view(host).client().get("/note", headers=NAVIGATION)
    [visit] = host.events_of("page.visit")
    assert visit_of(host) == str(visit["id"])


@pytest.mark.parametrize(("method", "headers"), [("POST", NAVIGATION), ("GET", FETCH)])
def test_event_of_another_request_names_none(
    host: Host, method: str, headers: dict[str, str]
) -> None:
    """A form that is sent and a script that asks are no pages."""
    add_view(host).client().open("/note", method=method, headers=headers)
    assert visit_of(host) is None


def test_event_of_an_exempt_view_names_none(host: Host) -> None:
    """It has no visits."""
    add_view(host)
    host.events.exempt(host.app.view_functions["note"])
    host.client().get("/note", headers=NAVIGATION)
    assert visit_of(host) is None


@pytest.mark.parametrize("given", [5, "mine"])
def test_visit_that_the_host_gives_stays(host: Host, given: object) -> None:
    """Whatever it is."""
    add_view(host, params={"visit": given}).client().get("/note", headers=NAVIGATION)
    assert visit_of(host) == given


def test_parameter_of_the_host_s_own_stays_empty(host: Host) -> None:
    """Its definition has another meaning for it."""
    add_view(host, "doctor.visit", params={}).client().get("/note", headers=NAVIGATION)
    assert visit_of(host, "doctor.visit") is None


def test_customer_who_is_named_has_no_visit(host: Host) -> None:
    """They need not be the one who looks at the page."""
    add_view(host, customer="7").client().get("/note", headers=NAVIGATION)
    assert visit_of(host) is None


def test_bot_s_event_names_no_visit(make: MakeHost) -> None:
    """It is anonymous, and so is the visit."""
    host = add_view(make({"EVENTTRACK_BOTS": "tag"}))
    host.client("Mozilla/5.0 (compatible; Googlebot/2.1)").get("/note", headers=NAVIGATION)
    assert visit_of(host) is None


def test_filter_of_visits_is_asked_when_the_answer_is_there(make: MakeHost) -> None:
    """Not by ``track()``: it may read what the view has yet to prepare."""
    host = add_view(make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: g.is_ready}))

    @host.app.after_request
    def prepare(response: t.Any) -> t.Any:
        g.is_ready = True
        return response

    host.client().get("/note", headers=NAVIGATION)
    assert visit_of(host) == str(host.events_of("page.visit")[0]["id"])
