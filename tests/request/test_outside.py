"""Outside their request, events still belong to the visit in which they were caused."""

from __future__ import annotations

import asyncio
import base64
import collections.abc as cabc
import contextlib
import contextvars
import dataclasses
import threading
import typing as t

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from flask_eventtrack import (
    TracksSession,
    cancel_transaction,
    current_visitor,
    errors,
    identify,
    logout,
    track,
    track_transaction,
)
from flask_eventtrack.identity.tokens import VisitorToken
from flask_eventtrack.ids import uuid4

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..loops import run_alone

BOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"
REFUSED = {"Sec-GPC": "1"}
Row = dict[str, t.Any]


@dataclasses.dataclass
class Doctor:
    """An event with a parameter of that name."""

    visit: int | None = None


class Shop(t.NamedTuple):
    """A host whose view ``/page`` makes tokens."""

    host: Host
    tokens: list[str]

    def open(self, client: FlaskClient | None = None, method: str = "GET", **headers: str) -> str:
        """Open the page, by default as a new visitor; return the token that was made in it."""
        client = client or self.host.client()
        assert client.open("/page", method=method, headers=NAVIGATION | headers).status_code == 200
        return self.tokens[-1]

    def run(self, token: str | None, work: cabc.Callable[[], t.Any]) -> t.Any:
        """Do something for a visitor in an app context."""
        with self.host.app.app_context(), self.host.events.as_visitor(token):
            return work()

    def note(self, token: str | None, **arguments: t.Any) -> t.Any:
        return self.run(token, lambda: track("note.add", **arguments))

    def notes(self) -> list[Row]:
        return self.host.events_of("note.add")


def make_shop(host: Host) -> Shop:
    tokens: list[str] = []
    host.events.define("note.add", anonymous=True)
    host.events.define("doctor.come")(Doctor)

    @host.app.route("/page", methods=["GET", "POST"])
    def page() -> str:
        tokens.append(current_visitor.token)
        return "<title>Page</title>"

    return Shop(host, tokens)


@pytest.fixture
def shop(host: Host) -> Shop:
    return make_shop(host)


def owner_of(row: Row) -> tuple[object, object, object]:
    return row["uuid"], row["session_id"], row["params"].get("visit")


def visit_of(shop: Shop) -> tuple[object, object, object]:
    """Return who came to the one page, in which session, and the id of the visit."""
    [page] = shop.host.events_of("page.visit")
    return page["uuid"], page["session_id"], str(page["id"])


# Whose events are


def test_events_in_the_block_belong_to_the_visit(shop: Shop) -> None:
    """To its profile and session, even when that is over, and they name the page."""
    token = shop.open()
    shop.host.clock.advance(hours=3)
    event_id = shop.note(token)
    [note] = shop.notes()
    assert (note["id"], owner_of(note)) == (event_id, visit_of(shop))
    [session] = shop.host.rows("session")
    assert (session["events"], session["pages"]) == (2, 1)


def test_token_as_an_argument_names_the_visit_too(shop: Shop) -> None:
    """It counts before the block's."""
    token = shop.open()
    shop.host.clock.advance(seconds=1)
    shop.note(shop.open(), visitor=token)
    [first, _] = shop.host.events_of("page.visit")
    assert owner_of(shop.notes()[0])[1:] == (first["session_id"], str(first["id"]))


@pytest.mark.parametrize("first", ["job", "page"])
def test_session_that_a_job_opens_goes_on_with_the_visitor(shop: Shop, first: str) -> None:
    """A form is sent as the first request of a session: its job and the next page are one session,
    whichever is stored first, and the page says with what browser."""
    client = shop.host.client()
    token = shop.open(client, "POST")
    if first == "job":
        shop.note(token)
        shop.host.flush()
    shop.open(client)
    if first == "page":
        shop.host.flush()
        shop.note(token)
    [session] = shop.host.rows("session")
    assert (session["events"], session["browser"]) == (2, "Chrome")
    assert shop.notes()[0]["params"] == {}  # a form is no page


def test_site_of_the_visit_is_the_events(make: MakeHost) -> None:
    """And its rules hold: a job may do no more than the visit."""
    sites = {"EVENTTRACK_SITES": ["a.test", "b.test"], "EVENTTRACK_DENY": {"b.test": ["note.*"]}}
    shop = make_shop(make(sites))
    token = shop.open(Host="a.test")
    shop.note(token)
    shop.run(token, lambda: track_transaction("A1", "1.00", "EUR"))
    rows = shop.notes() + shop.host.events_of("transaction.charge")
    assert [row["site"] for row in rows] == ["a.test"] * 2
    with pytest.raises(errors.InvalidEvent, match=r"not recorded on 'b\.test'"):
        shop.note(shop.open(Host="b.test"))


