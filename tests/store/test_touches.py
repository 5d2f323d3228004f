"""Where customers and their orders came from: touches of sessions, profiles and transactions."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import threading
import types
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from flask_eventtrack import identify, logout
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.records import TOUCH, Identified
from flask_eventtrack.store.profile_touches import refill_profiles
from flask_eventtrack.store.touches import attribute, find_touches

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..pipeline.waiting import wait_until
from .records import DEVICE, a_page, an_event, at, session_of, write

MONTH = dt.timedelta(days=30)
ADA = customer_uuid("flask-eventtrack", "ada")
BOB = customer_uuid("flask-eventtrack", "bob")


@pytest.fixture
def shop(make: MakeHost, database_url: str) -> Host:
    host = make({"EVENTTRACK_DEVICE_PAGES": None}, url=database_url)

    @host.app.get("/login/<customer>")
    def login(customer: str) -> str:
        identify(customer)
        return "<title>Welcome</title>"

    @host.app.post("/logout")
    def leave() -> str:
        logout()
        return "good-bye"

    return host


def come(
    host: Host, client: FlaskClient, path: str = "/", referrer: str = "", **later: float
) -> None:
    """Visit a page in a session of its own, some time after the one before."""
    host.clock.advance(**(later or {"days": 1}))
    client.get(path, headers={**NAVIGATION, "Referer": referrer})
    host.flush()
    name_people(host)


def name_people(host: Host) -> None:
    """Give sessions and transactions their person, as aliases lead to it."""
    tables = host.state.pipeline.database.tables
    alias = tables.alias
    with host.state.pipeline.database.begin() as connection:
        for table in (tables.session, tables.transaction):
            of_it = alias.c.anonymous_uuid == table.c.uuid
            customer = sa.select(alias.c.customer_uuid).where(of_it).scalar_subquery()
            change = table.update().where(table.c.uuid.is_not(None))
            connection.execute(change.values(person=sa.func.coalesce(customer, table.c.uuid)))


def device_of(host: Host) -> uuidlib.UUID:
    """Return the device of the latest session."""
    return t.cast("uuidlib.UUID", host.rows("session", "started_at")[-1]["device_id"])


def an_order(
    host: Host, person: uuidlib.UUID | None, *, days: float = 0, has_session: bool = False
) -> types.SimpleNamespace:
    """Return an order of now, or of some days ago."""
    session = host.rows("session", "started_at")[-1]["id"] if has_session else None
    time = host.clock.moment - dt.timedelta(days=days)
    return types.SimpleNamespace(person=person, session_id=session, time=time)


def sources_of(host: Host, *orders: types.SimpleNamespace) -> list[tuple[str | None, str | None]]:
    """Attribute orders; return the sources of their first and last touches."""
    database = host.state.pipeline.database
    with database.read() as connection:
        attribute(connection, database.tables, orders, MONTH)
    return [(order.first_source, order.last_source) for order in orders]


@contextlib.contextmanager
def statements() -> t.Iterator[list[str]]:
    """Collect the statements of all engines."""
    seen: list[str] = []

    def note(*args: t.Any) -> None:
        seen.append(args[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


# Transactions


def test_order_has_the_first_touch_and_the_last_one_that_is_not_direct(shop: Host) -> None:
    """With all that a touch is; a direct visit overwrites nothing."""
    client = shop.client()
    query = "utm_source=news&utm_medium=email&utm_campaign=spring&utm_term=a&utm_content=b"
    come(shop, client, f"/products/mug?{query}", "https://mail.google.com/")
    first = shop.clock.moment
    come(shop, client, "/", "https://www.google.com/")
    last = shop.clock.moment
    come(shop, client)
    order = an_order(shop, device_of(shop), has_session=True)
    assert sources_of(shop, order) == [("news", "www.google.com")]
    of_first = [getattr(order, f"first_{name}") for name in TOUCH]
    assert of_first == [
        *("news", "email", "spring", "a", "b", "https://mail.google.com/"),
        *("/products/<slug>", "mail", first),
    ]
    of_last = [getattr(order, f"last_{name}") for name in TOUCH]
    referrer = "https://www.google.com/"
    assert of_last == [*("www.google.com", None, None, None, None, referrer, "/", "search", last)]


@pytest.mark.parametrize(("days", "last"), [(29.99, "news"), (30.01, "direct")])
def test_direct_visit_counts_beyond_the_lookback(shop: Host, days: float, last: str) -> None:
    """What was earlier is still the first touch."""
    client = shop.client()
    come(shop, client, "/?utm_source=news")
    come(shop, client, days=days)
    order = an_order(shop, device_of(shop), has_session=True)
    assert sources_of(shop, order) == [("news", last)]


def test_order_of_the_past_knows_nothing_of_the_future(shop: Host) -> None:
    """As one that comes with ``time=``, also in its own session."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    come(shop, client, "/?utm_source=two")
    come(shop, client, "/?utm_source=three")
    device = device_of(shop)
    orders = [an_order(shop, device, days=days, has_session=True) for days in (0, 0.5, 1.5, 2.5)]
    assert sources_of(shop, *orders) == [
        ("one", "three"),
        ("one", "two"),
        ("one", "one"),
        (None, None),
    ]


