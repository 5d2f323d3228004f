"""One bad value or event does not hold up the rest of its batch."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
import sqlalchemy as sa

from flask_eventtrack import identify, logout, track
from flask_eventtrack.records import Outcome, PageView

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, START, Host
from ..pipeline.waiting import PATIENT, refused
from .records import NAIVE, a_page, an_event, quality, recount, the_session, totals, write_records

POISON: list[tuple[object, object]] = [
    ("a\0b", "a\ufffdb"),
    ("a\ud800b", "a\ufffdb"),
    ([float("nan"), float("inf"), float("-inf"), 0.5], [None, None, None, 0.5]),
    (2**64, str(2**64)),
    (-(2**63) - 1, str(-(2**63) - 1)),
    ([[[[[[["deep"]]]]]]], [[[[[[["deep"]]]]]]]),
    ({"a\0": 1}, {"a\ufffd": 1}),
    ("x" * 32_000, "x" * 32_000),
    ("😀" * 8_000, "😀" * 8_000),
]

# Columns of sessions that have no other characters.
ASCII = ("country", "language", "channel", "device_type")


def test_poison_values_land(db_host: Host) -> None:
    """What some database refuses is mended before it gets there (FACTS §5.4)."""
    db_host.events.define("poison.test")
    with db_host.app.app_context():
        ids = [track("poison.test", {"value": value}, customer="1") for value, _ in POISON]
    found = {row["id"]: row["params"]["value"] for row in db_host.rows("event")}
    assert [found[event_id] for event_id in ids if event_id] == [stored for _, stored in POISON]
    assert db_host.rows("rejected") == []


def test_poison_posts_land(db_host: Host) -> None:
    """A browser's raw JSON, in parameters or label, cannot bring a row to be refused."""
    db_host.events.define("poison.test", anonymous=True)
    texts = ['"\\u0000"', '"\\ud800"', '"' + "é" * 900 + '"']
    bodies = [f'{{"value": {value}}}' for value in (*texts, "NaN", "1e400", "-Infinity", "1" * 400)]
    events = [f'{{"action": "poison.test", "params": {body}}}' for body in bodies]
    events += [f'{{"action": "poison.test", "label": {text}}}' for text in texts]
    body = f'{{"events": [{", ".join(events)}]}}'
    answer = db_host.client().post(
        "/_et/in", data=body, content_type="application/json", headers=SAME_ORIGIN
    )
    assert {result["status"] for result in answer.get_json()["results"]} == {"accepted"}
    assert db_host.actions() == {"poison.test": len(events), "session.start": 1}
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("/?utm_source=%00", {}),
        ("/?utm_campaign=a%00b&utm_medium=%ED%A0%80", {}),
        ("/products/%00", {}),
        ("/products/%ED%A0%80%FF?q=%00", {"Referer": "http://a.example/?utm_source=%00&q=%ff"}),
        ("/products/" + "x" * 3000, {"Referer": "http://" + "r" * 3000 + ".example/"}),
        ("/products/" + "%F0%9F%98%80" * 300, {"Accept-Language": "xx" + "-abcdefgh" * 40}),
        ("/", {"User-Agent": "Mozilla/5.0 \xff\x80 " + "Chrome/" * 200}),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else ",".join(value),
)
def test_a_poison_request_is_a_visit(db_host: Host, address: str, headers: dict[str, str]) -> None:
    """Whatever stands in a URL or a header, the visit and its session are stored."""
    db_host.client().get(address, headers={**NAVIGATION, **headers})
    assert db_host.rows("rejected") == []
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}


def test_the_longest_values_fit_into_the_indexes_of_sessions(db_host: Host) -> None:
    """Of characters of four bytes, in an order that no database compresses."""
    db_host.client().get("/", headers=NAVIGATION)
    table, rng = db_host.state.pipeline.database.tables.session, random.Random(1)
    longest = {}
    for column in {column for index in table.indexes for column in index.columns}:
        if isinstance(column.type, sa.String):
            first = ord("A") if column.name in ASCII else 0x20000
            letters = (chr(first + rng.randrange(57)) for _ in range(column.type.length or 0))
            longest[column.name] = "".join(letters)
    assert longest.keys() >= {"source", "utm_campaign", "browser", *ASCII}
    db_host.flush()
    with db_host.state.pipeline.database.begin() as connection:
        connection.execute(table.update().values(longest))
    assert {name: the_session(db_host)[name] for name in longest} == longest


