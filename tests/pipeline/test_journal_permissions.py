"""Who may read a journal, and folders that cannot be used."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import stat
import typing as t

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.pipeline.homes import find_obstacle

from ..conftest import MakeHost
from ..faults.disk import small_disk
from ..hosts import Host, add_pages
from .journals import (
    adopt,
    as_nobody,
    close_to_nobody,
    home_of,
    leave,
    needs_users,
    segments,
)
from .segments import home_at
from .waiting import PATIENT, visit


@pytest.fixture
def _no_mask() -> cabc.Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_mask")
def test_without_a_mask_files_are_the_owner_s_alone(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """0700 and 0600 whatever the process's mask is."""
    host = make(config)
    leave(host, raw=[b"foreign"])
    adopt(host)
    visit(host, 2)
    host.flush()
    found = [home_of(host), *home_of(host).rglob("*")]
    assert {"lock", "checkpoint"} < {path.name for path in found}
    assert ".bad" in {path.suffix for path in found}
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.usefixtures("_no_mask")
def test_without_a_mask_the_journal_s_folder_is_the_owner_s_alone(
    make: MakeHost, config: dict[str, t.Any], journals: pathlib.Path
) -> None:
    """Nobody else may put a folder in the place of ours."""
    visit(make(config))
    assert stat.S_IMODE(journals.stat().st_mode) == 0o700


def test_a_file_in_the_folder_s_place_leaves_memory(
    make: MakeHost,
    config: dict[str, t.Any],
    journals: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning that says what to do, and the app works."""
    journals.write_text("a file")
    host = make(config)
    [warning] = caplog.messages
    assert f"{journals} is not a folder. Set EVENTTRACK_JOURNAL_DIR to a folder" in warning
    visit(host, 3)
    assert host.actions() == {"page.visit": 3, "session.start": 1}
    assert len(caplog.messages) == 1
    assert journals.read_text() == "a file"


def test_a_folder_on_a_disk_that_is_read_only_leaves_memory(
    make: MakeHost,
    config: dict[str, t.Any],
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in a container whose root file system is sealed."""
    with small_disk(tmp_path / "disk", "ro") as disk:
        host = make({**config, "EVENTTRACK_JOURNAL_DIR": str(disk / "journals")})
        [warning] = caplog.messages
        assert f"{disk} cannot be written." in warning
        visit(host, 3)
        assert host.actions() == {"page.visit": 3, "session.start": 1}


@needs_users
@pytest.mark.parametrize("below", ["a", "a/b"])
def test_a_folder_that_is_closed_to_us_leaves_memory(
    make: MakeHost,
    config: dict[str, t.Any],
    open_folder: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    below: str,
) -> None:
    """Also one of which it cannot even be seen whether it is there: the app starts."""
    closed = open_folder / "closed"
    closed.mkdir()
    close_to_nobody(closed)
    with as_nobody():
        assert find_obstacle(closed / below)
        host = make({**config, "EVENTTRACK_JOURNAL_DIR": str(closed / below)}, create=False)
        visit(host, 3)
    closed.chmod(0o700)
    assert ["EVENTTRACK_JOURNAL_DIR" in message for message in caplog.messages] == [True]
    with host.app.app_context():
        host.db.create_all()
    assert host.actions() == {"page.visit": 3, "session.start": 1}


def test_an_instance_folder_that_is_missing_is_made(tmp_path: pathlib.Path) -> None:
    """With the first event, not before; without a setting the journal lies there."""
    instance = tmp_path / "var" / "instance"
    app = Flask("host", instance_path=str(instance))
    app.config.update(
        SECRET_KEY="a secret for tests only",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.db'}",
        TESTING=True,
        EVENTTRACK_DURABILITY="journal",
        **PATIENT,
    )
    db, events = SQLAlchemy(app), EventTrack()
    events.init_app(app, db)
    add_pages(app)
    host = Host(app, db, events, t.cast("t.Any", None))
    try:
        assert not instance.exists()
        visit(host)
        assert len(segments(home_at(instance / "eventtrack" / home_name(host)))) == 1
        with app.app_context():
            db.create_all()
        assert host.actions() == {"page.visit": 1, "session.start": 1}
    finally:
        host.close()
    assert [path.suffix for path in (instance / "eventtrack").iterdir()] == [".sites"]


def home_name(host: Host) -> str:
    return host.state.pipeline.database.fingerprint
