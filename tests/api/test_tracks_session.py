"""Rows of the host's own that say in which session they were made."""

from __future__ import annotations

import importlib.metadata
import pickle
import sys
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from flask import Flask, request
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from flask_eventtrack import EventTrack, TracksSession, current_visitor, identify, track
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.ids import session_id_of

from ..conftest import MakeHost, create_tables
from ..hosts import CHROME, NAVIGATION, Host
from ..privacy.choices import choose

IDS = ("eventtrack_session_id", "eventtrack_uuid", "eventtrack_visit_id")
TOUCH = tuple(f"eventtrack_{name}" for name in ("source", "medium", "campaign", "channel"))
CAMPAIGN = "/?utm_source=news&utm_medium=mail&utm_campaign=spring"
Row = dict[str, t.Any]


def add_orders(host: Host) -> t.Any:
    """Return a model of orders; a POST to ``/orders`` makes one, and so does a GET."""
    db: t.Any = host.db

    class Order(TracksSession, db.Model):  # type: ignore[misc]
        id: Mapped[int] = mapped_column(primary_key=True)
        total: Mapped[int] = mapped_column(default=1230)

    @host.app.route("/orders", methods=["GET", "POST"])
    def place() -> str:
        db.session.add(Order(**request.form.to_dict()))
        db.session.commit()
        return "<title>Thanks</title>"

    create_tables(host)
    return Order


def orders(host: Host) -> list[Row]:
    """Return what the rows of orders say of their origin."""
    table = host.db.metadata.tables["order"]
    with host.app.app_context():
        rows = host.db.session.execute(sa.select(table).order_by(table.c.id)).mappings().all()
    return [{name: row[name] for name in (*IDS, *TOUCH)} for row in rows]


def stamp_of(host: Host) -> Row:
    [row] = orders(host)
    return row


def visit(host: Host, path: str = CAMPAIGN, **options: t.Any) -> FlaskClient:
    """Return a client that has opened a page, which is stored."""
    client = host.client(**options)
    client.get(path, headers=NAVIGATION)
    host.flush()
    return client


NOTHING = dict.fromkeys((*IDS, *TOUCH))


def test_order_of_an_open_session(db_host: Host) -> None:
    """The usual case: pages, then a POST; with the touch of the session's row."""
    add_orders(db_host)
    visit(db_host).post("/orders")
    [session] = db_host.rows("session")
    assert stamp_of(db_host) == {
        "eventtrack_session_id": session["id"],
        "eventtrack_uuid": session["uuid"],
        "eventtrack_visit_id": None,
        "eventtrack_source": session["source"],
        "eventtrack_medium": "mail",
        "eventtrack_campaign": "spring",
        "eventtrack_channel": session["channel"],
    }
    assert session["source"] == "news"


def test_page_that_makes_a_row_is_its_visit(host: Host) -> None:
    """A GET that shows a page; a GET of a script has no visit."""
    add_orders(host)
    client = visit(host)
    client.get("/orders", headers=NAVIGATION)
    client.get("/orders", headers={"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"})
    visits = {row["params"]["path"]: row["id"] for row in host.events_of("page.visit")}
    assert [row["eventtrack_visit_id"] for row in orders(host)] == [visits["/orders"], None]


def test_touch_costs_no_statement_and_no_lock(db_host: Host) -> None:
    """The INSERT reads it. On MariaDB that would lock the session's row, so a query reads it."""
    order = add_orders(db_host)
    client = visit(db_host)
    statements: list[str] = []
    with db_host.app.app_context():
        engine = db_host.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    visitor = client.get_cookie("eventtrack_device"), client.get_cookie("eventtrack_session")
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in visitor if cookie)
    headers = {"Cookie": cookies, "User-Agent": CHROME}
    with db_host.app.test_request_context("/orders", method="POST", headers=headers):
        db_host.db.session.add(order())
        db_host.db.session.flush()
        assert len(statements) == 1 + (engine.dialect.name == "mysql")
        # While the host's transaction is open, the writer goes on with the session.
        if engine.dialect.name != "sqlite":
            client.get("/", headers=NAVIGATION)
            db_host.events.flush(timeout=10)
        db_host.db.session.commit()
    assert stamp_of(db_host)["eventtrack_campaign"] == "spring"


