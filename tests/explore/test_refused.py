"""A record that the database refused is tried again, or given up, by those who may manage."""

from __future__ import annotations

import json
import re
import threading
import types
import typing as t
import uuid as uuidlib

import msgspec
import pytest
from werkzeug.test import TestResponse

from flask_eventtrack import EventTrack
from flask_eventtrack.pipeline.again import try_again
from flask_eventtrack.pipeline.pipeline import Pipeline
from flask_eventtrack.pipeline.refusal import describe_record, read_described
from flask_eventtrack.records import (
    Cancellation,
    Claim,
    Client,
    Event,
    Identified,
    PageView,
    Record,
    SessionEnd,
)

from ..conftest import MakeHost
from ..dashboard.staff import CONFIG, look, text_of, token_of
from ..hosts import NAVIGATION, SAME_ORIGIN, FakeClock, Host
from ..pipeline.waiting import PATIENT, refused, wait_until
from ..store.halves import BROWSER, SERVER
from ..store.orders import a_cancellation, a_charge
from ..store.people import ADA_UUID
from ..store.records import a_page, an_event, at, contents, quality, write_records
from ..store.test_engagement import ENGAGED
from .stored import add_refused, mask

PAGE = "/_et/quality"
VIEW = PageView(
    uuidlib.uuid4(), 1, ADA_UUID, ADA_UUID, 1, 1, "http", "a.test", "", "/", "q=1", "home", "/",
    "", "Home", 200, 5, None,
)  # fmt: skip
RECORDS: tuple[Record, ...] = (
    an_event("order.ship", params={"to": "Berlin", "lines": [{"sku": "a", "n": 1}]}),
    a_page("/", 1),
    a_charge("A-1", 6400),
    msgspec.structs.replace(
        an_event("a.b"), claim=Claim(uuidlib.uuid4(), kept=True), page=uuidlib.uuid4(),
        undefined=("x", "y"), client=Client("Agent", "de"),
    ),
    msgspec.structs.replace(
        an_event("transaction.cancel"), order=Cancellation(uuidlib.uuid4(), "A-1", items={"a": 1})
    ),
    Identified(uuid=ADA_UUID, customer_id="42", time=at(3), traits={"plan": "pro"}),
    VIEW,
    msgspec.structs.replace(VIEW, client=Client("Agent")),
)  # fmt: skip


@pytest.fixture
def office(make: MakeHost, clock: FakeClock, database_url: str) -> Host:
    """A host whose staff is asked who they are, on each kind of database."""
    return make({**PATIENT, **CONFIG}, events=EventTrack(clock=clock), url=database_url)


def decide(
    host: Host, act: str, staff: str = "manage", token: str | None = None, **fields: str | list[str]
) -> TestResponse:
    """Send a form of the page."""
    data = {"token": token or token_of(look(host, PAGE).text), **fields}
    path = f"{PAGE}/{act}"
    return look(host, path, staff, method="POST", data=data, headers=dict(SAME_ORIGIN))


def acts(host: Host) -> list[tuple[str, str]]:
    return [(row["action"], row["subject"]) for row in host.rows("audit", "at", "id")]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_described_record_is_read_as_it_was(record: Record) -> None:
    """Also structs in structs, which a journal holds without names."""
    assert read_described(describe_record(record, mask)) == record


@pytest.mark.parametrize(
    "payload",
    [
        *("", "{", "[]", "null", "7", '"x"', "{}", '{"id": "x"}'),
        json.dumps({"session_id": "[masked]", "reason": "timeout"}),
        describe_record(RECORDS[0], mask)[:-1],
        describe_record(RECORDS[0], mask).replace('"a.b"', "7").replace('"time"', '"tine"'),
        describe_record(RECORDS[0], mask)[:-1] + ', "claim": {"bogus": 1}}',
        "[" * 15_000 + "]" * 15_000,
        describe_record(SessionEnd(session_id=ADA_UUID, reason="timeout"), mask),
    ],
)
def test_what_is_not_whole_is_no_record(payload: str) -> None:
    """Cut or masked text is refused without an error."""
    assert read_described(payload) is None


def test_what_was_masked_stays_masked() -> None:
    """The record has no more than the table."""
    record = an_event("order.ship", params={"to": "ada@example.com"})
    read = read_described(describe_record(record, mask))
    assert isinstance(read, Event)
    assert read.params == {"to": "[email]"}


def test_a_record_that_is_tried_again_is_stored_once(office: Host) -> None:
    """However often the form is sent; the audit says who did it."""
    record = an_event("order.ship", params={"to": "Berlin"})
    add_refused(office, record)
    token = token_of(look(office, PAGE).text)
    for _ in range(3):
        answer = decide(office, "again", token=token, id=str(record.id))
        assert (answer.status_code, answer.headers["Location"]) == (303, "/_et/quality#refused")
    [event] = office.events_of("order.ship")
    assert (event["id"], event["params"]) == (record.id, {"to": "Berlin"})
    assert office.rows("rejected") == []
    assert acts(office) == [("try", f"order.ship {record.id}")]
    audit = text_of(look(office, "/_et/audit"))
    assert "tried to store again" in audit
    assert f"order.ship {record.id}" in audit


