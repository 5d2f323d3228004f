"""Flask-SeaSurf asks for its token, which cached pages do not have."""

from __future__ import annotations

from flask import Flask, g
from flask_seasurf import SeaSurf

from ..hosts import SAME_ORIGIN
from .conftest import MakeNeighbours, click, load_script

NO_TESTS = {"TESTING": False}  # it checks nothing in tests


def protect(app: Flask) -> None:
    SeaSurf(app)
    app.post("/buy", endpoint="buy")(lambda: "bought")


def test_collector_needs_no_token_of_the_hosts(beside: MakeNeighbours) -> None:
    """Its own checks stand instead; the host's views are guarded as before."""
    host = beside(protect, NO_TESTS)
    client = host.client()
    script = load_script(client)
    assert "Set-Cookie" not in script.headers
    assert "Cookie" not in script.headers["Vary"]
    assert click(client).status_code == 202
    assert client.post("/buy").status_code == 403


def test_visitors_can_object_on_our_page(beside: MakeNeighbours) -> None:
    """The form of the page is checked by its origin."""
    host = beside(protect, NO_TESTS)
    response = host.client().post("/_et/privacy", data={"choice": "none"}, headers=SAME_ORIGIN)
    assert response.status_code == 200
    assert "eventtrack_consent=none" in response.headers["Set-Cookie"]


def test_forms_and_assistants_need_no_token_of_the_hosts(beside: MakeNeighbours) -> None:
    """Each has its own: without it, or without access, the answer is ours."""
    tokens = {"EVENTTRACK_MCP": True, "EVENTTRACK_REPORT_TOKENS": "t" * 40}
    client = beside(protect, {**NO_TESTS, **tokens}).client()
    for page in ("goals", "funnels", "links", "quality/try", "people/x/erase", "mcp"):
        assert client.post(f"/_et/{page}").status_code == 404, page
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answer = client.post("/_et/mcp", json=message, headers={"Authorization": f"Bearer {'t' * 40}"})
    assert answer.status_code == 200


def test_hooks_behind_its_own_run_for_who_the_customer_is(beside: MakeNeighbours) -> None:
    """Its check is the first of the hooks, and has no say in our posts."""

    def build(app: Flask) -> None:
        protect(app)
        app.before_request(lambda: setattr(g, "customer", "7"))

    host = beside(build, NO_TESTS)
    host.events.customer_loader(lambda: g.customer)
    host.events.define("order.click")
    response = host.client().post("/_et/in", json={"action": "order.click"}, headers=SAME_ORIGIN)
    assert response.get_json()["results"][0]["status"] == "accepted"
    assert host.rows("profile")[0]["customer_id"] == "7"
