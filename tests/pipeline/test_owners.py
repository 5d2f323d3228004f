"""What another user has made, linked or opened in a journal's folder is left alone."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import typing as t

import pytest

from flask_eventtrack.pipeline.chain import Chain
from flask_eventtrack.pipeline.homes import find_obstacle, list_bad, remove_bad

from ..commands import run
from ..conftest import MakeHost
from ..test_doctor import findings_of
from .journals import NOBODY, folders, give_to, home_of, journal_of, leave, segments, wake
from .segments import a_journal, home_at
from .test_health import health_of
from .waiting import visit

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)

Snapshot = dict[pathlib.Path, tuple[int, bytes]]


@pytest.fixture
def victim(tmp_path: pathlib.Path) -> cabc.Iterator[pathlib.Path]:
    """A folder elsewhere with files of a journal's names; a test must not change it."""
    folder = tmp_path / "victim"
    folder.mkdir(mode=0o700)
    for name in ("lock", "checkpoint", "00000001.segment", "x.bad"):
        (folder / name).write_text("precious")
    before = look(folder)
    yield folder
    assert look(folder) == before


def look(folder: pathlib.Path) -> Snapshot:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def age(path: pathlib.Path) -> None:
    os.utime(path, (0, 0), follow_symlinks=False)


@pytest.mark.parametrize("owner", [0, NOBODY])
@pytest.mark.parametrize("is_empty", [True, False])
def test_link_in_a_home_leads_nowhere(
    tmp_path: pathlib.Path, victim: pathlib.Path, *, owner: int, is_empty: bool
) -> None:
    """Nothing is read or removed behind it, whoever made it."""
    home = home_at(tmp_path / "journals" / "home")
    home.mkdir(parents=True, mode=0o700)
    if is_empty:
        (victim / "00000001.segment").rename(tmp_path / "segment")
    link = home / "0123456789abcdef"
    link.symlink_to(victim, target_is_directory=True)
    age(victim)
    os.chown(link, owner, owner, follow_symlinks=False)
    journal = a_journal(home)
    assert not journal.has_neighbours()
    assert not journal.adopt()
    assert Chain.adopt(link) is None
    journal.close()
    assert link.is_symlink()
    if is_empty:
        (tmp_path / "segment").rename(victim / "00000001.segment")


@pytest.mark.parametrize("what", ["folder", "home", "link"])
def test_health_and_doctor_look_only_into_folders_of_ours(
    make: MakeHost, config: dict[str, t.Any], tmp_path: pathlib.Path, what: str
) -> None:
    """What lies in others is neither counted nor opened, and nothing is made there."""
    host = make(config)
    folder = leave(host, raw=[b"x"])
    (folder / "lock").unlink(missing_ok=True)
    if what == "link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    else:
        give_to(NOBODY, folder.parent if what == "home" else folder)
    assert not health_of(host).bytes
    os.mkfifo(folder / "checkpoint")
    host.clock.advance(minutes=10)
    assert not {"ET025", "ET026"} & findings_of(host).keys()
    assert health_of(host).orphans == 0
    assert not (folder / "lock").exists()


