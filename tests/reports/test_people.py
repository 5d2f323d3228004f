"""Finding people on each database: by traits, orders and what they did."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack.records import Identified
from flask_eventtrack.store.traits import fill_traits, has_profiles_without_traits

from ..hosts import Host
from ..store.orders import a_cancellation, a_charge
from ..store.persons import CUSTOMER, OTHER, log_in
from ..store.records import DEVICE, an_event, at, session_of, write_records


def identify(
    host: Host, seconds: float = 5, who: uuidlib.UUID = CUSTOMER, **traits: object
) -> None:
    record = Identified(uuid=who, customer_id=str(who), time=at(seconds), traits=traits)
    write_records(host, record)


def search(host: Host, text: str) -> list[tuple[uuidlib.UUID, tuple[str, str] | None]]:
    with host.app.app_context():
        return [(row.person, row.found_by) for row in host.events.reports.search(text)]


def traits(host: Host) -> dict[str, str]:
    return {row["name"]: row["value"] for row in host.rows("trait")}


@pytest.mark.parametrize(
    ("sought", "name"),
    [
        ("grace@example.com", "email"),
        ("grace@", "email"),
        ("straße", "street"),
        ("STRASSE", None),
        ("42", "age"),
        ("true", "vip"),
        ("a_b%", "code"),
        ("a_", "code"),
        ("axb", None),
        ("\U0010ffff", "last"),
        ("grace@examplf", None),
    ],
)
def test_a_trait_is_found_by_its_beginning(db_host: Host, sought: str, name: str | None) -> None:
    """Whatever the collation of the database says of its characters."""
    identify(
        db_host,
        email="Grace@Example.com",
        street=" Straße 5 ",
        age=42,
        vip=True,
        code="a_b%c",
        last="\U0010ffff",
        deep={"not": "searched"},
    )
    identify(db_host, who=OTHER, email="hopper@example.com", code="ab")
    found = search(db_host, sought)
    assert [(person, by and by[0]) for person, by in found] == ([(CUSTOMER, name)] if name else [])


def test_traits_follow_their_profile(db_host: Host) -> None:
    """Later ones take the place of earlier ones; those without a short name are left out."""
    odd: dict[str, t.Any] = {"n" * 65: "long", "  ": "blank"}
    identify(db_host, email="Old@example.com", plan="pro", **odd)
    identify(db_host, 6, email="new@example.com")
    identify(db_host, 4, plan="free", city="x" * 300)
    assert traits(db_host) == {"email": "new@example.com", "plan": "pro", "city": "x" * 255}


def test_traits_of_stored_profiles_are_filled(db_host: Host) -> None:
    """By the upgrade, which can be run again."""
    database = db_host.state.pipeline.database
    identify(db_host, email="a@example.com")
    identify(db_host, who=OTHER)
    with database.begin() as connection:
        connection.execute(database.tables.trait.delete())
        assert has_profiles_without_traits(connection, database.tables)
    assert list(fill_traits(database)) == ["2 profiles filled."]
    assert list(fill_traits(database)) == ["2 profiles filled."]
    assert traits(db_host) == {"email": "a@example.com"}
    with database.begin() as connection:
        assert not has_profiles_without_traits(connection, database.tables)


def test_an_erasure_takes_the_traits(db_host: Host) -> None:
    """But not those of what the person says of themselves afterwards."""
    identify(db_host, email="a@example.com")
    identify(db_host, who=OTHER, email="b@example.com")
    db_host.clock.advance(seconds=60)
    with db_host.app.app_context():
        db_host.events.forget(CUSTOMER)
    assert [row["uuid"] for row in db_host.rows("trait")] == [OTHER]
    identify(db_host, 100, plan="pro")
    with db_host.app.app_context():
        db_host.events.forget(CUSTOMER)  # still as of the 60th second
    assert search(db_host, "pro") == [(CUSTOMER, ("plan", "pro"))]


def test_an_order_leads_to_its_person(db_host: Host) -> None:
    """Who paid it as a stranger, and has become a customer; not after an erasure."""
    write_records(db_host, a_charge("B-7", 5000), a_charge("B-8", 700, currency="JPY"))
    write_records(db_host, log_in(CUSTOMER, DEVICE, 20), a_cancellation("B-7", amount=1000))
    assert search(db_host, "B-7") == [(CUSTOMER, ("order", "B-7"))]
    with db_host.app.app_context():
        known = db_host.events.reports.person(CUSTOMER)
        money = [(each.currency, str(each.amount)) for each in known.revenue]
        assert (known.orders, money) == (2, [("EUR", "40.00"), ("JPY", "700")])
        db_host.clock.advance(seconds=200)
        db_host.events.forget(CUSTOMER)
    assert search(db_host, "B-7") == []


def test_a_person_without_a_profile_has_the_touches_of_their_sessions(db_host: Host) -> None:
    """The first session's, and the latest one's."""
    for number, source in enumerate(("newsletter", "partner")):
        session = session_of(DEVICE, number + 1, number * 10_000)
        event = an_event(
            seconds=number * 10_000 + 1,
            session=session,
            campaign=f"utm_source={source}",
        )
        write_records(db_host, event)
    with db_host.app.app_context():
        known = db_host.events.reports.person(DEVICE)
    assert known.first_touch is not None
    assert known.last_touch is not None
    assert known.customer_id is None
    assert known.first_touch.at < known.last_touch.at
    assert (known.sessions, known.number_of_devices) == (2, 1)


def test_lists_of_people(db_host: Host) -> None:
    """The newest, the most active, and who did an event."""
    identify(db_host, 1)
    identify(db_host, 2, OTHER)
    write_records(
        db_host,
        an_event("order.ship", 1, session=session_of(DEVICE, 1, 1)),
        an_event("order.ship", 2000, session=session_of(DEVICE, 2, 2000)),
        an_event("order.ship", 3000, uuid=OTHER, session=session_of(OTHER, 1, 3000)),
    )
    reports = db_host.state.reports
    assert [row.person for row in reports.newest()] == [OTHER, CUSTOMER]
    assert [row.person for row in reports.newest(OTHER)] == [CUSTOMER]
    assert [(row.person, row.sessions) for row in reports.most_active()] == [
        (DEVICE, 2),
        (OTHER, 1),
    ]
    assert [(row.person, row.events) for row in reports.who_did("order.ship").people] == [
        (OTHER, 1),
        (DEVICE, 2),
    ]
    assert [row.person for row in reports.everyone_who_did("order.ship")] == [OTHER, DEVICE]
    assert reports.who_did("order.ship", since=at(2500)).people[0].person == OTHER
