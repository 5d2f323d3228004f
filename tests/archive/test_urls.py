"""Archives under a URL, as fsspec reads and writes them."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import json
import pathlib
import typing as t
import uuid as uuidlib

import fsspec
import pytest

from ..hosts import Host
from ..store.people import ADA_UUID, forget
from ..store.records import DEVICE, an_event, session_of, write_records
from .archives import archive, assert_equal, files_with, read
from .conftest import DAY
from .test_archive import add_days, prune

URL = "memory://bucket/events [of] the shop"
LOCK = f"{URL}/.lock"


@pytest.fixture(autouse=True)
def _empty() -> cabc.Iterator[None]:
    """Each test has an empty memory."""
    yield
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def fetch(tmp_path: pathlib.Path) -> cabc.Callable[[], pathlib.Path]:
    """Return what copies the files out of memory, to where tests read them."""
    number = 0

    def copy() -> pathlib.Path:
        nonlocal number
        number += 1
        memory = fsspec.filesystem("memory")
        root = memory._strip_protocol(URL)
        for name in memory.find(root):
            target = tmp_path / f"copy{number}" / name[len(root) + 1 :]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(memory.cat_file(name))
        return tmp_path / f"copy{number}"

    return copy


Fetch = cabc.Callable[[], pathlib.Path]


def test_it_follows_the_tables_under_a_url(logging_host: Host, fetch: Fetch) -> None:
    """Changes, deletions and erasures included; nothing but files and manifest is left."""
    mine: dict[str, t.Any] = {"uuid": ADA_UUID, "session": session_of(ADA_UUID)}
    add_days(logging_host, 3, **mine)
    add_days(logging_host, 2, label="other")
    assert "anew" not in archive(logging_host, URL)
    assert_equal(logging_host, fetch())
    logging_host.clock.advance(days=9)
    forget(logging_host, ADA_UUID)
    said = archive(logging_host, URL)
    assert "2 files written with 2 rows, 2 removed" in said
    copy = fetch()
    assert_equal(logging_host, copy)
    assert files_with(copy, str(ADA_UUID)) == []
    names = {path.name for path in copy.rglob("*") if path.is_file()}
    assert names == {"manifest.json", "events.parquet"}


def test_pruned_rows_stay_under_a_url(log_host: Host, fetch: Fetch) -> None:
    """The earlier file is read where it is."""
    add_days(log_host, 2)
    archive(log_host, URL, "--keep-pruned")
    log_host.clock.advance(days=60)
    prune(log_host)
    add_days(log_host, 1, label="late")
    archive(log_host, URL, "--keep-pruned")
    assert [row["label"] for row in read(fetch(), "events").values()].count("late") == 1
    assert len(read(fetch(), "events")) == 3


def test_a_running_run_keeps_others_out(log_host: Host) -> None:
    """By a file, which counts for an hour after its run was killed."""
    add_days(log_host, 1)
    now = log_host.clock.moment.isoformat()
    fsspec.filesystem("memory").pipe_file(LOCK, json.dumps({"run": "1", "at": now}).encode())
    said = archive(log_host, URL, code=1)
    assert (
        "Another run is writing to it. If that was killed, wait an hour, or remove .lock." in said
    )
    log_host.clock.advance(minutes=61)
    archive(log_host, URL)
    assert not fsspec.filesystem("memory").exists(LOCK)


def test_a_run_that_was_thought_dead_writes_nothing_more(
    log_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has taken the archive meanwhile, and keeps it."""
    add_days(log_host, 2)
    memory = fsspec.filesystem("memory")
    other = json.dumps({"run": "other", "at": log_host.clock.moment.isoformat()}).encode()
    put_file = type(memory).put_file

    def take_over(self: t.Any, *args: t.Any, **options: t.Any) -> None:
        put_file(self, *args, **options)
        self.pipe_file(LOCK, other)

    monkeypatch.setattr(type(memory), "put_file", take_over)
    assert "Another run has taken it." in archive(log_host, URL, code=1)
    assert memory.cat_file(LOCK) == other
    assert len(memory.find(f"{URL}/events")) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://x/y", "nonsense:// is not known"),
        ("s3://bucket/x", "s3:// needs a package"),
    ],
)
def test_a_url_that_nobody_knows(log_host: Host, url: str, said: str) -> None:
    """The command says what is missing."""
    assert said in archive(log_host, url, code=1)


def test_a_file_url_is_a_folder(log_host: Host, tmp_path: pathlib.Path) -> None:
    """With the lock of a folder."""
    add_days(log_host, 1)
    archive(log_host, f"file://{tmp_path}/there")
    assert (tmp_path / "there" / ".lock").exists()
    assert_equal(log_host, tmp_path / "there")


def test_no_moment_is_lost_at_a_distance(log_host: Host, fetch: Fetch) -> None:
    """An event of any day, by its id of any kind."""
    for number, moment in enumerate((1e6, 30 * DAY, 400 * DAY)):
        time = log_host.clock.moment - dt.timedelta(seconds=moment)
        event = an_event(id=uuidlib.UUID(int=number + 1), time=time, session=None, uuid=DEVICE)
        write_records(log_host, event)
    archive(log_host, URL)
    assert_equal(log_host, fetch())
    prune(log_host)
    archive(log_host, URL)
    assert_equal(log_host, fetch())


@pytest.mark.parametrize("secret", ["p@ss", "a/b", "plain"])
def test_no_password_is_shown(log_host: Host, secret: str) -> None:
    """Messages of a command may end in a mail."""
    assert secret not in archive(log_host, f"nonsense://user:{secret}@host/x", code=1)
