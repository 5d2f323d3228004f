"""Copies made by the command, and what ClickHouse has of them."""

from __future__ import annotations

import datetime as dt
import json
import typing as t
import urllib.parse
import uuid as uuidlib

import clickhouse_connect
import sqlalchemy as sa

from flask_eventtrack.clickhouse.tables import KINDS, name_of

from ..commands import run
from ..hosts import Host
from .server import PASSWORD, USER

Rows = dict[str, dict[uuidlib.UUID, dict[str, t.Any]]]
_INNER = {"batch", "added_in", "version", "is_deleted"}


class ClickHouse:
    """A database of the test's own."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name
        self._client: t.Any = None

    @property
    def url(self) -> str:
        password = urllib.parse.quote(PASSWORD, safe="")
        return f"clickhousedb://{USER}:{password}@127.0.0.1:{self.port}/{self.name}"

    def connect(self) -> t.Any:
        self._client = self._client or clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.port,
            username=USER,
            password=PASSWORD,
            database="default",  # which is always there
            autogenerate_session_id=False,
        )
        self._client.database = self.name
        return self._client

    def create(self) -> None:
        self.connect().command(f"CREATE DATABASE {self.name}", use_database=False)

    def drop(self) -> None:
        client = self.connect()
        client.command(f"DROP DATABASE IF EXISTS {self.name} SYNC", use_database=False)
        client.close()

    def run(self, statement: str) -> None:
        self.connect().command(statement)

    def rows(self, query: str) -> list[tuple[t.Any, ...]]:
        return list(self.connect().query(query).result_rows)

    def read(self, *, final: bool = True) -> list[tuple[str, dict[str, t.Any]]]:
        """Return the rows of all tables; without ``final``, also what queries do not see."""
        client, found = self.connect(), list[tuple[str, dict[str, t.Any]]]()
        for kind in KINDS:
            query = f"SELECT * FROM {name_of(kind)}" + (" FINAL" if final else "")
            found += [(kind, row) for row in client.query(query).named_results()]
        return found

    def copied(self) -> Rows:
        """Return the rows as queries see them; each of them is there once."""
        rows: Rows = {kind: {} for kind in KINDS}
        for kind, row in self.read():
            assert row["id"] not in rows[kind]
            rows[kind][row["id"]] = {
                name: _load(name, value) for name, value in row.items() if name not in _INNER
            }
        return rows

    def texts(self) -> str:
        """Return all that is in the tables, also what queries with FINAL do not see."""
        return repr(self.read(final=False))


def _load(name: str, value: t.Any) -> t.Any:
    if name in {"params", "undefined", "items"} and value is not None:
        return json.loads(value)
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value


def copy(host: Host, clickhouse: ClickHouse, *options: str, code: int = 0) -> str:
    """Run the command, and return what it says."""
    host.flush()
    answer = run(host, "copy", "--to", clickhouse.url, *options)
    assert answer.exit_code == code, (answer.output, answer.exception)
    assert PASSWORD not in answer.output
    return answer.output


def stored(host: Host) -> Rows:
    """Return the rows of the tables; not those that are not counted yet."""
    host.flush()
    tables = host.state.pipeline.database.tables
    with host.state.pipeline.database.read() as connection:
        note = tables.uncounted
        waiting = set(connection.scalars(sa.select(note.c.event_id).where(note.c.due_at.is_(None))))
        return {
            kind: {
                row["id"]: {name: value for name, value in row.items() if name not in _INNER}
                for row in connection.execute(sa.select(getattr(tables, kind))).mappings()
                if row["id"] not in waiting
            }
            for kind in KINDS
        }


def assert_equal(host: Host, clickhouse: ClickHouse) -> None:
    assert clickhouse.copied() == stored(host)
