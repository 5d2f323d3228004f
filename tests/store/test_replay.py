"""A restored backup brings nobody back: erasures and objections are kept outside the database."""

from __future__ import annotations

import collections.abc as cabc
import logging
import os
import pathlib
import tempfile
import threading
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from click.testing import Result

from flask_eventtrack import signals
from flask_eventtrack.store.erasure_file import ErasureFile, read_notes

from ..commands import run
from ..conftest import MakeHost
from ..hosts import START, Host
from ..pipeline.journals import NOBODY, needs_users
from .people import (
    ADA,
    ADA_UUID,
    BOB,
    BOB_UUID,
    NAMES,
    browse,
    events_of,
    export,
    forget,
    open_shop,
)
from .records import NAIVE, an_event, contents, recount, totals, write, write_records

HASH = "0" * 64


def erasures_of(host: Host) -> pathlib.Path:
    assert host.state.erasures is not None
    return host.state.erasures.path


def back_up(host: Host) -> cabc.Callable[[], None]:
    """Read all rows; return what puts them back, as a restored backup does."""
    host.flush()
    database = host.state.pipeline.database
    with database.read() as connection:
        rows = {
            table: connection.execute(sa.select(table)).mappings().all()
            for table in database.tables.all()
        }

    def restore() -> None:
        host.flush()
        with database.begin() as connection:
            for table, kept in rows.items():
                connection.execute(table.delete())
                if kept:
                    connection.execute(table.insert(), [dict(row) for row in kept])

    return restore


def replay(host: Host, *options: str) -> Result:
    host.clock.advance(minutes=1)
    answer = run(host, "forget", "--replay", "--yes", *options)
    assert answer.exit_code == 0, answer.output
    return answer


def refuse(shop: Host, uuid: uuidlib.UUID) -> None:
    """Have the database refuse a record of a profile."""
    write_records(shop, an_event(uuid=uuid, time=NAIVE, session=None))


def set_up(shop: Host) -> None:
    """Ada on two devices, and a record of hers that was refused; Bob on one."""
    for steps in (("/", ADA, "/products/mug"), ("/products/tea", ADA), ("/", BOB, "/")):
        browse(shop, *steps)
    refuse(shop, ADA_UUID)
    refuse(shop, BOB_UUID)


def test_a_restored_backup_brings_nobody_back(shop: Host) -> None:
    """All of the person's rows go again, those of others stay, and totals are right."""
    set_up(shop)
    restore = back_up(shop)
    erased = forget(shop, ADA)
    bobs, left = export(shop, BOB), contents(shop)
    restore()
    assert export(shop, ADA) != []
    assert f"Erased {erased.events} events, {erased.sessions} sessions" in replay(shop).output
    assert export(shop, ADA) == []
    assert export(shop, BOB) == bobs
    assert contents(shop) == left
    assert totals(shop) == recount(shop)
    assert len(shop.rows("rejected")) == 1


def test_replaying_twice_changes_nothing(shop: Host) -> None:
    """Nor does it where nothing was restored."""
    set_up(shop)
    forget(shop, ADA)
    left = contents(shop)
    for _ in range(2):
        assert "Found 0 profiles to erase again" in replay(shop).output
        assert contents(shop) == left


def test_who_came_back_after_an_erasure_keeps_what_they_did_since(shop: Host) -> None:
    """Only what is not later than the erasure's moment is erased, also of a merged profile."""
    set_up(shop)
    forget(shop, ADA)
    browse(shop, "/products/jug", ADA, "/")
    again = export(shop, ADA)
    assert again != []
    assert "Found 0 profiles to erase again" in replay(shop).output
    assert export(shop, ADA) == again


def test_a_replay_erases_nobody_whom_an_alias_names_later(shop: Host) -> None:
    """A visitor was erased, and is now known as a customer with a longer history."""
    browse(shop, BOB, "/")
    client = browse(shop, "/")
    visits = [row for row in shop.events_of("page.visit") if row["uuid"] != BOB_UUID]
    forget(shop, visits[0]["uuid"])
    browse(shop, BOB, client=client)
    refuse(shop, visits[0]["uuid"])
    bobs, rejected = export(shop, BOB), shop.rows("rejected")
    write(shop, an_event(uuid=visits[0]["uuid"], session=None))  # as a backup has it
    assert "Found 1 profile to erase again" in replay(shop).output
    assert export(shop, BOB) == bobs
    assert shop.rows("rejected") == rejected


