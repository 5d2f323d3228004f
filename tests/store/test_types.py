"""Values come back from each database as they were stored."""

from __future__ import annotations

import datetime as dt
import typing as t

import msgspec
import pytest
import sqlalchemy as sa

from ..hosts import Host
from .records import NAIVE, a_page, an_event, at, totals, write, write_records


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
    """Without spaces, and without escapes of non-ASCII text."""
    write(db_host, an_event(params={"name": "kůň", "sizes": [1, 2]}, session=None))
    [row] = db_host.rows("event")
    assert row["params"] == {"name": "kůň", "sizes": [1, 2]}
    with db_host.state.pipeline.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT params FROM eventtrack_event").scalar()
    assert stored == '{"name":"kůň","sizes":[1,2]}'
