"""Several writers on one database: who writes what, and what happens when one of them dies."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack import signals
from flask_eventtrack.errors import FlushTimeout
from flask_eventtrack.pipeline.partitions import PARTITIONS, find_partitions, split
from flask_eventtrack.records import Claim, Client, Identified, PageView, Record, SessionEnd
from flask_eventtrack.store.dialects import lock_partitions

from ..conftest import MakeHost
from ..forks import PROCESSES
from ..hosts import Host, make_host
from ..servers import make_database
from ..store.halves import browser_half, cookieless, server_half
from ..store.records import a_page, an_event, at, quality, recount, session_of, totals
from .waiting import PATIENT


def device(number: int) -> uuidlib.UUID:
    """Return a device of the partition ``number % PARTITIONS``."""
    return uuidlib.UUID(int=(number << 8) + number % PARTITIONS, version=4)


def event_of(number: int, seconds: float = 1, **fields: t.Any) -> t.Any:
    its = device(number)
    given: dict[str, t.Any] = {"device": its, "session": session_of(its)}
    return an_event(seconds=seconds, **given | fields)


def page_view(number: int) -> PageView:
    its = device(number)
    raw = ("http", "localhost", "", "/", "", "home", "/", "", "Home", 200, 1, None)
    return PageView(uuidlib.uuid4(), 0, its, its, 1, 0, *raw)


SERVER = server_half(uuid=device(3), session=session_of(device(3)))
STRANGE = browser_half(SERVER, uuid=device(5), session=session_of(device(5)))
LONE = an_event(session=None)
OF_PAGE = Claim(uuidlib.UUID(int=14), cookieless=True)


@pytest.mark.parametrize(
    ("records", "partitions"),
    [
        ([page_view(3), event_of(3), event_of(11)], [3, 3, 3]),
        ([event_of(4), event_of(5)], [4, 5]),
        ([SERVER, browser_half(SERVER, session=session_of(device(3)))], [3, 3]),
        # A browser without cookies goes where its page's device is, if that is known.
        ([cookieless(STRANGE, SERVER, device(5)), SERVER], [3, 3]),
        ([cookieless(STRANGE, SERVER, device(5))], [5]),
        ([SERVER, cookieless(event_of(5), SERVER, device(5))], [3, 3]),
        # A page out of a shared cache tells no device.
        ([SERVER, event_of(5, claim=Claim(SERVER.id, foreign=True))], [3, 5]),
        # Without a session: the visit decides, or else the event.
        ([an_event(session=None, claim=OF_PAGE, client=Client())], [6]),
        ([LONE], [LONE.id.int % PARTITIONS]),
        ([Identified(uuid=device(2), customer_id="7", time=at(0), anonymous=device(4))], [2]),
        ([SessionEnd(session_id=device(7), reason="logout")], [7]),
    ],
)
def test_the_device_decides(records: list[Record], partitions: list[int]) -> None:
    """Each record has the partition of the device whose rows it changes."""
    assert find_partitions(records) == partitions


def test_a_kept_event_follows_the_half_that_it_names() -> None:
    """It names the browser's half, which follows the server's."""
    half = cookieless(STRANGE, SERVER, device(5))
    kept = event_of(5, claim=Claim(half.id, cookieless=True, kept=True))
    assert find_partitions([kept, half, SERVER]) == [3, 3, 3]


@pytest.mark.parametrize(
    ("waiting", "sizes"),
    [(0, [0]), (1, [1]), (500, [500]), (700, [700]), (1600, [600, 600, 400]), (4000, [500] * 8)],
)
def test_parts_are_about_a_batch(waiting: int, sizes: list[int]) -> None:
    """What waits makes as many parts as batches, and never more than there are partitions."""
    parts = split([event_of(n) for n in range(waiting)], 500, first=5)
    assert [len(part.records) for part in parts] == sizes


def test_parts_share_no_partition() -> None:
    """Each begins where it is told to, and names its partitions in order."""
    parts = split([event_of(n) for n in range(1600)], 500, first=6)
    assert [part.partitions for part in parts] == [[0, 6, 7], [1, 2, 3], [4, 5]]


def test_a_session_ends_after_all_that_happened_in_it() -> None:
    """A session's end does not name its device, so it comes in the last part."""
    end = SessionEnd(session_id=session_of(device(3)).id, reason="logout")
    parts = split([end, *(event_of(n) for n in range(1000))], 500, first=0)
    assert end not in parts[0].records
    assert end in parts[1].records


# On databases


