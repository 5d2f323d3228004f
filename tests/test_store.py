from __future__ import annotations

import collections
import datetime as dt
import json
import multiprocessing
import re
import typing as t
import uuid as uuidlib
from unittest import mock

import msgspec
import pytest
import sqlalchemy as sa

from flask_eventtrack import signals, track
from flask_eventtrack.clients import AgentParser
from flask_eventtrack.clients.facts import FactFinder
from flask_eventtrack.identity import customer_uuid
from flask_eventtrack.ids import session_end_id, session_start_id, uuid7
from flask_eventtrack.records import (
    Claim,
    Client,
    Event,
    Identified,
    Outcome,
    PageView,
    Record,
    SessionEnd,
    SessionRef,
    from_ns,
)
from flask_eventtrack.store import Batch, Written, write_batch

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, START, FakeClock, Host, make_host

DEVICE = uuidlib.UUID("11111111-1111-4111-8111-111111111111")
SITE = "localhost"
# A moment of no time zone, which no check lets through: what the store refuses everywhere.
NAIVE = dt.datetime(2026, 11, 21)  # noqa: DTZ001
HourKey = tuple[dt.datetime, str, str, str]

_facts = FactFinder(AgentParser("builtin"), None)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def an_id(seconds: float = 0) -> uuidlib.UUID:
    return uuid7(int(at(seconds).timestamp() * 1_000_000) * 1000)


def session_of(device: uuidlib.UUID, number: int = 1, start: float = 0) -> SessionRef:
    return SessionRef(uuidlib.uuid5(device, str(number)), device, at(start))


def an_event(
    action: str = "order.ship",
    seconds: float = 1,
    device: uuidlib.UUID = DEVICE,
    **fields: t.Any,
) -> Event:
    """Return an event of a device's first session, ``seconds`` after START."""
    given: dict[str, t.Any] = {
        "id": an_id(seconds),
        "action": action,
        "time": at(seconds),
        "received_at": at(seconds),
        "uuid": device,
        "params": {},
        "site": SITE,
        "session": session_of(device),
    }
    return Event(**given | fields)


def a_page(path: str = "/", seconds: float = 0, **fields: t.Any) -> Event:
    """Return the server's half of a page visit."""
    params = {"url": f"http://{SITE}{path}", "path": path, "status": 200, "title": path or "Home"}
    params["url_rule"] = path
    given: dict[str, t.Any] = {
        "params": params | fields.pop("params", {}),
        "half": "server",
        "url_rule": path,
        "client": Client(user_agent=CHROME, language="de-AT,de"),
    }
    return an_event("page.visit", seconds, **given | fields)


def write(
    host: Host,
    *events: Event,
    ends: t.Sequence[SessionEnd] = (),
    identified: t.Sequence[Identified] = (),
    outcomes: t.Mapping[Outcome, int] | None = None,
    denied: frozenset[str] = frozenset(),
    replayed: bool = False,
) -> Written:
    """Write one batch in one transaction, as a writer does."""
    database = host.state.pipeline.database
    batch = Batch(list(events), list(ends), list(identified), outcomes or {}, replayed=replayed)
    with database.begin() as connection:
        return write_batch(
            connection,
            database.tables,
            batch,
            from_ns(host.clock()),
            _facts,
            lambda action, site: action not in denied,
        )


def write_records(host: Host, *records: Record) -> None:
    """Write records as the thread does that takes them out of the journal."""
    host.state.pipeline._worker.writer.write(records, {})


def totals(host: Host) -> dict[HourKey, int]:
    """Return the hourly totals that are not nought."""
    return {
        (row["hour"], row["site"], row["action"], row["url_rule"]): row["count"]
        for row in host.rows("hourly")
        if row["count"]
    }


def recount(host: Host) -> dict[HourKey, int]:
    """Count the event table by hour, site, action and rule."""
    return collections.Counter(
        (
            row["time"].replace(minute=0, second=0, microsecond=0),
            row["site"],
            row["action"],
            row["url_rule"],
        )
        for row in host.rows("event")
    )


def quality(host: Host) -> dict[tuple[str, str, str], int]:
    found: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for row in host.rows("quality"):
        found[row["outcome"], row["action"], row["reason"]] += row["count"]
    return found


