from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import sys
import typing as t
import uuid

import flask
import msgspec
import pytest
from flask import Flask
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_user,
    logout_user,
    user_logged_in,
    user_logged_out,
)

from flask_eventtrack import (
    CurrentVisitor,
    EventTrack,
    current_visitor,
    errors,
    identify,
    logout,
    signals,
    track,
)

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, START, FakeClock, Host

Run = cabc.Callable[[cabc.Callable[[], t.Any]], t.Any]


# Of a script: the request is no page.
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@dataclasses.dataclass
class OrderShip:
    order: int
    carrier: str | None = None


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    events = EventTrack(clock=clock)
    events.define("order.ship", label="Shipped order {order}")(OrderShip)
    events.define("note.add", anonymous=True)
    return make(events=events)


@pytest.fixture
def run(shop: Host) -> Run:
    """Return a function that runs another inside a view, as one browser's requests."""
    client = shop.client()
    pending: list[cabc.Callable[[], t.Any]] = []

    @shop.app.get("/run")
    def view() -> dict[str, str]:
        return {"result": str(pending.pop()())}

    def call(function: cabc.Callable[[], t.Any]) -> str:
        pending.append(function)
        answer: str = client.get("/run", headers=FETCH).get_json()["result"]
        shop.clock.advance(seconds=1)
        return answer

    return call


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def add_login(app: Flask) -> None:
    """Add Flask-Login with one view each to log in, log out and look."""
    manager = LoginManager(app)
    manager.user_loader(User)

    @app.get("/login/<user_id>")
    def log_in(user_id: str) -> dict[str, bool]:
        return {"done": login_user(User(user_id), remember=True)}

    @app.get("/logout")
    def log_out() -> dict[str, bool]:
        return {"done": logout_user()}

    @app.get("/me")
    def me() -> str:
        return f"<title>{current_user.is_authenticated}</title>"

    @app.get("/whoami")
    def whoami() -> dict[str, t.Any]:
        return {"customer": current_visitor.customer_id}

    @app.get("/forget")
    def forget() -> str:
        flask.session.clear()
        return "<p>"


def test_action_and_instance_are_the_same_event(shop: Host, run: Run) -> None:
    """A dict of parameters and an instance of the class are stored alike."""
    first = run(lambda: track("order.ship", {"order": 17}))
    second = run(lambda: track(OrderShip(order=17)))
    rows = shop.events_of("order.ship")
    assert [str(row["id"]) for row in rows] == [first, second]
    assert [row["params"] for row in rows] == [{"order": 17}] * 2
    assert {row["label"] for row in rows} == {"Shipped order 17"}


def test_label_of_the_caller_wins(shop: Host, run: Run) -> None:
    """The caller's own label is stored instead of the template's, cut to 255 characters."""
    run(lambda: track("order.ship", {"order": 1}, label="On its way"))
    run(lambda: track("order.ship", {"order": 1}, label="x" * 300))
    labels = [row["label"] for row in shop.events_of("order.ship")]
    assert labels == ["On its way", "x" * 254 + "…"]


@pytest.mark.parametrize(
    ("time", "stored"),
    [
        (dt.datetime(2020, 1, 2, 3, 4, 5, 678901, dt.UTC), "2020-01-02T03:04:05.678901+00:00"),
        ("2020-01-02T05:04:05+02:00", "2020-01-02T03:04:05+00:00"),
        (1577934245678, "2020-01-02T03:04:05.678000+00:00"),
    ],
)
def test_time_may_be_given(shop: Host, run: Run, time: t.Any, stored: str) -> None:
    """Server code may date an event back as far as it likes, in three notations."""
    run(lambda: track("note.add", time=time))
    [row] = shop.events_of("note.add")
    assert row["time"].isoformat() == stored
    assert "original_time" not in row["params"]
    assert shop.rows("session")[0]["started_at"] == START


