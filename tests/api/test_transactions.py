"""``track_transaction()`` and ``cancel_transaction()``: what is recorded, with whom."""

from __future__ import annotations

import decimal
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from flask import Flask, request

from flask_eventtrack import (
    Event,
    cancel_transaction,
    current_visitor,
    identify,
    signals,
    track_transaction,
)
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.ids import charge_id
from flask_eventtrack.records import Cancellation, Charge

from ..conftest import MakeHost
from ..hosts import NAVIGATION, START, Host
from ..store.records import quality

MUG: dict[str, t.Any] = {"sku": "A1", "name": "Mug", "quantity": 2, "final_unit_price": "12.30"}
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"
CHARGE_ID = charge_id("flask-eventtrack", "17")
CUSTOMER = customer_uuid("flask-eventtrack", "42")


def buy(**more: t.Any) -> uuidlib.UUID | None:
    return track_transaction(17, "24.60", "EUR", [MUG], **more)


def add_views(host: Host) -> Host:
    @host.app.route("/buy", methods=["GET", "POST"])
    def order() -> str:
        if who := request.args.get("login"):
            identify(who)
        return f"<title>Thanks</title>{buy(customer=request.args.get('customer'))}"

    @host.app.get("/token")
    def token() -> str:
        return current_visitor.token

    return host


@pytest.fixture
def shop(host: Host) -> Host:
    return add_views(host)


class Accepted:
    """The transactions that an app accepts."""

    def __init__(self, app: Flask) -> None:
        self.events: list[Event] = []
        signals.event_accepted.connect(self._note, app)

    def _note(self, app: Flask, event: Event) -> None:
        if event.order is not None:
            self.events.append(event)

    @property
    def one(self) -> Event:
        [event] = self.events
        return event


@pytest.fixture
def accepted(shop: Host) -> Accepted:
    return Accepted(shop.app)


def charge_of(event: Event) -> Charge:
    assert isinstance(event.order, Charge)
    return event.order


def test_order_of_a_visitor_has_profile_session_and_visit(shop: Host, accepted: Accepted) -> None:
    """All of the page that they see, which the items name too."""
    client = shop.client()
    answer = client.get("/buy", headers=NAVIGATION)
    event = accepted.one
    assert answer.text.endswith(str(CHARGE_ID))
    [visit] = shop.events_of("page.visit")
    [stored] = shop.events_of("transaction.charge")
    assert (stored["uuid"], stored["session_id"]) == (visit["uuid"], visit["session_id"])
    assert (stored["id"], stored["time"], stored["source"]) == (CHARGE_ID, START, "server")
    assert stored["label"] == "Ordered 2 items for 24.60 EUR"
    assert stored["params"]["visit"] == str(visit["id"])
    order = charge_of(event)
    assert order.visit_id == visit["id"]
    assert (order.order_id, order.currency, order.amount) == ("17", "EUR", 2460)
    assert [item.params["visit"] for item in order.items] == [str(visit["id"])]


def test_order_in_a_post_has_no_visit(shop: Host, accepted: Accepted) -> None:
    """A POST is no page."""
    shop.client().post("/buy")
    assert accepted.one.session is not None
    assert charge_of(accepted.one).visit_id is None
    assert "visit" not in accepted.one.params


def test_order_may_open_the_session(shop: Host) -> None:
    """Cookies are sent with it."""
    client = shop.client()
    response = client.post("/buy")
    assert "Set-Cookie" in response.headers
    [session] = shop.rows("session")
    [stored] = shop.events_of("transaction.charge")
    assert stored["session_id"] == session["id"]