def contents(host: Host) -> dict[str, t.Any]:
    """Return all that the tables hold of what happened."""
    tables = {name: host.rows(name) for name in ("event", "session", "profile", "alias")}
    for rows in tables.values():
        rows.sort(key=repr)
    return {**tables, "hourly": totals(host)}


def the_session(host: Host) -> dict[str, t.Any]:
    [row] = host.rows("session")
    return row


# Types


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2026, 11, 21, 1, 2, 3, 456789, dt.timezone(dt.timedelta(hours=5))),
        dt.datetime(2026, 3, 29, 2, 30, 0, 1, dt.timezone(dt.timedelta(hours=-9, minutes=-30))),
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC),
    ],
)
def test_times_come_back_as_the_same_moment_in_utc(db_host: Host, moment: dt.datetime) -> None:
    """Any zone goes in; UTC with microseconds comes out."""
    write(db_host, an_event(time=moment, session=None))
    [row] = db_host.rows("event")
    assert row["time"] == moment
    assert (row["time"].tzinfo, row["time"].microsecond) == (dt.UTC, moment.microsecond)


def test_times_are_stored_in_utc(db_host: Host) -> None:
    """What another program reads off the table is UTC, whatever zone was given."""
    moment = dt.datetime(2026, 11, 21, 1, 2, 3, 456789, dt.timezone(dt.timedelta(hours=5)))
    write(db_host, an_event(time=moment, session=None))
    with db_host.state.pipeline.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT time FROM eventtrack_event").scalar()
    assert str(stored) == "2026-11-20 20:02:03.456789"


def test_a_naive_time_is_refused(host: Host) -> None:
    """A time without a zone means nothing, and is never guessed at."""
    with pytest.raises(ValueError, match="has no time zone"):
        write(host, an_event(time=NAIVE, session=None))


def test_ids_have_the_database_s_own_type(db_host: Host) -> None:
    """``Uuid()`` is native where there is such a type, and comes back as a UUID everywhere."""
    event = an_event()
    write(db_host, event)
    with db_host.state.pipeline.database.read() as connection:
        columns = {
            c["name"]: c["type"] for c in sa.inspect(connection).get_columns("eventtrack_event")
        }
        name = connection.dialect.name
    # SQLAlchemy 2.0 knows MariaDB's type only under a URL that says mariadb.
    on_mysql = "CHAR(32)" if sa.__version__.startswith("2.0.") else "UUID"
    expected = {"sqlite": "CHAR(32)", "postgresql": "UUID", "mysql": on_mysql}
    assert str(columns["id"]) == str(columns["session_id"]) == expected[name]
    assert event.id in {row["id"] for row in db_host.rows("event")}


def test_params_come_back_as_they_were(db_host: Host) -> None:
    """Nested values, 64-bit integers, empty ones and any script survive the JSON column."""
    params = {
        "list": [1, "two", None, True, {"deep": {"er": []}}],
        "big": 2**63 - 1,
        "small": -(2**63),
        "pi": 3.141592653589793,
        "text": "žluťoučký 🐴 \u202e \\ ' \" % :x \u2028",
        "lines": ["one\ntwo\r\n", "null"],
        "": None,
        "Case": 1,
        "case": 2,
    }
    write(db_host, an_event(params=params, session=None))
    [row] = db_host.rows("event")
    assert row["params"] == params


def test_texts_come_back_as_they_were(db_host: Host) -> None:
    """Nothing in a text has a meaning to the database, and no text is not an empty one."""
    texts = [
        '"',
        "\\",
        'a\\"b',
        r"\N",
        r"\n",
        "\n\t\x01\x1f\x7f",
        "{a,b}",
        "NULL",
        "null",
        "",
        " ",
        None,
    ]
    events = [an_event(seconds=n, label=text, session=None) for n, text in enumerate(texts)]
    write(db_host, *events)
    assert [row["label"] for row in db_host.rows("event", "time")] == texts


def test_no_text_is_cut(db_host: Host) -> None:
    """A text that is too long for its column is refused, where the database knows of lengths."""
    label = "x" * 256
    write_records(db_host, an_event(label=label, session=None))
    stored = [row["label"] for row in db_host.rows("event")]
    assert stored == ([] if db_host.rows("rejected") else [label])