def test_records_that_wait_during_a_replay_do_not_come_back(shop: Host) -> None:
    """The tombstones are in force again, also of people whom the backup does not know."""
    restore = back_up(shop)
    browse(shop, "/", ADA)
    late = an_event(uuid=ADA_UUID, session=None)
    forget(shop, ADA)
    restore()
    replay(shop)
    write_records(shop, late)
    assert events_of(shop, ADA_UUID) == []


def test_objections_are_replayed_too(shop: Host) -> None:
    """The last word counts: Ada has objected, Bob has withdrawn it."""
    restore = back_up(shop)
    with shop.app.app_context():
        for who in (ADA, BOB):
            shop.events.opt_out(who)
        shop.clock.advance(seconds=1)
        shop.events.opt_in(BOB)
    kept = sorted(map(repr, shop.rows("objection")))
    restore()
    assert shop.rows("objection") == []
    for _ in range(2):
        replay(shop)
        assert sorted(map(repr, shop.rows("objection"))) == kept


def test_a_replay_is_told_of(shop: Host) -> None:
    """A host cleans up its own tables again."""
    set_up(shop)
    restore = back_up(shop)
    forget(shop, ADA)
    restore()
    told: list[t.Any] = []

    def receive(app: object, **detail: t.Any) -> None:
        told.append((detail["customer_id"], detail["uuid"]))

    with signals.profile_erased.connected_to(receive, shop.app):
        replay(shop)
    assert told == [(ADA, ADA_UUID)]


def test_a_replay_reads_in_pages(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many people there are."""
    monkeypatch.setattr("flask_eventtrack.store.replay._PAGE", 2)
    set_up(shop)
    restore = back_up(shop)
    forget(shop, ADA)
    left = contents(shop)
    restore()
    replay(shop)
    assert contents(shop) == left


# Without each database


@pytest.fixture
def one(make: MakeHost, tmp_path: pathlib.Path) -> Host:
    """A shop on SQLite."""
    return open_shop(make, f"sqlite:///{tmp_path / 'one.db'}", tmp_path)


@pytest.mark.parametrize(("options", "left"), [(["--dry-run"], True), ([], True), (["-y"], False)])
def test_a_replay_asks_before_it_erases(one: Host, options: list[str], *, left: bool) -> None:
    """With --dry-run it only says how much there is."""
    set_up(one)
    restore = back_up(one)
    forget(one, ADA)
    restore()
    answer = run(one, "forget", "--replay", *options)
    assert "The file notes 3 erased profiles and 0 objections. Found 3 profiles" in answer.output
    assert bool(events_of(one, ADA_UUID)) is left


@pytest.mark.parametrize("arguments", [[], ["7", "--replay"], ["7", "--file", "x"]])
def test_forget_is_about_one_person_or_a_replay(one: Host, arguments: list[str]) -> None:
    """Anything else is a mistake."""
    answer = run(one, "forget", *arguments, "--yes")
    assert answer.exit_code == 2
    assert "Name either a person, or --replay" in answer.output


def test_the_file_names_nobody(one: Host) -> None:
    """Keyed hashes and moments only, for its owner only."""
    set_up(one)
    uuids = {row["uuid"] for row in one.rows("event")}
    forget(one, ADA)
    with one.app.app_context():
        one.events.opt_out(ADA)
    path = erasures_of(one)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    needles = [ADA, NAMES[ADA], *map(str, uuids), *(uuid.hex for uuid in uuids)]
    assert not [needle for needle in needles if needle in text]
    assert {note.kind for note in read_notes(path)} == {"erased", "opted-out"}


def test_a_file_of_another_place_can_be_replayed(
    one: Host, make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """The backup was restored under another name."""
    other = open_shop(make, f"sqlite:///{tmp_path / 'other.db'}", tmp_path)
    set_up(other)
    forget(one, ADA)
    assert run(other, "forget", "--replay", "--yes").exit_code == 1
    replay(other, "--file", str(erasures_of(one)))
    assert events_of(other, ADA_UUID) == []
    assert events_of(other, BOB_UUID) != []


@pytest.mark.parametrize(
    "bad",
    [
        b"erased",
        b"\xff\xfe" * 9,
        b"erased 2026-11-21T12:00:00+00:00 " + b"0" * 63,
        b"erased 2026-11-21T12:00:00 " + b"0" * 64,
        b"erased yesterday " + b"0" * 64,
        b"forgiven 2026-11-21T12:00:00+00:00 " + b"0" * 64,
        b"\0" * 4096,
    ],
)
def test_a_bad_line_is_told_of_and_skipped(
    one: Host, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as the last one before a power failure: what follows it is read."""
    set_up(one)
    restore = back_up(one)
    path = erasures_of(one)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bad)
    path.chmod(0o600)
    forget(one, ADA)
    restore()
    replay(one)
    assert len(read_notes(path)) == 3
    assert events_of(one, ADA_UUID) == []
    assert f"{path} has 1 lines that cannot be read (1)" in caplog.text