def test_a_stored_record_is_no_second_event(office: Host) -> None:
    """As when the process died after the record was written, and before its row was removed."""
    record = an_event("order.ship")
    write_records(office, record)
    add_refused(office, record)
    decide(office, "again", id=str(record.id))
    assert len(office.events_of("order.ship")) == 1
    assert office.rows("rejected") == []
    assert quality(office)["duplicate", "order.ship", ""] == 1


@pytest.mark.parametrize(
    "record",
    [
        an_event("order.ship", 20),
        a_page("/next", 20),
        ENGAGED,
        a_charge("A-2", 6400),
        a_cancellation("A-1", amount=1000),
        Identified(uuid=ADA_UUID, customer_id="42", time=at(20), traits={"plan": "pro"}),
    ],
    ids=lambda record: record.action or "identify",
)
def test_a_commit_that_fails_loses_nothing_and_counts_nothing_twice(
    office: Host, record: Record
) -> None:
    """The record is stored already, and its row is still there to be tried again."""
    write_records(office, SERVER, BROWSER, a_charge("A-1", 6400))
    before = _store(office)
    add_refused(office, record)
    pipeline = office.state.pipeline
    with pipeline.database._host.connect() as connection:
        assert try_again(connection, pipeline, record.id) is not None
        connection.rollback()
    office.flush()
    stored = _store(office)
    assert stored != before
    assert [row["id"] for row in office.rows("rejected")] == [record.id]
    assert decide(office, "again", id=str(record.id)).status_code == 303
    office.flush()
    assert office.rows("rejected") == []
    assert _store(office) == stored


def _store(host: Host) -> dict[str, t.Any]:
    return {**contents(host), "transaction": host.rows("transaction")}


def test_a_record_that_is_given_up_is_counted_as_lost(office: Host) -> None:
    """It is gone for good, and the counters say why."""
    record = an_event("order.ship")
    add_refused(office, record)
    assert decide(office, "give-up", id=str(record.id)).status_code == 303
    assert (office.rows("rejected"), office.events_of("order.ship")) == ([], [])
    assert quality(office)["dropped", "order.ship", "given up"] == 1
    assert acts(office) == [("give_up", f"order.ship {record.id}")]
    assert "given up" in text_of(look(office, f"{PAGE}?period=7d"))


def test_all_that_are_listed_are_decided_at_once(office: Host) -> None:
    """What is not whole stays, and so does what came after the page was read."""
    whole = [an_event("order.ship", seconds=n) for n in range(3)]
    add_refused(office, *whole)
    cut = an_event("order.cut")
    add_refused(office, cut, payload='{"id": ')
    listed = re.findall(r'name="id" value="([^"]+)"', look(office, PAGE).text)
    later = an_event("order.late", seconds=9)
    add_refused(office, later)
    assert decide(office, "again", id=sorted({*listed})).status_code == 303
    assert {row["id"] for row in office.events_of("order.ship")} == {each.id for each in whole}
    assert {row["id"] for row in office.rows("rejected")} == {cut.id, later.id}
    page = text_of(look(office, PAGE))
    assert "it cannot be tried again" in page
    answer = decide(office, "again", id=str(cut.id))
    assert answer.status_code == 400
    assert "not stored as a whole" in answer.text
    assert {row["id"] for row in office.rows("rejected")} == {cut.id, later.id}


def test_a_record_that_is_refused_again_comes_back(make: MakeHost, clock: FakeClock) -> None:
    """From its refusal by the database to its row in the events."""
    host = make({**PATIENT, **CONFIG}, events=EventTrack(clock=clock))
    write_records(host, an_event("order.ship", seconds=1))
    record = an_event("order.back", seconds=2)
    with refused(host, "INSERT ON eventtrack_event WHEN NEW.action = 'order.back'"):
        write_records(host, record)
        assert [row["id"] for row in host.rows("rejected")] == [record.id]
        clock.advance(minutes=5)
        decide(host, "again", id=str(record.id))
        [row] = host.rows("rejected")
        assert (row["id"], row["rejected_at"]) == (record.id, clock.moment)
    decide(host, "again", id=str(record.id))
    assert host.rows("rejected") == []
    assert [row["id"] for row in host.events_of("order.back")] == [record.id]


def test_a_refusal_waits_for_who_tries_again(office: Host) -> None:
    """A record that is refused before its old row is gone for good gets a new row."""
    database, record = office.state.pipeline.database, an_event("order.ship")
    if database.is_file:
        pytest.skip("SQLite has one writer at a time.")
    add_refused(office, record)
    deaf = t.cast("Pipeline", types.SimpleNamespace(database=database, put=lambda record: True))
    refusal = (record, ValueError("no"))
    work = threading.Thread(target=office.state.pipeline.writer._set_aside, args=refusal)
    with database._host.connect() as other, other.begin():
        assert try_again(other, deaf, record.id) == "order.ship"
        work.start()
        work.join(0.5)
        assert work.is_alive()
    work.join(10)
    assert [row["reason"] for row in office.rows("rejected")] == ["ValueError: no"]