def test_session_that_is_not_stored_has_no_touch_yet(make: MakeHost) -> None:
    """The ids are there all the same, so a join finds it."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 3600})
    add_orders(host)
    visit(host, "/")
    client = host.client()
    client.get(CAMPAIGN, headers=NAVIGATION)
    client.post("/orders")
    stamp = stamp_of(host)
    assert [stamp[name] for name in TOUCH] == [None] * 4
    [session] = [row for row in host.rows("session") if row["utm_campaign"]]
    assert stamp["eventtrack_session_id"] == session["id"]


def test_process_that_has_stored_no_session_reads_none(make: MakeHost) -> None:
    """Before the tables are upgraded, the host's INSERT must not fail for a column of ours."""
    host = make()
    add_orders(host)
    client = host.client()
    client.get("/", headers=NAVIGATION)
    tables = host.state.pipeline.database.tables
    with host.app.app_context(), host.db.engine.begin() as connection:
        for index in tables.session.indexes:
            index.drop(connection)
        connection.exec_driver_sql("ALTER TABLE eventtrack_session DROP COLUMN channel")
    assert client.post("/orders").status_code == 200
    stamp = stamp_of(host)
    assert stamp["eventtrack_session_id"] is not None
    assert [stamp[name] for name in TOUCH] == [None] * 4


def test_other_bind_has_ids_alone(make: MakeHost, tmp_path: object) -> None:
    """Of two databases, neither can read the other."""
    binds = {"SQLALCHEMY_BINDS": {"events": f"sqlite:///{tmp_path}/events.db"}}
    host = make({**binds, "EVENTTRACK_BIND_KEY": "events"})
    add_orders(host)
    visit(host).post("/orders")
    [session] = host.rows("session")
    stamp = stamp_of(host)
    assert stamp["eventtrack_session_id"] == session["id"]
    assert [stamp[name] for name in TOUCH] == [None] * 4


def test_tables_in_a_schema(make: MakeHost, database_url: str) -> None:
    """The touch is read from the table of the host's schema."""
    if not database_url.startswith("postgresql"):
        pytest.skip("has no schemas")
    app = Flask("schema")
    app.config.update(SECRET_KEY="for tests", SQLALCHEMY_DATABASE_URI=database_url, TESTING=True)
    clock = make().clock
    db = SQLAlchemy(app, metadata=sa.MetaData(schema="shop"))
    host = Host(app, db, EventTrack(app, db, clock=clock), clock)
    app.add_url_rule("/", "home", lambda: "<title>Home</title>")
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA shop")
    order = add_orders(host)
    visit(host).post("/orders")
    with app.app_context():
        assert db.session.scalar(sa.select(order.eventtrack_campaign)) == "spring"
    host.close()


# Which session


def test_first_request_of_a_device_may_make_a_row(host: Host) -> None:
    """No session is opened, but the answer has the cookies of the one that will be."""
    add_orders(host)
    client = host.client()
    assert client.post("/orders").headers.getlist("Set-Cookie") != []
    assert host.rows("session") == host.rows("event") == []
    client.get("/", headers=NAVIGATION)
    [session] = host.rows("session")
    assert stamp_of(host)["eventtrack_session_id"] == session["id"]


def test_after_a_pause_it_is_the_next_session(host: Host) -> None:
    """Which the next event opens, in the same request or later."""
    add_orders(host)
    client = visit(host)
    host.clock.advance(minutes=31)
    client.post("/orders")
    client.get("/", headers=NAVIGATION)
    old, new = host.rows("session", "started_at")
    assert stamp_of(host)["eventtrack_session_id"] == new["id"] != old["id"]


@pytest.mark.parametrize("order", ["before", "after"])
def test_event_of_the_same_request_has_the_same_session(host: Host, order: str) -> None:
    """Whether the row or the event comes first."""
    model = add_orders(host)
    host.events.define("order.pay")

    @host.app.post("/pay")
    def pay() -> str:
        if order == "after":
            track("order.pay")
        host.db.session.add(model())
        if order == "before":
            track("order.pay")
        host.db.session.commit()
        return str(current_visitor.session_id)

    answer = host.client().post("/pay")
    [event] = host.events_of("order.pay")
    stamp = stamp_of(host)
    assert stamp["eventtrack_session_id"] == event["session_id"] == uuidlib.UUID(answer.text)


def test_customer_who_is_known_by_then(host: Host) -> None:
    """The profile is the customer's, from the log-in on."""
    model = add_orders(host)

    @host.app.post("/guest")
    def order_as_guest() -> str:
        host.db.session.add(model())
        identify("7")
        host.db.session.add(model())
        host.db.session.commit()
        return ""

    visit(host).post("/guest")
    [session] = host.rows("session")
    customer = customer_uuid("flask-eventtrack", "7")
    guest = session["device_id"]
    assert [row["eventtrack_uuid"] for row in orders(host)] == [guest, customer]
    assert {row["eventtrack_session_id"] for row in orders(host)} == {session_id_of(guest, 1)}


# Nobody


