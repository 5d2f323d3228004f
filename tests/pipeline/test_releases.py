"""The upkeep notes the app's release: once, whoever begins with it."""

from __future__ import annotations

import typing as t

import pytest

from ..conftest import MakeHost
from ..dashboard.staff import counted
from ..forks import PROCESSES
from ..hosts import Host, make_host
from .waiting import visit, wait_until

AT_ONCE = 2


def notes(host: Host) -> list[str]:
    return [row["name"] for row in host.rows("saved", "name")]


def _sweep_in_process(url: str, barrier: t.Any) -> None:
    host = make_host(url, {"EVENTTRACK_RELEASE": "1.4.2"}, create=False)
    with host.state.pipeline.database.begin():
        pass
    barrier.wait(30)
    host.state.pipeline.writer.note_release()
    host.close()


def test_processes_that_start_at_once_note_it_once(db_host: Host, database_url: str) -> None:
    """On each kind of database, and none of them fails."""
    barrier = PROCESSES.Barrier(AT_ONCE)
    processes = [
        PROCESSES.Process(target=_sweep_in_process, args=(database_url, barrier))
        for _ in range(AT_ONCE)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * AT_ONCE
    assert notes(db_host) == ["Release 1.4.2"]


def test_the_writers_thread_notes_it(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the chores after the first record; registering the app asks the database nothing."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    with counted(make()) as statements:
        host = make({"EVENTTRACK_RELEASE": "1.4.2"})
        assert host.state.config.release == "1.4.2"
    assert [each for each in statements if "eventtrack_saved" in each] == []
    visit(host)
    wait_until(lambda: notes(host) == ["Release 1.4.2"])
    with counted(host) as statements:
        for _ in range(3):
            host.state.pipeline.sweep()
    assert [each for each in statements if "eventtrack_saved" in each] == []


def test_it_is_noted_once_the_database_can(make: MakeHost) -> None:
    """A process that meets no table tries again with its next chores."""
    host = make({"EVENTTRACK_RELEASE": "1.4.2"})
    table = host.state.pipeline.database.tables.saved
    with host.state.pipeline.database.begin() as connection:
        table.drop(connection)
    with pytest.raises(Exception, match="no such table"):
        host.state.pipeline.sweep()
    with host.state.pipeline.database.begin() as connection:
        table.create(connection)
    host.state.pipeline.sweep()
    assert notes(host) == ["Release 1.4.2"]
