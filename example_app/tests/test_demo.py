"""``make demo``: it finds a port that is free, and prints the link."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import html
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import sys
import urllib.request

import pytest
from flask import Flask, request
from sqlalchemy import select

from example_app import security
from example_app.__main__ import open_socket
from example_app.models import Product, db
from example_app.views.catalogue import find_products
from flask_eventtrack.demo import world

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> cabc.Iterator[cabc.Callable[[int], subprocess.Popen[str]]]:
    """A function that starts a demo which wants a port; all of them share one database."""
    environ = os.environ | {
        "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shop.db",
        "FLASK_EVENTTRACK_JOURNAL_DIR": f"{tmp_path}/journal",
        "FLASK_SECRET_KEY": "a secret for tests only",
        "DEMO_EVENTS": "300",
    }
    with contextlib.ExitStack() as started:

        def start(port: int) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "example_app"]
            env = environ | {"PORT": str(port)}
            demo = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.callback(demo.communicate)
            started.callback(demo.terminate)
            return demo

        yield start


def link_of(demo: subprocess.Popen[str]) -> str:
    """Return the first link that a demo prints."""
    assert demo.stdout is not None
    for line in demo.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return found[0]
    raise AssertionError(demo.communicate())


def page_at(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def free_port() -> int:
    """Return a port that is free, and the ones after it probably, too."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def test_two_demos_at_once_have_a_port_each(
    start: cabc.Callable[[int], subprocess.Popen[str]], tmp_path: pathlib.Path
) -> None:
    """Both start at the same moment with an empty database, and want the same port. One of them
    makes up the past."""
    port = free_port()
    links = [link_of(demo) for demo in [start(port), start(port)]]
    assert len(set(links)) == 2
    assert f"http://127.0.0.1:{port}" in links
    for link in links:
        assert "The Wobbly Shelf" in page_at(link)
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        query = "SELECT count(*) FROM eventtrack_event WHERE source IN ('server', 'browser')"
        assert 300 <= connection.execute(query).fetchone()[0] < 400


def test_port_that_another_program_has_is_left_to_it(
    start: cabc.Callable[[int], subprocess.Popen[str]],
) -> None:
    """The link names the port that the demo took instead."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        link = link_of(start(taken))
        assert int(link.rpartition(":")[2]) > taken
        assert "Bruno" in page_at(link)


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")]
)
def test_program_on_other_addresses_has_the_port_too(
    family: socket.AddressFamily, host: str
) -> None:
    """As AirPlay does on a Mac: whoever opens "localhost" would reach it."""
    try:
        other = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"There is no {host} here.")
    with other, open_socket(other.getsockname()[1]) as found:
        assert found.getsockname()[1] > other.getsockname()[1]


def test_port_that_is_free_is_taken() -> None:
    """And held: a second one gets another."""
    port = free_port()
    with open_socket(port) as first, open_socket(port) as second:
        assert first.getsockname() == ("127.0.0.1", port)
        assert second.getsockname()[1] > port


def test_ports_that_there_are_not_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the way out."""
    monkeypatch.setattr("example_app.__main__._PORTS_TRIED", 1)
    with open_socket(0) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=f"No port from {port} to {port} is free: set PORT"):
            open_socket(port)


def test_made_up_pages_are_pages_of_the_shop(app: Flask) -> None:
    """With the same titles and rules, so that links of the dashboard lead to what was seen."""
    client = app.test_client()
    for page in world.list_pages():
        with client:
            answer = client.get(page.path)
            assert request.url_rule is not None
            assert (request.url_rule.rule, request.endpoint) == (page.rule, page.endpoint)
        title = re.search("<title>(.*)</title>", answer.text)
        assert title is not None
        assert html.unescape(title[1]) == page.title


def test_made_up_products_are_on_the_shelf(app: Flask) -> None:
    """With their names and prices; and a search finds as many."""
    with app.app_context():
        shelf = {
            (each.sku, each.slug, each.name, each.kind, each.category, each.price)
            for each in db.session.scalars(select(Product))
        }
        assert shelf == {*world.PRODUCTS}
        searches = [page.search for page in world.list_pages() if page.search]
        assert len(searches) == 8
        for words, found in searches:
            assert len(find_products(words)) == found, words


def test_the_secret_key_survives_a_restart(tmp_path: pathlib.Path) -> None:
    """It is in the instance folder, for its owner only, and nothing else is left there."""
    first, second = (Flask("shop", instance_path=str(tmp_path)) for _ in range(2))
    security.ensure_secret_key(first)
    security.ensure_secret_key(second)
    assert first.config["SECRET_KEY"] == second.config["SECRET_KEY"]
    assert len(first.config["SECRET_KEY"]) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
