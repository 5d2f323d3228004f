"""``POST /_et/transactions``: the door of the host's own back ends."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import pytest
from werkzeug.test import TestResponse

from flask_eventtrack import Event, signals
from flask_eventtrack.config import load_config
from flask_eventtrack.errors import ConfigError
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.ids import charge_id, derived_id
from flask_eventtrack.records import Cancellation, Charge

from ..conftest import MakeHost
from ..hosts import START, Host
from .posts import quality
from .senders import problem_of

ERP = "erp-0123456789abcdef0123456789abcdef"
OLD = "old-0123456789abcdef0123456789abcdef"
TILL = "till-0123456789abcdef0123456789abcdef"
TOKENS = {"transactions": [ERP, OLD], "charges": TILL}
MUG = {"sku": "A1", "name": "Mug", "quantity": 2, "final_unit_price": "12.30", "size": "L"}
ORDER: dict[str, t.Any] = {"order_id": 17, "total": "24.60", "currency": "EUR", "items": [MUG]}
CANCEL: dict[str, t.Any] = {"cancel": 17}
CHARGE_ID = charge_id("flask-eventtrack", "17")


@pytest.fixture
def shop(make: MakeHost) -> Host:
    return make({"EVENTTRACK_HOST_TOKENS": TOKENS})


def send(host: Host, body: t.Any, token: str | None = ERP, **options: t.Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    headers.update(options.pop("headers", {}))
    client = host.app.test_client(use_cookies=False)
    return client.post("/_et/transactions", json=body, headers=headers, **options)


def listen(host: Host) -> list[Event]:
    events: list[Event] = []

    def note(app: object, event: Event) -> None:
        events.append(event)

    signals.event_accepted.connect(note, host.app, weak=False)
    return events


def error_of(response: TestResponse) -> dict[str, t.Any]:
    assert response.status_code == 422
    [result] = response.get_json()["results"]
    assert (result["status"], result["event_id"]) == ("rejected", None)
    error: dict[str, t.Any] = result["error"]
    return error


def test_order_is_the_customer_s_who_is_named(shop: Host) -> None:
    """As ``track_transaction()`` records it outside a request; no cookie is sent."""
    events = listen(shop)
    order = {**ORDER, "customer": 42, "channel": "pos", "time": "2026-11-20T10:00:00Z", "tax": None}
    response = send(shop, order)
    assert response.status_code == 202
    assert response.get_json() == {
        "results": [{"event_id": str(CHARGE_ID), "status": "accepted", "error": None}]
    }
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    [event] = events
    assert event.uuid == customer_uuid("flask-eventtrack", "42")
    assert (event.source, event.session, event.client) == ("server", None, None)
    assert (event.time.day, event.received_at, event.params["channel"]) == (20, START, "pos")
    assert isinstance(event.order, Charge)
    assert event.order.items[0].params["size"] == "L"
    assert len(shop.events_of("transaction.charge")) == 1


def test_batch_has_a_result_each(shop: Host) -> None:
    """Good ones are accepted beside bad ones; a guest's order has no person."""
    events = listen(shop)
    part = {"cancel": "17", "amount": "5.00", "cancellation_id": "r1"}
    bad = {**ORDER, "currency": "EURO"}
    response = send(shop, {"transactions": [ORDER, bad, CANCEL, part, 5]})
    assert response.status_code == 202
    results = response.get_json()["results"]
    assert [result["status"] for result in results] == [
        *("accepted", "rejected", "accepted", "accepted", "rejected")
    ]
    assert [event.id for event in events] == [
        CHARGE_ID,
        derived_id(CHARGE_ID, "cancel"),
        derived_id(CHARGE_ID, "cancel:r1"),
    ]
    assert events[0].uuid == CHARGE_ID
    assert events[2].order == Cancellation(CHARGE_ID, "17", amount="5.00")
    assert quality(shop)["rejected", "transaction.charge", "invalid_money"] == 1


def test_same_post_again_is_the_same_events(shop: Host) -> None:
    """A back end that got no answer sends it again."""
    part = {"cancel": 17, "items": [{"sku": "A1"}], "cancellation_id": 3}
    ids = [
        [result["event_id"] for result in send(shop, body).get_json()["results"]]
        for body in [{"transactions": [ORDER, CANCEL, part]}] * 2
    ]
    assert ids[0] == ids[1]
    assert {uuidlib.UUID(id_).version for id_ in ids[0]} == {5}