def test_nothing_undefined_is_sql_null(db_host: Host) -> None:
    """No undefined parameter is NULL, for which hosts can ask, and not the JSON text null."""
    write(db_host, an_event(session=None), an_event(undefined=("colour",), seconds=2, session=None))
    with db_host.state.pipeline.database.read() as connection:
        query = "SELECT count(*) FROM eventtrack_event WHERE undefined IS NULL"
        assert connection.exec_driver_sql(query).scalar() == 1
    assert [row["undefined"] for row in db_host.rows("event", "time")] == [None, ["colour"]]


def test_upper_and_lower_case_are_two_things(db_host: Host) -> None:
    """A collation must not put the totals of two actions into one row."""
    write(db_host, an_event("a.b", session=None), an_event("A.b", 2, session=None))
    assert {key[2]: count for key, count in totals(db_host).items()} == {"a.b": 1, "A.b": 1}


@pytest.mark.parametrize("microseconds", [(0, 0), (0, 1), (654321, 999999)])
def test_rows_are_stored_as_the_tables_would_store_them(
    db_host: Host, microseconds: tuple[int, int]
) -> None:
    """Whoever writes through SQLAlchemy's tables finds, column by column, the same form."""
    pages = [
        a_page(f"/{n}", n, time=at(n).replace(microsecond=number), undefined=("colour",) * n)
        for n, number in enumerate(microseconds)
    ]
    write(db_host, *pages, an_event(seconds=3, session=None, label="žluťoučký"))
    tables = db_host.state.pipeline.database.tables
    for name, table in (("event", tables.event), ("session", tables.session)):
        ours = raw_rows(db_host, table)
        typed = db_host.rows(name)
        with db_host.state.pipeline.database.begin() as connection:
            connection.execute(table.delete())
            connection.execute(table.insert(), typed)
        assert raw_rows(db_host, table) == ours


def raw_rows(host: Host, table: sa.Table) -> list[dict[str, t.Any]]:
    """Return rows as the driver does; JSON text may differ in its spaces and escapes."""
    with host.state.pipeline.database.read() as connection:
        found = connection.exec_driver_sql(f"SELECT * FROM {table.name} ORDER BY id")
        rows = [dict(row) for row in found.mappings()]
    for row in rows:
        for name in {"params", "undefined"} & row.keys():
            row[name] = msgspec.json.decode(row[name]) if isinstance(row[name], str) else row[name]
    return rows


@pytest.mark.parametrize("database_url", ["sqlite", "mariadb"], indirect=True)
def test_json_is_stored_without_waste(db_host: Host) -> None:
    """Neither spaces nor escapes of what is no ASCII: the column holds mostly text."""
    write(db_host, an_event(params={"name": "kůň", "sizes": [1, 2]}, session=None))
    [row] = db_host.rows("event")
    assert row["params"] == {"name": "kůň", "sizes": [1, 2]}
    with db_host.state.pipeline.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT params FROM eventtrack_event").scalar()
    assert stored == '{"name":"kůň","sizes":[1,2]}'


# Statements


def statements_of(host: Host, *events: Event) -> list[tuple[str, t.Any]]:
    """Return the statements, with their parameters, that write a batch."""
    found: list[tuple[str, t.Any]] = []

    def note(c: object, cursor: object, statement: str, parameters: t.Any, *rest: object) -> None:
        found.append((statement, parameters))

    engine = host.state.pipeline.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    write(host, *events)
    sa.event.remove(engine, "before_cursor_execute", note)
    return found


