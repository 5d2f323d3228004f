"""A real Chromium against real server processes, each with a database of its own."""

from __future__ import annotations

import collections
import collections.abc as cabc
import os
import pathlib
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.request

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, sync_playwright

from flask_eventtrack.store.tables import Tables

from ..forks import ROOT, SITES, Fork
from ..servers import require_chromium

TIMEOUT = 90.0


class Site:
    """A server process on a free port of 127.0.0.1, and its database."""

    def __init__(
        self, module: str, folder: pathlib.Path, scheme: str = "http", **settings: str
    ) -> None:
        self._log = folder / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{port}"
        database = f"sqlite:///{folder / 'site.db'}"
        self._engine = sa.create_engine(database)
        self._tables = Tables.for_metadata(sa.MetaData())
        environ = os.environ | {
            "DEMO_EVENTS": "0",
            "PORT": str(port),
            "SCHEME": scheme,
            "FLASK_SQLALCHEMY_DATABASE_URI": database,
            "FLASK_SECRET_KEY": "a secret for tests only",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self._process = Fork([module], cwd=ROOT, env=environ, log=self._log, preload=SITES)
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log()
            try:
                urllib.request.urlopen(f"{self.url}/_et/nothing", timeout=5, context=context)
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"No answer from {self.url}:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT)
        self._engine.dispose()

    def rows(self, table: str, *order: str) -> list[dict[str, t.Any]]:
        found = getattr(self._tables, table)
        query = sa.select(found).order_by(*(found.c[name] for name in order))
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def execute(self, statement: str) -> None:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def await_actions(self, **expected: int) -> list[dict[str, t.Any]]:
        """Return the events once there are exactly these, written ``page_visit=2``.

        :raises AssertionError: other ones are there when the time is up.
        """
        wanted = {name.replace("_", ".", 1): count for name, count in expected.items()}
        deadline = time.monotonic() + TIMEOUT
        while True:
            rows = self.rows("event", "time", "id")
            found = dict(collections.Counter(row["action"] for row in rows))
            if found == wanted:
                return rows
            if time.monotonic() > deadline:
                raise AssertionError(f"{found} instead of {wanted}\n{self._explain()}")
            time.sleep(0.05)

    def await_visits(self, count: int) -> list[dict[str, t.Any]]:
        """Return the page visits once there are as many, whatever else there is."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            rows = [
                row for row in self.rows("event", "time", "id") if row["action"] == "page.visit"
            ]
            if len(rows) >= count:
                assert len(rows) == count, rows
                return rows
            time.sleep(0.05)
        raise AssertionError(f"{[r['params'] for r in rows]}\n{self._explain()}")

    def await_claims(self, count: int) -> list[dict[str, t.Any]]:
        """Return the page visits once so many of them have been joined by a browser."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            rows = [
                row for row in self.rows("event", "time", "id") if row["action"] == "page.visit"
            ]
            if sum(row["claimed_by"] is not None for row in rows) == count:
                return rows
            time.sleep(0.05)
        raise AssertionError(f"{[(r['params'], r['claimed_by']) for r in rows]}\n{self._explain()}")

    def _explain(self) -> str:
        """Return the log, with what the threads of the server do now, or how it has ended."""
        self._process.write_stacks()
        return f"{self.log()}\nstatus of the server: {self._process.poll()}"


@pytest.fixture(scope="session")
def chromium() -> cabc.Iterator[Browser]:
    path = require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> cabc.Iterator[Page]:
    yield from open_fresh_page(chromium)


def open_fresh_page(browser: Browser) -> cabc.Iterator[Page]:
    """Yield a page of a fresh browser profile; an uncaught error on it fails the test."""
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def shop(tmp_path: pathlib.Path, chromium: Browser) -> cabc.Iterator[Site]:
    """The example shop, fresh."""
    yield from run("example_app", tmp_path)


@pytest.fixture
def site(tmp_path: pathlib.Path, chromium: Browser) -> cabc.Iterator[Site]:
    """A small site with pages of awkward kinds, fresh."""
    yield from run("tests.browser.site", tmp_path)


@pytest.fixture
def debug_site(tmp_path: pathlib.Path, chromium: Browser) -> cabc.Iterator[Site]:
    """The same in debug mode."""
    yield from run("tests.browser.site", tmp_path, FLASK_DEBUG="true")


@pytest.fixture
def secure_site(tmp_path: pathlib.Path, chromium: Browser) -> cabc.Iterator[Site]:
    """The same over HTTPS, with a certificate that nobody has signed."""
    yield from run("tests.browser.site", tmp_path, "https")


def run(
    module: str, folder: pathlib.Path, scheme: str = "http", **settings: str
) -> cabc.Iterator[Site]:
    """Yield a server, and stop it afterwards.

    :param settings: variables of its environment.
    """
    site = Site(module, folder, scheme, **settings)
    yield site
    site.stop()
