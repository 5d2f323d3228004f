"""Erasure and access: an erased person is nowhere, nothing brings them back, and all else stays."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import datetime as dt
import json
import logging
import pathlib
import shutil
import threading
import typing as t
import uuid as uuidlib

import msgspec
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from flask_eventtrack import identify, logout, signals, track
from flask_eventtrack.data_rights import count_person, find_person
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.identity import customer_uuid
from flask_eventtrack.records import (
    Claim,
    Event,
    Identified,
    PageView,
    Record,
    SessionEnd,
    encode_record,
)
from flask_eventtrack.store import Erased

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, START, Host
from .test_docs import run_blocks
from .test_journal import adopt, home_of, leave, segments
from .test_pipeline import PATIENT, wait_until
from .test_store import (
    NAIVE,
    a_page,
    an_event,
    an_id,
    at,
    contents,
    quality,
    recount,
    session_of,
    totals,
    write_records,
)

ADA, BOB = "customer-4711", "customer-0815"
NAMES = {ADA: "Lovelace", BOB: "Babbage"}
ADA_UUID, BOB_UUID = (customer_uuid("flask-eventtrack", each) for each in (ADA, BOB))
STRANGER = uuidlib.UUID("22222222-2222-4222-8222-222222222222")
NOBODY = uuidlib.UUID("33333333-3333-4333-8333-333333333333")
TABLES = (
    *("event", "session", "profile", "alias", "hourly", "quality"),
    *("uncounted", "rejected", "tombstone"),
)


@pytest.fixture
def shop(make: MakeHost, database_url: str, tmp_path: pathlib.Path) -> Host:
    """A host whose writer waits to be asked, with a log-in, on each kind of database."""
    return open_shop(make, database_url, tmp_path)


def open_shop(make: MakeHost, url: str, folder: pathlib.Path, **options: t.Any) -> Host:
    config = {**PATIENT, "EVENTTRACK_JOURNAL_DIR": str(folder / "journals")}
    host = make(config, url=url, **options)
    host.events.define("order.ship", label="Shipped")

    @host.app.post("/login/<customer>")
    def login(customer: str) -> str:
        identify(customer, traits={"name": NAMES[customer]})
        return "welcome"

    @host.app.post("/logout")
    def leave_shop() -> str:
        logout()
        return "good-bye"

    return host


def browse(host: Host, *steps: str, client: FlaskClient | None = None) -> FlaskClient:
    """Visit pages ("/path") and log in ("customer") with one browser, a second apart."""
    client = client or host.client()
    for step in steps:
        host.clock.advance(seconds=1)
        if step.startswith("/"):
            client.get(step, headers=NAVIGATION)
        else:
            client.post(f"/login/{step}")
    return client


def forget(host: Host, who: str | int | uuidlib.UUID) -> Erased:
    host.clock.advance(seconds=10)
    with host.app.app_context():
        return host.events.forget(who)


def export(host: Host, who: str | int | uuidlib.UUID) -> list[dict[str, t.Any]]:
    with host.app.app_context():
        return list(host.events.export(who))


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


def events_of(host: Host, *uuids: uuidlib.UUID) -> list[dict[str, t.Any]]:
    return [row for row in host.rows("event", "time", "id") if row["uuid"] in uuids]


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
    """Commit an event with a note that it is to be counted, which nobody has done yet."""
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
    """The customer's id, their profile, or what one of their devices was before the log-in."""
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
    """As by identify(): nothing is erased for a word that means nobody."""
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


def strangers_of(host: Host, number: int) -> list[uuidlib.UUID]:
    """Return what Ada was on so many devices before she logged in there."""
    strangers = [uuidlib.UUID(int=each, version=4) for each in range(1, number + 1)]
    write_records(
        host,
        *(
            Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0), anonymous=each)
            for each in strangers
        ),
    )
    return strangers