def test_a_batch_takes_as_many_statements_as_one_event(db_host: Host) -> None:
    """No statement an event: what there is to look up or to change goes together."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(120)]
    for seconds in (0, 10):
        counts = {
            len(
                statements_of(
                    db_host,
                    *(
                        a_page(
                            "/",
                            seconds + n / 200,
                            device=d,
                            id=an_id(seconds + n / 200),
                            session=session_of(d),
                        )
                        for n, d in part
                    ),
                )
            )
            for part in ([*enumerate(devices)][:1], [*enumerate(devices)][1:])
        }
        assert len(counts) == 1


def test_look_ups_search_an_index(host: Host) -> None:
    """No statement gets slower as the tables grow: SQLite scans none of them."""
    page, again = a_page("/", 0), a_page("/", 20, params={"status": 304})
    half = {"half": "browser", "source": "browser", "session": session_of(DEVICE)}
    shown = a_page("/", 1, claim=Claim(page.id), **half)
    reshown = a_page("/", 21, claim=Claim(page.id), **half)
    write(host, page)
    statements = statements_of(host, shown, an_event("button.click", 2))
    statements += statements_of(host, reshown, again)
    plans = []
    with host.state.pipeline.database.read() as connection:
        for statement, parameters in statements:
            if statement.startswith(("SELECT", "UPDATE")):
                values = parameters[0] if isinstance(parameters, list) else parameters
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                plans += [row.detail for row in plan]
    assert len(plans) > 6
    assert [plan for plan in plans if plan.startswith("SCAN eventtrack")] == []
    assert any("eventtrack_event_claimed_by (claimed_by=?)" in plan for plan in plans)


@pytest.mark.parametrize(
    "options",
    [{"paramstyle": "named"}, {"execution_options": {"schema_translate_map": {None: "main"}}}],
    ids=["named parameters", "another schema"],
)
def test_the_host_s_engine_options_hold(make: MakeHost, options: dict[str, t.Any]) -> None:
    """Statements that we prepare ourselves follow the options that SQLAlchemy would follow."""
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options})
    [insert] = [
        sql for sql, _ in statements_of(host, a_page()) if re.match(r"INSERT INTO \S*_event ", sql)
    ]
    assert (":action" in insert, "main.eventtrack_event" in insert) == (
        "paramstyle" in options,
        "execution_options" in options,
    )
    write(host, a_page("/b", 5))
    assert (the_session(host)["pages"], host.actions()["page.visit"]) == (2, 2)


def test_our_connection_to_sqlite_has_a_cache_of_its_own(host: Host) -> None:
    """Eight megabytes for our one connection; the host's keep what they have."""
    host.flush()
    database = host.state.pipeline.database
    with database.begin() as ours, database.read() as theirs:
        sizes = [c.exec_driver_sql("PRAGMA cache_size").scalar() for c in (ours, theirs)]
    assert sizes == [-8000, -2000]


def test_facts_are_asked_for_when_they_matter(host: Host) -> None:
    """A session's client and first page are described once, not with each of its events."""
    facts = mock.Mock(wraps=_facts)

    database = host.state.pipeline.database
    for start in (0, 100):
        batch = Batch([a_page(f"/{n}", start + n) for n in range(50)])
        with database.begin() as connection:
            write_batch(
                connection, database.tables, batch, at(200), facts, lambda action, site: True
            )
    assert facts.describe_origin.call_count == 1
    assert facts.describe_client.call_count == 2  # once in each batch
    assert the_session(host)["pages"] == 100
    assert the_session(host)["browser"] == "Chrome"


# Poison


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


def test_an_event_id_of_another_action_is_a_duplicate(db_host: Host) -> None:
    """A client that gives an event and a page visit the same id has sent one event."""
    event = an_event("button.click", source="browser")
    visit = a_page(half="browser", source="browser", id=event.id)
    db_host.state.pipeline.put(event)
    db_host.flush()
    db_host.state.pipeline.put(visit)
    assert db_host.actions() == {"button.click": 1, "session.start": 1}
    assert db_host.rows("rejected") == []


# Replay


def a_story() -> list[Event]:
    return [
        a_page("/", 0),
        an_event("button.click", 3, source="browser"),
        a_page("/products/mug", 10),
        an_event("order.ship", 11, session=None, uuid=uuidlib.uuid5(DEVICE, "customer")),
        a_page("/", 4000, session=session_of(DEVICE, 2, 4000)),
    ]


