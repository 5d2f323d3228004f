"""Tests with other people's extensions: a module for each, with the real thing."""

from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import pathlib
import re
import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import TestResponse

from flask_eventtrack import EventTrack

from ..conftest import create_tables
from ..hosts import NAVIGATION, SAME_ORIGIN, FakeClock, Host, add_pages

Register = cabc.Callable[[Flask], object]
MakeNeighbours = cabc.Callable[..., Host]


@pytest.fixture(params=["before", "after"])
def beside(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, clock: FakeClock
) -> cabc.Iterator[MakeNeighbours]:
    """Return what makes a host with an extension, registered before ours or after."""
    hosts: list[Host] = []

    def build(register: Register, config: dict[str, t.Any] | None = None) -> Host:
        app = Flask("host")
        app.config.update(
            SECRET_KEY="a secret for tests only",
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / f'host{len(hosts)}.db'}",
            TESTING=True,
            EVENTTRACK_DURABILITY="memory",
        )
        app.config.update(config or {})
        db, events = SQLAlchemy(app), EventTrack(clock=clock)
        if request.param == "before":
            register(app)
        events.init_app(app, db)
        if request.param == "after":
            register(app)
        add_pages(app)
        hosts.append(Host(app, db, events, clock))
        create_tables(hosts[-1])
        return hosts[-1]

    yield build
    for host in hosts:
        host.close()


def click(client: FlaskClient) -> TestResponse:
    """Post an event of a page of ours, as the browser does."""
    event = {"action": "button.click", "params": {"name": "buy"}}
    return client.post("/_et/in", json=event, headers=SAME_ORIGIN)


def load_script(client: FlaskClient, page: str = "/") -> TestResponse:
    """Load a page's script as the browser does, which refuses it if it has another hash."""
    text = client.get(page, headers=NAVIGATION).text
    found = re.search(r'src="([^"]+)" integrity="([^"]+)"', text)
    assert found
    response = client.get(found[1])
    if "Content-Encoding" not in response.headers:
        digest = base64.b64encode(hashlib.sha384(response.data).digest()).decode()
        assert found[2] == f"sha384-{digest}"
    return response
