"""Whatever is written, a reader of the commit log has the same rows as the tables."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import pathlib
import typing as t

import msgspec
import pytest

from flask_eventtrack import track
from flask_eventtrack.demo.filling import fill
from flask_eventtrack.records import SessionEnd

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from . import old_engagement, old_sessions
from .copies import EQUAL, LOG, Copy, differences
from .halves import BROWSER, RELOADED, RESHOWN, SERVER, browser_half, cookieless, server_half
from .orders import a_cancellation, a_charge
from .people import ADA, ADA_UUID, STRANGER, forget
from .persons import apply_aliases, log_in
from .records import DEVICE, an_event, an_id, session_of, write_records
from .test_host_orders import put_in_host

LATE = a_charge("A-2", seconds=5)


Path = cabc.Callable[[Host], None]


def join_halves(host: Host) -> None:
    """The browser's half comes later, and a second one shows the page again."""
    write_records(host, SERVER)
    write_records(host, BROWSER)
    write_records(host, RESHOWN)


def rename_visit(host: Host) -> None:
    """The server's half of a page shown again gives the visit its own id."""
    write_records(host, SERVER, BROWSER)
    write_records(host, RESHOWN)
    assert host.actions()["page.visit"] == 2
    write_records(host, RELOADED)
    assert RELOADED.id in {row["id"] for row in host.events_of("page.visit")}
    assert RESHOWN.id not in {row["id"] for row in host.events_of("page.visit")}


def move_stand_in(host: Host) -> None:
    """A session without cookies is removed, and its events move."""
    write_records(host, cookieless(BROWSER, SERVER))
    click = an_event("button.click", 2, uuid=STRANGER, session=session_of(STRANGER, start=1))
    write_records(host, click)
    assert {row["uuid"] for row in host.rows("session")} == {STRANGER}
    write_records(host, SERVER)
    assert {row["uuid"] for row in host.rows("session")} == {DEVICE}


def engage(host: Host) -> None:
    """Time in view arrives before its page, and again after it."""
    page = server_half("/read", 3)
    half = browser_half(page, 4, "/read")
    told = an_event(
        "page.engage", 9, id=an_id(9), params={"visible_ms": 900}, page=half.id, source="browser"
    )
    write_records(host, told)
    write_records(host, page, half)
    more = msgspec.structs.replace(told, id=an_id(10), params={"visible_ms": 1900})
    write_records(host, more)


def open_earlier(host: Host) -> None:
    """Of two openings of a session, the later one is written first."""
    later = msgspec.structs.replace(SERVER, session=session_of(DEVICE, start=0.5))
    write_records(host, later)
    write_records(host, server_half("/early", 0.2))


def end_sessions(host: Host) -> None:
    write_records(host, SERVER, SessionEnd(session_id=session_of(DEVICE).id, reason="logout"))
    write_records(host, server_half("/", 2, uuid=STRANGER, session=session_of(STRANGER)))
    host.clock.advance(hours=2)
    assert host.state.pipeline.sweep()


def become_a_customer(host: Host) -> None:
    write_records(host, SERVER)
    write_records(host, log_in(ADA_UUID))
    apply_aliases(host)
    with host.app.app_context():
        host.state.pipeline.writer.unmerge(DEVICE)


def write_in_the_host_s_transaction(host: Host) -> None:
    with host.app.app_context():
        track("order.ship", customer=ADA, in_transaction=True)
        host.db.session.commit()
    put_in_host(host, a_charge())


def order(host: Host) -> None:
    """A cancellation waits for its charge; a minute later both are settled."""
    write_records(host, a_cancellation("A-2", seconds=6))
    write_records(host, a_charge(), LATE, a_cancellation(items={"mug": 1}))
    host.clock.advance(minutes=3)
    host.state.pipeline.sweep()


def object_to_it(host: Host) -> None:
    write_records(host, an_event(seconds=1, uuid=ADA_UUID))
    with host.app.app_context():
        host.events.opt_out(ADA)
    write_records(host, an_event(seconds=2, uuid=ADA_UUID))


