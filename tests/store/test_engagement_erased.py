"""Engagement of people who are erased, who object, or whose events are past their retention."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import msgspec

from flask_eventtrack.records import Claim

from ..hosts import Host
from .halves import BROWSER, SERVER
from .people import events_of, forget
from .records import (
    DEVICE,
    at,
    contents,
    quality,
    recount,
    session_of,
    totals,
    write,
    write_records,
)
from .test_engagement import ENGAGED, MISSING, check, engage, seen, waiting


def test_engagement_brings_nothing_back(shop: Host) -> None:
    """Of an erased person, whether it is from before or after the erasure: neither row nor time."""
    write_records(shop, SERVER, BROWSER, ENGAGED)
    shop.clock.advance(seconds=50)
    forget(shop, DEVICE)
    write_records(shop, ENGAGED, engage(seconds=55))
    later = engage(seconds=300, session=session_of(DEVICE, 2, 200))
    write_records(shop, later)
    assert shop.rows("event") == shop.rows("session") == []
    assert quality(shop)["dropped", "page.engage", "erased"] == 2
    assert totals(shop) == recount(shop)


def test_what_waits_is_erased(shop: Host) -> None:
    """Other people's goes on waiting."""
    stranger = uuidlib.uuid4()
    theirs: dict[str, t.Any] = {"uuid": stranger, "session": session_of(stranger)}
    other = msgspec.structs.replace(engage(seconds=3, claim=None, **theirs), page=stranger)
    write(shop, engage(seconds=3, claim=None), other)
    assert len(waiting(shop)) == 2
    shop.clock.advance(seconds=50)
    forget(shop, DEVICE)
    assert [event.page for event in waiting(shop)] == [stranger]


def test_what_waits_for_an_erased_visit_is_erased(shop: Host) -> None:
    """A browser without cookies has told of it, and has a device of its own."""
    browser = uuidlib.uuid4()
    claim = Claim(SERVER.id, cookieless=True)
    told = engage(None, 3, claim, uuid=browser, session=session_of(browser))
    write(shop, told)
    database = shop.state.pipeline.database
    note = database.tables.uncounted
    with database.begin() as connection:
        [kept] = connection.execute(note.select()).mappings().all()
        connection.execute(note.delete())
    write(shop, SERVER)
    with database.begin() as connection:  # as if both were written at the same moment
        connection.execute(note.insert().values(dict(kept)))
    shop.clock.advance(seconds=50)
    forget(shop, DEVICE)
    assert waiting(shop) == []


def test_who_objects_is_not_measured(shop: Host) -> None:
    """From then on; the visit keeps what it had."""
    write_records(shop, SERVER, BROWSER, engage(params={"visible_ms": 2_000}))
    shop.clock.advance(seconds=30)
    shop.state.pipeline.opt_out([DEVICE])
    write_records(shop, engage(seconds=60))
    assert seen(shop) == [(2_000, None)]
    assert quality(shop)["dropped", "page.engage", "opted out"] == 1


def test_a_session_outlives_its_pruned_visits(shop: Host) -> None:
    """Later engagement with one of them changes nothing; the session keeps its sum."""
    write(shop, SERVER, BROWSER, ENGAGED)
    database = shop.state.pipeline.database
    with database.begin() as connection:
        connection.execute(database.tables.event.delete())
    before = contents(shop)["session"]
    write(shop, engage(seconds=60, params={"visible_ms": 50_000}))
    assert contents(shop)["session"] == before
    assert [row["visible_ms"] for row in before] == [18_000]


def test_a_visit_outlives_its_pruned_session(shop: Host) -> None:
    """Engagement opens no session anew."""
    write(shop, SERVER, BROWSER)
    database = shop.state.pipeline.database
    with database.begin() as connection:
        connection.execute(database.tables.session.delete())
    write(shop, ENGAGED)
    assert (seen(shop), shop.rows("session")) == ([(18_000, 92)], [])


def test_an_export_has_it_with_the_visit(shop: Host) -> None:
    """And the session's sum; there is no line for the engagement itself."""
    write(shop, SERVER, BROWSER, ENGAGED)
    with shop.app.app_context():
        lines = list(shop.events.export(DEVICE))
    found = {line["type"]: line for line in lines}
    visits = [line for line in lines if line.get("action") == "page.visit"]
    assert found["session"]["visible_ms"] == 18_000
    assert [line["params"]["visible_ms"] for line in visits] == [18_000]
    assert "page.engage" not in {line.get("action") for line in lines}
    assert len(events_of(shop, DEVICE)) == 2
    check(shop)
    assert MISSING not in quality(shop)
    assert at(0) == SERVER.time