def test_a_replayed_batch_changes_nothing(db_host: Host) -> None:
    """Events are new once: sessions, totals and profiles follow from the new ones only."""
    events = a_story()
    end = SessionEnd(session_id=session_of(DEVICE).id, reason="timeout")
    known = Identified(
        uuid=uuidlib.uuid5(DEVICE, "c"), customer_id="c", time=at(5), anonymous=DEVICE
    )
    first = write(db_host, *events, ends=[end], identified=[known])
    before = contents(db_host)
    again = write(db_host, *events, ends=[end], identified=[known])
    assert (first.new_events, again.new_events) == (8, 0)
    assert (again.started, again.ended) == ([], [])
    assert contents(db_host) == before


def test_a_journal_s_replay_counts_no_duplicates(db_host: Host) -> None:
    """What a dead process had written before is not what its visitors sent twice."""
    events = [*a_story(), a_page("/", 5, half="browser", source="browser")]
    write(db_host, *events)
    before = quality(db_host)
    write(db_host, *events, replayed=True)
    assert quality(db_host) == before
    write(db_host, *events)
    doubled = {key: count for key, count in quality(db_host).items() if key[0] == "duplicate"}
    assert sum(doubled.values()) == len(events)


def test_a_batch_that_was_half_written_before_adds_the_other_half(db_host: Host) -> None:
    """Overlapping batches end in the same tables as one that holds everything."""
    events = a_story()
    write(db_host, *events[:3])
    write(db_host, *events[1:])
    assert db_host.actions() == {
        "page.visit": 3, "session.start": 2, "button.click": 1, "order.ship": 1
    }  # fmt: skip
    assert [(s["pages"], s["events"]) for s in db_host.rows("session", "started_at")] == [
        (2, 3),
        (1, 1),
    ]
    assert totals(db_host) == recount(db_host)


def test_an_event_twice_in_a_batch_is_one_row(db_host: Host) -> None:
    """The same id is the same event, also where both copies come together."""
    event = an_event()
    assert write(db_host, event, event).new_events == 2
    assert db_host.actions() == {"order.ship": 1, "session.start": 1}
    assert the_session(db_host)["events"] == 1
    assert quality(db_host)["duplicate", "order.ship", ""] == 1


# Sessions


def test_a_session_counts_its_pages_and_events(db_host: Host) -> None:
    """``events`` are all rows but session.*, ``pages`` the visits and screens among them."""
    write(db_host, a_page("/", 0), an_event("button.click", 5), an_event("screen.view", 7))
    row = the_session(db_host)
    assert (row["pages"], row["events"]) == (2, 3)
    assert (row["started_at"], row["last_seen_at"], row["ended_at"]) == (at(0), at(7), None)
    assert (row["device_id"], row["uuid"], row["site"]) == (DEVICE, DEVICE, SITE)
    assert (row["browser"], row["device_type"], row["language"]) == ("Chrome", "desktop", "de-AT")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_entry_and_exit_go_by_time(db_host: Host, order: tuple[int, ...]) -> None:
    """The first and last page of a session do not depend on which is written when."""
    campaign = {"url": f"http://{SITE}/?utm_source=mail", "referrer": "http://blog.example/"}
    pages = [a_page("/", 0, params=campaign), a_page("/middle", 10), a_page("/end", 20)]
    for index in order:
        write(db_host, pages[index])
    row = the_session(db_host)
    assert (row["entry"], row["entry_at"]) == ("/", at(0))
    assert (row["exit"], row["exit_at"]) == ("/end", at(20))
    assert (row["source"], row["referrer"]) == ("mail", "http://blog.example/")
    assert (row["pages"], row["last_seen_at"]) == (3, at(20))


def test_a_session_starts_a_microsecond_before_its_first_event(db_host: Host) -> None:
    """``session.start`` sorts before what opened the session; its id is derived from it."""
    page = a_page("/", 0)
    write(db_host, page)
    [start] = db_host.events_of("session.start")
    assert page.time - start["time"] == dt.timedelta(microseconds=1)
    assert (start["id"], start["session_id"]) == (
        session_start_id(page_session(page)),
        page_session(page),
    )
    assert (start["uuid"], start["label"], start["params"]) == (DEVICE, "Started session", {})