def test_customer_who_is_named_comes_first(shop: Shop) -> None:
    """They have no session and no page."""
    shop.note(shop.open(), customer="7")
    [note] = shop.notes()
    assert note["uuid"] == shop.host.state.profile_of("7")
    assert owner_of(note)[1:] == (None, None)


@pytest.mark.parametrize("given", [5, "mine"])
def test_visit_that_the_host_gives_stays(shop: Shop, given: object) -> None:
    """Whatever it is."""
    shop.note(shop.open(), params={"visit": given})
    assert shop.notes()[0]["params"] == {"visit": given}


def test_parameter_of_the_hosts_own_stays_empty(shop: Shop) -> None:
    """Its definition has another meaning for it."""
    shop.run(shop.open(), lambda: track("doctor.come"))
    assert shop.host.events_of("doctor.come")[0]["params"].get("visit") is None


def test_block_comes_before_the_request(shop: Shop) -> None:
    """As in the request of a payment provider, who is left alone."""

    @shop.host.app.post("/paid")
    def paid() -> str:
        token = shop.tokens[0]
        with shop.host.events.as_visitor(token):
            track("note.add")
            track("note.add", in_transaction=True)
            shop.host.db.session.commit()
            track_transaction("A1", "1.00", "EUR")
            identify("7", {"plan": "pro"})
            assert current_visitor.token == token
        return str(current_visitor.customer_id)

    shop.open()
    answer = shop.host.client().post("/paid")
    assert (answer.text, answer.headers.getlist("Set-Cookie")) == ("None", [])
    charge = shop.host.events_of("transaction.charge")
    assert {owner_of(row) for row in (*shop.notes(), *charge)} == {visit_of(shop)}
    assert len(shop.notes()) == 2
    [customer] = shop.host.rows("profile")
    assert (customer["customer_id"], customer["traits"]) == ("7", {"plan": "pro"})
    assert shop.host.rows("alias") == []


# The block


def test_blocks_are_nested_and_end_with_an_error(shop: Shop) -> None:
    """The innermost counts; afterwards it is as before."""
    one, two, events = shop.open(), shop.open(), shop.host.events
    with shop.host.app.app_context(), events.as_visitor(one):
        with contextlib.suppress(LookupError), events.as_visitor(two):
            assert current_visitor.token == two
            raise LookupError
        assert current_visitor.token == one
        with events.as_visitor(None), pytest.raises(errors.NotRegistered, match="no request"):
            track("note.add")
    with shop.host.app.app_context(), pytest.raises(errors.NotRegistered, match="no request"):
        track("note.add")


def test_none_leaves_the_request_its_visitor(shop: Shop) -> None:
    """Also within another block."""
    token = shop.open()
    as_visitor = shop.host.events.as_visitor
    with shop.host.app.test_request_context(), as_visitor(token), as_visitor(None):
        assert current_visitor.uuid != visit_of(shop)[0]
        assert current_visitor.is_new


def test_block_needs_no_app_context(shop: Shop) -> None:
    """One that is pushed in it will do."""
    with shop.host.events.as_visitor(shop.open()), shop.host.app.app_context():
        track("note.add")
    assert [owner_of(note) for note in shop.notes()] == [visit_of(shop)]


def test_threads_have_a_block_of_their_own(shop: Shop) -> None:
    """A new thread has none; a copied context takes it along, and changes nothing here."""
    token, seen = shop.open(), list[str | None]()
    find = contextvars.Context().run  # an empty context

    def look() -> None:
        with shop.host.app.app_context():
            try:
                seen.append(current_visitor.token)
            except errors.NotRegistered:
                seen.append(None)

    with shop.host.events.as_visitor(token):
        copied = contextvars.copy_context()
    for run in (copied.run, find):
        thread = threading.Thread(target=run, args=(look,))
        thread.start()
        thread.join()
    look()
    assert seen == [token, None, None]


def test_tasks_of_asyncio_do_not_share_blocks(shop: Shop) -> None:
    """Each has the one that it entered, and its children have it too."""
    one, two = shop.open(), shop.open()

    async def work(token: str, own: asyncio.Event, other: asyncio.Event) -> str:
        with shop.host.app.app_context(), shop.host.events.as_visitor(token):
            own.set()
            await other.wait()
            return await asyncio.create_task(look())

    async def look() -> str:
        return current_visitor.token

    async def both() -> tuple[str, str]:
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(work(one, first, second), work(two, second, first))

    assert list(run_alone(both)) == [one, two]


