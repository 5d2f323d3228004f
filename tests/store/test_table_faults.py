"""A table that refuses every row is at fault itself: its events wait. A bad row is set aside."""

from __future__ import annotations

import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack import identify
from flask_eventtrack.records import Event, Outcome

from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..pipeline.waiting import PATIENT, waiting
from .host_changes import demand_column, drop_column, refusing, triggered
from .records import NAIVE, an_event, quality, recount, totals, write_records

#: Tables that each event needs.
NEEDED = ["event", "session", "hourly", "quality"]


def new_visitors(count: int) -> list[Event]:
    """Return an event of each, which opens their session."""
    return [an_event(seconds=n + 1, device=uuidlib.uuid4()) for n in range(count)]


def refuse_to_write(host: Host, times: int = 3) -> None:
    """Try to write some times: the database refuses each time."""
    for _ in range(times):
        with pytest.raises(sa.exc.DBAPIError):
            host.flush()


@pytest.fixture
def patient(make: MakeHost, database_url: str) -> Host:
    """A host that writes when it is asked to, and has written an event already."""
    host = make(PATIENT, url=database_url)
    write_records(host, an_event(seconds=0))
    return host


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("table", NEEDED)
def test_events_wait_where_a_column_must_be_filled(
    patient: Host, caplog: pytest.LogCaptureFixture, table: str, count: int
) -> None:
    """Any number of them; the log says so once, doctor names the column, and all arrive."""
    demand_column(patient, table)
    patient.state.pipeline.put(*new_visitors(count))
    refuse_to_write(patient)
    [message] = caplog.messages
    why = f"eventtrack_{table} refuses every row: its column eventtrack_{table}.tenant must be"
    assert why in message
    assert f"ET022 error: {why}" in run(patient, "doctor").output
    assert waiting(patient) == count
    drop_column(patient, table)
    assert patient.actions() == {"order.ship": count + 1, "session.start": count + 1}
    assert patient.rows("rejected") == []
    assert totals(patient) == recount(patient)


