"""The journals of hosts, and of programs that die."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing as t

import filelock
import pytest

from flask_eventtrack.pipeline.journal import Journal
from flask_eventtrack.records import Record, encode_record

from ..hosts import SAME_ORIGIN, Host
from ..store.records import quality
from .segments import home_at
from .waiting import ROOT, wait_until

NOBODY = 65534

needs_users = pytest.mark.skipif(not hasattr(os, "setresuid"), reason="users cannot be changed")


def journal_of(host: Host) -> pathlib.Path:
    """Return the path by which the journals of a host's database are known."""
    folder = host.app.config["EVENTTRACK_JOURNAL_DIR"]
    return pathlib.Path(folder, host.state.pipeline.database.fingerprint)


def home_of(host: Host) -> pathlib.Path:
    """Return the folder that processes of this release share which write to a host's database."""
    return home_at(journal_of(host))


def folders(home: pathlib.Path) -> set[pathlib.Path]:
    return {path for path in home.glob("*") if path.is_dir()}


def segments(home: pathlib.Path) -> list[pathlib.Path]:
    return sorted(home.glob("*/*.segment"))


def leave(host: Host, *records: Record, raw: cabc.Sequence[bytes] = ()) -> pathlib.Path:
    """Have another process put records and die; return the folder that it leaves."""
    before = folders(home_of(host))
    journal = Journal(journal_of(host), 1 << 28, is_durable=False)
    assert journal.put([*map(encode_record, records), *raw])
    journal.close()
    [folder] = folders(home_of(host)) - before
    return folder


def wake(host: Host) -> None:
    """Make a request that is not tracked: with the first one adoption begins."""
    assert host.client().get("/data.json").status_code == 200


def is_locked(folder: pathlib.Path) -> bool:
    """Whether its owner lives."""
    try:
        with filelock.FileLock(folder / "lock", timeout=0):
            return False
    except filelock.Timeout:
        return True


def adopt(host: Host) -> None:
    """Have a host that did nothing yet take over what the dead have left, to the end."""
    dead = {folder for folder in folders(home_of(host)) if not is_locked(folder)}
    wake(host)
    wait_until(lambda: not (dead & folders(home_of(host))))
    host.flush()


def losses(host: Host) -> dict[tuple[str, str, str], int]:
    """Return the quality counters of lost events."""
    return {key: count for key, count in quality(host).items() if key[0] != "accepted"}


def post(host: Host, **event: t.Any) -> t.Any:
    event = {"action": "button.click", **event}
    return host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)


_SETUP = """
import json, os, pathlib, signal, sys, threading
from flask_eventtrack import track
from flask_eventtrack.pipeline.journal import Journal
from tests.hosts import NAVIGATION, SAME_ORIGIN, make_host

def note(action):
    with host.app.app_context():
        assert track(action, customer="1") is not None

def post(count):
    events = [{"action": "button.click"}] * count
    answer = host.client().post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert answer.status_code == 202

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

host = make_host(sys.argv[1], json.loads(sys.argv[2]), create=False)
for action in ("parent.test", "child.test"):
    host.events.define(action)
"""


@contextlib.contextmanager
def program(
    script: str, url: str, config: dict[str, t.Any]
) -> cabc.Iterator[subprocess.Popen[str]]:
    """Run a script on a host app; it is killed at the end of the block if it lives."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _SETUP + script, url, json.dumps(config)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()
                log.seek(0)
                print(log.read())  # pytest shows it where a test has failed


def run(script: str, url: str, config: dict[str, t.Any]) -> int:
    with program(script, url, config) as process:
        return process.wait(60)


@contextlib.contextmanager
def as_nobody() -> cabc.Iterator[None]:
    """Give up root's rights, if the tests run as root."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def give_to(uid: int, folder: pathlib.Path) -> None:
    """Make another user the owner of a folder and of all that is in it; links stay links."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def close_to_nobody(folder: pathlib.Path) -> None:
    """Deny access to a folder to the user that :func:`as_nobody` becomes."""
    if os.getuid() == 0:
        os.chown(folder, 0, 0)
        folder.chmod(0o700)
    else:
        folder.chmod(0)


def flip(path: pathlib.Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        [byte] = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0xFF]))