@pytest.mark.parametrize(
    ("body", "code", "param", "message"),
    [
        (
            b'{"order_id": 1, "total": 12.30, "currency": "EUR"}',
            "invalid_money",
            "total",
            "give a Decimal, an integer or text",
        ),
        (b'{"order_id": 1, "total": 12.0, "currency": "EUR"}', "invalid_money", "total", "float"),
        (b'{"order_id": 1, "total": 1e2, "currency": "EUR"}', "invalid_money", "total", "float"),
        (b'{"order_id": 1, "total": NaN, "currency": "EUR"}', "invalid_money", "total", "float"),
        (
            b'{"order_id": 1, "total": 5, "currency": "EUR",'
            b' "items": [{"sku": "A", "final_unit_price": 0.1}]}',
            "invalid_money",
            "items[0].final_unit_price",
            "float",
        ),
        (b'{"order_id": 1, "total": 5}', "invalid_order", "currency", "'currency' is required"),
        (b'{"total": 5, "currency": "EUR"}', "invalid_order", "order_id", "is required"),
        (
            b'{"order_id": 1, "total": 5, "currency": "EUR", "discont": 1}',
            "invalid_order",
            "discont",
            "'discont' is not a field; the fields are: order_id, total",
        ),
        (b'{"order_id": 1.5, "total": 5, "currency": "EUR"}', "invalid_order", "order_id", "a str"),
        (
            b'{"order_id": 1, "total": 5, "currency": "EUR", "customer": "guest"}',
            "invalid_customer",
            None,
            "a placeholder",
        ),
        (
            b'{"order_id": 1, "total": 5, "currency": "EUR", "visitor": "x"}',
            "invalid_visitor",
            None,
            "not made by this app",
        ),
        (
            b'{"order_id": 1, "total": 5, "currency": "EUR", "time": "noon"}',
            "invalid_time",
            None,
            "is not a time",
        ),
        (
            b'{"cancel": 1, "amount": "5"}',
            "invalid_order",
            "cancellation_id",
            "a second post would cancel it twice",
        ),
        (b'{"cancel": 1, "amount": 0.5, "cancellation_id": 1}', "invalid_money", "amount", "float"),
        (b'{"cancel": 1, "order_id": 1}', "invalid_order", "order_id", "is not a field"),
        (b'{"cancel": null}', "invalid_order", "cancel", "is required"),
    ],
)
def test_wrong_transaction_is_rejected(
    shop: Host, body: bytes, code: str, param: str | None, message: str
) -> None:
    """By name, and in production without an entry in the log."""
    headers = {"Authorization": f"Bearer {ERP}"}
    client = shop.client("erp/1.0")
    response = client.post(
        "/_et/transactions", data=body, headers=headers, content_type="application/json"
    )
    error = error_of(response)
    assert (error["code"], error["param"]) == (code, param)
    assert message in error["message"]
    assert shop.rows("event") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b'{"transactions": 5}', 400, "malformed"),
        (b'{"transactions": []}', 400, "malformed"),
        (b'{"transactions": [' + b"1," * 100 + b"1]}", 400, "malformed"),
        (b" " * (256 * 1024 + 1), 413, "too_large"),
    ],
)
def test_malformed_post_is_a_problem(shop: Host, body: bytes, status: int, code: str) -> None:
    """One document for the whole post."""
    headers = {"Authorization": f"Bearer {ERP}"}
    response = shop.client("erp/1.0").post(
        "/_et/transactions", data=body, headers=headers, content_type="application/json"
    )
    assert problem_of(response) == (status, code)


def test_only_json_is_taken(shop: Host) -> None:
    """A beacon's type is none of a back end's."""
    response = send(shop, None, data=b"{}", content_type="text/plain")
    assert problem_of(response) == (415, "unsupported_type")
    assert response.get_json()["detail"] == "Send application/json."


@pytest.mark.parametrize("token", [ERP, OLD, TILL])
def test_each_token_that_is_listed_opens(shop: Host, token: str) -> None:
    """The old and the new one, while they are rotated."""
    assert send(shop, ORDER, token).status_code == 202


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "token_missing"),
        ("", "token_unknown"),
        (ERP[:-1], "token_unknown"),
        (ERP + "x", "token_unknown"),
        (ERP.upper(), "token_unknown"),
        ("\xff" * 40, "token_unknown"),
    ],
)
def test_any_other_token_is_401(shop: Host, token: str | None, code: str) -> None:
    """The body is not read."""
    response = send(shop, ORDER, token)
    assert problem_of(response) == (401, code)
    challenge = "Bearer" if token is None else 'Bearer error="invalid_token"'
    assert response.headers["WWW-Authenticate"] == challenge
    assert shop.rows("event") == []