def page_session(event: Event) -> uuidlib.UUID:
    assert event.session is not None
    return event.session.id


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_openings_the_earlier_stands(db_host: Host, first: int) -> None:
    """Two requests at once after the gap open one session, which starts with the earlier one."""
    events = [a_page("/", 0), a_page("/b", -3600.5, session=session_of(DEVICE, 1, -3600.5))]
    write(db_host, events[first])
    write(db_host, events[1 - first])
    assert the_session(db_host)["started_at"] == at(-3600.5)
    [start] = db_host.events_of("session.start")
    assert start["time"] == at(-3600.5) - dt.timedelta(microseconds=1)
    assert totals(db_host) == recount(db_host)


def test_a_session_s_end_tells_what_it_was(db_host: Host) -> None:
    """``session.end`` is dated at the last activity and sums the session up."""
    write(db_host, a_page("/", 0), an_event("button.click", 90.25))
    session_id = session_of(DEVICE).id
    written = write(db_host, ends=[SessionEnd(session_id=session_id, reason="logout")])
    assert written.ended == [(session_id, "logout")]
    [end] = db_host.events_of("session.end")
    assert end["params"] == {"duration": 90.25, "pages": 1, "events": 2, "reason": "logout"}
    assert (end["id"], end["time"]) == (session_end_id(session_id), at(90.25))
    assert (end["label"], end["source"]) == ("Session end", "server")
    assert the_session(db_host)["ended_at"] == at(90.25)


def test_a_session_ends_once(db_host: Host) -> None:
    """The first reason stands; an end that comes again, or for nobody's session, is nothing."""
    session_id = session_of(DEVICE).id
    write(db_host, a_page(), ends=[SessionEnd(session_id=session_id, reason="logout")])
    write(db_host, ends=[SessionEnd(session_id=session_id, reason="timeout")])
    write(db_host, ends=[SessionEnd(session_id=uuidlib.uuid4(), reason="timeout")])
    [end] = db_host.events_of("session.end")
    assert end["params"]["reason"] == "logout"
    assert totals(db_host) == recount(db_host)


def test_a_late_event_counts_and_moves_nothing(db_host: Host) -> None:
    """An ended session takes late events, and is never reopened."""
    session_id = session_of(DEVICE).id
    write(db_host, a_page("/", 0), ends=[SessionEnd(session_id=session_id, reason="timeout")])
    [end] = db_host.events_of("session.end")
    write(db_host, a_page("/late", 30), an_event("button.click", 40))
    row = the_session(db_host)
    assert (row["pages"], row["events"]) == (2, 3)
    assert (row["last_seen_at"], row["ended_at"], row["exit"]) == (at(0), at(0), "/")
    assert db_host.events_of("session.end") == [end]
    assert {r["session_id"] for r in db_host.rows("event")} == {session_id}
    assert totals(db_host) == recount(db_host)


def test_an_event_from_before_its_session_keeps_its_time(db_host: Host) -> None:
    """A time given by the caller moves neither start, entry page nor last activity."""
    write(db_host, a_page("/", 0), a_page("/old", -500), an_event("order.ship", -86400))
    row = the_session(db_host)
    assert (row["started_at"], row["last_seen_at"]) == (at(0), at(0))
    assert (row["entry"], row["exit"], row["pages"], row["events"]) == ("/", "/", 2, 3)
    [old] = db_host.events_of("order.ship")
    assert old["time"] == at(-86400)


def test_a_site_may_refuse_session_events(db_host: Host) -> None:
    """Where ``session.*`` is denied, sessions are kept and their events are not written."""
    denied = frozenset({"session.start", "session.end"})
    end = SessionEnd(session_id=session_of(DEVICE).id, reason="timeout")
    write(db_host, a_page(), ends=[end], denied=denied)
    assert db_host.actions() == {"page.visit": 1}
    assert the_session(db_host)["ended_at"] == at(0)
    assert totals(db_host) == recount(db_host)


# The sweep


def test_a_sweep_ends_what_has_been_silent(db_host: Host) -> None:
    """Sessions end 35 minutes after their last activity, dated at it."""
    clients = [db_host.client() for _ in range(2)]
    clients[0].get("/", headers=NAVIGATION)
    db_host.clock.advance(minutes=1)
    clients[1].get("/", headers=NAVIGATION)
    db_host.flush()
    db_host.clock.advance(minutes=34, seconds=0.5)
    [(ended, reason)] = db_host.state.pipeline.sweep()
    assert reason == "timeout"
    [end] = db_host.events_of("session.end")
    assert (end["session_id"], end["time"]) == (ended, START)
    assert totals(db_host) == recount(db_host)