def erase(host: Host) -> None:
    mine: dict[str, t.Any] = {"uuid": ADA_UUID, "session": session_of(ADA_UUID)}
    write_records(host, SERVER, BROWSER, server_half("/mine", 2, **mine), a_charge(seconds=3))
    write_records(host, a_charge("A-9", seconds=4, device=ADA_UUID))
    put_in_host(host, msgspec.structs.replace(LATE, uuid=ADA_UUID))
    forget(host, ADA_UUID)
    forget(host, DEVICE)


def prune(host: Host) -> None:
    write_records(host, SERVER, a_charge())
    host.clock.advance(hours=2)
    host.state.pipeline.sweep()
    host.clock.advance(days=60)
    assert run(host, "prune", "--yes").exit_code == 0
    assert host.rows("event") == host.rows("session") == []


def fill_with_demo_data(host: Host) -> None:
    with host.app.app_context():
        collections.deque(fill(host.state, 300, 3), maxlen=0)


def upgrade_old_rows(host: Host) -> None:
    """Rows of the first release, which knew no log, are changed by the data steps."""
    old_engagement.fill(host, 3)
    old_sessions.insert_old(host, [old_sessions.an_old_session(STRANGER, 3)])
    assert run(host, "upgrade", "--data-only").exit_code == 0
    assert host.actions()["page.engage"] == 0


def set_aside(host: Host) -> None:
    """A record that the database refuses goes to the dead letters, and the others are stored."""
    refused = an_event(seconds=2, time=dt.datetime(2026, 11, 21))  # noqa: DTZ001
    write_records(host, SERVER, refused, an_event(seconds=3))
    assert len(host.rows("rejected")) == 1


PATHS = (
    join_halves,
    rename_visit,
    move_stand_in,
    engage,
    open_earlier,
    end_sessions,
    become_a_customer,
    write_in_the_host_s_transaction,
    order,
    object_to_it,
    erase,
    prune,
    fill_with_demo_data,
    upgrade_old_rows,
    set_aside,
)


def take(path: Path, host: Host, follow: cabc.Callable[[], object]) -> None:
    """Write in one way, and follow after each transaction of the writer."""
    commit = host.state.pipeline.writer.commit
    follow()

    def commit_and_follow(*arguments: t.Any, **options: t.Any) -> None:
        commit(*arguments, **options)
        follow()

    if path is not fill_with_demo_data:
        host.state.pipeline.writer.commit = commit_and_follow  # type: ignore[method-assign]
    path(host)
    host.clock.advance(minutes=1)
    host.state.pipeline.sweep()


@pytest.fixture
def logging_host(make: MakeHost, database_url: str, tmp_path: pathlib.Path) -> Host:
    config = {"EVENTTRACK_RETENTION": 30 * 86_400, "EVENTTRACK_JOURNAL_DIR": str(tmp_path / "j")}
    host = make({**PATIENT, **LOG, **config}, url=database_url)
    host.events.define("order.ship", label="Shipped")
    return host


@pytest.mark.parametrize("path", PATHS)
def test_a_copy_follows_each_way_to_write(
    logging_host: Host, path: cabc.Callable[[Host], None]
) -> None:
    """Also where the copy had some of the rows before they were changed or deleted."""
    copy, follows = Copy(), 0
    commit = logging_host.state.pipeline.writer.commit

    def commit_and_follow(*arguments: t.Any, **options: t.Any) -> None:
        nonlocal follows
        commit(*arguments, **options)
        follows += copy.follow(logging_host)

    logging_host.state.pipeline.writer.commit = commit_and_follow  # type: ignore[method-assign]
    path(logging_host)
    follows += copy.follow(logging_host)
    logging_host.clock.advance(minutes=1)
    logging_host.state.pipeline.sweep()
    copy.follow(logging_host)
    assert follows
    assert differences(copy, logging_host) == EQUAL


def test_a_copy_made_late_has_the_same(logging_host: Host) -> None:
    """All of it at once, from the beginning."""
    for path in (move_stand_in, engage, order, erase, end_sessions):
        path(logging_host)
    copy = Copy()
    copy.follow(logging_host)
    assert differences(copy, logging_host) == EQUAL
    assert copy.rows