def test_generator_that_is_closed_elsewhere_raises_nothing(shop: Shop) -> None:
    """A server may close a stream in another context than it began in."""

    def stream() -> cabc.Iterator[int]:
        with shop.host.events.as_visitor(""):
            yield 1

    streaming = stream()
    contextvars.copy_context().run(next, streaming)
    streaming.close()  # type: ignore[attr-defined]
    with shop.host.app.test_request_context():
        assert current_visitor.is_new


# Visitors who refuse, bots, and others of whom nothing is recorded


@pytest.mark.parametrize("agent", ["", BOT])
@pytest.mark.parametrize("config", [{}, {"EVENTTRACK_BOTS": "tag"}])
def test_nothing_is_recorded_for_an_empty_token(
    make: MakeHost, agent: str, config: dict[str, t.Any]
) -> None:
    """No event, no trait; an order without its visitor, and customers who are named."""
    shop = make_shop(make(config))
    client = shop.host.client(agent) if agent else shop.host.client()
    token = shop.open(client, **{} if agent else REFUSED)
    assert token == ""

    def work() -> tuple[object, ...]:
        return track("note.add"), identify("7", {"plan": "pro"}), current_visitor.policy

    assert shop.run(token, work) == (None, None, "none")
    assert shop.run(token, lambda: track_transaction("A1", "1.00", "EUR"))
    assert shop.run(token, lambda: cancel_transaction("A1"))
    assert shop.note(token, customer="7")
    assert [owner_of(note)[1:] for note in shop.notes()] == [(None, None)]
    assert shop.host.rows("session") == []
    [order, _] = shop.host.rows("transaction")
    assert (order["uuid"], order["session_id"]) == (order["id"], None)  # no one's


def test_switched_off_nothing_is_recorded(make: MakeHost) -> None:
    """Whatever the token."""
    host = make({"EVENTTRACK_ENABLED": False})
    with host.app.app_context(), host.events.as_visitor("x"):
        assert track("note.add") is None
        assert logout() is None  # type: ignore[func-returns-value]


# What a job knows of the visitor


def test_current_visitor_in_the_block(shop: Shop) -> None:
    """The ids are those of the visit, and no customer is vouched for."""
    client = shop.host.client()
    token = shop.open(client)
    uuid, session_id, _ = visit_of(shop)
    [session] = shop.host.rows("session")

    def look() -> tuple[object, ...]:
        me = current_visitor
        return me.uuid, me.session_id, me.device_id, me.customer_id, me.policy, me.token

    seen = shop.run(token, look)
    assert seen == (uuid, session_id, session["device_id"], None, "full", token)


@pytest.mark.parametrize("name", ["is_new", "is_bot", "feed", "sessions", "profile"])
def test_what_needs_the_request_is_refused(shop: Shop, name: str) -> None:
    """It says why."""
    with pytest.raises(errors.NotRegistered, match=rf"current_visitor\.{name} needs the visitor's"):
        shop.run(shop.open(), lambda: getattr(current_visitor, name))


def test_empty_token_has_no_ids(shop: Shop) -> None:
    """It says what to look at."""
    with pytest.raises(errors.NotRegistered, match=r"Look at current_visitor\.token first"):
        shop.run("", lambda: current_visitor.uuid)
    assert shop.run("", lambda: repr(current_visitor)) == "<CurrentVisitor of as_visitor()>"


def test_log_out_in_the_block_is_a_mistake(shop: Shop) -> None:
    """It is raised in tests. In production it is logged, and no one is logged out."""
    client = shop.host.client()

    @shop.host.app.post("/login")
    def log_in() -> str:
        identify("7")
        return ""

    @shop.host.app.post("/logout")
    def log_out() -> str:
        with shop.host.events.as_visitor(shop.tokens[0]):
            logout()
        return str(current_visitor.customer_id)

    shop.open()
    client.post("/login")
    with pytest.raises(errors.NotRegistered, match=r"logout\(\) needs the visitor's own request"):
        client.post("/logout")
    shop.host.app.testing = False
    assert client.post("/logout").text == "7"
    assert shop.host.actions()["customer.logout"] == 0


# Tokens


