"""Rows of ``page.engage`` from release 0.1 become part of their visits, also after a kill."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.records import SessionEnd
from flask_eventtrack.store import fold
from flask_eventtrack.store.tables import VERSION
from flask_eventtrack.store.upgrade import upgrade_data

from ..commands import run
from ..conftest import MakeHost
from ..hosts import START, Host
from .first_tables import FIRST
from .halves import BROWSER, SERVER, STRANGER, TRACKED, browser_half, server_half
from .host_changes import changing
from .old_engagement import fill, insert_old, old_engagement
from .records import DEVICE, an_event, contents, quality, session_of, the_session, write
from .test_engagement import MISSING, check, seen

DONE = f"The tables are up to date: version {VERSION}."


def test_engagement_moves_into_its_visit(db_host: Host) -> None:
    """Out of feed, session and totals; the larger wins, and session.end stays as written."""
    write(db_host, SERVER, BROWSER, TRACKED)
    told = {"visible_s": 4.5, "scroll": 100, "visit": str(BROWSER.id)}
    insert_old(db_host, old_engagement(BROWSER, 18), old_engagement(BROWSER, 19, params=told))
    write(db_host, ends=[SessionEnd(session_id=session_of(DEVICE).id, reason="timeout")])
    assert the_session(db_host)["events"] == 4
    assert (
        "ET023 warning: The stored rows are of an earlier release." in run(db_host, "doctor").output
    )
    answer = run(db_host, "upgrade", "--data-only")
    assert answer.output.splitlines() == [
        "Moving the rows of page.engage into their page visits.",
        "2 rows moved; 0 of them had no visit, and were removed.",
        DONE,
    ]
    assert seen(db_host) == [(18_000, 100)]
    assert (the_session(db_host)["events"], the_session(db_host)["visible_ms"]) == (2, 18_000)
    [end] = db_host.events_of("session.end")
    assert end["params"]["events"] == 4
    check(db_host)
    before = contents(db_host)
    assert run(db_host, "upgrade").output.splitlines()[-1] == DONE
    assert contents(db_host) == before
    assert "ET023" not in run(db_host, "doctor").output


@pytest.mark.parametrize(
    "orphan",
    [
        old_engagement(None, 18),
        old_engagement(TRACKED, 18),
        old_engagement(browser_half(None, 7), 18),
        old_engagement(BROWSER, 18, params={"visible_s": 5, "visit": "nonsense"}),
        old_engagement(BROWSER, 18, params={"visible_s": 5, "visit": 7}),
        old_engagement(BROWSER, 18, uuid=STRANGER, session=session_of(STRANGER)),
        old_engagement(BROWSER, 18, uuid=STRANGER, session=None),
    ],
    ids=["none", "no visit", "unknown", "nonsense", "number", "stranger", "no session"],
)
def test_what_has_no_visit_is_counted_and_removed(db_host: Host, orphan: object) -> None:
    """Nothing else changes."""
    mine = an_event("order.ship", 2, uuid=STRANGER, session=session_of(STRANGER))
    write(db_host, SERVER, BROWSER, TRACKED, mine)
    before = contents(db_host)
    insert_old(db_host, orphan)  # type: ignore[arg-type]
    [*_, sentence] = upgrade_data(db_host.state.pipeline.database, START)
    assert sentence == "1 row moved; 1 of them had no visit, and were removed."
    assert contents(db_host) == before
    assert quality(db_host)[MISSING] == 1


def test_later_sessions_and_log_ins_fold_too(db_host: Host) -> None:
    """The page was left after its session had ended, or after a log-in: the device is the same."""
    write(db_host, SERVER, BROWSER)
    customer = uuidlib.uuid5(DEVICE, "42")
    later: dict[str, t.Any] = {"uuid": customer, "session": session_of(DEVICE, 2, 3000)}
    write(db_host, an_event("order.ship", 3001, **later))
    insert_old(db_host, old_engagement(BROWSER, 3002, **later))
    list(upgrade_data(db_host.state.pipeline.database, START))
    found = {row["id"]: (row["events"], row["visible_ms"]) for row in db_host.rows("session")}
    assert found == {session_of(DEVICE).id: (1, 18_000), session_of(DEVICE, 2).id: (1, 0)}
    check(db_host)


def test_a_killed_fold_is_continued(db_host: Host) -> None:
    """Whatever the moment: the run after it ends in the same tables as one that nobody killed."""
    number = 60
    fill(db_host, number)
    url = db_host.state.pipeline.database._host.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.store.old_engagement", url]
    for lines in (2, 3, 6):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(lines)]
            process.kill()
        assert said[-1].endswith(" rows so far.\n"), said
        left = len(db_host.events_of("page.engage"))
        assert 0 < left < 2 * number
        for session in db_host.rows("session"):
            rows = [each for each in db_host.rows("event") if each["session_id"] == session["id"]]
            assert session["events"] == len(rows) - 1
    list(upgrade_data(db_host.state.pipeline.database, START))
    assert seen(db_host) == [(18_000, 92)] * number
    assert {row["visible_ms"] for row in db_host.rows("session")} == {18_000}
    check(db_host)
    folded = contents(db_host)
    # As if nothing had ever been told apart from the visits.
    assert quality(db_host).get(MISSING, 0) == 0
    assert all(row["action"] != "page.engage" for row in folded["event"])


def test_it_folds_while_processes_write(db_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """New engagement of the same visits arrives in between; and two runs at once do no harm."""
    monkeypatch.setattr(fold, "_CHUNK", 7)
    fill(db_host, 40)
    database = db_host.state.pipeline.database
    pages = db_host.events_of("page.visit")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(lambda: list(upgrade_data(database, START))) for _ in range(2)]
        for row in pages:
            device = row["uuid"]
            mine: dict[str, t.Any] = {"uuid": device, "session": session_of(device)}
            told = an_event(
                "page.engage",
                30,
                params={"visible_ms": 25_000},
                page=row["claimed_by"],
                source="browser",
                **mine,
            )
            assert db_host.state.pipeline.put(told)
        db_host.flush()
        for each in runs:
            each.result(60)
    list(upgrade_data(database, START))
    assert seen(db_host) == [(25_000, 92)] * 40
    check(db_host)


def test_what_old_processes_write_later_is_folded_by_another_run(db_host: Host) -> None:
    """During a deploy they go on for a while after the upgrade."""
    write(db_host, SERVER, BROWSER)
    run(db_host, "upgrade")
    assert [row["version"] for row in db_host.rows("schema")] == [VERSION]
    insert_old(db_host, old_engagement(BROWSER, 18))
    assert "ET023" in run(db_host, "doctor").output
    assert "1 row moved" in run(db_host, "upgrade").output
    check(db_host)


def test_the_first_release_s_tables_are_upgraded_with_their_engagement(
    make: MakeHost, database_url: str
) -> None:
    """From tables without the columns: these are added first."""
    host = make(url=database_url, create=False)
    page, half = server_half(), browser_half(None)
    with changing(host) as connection:
        FIRST.create_all(connection)
        for event, claimed_by in ((page, half.id), (old_engagement(half, 18), None)):
            at = event.time.replace(tzinfo=None)
            row = {
                **{name: getattr(event, name) for name in ("id", "action", "label", "uuid")},
                "time": at,
                "received_at": at,
                "stored_at": at,
                "site": event.site,
                "url_rule": "",
                "source": event.source,
                "params": event.params,
                "session_id": session_of(DEVICE).id,
                "claimed_by": claimed_by,
            }
            connection.execute(FIRST.tables["eventtrack_event"].insert().values(row))
            hour = at.replace(minute=0, second=0)
            count = {"hour": hour, "site": event.site, "action": event.action, "url_rule": ""}
            connection.execute(FIRST.tables["eventtrack_hourly"].insert().values(**count, count=1))
        started = START.replace(tzinfo=None)
        connection.execute(
            FIRST.tables["eventtrack_session"]
            .insert()
            .values(
                id=session_of(DEVICE).id,
                uuid=DEVICE,
                device_id=DEVICE,
                started_at=started,
                last_seen_at=started,
                pages=1,
                events=2,
                site="localhost",
            )
        )
    output = run(host, "upgrade").output
    assert "Adding the column eventtrack_session.visible_ms.\n" in output
    assert "1 row moved" in output
    assert seen(host) == [(18_000, 92)]
    check(host)


def test_a_row_that_a_host_has_just_written_is_in_no_total_yet(db_host: Host) -> None:
    """Its note goes with it."""
    write(db_host, SERVER, BROWSER)
    before = contents(db_host)
    insert_old(db_host, old_engagement(BROWSER, 18))
    tables = db_host.state.pipeline.database.tables
    with db_host.state.pipeline.database.begin() as connection:
        [row] = db_host.events_of("page.engage")
        connection.execute(tables.uncounted.insert().values(event_id=row["id"], record=b"x"))
        connection.execute(tables.session.update().values(events=1))
        others = tables.hourly.c.action == "page.engage"
        connection.execute(tables.hourly.update().where(others).values(count=2))
    list(upgrade_data(db_host.state.pipeline.database, START))
    assert (db_host.rows("uncounted"), db_host.events_of("page.engage")) == ([], [])
    assert the_session(db_host)["events"] == before["session"][0]["events"]
    query = sa.select(tables.hourly.c.count).where(others)
    with db_host.state.pipeline.database.read() as connection:
        assert connection.scalar(query) == 2
