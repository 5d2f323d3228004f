from __future__ import annotations

import collections.abc as cabc
import pathlib
import typing as t
import weakref

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack.state import find_state

from .apps import Build


@pytest.fixture
def build(tmp_path: pathlib.Path) -> cabc.Iterator[Build]:
    """Return a function that makes apps with Flask-SQLAlchemy alone; they are closed later."""
    made: list[weakref.ref[Flask]] = []

    def build(db: SQLAlchemy | None = None, **config: t.Any) -> tuple[Flask, SQLAlchemy]:
        app = Flask(f"app{len(made)}")
        url = f"sqlite:///{tmp_path / f'app{len(made)}.db'}"
        app.config.update(SECRET_KEY="a secret for tests only", SQLALCHEMY_DATABASE_URI=url)
        app.config.update(config)
        db = db or SQLAlchemy()
        db.init_app(app)
        made.append(weakref.ref(app))
        return app, db

    yield build
    for reference in made:
        close(reference())


def close(app: Flask | None) -> None:
    if app is not None and (state := find_state(app)) is not None:
        state.pipeline.close()
        with app.app_context():
            for engine in app.extensions["sqlalchemy"].engines.values():
                engine.dispose()