@pytest.mark.parametrize(
    ("config", "headers"),
    [
        ({}, {"Sec-GPC": "1"}),
        ({}, {"User-Agent": "Googlebot/2.1"}),
        ({"EVENTTRACK_BOTS": "tag"}, {"User-Agent": "Googlebot/2.1"}),
        ({"EVENTTRACK_DEFAULT_POLICY": "none"}, {}),
        ({"EVENTTRACK_DEFAULT_POLICY": "anonymous"}, {}),
        ({"EVENTTRACK_VISITOR_FILTER": bool}, {}),
        ({"EVENTTRACK_PRIVACY_IDENTITY": False}, {}),
        ({"EVENTTRACK_ENABLED": False}, {}),
    ],
    ids=str,
)
def test_who_is_not_recorded_is_not_stamped(
    make: MakeHost, config: Row, headers: dict[str, str]
) -> None:
    """The verdict on events is the verdict on rows, and no cookie is sent."""
    host = make(config)
    add_orders(host)
    client = host.client()
    client.get(CAMPAIGN, headers={**NAVIGATION, **headers})
    answer = client.post("/orders", headers=headers)
    assert answer.status_code == 200
    assert not [c for c in answer.headers.getlist("Set-Cookie") if "_device" in c or "_sess" in c]
    assert stamp_of(host) == NOTHING


@pytest.mark.parametrize("choice", ["none", "anonymous"])
def test_visitor_who_has_chosen_is_not_stamped(host: Host, choice: str) -> None:
    """Though they had a session before."""
    add_orders(host)
    client = visit(host)
    choose(client, choice)
    client.post("/orders")
    assert stamp_of(host) == NOTHING


def test_outside_of_requests_nothing_is_stamped(host: Host) -> None:
    """In a command or a job; also if the row is inserted in a request later."""
    model = add_orders(host)
    with host.app.app_context():
        early = model()
        host.db.session.add(model())
        host.db.session.commit()
    with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
        model()
        host.db.session.add(early)
        host.db.session.commit()
    assert orders(host) == [NOTHING, NOTHING]
    assert model().eventtrack_session_id is None  # without any app


def test_app_without_eventtrack_stamps_nothing(make: MakeHost) -> None:
    """A model may be shared by several apps."""
    app = Flask("bare")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)
    model = add_orders(Host(app, db, t.cast("t.Any", None), t.cast("t.Any", None)))
    with app.test_request_context("/"):
        db.create_all()
        db.session.add(model())
        db.session.commit()
        assert db.session.scalars(sa.select(model.eventtrack_uuid)).all() == [None]
    with app.app_context():
        db.engine.dispose()


# What the host says and does


def test_hosts_values_stay(host: Host) -> None:
    """Also a None: an order that staff takes by phone is not of the staff's session."""
    model = add_orders(host)
    own = uuidlib.uuid4()

    @host.app.post("/phone")
    def take_call() -> str:
        host.db.session.add(model(eventtrack_session_id=None))
        host.db.session.add(model(eventtrack_uuid=own))
        kept = model(eventtrack_source="fair")
        kept.eventtrack_campaign = "booth"
        host.db.session.add(kept)
        host.db.session.commit()
        return ""

    visit(host).post("/phone")
    phone, of_another, fair = orders(host)
    assert phone == NOTHING
    assert of_another["eventtrack_uuid"] == own
    assert of_another["eventtrack_session_id"] == host.rows("session")[0]["id"]
    assert (fair["eventtrack_source"], fair["eventtrack_campaign"]) == ("fair", "booth")
    assert fair["eventtrack_medium"] == "mail"


def test_rows_that_exist_are_left_alone(host: Host) -> None:
    """Reading, changing and merging in another visitor's request stamps nothing anew."""
    model = add_orders(host)

    @host.app.post("/change")
    def change() -> str:
        found: t.Any = host.db.session.get(model, 1)
        found.total = 1
        host.db.session.merge(model(id=1, total=2))
        host.db.session.merge(model(id=2, total=3))
        host.db.session.commit()
        return ""

    visit(host).post("/orders", data={"id": 1})
    before = stamp_of(host)
    visit(host, "/?utm_campaign=other").post("/change")
    first, merged = orders(host)
    assert first == before
    assert merged["eventtrack_campaign"] == "other"
    assert merged["eventtrack_session_id"] not in {None, first["eventtrack_session_id"]}


def test_row_that_was_rolled_back_may_be_added_again(host: Host) -> None:
    """With the same stamp."""
    model = add_orders(host)

    @host.app.post("/twice")
    def try_twice() -> str:
        order = model()
        host.db.session.add(order)
        host.db.session.flush()
        host.db.session.rollback()
        host.db.session.add(order)
        host.db.session.commit()
        return order.eventtrack_campaign or ""

    assert visit(host).post("/twice").text == "spring"
    assert stamp_of(host)["eventtrack_session_id"] == host.rows("session")[0]["id"]


