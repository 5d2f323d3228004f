"""Days on which something else is broken: the host goes on, and what was recorded arrives."""

from __future__ import annotations

import threading
import time
import typing as t
import uuid as uuidlib

import flask
import pytest
import sqlalchemy as sa
from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack, identify, signals, track
from flask_eventtrack.ids import uuid7

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, FakeClock, Host
from .pipeline.waiting import wait_until

PAGE = "<title>A page</title>{{ eventtrack_snippet() }}"


def tag_of(page: str) -> str:
    return page.partition('data-visit="')[2].partition('"')[0]


def a_click(page: uuidlib.UUID, action: str = "button.click", **more: t.Any) -> dict[str, t.Any]:
    params = {"url": "http://localhost/"} if action == "page.visit" else {}
    event_id = page if action == "page.visit" else uuid7(time.time_ns())
    return {
        "action": action,
        "event_id": str(event_id),
        "page": str(page),
        "params": params,
        **more,
    }


def post_without_cookies(host: Host, event: dict[str, t.Any]) -> None:
    response = host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
    assert response.status_code == 202, response.text


def test_a_stand_in_session_that_has_ended_is_gone_with_its_end(host: Host) -> None:
    """A browser without cookies can neither end a session twice nor stop the sweep."""
    page = host.client().get("/", headers=NAVIGATION).text
    innocent = host.client()
    innocent.get("/", headers=NAVIGATION)
    me = uuid7(host.clock())
    post_without_cookies(host, a_click(me))
    host.clock.advance(hours=1)
    host.flush()
    assert len(host.state.pipeline.sweep()) == 3
    post_without_cookies(host, a_click(me, "page.visit", visit=tag_of(page)))
    post_without_cookies(host, a_click(me))
    host.clock.advance(hours=1)
    host.flush()
    host.state.pipeline.sweep()
    ends = [row["session_id"] for row in host.events_of("session.end")]
    assert len(ends) == len(set(ends)) == len(host.rows("session"))
    assert all(row["ended_at"] for row in host.rows("session"))


def test_a_customers_page_lends_its_identity_to_nobody(host: Host) -> None:
    """A tag from the host's own cache does not make a browser without cookies the customer."""

    @host.app.get("/in")
    def log_in() -> str:
        identify("42")
        return render_template_string(PAGE)

    page = host.client().get("/in", headers=NAVIGATION).text
    me = uuid7(host.clock())
    post_without_cookies(host, a_click(me, "page.visit", visit=tag_of(page)))
    post_without_cookies(host, a_click(me, visit=tag_of(page)))
    with host.app.app_context():
        host.flush()
        feed = [event.action for event in host.events.feed("42")]
    assert sorted(feed) == ["customer.login", "page.visit", "session.start"]


def test_a_page_that_the_host_keeps_in_a_cache_counts_each_visitor_once(host: Host) -> None:
    """All visitors have the first one's tag; each has a server visit of their own."""
    kept: list[str] = []

    @host.app.get("/kept")
    def cached() -> str:
        if not kept:
            kept.append(render_template_string(PAGE))
        return kept[0]

    for _ in range(3):
        client = host.client()
        tag = tag_of(client.get("/kept", headers=NAVIGATION).text)
        event = a_click(uuid7(host.clock()), "page.visit", visit=tag)
        event["params"]["url"] = "http://localhost/kept"
        client.post("/_et/in", json=event, headers=SAME_ORIGIN)
        host.clock.advance(seconds=1)
    visits = host.events_of("page.visit")
    assert [row["claimed_by"] is not None for row in visits] == [True] * 3


def test_a_writer_that_has_failed_a_thousand_times_still_tries(make: MakeHost) -> None:
    """The pause between tries has a limit, however long the database is away."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 0.001}, create=False)
    host.client().get("/", headers=NAVIGATION)
    status = host.state.pipeline._status
    for failed in (1, 10, 2000):
        status.failed = failed
        with pytest.raises(sa.exc.OperationalError):
            host.flush()
        # While the thread tries, nothing is due.
        wait_until(lambda: status.due_at < time.monotonic() + 31)


def test_a_thread_that_cannot_start_is_tried_again(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Out of threads: the page is answered, and the next event starts the writer."""
    host = make({"TESTING": False})
    with monkeypatch.context() as patch:

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        assert host.client().get("/", headers=NAVIGATION).status_code == 200
    assert "cannot start" in caplog.text
    host.client().get("/", headers=NAVIGATION)
    assert host.actions()["page.visit"] == 2