@pytest.mark.parametrize("token", ["forged", "x~y", 5, b"x"])
def test_forged_token_is_a_mistake(shop: Shop, token: t.Any) -> None:
    """It is raised in tests. In production nothing is recorded, but an order, as no one's."""
    with pytest.raises(errors.InvalidEvent, match="visitor's token"):
        shop.note(token)
    shop.host.app.testing = False
    assert shop.note(token) is None
    assert shop.run(token, lambda: track_transaction("A1", "1.00", "EUR"))
    [order] = shop.host.rows("transaction")
    assert (order["uuid"], order["session_id"]) == (order["id"], None)  # no one's


def test_token_is_no_cookie_and_names_no_customer(shop: Shop) -> None:
    """Who reads a queue gets into no session, and learns no customer's id."""
    client = shop.host.client()
    with shop.host.app.test_request_context():
        identify("customer-7")
        token = current_visitor.token
        assert shop.host.state.tokens.read_device(token) is None
        assert shop.host.state.tokens.read_session(token) is None
        assert shop.host.state.tokens.read_visit(token) is None
    payload = token.partition(".")[0]
    assert b"customer" not in base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    client.set_cookie("eventtrack_device", token)
    client.get("/", headers=NAVIGATION)
    profiles = {row["uuid"] for row in shop.host.rows("session")}
    assert len(profiles - {shop.host.state.profile_of("customer-7")}) == 1


def test_token_of_another_app_is_not_read(make: MakeHost) -> None:
    """It is signed with the app's own key."""
    one, two = make_shop(make({"SECRET_KEY": "one"})), make_shop(make({"SECRET_KEY": "two"}))
    with pytest.raises(errors.InvalidEvent, match="not made by this app"):
        two.note(one.open())


@pytest.mark.parametrize("is_open", [True, False])
def test_token_of_release_0_1_is_read(shop: Shop, is_open: bool) -> None:
    """It was made of the two cookies."""
    client = shop.host.client()
    shop.open(client)
    cookies = (client.get_cookie(f"eventtrack_{name}") for name in ("device", "session"))
    values = [cookie.value for cookie in cookies if cookie]
    shop.note("~".join(values[: 1 + is_open]))
    uuid, session_id, _ = visit_of(shop)
    assert owner_of(shop.notes()[0]) == (uuid, session_id if is_open else None, None)


def test_token_of_a_customer_where_identity_is_off_is_not_read(make: MakeHost) -> None:
    """The setting counts for jobs that were queued before it, too."""
    shop = make_shop(make({"EVENTTRACK_PRIVACY_IDENTITY": False}))
    customer = VisitorToken(uuid4(), shop.host.state.profile_of("7"), 1, 1)
    token = shop.host.state.tokens.write_visitor(customer)
    with pytest.raises(errors.InvalidEvent, match="not made by this app"):
        shop.note(token)


# Model listeners


def test_model_listeners_act_for_the_visitor(shop: Shop) -> None:
    """Of the request, or of the block; rows of TracksSession say so as well."""
    db = shop.host.db

    class Order(TracksSession, db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)

    @sa.event.listens_for(Order, "after_insert")
    def note(mapper: object, connection: object, order: Order) -> None:
        track("note.add", {"order": order.id})
        track("note.add", in_transaction=True)

    @shop.host.app.get("/order")
    def order() -> str:
        shop.tokens.append(current_visitor.token)
        add(1)
        return "<title>Ordered</title>"

    def add(number: int) -> None:
        db.session.add(Order(id=number))
        db.session.commit()
        db.session.add(Order(id=-number))
        db.session.flush()
        db.session.rollback()

    with shop.host.app.app_context():
        Order.__table__.create(db.engine)
    shop.host.client().get("/order", headers=NAVIGATION)
    shop.run(shop.tokens[-1], lambda: add(2))
    shop.run("", lambda: add(3))
    assert {owner_of(row) for row in shop.notes()} == {visit_of(shop)}
    numbers = [row["params"].get("order", 0) for row in shop.notes()]
    assert sorted(numbers) == [-2, -1, 0, 0, 1, 2]  # those in the transaction went with it
    with shop.host.app.app_context():
        rows = db.session.scalars(sa.select(Order).order_by(Order.id)).all()
        stamps = [
            (row.eventtrack_uuid, row.eventtrack_session_id, row.eventtrack_visit_id)
            for row in rows
        ]
    uuid, session_id, visit = visit_of(shop)
    assert [(a, b, str(c)) for a, b, c in stamps[:2]] == [(uuid, session_id, visit)] * 2
    assert stamps[2] == (None, None, None)
