"""Flask-Security: its ``get_id()`` changes with the password, and the customer does not."""

from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_login import current_user
from flask_security import RoleMixin, Security, SQLAlchemyUserDatastore, UserMixin, hash_password
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack, identify

from ..conftest import MakeHost, create_tables
from ..hosts import NAVIGATION, FakeClock, Host
from ..identity.customers import profile_of

ADDRESS, OLD, NEW = "ann@example.org", "a long old password", "a long new password"
HANDLE = "0123456789abcdef0123456789abcdef"
SETTINGS = {
    "SECURITY_PASSWORD_SALT": "salt",
    "SECURITY_PASSWORD_HASH": "pbkdf2_sha512",
    "SECURITY_PASSWORD_SCHEMES": ["pbkdf2_sha512"],
    "SECURITY_PASSWORD_CHECK_BREACHED": None,
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SECURITY_CHANGEABLE": True,
    "SECURITY_REGISTERABLE": True,
    "SECURITY_USE_REGISTER_V2": True,
    "SECURITY_SEND_REGISTER_EMAIL": False,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "WTF_CSRF_ENABLED": False,
}


def add_security(app: Flask, db: SQLAlchemy) -> SQLAlchemyUserDatastore:
    """Set Flask-Security up as its quick start does; return where its users are."""
    column: t.Any = sa.Column  # whose types are not those of the mixins
    relationship: t.Any = db.relationship
    link = sa.Table(
        "roles_users",
        db.metadata,
        sa.Column("user_id", sa.ForeignKey("user.id")),
        sa.Column("role_id", sa.ForeignKey("role.id")),
    )

    class Role(db.Model, RoleMixin):  # type: ignore[name-defined,misc]
        id = column(sa.Integer, primary_key=True)
        name = column(sa.String(80), unique=True)

    class User(db.Model, UserMixin):  # type: ignore[name-defined,misc]
        id = column(sa.Integer, primary_key=True)
        email = column(sa.String(255), unique=True)
        password = column(sa.String(255), nullable=False)
        active = column(sa.Boolean(), nullable=False)
        fs_uniquifier = column(sa.String(64), unique=True, nullable=False)
        roles = relationship("Role", secondary=link)

    users = SQLAlchemyUserDatastore(db, User, Role)
    Security(app, users)

    @app.get("/mine")
    def mine() -> str:
        return f"<title>Mine</title>{current_user.is_authenticated}"

    return users


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A shop of Flask-Security's, with one user, whose primary key is 7."""
    host = make(SETTINGS, create=False)
    users = add_security(host.app, host.db)
    create_tables(host)
    with host.app.app_context():
        users.create_user(id=7, email=ADDRESS, password=hash_password(OLD), fs_uniquifier=HANDLE)
        host.db.session.commit()
    return host


def post(client: FlaskClient, path: str, **form: str) -> None:
    """Send one of Flask-Security's forms, and follow where it leads."""
    answer = client.post(path, data=form, headers=NAVIGATION)
    assert answer.status_code == 302, answer.text


def visit(client: FlaskClient) -> None:
    assert client.get("/mine", headers=NAVIGATION).text.endswith("True")


def log_in(host: Host, password: str = OLD) -> FlaskClient:
    client = host.client()
    post(client, "/login", email=ADDRESS, password=password)
    return client


def change_password(client: FlaskClient) -> None:
    post(client, "/change", password=OLD, new_password=NEW, new_password_confirm=NEW)


def test_new_password_is_no_new_person(shop: Host) -> None:
    """One customer, one log-in and one session, before and after."""
    client = log_in(shop)
    visit(client)
    change_password(client)
    visit(client)
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]
    assert {row["uuid"] for row in shop.events_of("page.visit")} == {profile_of("7")}
    assert len(shop.rows("session")) == 1
    assert shop.actions() == {"session.start": 1, "customer.login": 1, "page.visit": 2}


def test_another_device_is_the_same_person_after_a_new_password(shop: Host) -> None:
    """Flask-Security ends the log-ins of all other devices, and they log in anew."""
    first, second = log_in(shop), log_in(shop)
    change_password(first)
    assert second.get("/mine").text.endswith("False")
    post(second, "/login", email=ADDRESS, password=NEW)
    visit(second)
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]
    assert {row["uuid"] for row in shop.rows("session")} == {profile_of("7")}
    assert len(shop.rows("session")) == 2


def test_log_out_names_the_customer(shop: Host) -> None:
    """By the id of the log-in."""
    client = log_in(shop)
    post(client, "/logout")
    params = [row["params"] for row in shop.rows("event", "time", "id") if row["params"]]
    assert {each["customer_id"] for each in params if "customer_id" in each} == {"7"}
    assert shop.actions()["customer.logout"] == 1


def test_sign_up_logs_in(shop: Host) -> None:
    """Also where the new user gets a primary key only after the view."""
    client = shop.client()
    client.get("/", headers=NAVIGATION)
    post(client, "/register", email="bob@example.org", password=NEW, password_confirm=NEW)
    visit(client)
    [login] = shop.events_of("customer.login")
    assert (login["params"], login["uuid"]) == ({"customer_id": "8"}, profile_of("8"))
    assert len(shop.rows("session")) == 1
    assert [row["customer_uuid"] for row in shop.rows("alias")] == [profile_of("8")]


def test_identify_in_each_request_is_one_session(shop: Host) -> None:
    """The app and Flask-Security name the same person."""

    @shop.app.before_request
    def know() -> None:
        if current_user.is_authenticated:
            identify(current_user.id)

    client = log_in(shop)
    for _ in range(3):
        visit(client)
    change_password(client)
    visit(client)
    assert len(shop.rows("session")) == 1
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]
    assert shop.actions()["customer.login"] == 1


