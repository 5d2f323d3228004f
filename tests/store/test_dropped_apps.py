from __future__ import annotations

import gc
import pathlib
import weakref

import pytest

from flask_eventtrack import EventTrack, identify

from ..conftest import create_tables
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, FakeClock, Host, make_host


def use(host: Host) -> list[weakref.ref[object]]:
    """Have all statements run that a batch, a sweep and an erasure need; return what must go."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
        identify("customer-1")
    client.post(
        "/_et/in", json={"action": "page.visit", "params": {"url": "/"}}, headers=SAME_ORIGIN
    )
    host.flush()
    host.clock.advance(hours=1)
    host.state.pipeline.sweep()
    with host.app.app_context():
        host.events.forget("customer-1")
        engine = host.db.engine
    database = host.state.pipeline.database
    with database.read() as connection:
        dialect = connection.dialect
    return [weakref.ref(each) for each in (host.app, database, engine, dialect)]


@pytest.mark.parametrize("name", ["host.db", ""], ids=["file", "memory"])
def test_nothing_keeps_a_dropped_app_alive(
    tmp_path: pathlib.Path, clock: FakeClock, name: str
) -> None:
    """No cache of a module holds an app's engine, what is made for it, or its database."""
    url = f"sqlite:///{tmp_path / name}" if name else "sqlite://"
    host = make_host(url, events=EventTrack(clock=clock), clock=clock, create=False)
    create_tables(host)
    references = use(host)
    host.close()
    del host
    for _ in range(3):  # Flask-SQLAlchemy lets go of the engines once the app is collected
        gc.collect()
    assert [each() for each in references] == [None] * len(references)
