"""What the command writes, refuses, and keeps."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import pathlib
import subprocess
import sys
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from filelock import FileLock

from flask_eventtrack import track
from flask_eventtrack.archive import run as archive_run
from flask_eventtrack.archive.folders import LocalFolder
from flask_eventtrack.archive.run import Archiver
from flask_eventtrack.store.commit_log import KEPT_FOR

from ..commands import run
from ..conftest import MakeHost
from ..dashboard.test_hostile import HOSTILE
from ..hosts import START, Host
from ..store.copies import LOG
from ..store.people import ADA_UUID, forget
from ..store.records import DEVICE, an_event, session_of, write_records
from .archives import archive, assert_equal, files_with, manifest, query, read, stored
from .conftest import DAY, open_logging_host

OTHER = uuidlib.UUID("22222222-2222-4222-8222-222222222222")

pytestmark = pytest.mark.usefixtures("no_chores")


def add_days(host: Host, number: int, *, first: int = 0, **fields: t.Any) -> None:
    for day in range(first, first + number):
        write_records(host, an_event(seconds=day * DAY + 5, **{"session": None} | fields))


def prune(host: Host) -> None:
    assert run(host, "prune", "--yes").exit_code == 0


# What is in the files


def test_the_types_are_those_that_all_read(log_host: Host, folder: pathlib.Path) -> None:
    """Ids and JSON as text, times in UTC with microseconds."""
    add_days(log_host, 1, params={"name": "Zoë", "price": 1.5}, session=session_of(DEVICE))
    archive(log_host, folder)
    types = {name: kind for name, kind, *_ in query(f"DESCRIBE FROM '{folder}/events/*/*.parquet'")}
    assert types["id"] == types["uuid"] == types["session_id"] == "VARCHAR"
    assert types["params"] == types["undefined"] == "VARCHAR"
    assert types["time"] == types["stored_at"] == "TIMESTAMP WITH TIME ZONE"
    [(id_, params, moment)] = query(
        f"SELECT id, params, time FROM '{folder}/events/*/*.parquet' WHERE action = 'order.ship'"
    )
    assert (json.loads(params), moment) == (
        {"name": "Zoë", "price": 1.5}, START + dt.timedelta(seconds=5)
    )  # fmt: skip
    assert id_ in stored(log_host, "events")
    types = {
        name: kind for name, kind, *_ in query(f"DESCRIBE FROM '{folder}/sessions/*/*.parquet'")
    }
    assert (types["pages"], types["visible_ms"]) == ("INTEGER", "BIGINT")


def test_hostile_texts_stay_texts(logging_host: Host, folder: pathlib.Path) -> None:
    """Quotes, line ends, escapes and markup, in labels and parameters."""
    with logging_host.app.app_context():
        for label in (*HOSTILE, "\u2028", "'; DROP TABLE fresh; --", "NULL", "\\N", '{"a": 1}', ""):
            track("order.ship", {"note": label[:99]}, label=label or None, customer="=7")
    archive(logging_host, folder)
    assert_equal(logging_host, folder)
    assert len(read(folder, "events")) > len(HOSTILE)


def test_days_are_those_of_utc(log_host: Host, folder: pathlib.Path) -> None:
    """To the microsecond."""
    midnight = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    for moment in (midnight - dt.timedelta(microseconds=1), midnight):
        seconds = (moment - START).total_seconds()
        write_records(log_host, an_event(seconds=seconds, time=moment, session=None))
    archive(log_host, folder)
    assert_equal(log_host, folder)
    assert list(manifest(folder)["days"]["events"]) == ["2026-11-21", "2026-11-22"]


def test_an_odd_folder_is_a_folder(log_host: Host, tmp_path: pathlib.Path) -> None:
    """Also one whose name would be a pattern or a part of SQL."""
    add_days(log_host, 2)
    odd = tmp_path / "a [b]*?'; {x}"
    archive(log_host, odd)
    (tmp_path / "a b").mkdir()
    add_days(log_host, 1, first=1, action="order.ship", label="more")
    archive(log_host, odd)
    told = manifest(odd)["days"]["events"]
    assert [each["rows"] for each in told.values()] == [1, 2]


def test_only_the_owner_may_read_a_new_folder(log_host: Host, folder: pathlib.Path) -> None:
    """A folder that is there keeps its mode."""
    archive(log_host, folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o750)
    archive(log_host, folder)
    assert folder.stat().st_mode & 0o777 == 0o750


def test_the_last_row_of_a_day_takes_its_file_along(log_host: Host, folder: pathlib.Path) -> None:
    """And its folder."""
    add_days(log_host, 1, uuid=ADA_UUID)
    archive(log_host, folder)
    forget(log_host, ADA_UUID)
    assert "1 removed" in archive(log_host, folder)
    assert not list(folder.glob("*/*"))
    assert manifest(folder)["days"]["events"] == {}


def test_in_memory_too(make: MakeHost, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Where the host has the only connection."""
    host = open_logging_host(make, "sqlite://", tmp_path, **LOG)
    add_days(host, 2)
    archive(host, folder)
    add_days(host, 1, first=1, label="more")
    archive(host, folder)
    assert_equal(host, folder)