def test_a_sweep_leaves_who_is_still_there(db_host: Host) -> None:
    """However long ago a session started, only its silence ends it."""
    write(db_host, a_page("/", 0), a_page("/b", 7200))
    db_host.clock.advance(seconds=7200, minutes=34)
    assert db_host.state.pipeline.sweep() == []
    db_host.clock.advance(minutes=2)
    assert db_host.state.pipeline.sweep() == [(session_of(DEVICE).id, "timeout")]


def test_a_sweep_goes_on_until_nothing_is_left(db_host: Host) -> None:
    """More sessions than one transaction takes are all ended, and told of."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(450)]
    write(db_host, *(an_event(device=device) for device in devices))
    db_host.clock.advance(hours=1)
    told: list[uuidlib.UUID] = []

    def receive(app: object, session_id: uuidlib.UUID, reason: str) -> None:
        told.append(session_id)

    with signals.session_ended.connected_to(receive, db_host.app):
        ended = db_host.state.pipeline.sweep()
    assert len(set(told)) == len(told) == len(ended) == 450
    assert db_host.actions()["session.end"] == 450
    assert db_host.state.pipeline.sweep() == []


def _sweep_in_process(url: str, now: int, barrier: t.Any, results: t.Any) -> None:
    clock = FakeClock()
    clock.now = now
    host = make_host(url, create=False, clock=clock)
    host.state.pipeline.database.begin().__enter__().close()
    barrier.wait(30)
    results.put([str(session_id) for session_id, _ in host.state.pipeline.sweep()])
    host.close()


def test_four_processes_sweep_each_session_once(db_host: Host, database_url: str) -> None:
    """Sweepers that start together share the work: one end a session, told once."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(900)]
    write(db_host, *(an_event(device=device) for device in devices))
    db_host.clock.advance(hours=1)
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(4), spawn.Queue()
    sweepers = [
        spawn.Process(
            target=_sweep_in_process, args=(database_url, db_host.clock.now, barrier, results)
        )
        for _ in range(4)
    ]
    for process in sweepers:
        process.start()
    ended = [session_id for _ in sweepers for session_id in results.get(timeout=60)]
    for process in sweepers:
        process.join(30)
    assert [process.exitcode for process in sweepers] == [0] * 4
    assert len(ended) == len(set(ended)) == 900
    assert db_host.actions() == {"order.ship": 900, "session.start": 900, "session.end": 900}
    assert totals(db_host) == recount(db_host)


# Totals and quality


def test_hourly_totals_are_the_count_of_the_events(db_host: Host) -> None:
    """Additive totals agree with a recount, over hours, sites, sessions and duplicates."""
    client = db_host.client()
    for minutes in (0, 1, 29, 31, 10):
        client.get("/", headers=NAVIGATION)
        client.get("/products/mug", headers=NAVIGATION, base_url="http://other.example")
        db_host.clock.advance(minutes=minutes)
    for event in a_story():
        write(db_host, event)
        write(db_host, event)
    assert totals(db_host) == recount(db_host)
    assert sum(totals(db_host).values()) == len(db_host.rows("event"))


def test_quality_counts_what_came_of_events(db_host: Host) -> None:
    """Accepted, duplicate, undefined, rejected and dropped are counted by hour and action."""
    event = an_event(undefined=("colour", "size"))
    rejected = Outcome("rejected", "x", "undefined_event")
    dropped = Outcome("dropped", "page.visit", "no room")
    write(db_host, event, event, outcomes={rejected: 2, dropped: 7})
    assert quality(db_host) == {
        ("accepted", "order.ship", ""): 1,
        ("duplicate", "order.ship", ""): 1,
        ("undefined", "order.ship", "colour"): 1,
        ("undefined", "order.ship", "size"): 1,
        ("rejected", "x", "undefined_event"): 2,
        ("dropped", "page.visit", "no room"): 7,
    }
    assert {row["hour"] for row in db_host.rows("quality")} == {START}