def test_a_record_without_room_stays(office: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is still there, and the page says what to do."""
    record = an_event("order.ship")
    add_refused(office, record)
    monkeypatch.setattr(office.state.pipeline, "put", lambda *records: False)
    answer = decide(office, "again", id=str(record.id))
    assert answer.status_code == 400
    assert "There is no room for the record." in answer.text
    monkeypatch.undo()
    assert [row["id"] for row in office.rows("rejected")] == [record.id]
    assert acts(office) == []


@pytest.mark.parametrize("staff", ["view", "numbers", "sites", ""])
def test_only_managers_decide(make: MakeHost, clock: FakeClock, staff: str) -> None:
    """For others there is no such page, even with a manager's form."""
    host = make(CONFIG, events=EventTrack(clock=clock))
    record = an_event("order.ship")
    add_refused(host, record)
    token = token_of(look(host, PAGE).text)
    for act in ("again", "give-up"):
        assert decide(host, act, staff, token, id=str(record.id)).status_code == 404
        assert look(host, f"{PAGE}/{act}", staff).status_code == 404
    assert len(host.rows("rejected")) == 1


def test_a_form_from_elsewhere_changes_nothing(make: MakeHost, clock: FakeClock) -> None:
    """Without a token of ours, from another site, after an hour, or by a link."""
    host = make(CONFIG, events=EventTrack(clock=clock))
    record = an_event("order.ship")
    add_refused(host, record)
    token = token_of(look(host, PAGE).text)
    fields = {"id": str(record.id)}
    assert decide(host, "give-up", token="x", **fields).status_code == 400
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    path = f"{PAGE}/give-up"
    data = {"token": token, **fields}
    assert look(host, path, method="POST", data=data, headers=cross).status_code == 400
    assert look(host, path).status_code == 405
    clock.advance(hours=1)
    answer = decide(host, "give-up", token=token, **fields)
    assert answer.status_code == 400
    assert "The form was too old" in answer.text
    assert decide(host, "burn", **fields).status_code == 404
    assert decide(host, "give-up", id="x").status_code == 303
    assert [row["id"] for row in host.rows("rejected")] == [record.id]


def test_a_page_with_a_token_is_not_compressed(make: MakeHost, clock: FakeClock) -> None:
    """Its length would tell the token to somebody who chooses a part of the page."""
    host = make(CONFIG, events=EventTrack(clock=clock))
    for staff, encoding in (("manage", None), ("view", "gzip")):
        answer = look(host, PAGE, staff, headers={"Accept-Encoding": "gzip"})
        assert answer.headers.get("Content-Encoding") == encoding


# The line in the head


def test_the_head_says_that_records_were_refused(make: MakeHost, clock: FakeClock) -> None:
    """For a day, on each page but the one that says more, and to managers alone."""
    host = make(CONFIG, events=EventTrack(clock=clock))
    line = "The database refused records in the last 24 hours."
    for path in ("/_et/catalogue", "/_et/audit"):
        assert line not in text_of(look(host, path))
    add_refused(host, an_event("order.ship"))
    page = text_of(look(host, "/_et/audit"))
    assert f'{line} <a class="why" href="/_et/quality">See why</a>' in page
    assert line in text_of(look(host, "/_et/catalogue"))
    assert line not in text_of(look(host, PAGE))
    assert line not in text_of(look(host, "/_et/catalogue", "view"))
    clock.advance(days=1, seconds=1)
    assert line not in text_of(look(host, "/_et/audit"))


def test_the_head_says_that_the_writer_fails(make: MakeHost, clock: FakeClock) -> None:
    """While the database refuses, and no longer."""
    line = "Events cannot be written now. They are waiting."
    host = make({**PATIENT, **CONFIG}, events=EventTrack(clock=clock))
    with refused(host, "INSERT ON eventtrack_event"):
        host.client().get("/", headers=NAVIGATION)
        host.state.pipeline.hurry()
        wait_until(lambda: host.state.pipeline.status.failures > 0)
        assert line in host.client().get("/_et/audit", headers={"X-Staff": "manage"}).text
    host.flush()
    assert line not in text_of(look(host, "/_et/audit"))


def test_the_head_says_that_events_wait_for_long(make: MakeHost, clock: FakeClock) -> None:
    """Longer than a minute, by the journals."""
    host = make({**PATIENT, **CONFIG}, events=EventTrack(clock=clock))
    host.client().get("/")
    clock.advance(hours=2)
    page = host.client().get("/_et/audit", headers={"X-Staff": "manage"}).text
    assert "Events have waited too long to be written." in page
    host.flush()
    assert "Events wait" not in text_of(look(host, "/_et/audit"))