def test_events_of_the_host_s_transaction_wait(logging_host: Host, folder: pathlib.Path) -> None:
    """Until the writer has counted them: they may change before that."""
    with logging_host.app.app_context():
        track("order.ship", customer="7", in_transaction=True)
        logging_host.db.session.commit()
    assert run(logging_host, "archive", "--to", str(folder)).exit_code == 0
    assert read(folder, "events") == {}
    archive(logging_host, folder)
    assert_equal(logging_host, folder)
    assert len(read(folder, "events")) == 1


# Without the log, or when it cannot tell


def test_without_the_log_all_days_are_written(plain_host: Host, folder: pathlib.Path) -> None:
    """Erasures and pruning included."""
    add_days(plain_host, 2)
    add_days(plain_host, 1, uuid=ADA_UUID, first=2)
    archive(plain_host, folder)
    assert_equal(plain_host, folder)
    plain_host.clock.advance(days=9)
    forget(plain_host, ADA_UUID)
    assert "2 files written with 2 rows, 1 removed" in archive(plain_host, folder)
    assert_equal(plain_host, folder)


def test_the_log_is_turned_on_and_off(
    make: MakeHost, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Each time all days are written once."""
    url = f"sqlite:///{tmp_path}/host.db"
    on = open_logging_host(make, url, tmp_path, **LOG)
    add_days(on, 2)
    archive(on, folder)
    off = open_logging_host(make, url, tmp_path)
    add_days(off, 1, label="unlogged")
    said = archive(off, folder)
    assert "All days are written anew. EVENTTRACK_COMMIT_LOG is off" in said
    assert_equal(off, folder)
    assert "2 files written" in archive(on, folder)
    assert "0 files written" in archive(on, folder)
    assert_equal(on, folder)


def test_the_log_no_longer_reaches_back(log_host: Host, folder: pathlib.Path) -> None:
    """All days are written, and the command says why."""
    log_host.clock.advance(days=-90)  # so that the database's clock is not behind
    add_days(log_host, 2)
    archive(log_host, folder)
    archive(log_host, folder.with_name("kept"), "--keep-pruned")
    add_days(log_host, 1, label="not read before it is too late")
    log_host.clock.advance(days=KEPT_FOR.days + 1)
    add_days(log_host, 1, first=16)
    log_host.state.pipeline.database.clean_log(log_host.clock.moment)
    said = archive(log_host, folder.with_name("kept"), "--keep-pruned", code=1)
    assert "kept for 14 days" in said
    assert "--anew" in said
    assert "All days are written anew. The commit log no longer has" in archive(log_host, folder)
    assert_equal(log_host, folder)
    archive(log_host, folder.with_name("kept"), "--keep-pruned", "--anew")
    assert_equal(log_host, folder.with_name("kept"))


def test_a_removed_file_comes_back(log_host: Host, folder: pathlib.Path) -> None:
    """With the next run, though nothing has changed."""
    add_days(log_host, 2)
    archive(log_host, folder)
    next(folder.glob("events/*/*")).unlink()
    assert "1 file written" in archive(log_host, folder)
    assert_equal(log_host, folder)


def test_other_columns_have_all_days_written(log_host: Host, folder: pathlib.Path) -> None:
    """As after a release that adds one; an interrupted run does not hide it."""
    add_days(log_host, 2)
    archive(log_host, folder)
    told = manifest(folder)
    told["columns"]["events"].remove("label")
    (folder / "manifest.json").write_text(json.dumps(told))
    assert "2 files written" in archive(log_host, folder)
    assert "label" in manifest(folder)["columns"]["events"]


# From which day on


def test_since_leaves_out_earlier_days(log_host: Host, folder: pathlib.Path) -> None:
    """Later runs keep to it, and an earlier day adds to it."""
    add_days(log_host, 4)
    assert "2 files" in archive(log_host, folder, "--since", "2026-11-23")
    add_days(log_host, 4, label="more")
    archive(log_host, folder)
    assert_equal(log_host, folder, dt.date(2026, 11, 23))
    said = archive(log_host, folder, "--since", "2026-11-24", code=1)
    assert "It begins on 2026-11-23, before --since." in said
    assert "1 file" in archive(log_host, folder, "--since", "2026-11-22")
    assert_equal(log_host, folder, dt.date(2026, 11, 22))
    archive(log_host, folder.with_name("all"))
    assert "first day of all" in archive(
        log_host, folder.with_name("all"), "--since", "2026-11-22", code=1
    )


# What retention removes


def test_pruned_rows_go_or_stay(logging_host: Host, folder: pathlib.Path) -> None:
    """As is asked for; late rows of a day join those that stay."""
    kept = folder.with_name("kept")
    add_days(logging_host, 3, session=session_of(DEVICE))
    logging_host.clock.advance(hours=60)
    logging_host.state.pipeline.sweep()
    archive(logging_host, folder)
    archive(logging_host, kept, "--keep-pruned")
    before = {kind: read(kept, kind) for kind in ("events", "sessions")}
    logging_host.clock.advance(days=60)
    prune(logging_host)
    archive(logging_host, folder)
    assert read(folder, "events") == {}
    assert "0 files written" in archive(logging_host, kept, "--keep-pruned")
    add_days(logging_host, 1, label="late")
    assert "anew" not in archive(logging_host, kept, "--keep-pruned")
    late = stored(logging_host, "events")
    assert len(late) == 1
    assert read(kept, "events") == {**before["events"], **late}
    assert read(kept, "sessions") == before["sessions"]
    prune(logging_host)
    archive(logging_host, kept, "--keep-pruned")
    assert read(kept, "events") == {**before["events"], **late}


def test_a_pruned_session_stays_though_it_began_earlier(
    log_host: Host, folder: pathlib.Path
) -> None:
    """As it was in the files when it turned out to have begun on the day before."""
    add_days(log_host, 1, session=session_of(DEVICE))
    archive(log_host, folder, "--keep-pruned")
    before = read(folder, "sessions")
    add_days(log_host, 1, label="late", session=session_of(DEVICE, start=-DAY))
    log_host.clock.advance(days=60)
    prune(log_host)
    assert not stored(log_host, "sessions")
    archive(log_host, folder, "--keep-pruned")
    assert read(folder, "sessions") == before != {}


def test_the_erasure_of_a_pruned_person_reaches_the_archive(
    logging_host: Host, folder: pathlib.Path
) -> None:
    """Of whom the tables know nothing any more, and neither does the log. Others stay."""
    mine: dict[str, t.Any] = {"uuid": ADA_UUID, "session": session_of(ADA_UUID)}
    shared = session_of(DEVICE)
    add_days(logging_host, 2, **mine)
    add_days(logging_host, 2, uuid=DEVICE, session=shared)
    write_records(logging_host, an_event(seconds=9, uuid=ADA_UUID, session=shared, label="shared"))
    write_records(logging_host, an_event(seconds=11, uuid=OTHER, session=None))
    logging_host.clock.advance(hours=60)
    logging_host.state.pipeline.sweep()
    archive(logging_host, folder, "--keep-pruned")
    logging_host.clock.advance(days=60)
    prune(logging_host)
    archive(logging_host, folder, "--keep-pruned")
    texts = str(ADA_UUID), str(session_of(ADA_UUID).id)
    assert files_with(folder, *texts)
    assert not stored(logging_host, "events")
    forget(logging_host, ADA_UUID)
    archive(logging_host, folder, "--keep-pruned")
    assert files_with(folder, *texts, "shared") == []
    assert {row["uuid"] for row in read(folder, "events").values()} == {str(DEVICE), str(OTHER)}
    assert read(folder, "sessions") == {}, "a session that she had a part in"
    again = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    assert "0 files written" in archive(logging_host, folder, "--keep-pruned")
    assert again == {path: path.read_bytes() for path in folder.rglob("*.parquet")}


def test_retention_is_faster_than_an_erasure(log_host: Host, folder: pathlib.Path) -> None:
    """Which has set its tombstones before a run, and finds nothing to erase after it."""
    add_days(log_host, 2, uuid=ADA_UUID)
    log_host.clock.advance(days=60)
    archive(log_host, folder, "--keep-pruned")
    writer = log_host.state.pipeline.writer
    with writer.database.begin() as connection:
        writer._hooks.tombstones.add(connection, [ADA_UUID], log_host.clock.moment)
    archive(log_host, folder, "--keep-pruned")
    prune(log_host)
    archive(log_host, folder, "--keep-pruned")
    assert files_with(folder, str(ADA_UUID)) == []


def test_what_is_kept_is_not_lost_by_a_forgotten_option(
    log_host: Host, plain_host: Host, folder: pathlib.Path
) -> None:
    """The command refuses; and it refuses to keep what it could not tell apart."""
    add_days(log_host, 1)
    archive(log_host, folder, "--keep-pruned")
    assert "add --keep-pruned" in archive(log_host, folder, code=1)
    archive(log_host, folder, "--anew")
    archive(log_host, folder)
    said = archive(plain_host, folder.with_name("other"), "--keep-pruned", code=1)
    assert "--keep-pruned needs EVENTTRACK_COMMIT_LOG" in said


# Interrupted runs, and two at once


class Cut(Exception):
    """What ends a run in a test."""


@contextlib.contextmanager
def cut_at(monkeypatch: pytest.MonkeyPatch, place: int) -> t.Iterator[None]:
    """End a run at the given one of its steps on files: puts, removals and manifests."""
    number = 0
    folder = LocalFolder

    def count(self: t.Any, *args: t.Any, call: t.Any) -> None:
        nonlocal number
        number += 1
        if number == place:
            raise Cut
        call(self, *args)

    with monkeypatch.context() as patch:
        for name in ("put", "remove"):
            call = getattr(folder, name)
            patch.setattr(folder, name, lambda s, *a, c=call: count(s, *a, call=c))
        yield


@pytest.mark.parametrize("erases", [True, False])
@pytest.mark.parametrize("options", [[], ["--keep-pruned"]])
def test_an_interrupted_run_leaves_nothing_wrong(
    log_host: Host,
    folder: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    *,
    erases: bool,
) -> None:
    """Wherever it ends, and whatever is erased before the next one."""
    monkeypatch.setattr(archive_run, "_FILES_A_MANIFEST", 2)
    log_host.clock.advance(days=9)
    for place in range(1, 14):
        target, person = folder.with_name(f"archive{place}"), uuidlib.UUID(int=place, version=4)
        mine: dict[str, t.Any] = {"uuid": person, "session": session_of(person)}
        add_days(log_host, 3, label="a", session=session_of(DEVICE))
        if place % 2:
            archive(log_host, target, *options)
        add_days(log_host, 3, label="hers", **mine)
        add_days(log_host, 1, first=4, label="hers", **mine)
        with cut_at(monkeypatch, place):
            answer = run(log_host, "archive", "--to", str(target), *options)
        assert isinstance(answer.exception, Cut) or answer.exit_code == 0
        if erases:
            forget(log_host, person)
        archive(log_host, target, *options)
        assert bool(files_with(target, str(person))) is not erases
        assert_equal(log_host, target)


def test_a_first_run_goes_on_where_it_ended(
    log_host: Host, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not begin anew."""
    monkeypatch.setattr(archive_run, "_FILES_A_MANIFEST", 1)
    add_days(log_host, 6)
    with cut_at(monkeypatch, 8):
        run(log_host, "archive", "--to", str(folder))
    written = len(list(folder.glob("events/*/*.parquet")))
    assert 0 < written < 6
    said = archive(log_host, folder)
    assert f"{6 - written} files written" in said
    assert_equal(log_host, folder)


def test_a_killed_run_leaves_no_rows_beside_the_files(log_host: Host, folder: pathlib.Path) -> None:
    """The next one clears its work away."""
    add_days(log_host, 1)
    archive(log_host, folder)
    (folder / ".eventtrack-work").mkdir()
    (folder / ".eventtrack-work" / "rows.jsonl").write_text("erased meanwhile")
    archive(log_host, folder)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "events", "manifest.json"]