def test_quality_of_a_refused_post(db_host: Host) -> None:
    """What the collector rejects stands in the quality table with its reason."""
    client = db_host.client()
    events = [{"action": "no.such"}, {"action": "bad"}, {"action": "element.view"}]
    client.post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert quality(db_host) == {
        ("rejected", "no.such", "undefined_event"): 1,
        ("rejected", "bad", "invalid_action"): 1,
        ("rejected", "element.view", "invalid_param"): 1,
    }


# People


def test_a_profile_is_one_row_that_learns(db_host: Host) -> None:
    """Traits are merged, later ones win; first and last sight are kept."""
    who = uuidlib.uuid5(DEVICE, "42")
    for seconds, traits in ((10, {"plan": "free", "age": 7}), (20, {"plan": "pro"}), (5, {})):
        record = Identified(uuid=who, customer_id="42", time=at(seconds), traits=traits)
        write(db_host, identified=[record])
    [profile] = db_host.rows("profile")
    assert (profile["uuid"], profile["customer_id"]) == (who, "42")
    assert profile["traits"] == {"plan": "pro", "age": 7}
    assert profile["last_seen_at"] == at(20)


def test_a_profile_was_first_seen_at_its_earliest_record(db_host: Host) -> None:
    """Records of two processes may be written in the wrong order."""
    who = uuidlib.uuid5(DEVICE, "42")
    for seconds in (10, 5):
        write(db_host, identified=[Identified(uuid=who, customer_id="42", time=at(seconds))])
    [profile] = db_host.rows("profile")
    assert (profile["first_seen_at"], profile["last_seen_at"]) == (at(5), at(10))


def test_an_alias_is_written_once(db_host: Host) -> None:
    """An anonymous profile becomes one customer's; another's claim to it changes nothing."""
    first, second = uuidlib.uuid5(DEVICE, "1"), uuidlib.uuid5(DEVICE, "2")
    for who, name in ((first, "1"), (first, "1"), (second, "2")):
        record = Identified(uuid=who, customer_id=name, time=at(1), anonymous=DEVICE)
        write(db_host, identified=[record, record])
    [alias] = db_host.rows("alias")
    assert (alias["anonymous_uuid"], alias["customer_uuid"]) == (DEVICE, first)
    assert len(db_host.rows("profile")) == 2


def test_a_feed_goes_across_aliases(db_host: Host) -> None:
    """A customer's feed holds what they did on two devices before they were known, newest first."""
    salt = db_host.state.config.profile_salt
    customer, phone = customer_uuid(salt, "42"), uuidlib.UUID(int=7, version=4)
    records = [
        Identified(uuid=customer, customer_id="42", time=at(9), anonymous=uuid)
        for uuid in (DEVICE, phone)
    ]
    mine = [
        an_event(seconds=1),
        an_event(seconds=3, device=phone),
        an_event(seconds=5, uuid=customer),
    ]
    stranger = an_event(seconds=4, device=uuidlib.UUID(int=8, version=4))
    write(db_host, *mine, stranger, identified=records)
    with db_host.app.app_context():
        feed = [event for event in db_host.events.feed(42) if event.action == "order.ship"]
        assert [event.id for event in feed] == [event.id for event in reversed(mine)]
        assert [event.id for event in db_host.events.feed("42", before=at(3), limit=1)] == [
            mine[0].id
        ]
        assert len(db_host.events.feed(phone)) == 2


def test_another_bind_holds_the_tables(make: MakeHost, database_url: str, tmp_path: t.Any) -> None:
    """With a bind key all rows go to that database, and none to the default one."""
    config = {"SQLALCHEMY_BINDS": {"events": database_url}, "EVENTTRACK_BIND_KEY": "events"}
    host = make(config, url=f"sqlite:///{tmp_path / 'default.db'}")
    host.client().get("/", headers=NAVIGATION)
    assert host.actions() == {"page.visit": 1, "session.start": 1}
    with host.app.app_context():
        assert sa.inspect(host.db.engine).get_table_names() == []
        assert "eventtrack_event" in sa.inspect(host.db.engines["events"]).get_table_names()