def test_order_of_nobody_has_no_touch(shop: Host) -> None:
    """Nor has one of a person of whom no session is stored."""
    come(shop, shop.client(), "/?utm_source=one")
    orders = [an_order(shop, person) for person in (None, uuidlib.uuid4(), ADA)]
    assert sources_of(shop, *orders) == [(None, None)] * 3


def test_order_after_a_payment_page_keeps_what_led_to_it(shop: Host) -> None:
    """The way back from a long payment opens a session that is direct."""
    client = shop.client()
    come(shop, client, "/?utm_source=news")
    come(shop, client, "/", "https://www.paypal.com/checkout", hours=1)
    assert [row["source"] for row in shop.rows("session", "started_at")] == ["news", "direct"]
    order = an_order(shop, device_of(shop), has_session=True)
    assert sources_of(shop, order) == [("news", "news")]


def test_person_has_the_touches_of_all_devices(shop: Host) -> None:
    """Also the touches from before the log-in."""
    phone, laptop = shop.client(), shop.client()
    come(shop, phone, "/?utm_source=one")
    come(shop, laptop, "/?utm_source=two")
    come(shop, laptop, "/login/ada")
    assert sources_of(shop, an_order(shop, ADA)) == [("two", "two")]
    come(shop, phone, "/login/ada")
    assert sources_of(shop, an_order(shop, ADA)) == [("one", "two")]
    come(shop, phone, "/?utm_source=three")
    assert sources_of(shop, an_order(shop, ADA)) == [("one", "three")]


def test_many_orders_are_attributed_by_few_statements(shop: Host) -> None:
    """Each one as if it were alone."""
    clients = [shop.client() for _ in range(3)]
    for index, client in enumerate(clients):
        come(shop, client, f"/?utm_source=s{index}")
    devices = [row["device_id"] for row in shop.rows("session", "started_at")]
    orders = [an_order(shop, device) for device in devices * 50]
    with statements() as seen:
        found = sources_of(shop, *orders)
    assert found == [("s0", "s0"), ("s1", "s1"), ("s2", "s2")] * 50
    assert len([text for text in seen if text.startswith("SELECT")]) == 8


# Profiles


def profile_of(host: Host, uuid: uuidlib.UUID = ADA) -> tuple[str | None, str | None]:
    [row] = [row for row in host.rows("profile") if row["uuid"] == uuid]
    return row["first_source"], row["last_source"]