def test_a_person_of_many_profiles(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in no statement all at once: databases limit its parameters."""
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
        found = count_person(shop.state, find_person(shop.state, strangers[7]))
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


# What comes later


def test_a_copy_of_the_journal_brings_nothing_back(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """Records are dropped, and counted as that; those of others are known."""
    browse(shop, "/", "/products/mug", ADA, "/")
    browse(shop, "/", BOB)
    [segment] = segments(home_of(shop))
    shutil.copytree(segment.parent, tmp_path / "copy")
    forget(shop, ADA)
    before = contents(shop)
    (tmp_path / "copy" / "lock").unlink()
    shutil.copytree(tmp_path / "copy", home_of(shop) / "copy")
    adopt(open_shop(make, database_url, tmp_path, create=False))
    assert contents(shop) == before
    assert quality(shop)["dropped", "page.visit", "erased"] == 3
    assert quality(shop)["dropped", "customer.login", "erased"] == 1


def test_what_another_process_holds_is_dropped(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """It writes later than the erasure, and has not heard of it."""
    other = open_shop(make, database_url, tmp_path, create=False)
    browse(other, "/", ADA, "/")
    assert forget(shop, ADA) == Erased()
    other.flush()
    assert contents(shop) == {"event": [], "session": [], "profile": [], "alias": [], "hourly": {}}
    assert quality(shop)["dropped", "customer.login", "erased"] == 1


def test_a_late_log_in_shows_who_a_stranger_was(shop: Host) -> None:
    """What the stranger did is stored, that it was the erased customer comes later: it goes too."""
    write_records(
        shop, a_page("/", 1, uuid=STRANGER), a_page("/", 1, uuid=NOBODY, session=None, client=None)
    )
    forget(shop, ADA)
    late = Identified(
        uuid=ADA_UUID, customer_id=ADA, time=at(1), anonymous=STRANGER, traits={"a": 1}
    )
    write_records(shop, late)
    write_records(shop, a_page("/late", 1, uuid=STRANGER, id=an_id(3)))
    assert shop.rows("profile") == shop.rows("alias") == shop.rows("session") == []
    assert {row["uuid"] for row in shop.rows("event")} == {NOBODY}
    assert totals(shop) == recount(shop)


def test_a_late_visit_takes_no_customer_along(shop: Host) -> None:
    """Whose browser told of the erased person's page first may be somebody who is known."""
    visit = an_id(1)
    half = {"half": "browser", "id": visit, "client": None, "session": session_of(NOBODY)}
    write_records(
        shop,
        a_page("/", 1, uuid=BOB_UUID, params={"status": None}, **half),
        an_event("order.ship", 2, uuid=BOB_UUID),
    )
    before = len(events_of(shop, BOB_UUID))
    forget(shop, STRANGER)
    write_records(shop, a_page("/", 1, uuid=STRANGER, id=visit))
    assert len(events_of(shop, BOB_UUID)) == before >= 2


def test_an_erased_profile_of_a_day_does_not_come_back(shop: Host) -> None:
    """An anonymous visit has its profile from the writer: that is the one that is asked for."""
    write_records(shop, a_page("/", 1, uuid=NOBODY, session=None))
    [profile] = {row["uuid"] for row in shop.rows("event")}
    assert profile != NOBODY
    forget(shop, profile)
    write_records(shop, a_page("/", 2, uuid=STRANGER, session=None, id=an_id(9)))
    assert shop.rows("event") == []


def test_a_day_s_profile_is_found_where_its_visit_was_refused(shop: Host) -> None:
    """The visit is set aside under the profile that it would have had, and not with its browser."""
    write_records(shop, a_page("/", 1, uuid=NOBODY, session=None))
    write_records(shop, a_page("/", 2, uuid=STRANGER, session=None, received_at=NAIVE))
    [profile] = {row["uuid"] for row in shop.rows("event")}
    [row] = shop.rows("rejected")
    assert CHROME not in row["payload"]
    assert forget(shop, profile).rejected == 1
    assert shop.rows("rejected") == []


def test_a_late_log_in_takes_nobody_s_stranger(shop: Host) -> None:
    """A stranger who is known as another customer's by now stays theirs."""
    bobs = Identified(uuid=BOB_UUID, customer_id=BOB, time=at(1), anonymous=STRANGER)
    write_records(shop, a_page("/", 1, uuid=STRANGER), bobs)
    forget(shop, ADA)
    write_records(shop, Identified(uuid=ADA_UUID, customer_id=ADA, time=at(1), anonymous=STRANGER))
    assert len(events_of(shop, STRANGER)) == 2
    assert [row["customer_id"] for row in shop.rows("profile")] == [BOB]


def test_a_late_log_in_does_not_tie_an_erased_stranger(shop: Host) -> None:
    """The customer is known, and what they were before is not."""
    write_records(shop, a_page("/", 1, uuid=STRANGER))
    forget(shop, STRANGER)
    write_records(
        shop, Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0.5), anonymous=STRANGER)
    )
    assert shop.rows("alias") == []
    assert [row["customer_id"] for row in shop.rows("profile")] == [ADA]


