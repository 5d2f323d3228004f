"""Nothing of an erased person is left, and everything else stays."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import logging
import pathlib
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack import signals, track
from flask_eventtrack.data_rights import find_person
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.records import Event, encode_record
from flask_eventtrack.store.erasure import Erased, count_rows

from ..conftest import MakeHost
from ..hosts import START, Host
from ..pipeline.journals import home_of, leave, segments
from ..pipeline.waiting import wait_until
from .people import (
    ADA,
    ADA_UUID,
    BOB,
    BOB_UUID,
    NAMES,
    STRANGER,
    browse,
    events_of,
    export,
    forget,
    open_shop,
    strangers_of,
)
from .records import (
    NAIVE,
    a_page,
    an_event,
    an_id,
    contents,
    recount,
    session_of,
    totals,
    write_records,
)

TABLES = (
    *("event", "session", "profile", "alias", "hourly", "quality"),
    *("uncounted", "rejected", "tombstone"),
)


def profiles_of(host: Host, customer: str) -> set[uuidlib.UUID]:
    """Return all profiles and devices of a customer, by what is stored."""
    uuid = customer_uuid("flask-eventtrack", customer)
    strangers = {r["anonymous_uuid"] for r in host.rows("alias") if r["customer_uuid"] == uuid}
    found = {uuid, *strangers}
    return found | {r["device_id"] for r in host.rows("session") if r["uuid"] in found}


def iter_stored(host: Host) -> cabc.Iterator[tuple[str, bytes]]:
    """Yield all that is stored, wherever that is: rows, and the files of the journal."""
    for table in TABLES:
        for row in host.rows(table):
            data = [value for value in row.values() if isinstance(value, bytes)]
            yield table, b" ".join([repr(row).encode(), *data])
    database = host.state.pipeline.database
    files = [*home_of(host).rglob("*")]
    if database.is_file:
        file = pathlib.Path(str(database._host.url.database))
        files += file.parent.glob(f"{file.name}*")
    for path in files:
        if path.is_file():
            yield path.name, path.read_bytes()


def mentions(host: Host, customer: str, uuids: cabc.Iterable[uuidlib.UUID]) -> list[str]:
    """Return where a person is found, by anything that names them."""
    needles = [customer.encode(), NAMES[customer].encode()]
    for uuid in uuids:
        needles += [str(uuid).encode(), uuid.hex.encode(), uuid.bytes]
    return [where for where, data in iter_stored(host) for n in needles if n in data]


def refused(customer: uuidlib.UUID) -> Event:
    """Return an event that no database stores, and that is set aside."""
    return an_event(uuid=customer, time=NAIVE, session=None)


# Nowhere


def set_up_two(shop: Host) -> None:
    """Ada on two devices, Bob on one of these and his own: rows of every kind, and files."""
    shared = browse(shop, "/", "/products/mug", ADA, "/products/tea")
    shared.post("/logout")
    browse(shop, "/products/jug", BOB, "/", client=shared)
    browse(shop, "/", ADA, "/products/mug")
    browse(shop, "/", BOB, "/products/mug")
    shop.flush()
    shop.clock.advance(hours=1)
    shop.state.pipeline.sweep()
    for customer in (ADA_UUID, BOB_UUID):
        write_records(shop, refused(customer))
        path = home_of(shop) / f"{customer.hex[:4]}.bad"
        path.write_bytes(b"torn" + encode_record(an_event(uuid=customer))[:-9])


def note_in_transaction(shop: Host, customer: str) -> None:
    """Commit an event with a note that it is still to be counted."""
    with shop.app.app_context():
        track("order.ship", customer=customer, in_transaction=True)
        shop.db.session.commit()


def test_an_erased_person_is_nowhere(shop: Host) -> None:
    """Not in a table, a segment, what was set aside, or an export; and others are as they were."""
    set_up_two(shop)
    uuids = profiles_of(shop, ADA) - profiles_of(shop, BOB)
    leave(shop, *(an_event(uuid=uuid, id=an_id(), session=None) for uuid in (ADA_UUID, BOB_UUID)))
    bobs = export(shop, BOB)
    note_in_transaction(shop, ADA)
    found = mentions(shop, ADA, uuids)
    assert {*found} >= {
        "event",
        "session",
        "profile",
        "alias",
        "rejected",
        f"{ADA_UUID.hex[:4]}.bad",
    }
    erased = forget(shop, ADA)
    assert mentions(shop, ADA, uuids) == []
    assert export(shop, ADA) == []
    assert (erased.sessions, erased.aliases, erased.rejected) == (2, 2, 1)
    assert [item for item in export(shop, BOB) if item.get("action") != "order.ship"] == bobs
    assert totals(shop) == recount(shop)
    assert (home_of(shop) / f"{BOB_UUID.hex[:4]}.bad").exists()
    assert len(shop.rows("rejected")) == 1


def test_what_was_written_leaves_the_journal(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record does not stay in its segment for as long as the process lives."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    browse(shop, "/", ADA)
    assert segments(home_of(shop)) != []
    shop.flush()
    wait_until(lambda: segments(home_of(shop)) == [])
    browse(shop, "/", ADA)
    assert len(segments(home_of(shop))) == 1
    assert len(shop.events_of("page.visit")) == 2


def test_erasing_twice_changes_nothing(shop: Host) -> None:
    """Nor does erasing somebody who was never here."""
    set_up_two(shop)
    forget(shop, ADA)
    before = contents(shop)
    assert forget(shop, ADA) == forget(shop, "customer-unknown") == Erased()
    assert contents(shop) == before


@pytest.mark.parametrize("who", ["customer", "uuid", "stranger"])
def test_a_person_is_found_by_each_of_their_names(shop: Host, who: str) -> None:
    """The customer's id, their profile, or a device's profile before the log-in."""
    browse(shop, "/", ADA)
    browse(shop, "/", ADA)
    stranger = shop.rows("alias", "created_at")[0]["anonymous_uuid"]
    names = {"customer": ADA, "uuid": ADA_UUID, "stranger": stranger}
    assert len({str(export(shop, name)) for name in names.values()}) == 1
    assert forget(shop, names[who]).aliases == 2
    assert shop.rows("event") == shop.rows("alias") == shop.rows("session") == []


def test_a_stranger_can_be_erased(shop: Host) -> None:
    """A device that never logged in, by its uuid."""
    browse(shop, "/")
    browse(shop, "/")
    [first, second] = [row["uuid"] for row in shop.events_of("page.visit")]
    forget(shop, first)
    assert [row["uuid"] for row in shop.events_of("page.visit")] == [second]


@pytest.mark.parametrize("who", ["", "null", True, None, 1.5])
def test_who_is_no_customer_is_refused(shop: Host, who: t.Any) -> None:
    """As by identify(): nothing is erased for a placeholder id."""
    for call in (forget, export):
        with pytest.raises(InvalidEvent, match="not a customer's id"):
            call(shop, who)


def test_a_session_of_two_people_goes_with_one_of_them(shop: Host) -> None:
    """Its row tells what both did; the other's events stay, and totals are right."""
    session = session_of(STRANGER)
    mine = a_page("/secret", 1, uuid=ADA_UUID, session=session)
    write_records(shop, mine, an_event(seconds=2, uuid=BOB_UUID, session=session))
    assert forget(shop, ADA).sessions == 1
    assert shop.rows("session") == []
    assert [row["action"] for row in events_of(shop, BOB_UUID)] == ["session.start", "order.ship"]
    assert totals(shop) == recount(shop)