def test_two_runs_at_once_are_refused(log_host: Host, folder: pathlib.Path) -> None:
    """The second one, in one sentence."""
    archive(log_host, folder)
    with FileLock(folder / ".lock"):
        assert "Another run is writing to it." in archive(log_host, folder, code=1)


def test_rows_written_meanwhile_are_there_after_the_next_run(
    logging_host: Host, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that moves to a day that is written already, or from it."""
    late = session_of(DEVICE, start=DAY)
    write_records(logging_host, an_event(seconds=DAY + 1, session=late))
    add_days(logging_host, 3)
    write_day, number = Archiver._write_day, 0

    def move_meanwhile(self: Archiver, *args: t.Any) -> int:
        nonlocal number
        number += 1
        if number == 1:
            write_records(logging_host, an_event(seconds=3))
            forget(logging_host, ADA_UUID)
        rows = write_day(self, *args)
        if number == 2:
            add_days(logging_host, 3, label="late")
        return rows

    monkeypatch.setattr(Archiver, "_write_day", move_meanwhile)
    archive(logging_host, folder)
    archive(logging_host, folder)
    assert_equal(logging_host, folder)


# Bad places


def test_a_folder_of_something_else_is_refused(log_host: Host, folder: pathlib.Path) -> None:
    """Nothing in it is changed."""
    folder.mkdir()
    (folder / "photo.jpg").write_text("cheese")
    assert "It has files, and no manifest.json" in archive(log_host, folder, code=1)
    assert {path.name for path in folder.iterdir()} == {"photo.jpg", ".lock"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": "webpack", "version": 1}', "is not an archive's"),
        ('{"format": "eventtrack-archive", "version": 2}', "a later release"),
        ('{"format": "eventtrack-archive", "version": 1}', "cannot be read"),
    ],
)
def test_other_manifests_are_refused(
    log_host: Host, folder: pathlib.Path, content: str, said: str
) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text(content)
    assert said in archive(log_host, folder, code=1)
    assert (folder / "manifest.json").read_text() == content


def test_another_app_s_archive_is_refused(
    log_host: Host, plain_host: Host, folder: pathlib.Path
) -> None:
    """Unless it is asked for, since a database may move."""
    add_days(log_host, 2)
    archive(log_host, folder)
    assert "the archive of another database" in archive(plain_host, folder, code=1)
    assert_equal(log_host, folder)
    archive(plain_host, folder, "--anew")
    assert_equal(plain_host, folder)


def test_a_place_that_cannot_be_written(log_host: Host, tmp_path: pathlib.Path) -> None:
    """One sentence, and status 1."""
    (tmp_path / "file").write_text("")
    said = archive(log_host, tmp_path / "file", code=1)
    assert "cannot be written" in said
    assert said.count("\n") == 1
    assert "cannot be written" in archive(log_host, "/proc/archive", code=1)
    assert run(log_host, "archive").exit_code == 2


def test_the_tables_are_missing(make: MakeHost, folder: pathlib.Path) -> None:
    """The command says what to do, as the others do."""
    host = make(LOG, create=False)
    said = run(host, "archive", "--to", str(folder)).stderr
    assert "flask eventtrack" in said


PROGRAM = """
import sys
sys.modules["{name}"] = None
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack
app = Flask("host")
app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI="sqlite:///{folder}/off.db")
events = EventTrack(app, db := SQLAlchemy(app))
with app.app_context():
    db.create_all()
