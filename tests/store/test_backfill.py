"""Sessions of earlier releases get their person and landing route, also after a kill."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack.records import TOUCH
from flask_eventtrack.store import backfill
from flask_eventtrack.store.tables import VERSION
from flask_eventtrack.store.upgrade import upgrade_data

from ..commands import run
from ..conftest import MakeHost
from ..hosts import START, Host
from ..pipeline.waiting import PATIENT
from .old_sessions import an_old_session, fill, insert_old
from .persons import CUSTOMER, OTHER, apply_aliases, log_in, unapplied, wrong_people
from .plain_counts import check, look
from .records import DEVICE, a_page, an_event, an_id, at, session_of, write

PHONE = uuidlib.UUID("44444444-4444-4444-8444-444444444444")
DONE = f"The tables are up to date: version {VERSION}."
STEP = "Filling the person of sessions, their landing route and channel, and profiles' touches."


def touches(host: Host) -> dict[str, tuple[t.Any, t.Any]]:
    """Return when and from where the profiles' first and last touch were."""
    return {
        row["uuid"]: (
            (row["first_at"], row["first_source"]),
            (row["last_at"], row["last_source"]),
        )
        for row in host.rows("profile")
    }


def test_people_are_filled_by_aliases(db_host: Host) -> None:
    """Through a chain of two; who has no alias is their own person."""
    rows = [an_old_session(each, 1) for each in (DEVICE, PHONE, OTHER, CUSTOMER)]
    insert_old(db_host, rows, {DEVICE: OTHER, OTHER: CUSTOMER})
    assert (
        "ET023 warning: The stored rows are of an earlier release." in run(db_host, "doctor").output
    )
    answer = run(db_host, "upgrade", "--data-only")
    assert answer.output.splitlines() == [STEP, "4 sessions filled.", DONE]
    assert wrong_people(db_host) == []
    assert {row["person"] for row in db_host.rows("session")} == {CUSTOMER, PHONE}
    assert run(db_host, "upgrade").output.splitlines() == [DONE]
    assert "ET023" not in run(db_host, "doctor").output
    assert apply_aliases(db_host) == 1
    assert unapplied(db_host) == []


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_days_that_were_closed_before_are_counted_again(make: MakeHost, zone: str) -> None:
    """The upgrade does not know the site's zone, so it marks the days around a session's."""
    shop = make({"EVENTTRACK_TIMEZONE": zone, **PATIENT})
    write(shop, a_page("/", 3), identified=[log_in(anonymous=None)])
    insert_old(shop, [an_old_session(DEVICE, each) for each in (1, -36_000)], {DEVICE: CUSTOMER})
    shop.clock.advance(days=3)
    assert list(shop.state.pipeline.close_days())
    assert "2 sessions filled." in run(shop, "upgrade", "--data-only").output
    check(look(shop, zone))


def test_a_late_visit_before_a_session_is_filled(make: MakeHost) -> None:
    """Whose days are counted again, keeps those of sessions without a person."""
    shop = make(PATIENT)
    insert_old(shop, [an_old_session(PHONE, 1)])
    shop.clock.advance(days=3)
    assert list(shop.state.pipeline.close_days())
    write(shop, a_page("/", 86_400, uuid=PHONE, session=session_of(PHONE, 2, 86_400)))
    check(look(shop, "UTC"))


def test_the_landing_route_is_that_of_the_first_page(db_host: Host) -> None:
    """Where that page is stored, and has a rule: a page that was not found has none."""
    table = db_host.state.pipeline.database.tables.session
    write(db_host, a_page("/later", 9), a_page("/", 1))
    phone: dict[str, t.Any] = {"device": PHONE, "session": session_of(PHONE)}
    write(db_host, a_page("/nothing", 1, **phone, id=an_id(1.5), url_rule=""))
    insert_old(db_host, [an_old_session(OTHER, 1)])
    with db_host.state.pipeline.database.begin() as connection:
        connection.execute(table.update().values(person=None, entry_rule=None))
    run(db_host, "upgrade", "--data-only")
    found = {row["uuid"]: row["entry_rule"] for row in db_host.rows("session")}
    assert found == {DEVICE: "/", PHONE: None, OTHER: None}