@pytest.mark.parametrize(
    ("signal", "act"),
    [
        (signals.event_accepted, lambda: track("button.click")),
        (signals.event_rejected, lambda: track("no.such")),
        (signals.customer_identified, lambda: identify("42")),
    ],
)
def test_a_receiver_that_fails_reaches_no_visitor(
    make: MakeHost, signal: t.Any, act: t.Callable[[], object]
) -> None:
    """What a receiver of a signal raises is logged, and the view goes on."""
    host = make({"TESTING": False})

    def fail(app: Flask, **detail: object) -> None:
        raise RuntimeError("a receiver's own")

    host.app.add_url_rule("/act", view_func=lambda: str(act() and "") + "done")
    signal.connect(fail, host.app)
    assert host.client().get("/act").text.endswith("done")
    assert sum(host.state.failures.values()) >= 1


def test_a_listener_of_the_host_finds_an_app_context(host: Host) -> None:
    """A query counter on every engine of the process may use ``g`` while the writer writes."""
    counted: list[str] = []

    def count(connection: t.Any, cursor: t.Any, statement: str, *_: t.Any) -> None:
        flask.g.queries = flask.g.get("queries", 0) + 1
        counted.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        host.client().get("/", headers=NAVIGATION)
        host.flush()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    assert any("INSERT INTO eventtrack_event" in statement for statement in counted)


def test_junk_does_not_take_the_events_room(make: MakeHost) -> None:
    """Rejections are counted beside the buffer, so that they cannot fill it."""
    host = make({"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 10}, create=False)
    client = host.client()
    junk = {"events": [{"action": f"no.such{number}"} for number in range(100)]}
    for _ in range(20):
        assert client.post("/_et/in", json=junk, headers=SAME_ORIGIN).status_code == 202
    good = {"action": "button.click"}
    assert client.post("/_et/in", json=good, headers=SAME_ORIGIN).status_code == 202
    with host.app.app_context():
        host.db.create_all()
    assert host.actions() == {"button.click": 1, "session.start": 1}
    assert sum(row["count"] for row in host.rows("quality")) == 2001


def test_a_bot_that_logs_out_is_not_recorded(host: Host) -> None:
    """Nothing is recorded of a bot, whichever cookies it carries."""
    host.app.add_url_rule("/in", "in", lambda: str(identify("42")))
    host.app.add_url_rule("/out", "out", lambda: host.events.logout() or "done")
    client = host.client()
    client.get("/in")
    client.environ_base["HTTP_USER_AGENT"] = "python-requests/2"
    client.get("/out")
    assert host.actions()["customer.logout"] == 0


def test_a_converter_that_fails_does_not_lose_a_post(make: MakeHost) -> None:
    """The host's own URL converters run on addresses that browsers send, and may fail."""
    from werkzeug.routing import BaseConverter

    class Failing(BaseConverter):
        def to_python(self, value: str) -> t.Any:
            raise RuntimeError("the database is away")

    host = make(create=False)
    host.app.url_map.converters["failing"] = Failing
    host.app.add_url_rule("/things/<failing:thing>", "thing", lambda thing: "<p>")
    with host.app.app_context():
        host.db.create_all()
    event = a_click(uuid7(host.clock()), "page.visit")
    event["params"]["url"] = "http://localhost/things/1"
    post_without_cookies(host, event)
    assert host.events_of("page.visit")[0]["url_rule"] == ""


@pytest.mark.parametrize(
    ("options", "base_url"),
    [
        ({"host_matching": True, "static_host": "shop.test"}, "http://shop.test"),
        ({"subdomain_matching": True}, "http://shop.test"),
        ({"subdomain_matching": True}, "http://de.shop.test"),
    ],
)
def test_the_collector_is_where_the_pages_are(options: dict[str, t.Any], base_url: str) -> None:
    """An app that matches hosts or subdomains has script and collector on each of them."""
    app = Flask("host", **options)
    app.config.update(
        SECRET_KEY="a secret for tests only",
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SERVER_NAME="shop.test",
        TESTING=True,
    )
    events = EventTrack(app, SQLAlchemy(app), clock=FakeClock())
    place: dict[str, t.Any] = (
        {"host": "shop.test"} if "host_matching" in options else {"subdomain": "de"}
    )
    if base_url == "http://shop.test":
        place.pop("subdomain", None)
    app.add_url_rule("/", "page", lambda: render_template_string(PAGE), **place)
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = CHROME
    page = client.get("/", base_url=base_url, headers=NAVIGATION).text
    src = page.partition('src="')[2].partition('"')[0]
    assert client.get(src, base_url=base_url).status_code == 200
    answer = client.post(
        "/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN, base_url=base_url
    )
    assert answer.status_code == 202
    assert events.catalogue
