"""Writers and sweepers at the same time: what one changes, the other does not lose."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import pathlib
import threading
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack.records import Event
from flask_eventtrack.store.batch import write_batch

from ..hosts import Host
from ..servers import make_database
from .plain_counts import check, check_closed
from .records import write_records
from .test_closed_days import History, open_site

BERLIN = "Europe/Berlin"


class Pair(t.NamedTuple):
    """Two processes of one site: what one does is done between two statements of the other."""

    history: History
    other: Host

    @property
    def host(self) -> Host:
        return self.history.host

    def late_visit(self, days: float = 1) -> Event:
        return self.history.page(1, self.host.clock.moment, 24 * days)

    def sweep(self) -> list[t.Any]:
        return list(self.host.state.pipeline.close_days())

    def check(self) -> None:
        """Compare all numbers, then once more when nothing is marked any more."""
        check(self.history.look())
        self.sweep()
        check_closed(self.history.look())

    @property
    def marked(self) -> list[dt.date]:
        return [row["day"] for row in self.history.look().marked_days]


@pytest.fixture(params=["postgresql", "mariadb"])
def pair(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> cabc.Iterator[Pair]:
    """Three visits on three days, of which none is closed yet."""
    for url in make_database(request.param, tmp_path):
        history = History(open_site(url, BERLIN), BERLIN)
        other = open_site(url, BERLIN, clock=history.host.clock)
        for device in (0, 1, 2):
            history.visit(device, 0)
            history.wait(0, 3)
        yield Pair(history, other)
        other.close()
        history.host.close()


@contextlib.contextmanager
def uncommitted(host: Host, event: Event) -> cabc.Iterator[None]:
    """Write an event with its marks, and commit it at the end only."""
    writer = host.state.pipeline.writer
    with host.state.pipeline.database.begin() as connection:
        write_batch(writer._transaction(connection), writer._sort([event], {}))
        yield


@contextlib.contextmanager
def before(host: Host, sign: str, act: cabc.Callable[[], object]) -> cabc.Iterator[None]:
    """Have something done before the host's first statement that begins with ``sign``."""
    engine = host.state.pipeline.database._engine
    done: list[object] = []

    def note(c: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith(sign) and not done:
            done.append(sign)
            act()

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert done


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_day_that_a_writer_holds_is_counted_again(pair: Pair, is_marked: bool) -> None:
    """The sweeper neither waits for the writer nor takes its mark away."""
    pair.sweep()
    if is_marked:
        write_records(pair.host, pair.late_visit())
    with uncommitted(pair.other, pair.late_visit(days=1.25)):  # in a session of its own
        pair.sweep()
    assert len(pair.marked) == 1
    pair.check()


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_visit_that_is_written_while_its_day_is_closed(pair: Pair, is_marked: bool) -> None:
    """The sweeper does not see it; the mark is there when it is."""
    if is_marked:
        write_records(pair.host, pair.late_visit(days=1.25))
    with uncommitted(pair.other, pair.late_visit()):
        pair.sweep()
    assert len(pair.marked) == 1
    pair.check()


def test_a_writer_that_comes_while_its_day_is_counted(pair: Pair) -> None:
    """The mark is gone already; the writer waits, and sets it again."""
    pair.sweep()
    write_records(pair.host, pair.late_visit())
    late = pair.late_visit(days=1.1)
    thread = threading.Thread(target=write_records, args=(pair.other, late))
    is_waiting = threading.Event()

    def begin() -> None:
        thread.start()
        assert is_waiting.wait(20)

    with (
        before(pair.other, "INSERT INTO eventtrack_recount_day", is_waiting.set),
        before(pair.host, "DELETE FROM eventtrack_daily", begin),
    ):
        pair.sweep()
        thread.join(20)
    assert len(pair.marked) == 1
    pair.check()


def test_two_sweepers_close_each_day_once(pair: Pair) -> None:
    """The second one waits for the first to have closed a day, and goes on with the next."""
    steps: list[t.Any] = []
    thread = threading.Thread(
        target=lambda: steps.extend(pair.other.state.pipeline.close_days()), daemon=True
    )
    is_waiting = threading.Event()

    def begin() -> None:
        thread.start()
        assert is_waiting.wait(20)

    with (
        before(pair.other, "SELECT eventtrack_closed", is_waiting.set),
        before(pair.host, "INSERT INTO eventtrack_daily", begin),
    ):
        steps += pair.sweep()
        thread.join(20)
    closed = [step.day for step in steps if step.kind == "closed"]
    assert sorted(closed) == sorted(set(closed))
    assert len(closed) == 3
    pair.check()


def test_an_erasure_waits_for_the_day_that_is_closed(pair: Pair) -> None:
    """Otherwise it would not see the person's row of that day, which would stay."""
    person = pair.history.devices[0]
    thread = threading.Thread(
        target=lambda: [*pair.other.state.pipeline.forget([person])], daemon=True
    )
    is_waiting = threading.Event()

    def begin() -> None:
        thread.start()
        assert is_waiting.wait(20)
        thread.join(0.2)

    with (
        before(pair.other, "SELECT eventtrack_closed", is_waiting.set),
        before(pair.host, "INSERT INTO eventtrack_returning", begin),
    ):
        pair.sweep()
        thread.join(20)
    assert person not in {row["person"] for row in pair.history.look().person_day}
    pair.check()


@pytest.mark.parametrize(
    "sign", ["DELETE FROM eventtrack_daily", "INSERT INTO eventtrack_person_day"]
)
def test_a_sweeper_that_dies_loses_no_mark(pair: Pair, sign: str) -> None:
    """Between the removal of a mark and the end of the count."""
    pair.sweep()
    write_records(pair.host, pair.late_visit())

    def die() -> None:
        raise RuntimeError("killed")

    with before(pair.host, sign, die), pytest.raises(RuntimeError, match="killed"):
        pair.sweep()
    look = pair.history.look()
    assert look.marked_people
    assert bool(look.marked_days) == ("daily" in sign)
    pair.check()