def test_profiles_get_their_first_touch_and_their_last_that_is_not_direct(db_host: Host) -> None:
    """Over all devices of the customer; a session without a page is no touch."""
    campaign = {"utm_medium": "mail", "utm_campaign": "spring", "referrer": "https://m.example/"}
    rows = [
        an_old_session(DEVICE, 20, source="a.example"),
        an_old_session(PHONE, 30, source="b.example", **campaign),
        an_old_session(CUSTOMER, 40),
        an_old_session(DEVICE, 10),
        an_old_session(DEVICE, 5, source=None, entry_at=None),
    ]
    strangers = [an_old_session(OTHER, 1, source="c.example")]
    insert_old(db_host, [*rows, *strangers], {DEVICE: CUSTOMER, PHONE: CUSTOMER}, [CUSTOMER])
    run(db_host, "upgrade", "--data-only")
    assert touches(db_host) == {CUSTOMER: ((at(10), "direct"), (at(30), "b.example"))}
    [profile] = db_host.rows("profile")
    last = [profile[f"last_{name}"] for name in TOUCH]
    given = ["mail", "spring", None, None, "https://m.example/", None, "mail"]
    assert last == ["b.example", *given, at(30)]


def test_a_known_touch_stays_if_it_is_earlier_or_later(db_host: Host) -> None:
    """New processes have written of the profile before the step ran."""
    insert_old(db_host, [an_old_session(CUSTOMER, 50, source="a.example")], None, [CUSTOMER])
    profile = db_host.state.pipeline.database.tables.profile
    known = {"first_at": at(40), "first_source": "x", "last_at": at(60), "last_source": "y"}
    with db_host.state.pipeline.database.begin() as connection:
        connection.execute(profile.update().values(known))
    run(db_host, "upgrade", "--data-only")
    assert touches(db_host) == {CUSTOMER: ((at(40), "x"), (at(60), "y"))}


def filled(host: Host) -> tuple[t.Any, ...]:
    sessions = sorted((row["id"], row["person"]) for row in host.rows("session"))
    return sessions, touches(host)


def test_a_killed_run_is_continued(db_host: Host) -> None:
    """Whatever the moment: the run after it ends as one that nobody killed."""
    fill(db_host, 60)
    url = db_host.state.pipeline.database._host.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.store.old_sessions", url]
    for lines in (2, 3, 6):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(lines)]
            process.kill()
        assert said[-1].endswith(" sessions so far.\n"), said
        left = [row for row in db_host.rows("session") if row["person"] is None]
        assert 0 < len(left) < 240
    list(upgrade_data(db_host.state.pipeline.database, START))
    assert wrong_people(db_host) == []
    found = touches(db_host)
    assert len(found) == 30
    for first, last in found.values():
        assert (first[1], last[1]) == ("direct", "b.example")
        assert last[0] - first[0] == at(2) - at(0)


def test_it_fills_while_old_and_new_processes_write(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs at once; what an old process has written meanwhile, a later run fills."""
    monkeypatch.setattr(backfill, "_CHUNK", 7)
    fill(db_host, 40)
    database = db_host.state.pipeline.database
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(lambda: list(upgrade_data(database, START))) for _ in range(2)]
        for n in range(40):
            device = uuidlib.UUID(int=n + 1, version=4)
            event = an_event(
                seconds=9000 + n, device=device, session=session_of(device, 9, 9000 + n)
            )
            log_ins = [log_in(uuidlib.uuid5(device, "c"), device)] if n % 3 == 0 else []
            write(db_host, event, identified=log_ins)
        for each in runs:
            each.result(60)
    assert wrong_people(db_host) == []
    insert_old(db_host, [an_old_session(DEVICE, 1)], {DEVICE: CUSTOMER})
    assert len(wrong_people(db_host)) == 1
    assert "ET023" in run(db_host, "doctor").output
    assert run(db_host, "upgrade").output.splitlines() == [STEP, "1 session filled.", DONE]
    assert wrong_people(db_host) == []


def test_an_old_process_s_log_in_is_found_by_the_chores(db_host: Host) -> None:
    """It writes an alias only, and perhaps another profile of a session that a new one opened."""
    write(
        db_host, an_event(seconds=1), an_event(seconds=2, device=PHONE, session=session_of(PHONE))
    )
    insert_old(db_host, [], {DEVICE: CUSTOMER, PHONE: CUSTOMER})
    session = db_host.state.pipeline.database.tables.session
    change = session.update().where(session.c.uuid == PHONE).values(uuid=CUSTOMER)
    with db_host.state.pipeline.database.begin() as connection:
        connection.execute(change)
    assert len(wrong_people(db_host)) == 2
    apply_aliases(db_host)
    assert wrong_people(db_host) == []
    assert unapplied(db_host) == []