def test_identify_wins_over_the_user_in_its_request(shop: Host) -> None:
    """Where the app knows people by another id than the user's, it is one session too."""

    @shop.app.before_request
    def know() -> None:
        if current_user.is_authenticated:
            identify(current_user.email)

    client = log_in(shop)
    visit(client)
    before = len(shop.rows("session"))
    for _ in range(3):
        shop.clock.advance(minutes=1)
        visit(client)
    assert len(shop.rows("session")) == before
    assert shop.events_of("page.visit")[-1]["uuid"] == profile_of(ADDRESS)


# The hook


def test_hook_says_who_a_user_is(shop: Host) -> None:
    """At log-ins, at log-outs, and where the user is only loaded; once a request."""
    asked: list[int] = []

    @shop.events.customer_id
    def find(user: t.Any) -> str:
        asked.append(user.id)
        return f"tenant-3:{user.id}"

    client = log_in(shop)
    assert len(asked) == 1
    visit(client)
    assert len(asked) == 2
    post(client, "/logout")
    assert [row["customer_id"] for row in shop.rows("profile")] == ["tenant-3:7"]
    assert shop.events_of("customer.logout")[0]["params"] == {"customer_id": "tenant-3:7"}


def test_user_who_is_no_customer_stays_anonymous(shop: Host) -> None:
    """The hook answers None."""
    shop.events.customer_id(lambda user: None)
    client = log_in(shop)
    visit(client)
    assert shop.rows("profile") == []
    assert shop.actions() == {"session.start": 1, "page.visit": 1}


@pytest.mark.parametrize("answer", [ValueError("no"), "guest", 0, object()])
def test_failing_hook_never_fails_the_page(
    make: MakeHost, caplog: pytest.LogCaptureFixture, answer: t.Any
) -> None:
    """It is logged once, and no customer is vouched for."""
    host = make({**SETTINGS, "TESTING": False}, create=False)
    users = add_security(host.app, host.db)
    create_tables(host)
    with host.app.app_context():
        users.create_user(id=7, email=ADDRESS, password=hash_password(OLD))
        host.db.session.commit()

    @host.events.customer_id
    def find(user: t.Any) -> t.Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = log_in(host)
    visit(client)
    visit(client)
    assert host.rows("profile") == []
    assert host.actions()["page.visit"] == 2
    ours = [each.getMessage() for each in caplog.records if each.name == "flask_eventtrack"]
    assert ours == ["EventTrack failed while asking the customer_id hook; the request goes on."]


# Tables of a release that knew customers by their fs_uniquifier


@pytest.fixture
def upgraded(shop: Host) -> FlaskClient:
    """A browser whose customer an earlier release knew by the user's ``fs_uniquifier``."""
    shop.events.customer_id(lambda user: user.fs_uniquifier)
    client = shop.client()
    client.get("/", headers=NAVIGATION)
    post(client, "/login", email=ADDRESS, password=OLD)
    visit(client)
    assert [row["customer_id"] for row in shop.rows("profile")] == [HANDLE]
    shop.state.callbacks.customer_id = None
    shop.clock.advance(minutes=1)
    return client


def feed_of(host: Host, who: object) -> list[str]:
    host.flush()
    with host.app.app_context():
        return [event.action for event in host.events.feed(t.cast("t.Any", who))]


def test_session_of_a_former_id_goes_on(shop: Host, upgraded: FlaskClient) -> None:
    """The customer has their whole history, with what was anonymous, in one session."""
    visit(upgraded)
    assert len(shop.rows("session")) == 1
    assert feed_of(shop, 7).count("page.visit") == 3
    former = profile_of(HANDLE)
    assert {row["customer_uuid"] for row in shop.rows("alias")} == {profile_of("7")}
    assert former in {row["anonymous_uuid"] for row in shop.rows("alias")}


def test_history_of_a_former_id_is_found_by_a_log_in_elsewhere(
    shop: Host, upgraded: FlaskClient
) -> None:
    """No old device has to come back; and to forget the customer is to forget all of it."""
    visit(log_in(shop))
    assert feed_of(shop, 7).count("page.visit") == 3
    with shop.app.app_context():
        shop.events.forget(7)
    assert shop.rows("event") == shop.rows("alias") == shop.rows("profile") == []


def test_objection_under_a_former_id_holds(shop: Host, upgraded: FlaskClient) -> None:
    """Until the customer withdraws it."""
    with shop.app.app_context():
        shop.events.opt_out(HANDLE)
    shop.clock.advance(minutes=1)
    before = shop.actions()["page.visit"]
    visit(upgraded)
    assert shop.actions()["page.visit"] == before
    with shop.app.app_context():
        shop.events.opt_in(7)
    shop.clock.advance(minutes=1)
    visit(log_in(shop))
    assert shop.actions()["page.visit"] == before + 1


def test_new_customer_has_no_former_profile(shop: Host) -> None:
    """Nothing is linked with an id that was never recorded."""
    visit(log_in(shop))
    aliases = {row["anonymous_uuid"] for row in shop.rows("alias")}
    assert profile_of(HANDLE) not in aliases


def test_events_object_of_two_apps_has_one_hook(make: MakeHost, clock: FakeClock) -> None:
    """It may be given before ``init_app``."""
    events = EventTrack(clock=clock)
    assert events.customer_id(find_seven) is find_seven
    for _ in range(2):
        assert make(events=events).state.callbacks.customer_id is find_seven


def find_seven(user: object) -> int:
    return 7