def test_object_is_pickled_as_ever(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as for a cache or a job: with its stamp, and nothing of the app."""
    model = add_orders(host)
    monkeypatch.setattr(sys.modules[__name__], "Order", model, raising=False)
    model.__qualname__ = "Order"
    with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
        made = pickle.dumps(model(total=7))
        session_id = current_visitor.session_id
    with host.app.app_context():
        host.db.session.add(pickle.loads(made))
        host.db.session.commit()
    assert stamp_of(host)["eventtrack_session_id"] == session_id


def test_bulk_insert_stamps_nothing(host: Host) -> None:
    """It makes no objects."""
    model = add_orders(host)

    @host.app.post("/bulk")
    def insert() -> str:
        host.db.session.execute(sa.insert(model), [{"total": 1}])
        host.db.session.commit()
        return ""

    visit(host).post("/bulk")
    assert stamp_of(host) == NOTHING


# Kinds of models


def test_every_kind_of_model(db_host: Host) -> None:
    """Dataclasses, abstract bases, inheritance in both directions, the old style."""
    metadata = db_host.db.metadata

    class Base(DeclarativeBase):
        metadata = db_host.db.metadata

    class DataBase(MappedAsDataclass, DeclarativeBase):
        metadata = db_host.db.metadata

    class Plain(TracksSession, Base):
        __tablename__ = "plain"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Data(TracksSession, DataBase):
        __tablename__ = "data"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        total: Mapped[int] = mapped_column(default=5)

    class Abstract(TracksSession, Base):
        __abstract__ = True

    class First(Abstract):
        __tablename__ = "first"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Second(Abstract):
        __tablename__ = "second"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Parent(TracksSession, Base):
        __tablename__ = "parent"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(sa.String(9))

    class Child(Parent):
        __tablename__ = "child"
        __mapper_args__ = {"polymorphic_identity": "child"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(sa.ForeignKey("parent.id"), primary_key=True)

    class Single(Parent):
        __mapper_args__ = {"polymorphic_identity": "single"}  # noqa: RUF012

    class Given(TracksSession, Base):
        columns = (sa.Column(c.name, c.type) for c in Plain.__table__.c if c.name != "id")
        __table__ = sa.Table("given", Base.metadata, sa.Column("id", sa.Integer, primary_key=True))
        for column in columns:
            __table__.append_column(column)

    class Bare(Base):
        __tablename__ = "bare"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "bare"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(sa.String(9))

    class Tracked(TracksSession, Bare):
        __tablename__ = "tracked"
        __mapper_args__ = {"polymorphic_identity": "tracked"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(sa.ForeignKey("bare.id"), primary_key=True)

    class Old(TracksSession, db_host.db.Model):  # type: ignore[name-defined,misc]
        id = sa.Column(sa.Integer, primary_key=True)

    models: list[t.Any] = [Plain, Data, First, Second, Child, Single, Given, Tracked, Old]
    assert Data(total=3) == Data(total=3)

    @db_host.app.post("/all")
    def make_all() -> str:
        db_host.db.session.add_all([model() for model in models])
        db_host.db.session.commit()
        return ""

    create_tables(db_host)
    visit(db_host).post("/all")
    [session] = db_host.rows("session")
    with db_host.app.app_context():
        for model in models:
            [row] = db_host.db.session.scalars(sa.select(model))
            assert row.eventtrack_session_id == session["id"], model
            assert row.eventtrack_campaign == "spring", model
    for name in ("plain", "data", "first", "second", "parent", "tracked", "old"):
        assert f"ix_{name}_eventtrack_session_id" in {i.name for i in metadata.tables[name].indexes}


@pytest.mark.skipif(
    importlib.metadata.version("sqlalchemy") >= "2.1",
    reason="Flask-SQLAlchemy 3.1.1 has no dataclasses on SQLAlchemy 2.1",
)
def test_flask_sqlalchemys_dataclasses(tmp_path: object) -> None:
    """With ``model_class`` a dataclass, the stamps are no arguments."""

    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    app = Flask("data")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/data.db"
    db: t.Any = SQLAlchemy(app, model_class=Base)

    class Order(TracksSession, db.Model):  # type: ignore[misc]
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        total: Mapped[int]

    assert "eventtrack" not in repr(Order(5))
    with app.app_context():
        db.create_all()
        db.session.add(Order(5))
        db.session.commit()
        db.engine.dispose()