def test_doctor_leaves_locks_of_another_user_alone(
    make: MakeHost, config: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    """Not even in a folder of another app: a lock may be another name of a file of ours."""
    host = make(config)
    other = make(config, url=f"sqlite:///{tmp_path}/other.db")
    folder = leave(other, raw=[b"x"])
    for path in folder.iterdir():
        age(path)
    assert "ET024" in findings_of(host)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (folder / "lock").unlink(missing_ok=True)
    (folder / "lock").hardlink_to(precious)
    os.chown(folder, NOBODY, NOBODY)
    assert "ET024" not in findings_of(host)
    assert precious.read_text() == "precious"


def test_pipe_among_unreadable_records_is_no_file_of_them(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """Nor is another user's file: to forget someone waits for neither, and removes neither."""
    host = make(config)
    home = home_of(host)
    home.mkdir(parents=True)
    home.chmod(0o777)
    os.mkfifo(home / "a.bad")
    (home / "b.bad").write_text("customer")
    os.chown(home / "b.bad", NOBODY, NOBODY)
    (home / "c.bad").write_text("customer")
    assert list_bad(journal_of(host)) == [home / "c.bad"]
    remove_bad(journal_of(host), [b"customer"])
    assert {path.name for path in home.iterdir()} == {"a.bad", "b.bad"}


@pytest.mark.parametrize("name", ["lock", "checkpoint", "00000001.segment"])
def test_link_in_a_dead_process_s_folder_is_not_followed(
    make: MakeHost, config: dict[str, t.Any], victim: pathlib.Path, name: str
) -> None:
    """Nothing of the file behind it is read, kept in a .bad file, or overwritten."""
    host = make(config)
    folder = leave(host, raw=[b"foreign"])
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim / name)
    wake(host)
    visit(host)
    host.flush()
    assert b"precious" not in b"".join(path.read_bytes() for path in list_bad(journal_of(host)))


@pytest.mark.parametrize("below", ["", "home"])
def test_folder_that_another_user_made_first_is_not_used(
    make: MakeHost, config: dict[str, t.Any], caplog: pytest.LogCaptureFixture, below: str
) -> None:
    """Events wait in memory; the log and doctor say whose folder it is."""
    first = make(config)
    root = pathlib.Path(config["EVENTTRACK_JOURNAL_DIR"])
    folder = root / home_of(first).name if below else root
    folder.mkdir(mode=0o777, parents=True)
    os.chown(folder, NOBODY, NOBODY)
    host = make(config, url=first.app.config["SQLALCHEMY_DATABASE_URI"], create=False)
    sentence = f"{folder} belongs to another user (uid {NOBODY})"
    assert find_obstacle(journal_of(host)) == sentence
    assert sentence in caplog.text
    visit(host, 2)
    assert host.actions()["page.visit"] == 2
    assert list(folder.iterdir()) == []
    result = run(host, "doctor")
    assert result.exit_code == 1
    assert f"wait in memory only: {sentence}." in result.output


def test_folder_that_becomes_another_user_s_is_left(
    make: MakeHost, config: dict[str, t.Any], tmp_path: pathlib.Path, victim: pathlib.Path
) -> None:
    """A home that is exchanged for a link while the process runs is neither used nor cleaned."""
    host = make(config)
    visit(host)
    host.flush()
    home = home_of(host)
    home.rename(tmp_path / "old")
    home.symlink_to(victim, target_is_directory=True)
    (victim / "folder").mkdir(mode=0o700)
    age(victim / "folder")
    journal = a_journal(home)
    assert journal.put([b"x"]) == 0
    assert not journal.has_neighbours()
    assert list_bad(journal_of(host)) == []
    remove_bad(journal_of(host), [b"precious"])
    journal.close()
    (victim / "folder").rmdir()
    home.unlink()


def test_doctor_et037_a_folder_that_is_left_alone(make: MakeHost, config: dict[str, t.Any]) -> None:
    """It is named with its owner, and its events stay where they are."""
    host = make(config)
    folder, open_one = leave(host, raw=[b"x"]), leave(host, raw=[b"y"])
    give_to(NOBODY, folder)
    open_one.chmod(0o777)
    output = run(host, "doctor").output
    assert "ET037 warning" in output
    assert f"left alone, and not written to the database: {folder} belongs to another" in output
    assert f"database: other users may write to {open_one}." in output
    wake(host)
    host.flush()
    assert {folder, open_one} <= folders(home_of(host))
    assert len(segments(home_of(host))) >= 2
    give_to(0, folder)
    open_one.chmod(0o700)
    with host.app.app_context():
        host.state.pipeline.settle()
    assert "ET037" not in run(host, "doctor").output


def test_folder_of_root_may_hold_the_journal(tmp_path: pathlib.Path) -> None:
    """As a volume that all users may write to: the journal's own folder is checked."""
    root = tmp_path / "volume"
    root.mkdir()
    root.chmod(0o777)
    (tmp_path / "link").symlink_to(root)
    for folder in (root, tmp_path / "link"):
        assert find_obstacle(folder / "home") == ""
    os.chown(tmp_path / "link", NOBODY, NOBODY, follow_symlinks=False)
    assert "belongs to another user" in find_obstacle(tmp_path / "link" / "home")