REFUSALS: dict[str, dict[str, t.Any]] = {
    "refused": {"headers": {"Sec-GPC": "1"}},
    "bot": {"agent": BOT},
    "tagged bot": {"agent": BOT, "EVENTTRACK_BOTS": "tag"},
    "filtered": {"EVENTTRACK_VISITOR_FILTER": lambda: False},
    "policy none": {"EVENTTRACK_DEFAULT_POLICY": "none"},
    "no identity": {"EVENTTRACK_PRIVACY_IDENTITY": False},
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("customer", [None, "42"])
def test_order_is_recorded_whatever_the_verdict(
    make: MakeHost, name: str, customer: str | None
) -> None:
    """Of nobody, or of the customer who is named, where customers may be known."""
    refusal = {"agent": None, "headers": {}, **REFUSALS[name]}
    agent, headers = refusal.pop("agent"), refusal.pop("headers")
    host = add_views(make(refusal))
    accepted = Accepted(host.app)
    client = host.client(agent) if agent else host.client()
    query = {"customer": customer} if customer else {}
    answer = client.get("/buy", headers={**NAVIGATION, **headers}, query_string=query)
    assert answer.text.endswith(str(CHARGE_ID))
    event = accepted.one
    known = customer is not None and name != "no identity"
    assert event.uuid == (CUSTOMER if known else event.id)
    assert (event.session, event.client, charge_of(event).visit_id) == (None, None, None)
    assert "visit" not in event.params
    assert event.source == "server"
    assert [row["uuid"] for row in host.events_of("transaction.charge")] == [event.uuid]


def test_customer_who_is_the_visitor_keeps_session_and_visit(
    shop: Host, accepted: Accepted
) -> None:
    """Vouched for in this request; another customer's order has neither."""
    client = shop.client()
    client.get("/buy", headers=NAVIGATION, query_string={"login": "42", "customer": "42"})
    own = accepted.events.pop()
    assert own.uuid == CUSTOMER
    assert own.session is not None
    assert charge_of(own).visit_id is not None
    client.get("/buy", headers=NAVIGATION, query_string={"customer": "43"})
    other = accepted.events.pop()
    assert other.uuid == customer_uuid("flask-eventtrack", "43")
    assert (other.session, charge_of(other).visit_id) == (None, None)


@pytest.mark.parametrize(("named", "vouched"), [({}, 1), ({"customer": "42"}, 2)])
def test_host_that_names_the_customer_vouches(
    shop: Host, accepted: Accepted, named: dict[str, str], vouched: int
) -> None:
    """Elsewhere only the cookie does, of which there may be a copy after the log-out."""
    client = shop.client()
    client.get("/buy", headers=NAVIGATION, query_string={"login": "42"})
    accepted.events.clear()
    client.get("/buy", headers=NAVIGATION, query_string=named)
    event = accepted.one
    assert event.uuid == CUSTOMER
    assert event.session is not None
    assert event.session.vouched == vouched


def test_payment_is_recorded_for_the_visitor_of_a_token(shop: Host, accepted: Accepted) -> None:
    """Outside their request, with their session; after a refusal, without a person."""
    client = shop.client()
    client.get("/", headers=NAVIGATION)
    token = client.get("/token").text
    with shop.app.app_context():
        buy(visitor=token)
        buy(visitor="")
        with pytest.raises(InvalidEvent, match="was not made by this app"):
            buy(visitor="x")
    first, second = accepted.events
    [session] = shop.rows("session")
    assert first.session is not None
    assert (first.session.id, first.uuid) == (session["id"], session["uuid"])
    assert (second.session, second.uuid) == (None, second.id)


def test_guest_order_in_a_job_is_nobody_s(shop: Host, accepted: Accepted) -> None:
    """No one need be named."""
    with shop.app.app_context():
        assert buy() == CHARGE_ID
    assert accepted.one.uuid == CHARGE_ID


def test_tracking_that_is_off_records_no_order(make: MakeHost) -> None:
    """Neither call does anything."""
    host = make({"EVENTTRACK_ENABLED": False})
    with host.app.app_context():
        assert buy() is None
        assert cancel_transaction(17) is None
    assert host.actions() == {}


def test_denied_action_is_refused(make: MakeHost) -> None:
    """The host's lists hold for transactions too."""
    host = make({"EVENTTRACK_DENY": ["transaction.*"]})
    with host.app.app_context(), pytest.raises(InvalidEvent, match=r"is not recorded on") as caught:
        buy()
    assert caught.value.code == "denied_event"


def test_time_is_given_as_to_track(shop: Host, accepted: Accepted) -> None:
    """Of any age; a later one becomes now, and is kept."""
    with shop.app.app_context():
        buy(time="2020-01-01T00:00:00Z")
        buy(time="2030-01-01T00:00:00Z")
        with pytest.raises(InvalidEvent, match="is not a time"):
            buy(time="noon")
    early, late = accepted.events
    assert (early.time.year, early.received_at) == (2020, START)
    assert (late.time, late.params["original_time"]) == (START, "2030-01-01T00:00:00+00:00")


def test_wrong_call_is_raised_in_tests_and_logged_in_production(
    shop: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """The view goes on; a count tells of it."""
    with shop.app.app_context():
        with pytest.raises(InvalidEvent, match="A float has no exact cents"):
            track_transaction(1, 12.3, "EUR")  # type: ignore[arg-type]
        shop.app.testing = False
        assert track_transaction(1, 12.3, "EUR") is None  # type: ignore[arg-type]
        assert cancel_transaction(None) is None  # type: ignore[arg-type]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert caplog.messages[0].startswith("An event was not recorded. total is the float")
    assert quality(shop)["rejected", "transaction.charge", "invalid_money"] == 2
    assert quality(shop)["rejected", "transaction.cancel", "invalid_order"] == 1
    assert shop.rows("event") == []


def test_value_that_cannot_be_stored_costs_no_order_in_production(
    shop: Host, accepted: Accepted, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out, logged and counted."""
    with shop.app.app_context():
        with pytest.raises(InvalidEvent, match="cannot be written as JSON"):
            track_transaction(1, 5, "EUR", params={"a": object()})
        shop.app.testing = False
        assert track_transaction(1, 5, "EUR", params={"a": object(), "b": 1}) is not None
    assert accepted.one.params["b"] == 1
    assert quality(shop)["left_out", "transaction.charge", "invalid_params"] == 1
    assert "A value of 'transaction.charge' was left out." in caplog.text


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"customer": "none"}, "invalid_customer"), ({"visitor": "forged"}, "invalid_visitor")],
)
def test_unknown_buyer_costs_no_order_in_production(
    shop: Host, accepted: Accepted, wrong: dict[str, t.Any], code: str
) -> None:
    """A visitor may have changed the token. The order is stored without a person."""
    with shop.app.app_context():
        with pytest.raises(InvalidEvent):
            buy(**wrong)
        shop.app.testing = False
        assert buy(**wrong) == CHARGE_ID
    assert (accepted.one.uuid, accepted.one.session) == (CHARGE_ID, None)
    assert quality(shop)["left_out", "transaction.charge", code] == 1


def test_own_definition_of_a_buy_writes_its_labels(shop: Host, accepted: Accepted) -> None:
    """Whatever parameters it has, items are recorded with ours."""

    class Buy:
        article: str
        price: float

    shop.events.define("product.buy", label="Sold {name}: {article}")(
        type("Buy", (), {"__annotations__": {"article": str, "price": float, "name": str}})
    )
    with shop.app.app_context():
        buy()
    [item] = charge_of(accepted.one).items
    assert (item.label, item.params["amount_minor"]) == ("Sold Mug: ", 2460)


@pytest.mark.parametrize(
    ("arguments", "cancellation"),
    [
        ((), Cancellation(CHARGE_ID, "17")),
        (([MUG],), Cancellation(CHARGE_ID, "17", items={"A1": 2})),
        ((None, decimal.Decimal("5.00")), Cancellation(CHARGE_ID, "17", amount="5.00")),
    ],
)
def test_cancellation_names_its_charge(
    shop: Host, accepted: Accepted, arguments: tuple[t.Any, ...], cancellation: Cancellation
) -> None:
    """The writer, which knows the order, adds the rest."""
    with shop.app.test_request_context("/", headers=NAVIGATION):
        event_id = cancel_transaction(17, *arguments, time="2026-11-20T00:00:00Z")
    event = accepted.one
    assert (event.id, event.action, event.order) == (event_id, "transaction.cancel", cancellation)
    assert (event.uuid, event.session, event.client) == (CHARGE_ID, None, None)
    assert (event.time.day, event.params) == (20, {"order_id": "17"})


def test_repeated_cancellation_has_one_id(shop: Host) -> None:
    """Of a whole order always, of a part by the refund's id."""
    with shop.app.app_context():
        assert cancel_transaction(17) == cancel_transaction("17")
        parts = [cancel_transaction(17, amount=5, cancellation_id=n) for n in (1, "1", 2)]
        others = [cancel_transaction(17, amount=5) for _ in range(2)]
    assert parts[0] == parts[1] != parts[2]
    assert others[0] != others[1]


def test_calls_are_methods_too(host: Host) -> None:
    """As ``track()`` is."""
    assert host.events.track_transaction is track_transaction
    assert host.events.cancel_transaction is cancel_transaction


@pytest.mark.parametrize("is_erased", [False, True])
def test_order_that_is_stored_adds_nothing_to_the_host_s_transaction(
    db_host: Host, *, is_erased: bool
) -> None:
    """The id is returned. Of an erased customer's order only the amounts are left."""
    with db_host.app.app_context():
        buy()
        db_host.flush()
        if is_erased:
            database = db_host.state.pipeline.database
            with database.begin() as connection:
                connection.execute(database.tables.transaction.update().values(digest=None))
        assert buy(in_transaction=True) == CHARGE_ID
        assert list(db_host.db.session.connection().execute(notes(db_host))) == []
        db_host.db.session.commit()
    assert len(db_host.events_of("transaction.charge")) == 1


def test_contradiction_raises_at_once_in_production_too(db_host: Host) -> None:
    """The host's transaction must not go on as if this were its order."""
    store(db_host, "0" * 32)
    with db_host.app.app_context():
        db_host.app.testing = False
        with pytest.raises(InvalidEvent, match="Another order is stored under") as caught:
            buy(in_transaction=True)
        db_host.db.session.rollback()
        db_host.app.testing = True
    assert (caught.value.code, caught.value.param) == ("contradicted_order", "order_id")
    assert quality(db_host)["rejected", "transaction.charge", "contradicted_order"] == 1
    assert db_host.events_of("transaction.charge") == []


@pytest.mark.parametrize(("end", "number"), [("commit", 1), ("rollback", 0)])
def test_new_order_is_stored_if_the_host_commits(db_host: Host, end: str, number: int) -> None:
    """With its row of the event, as any event."""
    with db_host.app.app_context():
        assert buy(in_transaction=True) == CHARGE_ID
        getattr(db_host.db.session, end)()
    assert len(db_host.events_of("transaction.charge")) == number


def store(host: Host, digest: str) -> None:
    """Store an order's row, as the writer does."""
    database = host.state.pipeline.database
    row = {"id": CHARGE_ID, "time": START, "stored_at": START, "site": "", "currency": "EUR"}
    with database.begin() as connection:
        insert = database.tables.transaction.insert()
        connection.execute(insert.values(row | {"amount": 2460, "digest": digest}))


def notes(host: Host) -> sa.Select[t.Any]:
    return sa.select(host.state.pipeline.database.tables.uncounted.c.event_id)