@pytest.mark.parametrize("half", [False, True])
def test_what_a_browser_kept_of_an_erased_visit_is_dropped(shop: Host, *, half: bool) -> None:
    """It comes without cookies, and says by the visit's id, or the page's, whose it is."""
    page_id = an_id(1.5)
    visit = a_page("/", 1, uuid=ADA_UUID)
    joined = an_event(
        "page.visit",
        1.5,
        id=page_id,
        uuid=ADA_UUID,
        half="browser",
        source="browser",
        params={"url": "http://localhost/", "path": "/"},
        claim=Claim(visit.id),
    )
    write_records(shop, visit, joined)
    forget(shop, ADA)
    if half:
        late = msgspec.structs.replace(
            joined,
            id=an_id(1.7),
            uuid=NOBODY,
            session=session_of(NOBODY),
            claim=Claim(visit.id, cookieless=True, kept=True),
        )
    else:
        late = an_event(
            "button.click",
            1.7,
            NOBODY,
            source="browser",
            claim=Claim(page_id, cookieless=True, kept=True),
        )
    write_records(shop, late)
    assert shop.rows("event") == shop.rows("session") == []


def lone_half(visit: Event) -> Event:
    """Return the browser's half of a visit, of a browser without cookies."""
    return an_event(
        "page.visit",
        1.5,
        uuid=NOBODY,
        session=session_of(NOBODY),
        half="browser",
        source="browser",
        params={"url": "http://localhost/", "path": "/"},
        claim=Claim(visit.id, cookieless=True),
    )