def test_scope_of_charges_cancels_nothing(shop: Host) -> None:
    """Nor does any part of the post get through."""
    response = send(shop, {"transactions": [ORDER, CANCEL]}, TILL)
    assert problem_of(response) == (403, "token_scope")
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
    assert shop.rows("event") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "a=b"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "cors"},
        {"Origin": "null"},
    ],
)
def test_browser_is_refused_with_a_token_too(shop: Host, headers: dict[str, str]) -> None:
    """A token that has got into a page opens nothing."""
    response = send(shop, ORDER, headers=headers)
    assert problem_of(response) == (403, "foreign_origin")
    assert shop.rows("event") == []


def test_no_page_may_ask_or_read(make: MakeHost) -> None:
    """There are no CORS headers, for an allowed origin neither."""
    origin = "https://shop.example.com"
    host = make({"EVENTTRACK_HOST_TOKENS": ERP, "EVENTTRACK_ALLOWED_ORIGINS": [origin]})
    asked = host.client().options(
        "/_et/transactions", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    answer = send(host, ORDER, headers={"Origin": origin})
    assert answer.status_code == 403
    for response in (asked, answer):
        assert not any(name.startswith("Access-Control-") for name in dict(response.headers))


def test_without_tokens_there_is_nothing(host: Host) -> None:
    """The answer is that to any unknown path."""
    response = send(host, ORDER)
    assert problem_of(response) == (404, "not_found")
    assert response.data == send_to_nowhere(host).data


def send_to_nowhere(host: Host) -> TestResponse:
    return host.client().post("/_et/nowhere", json=ORDER)


def test_failed_attempts_are_limited(make: MakeHost) -> None:
    """And a back end's posts are not."""
    host = make({"EVENTTRACK_HOST_TOKENS": ERP, "EVENTTRACK_ADDRESS_LIMIT": (1, 2)})
    statuses = [send(host, ORDER, "wrong").status_code for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert send(host, ORDER).status_code == 202


def test_full_journal_is_503_and_nothing_is_taken(make: MakeHost) -> None:
    """All of a post or none."""
    settings = {"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 1}
    host = make({"EVENTTRACK_HOST_TOKENS": ERP, **settings})
    response = send(host, {"transactions": [ORDER, CANCEL]})
    assert problem_of(response) == (503, "no_room")
    assert response.headers["Retry-After"]
    assert host.rows("event") == []


SHORT = "only-31-characters-0123456789ab"


@pytest.mark.parametrize(
    "value",
    [
        *(
            SHORT,
            [ERP, SHORT],
            {"transactions": SHORT},
            {"transactions": [ERP, None]},
            5,
            [ERP, b"x"],
        ),
        *(
            {ERP: ["transactions"]},
            {"transaction": ERP},
            "with spaces in it, and long enough ...",
            "",
        ),
    ],
)
def test_short_tokens_are_refused_and_never_shown(value: t.Any) -> None:
    """And so are scopes that there are none of, which may be tokens by mistake."""
    with pytest.raises(ConfigError, match=r"^EVENTTRACK_HOST_TOKENS: ") as caught:
        load_config({"EVENTTRACK_HOST_TOKENS": value})
    assert not any(secret in str(caught.value) for secret in (SHORT, ERP, "with spaces"))


def test_tokens_are_in_no_repr(shop: Host) -> None:
    """Neither as text nor as digests."""
    text = repr(shop.state.config)
    assert "ScopedToken(scope='transactions')" in text
    assert not any(token in text for token in (ERP, OLD, TILL))


def test_no_token_is_in_the_log(make: MakeHost, caplog: pytest.LogCaptureFixture) -> None:
    """Also in debug mode, where problems are logged."""
    host = make({"EVENTTRACK_HOST_TOKENS": ERP})
    host.app.debug = True
    send(host, ORDER, OLD)
    assert "A post to /_et/transactions was answered with 401" in caplog.text
    assert OLD not in caplog.text
