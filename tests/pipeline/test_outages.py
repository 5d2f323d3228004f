"""The database is away: pages go on, and events wait."""

from __future__ import annotations

import datetime as dt
import pathlib
import typing as t
import uuid as uuidlib

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_eventtrack import track
from flask_eventtrack.errors import FlushTimeout
from flask_eventtrack.records import Outcome, Record

from ..conftest import MakeHost
from ..faults.proxy import Proxy
from ..hosts import SAME_ORIGIN, Host
from ..servers import make_database
from ..store.records import a_page, quality
from .waiting import PATIENT, locked, visit, wait_until, waiting

# Seconds: far from what a page takes, and half of what it takes to wait for a locked database.
NO_WAIT = 5.0


def test_pages_do_not_notice_a_locked_database(db_host: Host) -> None:
    """While another program holds the lock, pages and posts are answered at once, and kept."""
    with locked(db_host):
        assert visit(db_host, 20) < NO_WAIT
        event = {"action": "button.click"}
        answer = db_host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
        assert answer.status_code == 202
        assert waiting(db_host) == 21
    assert db_host.actions() == {"page.visit": 20, "session.start": 2, "button.click": 1}


def test_flush_gives_up_after_its_timeout(db_host: Host) -> None:
    """A flush that cannot finish in time says so; the events are kept and arrive."""
    with locked(db_host):
        visit(db_host)
        with (
            db_host.app.app_context(),
            pytest.raises(
                FlushTimeout, match=r"^Records still waiting after 0.1 s: 1\. They are kept"
            ),
        ):
            db_host.events.flush(timeout=0.1)
        assert waiting(db_host) == 1
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}


def test_events_wait_for_their_tables(make: MakeHost, database_url: str) -> None:
    """Without tables pages answer all the same; once they are made the events arrive."""
    host = make(url=database_url, create=False)
    assert visit(host, 5) < NO_WAIT
    with pytest.raises(exc.DBAPIError, match="eventtrack_"):
        host.flush()
    assert waiting(host) == 5
    with host.app.app_context():
        host.db.create_all()
    assert host.actions() == {"page.visit": 5, "session.start": 1}
    assert host.rows("rejected") == []


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_events_wait_for_a_server_that_is_down(
    make: MakeHost, kind: str, tmp_path: pathlib.Path
) -> None:
    """Where nothing listens pages answer at once; when the server is up the events arrive."""
    for real in make_database(kind, tmp_path):
        with sa.create_engine(real, poolclass=sa.NullPool).begin() as connection:
            make(url=real, create=False).db.metadata.create_all(connection)
        with Proxy(real) as proxy:
            proxy.down()
            host = make(url=proxy.url, create=False)
            assert visit(host, 10) < NO_WAIT
            with pytest.raises(exc.OperationalError):
                host.flush()
            assert waiting(host) == 10
            proxy.up()
            assert host.actions() == {"page.visit": 10, "session.start": 1}
            host.close()


def test_what_does_not_fit_is_dropped_and_counted(make: MakeHost) -> None:
    """Beyond the buffer pages still answer, posts are told to come back, and losses are counted."""
    host = make({**PATIENT, "EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 3})
    visit(host, 7)
    host.events.define("order.ship")
    with host.app.app_context():
        assert track("order.ship", customer="1") is None
    answer = host.client().post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.mimetype == "application/problem+json"
    assert host.actions() == {"page.visit": 3, "session.start": 1}
    assert quality(host)["dropped", "page.visit", "no room"] == 4
    assert quality(host)["dropped", "order.ship", "no room"] == 1
    assert visit(host) < NO_WAIT
    assert host.actions()["page.visit"] == 4


@pytest.mark.parametrize(
    ("durability", "setting", "limit"),
    [("memory", "BUFFER_SIZE", 4), ("journal", "JOURNAL_MAX_BYTES", 1000)],
)
def test_log_says_once_that_there_is_no_room_and_once_that_there_is(
    make: MakeHost, caplog: pytest.LogCaptureFixture, durability: str, setting: str, limit: int
) -> None:
    """A handler that tracks is no obstacle: nothing is locked."""
    settings = {"EVENTTRACK_DURABILITY": durability, f"EVENTTRACK_{setting}": limit}
    host = make({**PATIENT, **settings}, create=False)
    visit(host, 20)
    said = [message for message in caplog.messages if "refused" in message]
    assert len(said) == 1
    assert said[0].startswith(f"EVENTTRACK_{setting} is reached: new events are refused")
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    visit(host, 2)
    assert caplog.messages.count("There is room for new events again.") == 1


def test_a_batch_fits_whole_or_not_at_all(make: MakeHost) -> None:
    """A post of which only a part would fit is refused as a whole, so that it may come again."""
    host = make({**PATIENT, "EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 3})
    events = [{"action": "button.click"}] * 4
    answer = host.client().post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert answer.status_code == 503
    assert host.actions() == {}


def test_an_outage_is_logged_once(make: MakeHost, caplog: pytest.LogCaptureFixture) -> None:
    """The log says that events wait, and that they are written again: not every try."""
    host = make(create=False)
    visit(host)
    for _ in range(3):
        with pytest.raises(exc.OperationalError):
            host.flush()
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    wait_until(lambda: "Events are written again." in caplog.messages)
    assert [message.split(":")[0] for message in caplog.messages] == [
        "Events cannot be written, and wait",
        "Events are written again.",
    ]


def test_an_outage_behind_a_refused_event_counts_nothing_twice(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was written in part is written again: no row, counter or dead letter more."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 3600})
    worker = host.state.pipeline
    commit, calls = worker.writer._commit_once, 0

    def fail_once(records: t.Sequence[Record], outcomes: t.Any) -> t.Any:
        nonlocal calls
        calls += 1
        if calls == 5:  # all, a half, the refused one, its neighbour, the rest
            raise sa.exc.OperationalError("INSERT", {}, Exception("the database is away"))
        return commit(records, outcomes)

    monkeypatch.setattr(worker.writer, "_commit_once", fail_once)
    visits = [a_page(f"/{n}", uuid=uuidlib.uuid4(), session=None) for n in range(4)]
    broken = msgspec.structs.replace(visits[0], time=dt.datetime(2026, 1, 1))  # noqa: DTZ001
    host.state.pipeline.count(Outcome("dropped", "page.visit", "no room"))
    host.state.pipeline.put(broken, *visits[1:])
    with pytest.raises(sa.exc.OperationalError), host.app.app_context():
        host.events.flush()
    assert len(host.rows("rejected")) == 1
    assert host.actions() == {"page.visit": 3}
    assert quality(host) == {
        ("accepted", "page.visit", ""): 3,
        ("dropped", "page.visit", "no room"): 1,
    }
    assert calls > 5
