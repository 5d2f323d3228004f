"""The hooks around a request, beside all that a host does there."""

from __future__ import annotations

import gzip
import typing as t

import pytest
from flask import Flask, Response, make_response, request, session

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host


def test_streamed_body_is_not_read(odd: Host) -> None:
    """A streamed page counts under its path, and still streams."""
    response = odd.client().get("/streamed", headers=NAVIGATION, buffered=False)
    assert response.get_data(as_text=True) == "<title>Streamed</title>/streamed"
    [visit] = odd.events_of("page.visit")
    assert ("title" in visit["params"], visit["label"]) == (False, "Visited page /streamed")


def test_compressed_body_is_not_parsed(make: MakeHost) -> None:
    """A body that a hook has compressed goes out as it is; the browser will tell the title."""
    host = make()
    packed = gzip.compress(b"<title>Hidden</title>")

    @host.app.get("/packed")
    def packed_page() -> Response:
        return Response(packed, mimetype="text/html", headers={"Content-Encoding": "gzip"})

    assert host.client().get("/packed").data == packed
    assert "title" not in host.events_of("page.visit")[0]["params"]


def test_public_page_never_carries_our_cookies(odd: Host) -> None:
    """A shared cache would give one visitor's device to everyone."""
    client = odd.client()
    assert "Set-Cookie" not in client.get("/public", headers=NAVIGATION).headers
    assert odd.actions() == {}
    client.get("/", headers=NAVIGATION)
    odd.clock.advance(hours=1)
    assert "Set-Cookie" not in client.get("/public", headers=NAVIGATION).headers
    assert odd.actions()["page.visit"] == 2


def test_hook_of_the_host_that_makes_a_page_public_is_seen(make: MakeHost) -> None:
    """Our last word comes after hooks that were registered before us."""
    app = Flask("host")

    @app.after_request
    def cache(response: Response) -> Response:
        response.headers["Cache-Control"] = "s-maxage=60"
        return response

    host = make()
    host.app.after_request(cache)
    assert "Set-Cookie" not in host.client().get("/", headers=NAVIGATION).headers


def test_filter_refuses_one_more(make: MakeHost) -> None:
    """``EVENTTRACK_PAGE_VISIT_FILTER`` is called inside the request, and its False is final."""
    host = make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: request.path != "/"})
    client = host.client()
    assert 'data-page="off"' in client.get("/", headers=NAVIGATION).text
    client.get("/products/mug", headers=NAVIGATION)
    assert [row["params"]["path"] for row in host.events_of("page.visit")] == ["/products/mug"]


def test_denied_visits_leave_the_rest(make: MakeHost) -> None:
    """A site may deny page visits and keep its other events."""
    host = make({"EVENTTRACK_DENY": {"localhost": ["page.*"]}})
    client = host.client()
    client.get("/", headers=NAVIGATION)
    client.get("/", headers=NAVIGATION, base_url="http://other.example")
    assert [row["site"] for row in host.events_of("page.visit")] == ["other.example"]


def test_hooks_survive_an_earlier_hook_that_answers(make: MakeHost) -> None:
    """A host's ``before_request`` may answer: the page it shows is counted once."""
    host = make()
    host.app.before_request_funcs.setdefault(None, []).insert(0, lambda: "<title>Closed</title>")
    assert host.client().get("/", headers=NAVIGATION).text == "<title>Closed</title>"
    assert [row["label"] for row in host.events_of("page.visit")] == ["Visited page Closed"]


def test_filter_that_fails_reaches_no_visitor(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """In production an error of ours is logged once and the page goes out untouched."""
    host = make({"TESTING": False, "EVENTTRACK_PAGE_VISIT_FILTER": lambda: 1 / 0})
    client = host.client()
    for _ in range(3):
        assert client.get("/products/mug", headers=NAVIGATION).status_code == 200
    assert [record.message for record in caplog.records] == [
        "EventTrack failed while reading a title; the request goes on.",
    ]
    assert sum(host.state.failures.values()) == 3


def test_filter_that_fails_is_raised_in_tests(make: MakeHost) -> None:
    """In debug and testing an error of ours is raised where it happens."""
    host = make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        host.client().get("/products/mug", headers=NAVIGATION)


def test_headers_replaced_by_a_dict_do_not_break_the_page(make: MakeHost) -> None:
    """A host may swap ``response.headers`` for a plain dict; its page still goes out."""
    host = make({"TESTING": False})

    @host.app.get("/dict")
    def replaced() -> Response:
        response = make_response("<p>hello")
        response.headers = t.cast("t.Any", dict(response.headers))
        return response

    with host.app.test_request_context("/dict", headers=NAVIGATION):
        assert host.app.full_dispatch_request().get_data() == b"<p>hello"


def test_requests_inside_one_app_context_are_told_apart(host: Host) -> None:
    """A test that keeps an app context open shares ``g`` between its requests."""
    with host.app.app_context():
        for client in (host.client(), host.client()):
            client.get("/", headers=NAVIGATION)
            client.get("/products/mug", headers=NAVIGATION)
    assert [row["pages"] for row in host.rows("session")] == [2, 2]
    paths = [row["params"]["path"] for row in host.events_of("page.visit")]
    assert sorted(paths) == ["/", "/", "/products/mug", "/products/mug"]


def test_anonymous_visitor_gets_no_cookies_with_the_answer_to_an_error(make: MakeHost) -> None:
    """Flask runs the hooks again where the host's session cannot be saved after them."""
    host = make({"EVENTTRACK_DEFAULT_POLICY": "anonymous", "PROPAGATE_EXCEPTIONS": False})

    @host.app.get("/unsaved")
    def fill() -> str:
        session["user"] = object()
        return "<title>Unsaved</title>"

    response = host.client().get("/unsaved", headers=NAVIGATION)
    assert response.status_code == 500
    assert "Set-Cookie" not in response.headers
