"""Nothing restores an erased person's data; a person who returns is recorded anew."""

from __future__ import annotations

import collections
import pathlib
import shutil

import msgspec
import pytest
import sqlalchemy as sa

from flask_eventtrack import track
from flask_eventtrack.records import Claim, Identified, PageView, Record, SessionEnd
from flask_eventtrack.store.erasure import Erased

from ..conftest import MakeHost
from ..hosts import CHROME, Host
from ..pipeline.journals import adopt, home_of, segments
from .people import (
    ADA,
    ADA_UUID,
    BOB,
    BOB_UUID,
    NOBODY,
    STRANGER,
    browse,
    events_of,
    forget,
    lone_half,
    open_shop,
)
from .records import (
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
    """A stranger's events are stored; a later log-in shows that they are the erased customer's."""
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
    """The browser that reported the erased person's page first may be a known customer's."""
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


def test_a_late_record_takes_no_end_of_another_s_session_along(shop: Host) -> None:
    """In one batch with what is dropped, it ends the session that it names."""
    session = session_of(NOBODY)
    write_records(shop, an_event(seconds=1, uuid=NOBODY, session=session))
    forget(shop, STRANGER)
    late = an_event(seconds=2, uuid=STRANGER, session=session_of(STRANGER))
    write_records(shop, late, SessionEnd(session_id=session.id, reason="logout"))
    assert shop.actions() == {"session.start": 1, "order.ship": 1, "session.end": 1}
    assert events_of(shop, STRANGER) == []


def test_an_erased_profile_of_a_day_does_not_come_back(shop: Host) -> None:
    """The writer gives an anonymous visit its profile, and looks up that profile's tombstone."""
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
    """A stranger who was merged with another customer meanwhile stays theirs."""
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
    """It comes without cookies, and the visit's id, or the page's, identifies its owner."""
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


def test_the_server_s_half_shows_whose_a_lone_half_was(shop: Host) -> None:
    """A browser without cookies reported first: its row turns out to be the erased person's."""
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
    """With the old cookies, in the same session, which begins anew."""
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