def test_time_in_the_future_is_now(shop: Host, run: Run) -> None:
    """A future time becomes the receive time, and is kept beside."""
    run(lambda: track("note.add", time=START + dt.timedelta(days=1)))
    [row] = shop.events_of("note.add")
    assert row["time"] == START
    assert row["params"] == {"original_time": "2026-11-22T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: track("order.shp", {"order": 1}),
            errors.UndefinedEvent,
            "Did you mean 'order.ship'",
        ),
        (lambda: track("order.ship", {}), errors.InvalidEvent, "'order': it is required"),
        (
            lambda: track("order.ship", {"order": "x"}),
            errors.InvalidEvent,
            "expected `int`.*'x'[.]$",
        ),
        (lambda: track("transaction.charge"), errors.ReservedEvent, "track_transaction"),
        (lambda: track("session.end"), errors.ReservedEvent, "when a session is over"),
        (lambda: track("note"), errors.InvalidEvent, "with a dot inside"),
        (lambda: track("note.add", time="noon"), errors.InvalidEvent, "'noon' is not a time"),
        (
            lambda: track("note.add", time=dt.datetime(2020, 1, 1)),  # noqa: DTZ001
            errors.InvalidEvent,
            "no time zone",
        ),
        (lambda: track("note.add", label=t.cast("str", 5)), errors.InvalidEvent, "label is a str"),
        (lambda: track("note.add", t.cast("t.Any", [1])), errors.InvalidEvent, "not list"),
        (lambda: track(object()), errors.InvalidEvent, "object does not define an event"),
        (lambda: track(OrderShip(1), {"a": 1}), errors.InvalidEvent, "leave .params. out"),
        (lambda: track("note.add", customer=""), errors.InvalidEvent, "not a customer's id"),
        (lambda: track("note.add", visitor="forged"), errors.InvalidEvent, "not made by this app"),
    ],
)
def test_error_in_a_call_is_raised_in_tests(
    shop: Host, call: cabc.Callable[[], t.Any], error: type[Exception], message: str
) -> None:
    """The caller's own mistakes say what is wrong and what to do."""
    with shop.app.test_request_context(), pytest.raises(error, match=message):
        call()