def test_processes_append_to_one_file(tmp_path: pathlib.Path) -> None:
    """No line is lost or torn."""
    path = tmp_path / "x.erasures"

    def append() -> None:
        for _ in range(50):
            ErasureFile(path).add("erased", START, [HASH] * 3)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_notes(path)) == 4 * 50 * 3


# Who may touch the file


def plant_link(path: pathlib.Path) -> None:
    (path.parent / "elsewhere").write_text("kept\n")
    path.symlink_to(path.parent / "elsewhere")


def plant_second_name(path: pathlib.Path) -> None:
    (path.parent / "elsewhere").write_text("kept\n")
    path.hardlink_to(path.parent / "elsewhere")


def plant_folder(path: pathlib.Path) -> None:
    (path.parent / "elsewhere").write_text("kept\n")
    path.mkdir()


def plant_pipe(path: pathlib.Path) -> None:
    (path.parent / "elsewhere").write_text("kept\n")
    os.mkfifo(path)


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's")
@pytest.mark.parametrize("plant", [plant_link, plant_second_name, plant_folder, plant_pipe])
def test_a_planted_file_is_not_written_to(
    one: Host, plant: cabc.Callable[[pathlib.Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The person is erased all the same; the log and the doctor say what is wrong."""
    path = erasures_of(one)
    path.parent.mkdir(exist_ok=True)
    plant(path)
    set_up(one)
    forget(one, ADA)
    assert export(one, ADA) == []
    assert (path.parent / "elsewhere").read_text() == "kept\n"
    assert "is in the database only, because it cannot be kept in" in caplog.text
    assert ADA not in caplog.text
    assert (
        f"ET030 warning: Erasures cannot be kept outside the database: {path}"
        in run(one, "doctor").output
    )
    assert run(one, "forget", "--replay", "--yes").exit_code == 1


@needs_users
def test_another_users_file_is_not_read() -> None:
    """It could have been made up."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "x.erasures")
        ErasureFile(path).add("erased", START, [HASH])
        path.parent.chmod(0o755)
        path.chmod(0o666)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(PermissionError, match="belongs to another user"):
                read_notes(path)
        finally:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: pathlib.Path) -> None:
    """A copy that was put back may have lost its mode."""
    path = tmp_path / "x.erasures"
    path.touch(0o644)
    ErasureFile(path).add("erased", START, [HASH])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made(
    make: MakeHost, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a read-only file system: a person is erased all the same, and it is said."""
    caplog.set_level(logging.ERROR, "flask_eventtrack")
    (tmp_path / "file").touch()
    host = open_shop(make, f"sqlite:///{tmp_path / 'one.db'}", tmp_path / "file")
    set_up(host)
    forget(host, ADA)
    assert export(host, ADA) == []
    assert "Repeat it if you restore a backup from before it." in caplog.text
    assert "ET030" in run(host, "doctor").output


def test_erasures_of_events_in_memory_are_kept_in_the_file(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """EVENTTRACK_DURABILITY is about events that wait; the database can be restored."""
    config = {"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_JOURNAL_DIR": str(tmp_path / "j")}
    host = make(config)
    with host.app.app_context():
        host.events.forget(ADA)
    assert len(read_notes(erasures_of(host))) == 1


def test_a_database_in_memory_has_no_file(make: MakeHost) -> None:
    """Nothing restores it."""
    host = make(url="sqlite://")
    with host.app.app_context():
        host.events.forget(ADA)
    answer = run(host, "forget", "--replay", "--yes")
    assert answer.exit_code == 1
    assert "the database is in memory" in answer.output
