"""What forks and exits leave of a journal."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ..conftest import MakeHost
from .journals import adopt, home_of, program, run, segments, wake
from .waiting import visit, wait_until

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@needs_fork
def test_a_fork_s_child_has_no_hold_on_its_parent_s_journal(
    make: MakeHost, url: str, config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent is killed while the child lives: the parent's events arrive, and when the child
    is dead the child's."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    script = """
for _ in range(3):
    note("parent.test")
if os.fork() == 0:
    note("child.test")
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    os._exit(0)
threading.Event().wait()
"""
    host = make(config, url=url)
    with program(script, url, config) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        child_s_files = pathlib.Path("/proc", process.stdout.readline().strip(), "fd")
        [child, parent] = sorted(
            segments(home_of(host)), key=lambda path: b"child.test" not in path.read_bytes()
        )
        child, parent = child.parent, parent.parent
        opened = {str(path.readlink()) for path in child_s_files.glob("*")}
        # The folder itself is open where the parent's thread was listing it: that holds nothing.
        assert not [name for name in opened if f"{parent.name}/" in name]
        wake(host)
        assert host.actions() == {}
        process.kill()
        process.wait(10)
        wait_until(lambda: not parent.exists())
        assert host.actions() == {"parent.test": 3}
        assert child.exists()
        process.stdin.close()
        wait_until(lambda: not child.exists())
    assert host.actions() == {"parent.test": 3, "child.test": 1}


@needs_fork
def test_a_fork_s_child_that_drops_the_app_leaves_its_parent_the_journal(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """All in it is committed, so that its owner would remove it: the parent goes on with it."""
    script = """
import gc
note("parent.test")
host.flush()
if os.fork() == 0:
    del host
    gc.collect()
    os._exit(0)
os.wait()
note("parent.test")
print("done", flush=True)
threading.Event().wait()
"""
    host = make(config, url=url)
    with program(script, url, config) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    adopt(host)
    assert host.actions() == {"parent.test": 2}


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise RuntimeError"])
def test_an_orderly_end_leaves_no_folder(
    make: MakeHost, url: str, config: dict[str, t.Any], journals: pathlib.Path, end: str
) -> None:
    """What waited is written, and the journal of the process is gone."""
    host = make(config, url=url)
    assert run(f'note("parent.test")\n{end}', url, config) in {0, 1, 3}
    assert [path for path in journals.iterdir() if path.suffix != ".sites"] == []
    assert host.actions() == {"parent.test": 1}


def test_close_leaves_what_waits_to_the_next(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """An app that is closed while the database is away: the next one writes it."""
    first = make(config, url=url, create=False)
    visit(first, 3)
    first.close()
    assert len(segments(home_of(first))) == 1
    second = make(config, url=url)
    adopt(second)
    assert second.actions() == {"page.visit": 3, "session.start": 1}


def test_close_leaves_nothing_where_nothing_waits(
    make: MakeHost, config: dict[str, t.Any], journals: pathlib.Path
) -> None:
    """Neither a folder nor that of all processes."""
    host = make(config)
    visit(host, 3)
    host.flush()
    host.close()
    assert [path for path in journals.iterdir() if path.suffix != ".sites"] == []
