from __future__ import annotations

import collections.abc as cabc
import contextvars
import multiprocessing
import pathlib
import shutil

import pytest
from flask import Flask
from pytest_flask import live_server as pytest_flask_server
from pytest_flask.live_server import LiveServer

from example_app import create_app
from example_app.models import db
from example_app.seed import ensure_database

SECRET_KEY = "a secret for tests only"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A database with the shop's products and its demo customer, made once."""
    path = tmp_path_factory.mktemp("shelf") / "shop.db"
    app = create_app({"SECRET_KEY": SECRET_KEY, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{path}"})
    with app.app_context():
        ensure_database()
        db.engine.dispose()
    return path


@pytest.fixture
def app(
    request: pytest.FixtureRequest, shelf: pathlib.Path, tmp_path: pathlib.Path
) -> cabc.Iterator[Flask]:
    """The shop that pytest-flask's fixtures use, with a database of its own.

    ``@pytest.mark.app(NAME=value)`` gives it other settings. Flask-EventTrack reads its settings
    once, in ``init_app``: a change of ``config`` inside a test comes too late.
    """
    marker = request.node.get_closest_marker("app")
    app = create_app(
        {
            "TESTING": True,
            "SECRET_KEY": SECRET_KEY,
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{shutil.copy(shelf, tmp_path)}",
            "EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journal"),
            **(marker.kwargs if marker else {}),
        }
    )
    _separate_requests(app)
    yield app
    with app.app_context():
        db.engine.dispose()


def _separate_requests(app: Flask) -> None:
    """Run each request in a context of its own, as a server does.

    pytest-flask keeps one open around the test, for ``url_for`` and ``current_app``. The client's
    requests would share its ``g``, where Flask-Login keeps the user: after one client's log-in, a
    second client would be logged in too.
    """
    serve = app.wsgi_app
    app.wsgi_app = lambda *args: contextvars.Context().run(serve, *args)  # type: ignore[method-assign]


@pytest.fixture
def _forks(monkeypatch: pytest.MonkeyPatch) -> None:
    # What pytest-flask runs can only be forked. Python 3.14 does not fork unless it is told to.
    monkeypatch.setattr(pytest_flask_server, "multiprocessing", multiprocessing.get_context("fork"))


@pytest.fixture
def live_server(_forks: None, live_server: LiveServer) -> LiveServer:
    """The shop in a process of its own, on a free port."""
    return live_server