def test_error_in_a_call_is_counted_in_production(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """In production a wrong call is logged, counted, signalled, and returns None."""
    host, heard = make({"TESTING": False}), []

    def listen(app: Flask, **detail: t.Any) -> None:
        heard.append((detail["action"], detail["error"].code))

    signals.event_rejected.connect(listen, host.app)
    with host.app.test_request_context():
        assert track("no.such") is None
    assert heard == [("no.such", "undefined_event")]
    assert caplog.messages == ["An event was not recorded. 'no.such' is not defined."]
    [row] = host.rows("quality")
    assert (row["outcome"], row["action"], row["reason"], row["count"]) == (
        "rejected",
        "no.such",
        "undefined_event",
        1,
    )


def test_a_refused_instance_is_counted_under_its_action(make: MakeHost) -> None:
    """As if the action and the parameters had been given."""
    host = make({"TESTING": False})

    @host.events.define("book.lend")
    @dataclasses.dataclass
    class Lend:
        days: t.Annotated[int, msgspec.Meta(le=28)]

    with host.app.test_request_context():
        assert track(t.cast("t.Any", Lend)(40)) is None
    counted = {(row["outcome"], row["action"], row["reason"]) for row in host.rows("quality")}
    assert counted == {
        ("rejected", "book.lend", "invalid_param"),
        ("invalid", "book.lend", "days"),
    }


def test_wrong_customer_is_counted_in_production(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """``identify()`` then returns None, and the request goes on."""
    host = make({"TESTING": False})
    with host.app.test_request_context():
        assert identify("null") is None
    [message] = caplog.messages
    assert message.startswith("An event was not recorded. 'null' ")
    [row] = host.rows("quality")
    assert (row["action"], row["reason"]) == ("customer.login", "invalid_customer")
    assert host.rows("profile") == []


@pytest.mark.parametrize("padding", ["", "x" * 24, "x" * 32])
def test_log_does_not_quote_personal_data(
    make: MakeHost, caplog: pytest.LogCaptureFixture, padding: str
) -> None:
    """The view may pass on what a visitor has sent, and a message cuts it."""
    host = make({"TESTING": False})

    @host.events.define("pay.try")
    class PayTry:
        amount: int

    for secret in ("4111 1111 1111 1111", "jane.doe@example.com", "/a?token=S3CR3T"):
        with host.app.test_request_context():
            assert track("pay.try", {"amount": f"{padding} {secret} {padding}"}) is None
    assert len(caplog.messages) == 3
    for message in caplog.messages:
        assert message.startswith("An event was not recorded. 'pay.try', parameter 'amount': ")
        assert not any(part in message for part in ("4111", "jane", "S3"))


def test_class_that_fails_never_fails_the_view(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a host's own class raises is logged in production, and None returned."""
    host = make({"TESTING": False})

    @host.events.define("order.split")
    @dataclasses.dataclass
    class OrderSplit:
        total: int
        parts: int

        def __post_init__(self) -> None:
            self.total //= self.parts

    with host.app.app_context():
        assert track("order.split", {"total": 1, "parts": 0}, customer=1) is None
    assert caplog.messages == [
        "An event was not recorded. 'order.split': its class raised ZeroDivisionError."
    ]


def test_outside_a_request_a_customer_is_named(shop: Host) -> None:
    """A job records for a customer, without a session, under the profile that log-in gives."""
    with shop.app.app_context():
        event_id = track(OrderShip(order=3), customer=42)
        profile = identify("42")
    [row] = shop.events_of("order.ship")
    assert (row["id"], row["uuid"]) == (event_id, profile)
    assert (row["session_id"], row["source"], row["site"]) == (None, "server", "")


def test_outside_a_request_somebody_must_be_named(shop: Host) -> None:
    """Without a request and without a customer, the event would have no owner."""
    with shop.app.app_context(), pytest.raises(errors.NotRegistered, match="name a customer"):
        track("note.add")
    with pytest.raises(errors.NotRegistered, match="no app context"):
        track("note.add")


def test_visitor_token_carries_into_a_job(shop: Host, run: Run) -> None:
    """A job records in the session of the request that started it, even when that is over."""
    run(lambda: track("note.add"))
    token = run(lambda: current_visitor.token)
    shop.clock.advance(hours=2)
    with shop.app.app_context():
        track("note.add", visitor=token)
    rows = shop.events_of("note.add")
    assert len({(row["session_id"], row["uuid"]) for row in rows}) == 1
    assert shop.rows("session")[0]["events"] == 2


def test_current_visitor_reads_without_recording(shop: Host) -> None:
    """Looking at the visitor opens no session, stores nothing and sets no cookie."""

    def look() -> tuple[bool, bool, bool]:
        same = current_visitor.uuid == current_visitor.device_id
        return same, current_visitor.is_new, current_visitor.customer_id is None

    shop.app.add_url_rule("/look", view_func=lambda: str(look()))
    response = shop.client().get("/look", headers=SAME_ORIGIN | {"Sec-Fetch-Dest": "empty"})
    assert response.text == "(True, True, True)"
    assert "Set-Cookie" not in response.headers
    assert shop.rows("event") == []


def test_current_visitor_outside_a_request(shop: Host) -> None:
    """Outside a request there is no visitor, and the error says what to do."""
    with shop.app.app_context(), pytest.raises(errors.NotRegistered, match="There is no request"):
        _ = current_visitor.uuid


def test_session_id_of_the_coming_session(shop: Host, run: Run) -> None:
    """The session's id is known before its first event and stays the same after."""
    before = run(lambda: current_visitor.session_id)
    assert shop.rows("session") == []
    seen = run(lambda: (current_visitor.session_id, track("note.add"))[0])
    assert before != seen  # nothing was recorded, so the first browser was not remembered
    assert [str(row["id"]) for row in shop.rows("session")] == [seen]


def test_identify_makes_a_customer(shop: Host, run: Run) -> None:
    """identify() logs in once, attributes what follows, and joins what came before."""
    run(lambda: track("note.add"))
    profile = run(lambda: identify(42, {"plan": "pro"}))
    run(lambda: identify("42", {"plan": "team", "seats": 3}))
    run(lambda: track("note.add"))
    assert run(lambda: current_visitor.customer_id) == "42"
    notes = shop.events_of("note.add")
    assert str(notes[1]["uuid"]) == profile != str(notes[0]["uuid"])
    [login] = shop.events_of("customer.login")
    assert (login["params"], login["label"]) == ({"customer_id": "42"}, "Logged in")
    [alias] = shop.rows("alias")
    assert (alias["anonymous_uuid"], str(alias["customer_uuid"])) == (notes[0]["uuid"], profile)
    [row] = shop.rows("profile")
    assert row["traits"] == {"plan": "team", "seats": 3}
    with shop.app.app_context():
        assert [event.action for event in shop.events.feed("42")].count("note.add") == 2


def test_logout_ends_the_session(shop: Host, run: Run) -> None:
    """After logout() the device goes on under a new profile, in a new session."""
    run(lambda: identify("42"))
    shop.clock.advance(minutes=3)
    run(logout)
    run(lambda: track("note.add"))
    [end] = shop.events_of("session.end")
    assert end["params"] == {"duration": 181.0, "pages": 0, "events": 2, "reason": "logout"}
    sessions = shop.rows("session", "started_at")
    assert len({row["device_id"] for row in sessions}) == 1
    assert sessions[0]["id"] != sessions[1]["id"]
    [note] = shop.events_of("note.add")
    assert note["uuid"] not in {sessions[0]["uuid"], sessions[0]["device_id"]}
    assert run(lambda: current_visitor.customer_id) == "None"


def test_logout_of_nobody_is_nothing(shop: Host, run: Run) -> None:
    """A log-out of a visitor who was never known records nothing."""
    run(logout)
    assert shop.rows("event") == []


def test_customer_is_attributed_but_not_vouched_for_after_the_gap(shop: Host, run: Run) -> None:
    """A device that belongs to a customer attributes later sessions; it does not vouch."""
    profile = run(lambda: identify("42"))
    shop.clock.advance(hours=1)
    run(lambda: track("note.add"))
    assert str(shop.events_of("note.add")[0]["uuid"]) == profile
    assert run(lambda: current_visitor.customer_id) == "None"


def test_another_customer_on_the_device_is_not_merged(shop: Host, run: Run) -> None:
    """Only an anonymous profile becomes a customer's alias."""
    run(lambda: identify("1"))
    run(lambda: identify("2"))
    assert len(shop.rows("alias")) == 1
    assert [row["customer_id"] for row in shop.rows("profile", "customer_id")] == ["1", "2"]
    assert len(shop.events_of("customer.login")) == 2


def test_identify_outside_a_request_notes_traits(shop: Host) -> None:
    """A job may note what is known of a customer."""
    with shop.app.app_context():
        profile = identify(42, {"plan": "pro"})
    [row] = shop.rows("profile")
    assert (row["uuid"], row["traits"]) == (profile, {"plan": "pro"})
    assert shop.rows("event") == []


def test_flask_login_is_followed(shop: Host) -> None:
    """Log-in and log-out of Flask-Login are recorded once each, and vouch in between."""
    add_login(shop.app)
    client = shop.client()
    client.get("/me", headers=NAVIGATION)
    shop.clock.advance(seconds=1)
    client.get("/login/7")
    assert client.get("/whoami").get_json() == {"customer": "7"}
    client.get("/me", headers=NAVIGATION)
    client.get("/logout")
    assert client.get("/whoami").get_json() == {"customer": None}
    assert shop.actions() == {
        "page.visit": 2,
        "customer.login": 1,
        "customer.logout": 1,
        "session.start": 1,
        "session.end": 1,
    }
    anonymous, known = (row["uuid"] for row in shop.events_of("page.visit"))
    assert shop.rows("alias")[0]["anonymous_uuid"] == anonymous
    assert {row["uuid"] for row in shop.events_of("customer.logout")} == {known}


def test_remembered_user_is_a_customer_without_logging_in(shop: Host) -> None:
    """A user whom the view has loaded is known; nothing claims that they logged in again."""
    add_login(shop.app)
    client = shop.client()
    client.get("/login/7")
    shop.clock.advance(hours=1)
    client.get("/me", headers=NAVIGATION)
    assert len(shop.events_of("customer.login")) == 1
    [visit] = shop.events_of("page.visit")
    assert visit["uuid"] == shop.rows("profile")[0]["uuid"]


def test_user_who_left_without_a_signal_is_not_vouched_for(shop: Host) -> None:
    """Once a view has loaded an anonymous user, the log-in no longer vouches."""
    add_login(shop.app)
    client = shop.client()
    client.get("/login/7")
    client.get("/forget", headers=NAVIGATION)
    client.delete_cookie("remember_token")
    client.get("/me", headers=NAVIGATION)
    assert client.get("/whoami").get_json() == {"customer": None}


def test_user_is_never_loaded_by_us(shop: Host) -> None:
    """A page that does not ask who is logged in gains no look-up."""
    add_login(shop.app)
    loaded: list[str] = []
    manager = t.cast("t.Any", shop.app).login_manager
    original = manager._user_callback

    def load(user_id: str) -> t.Any:
        loaded.append(user_id)
        return original(user_id)

    manager.user_loader(load)
    client = shop.client()
    client.get("/login/7")
    loaded.clear()
    response = client.get("/products/mug", headers=NAVIGATION)
    assert (response.status_code, loaded) == (200, [])


def test_login_of_a_bot_is_not_recorded(shop: Host) -> None:
    """A monitor that logs in leaves no customer behind."""
    add_login(shop.app)
    shop.client("curl/8").get("/login/7")
    assert (shop.rows("event"), shop.rows("profile")) == ([], [])


@pytest.mark.parametrize("user_id", ["null", "x" * 256, "a\nb"])
def test_user_whose_id_is_no_customers_is_nobody(shop: Host, user_id: str) -> None:
    """Their log-in and log-out work, and are recorded as no customer's."""
    add_login(shop.app)
    shop.app.post("/enter")(lambda: str(login_user(User(user_id))))
    client = shop.client()
    assert client.post("/enter").text == "True"
    client.get("/me", headers=NAVIGATION)
    assert client.get("/whoami").get_json() == {"customer": None}
    assert client.get("/logout").get_json() == {"done": True}
    assert shop.actions() == {"page.visit": 1, "session.start": 1}


def test_log_in_outside_of_a_request_is_nobodys(shop: Host) -> None:
    """A host may send Flask-Login's signals from a job: there is no visitor to identify."""
    with shop.app.app_context():
        for signal in (user_logged_in, user_logged_out):
            signal.send(shop.app, user=User("7"))
    assert shop.rows("event") == shop.rows("profile") == []


def test_flask_login_need_not_be_installed(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, hosts identify their customers themselves."""
    monkeypatch.setitem(sys.modules, "flask_login", None)
    host = make()
    host.app.post("/enter")(lambda: str(identify("7")))
    host.client().post("/enter")
    assert host.actions() == {"customer.login": 1, "session.start": 1}


def test_denied_log_in_identifies_all_the_same(make: MakeHost) -> None:
    """EVENTTRACK_DENY keeps the event out; what follows is the customer's."""
    host = make({"EVENTTRACK_DENY": ["customer.*"]})
    host.app.post("/enter")(lambda: str(identify("7")))
    host.app.post("/leave", endpoint="leave")(lambda: str(logout()))  # type: ignore[func-returns-value]
    client = host.client()
    client.post("/enter")
    client.get("/", headers=NAVIGATION)
    client.post("/leave")
    assert host.actions() == {"page.visit": 1, "session.start": 1, "session.end": 1}
    [profile] = host.rows("profile")
    assert {row["uuid"] for row in host.rows("event")} == {profile["uuid"]}


def test_switched_off_records_nothing(make: MakeHost) -> None:
    """With EVENTTRACK_ENABLED off the calls are there and do nothing."""
    host = make({"EVENTTRACK_ENABLED": False})
    with host.app.test_request_context():
        logout()
        assert (track("no.such"), identify("1")) == (None, None)
    assert host.client().get("/").text == (
        "<!doctype html><html><head><title>Home</title></head><body>Welcome</body></html>"
    )
    assert host.rows("event") == []


def test_signals_of_a_request(shop: Host) -> None:
    """Receivers hear of accepted events and of customers, with the app as the sender."""
    heard: list[t.Any] = []

    def hear_event(app: Flask, event: t.Any) -> None:
        heard.append((app, event.action))

    def hear_customer(app: Flask, customer_id: str, uuid: uuid.UUID) -> None:
        heard.append((app, customer_id))

    signals.event_accepted.connect(hear_event, shop.app)
    signals.customer_identified.connect(hear_customer, shop.app)
    with shop.app.test_request_context():
        identify("42")
    assert heard == [(shop.app, "42"), (shop.app, "customer.login")]


def test_repr_of_the_current_visitor(shop: Host) -> None:
    """The proxy shows itself by its profile."""
    with shop.app.test_request_context():
        assert repr(current_visitor) == f"<CurrentVisitor {current_visitor.uuid}>"
        assert isinstance(current_visitor, CurrentVisitor)
