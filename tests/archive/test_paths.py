"""Whatever is written, the archive has the same rows as the tables after the next run."""

from __future__ import annotations

import pathlib
import typing as t

import msgspec
import pytest

from ..hosts import Host
from ..store.halves import SERVER
from ..store.people import ADA_UUID, forget
from ..store.records import DEVICE, an_event, session_of, write_records
from ..store.test_commit_log_paths import PATHS, Path, take
from .archives import archive, assert_equal, files_with, read

A_DAY = 86_400


@pytest.mark.parametrize("path", PATHS)
def test_it_follows_each_way_to_write(logging_host: Host, folder: pathlib.Path, path: Path) -> None:
    """After each transaction of the writer, and after the sweeps that follow."""
    take(path, logging_host, lambda: archive(logging_host, folder))
    said = archive(logging_host, folder)
    assert "anew" not in said
    assert_equal(logging_host, folder)


def test_rows_move_between_days(logging_host: Host, folder: pathlib.Path) -> None:
    """A session that turns out to have begun the day before, and an event that comes late."""
    late = session_of(DEVICE, start=A_DAY)
    page = msgspec.structs.replace(SERVER, session=late)
    write_records(logging_host, page, an_event(seconds=A_DAY + 1, session=late))
    archive(logging_host, folder)
    [day] = {row["started_at"].date() for row in read(folder, "sessions").values()}
    write_records(logging_host, an_event(seconds=5))
    said = archive(logging_host, folder)
    assert "anew" not in said
    assert_equal(logging_host, folder)
    [earlier] = {row["started_at"].date() for row in read(folder, "sessions").values()}
    assert (day - earlier).days == 1


def test_only_days_with_changes_are_written(logging_host: Host, folder: pathlib.Path) -> None:
    """The other files stay as they are, to the byte and the moment."""
    for day in range(4):
        write_records(logging_host, an_event(seconds=day * A_DAY, session=None))
    assert archive(logging_host, folder).endswith(
        "4 files written with 4 rows; 4 in all, 0.0 MB.\n"
    )
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert "0 files written" in archive(logging_host, folder)
    write_records(logging_host, an_event(seconds=2 * A_DAY + 9, session=None))
    assert "1 file written with 2 rows" in archive(logging_host, folder)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert len(set(before.items()) ^ set(after.items())) == 2
    assert_equal(logging_host, folder)


@pytest.mark.parametrize("options", [[], ["--keep-pruned"]])
def test_an_erased_person_is_nowhere(
    logging_host: Host, folder: pathlib.Path, options: list[str]
) -> None:
    """Neither ids nor parameters, in any file of the archive; the others are still there."""
    mine: dict[str, t.Any] = {"uuid": ADA_UUID, "session": session_of(ADA_UUID)}
    for day in range(3):
        hers = an_event(seconds=day * A_DAY + 5, params={"note": f"ada@{day}.example"}, **mine)
        write_records(logging_host, hers, an_event(seconds=day * A_DAY + 6))
    archive(logging_host, folder, *options)
    texts = ("example", str(ADA_UUID), str(session_of(ADA_UUID).id))
    assert len(files_with(folder, *texts)) > 3
    logging_host.clock.advance(days=3)
    forget(logging_host, ADA_UUID)
    assert "anew" not in archive(logging_host, folder, *options)
    assert files_with(folder, *texts) == []
    assert files_with(folder, str(DEVICE))
    assert_equal(logging_host, folder)
