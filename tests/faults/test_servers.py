"""Events sent are events stored: under each server, while it runs and after each way to end it."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest

from ..servers import REDIS, skip_absent, unique_name
from .books import Books
from .process import BIN, ENDS, STARTS, Program, wait_until
from .script import ENDS as SCRIPT_ENDS
from .trial import Trial, await_noted, noted, open_database

TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL
_GUNICORN = [
    "gunicorn-sync",
    "gunicorn-sync-preload",
    "gunicorn-gthread",
    "gunicorn-gthread-preload",
    "gunicorn-gevent",
    "gunicorn-gevent-preload",
]
_UWSGI = ["uwsgi", "uwsgi-lazy"]
_ALONE = ["waitress", "flask-run", "flask-run-reload"]
#: Which servers take which signal as a request to finish what they are at.
_ASKED = [(server, number) for server in _GUNICORN for number in (TERM, INT)]
_ASKED += [(server, INT) for server in _ALONE]
#: Which do not, or have no chance to. A worker of uWSGI that was busy a moment ago ends without
#: Python's own exit.
_KILLED = [(server, KILL) for server in _GUNICORN]
_KILLED += [(server, number) for server in _UWSGI for number in (TERM, INT, KILL)]
_KILLED += [(server, number) for server in _ALONE for number in (TERM, HUP, KILL)]


def _cases(
    pairs: cabc.Iterable[tuple[str, signal.Signals]], others: cabc.Collection[str] = ()
) -> list[t.Any]:
    """Return parameters: each pair on SQLite, and some servers on the other databases too."""
    return [
        pytest.param(server, number, database, id=f"{server}-{number.name}-{database}")
        for server, number in pairs
        for database in ("sqlite", *(("postgresql",) if server in others else ()))
    ]


@contextlib.contextmanager
def _running(
    server: str, folder: pathlib.Path, database: str = "sqlite", **settings: str
) -> cabc.Iterator[Trial]:
    """Yield a trial of which a part is stored, while the server runs, and a part may wait."""
    with Trial(server, folder, database, **settings) as trial:
        trial.server.start()
        trial.send()
        trial.settle()
        trial.send()
        yield trial


def _end(trial: Trial, number: signal.Signals) -> None:
    """Send a signal as it comes: from a terminal to all, from a supervisor to the leader."""
    is_from_terminal = trial.server.kind in _ALONE and number in {INT, HUP}
    trial.server.send(number, group=is_from_terminal or number is KILL)
    trial.server.wait()


@pytest.mark.parametrize(
    ("server", "number", "database"), _cases(_ASKED, {"gunicorn-gthread-preload"})
)
def test_a_server_that_ends_in_order_leaves_nothing_behind(
    server: str, number: signal.Signals, database: str, tmp_path: pathlib.Path
) -> None:
    """What was acknowledged is stored as it runs and, without another start, when it is asked to
    end."""
    with _running(server, tmp_path, database) as trial:
        _end(trial, number)
        trial.settle()


@pytest.mark.parametrize(("server", "number", "database"), _cases(_KILLED, {"gunicorn-gevent"}))
def test_a_server_that_was_killed_finds_its_events_again(
    server: str, number: signal.Signals, database: str, tmp_path: pathlib.Path
) -> None:
    """What was acknowledged and not yet stored is stored after the next start's first request."""
    with _running(server, tmp_path, database) as trial:
        _end(trial, number)
        trial.server.start()
        trial.settle()


