"""What the developer's log says in debug mode of what the browser keeps to itself."""

from __future__ import annotations

import logging

import pytest

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, Host
from .posts import post, post_one


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged beside the lines of ``tests/request/test_debug_log.py``."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.fixture
def shop(host: Host) -> Host:
    host.app.debug = True
    host.events.define("signup.click")
    host.events.define("order.pay", server_only=True)
    return host


@pytest.mark.parametrize(
    ("action", "entry"),
    [
        (
            "signup.click",
            "(action 'signup.click', customer_required): Only customers may send 'signup.click'. "
            "To accept it from every visitor, define it with anonymous=True.",
        ),
        (
            "signup.clik",
            "(action 'signup.clik', undefined_event): 'signup.clik' is not defined. "
            "Did you mean 'signup.click'? Define it with events.define().",
        ),
        (
            "order.pay",
            "(action 'order.pay', server_only): Only the server may record 'order.pay'. Call "
            "track() in a view instead, or define it without server_only=True.",
        ),
    ],
)
def test_rejected_event_is_logged_once(
    shop: Host, caplog: pytest.LogCaptureFixture, action: str, entry: str
) -> None:
    """A click that a visitor may not send, or that no one has defined."""
    for _ in range(2):
        post_one(shop.client(), {"action": action})
    assert warnings_of(caplog) == [f"A client's event was rejected {entry}"]


def test_each_kind_of_rejection_is_logged(shop: Host, caplog: pytest.LogCaptureFixture) -> None:
    """By action, code and parameter; control characters of a client are escaped."""
    for event in (
        {"action": "link.click"},
        {"action": "link.click", "params": {"href": []}},
        {"action": "element.view", "params": {"id": "a"}, "time": "noon"},
        {"action": "a\nb"},
        {"action": 5},
    ):
        post_one(shop.client(), event)
    assert len(warnings_of(caplog)) == 4  # the first two are of one kind
    assert "parameter 'href': it is required (str) and was not given" in warnings_of(caplog)[0]
    assert not any("\n" in message for message in warnings_of(caplog))


def test_post_that_fails_is_logged_once(shop: Host, caplog: pytest.LogCaptureFixture) -> None:
    """With the code and the sentence of the answer."""
    for _ in range(2):
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert shop.client().post("/_et/in", json={}, headers=headers).status_code == 403
        assert shop.client().post("/_et/in", data="{", headers=SAME_ORIGIN).status_code == 415
    assert [message[:56] for message in warnings_of(caplog)] == [
        "A post to /_et/in was answered with 403 (foreign_origin)",
        "A post to /_et/in was answered with 415 (unsupported_typ",
    ]


@pytest.mark.parametrize("is_testing", [True, False])
def test_nothing_is_logged_without_debug(
    host: Host, caplog: pytest.LogCaptureFixture, is_testing: bool
) -> None:
    """In production anyone could fill the log."""
    host.app.testing = is_testing
    post_one(host.client(), {"action": "signup.clik"})
    host.client().post("/_et/in", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("is_late", [False, True])
def test_database_in_memory_is_logged_once(
    make: MakeHost, caplog: pytest.LogCaptureFixture, is_late: bool
) -> None:
    """At the start; with the first request where ``app.run(debug=True)`` turns debug mode on."""
    host = make({"DEBUG": not is_late}, url="sqlite://")
    assert len(warnings_of(caplog)) == (not is_late)
    host.app.debug = True
    for _ in range(2):
        host.client().get("/")
    [message] = warnings_of(caplog)
    assert "Events live in this process and vanish with it" in message


def test_database_in_a_file_or_without_debug_is_not_logged(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    for host in (make({"DEBUG": True}), make(url="sqlite://")):
        post(host.client(), {"action": "button.click"})
    assert warnings_of(caplog) == []