@pytest.fixture(params=["postgresql", "mariadb"])
def server_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> cabc.Iterator[str]:
    """The URL of an empty database of each kind that takes several writers at a time."""
    yield from make_database(request.param, tmp_path)


@pytest.fixture
def two(server_url: str, make: MakeHost) -> tuple[Host, Host]:
    """Two apps on one database, as in two processes."""
    config = {**PATIENT, "EVENTTRACK_DURABILITY": "memory"}
    first = make(config, url=server_url)
    return first, make(config, url=server_url, create=False)


def test_a_partition_has_one_writer_at_a_time(two: tuple[Host, Host]) -> None:
    """While another transaction holds it, other partitions are written, and it waits."""
    one, other = two
    other.state.pipeline.put(event_of(1), event_of(2))
    other.flush()
    database = one.state.pipeline.database
    with database.begin() as connection:
        lock_partitions(connection, database.tables.tombstone, [1])
        other.state.pipeline.put(event_of(10, 2))
        other.state.pipeline.flush(30)
        other.state.pipeline.put(event_of(1, 3))
        with pytest.raises(FlushTimeout):
            other.state.pipeline.flush(0.3)
    assert other.actions()["order.ship"] == 4


def test_writers_of_the_same_sessions_are_not_rolled_back(two: tuple[Host, Host]) -> None:
    """Two transactions would open the same hundred sessions: the second waits for the first."""
    database, undone = two[0].state.pipeline.database, list[sa.Connection]()
    for host in two:
        host.state.pipeline.put(*(event_of(n) for n in range(PARTITIONS)))
        host.flush()
        sa.event.listen(host.state.pipeline.database._engine, "rollback", undone.append)
    with database.read() as connection:
        # Which the totals of a batch wait for, at its end.
        connection.execute(sa.select(database.tables.hourly).with_for_update())
        for at_once, host in enumerate(two):
            host.state.pipeline.put(*(event_of(100 + n, at_once + 2) for n in range(100)))
            with pytest.raises(FlushTimeout):
                host.state.pipeline.flush(0.5)
    for host in two:
        host.flush()
    assert undone == []
    assert {row["events"] for row in two[0].rows("session")} == {2}
    assert totals(two[0]) == recount(two[0])


def test_a_writer_that_dies_between_two_transactions(
    server_url: str, make: MakeHost, journals: pathlib.Path
) -> None:
    """What it has written of what it had taken is written again, which changes nothing."""
    config = {**PATIENT, "EVENTTRACK_JOURNAL_DIR": str(journals)}
    host = make(config, url=server_url)
    process = PROCESSES.Process(target=_die_after_a_part, args=(server_url, config))
    process.start()
    process.join(60)
    assert process.exitcode == 7
    written = len(host.rows("event"))
    assert 0 < written < 1000
    host.state.pipeline.settle()
    assert host.actions() == {"page.visit": 500, "order.ship": 500, "session.start": 100}
    assert {(row["pages"], row["events"]) for row in host.rows("session")} == {(5, 10)}
    assert totals(host) == recount(host)
    counted = quality(host)
    assert counted["accepted", "order.ship", ""] == counted["accepted", "page.visit", ""] == 500
    assert not [key for key in counted if key[0] != "accepted"]


def _die_after_a_part(url: str, config: dict[str, t.Any]) -> None:
    def die(app: object, count: int) -> None:
        os._exit(7)

    host = make_host(url, config, create=False)
    own = [{"uuid": device(n % 100), "session": session_of(device(n % 100))} for n in range(500)]
    pages = [a_page("/", n / 100, **each) for n, each in enumerate(own)]
    events = [event_of(n % 100, n / 100 + 0.001) for n in range(500)]
    host.state.pipeline.put(*pages, *events)
    signals.events_written.connect(die)
    host.flush()


# New tables


@pytest.fixture
def postgresql(tmp_path: pathlib.Path) -> cabc.Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    yield from make_database("postgresql", tmp_path)


def test_postgresql_looks_at_new_tables_once(postgresql: str, make: MakeHost) -> None:
    """After the first rows, so that its plans are no guesses; not after another start."""
    for n in range(2):
        host = make(PATIENT, url=postgresql, create=not n)
        host.state.pipeline.put(event_of(n))
        host.flush()
    query = sa.text(
        "SELECT relname, analyze_count FROM pg_stat_user_tables WHERE analyze_count > 0"
    )
    with host.state.pipeline.database.read() as connection:
        looked_at = {row.relname: row.analyze_count for row in connection.execute(query)}
    assert looked_at == {"eventtrack_event": 1, "eventtrack_session": 1}