def test_profile_keeps_the_first_touch_and_the_last_that_is_not_direct(shop: Host) -> None:
    """The first is that of the anonymous history, from the log-in on."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    come(shop, client, "/?utm_source=two")
    come(shop, client, "/login/ada")
    assert profile_of(shop) == ("one", "two")
    come(shop, client)
    assert profile_of(shop) == ("one", "two")
    come(shop, client, "/?utm_source=three")
    assert profile_of(shop) == ("one", "three")


def test_earlier_history_of_another_device_is_the_first_touch(shop: Host) -> None:
    """As soon as it is known to be the customer's."""
    phone, laptop = shop.client(), shop.client()
    come(shop, phone, "/?utm_source=one")
    come(shop, laptop, "/login/ada?utm_source=two")
    assert profile_of(shop) == ("two", "two")
    come(shop, phone, "/login/ada")
    assert profile_of(shop) == ("one", "two")


def test_profile_takes_nothing_of_a_device_that_is_somebody_else_s(shop: Host) -> None:
    """The second customer on a device begins with the log-in."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    come(shop, client, "/login/ada")
    client.post("/logout")
    come(shop, client, "/login/bob?utm_source=two")
    assert profile_of(shop) == ("one", "one")
    assert profile_of(shop, BOB) == ("two", "two")


def test_touches_of_a_profile_outlive_its_sessions(shop: Host) -> None:
    """The first for good, the last within the lookback."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    come(shop, client, "/login/ada?utm_source=two")
    database = shop.state.pipeline.database
    with database.begin() as connection:
        connection.execute(database.tables.session.delete())
    early = an_order(shop, ADA, days=3)
    assert sources_of(shop, an_order(shop, ADA), early) == [("one", "two"), (None, None)]
    shop.clock.advance(days=31)
    assert sources_of(shop, an_order(shop, ADA)) == [("one", None)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_order_of_writing_does_not_matter(db_host: Host, order: tuple[int, ...]) -> None:
    """Other processes may write the sessions and the log-in of a customer in any order."""
    parts: list[dict[str, t.Any]] = [
        {"events": [a_page("/", 0, params={"url": "http://localhost/?ref=one"})]},
        {
            "events": [
                a_page(
                    "/",
                    9000,
                    uuid=ADA,
                    session=session_of(DEVICE, 2, 9000),
                    params={"url": "http://localhost/?ref=two"},
                )
            ]
        },
        {"identified": [Identified(uuid=ADA, customer_id="ada", time=at(9001), anonymous=DEVICE)]},
    ]
    for index in order:
        write(
            db_host, *parts[index].get("events", ()), identified=parts[index].get("identified", ())
        )
    name_people(db_host)
    late = a_page("/b", 9005, uuid=ADA, session=session_of(DEVICE, 2, 9000))
    write(db_host, late, identified=parts[2]["identified"])
    assert profile_of(db_host) == ("one", "two")


def test_page_of_a_session_that_comes_late_is_its_touch(db_host: Host) -> None:
    """The first event of a session may be written before its page."""
    record = Identified(uuid=ADA, customer_id="ada", time=at(1))
    write(db_host, an_event(seconds=2, uuid=ADA), identified=[record])
    assert profile_of(db_host) == (None, None)
    write(db_host, a_page("/", 1, uuid=ADA, params={"url": "http://localhost/?ref=one"}))
    assert profile_of(db_host) == ("one", "one")


def test_earlier_page_of_a_session_replaces_its_touch(db_host: Host) -> None:
    """The first page of a session may be written after the second."""
    record = Identified(uuid=ADA, customer_id="ada", time=at(1))
    write(db_host, a_page("/b", 5, uuid=ADA), identified=[record])
    assert profile_of(db_host) == ("direct", None)
    write(db_host, a_page("/", 3, uuid=ADA, params={"url": "http://localhost/?ref=one"}))
    assert profile_of(db_host) == ("one", "one")


def test_batch_without_customers_looks_at_no_profile(db_host: Host) -> None:
    """Anonymous visitors pay nothing for it; nor do later pages of a customer's session."""
    with statements() as seen:
        write(db_host, a_page("/", 0))
    assert seen
    assert not [text for text in seen if "eventtrack_profile" in text]
    write(db_host, a_page("/", 1, uuid=ADA, device=BOB, session=session_of(BOB)))
    with statements() as seen:
        write(db_host, a_page("/b", 2, uuid=ADA, device=BOB, session=session_of(BOB)))
    assert not [text for text in seen if "eventtrack_profile" in text]


def test_two_writers_do_not_deadlock(make: MakeHost, database_url: str) -> None:
    """Each has a log-in of one customer and a session of the other."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    hosts = [make(url=database_url), make(url=database_url, create=False)]
    known = [
        Identified(uuid=who, customer_id=name, time=at(0))
        for who, name in ((ADA, "ada"), (BOB, "bob"))
    ]
    write(hosts[0], identified=known)
    barrier = threading.Barrier(2)

    def run(index: int) -> None:
        for number in range(15):
            who, device = (ADA, BOB)[1 - index], uuidlib.uuid4()
            url = {"url": f"http://localhost/?ref={number}"}
            own = session_of(device, 1, number)
            page = a_page("/", number, device=device, uuid=who, session=own, params=url)
            barrier.wait(30)
            write(hosts[index], page, identified=[known[index]])

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, index) for index in (0, 1)]:
            done.result(60)


def test_profiles_are_refilled_from_the_sessions(shop: Host) -> None:
    """Those that an earlier release wrote have no touches."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    come(shop, client, "/login/ada?utm_source=two")
    database = shop.state.pipeline.database
    table = database.tables.profile
    empty = {name: None for name in table.c.keys() if name.startswith(("first_", "last_"))}  # noqa: SIM118
    kept = {name: value for name, value in empty.items() if not name.endswith("_seen_at")}
    with database.begin() as connection:
        connection.execute(table.update().values(kept))
        refill_profiles(connection, database.tables, [ADA, BOB])
    assert profile_of(shop) == ("one", "two")


def test_sessions_of_an_earlier_release_tell_by_their_source(shop: Host) -> None:
    """They have no channel."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    come(shop, client)
    database = shop.state.pipeline.database
    with database.begin() as connection:
        connection.execute(database.tables.session.update().values(channel=None))
    order = an_order(shop, device_of(shop), has_session=True)
    with database.read() as connection:
        [(first, last)] = find_touches(connection, database.tables, [order], MONTH)
    assert first == last
    assert (first and first.source, first and first.channel) == ("one", None)


# The minute's chore


def store_order(host: Host, person: uuidlib.UUID | None, **values: t.Any) -> uuidlib.UUID:
    """Store an order of now, attributed by what is known now."""
    database = host.state.pipeline.database
    order = an_order(host, person)
    sources_of(host, order)
    touches = {name: value for name, value in vars(order).items() if name.startswith(("fi", "la"))}
    row: dict[str, t.Any] = {
        "id": uuidlib.uuid4(),
        "time": order.time,
        "stored_at": order.time,
        "uuid": person,
        "person": person,
        "site": "localhost",
        "currency": "EUR",
        "amount": 1230,
        **touches,
    }
    with database.begin() as connection:
        connection.execute(database.tables.transaction.insert().values(row | values))
    return t.cast("uuidlib.UUID", row["id"])


def order_of(host: Host, order_id: uuidlib.UUID) -> tuple[str | None, str | None, bool]:
    [row] = [row for row in host.rows("transaction") if row["id"] == order_id]
    return row["first_source"], row["last_source"], row["settled_at"] is not None


def test_order_is_attributed_again_after_a_minute_and_never_later(shop: Host) -> None:
    """By then all processes have written what led to it."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    device = device_of(shop)
    database = shop.state.pipeline.database
    with database.begin() as connection:  # what another process has not written yet
        connection.execute(database.tables.session.update().values(person=None))
    order = store_order(shop, device)
    assert order_of(shop, order) == (None, None, False)
    name_people(shop)
    shop.state.pipeline.sweep()
    assert order_of(shop, order) == (None, None, False)
    shop.clock.advance(seconds=61)
    shop.state.pipeline.sweep()
    assert order_of(shop, order) == ("one", "one", True)
    with database.begin() as connection:
        connection.execute(database.tables.session.update().values(source="two"))
    shop.clock.advance(seconds=61)
    shop.state.pipeline.sweep()
    assert order_of(shop, order) == ("one", "one", True)


def test_person_of_after_the_log_in_counts(shop: Host) -> None:
    """If the visitor of an order becomes known before it is settled."""
    phone, laptop = shop.client(), shop.client()
    come(shop, laptop, "/login/ada?utm_source=one")
    come(shop, phone, "/?utm_source=two")
    order = store_order(shop, device_of(shop))
    assert order_of(shop, order) == ("two", "two", False)
    come(shop, phone, "/login/ada", seconds=5)
    shop.clock.advance(seconds=61)
    shop.state.pipeline.sweep()
    assert order_of(shop, order) == ("one", "two", True)


def test_cancellation_has_the_touches_of_its_charge(shop: Host) -> None:
    """It is settled after it; so is one whose charge is gone."""
    client = shop.client()
    come(shop, client, "/?utm_source=one")
    device = device_of(shop)
    now = shop.clock.moment
    charge = store_order(shop, device, stored_at=now + dt.timedelta(seconds=30), first_source="x")
    cancellation = store_order(shop, device, charge_id=charge, amount=-1230, first_source="x")
    alone = store_order(shop, device, charge_id=uuidlib.uuid4(), first_source="y")
    shop.clock.advance(seconds=61)
    shop.state.pipeline.sweep()
    assert order_of(shop, cancellation) == ("x", "one", False)
    assert order_of(shop, alone) == ("y", "one", True)
    shop.clock.advance(seconds=61)
    shop.state.pipeline.sweep()
    assert order_of(shop, charge) == order_of(shop, cancellation) == ("one", "one", True)


def test_thread_settles_orders_by_itself(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each minute, with the lookback of the settings."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    host = make({"EVENTTRACK_LOOKBACK": dt.timedelta(hours=12)})
    client = host.client()
    come(host, client, "/?utm_source=one")
    come(host, client)
    session = host.rows("session", "started_at")[-1]
    order = store_order(host, session["device_id"], session_id=session["id"])
    assert order_of(host, order) == ("one", "one", False)
    host.clock.advance(seconds=61)
    wait_until(lambda: order_of(host, order) == ("one", "direct", True))


def test_what_is_left_of_an_erased_order_stays(shop: Host) -> None:
    """Its source, without anybody."""
    come(shop, shop.client(), "/?utm_source=one")
    order = store_order(shop, None, first_source="one", last_source="two")
    shop.clock.advance(seconds=61)
    shop.state.pipeline.sweep()
    assert order_of(shop, order) == ("one", "two", True)


def test_many_orders_are_settled_in_steps(shop: Host) -> None:
    """Of 200 each; those that another process holds are left to the next minute."""
    come(shop, shop.client(), "/?utm_source=one")
    device = device_of(shop)
    database = shop.state.pipeline.database
    table = database.tables.transaction
    ids = [store_order(shop, device, last_source="x")]
    with database.begin() as connection:
        row = dict(connection.execute(sa.select(table)).mappings().one())
        rows = [{**row, "id": uuidlib.uuid4()} for _ in range(449)]
        connection.execute(table.insert(), rows)
    shop.clock.advance(seconds=61)
    writer = shop.state.pipeline.writer
    assert [writer.settle_touches() for _ in range(4)] == [200, 200, 50, 0]
    assert {row["last_source"] for row in shop.rows("transaction")} == {"one"}
    assert order_of(shop, ids[0]) == ("one", "one", True)