def test_a_person_of_many_profiles(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement names all of them, since databases limit its parameters."""
    monkeypatch.setattr("flask_eventtrack.store.dialects._CHUNK", 10)
    monkeypatch.setattr("flask_eventtrack.reports.export._PAGE", 20)
    strangers = strangers_of(shop, 45)
    for number, each in enumerate(strangers):
        event = an_event(uuid=each, id=an_id(number), session=session_of(each))
        write_records(shop, event, refused(each))
    sizes: list[int] = []

    def note_size(*call: t.Any) -> None:
        *_, parameters, _, is_many = call
        sizes.append(0 if is_many else len(parameters))

    database = shop.state.pipeline.database
    for engine in (database._engine, database._host):
        sa.event.listen(engine, "before_cursor_execute", note_size)
    shop.clock.advance(seconds=10)
    kinds = [item["type"] for item in export(shop, ADA)]
    assert kinds == ["profile", *["alias"] * 45, *["session"] * 45, *["event"] * 90]
    with shop.app.app_context():
        found = count_rows(database, find_person(shop.state, strangers[7]).profiles)
    assert found == Erased(events=90, sessions=45, aliases=45)
    assert forget(shop, strangers[7]) == dataclasses.replace(found, rejected=45)
    assert max(sizes) < 45
    assert shop.rows("event") == shop.rows("session") == shop.rows("alias") == []
    assert shop.rows("profile") == shop.rows("rejected") == []
    assert totals(shop) == {}


# Totals


def test_totals_never_fall_below_nought(shop: Host) -> None:
    """Also where somebody has tampered with them."""
    browse(shop, "/", "/", ADA)
    shop.flush()
    hourly = shop.state.pipeline.database.tables.hourly
    with shop.state.pipeline.database.begin() as connection:
        connection.execute(hourly.update().values(count=1))
    forget(shop, ADA)
    assert {row["count"] for row in shop.rows("hourly")} == {0}


def test_an_event_that_was_not_counted_is_not_subtracted(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The row and its note go, and the totals of others stay."""
    write_records(shop, an_event(seconds=0, uuid=BOB_UUID, site="", session=None))
    note_in_transaction(open_shop(make, database_url, tmp_path, create=False), ADA)
    assert len(shop.rows("uncounted")) == 1
    assert forget(shop, ADA).events == 1
    assert totals(shop) == recount(shop) == {(START, "", "order.ship", ""): 1}
    assert shop.rows("uncounted") == []


# Telling


def test_an_erasure_is_told_of(shop: Host, caplog: pytest.LogCaptureFixture) -> None:
    """By a signal that names the person, and in the log, which does not."""
    caplog.set_level(logging.INFO, "flask_eventtrack")
    browse(shop, "/", ADA)
    uuids = profiles_of(shop, ADA)
    told: list[dict[str, t.Any]] = []

    def receive(app: object, **detail: t.Any) -> None:
        told.append(detail)

    with signals.profile_erased.connected_to(receive, shop.app):
        erased = forget(shop, ADA)
    assert told == [{"customer_id": ADA, "uuid": ADA_UUID, "erased": erased}]
    assert f"A person was erased: {erased.events} events, 1 session." in caplog.messages
    assert not [name for name in (ADA, NAMES[ADA], *map(str, uuids)) if name in caplog.text]


# In memory


def test_a_person_in_an_in_memory_database(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://")
    browse(host, "/")
    [visit] = host.events_of("page.visit")
    assert forget(host, visit["uuid"]).events == 2
    assert host.rows("event") == []
