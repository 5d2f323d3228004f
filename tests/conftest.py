from __future__ import annotations

import collections.abc as cabc
import gc
import pathlib
import signal
import threading
import typing as t

import pytest
from flask import current_app

from flask_eventtrack import EventTrack

from . import late_rules, made_tables
from .hosts import FakeClock, Host, make_host
from .servers import make_database

OURS = {"eventtrack-writer", "eventtrack-functions", "eventtrack-leases"}
MakeHost = cabc.Callable[..., Host]

late_rules.install()


@pytest.hookimpl(trylast=True)  # once there is the reporter
def pytest_configure(config: pytest.Config) -> None:
    """Tell failures at once, where the tests do not run in a worker of pytest-xdist.

    And handle two signals that are ignored in a shell's background jobs and under nohup. Programs
    that tests start would ignore them too.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Failures(reporter))
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


class _Failures:
    """Name a test when it fails: a run that is cut off tells none of them at its end."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            lines = report.longreprtext.splitlines()
            told = [line for line in lines if line.startswith("E ")] or lines
            self._reporter.write("\n")
            self._reporter.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)
            for line in [*told[:6], *told[6:][-6:]]:
                self._reporter.write_line(line[:300])
            self._reporter.flush()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def create_tables(host: Host) -> None:
    """Do what ``db.create_all()`` does, on SQLite in one transaction instead of one a statement."""
    with host.app.app_context():
        for key, engine in host.db.engines.items():
            with engine.begin() as connection:
                if engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN")
                made_tables.create_tables(connection, host.db.metadatas[key])


@pytest.fixture
def make(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, clock: FakeClock
) -> cabc.Iterator[MakeHost]:
    """Return what makes host apps on SQLite files of their own; they are closed afterwards."""
    if "database_url" in request.fixturenames:
        request.getfixturevalue("database_url")  # so that it is dropped after the apps are closed
    hosts: list[Host] = []

    def build(config: dict[str, t.Any] | None = None, **options: t.Any) -> Host:
        url = options.pop("url", f"sqlite:///{tmp_path / f'host{len(hosts)}.db'}")
        events = options.pop("events", None) or EventTrack(clock=clock)
        create = options.pop("create", True)
        hosts.append(make_host(url, config, events=events, clock=clock, create=False, **options))
        if create:
            create_tables(hosts[-1])
        return hosts[-1]

    yield build
    for host in hosts:
        host.close()


@pytest.fixture
def no_chores(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sweep of a later minute writes what a test does not expect."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 3600.0)


@pytest.fixture
def host(make: MakeHost) -> Host:
    return make()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> cabc.Iterator[str]:
    """The URL of an empty database of each kind in turn."""
    yield from make_database(request.param, tmp_path)


@pytest.fixture
def db_host(make: MakeHost, database_url: str) -> Host:
    """A host app on each kind of database in turn."""
    return make(url=database_url)


@pytest.fixture(scope="module", autouse=True)
def _freeze() -> cabc.Iterator[None]:
    """Keep what was there before a module from being looked at by collections in its tests.

    They took half of the suite's time: modules, SQLAlchemy's above all, are hundreds of thousands
    of objects, and none of them is a test's. What a module's tests left open is found at its end.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _no_leaks() -> cabc.Iterator[None]:
    """No app context and no writer thread outlives a test."""
    yield
    assert not current_app
    if not _find_writers():
        return
    gc.collect()  # an app that a test has dropped ends its writer
    for thread in _find_writers():
        thread.join(30)
        assert not thread.is_alive()


def _find_writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in OURS]