def test_the_server_s_half_shows_whose_a_lone_half_was(shop: Host) -> None:
    """A browser without cookies was first: its row is the erased person's, as it turns out."""
    visit = a_page("/", 1, uuid=ADA_UUID)
    write_records(shop, lone_half(visit))
    forget(shop, ADA)
    assert len(shop.rows("event")) == 2
    write_records(shop, visit)
    assert shop.rows("event") == shop.rows("session") == []
    assert totals(shop) == {}


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_transaction_of_the_host_s_that_ends_later(shop: Host) -> None:
    """Its event becomes a row after the erasure, and is removed when it would be counted."""
    with shop.app.app_context():
        track("order.ship", customer=ADA, in_transaction=True)
        track("order.ship", customer=BOB, in_transaction=True)
        shop.clock.advance(seconds=1)
        assert shop.events.forget(ADA) == Erased()
        shop.db.session.commit()
    shop.flush()
    assert [row["uuid"] for row in shop.rows("event")] == [BOB_UUID]
    assert (totals(shop), shop.rows("uncounted")) == (recount(shop), [])
    assert quality(shop)["dropped", "order.ship", "erased"] == 1


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_record_that_is_being_refused_is_not_set_aside(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The person is erased between the refusal and the note of it."""
    other = open_shop(make, database_url, tmp_path, create=False)
    erased: list[Erased] = []

    def erase_once(*_: object) -> None:
        if not erased:
            erased.append(forget(other, ADA))

    sa.event.listen(shop.state.pipeline.database._engine, "checkin", erase_once)
    write_records(shop, an_event(seconds=0.5, uuid=ADA_UUID, label="x" * 256, session=None))
    assert erased == [Erased()]
    assert shop.rows("rejected") == shop.rows("event") == []


# Coming back


def test_who_comes_back_is_recorded(shop: Host) -> None:
    """With the cookies of before, in the same session, which begins anew."""
    client = browse(shop, "/", ADA, "/products/tea")
    forget(shop, ADA)
    erased_at = shop.clock.moment
    browse(shop, "/products/mug", "/", client=client)
    visits = shop.events_of("page.visit")
    assert [row["params"]["path"] for row in visits] == ["/products/mug", "/"]
    assert {row["uuid"] for row in shop.rows("event")} == {ADA_UUID}
    [session] = shop.rows("session")
    assert (session["pages"], session["entry"]) == (2, "/products/mug")
    [start] = shop.events_of("session.start")
    assert session["started_at"] == visits[0]["time"] > start["time"] > erased_at
    assert totals(shop) == recount(shop)


def test_a_session_does_not_tell_that_it_began_before(shop: Host) -> None:
    """What comes after the erasure begins it anew, also if that is not in order."""
    session = session_of(STRANGER)
    write_records(shop, an_event(seconds=1, uuid=ADA_UUID, session=session))
    forget(shop, ADA)
    for seconds in (16, 15):
        write_records(
            shop, an_event(seconds=seconds, uuid=ADA_UUID, session=session, id=an_id(seconds))
        )
    [row] = shop.rows("session")
    assert (row["started_at"], row["events"]) == (at(15), 2)
    assert [event["time"] > at(14) for event in shop.rows("event")] == [True] * 3
    assert totals(shop) == recount(shop)


def test_a_session_that_goes_on_while_it_is_erased(shop: Host) -> None:
    """It begins and ends anew: the events that are still there are not taken for its own."""
    session = session_of(STRANGER)
    ended = SessionEnd(session_id=session.id, reason="timeout")
    write_records(shop, an_event(seconds=1, uuid=ADA_UUID, session=session))
    write_records(shop, ended)
    shop.clock.advance(seconds=10)
    progress = shop.state.pipeline.forget([ADA_UUID])
    assert next(progress).sessions == 1
    write_records(shop, an_event(seconds=12, uuid=ADA_UUID, session=session))
    write_records(shop, ended)
    collections.deque(progress, maxlen=0)
    events = shop.rows("event", "time", "id")
    assert sorted(row["action"] for row in events) == ["order.ship", "session.end", "session.start"]
    assert all(row["time"] > at(10) for row in events)
    assert totals(shop) == recount(shop)


def test_who_comes_back_can_be_erased_again(shop: Host) -> None:
    """Another erasure, with a moment of its own."""
    client = browse(shop, "/", ADA)
    forget(shop, ADA)
    browse(shop, "/", ADA, client=client)
    assert forget(shop, ADA).events == 2
    assert shop.rows("event") == shop.rows("profile") == []
    write_records(shop, a_page("/", 2.5, uuid=ADA_UUID))
    assert shop.rows("event") == []


SECONDS = [("before", 8), ("at", 10), ("after", 12)]


def records_at(seconds: float) -> dict[str, Record]:
    """Return a record of each kind that tells of Ada."""
    now = int(at(seconds).timestamp()) * 1_000_000_000
    view = PageView(
        id=an_id(seconds),
        arrival=now,
        uuid=ADA_UUID,
        device_id=STRANGER,
        session_number=1,
        session_started=now,
        scheme="http",
        host="localhost",
        script_root="",
        path="/",
        query="",
        endpoint="home",
        url_rule="/",
        referrer="",
        title="",
        status=200,
        duration_ns=1,
        client=None,
    )
    return {
        "view": view,
        "event": an_event(seconds=seconds, uuid=ADA_UUID, session=None),
        "identified": Identified(uuid=ADA_UUID, customer_id=ADA, time=at(seconds)),
        "end": SessionEnd(session_id=session_of(STRANGER).id, reason="logout"),
    }


@pytest.mark.parametrize("kind", ["view", "event", "identified", "end"])
@pytest.mark.parametrize(("when", "seconds"), SECONDS)
def test_what_is_not_after_the_erasure_is_dropped(
    host: Host, kind: str, when: str, seconds: float
) -> None:
    """Each kind of record, a moment before, at and after it."""
    forget(host, ADA)
    write_records(host, records_at(seconds)[kind])
    is_kept = when == "after" and kind != "end"
    assert bool(host.rows("event") + host.rows("profile")) is is_kept


def test_a_tombstone_says_nothing_without_the_salt(shop: Host) -> None:
    """A hash with a key of 32 bytes stands for the uuid; it survives another SECRET_KEY."""
    forget(shop, ADA)
    rows = [row for row in shop.rows("tombstone") if row["uuid_hash"]]
    assert [len(row["uuid_hash"]) for row in rows] == [64]
    assert rows[0]["erased_at"] == shop.clock.moment
    assert rows[0]["uuid_hash"] == shop.state.pipeline.writer._hooks.tombstones.hash_of(ADA_UUID)


# At once


def pause_inserts(host: Host, reached: threading.Event, go_on: threading.Event) -> None:
    """Hold a host's batches before they insert events, in the middle of their transactions."""
    engine = host.state.pipeline.database._engine

    @sa.event.listens_for(engine, "before_cursor_execute")
    def hold(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO eventtrack_event"):
            reached.set()
            go_on.wait(30)


def test_a_batch_that_began_before_does_not_slip_through(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The erasure waits for it, since it cannot know of the tombstone."""
    write_records(shop, an_event(seconds=0.1, uuid=BOB_UUID, session=None))
    other = open_shop(make, database_url, tmp_path, create=False)
    reached, go_on = threading.Event(), threading.Event()
    pause_inserts(other, reached, go_on)
    batch = threading.Thread(
        target=write_records, args=(other, an_event(seconds=0.5, uuid=ADA_UUID, session=None))
    )
    erasure = threading.Thread(target=forget, args=(shop, ADA))
    batch.start()
    assert reached.wait(30)
    erasure.start()
    erasure.join(0.7)  # it would be over by then if nothing kept it
    go_on.set()
    batch.join(30)
    erasure.join(30)
    assert [row["uuid"] for row in shop.rows("event")] == [BOB_UUID]
    assert totals(shop) == recount(shop)


def test_a_batch_that_began_before_tells_more_of_the_person(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """Who they were and what they visited, which the erasure has not found at first."""
    write_records(shop, a_page("/", 0.1, uuid=STRANGER, session=session_of(STRANGER)))
    visit = a_page("/", 0.5, uuid=ADA_UUID, session=session_of(ADA_UUID))
    log_in = Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0.4), anonymous=STRANGER)
    other = open_shop(make, database_url, tmp_path, create=False)
    reached, go_on = threading.Event(), threading.Event()
    pause_inserts(other, reached, go_on)
    batch = threading.Thread(target=write_records, args=(other, log_in, visit))
    erasure = threading.Thread(target=forget, args=(shop, ADA))
    batch.start()
    assert reached.wait(30)
    erasure.start()
    erasure.join(0.7)  # it has looked for them by then
    go_on.set()
    batch.join(30)
    erasure.join(30)
    claim = Claim(visit.id, cookieless=True, kept=True)
    late = an_event("button.click", 0.6, NOBODY, source="browser", claim=claim)
    write_records(shop, late, a_page("/late", 0.7, uuid=STRANGER))
    assert shop.rows("event") == shop.rows("session") == shop.rows("alias") == []
    assert totals(shop) == {}


_COUNT_WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND NOT granted
"""


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_batches_queue_behind_an_erasure(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """One that begins while the erasure waits does not overtake it, or it might wait for ever."""
    others = [open_shop(make, database_url, tmp_path, create=False) for _ in range(2)]
    reached, go_on = threading.Event(), threading.Event()
    pause_inserts(others[0], reached, go_on)
    first, second = (
        threading.Thread(
            target=write_records, args=(host, an_event(uuid=ADA_UUID, id=an_id(n), session=None))
        )
        for n, host in enumerate(others)
    )
    erasure = threading.Thread(target=forget, args=(shop, ADA))

    def count_waiting() -> int:
        with shop.state.pipeline.database.read() as connection:
            return int(connection.exec_driver_sql(_COUNT_WAITING).scalar_one())

    first.start()
    assert reached.wait(30)
    erasure.start()
    wait_until(lambda: count_waiting() == 1)
    second.start()
    wait_until(lambda: count_waiting() == 2 or not second.is_alive())
    go_on.set()
    for thread in (first, second, erasure):
        thread.join(30)
    assert quality(shop)["dropped", "order.ship", "erased"] == 1
    assert shop.rows("event") == []


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_what_turns_out_to_be_another_s_meanwhile_stays(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The server's half says whose a visit is after the erasure has found it the person's."""
    visit = a_page("/", 1, uuid=BOB_UUID)
    write_records(shop, lone_half(visit))
    other = open_shop(make, database_url, tmp_path, create=False)
    late: list[Record] = [visit]

    @sa.event.listens_for(shop.state.pipeline.database._engine, "before_cursor_execute")
    def write_late(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "eventtrack_uncounted.event_id IN" in statement and late:
            write_records(other, late.pop())

    forget(shop, NOBODY)
    assert late == []
    [row] = shop.events_of("page.visit")
    assert (row["id"], row["uuid"]) == (visit.id, BOB_UUID)
    assert totals(shop) == recount(shop)


def test_an_erasure_among_many_writers(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """Nothing of the person is left, nothing of the others is missing, and totals are right."""
    begun, batches = threading.Event(), 25

    def write_many(host: Host, number: int) -> None:
        for batch in range(batches):
            seconds = number + batch / 100
            records: list[Record] = [
                a_page(
                    f"/{batch}", seconds, uuid=uuid, device=uuid, session=session_of(uuid, number)
                )
                for uuid in (ADA_UUID, BOB_UUID)
            ]
            write_records(host, *records)
            if batch == 5:
                begun.set()

    shop.clock.advance(seconds=10)
    others = [open_shop(make, database_url, tmp_path, create=False) for _ in range(3)]
    writers = [
        threading.Thread(target=write_many, args=(host, number))
        for number, host in enumerate(others)
    ]
    for writer in writers:
        writer.start()
    assert begun.wait(30)
    forget(shop, ADA)
    for writer in writers:
        writer.join(60)
    assert events_of(shop, ADA_UUID) == []
    assert len(events_of(shop, BOB_UUID)) == 3 * batches + 3
    assert {row["uuid"] for row in shop.rows("session")} == {BOB_UUID}
    assert totals(shop) == recount(shop)


# Batches


def test_a_big_person_is_erased_in_batches(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction each; interrupted, another run finishes the work."""
    monkeypatch.setattr("flask_eventtrack.store.erasure.BATCH_SIZE", 10)
    write_records(shop, Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0), anonymous=STRANGER))
    write_records(shop, *(an_event(seconds=n / 10, uuid=STRANGER, id=an_id(n)) for n in range(35)))
    shop.clock.advance(seconds=10)
    progress = shop.state.pipeline.forget([ADA_UUID])
    assert [next(progress).events for _ in range(3)] == [0, 10, 20]
    del progress
    assert len(shop.rows("event")) == 16
    assert totals(shop) == recount(shop)
    assert forget(shop, ADA).events == 16
    assert shop.rows("event") == shop.rows("alias") == []


def test_a_big_person_blocks_nobody(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host writes to its SQLite file while the erasure is at it."""
    monkeypatch.setattr("flask_eventtrack.store.erasure.BATCH_SIZE", 50)
    for start in range(0, 2000, 500):
        write_records(
            host,
            *(
                an_event(seconds=n / 1000, uuid=ADA_UUID, id=an_id(n), session=None)
                for n in range(start, start + 500)
            ),
        )
    host.clock.advance(seconds=10)
    written = 0
    with host.app.app_context(), host.db.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE things (id INTEGER)")
        connection.exec_driver_sql("PRAGMA busy_timeout = 1000")
        erasure = threading.Thread(target=forget, args=(host, ADA))
        erasure.start()
        while erasure.is_alive():
            connection.exec_driver_sql("INSERT INTO things VALUES (1)")
            connection.commit()
            written += 1
            erasure.join(0.005)  # or it would find the file locked nearly always
    assert written > 10
    assert host.rows("event") == []


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
    assert f"A person was erased: {erased.events} events, 1 sessions." in caplog.messages
    assert not [name for name in (ADA, NAMES[ADA], *map(str, uuids)) if name in caplog.text]


# In memory


def test_a_person_in_an_in_memory_database(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://")
    browse(host, "/")
    [visit] = host.events_of("page.visit")
    assert forget(host, visit["uuid"]).events == 2
    assert host.rows("event") == []


# Access


def test_an_export_has_all_of_a_person(shop: Host) -> None:
    """Profile, aliases, sessions, events of all devices; the oldest first, ready for JSON."""
    browse(shop, "/", ADA)
    browse(shop, "/products/tea", ADA)
    browse(shop, "/", BOB)
    items = export(shop, ADA)
    kinds = [item["type"] for item in items]
    assert kinds == ["profile", *["alias"] * 2, *["session"] * 2, *["event"] * 6]
    assert json.loads(json.dumps(items)) == items
    assert items[0]["traits"] == {"name": "Lovelace"}
    assert items[0]["uuid"] == str(ADA_UUID)
    times = [item["time"] for item in items if item["type"] == "event"]
    moments = list(map(dt.datetime.fromisoformat, times))
    assert moments == sorted(moments)
    assert moments[0].tzinfo == dt.UTC
    assert not any(item.get("uuid") == str(BOB_UUID) for item in items)
    columns = {column.name for column in shop.state.pipeline.database.tables.event.columns}
    assert set(items[-1]) == columns | {"type"}


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_an_export_is_read_in_pages(shop: Host, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """Nothing is left out or comes twice, also among events of the same moment."""
    monkeypatch.setattr("flask_eventtrack.reports.export._PAGE", page)
    profiles = [ADA_UUID, *strangers_of(shop, 5)]
    events = [
        an_event(seconds=n // 15, uuid=profiles[n % 11 % 6], id=an_id(n), session=None)
        for n in range(30)
    ]
    write_records(shop, *events)
    found = [item for item in export(shop, ADA) if item["type"] == "event"]
    assert sorted(item["id"] for item in found) == sorted(str(event.id) for event in events)
    assert [item["time"] for item in found] == sorted(item["time"] for item in found)


def test_an_export_reads_when_it_is_asked(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of what comes next; what is erased meanwhile does not come."""
    monkeypatch.setattr("flask_eventtrack.reports.export._PAGE", 2)
    strangers = strangers_of(shop, 5)
    events = [
        an_event(seconds=n, uuid=strangers[n // 2], id=an_id(n), session=None) for n in range(10)
    ]
    write_records(shop, *events)
    with shop.app.app_context():
        items = shop.events.export(ADA)
    assert [next(items)["type"] for _ in range(7)] == ["profile", *["alias"] * 5, "event"]
    forget(shop, ADA)
    assert [item["id"] for item in items] == [str(events[1].id)]


# The guide


def test_the_guide_erases_and_exports(host: Host) -> None:
    """Its examples run, and do what it says."""
    browse_as = run_blocks("docs/howto/erase-and-export.md", vars_of(host))
    client = host.client()
    client.get("/", headers=NAVIGATION)
    with host.app.app_context():
        track("order.ship", {}, customer="7")
    host.clock.advance(seconds=1)
    answer = client.get("/account/7/data")
    assert [json.loads(line)["type"] for line in answer.text.splitlines()] == ["event"]
    host.clock.advance(seconds=1)
    assert client.post("/account/7/delete").status_code == 303
    assert browse_as["told"] == ["7"]
    assert events_of(host, customer_uuid("flask-eventtrack", "7")) == []


def vars_of(host: Host) -> dict[str, t.Any]:
    host.events.define("order.ship")
    return {"app": host.app, "events": host.events}