run = app.test_cli_runner().invoke
assert "archive" in run(args=["eventtrack", "--help"]).output
assert not [name for name in sys.modules if name.startswith("flask_eventtrack.archive")]
print(run(args=["eventtrack", "archive", "--to", "{place}"]).output)
"""


@pytest.mark.parametrize(("name", "place"), [("duckdb", "{}/there"), ("fsspec", "memory://there")])
def test_without_its_packages_it_says_what_to_install(
    tmp_path: pathlib.Path, name: str, place: str
) -> None:
    """And nothing of it is imported before."""
    program = PROGRAM.format(name=name, folder=tmp_path, place=place.format(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'Flask-EventTrack[parquet]'" in done.stdout
    assert done.stdout.count("\n") == 2


def test_the_log_says_what_retention_has_removed(logging_host: Host) -> None:
    """And of nothing else."""
    add_days(logging_host, 1)
    add_days(logging_host, 1, uuid=ADA_UUID)
    forget(logging_host, ADA_UUID)
    logging_host.clock.advance(days=60)
    prune(logging_host)
    gone = logging_host.state.pipeline.database.tables.gone
    assert gone is not None
    with logging_host.state.pipeline.database.read() as connection:
        reasons = connection.scalars(sa.select(gone.c.reason)).all()
    assert sorted(map(str, reasons)) == ["None", "pruned"]


def test_a_process_without_the_log_may_erase(
    make: MakeHost, log_host: Host, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The tombstone tells of it, where the log does not."""
    add_days(log_host, 2, uuid=ADA_UUID, session=session_of(ADA_UUID))
    archive(log_host, folder)
    assert files_with(folder, str(ADA_UUID))
    log_host.clock.advance(days=3)
    url = str(log_host.state.pipeline.database._engine.url)
    plain = make({"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "other")}, url=url, create=False)
    forget(plain, ADA_UUID)
    archive(log_host, folder)
    assert files_with(folder, str(ADA_UUID)) == []


def test_a_database_that_has_moved_keeps_its_archive(log_host: Host, folder: pathlib.Path) -> None:
    """With what retention has removed from the tables."""
    add_days(log_host, 3)
    log_host.clock.advance(days=5)
    archive(log_host, folder, "--keep-pruned")
    log_host.clock.advance(days=60)
    prune(log_host)
    stored_as = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**stored_as, "database": "elsewhere"}))
    said = archive(log_host, folder, "--keep-pruned", code=1)
    assert "run once with --moved" in said
    archive(log_host, folder, "--keep-pruned", "--moved")
    assert len(read(folder, "events")) >= 3
    archive(log_host, folder, "--keep-pruned")


def test_a_folder_of_something_else_stays_as_it_is(log_host: Host, tmp_path: pathlib.Path) -> None:
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work" / "thesis.txt").write_text("x")
    archive(log_host, tmp_path, code=1)
    assert (tmp_path / ".work" / "thesis.txt").read_text() == "x"