def test_a_refused_event_is_set_aside_and_the_rest_lands(db_host: Host) -> None:
    """One value that cannot be stored costs one row, not the batch."""
    good = [an_event(seconds=n) for n in range(9)]
    bad = an_event("bad.value", 4.5, time=NAIVE)
    write_records(db_host, *good[:5], bad, *good[5:])
    assert {row["id"] for row in db_host.rows("event") if row["action"] == "order.ship"} == {
        event.id for event in good
    }
    [rejected] = db_host.rows("rejected")
    assert (rejected["action"], rejected["rejected_at"]) == ("bad.value", db_host.clock.moment)
    assert json.loads(rejected["payload"])["id"] == str(bad.id)
    assert the_session(db_host)["events"] == 9
    assert totals(db_host) == recount(db_host)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_refused_page_is_set_aside_without_its_secrets(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``eventtrack_rejected`` holds no more of a URL than the event table would."""
    pipeline = db_host.state.pipeline
    records: list[object] = []

    def keep(*put: object) -> bool:
        records.extend(put)
        return True

    db_host.flush()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "put", keep)
        referrer = {"Referer": "http://other.example/?password=hush"}
        db_host.client().get("/?token=hush&q=1", headers={**NAVIGATION, **referrer})
    [view] = [record for record in records if isinstance(record, PageView)]
    pipeline.put(msgspec.structs.replace(view, referrer=f"{view.referrer}\0"))
    [rejected] = db_host.rows("rejected")
    assert rejected["action"] == "page.visit"
    assert "hush" not in rejected["payload"] + rejected["reason"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", "a\ud800b"),
        ("site", "\udfff"),
        ("params", {"text": "\ud800"}),
        ("params", {"number": float("nan")}),
        ("params", {"text": "\0"}),
        ("label", "\0"),
        ("label", "x" * 256),
        ("action", "x." + "x" * 31),
        ("params", {"when": START}),
        ("params", {"number": 10**400}),
        ("time", NAIVE),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_refused_value_never_holds_up_the_rest(db_host: Host, field: str, value: object) -> None:
    """Even a value that no check has mended ends as a row, or set aside: never as a jam."""
    bad = msgspec.structs.replace(an_event(seconds=2), **{field: value})
    write_records(db_host, an_event(seconds=1), bad, an_event(seconds=3))
    ids = {row["id"] for row in db_host.rows("event")}
    assert len(db_host.rows("rejected")) == (bad.id not in ids)
    assert len(ids) == 4 - len(db_host.rows("rejected"))
    assert totals(db_host) == recount(db_host)


def test_dropped_events_are_counted_beside_a_refused_one(db_host: Host) -> None:
    """That a batch's first event is refused does not lose the count of those without room."""
    bad = an_event("bad.value", time=NAIVE)
    db_host.state.pipeline.count(Outcome("dropped", "page.visit", "no room"))
    db_host.state.pipeline.put(bad, an_event(seconds=2))
    assert len(db_host.rows("rejected")) == 1
    assert quality(db_host)["dropped", "page.visit", "no room"] == 1


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("INSERT ON eventtrack_profile WHEN NEW.customer_id = '7'", "profile"),
        ("UPDATE OF ended_at ON eventtrack_session WHEN NEW.events = 2", "session"),
    ],
)
def test_a_record_that_is_no_event_is_set_aside_too(host: Host, change: str, table: str) -> None:
    """A log-in or the end of a session, under the id of the row that it would have made."""
    host.app.post("/login")(lambda: str(identify("7")))
    host.app.post("/logout", endpoint="leave")(lambda: str(logout()))  # type: ignore[func-returns-value]
    client = host.client()
    with refused(host, change):
        client.post("/login")
        host.flush()
        client.post("/logout")
        [rejected] = host.rows("rejected")
    assert (rejected["action"], rejected["reason"]) == ("", "IntegrityError: refused")
    [login] = host.events_of("customer.login")
    assert rejected["id"] == login["uuid" if table == "profile" else "session_id"]
    assert host.actions()["customer.logout"] == 1


def test_counters_that_are_refused_hold_up_nothing(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """They are lost, which is logged; the events beside them and after them are written."""
    client = host.client()
    with refused(host, "INSERT ON eventtrack_quality WHEN NEW.outcome = 'rejected'"):
        client.get("/", headers=NAVIGATION)
        client.post("/_et/in", json={"action": "no.such"}, headers=SAME_ORIGIN)
        host.flush()
    [message] = caplog.messages
    assert message.startswith("The database refused counters: ")
    client.post("/_et/in", json={"action": "no.such"}, headers=SAME_ORIGIN)
    assert host.actions() == {"page.visit": 1, "session.start": 1}
    assert host.rows("rejected") == []
    assert quality(host)["rejected", "no.such", "undefined_event"] == 1


def test_an_error_of_no_database_jams_nothing(make: MakeHost) -> None:
    """As a host's listener may raise for a row: after some tries, the event is set aside."""
    host = make(PATIENT)

    def fail(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        if "INSERT INTO eventtrack_event " in statement and "bad.value" in str(parameters):
            raise LookupError("no such column in the audit")

    events = [an_event(seconds=1), an_event("bad.value", 2), an_event(seconds=3)]
    host.state.pipeline.put(*events)
    sa.event.listen(sa.Engine, "before_cursor_execute", fail)
    try:
        for _ in range(5):
            with pytest.raises(LookupError):
                host.flush()
        assert host.actions() == {"order.ship": 2, "session.start": 1}
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", fail)
    [rejected] = host.rows("rejected")
    assert rejected["reason"] == "LookupError: no such column in the audit"
    assert totals(host) == recount(host)


def test_of_many_refused_events_the_newest_are_kept(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that has found what the database refuses does not fill it."""
    monkeypatch.setattr("flask_eventtrack.store.rejected._KEPT", 3)
    for number in range(9):
        host.clock.advance(seconds=1)
        write_records(host, an_event(f"bad.value{number}", number, time=NAIVE))
    kept = [row["action"] for row in host.rows("rejected", "rejected_at")]
    assert kept == ["bad.value6", "bad.value7", "bad.value8"]


def test_an_event_id_of_another_action_is_a_duplicate(db_host: Host) -> None:
    """A client that gives an event and a page visit the same id has sent one event."""
    event = an_event("button.click", source="browser")
    visit = a_page(half="browser", source="browser", id=event.id)
    db_host.state.pipeline.put(event)
    db_host.flush()
    db_host.state.pipeline.put(visit)
    assert db_host.actions() == {"button.click": 1, "session.start": 1}
    assert db_host.rows("rejected") == []