@pytest.mark.parametrize("server", ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent"])
def test_durable_events_survive_as_well(server: str, tmp_path: pathlib.Path) -> None:
    """Who waits for the disk, in one thread, in several or in greenlets, loses nothing either."""
    with _running(server, tmp_path, FLASK_EVENTTRACK_DURABILITY="durable") as trial:
        _end(trial, KILL)
        trial.server.start()
        trial.settle()


@pytest.mark.parametrize(("server", "number"), [("gunicorn-gthread", TERM), ("waitress", INT)])
def test_events_in_memory_survive_an_orderly_end(
    server: str, number: signal.Signals, tmp_path: pathlib.Path
) -> None:
    """Without a journal, too, what waits is stored on the way out."""
    with _running(server, tmp_path, FLASK_EVENTTRACK_DURABILITY="memory") as trial:
        _end(trial, number)
        trial.settle()


@pytest.mark.parametrize(
    ("server", "database"),
    [
        ("gunicorn-gthread-preload", "sqlite"),
        ("gunicorn-gevent-preload", "sqlite"),
        ("uwsgi-hooks", "postgresql"),
        ("uwsgi-hooks", "sqlite"),
        ("uwsgi-lazy", "sqlite"),
    ],
)
def test_an_app_may_track_while_it_is_loaded(
    server: str, database: str, tmp_path: pathlib.Path
) -> None:
    """Its journal and thread are the leader's; the workers have their own, and nothing is lost of
    either when the server is killed and started again."""
    with Trial(server, tmp_path, database, FAULTS_AT_LOAD="yes") as trial:
        trial.server.start()
        trial.send()
        trial.settle()
        trial.send()
        trial.server.send(KILL, group=True)
        trial.server.wait()
        loaded = noted(trial.server)
        trial.server.start()
        trial.send()
        trial.settle()
        wait_until(lambda: trial.books.ids("job.done") >= loaded, ENDS, "the leader's are stored")


@pytest.mark.parametrize(("server", "is_warned"), [("uwsgi", True), ("uwsgi-hooks", False)])
def test_uwsgi_that_forks_behind_pythons_back_is_warned_of(
    server: str, is_warned: bool, tmp_path: pathlib.Path
) -> None:
    """If the app tracks while it is loaded: a worker may hang, so nothing is asked of it here."""
    with Trial(server, tmp_path, FAULTS_AT_LOAD="yes") as trial:
        trial.server.launch()
        wait_until(lambda: "spawned uWSGI worker" in trial.server.log(), STARTS, "it has forked")
        assert ("--py-call-uwsgi-fork-hooks" in trial.server.log()) == is_warned


@pytest.mark.parametrize("server", _GUNICORN + _UWSGI)
def test_a_reload_loses_nothing(server: str, tmp_path: pathlib.Path) -> None:
    """SIGHUP replaces the workers; what the old ones took is stored, and the new ones go on."""
    with _running(server, tmp_path) as trial:
        before = set(trial.server.workers())
        trial.server.send(HUP)
        wait_until(
            lambda: not before & set(trial.server.pids()) and trial.server.is_up(),
            STARTS,
            "other workers answer",
        )
        trial.send()
        trial.settle()


def test_the_reloader_of_flask_run_loses_nothing(tmp_path: pathlib.Path) -> None:
    """A touched file restarts the app; the process that only watches has opened no journal."""
    with _running("flask-run-reload", tmp_path) as trial:
        before = set(trial.server.workers())
        trial.server.app_file.write_text(trial.server.app_file.read_text() + "# touched\n")
        wait_until(
            lambda: not before & set(trial.server.pids()) and trial.server.is_up(),
            STARTS,
            "the app is another process",
        )
        trial.send()
        trial.settle()
        fds = pathlib.Path(f"/proc/{trial.server.pid}/fd").iterdir()
        opened = [str(fd.readlink()) for fd in fds]
        assert not [path for path in opened if path.startswith(str(trial.server.journal))]


@pytest.fixture
def books(tmp_path: pathlib.Path) -> cabc.Iterator[Books]:
    """The tables on a SQLite file."""
    with open_database("sqlite", tmp_path) as url:
        yield Books(url)


@pytest.mark.parametrize("end", SCRIPT_ENDS)
def test_a_script_leaves_its_events(end: str, books: Books, tmp_path: pathlib.Path) -> None:
    """Whichever way it ends, what ``track()`` returned an id for is stored: at once if the
    interpreter says good-bye, and otherwise when the next one starts."""
    script = [sys.executable, "-m", "tests.faults.script"]
    with Program(tmp_path, books.url) as program:
        program.spawn([*script, "25", end])
        program.wait(STARTS)
        if not SCRIPT_ENDS[end][1]:
            assert len(noted(program)) == 25
            program.spawn([*script, "1", "return"])
            program.wait(STARTS)
        await_noted(program, books, 25 if SCRIPT_ENDS[end][1] else 26)


@pytest.fixture
def broker() -> cabc.Iterator[dict[str, str]]:
    """Settings for a queue of its own on a real Redis."""
    redis = pytest.importorskip("redis")
    prefix = f"{unique_name()}:"
    with redis.Redis.from_url(REDIS) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            skip_absent("redis", str(error))
        yield {"FAULTS_BROKER": REDIS, "FAULTS_PREFIX": prefix}
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


def _give_work(program: Program, count: int) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.faults.tasks", str(count)],
        cwd=program.folder,
        env=program.environ,
        check=True,
        timeout=STARTS,
    )


@pytest.mark.parametrize("number", [TERM, INT, HUP, KILL], ids=lambda number: number.name)
def test_a_celery_worker_loses_nothing(
    number: signal.Signals, broker: dict[str, str], books: Books, tmp_path: pathlib.Path
) -> None:
    """Tasks in two forked processes track; a child that skips the interpreter's good-bye leaves
    its events to the next start."""
    worker = [str(BIN / "celery"), "--quiet", "--app", "tests.faults.tasks:celery", "worker"]
    worker += ["--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with Program(tmp_path, books.url, **broker) as program:
        program.spawn(worker)
        _give_work(program, 20)
        await_noted(program, books, 20)
        before = set(program.pids())
        _give_work(program, 10)
        wait_until(lambda: len(noted(program)) == 30, STARTS, "the tasks are done")
        program.send(number, group=number is KILL)
        if number is HUP:
            wait_until(lambda: not (before - {program.pid}) & set(program.pids()), ENDS, "it ends")
        else:
            program.wait()
            program.spawn(worker)
        _give_work(program, 4)
        await_noted(program, books, 34)