@pytest.mark.parametrize("table", NEEDED)
def test_events_wait_where_a_constraint_refuses_every_row(
    patient: Host, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    """A CHECK of the host's that nothing passes."""
    with refusing(patient, table):
        patient.state.pipeline.put(*new_visitors(3))
        refuse_to_write(patient)
        assert f"eventtrack_{table} refuses every row (" in caplog.text
        assert f"ET022 error: eventtrack_{table} refuses every row" in run(patient, "doctor").output
    assert patient.actions()["order.ship"] == 4
    assert patient.rows("rejected") == []


def test_events_wait_in_a_new_database_too(make: MakeHost, database_url: str) -> None:
    """There is no row yet that the table is known to take."""
    host = make(PATIENT, url=database_url)
    demand_column(host, "event")
    host.client().get("/", headers=NAVIGATION)
    refuse_to_write(host)
    drop_column(host, "event")
    assert host.actions() == {"page.visit": 1, "session.start": 1}
    assert host.rows("rejected") == []


def test_log_ins_wait_where_profiles_are_refused(patient: Host) -> None:
    """The events of their batch are written once."""
    patient.app.post("/login")(lambda: str(identify("7")))
    demand_column(patient, "profile")
    patient.client().post("/login")
    refuse_to_write(patient)
    drop_column(patient, "profile")
    assert [row["customer_id"] for row in patient.rows("profile")] == ["7"]
    assert patient.rows("rejected") == []
    assert totals(patient) == recount(patient)


def test_counters_wait_where_their_table_refuses_them(patient: Host) -> None:
    """They are not lost either."""
    demand_column(patient, "quality")
    patient.state.pipeline.count(Outcome("rejected", "no.such", "undefined_event"))
    refuse_to_write(patient)
    drop_column(patient, "quality")
    patient.flush()
    assert quality(patient)["rejected", "no.such", "undefined_event"] == 1


def test_a_lone_bad_event_is_set_aside(patient: Host) -> None:
    """The table takes others."""
    bad = an_event("bad.value", time=NAIVE)
    write_records(patient, bad)
    assert [row["id"] for row in patient.rows("rejected")] == [bad.id]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_batches_of_bad_events_are_set_aside(patient: Host) -> None:
    """However many come: they hold up nobody behind them."""
    patient.state.pipeline.put(*(an_event("bad.value", n, time=NAIVE) for n in range(501)))
    write_records(patient, an_event(seconds=1))
    assert len(patient.rows("rejected")) == 501
    assert patient.actions()["order.ship"] == 2


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_host_s_constraint_refuses_is_set_aside(patient: Host, count: int) -> None:
    """The others of the batch are written. It may return: it is kept once."""
    bad = an_event("bad.value")
    with refusing(patient, "event", "action <> 'bad.value'"):
        write_records(patient, *(an_event(seconds=n) for n in range(1, count)), bad)
        assert [row["id"] for row in patient.rows("rejected")] == [bad.id]
        write_records(patient, bad)
        assert len(patient.rows("rejected")) == 1
    assert patient.actions()["order.ship"] == count
    assert totals(patient) == recount(patient)


def test_a_bad_event_waits_with_the_others(patient: Host) -> None:
    """Only when the table takes rows again is it known what is bad."""
    bad = an_event("bad.value", time=NAIVE)
    demand_column(patient, "event")
    patient.state.pipeline.put(an_event(seconds=1), bad, an_event(seconds=2))
    refuse_to_write(patient)
    drop_column(patient, "event")
    assert patient.actions()["order.ship"] == 3
    assert [row["id"] for row in patient.rows("rejected")] == [bad.id]


def test_a_bad_event_waits_where_it_cannot_be_set_aside(patient: Host) -> None:
    """Rather than be lost."""
    bad = an_event("bad.value", time=NAIVE)
    demand_column(patient, "rejected")
    patient.state.pipeline.put(bad)
    refuse_to_write(patient)
    drop_column(patient, "rejected")
    assert [row["id"] for row in patient.rows("rejected")] == [bad.id]


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_trigger_that_refuses_all_makes_them_wait(patient: Host) -> None:
    """Whatever it says about the single row."""
    with triggered(patient, "TRUE"):
        patient.state.pipeline.put(an_event(seconds=1), an_event(seconds=2))
        refuse_to_write(patient)
    assert patient.actions()["order.ship"] == 3
    assert patient.rows("rejected") == []


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_an_event_that_a_trigger_refuses_is_set_aside(patient: Host) -> None:
    """It does not hold up the journal."""
    with triggered(patient, "NEW.action = 'bad.value'"):
        write_records(patient, an_event(seconds=1), an_event("bad.value", 2))
        assert [row["action"] for row in patient.rows("rejected")] == ["bad.value"]
    assert patient.actions()["order.ship"] == 2


def test_what_makes_room_for_later_refusals_is_counted(
    patient: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dropped; doctor tells how many."""
    monkeypatch.setattr("flask_eventtrack.store.rejected._KEPT", 3)
    for number in range(5):
        patient.clock.advance(seconds=1)
        write_records(patient, an_event(f"bad.value{number}", number, time=NAIVE))
    assert quality(patient)["dropped", "bad.value0", "rejected full"] == 1
    assert quality(patient)["dropped", "bad.value1", "rejected full"] == 1
    said = "ET004 warning: The database has refused 3 events. 2 more were removed to make room."
    assert said in run(patient, "doctor").output


def test_what_is_tried_leaves_nothing_behind(patient: Host) -> None:
    """Neither the writer nor doctor changes a row."""
    tables = ("event", "session", "profile", "alias", "hourly")
    before = {name: patient.rows(name) for name in tables}
    write_records(patient, an_event("bad.value", time=NAIVE))
    run(patient, "doctor")
    assert {name: patient.rows(name) for name in tables} == before
