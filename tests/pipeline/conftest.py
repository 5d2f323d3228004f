from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import tempfile
import typing as t

import pytest

from flask_eventtrack.pipeline.journal import Journal

from .journals import NOBODY
from .segments import HEAD, RECORDS, SEGMENT_BYTES, Begin, a_journal, home_at, leave, segments
from .waiting import PATIENT


@pytest.fixture
def journals(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where the hosts of a test keep their journals."""
    return tmp_path / "journals"


@pytest.fixture
def config(journals: pathlib.Path) -> dict[str, t.Any]:
    """Settings of hosts that write when they are asked to."""
    return {**PATIENT, "EVENTTRACK_JOURNAL_DIR": str(journals)}


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """A database for several hosts."""
    return f"sqlite:///{tmp_path / 'shared.db'}"


@pytest.fixture
def open_folder() -> cabc.Iterator[pathlib.Path]:
    """A folder without an owner of ours, which every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name)


@pytest.fixture
def begin() -> cabc.Iterator[Begin]:
    """Return what makes journals; they are closed afterwards."""
    journals: list[Journal] = []

    def build(*args: t.Any, **options: t.Any) -> Journal:
        journals.append(a_journal(*args, **options))
        return journals[-1]

    yield build
    for journal in journals:
        journal.close()


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    return home_at(tmp_path / "home")


@pytest.fixture
def rotated(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a dead process that wrote RECORDS to a segment each."""
    monkeypatch.setattr(SEGMENT_BYTES, HEAD)
    folder = leave(home, *([record] for record in RECORDS))
    assert len(segments(home)) == 4
    return folder
