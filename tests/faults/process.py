"""Server processes: how each kind is started, asked, and ended."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

from ..forks import HOSTS, ROOT, Fork
from .ports import HOST, free_port, is_free

BIN = pathlib.Path(sys.executable).parent
#: Seconds that a server may take to answer after its start, and to end after its signal.
STARTS = 90.0
ENDS = 30.0
_APP = "tests.faults.app:create_app"
_RELOADED = "from tests.faults.app import create_app\n\napp = create_app()\n"


def wait_until(condition: cabc.Callable[[], object], seconds: float, what: str) -> None:
    """Poll until something is so; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:g} seconds it is not so: {what}"
        time.sleep(0.02)


class Process(t.NamedTuple):
    """A line of the process table."""

    pid: int
    parent: int
    group: int


def iter_processes() -> cabc.Iterator[Process]:
    """Go through the processes that live; those that only wait to be reaped do not."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = _read_stat(path)
            if fields[0] not in "ZX" or _has_threads(path.parent):
                yield Process(int(path.parent.name), int(fields[1]), int(fields[2]))


def _has_threads(process: pathlib.Path) -> bool:
    """Whether a thread outlives the main one: it keeps files and ports open."""
    return any(_read_stat(path)[0] not in "ZX" for path in process.glob("task/*/stat"))


def _read_stat(path: pathlib.Path) -> list[str]:
    """Return the fields of a process or thread from its state on."""
    return path.read_text().rpartition(")")[2].split()


class Program:
    """A program in a process group of its own, which is gone when the block ends.

    :param folder: where it runs and where its log, journal and app file are.
    :param url: its database.
    :param settings: more environment variables.
    """

    def __init__(self, folder: pathlib.Path, url: str, **settings: str) -> None:
        self.folder = folder
        self.environ = {
            **os.environ,
            "FAULTS_FOLDER": str(folder),
            "FAULTS_NOTES": str(folder / "notes.txt"),
            "FLASK_SECRET_KEY": "a secret for tests only",
            "FLASK_SQLALCHEMY_DATABASE_URI": url,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self.journal = pathlib.Path(
            settings.get("FLASK_EVENTTRACK_JOURNAL_DIR", folder / "instance" / "eventtrack")
        )
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | Fork | None = None

    def spawn(self, command: cabc.Sequence[str], preload: tuple[str, ...] = ()) -> None:
        """Start the program, and wait for nothing.

        :param preload: what the process has imported that it is forked from, if it is to be a fork;
            its command is then ``python -m`` something.
        """
        if preload:
            assert list(command[:2]) == [sys.executable, "-m"], command
            self._process = Fork(
                command[2:],
                cwd=self.folder,
                env=self.environ,
                log=self._log,
                preload=preload,
                start_new_session=True,
            )
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The leader of the group."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    def pids(self) -> list[int]:
        """All that lives of the program."""
        return [process.pid for process in iter_processes() if process.group == self.pid]

    def workers(self) -> list[int]:
        """The leader's children."""
        return [process.pid for process in iter_processes() if process.parent == self.pid]

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the leader, or as a terminal does to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float = ENDS) -> int:
        """Wait until all of the program has ended; return the leader's status."""
        assert self._process is not None, "it was never started"
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended after {seconds:g} seconds") from None
        wait_until(lambda: not self.pids(), seconds, "the children have ended as well")
        return status

    def kill(self) -> None:
        """Kill every process of the program at once."""
        if self._process is not None:
            self.send(signal.SIGKILL, group=True)
            self.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        if error[0] is not None:
            print(self.log()[-6000:])


class Server(Program):
    """A server of the app on a port that it keeps.

    :param kind: a key of ``SERVERS``.
    """

    def __init__(self, kind: str, folder: pathlib.Path, url: str, **settings: str) -> None:
        super().__init__(folder, url, **settings)
        self.kind = kind
        self.port = free_port()
        self.app_file = folder / "wsgi.py"
        self.app_file.write_text(_RELOADED)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.launch()
        self.wait_until_up()

    def launch(self) -> None:
        """Start the server, as soon as what ran before has let go of its port."""
        wait_until(lambda: is_free(self.port), ENDS, f"port {self.port} is free")
        self.spawn(SERVERS[self.kind](self), HOSTS if self.kind in _FORKED else ())

    def wait_until_up(self) -> None:
        try:
            wait_until(self.is_up, STARTS, f"{self.kind} answers")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None

    def is_up(self) -> bool:
        """Ask for something that is not tracked, on a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection(HOST, self.port, timeout=5)) as link:
            try:
                link.request("GET", "/up")
                return link.getresponse().read() == b"up"
            except (OSError, http.client.HTTPException):
                return False

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        self.send(signal.SIGTERM)
        self.wait()


def _gunicorn(worker: str, *options: str) -> cabc.Callable[[Server], list[str]]:
    def command(server: Server) -> list[str]:
        return [
            *[sys.executable, "-m", "gunicorn", f"{_APP}()", "--workers", "2"],
            *["--worker-class", worker, "--bind", f"{HOST}:{server.port}"],
            *["--graceful-timeout", "10", "--log-level", "warning", *options],
        ]

    return command


def _uwsgi(*options: str) -> cabc.Callable[[Server], list[str]]:
    def command(server: Server) -> list[str]:
        return [
            *[str(BIN / "uwsgi"), "--master", "--processes", "2", "--enable-threads"],
            *["--http-socket", f"{HOST}:{server.port}", "--module", f"{_APP}()", "--need-app"],
            *["--virtualenv", sys.prefix, "--die-on-term", "--disable-logging", *options],
        ]

    return command


def _waitress(server: Server) -> list[str]:
    listen = f"--listen={HOST}:{server.port}"
    return [sys.executable, "-m", "waitress", listen, "--call", _APP]


def _flask(app: str, *options: str) -> cabc.Callable[[Server], list[str]]:
    def command(server: Server) -> list[str]:
        start = [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(server.port)]
        return [*start, *options]

    return command


#: How each kind of server is started.
SERVERS: dict[str, cabc.Callable[[Server], list[str]]] = {
    "gunicorn-sync": _gunicorn("sync"),
    "gunicorn-sync-preload": _gunicorn("sync", "--preload"),
    "gunicorn-gthread": _gunicorn("gthread", "--threads", "4"),
    "gunicorn-gthread-preload": _gunicorn("gthread", "--threads", "4", "--preload"),
    "gunicorn-gevent": _gunicorn("gevent"),
    "gunicorn-gevent-preload": _gunicorn("gevent", "--preload"),
    "uwsgi": _uwsgi(),
    "uwsgi-hooks": _uwsgi("--py-call-uwsgi-fork-hooks"),
    "uwsgi-lazy": _uwsgi("--lazy-apps"),
    "waitress": _waitress,
    "flask-run": _flask(_APP),
    # Only its own file restarts it, not an edit of the package while the test runs.
    "flask-run-reload": _flask(
        "wsgi.py", "--reload", "--exclude-patterns", f"{ROOT}/*:{sys.prefix}/*"
    ),
}
#: Not uWSGI, which is no Python program, and not gevent, which has to come before all imports.
_FORKED = {kind for kind in SERVERS if "uwsgi" not in kind and "gevent" not in kind}
