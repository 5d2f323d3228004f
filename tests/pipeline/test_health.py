"""How writing goes, for a host's own health page, a monitor and an operator."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

import pytest
import sqlalchemy as sa

from flask_eventtrack import Health

from ..commands import run
from ..conftest import MakeHost
from ..hosts import START, Host
from ..store.records import a_page, an_event
from ..test_doctor import FINE, findings_of
from .segments import home_at
from .waiting import locked, visit, wait_until


def health_of(host: Host) -> Health:
    with host.app.app_context():
        return host.events.health()


def test_nothing_waits_where_all_is_written(db_host: Host) -> None:
    """And before the first event."""
    before = health_of(db_host)
    assert (before.is_well, before.last_commit, before.has_thread) == (True, None, False)
    visit(db_host)
    db_host.flush()
    after = health_of(db_host)
    assert after == dataclasses.replace(before, last_commit=after.last_commit, has_thread=True)
    assert (after.records, after.bytes, after.oldest, after.last_error) == (0, 0, None, "")
    assert after.last_commit is not None
    assert after.last_commit >= START


@pytest.mark.parametrize("durability", ["memory", "journal"])
def test_what_waits_is_counted_with_its_age(make: MakeHost, durability: str) -> None:
    """Since the first of it; after a minute that is not well."""
    host = make({"EVENTTRACK_DURABILITY": durability}, create=False)
    visit(host, 3)
    with pytest.raises(sa.exc.OperationalError):
        host.flush()
    host.clock.advance(seconds=59)
    visit(host)
    found = health_of(host)
    assert (found.records, found.oldest, found.is_well) == (4, 59.0, False)
    assert found.bytes > 400
    assert found.last_error.startswith("OperationalError: (sqlite3.OperationalError) no such table")
    assert "\n" not in found.last_error
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    wait_until(lambda: health_of(host).is_well)
    assert (health_of(host).bytes, health_of(host).last_error) == (0, "")


def test_a_health_page_never_waits_for_the_database(db_host: Host) -> None:
    """Nor for the transaction that waits for it."""
    with locked(db_host):
        visit(db_host)
        db_host.state.pipeline.hurry()
        wait_until(lambda: db_host.state.pipeline._writing_thread is not None)
        assert health_of(db_host).records == 1
    db_host.flush()


def test_another_process_sees_what_waits(
    make: MakeHost, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The command reads the files: bytes, age and the dead owner."""
    config = {**FINE, "EVENTTRACK_JOURNAL_DIR": str(tmp_path / "j"), "EVENTTRACK_FLUSH_INTERVAL": 1}
    url = f"sqlite:///{tmp_path / 'a.db'}"
    dead = make({**config, "EVENTTRACK_FLUSH_INTERVAL": 3600}, url=url)
    dead.state.pipeline.put(a_page("/", uuid=a_page().id, session=None))
    host = make(config, url=url, create=False)
    host.events.define("a.b")
    fresh = health_of(host)
    assert (fresh.records, fresh.oldest, fresh.orphans) == (0, 0.0, 0)
    assert run(host, "health").exit_code == 0
    host.clock.advance(minutes=10)
    assert "ET025" in findings_of(host)
    assert "ET026" not in findings_of(host)
    dead.state.pipeline.close()  # the records stay, and the lock is free
    answer = run(host, "health")
    assert answer.exit_code == 1
    assert answer.output.splitlines()[0] == "Events wait for too long."
    assert "Oldest record:      600 s" in answer.output
    assert "Orphaned journals:  1" in answer.output
    said = json.loads(run(host, "health", "--json").output)
    assert (said["orphans"], said["oldest"], said["is_well"]) == (1, 600.0, False)
    found = findings_of(host)
    assert found["ET025"][0].startswith("warning: Events have waited since 2026-11-21 12:00 UTC: ")
    assert found["ET026"][0].endswith(": 1 journal.")
    host.state.pipeline.start()
    # health() tries the journals' locks: while it does, nobody adopts, and a minute passes.
    wait_until(lambda: not list(tmp_path.glob("j/**/*.segment")))
    assert run(host, "health").exit_code == 0


def test_a_journal_that_is_damaged_hides_no_age_of_others(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """It is looked at by anybody, at any moment."""
    config, url = {"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "j")}, f"sqlite:///{tmp_path / 'a.db'}"
    dead = make(config, url=url, create=False)
    visit(dead)
    dead.state.pipeline.close()
    host = make(config, url=url, create=False)  # has no thread that adopts
    assert host.state.journal is not None
    for name in ("0", "1"):
        folder = home_at(host.state.journal) / name
        folder.mkdir(mode=0o700)
        (folder / "00000001.segment").write_bytes(b"junk" * 10 * int(name))
        (folder / "checkpoint").write_bytes(b"junk")
        (folder / "lock").touch()
    os.truncate(home_at(host.state.journal) / "0" / "checkpoint", 1 << 40)
    host.clock.advance(seconds=5)
    found = health_of(host)
    assert (found.oldest, found.orphans) == (5.0, 2)  # the empty one has nothing to adopt


def test_the_oldest_record_is_in_the_first_of_a_journal_s_files(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """Each holds a mebibyte, and then the next is begun."""
    host = make({"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "j")}, create=False)
    for seconds in range(4):
        event = an_event(seconds=seconds, params={"text": "x" * 600_000})
        assert host.state.pipeline.put(event)
    host.clock.advance(seconds=10)
    assert host.state.journal is not None
    assert len(list(home_at(host.state.journal).rglob("*.segment"))) > 1
    assert health_of(host).oldest == 10.0


def test_doctor_et027_a_clock_that_is_ahead(make: MakeHost) -> None:
    """A warning with both times."""
    host = make({**FINE, "EVENTTRACK_RETENTION": 3600})
    host.events.define("a.b")
    assert findings_of(host) == {}
    host.clock.advance(days=3650)
    assert findings_of(host)["ET027"][0].startswith(
        "warning: The clock may be wrong: this machine's clock says 2036-11-18 12:00 UTC, and"
    )
