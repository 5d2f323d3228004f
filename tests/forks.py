"""Programs that start from a process which has imported nearly all they need.

Importing Flask and SQLAlchemy takes each server that a test starts a second or two of a core; a
fork of a process that has imported them takes none. Each is as fresh as a process of its own: what
it makes, it makes after the fork, and it ends as the interpreter does.
"""

from __future__ import annotations

import atexit
import collections.abc as cabc
import contextlib
import faulthandler
import functools
import gc
import importlib
import json
import multiprocessing
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import threading
import time
import typing as t

ROOT = pathlib.Path(__file__).parents[1]
#: What a host app imports, but nothing of the package.
HOSTS = (
    "flask_sqlalchemy",
    "msgspec",
    "psycopg",
    "pymysql",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
)
#: What the sites of the browser tests import, with the package.
SITES = (
    "example_app.__main__",
    "sqlalchemy.dialects.sqlite",
    "tests.browser.cross_site",
    "tests.browser.reported",
    "tests.browser.site",
)
#: The signal on which a fork writes to its log what its threads do.
STACKS = signal.SIGUSR1
Json = dict[str, t.Any]
#: Starts functions of tests as processes, which are forks too.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([*HOSTS, "pytest", "tests.store.records"])


class Fork:
    """``python -m module arguments`` as a fork, with what tests use of ``subprocess.Popen``.

    :param command: the module and its arguments.
    :param log: the file to which its standard output and error are added.
    :param preload: the modules that are imported before the fork.
    :param start_new_session: whether it leads a session and a process group of its own.
    """

    def __init__(
        self,
        command: cabc.Sequence[str],
        *,
        cwd: pathlib.Path,
        env: cabc.Mapping[str, str],
        log: pathlib.Path,
        preload: tuple[str, ...],
        start_new_session: bool = False,
    ) -> None:
        self._nursery = _get_nursery(preload)
        self._status: int | None = None
        self.pid: int = self._nursery.ask(
            command=list(command),
            cwd=str(cwd),
            env=dict(env),
            log=str(log),
            session=start_new_session,
        )

    def poll(self) -> int | None:
        """Return the status if it has ended, negative if a signal ended it."""
        if self._status is None:
            self._status = self._nursery.ask(pid=self.pid)
        return self._status

    def wait(self, timeout: float) -> int:
        """Return the status once it has ended.

        :raises subprocess.TimeoutExpired: it has not in time.
        """
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return status

    def write_stacks(self) -> None:
        """Have it write to its log what its threads do."""
        if self.poll() is None:
            os.kill(self.pid, STACKS)
            time.sleep(0.5)

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


class _Nursery:
    """The process that forks, seen from a test."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", *preload],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._creator = os.getpid()
        atexit.register(self._close)

    def ask(self, **request: t.Any) -> t.Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def _close(self) -> None:
        if os.getpid() == self._creator:  # not in a fork
            self._process.communicate(timeout=10)


@functools.cache
def _get_nursery(preload: tuple[str, ...]) -> _Nursery:
    return _Nursery(preload)


# The process that forks


def _serve() -> Json | None:
    """Answer requests until there are no more; in a fork, return what it is to become."""
    for line in iter(sys.stdin.buffer.readline, b""):
        request = json.loads(line)
        answer = _find_status(request["pid"]) if "pid" in request else os.fork()
        if answer == 0 and "pid" not in request:
            return t.cast("Json", request)
        os.write(1, json.dumps(answer).encode() + b"\n")
    return None


def _find_status(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _become(request: Json) -> None:
    """Make the process what it would be, had it been started by its command."""
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    os.close(nothing)
    os.close(log)
    faulthandler.enable()
    faulthandler.register(STACKS)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path[0] = request["cwd"]
    sys.argv = request["command"]
    sys.orig_argv = [sys.executable, "-m", *sys.argv]  # the reloader of `flask run` starts it again


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the tests
    for _name in sys.argv[1:]:
        with contextlib.suppress(ImportError):  # of what a test needs, it says so itself
            importlib.import_module(_name)
    gc.freeze()
    if (_request := _serve()) is not None:
        _become(_request)
        _module = sys.argv[0]
        if hasattr(sys.modules.get(_module), "__path__"):
            _module += ".__main__"
        sys.modules.pop(_module, None)  # what runs is another one
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
