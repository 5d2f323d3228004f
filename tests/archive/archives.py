"""Archives made by the command, and what DuckDB reads in them."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import typing as t

import duckdb
import sqlalchemy as sa

from ..commands import run
from ..hosts import Host

INNER = {"claimed_by", "private_at", "logged_out_at"}
KINDS = {"events": "event", "sessions": "session"}
MOMENTS = {"events": "time", "sessions": "started_at"}

Rows = dict[str, dict[str, t.Any]]


def archive(host: Host, folder: pathlib.Path | str, *options: str, code: int = 0) -> str:
    """Run the command, and return what it says."""
    host.flush()
    answer = run(host, "archive", "--to", str(folder), *options)
    assert answer.exit_code == code, (answer.output, answer.exception)
    return answer.stderr


def query(sql: str) -> list[tuple[t.Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def read(folder: pathlib.Path, kind: str) -> Rows:
    """Return the rows of all files by their ids; each is in the file of its day, once."""
    if not list(folder.glob(f"{kind}/*/*.parquet")):
        return {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT * FROM '{folder}/{kind}/*/*.parquet' ORDER BY filename")
        names = [each[0] for each in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        assert row.pop("day") == row[MOMENTS[kind]].date()
    by_id = {row["id"]: _load(row) for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def _load(row: dict[str, t.Any]) -> dict[str, t.Any]:
    for name in ("params", "undefined"):
        if row.get(name) is not None:
            row[name] = json.loads(row[name])
    return row


def stored(host: Host, kind: str) -> Rows:
    """Return the rows of a table as they are to be read; not those that are not counted yet."""
    host.flush()
    tables = host.state.pipeline.database.tables
    table, note = getattr(tables, KINDS[kind]), tables.uncounted
    names = [c.name for c in table.columns if c.name not in INNER | {"batch", "added_in"}]
    with host.state.pipeline.database.read() as connection:
        waiting = set(connection.scalars(sa.select(note.c.event_id).where(note.c.due_at.is_(None))))
        rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    return {
        str(row["id"]): {name: _plain(row[name]) for name in names}
        for row in rows
        if row["id"] not in waiting
    }


def _plain(value: t.Any) -> t.Any:
    return value if isinstance(value, str | int | dict | list | dt.datetime | None) else str(value)


def assert_equal(host: Host, folder: pathlib.Path, since: dt.date | None = None) -> None:
    """Check that an archive has what the tables have, and that its manifest says so."""
    told = manifest(folder)
    for kind, moment in MOMENTS.items():
        rows = stored(host, kind)
        if since is not None:
            rows = {key: row for key, row in rows.items() if row[moment].date() >= since}
        found = read(folder, kind)
        assert found == rows
        files = told["days"].get(kind, {})
        assert sum(each["rows"] for each in files.values()) == len(rows)
        sizes = {each["file"]: each["bytes"] for each in files.values()}
        paths = folder.glob(f"{kind}/*/*")
        assert sizes == {p.relative_to(folder).as_posix(): p.stat().st_size for p in paths}


def manifest(folder: pathlib.Path) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads((folder / "manifest.json").read_text())
    return found


def written(said: str) -> int:
    """Return how many files a run says that it has written."""
    return int(said.rpartition("\n")[0].rpartition("\n")[2].split()[0])


def files_with(folder: pathlib.Path, *texts: str) -> list[str]:
    """Return the files in which a text can be read, as bytes or by a column's value."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                content += repr(query(f"SELECT * FROM '{path}'"))
            if any(text in content for text in texts):
                found.append(path.name)
    return found
