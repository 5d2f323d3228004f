"""What the database lacks of the tables that this release needs."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn

from . import dialects
from .engine import Database
from .probe import find_refusal
from .tables import Tables
from .visits import FOUND_BY

#: What to do about tables, columns or indexes that are missing.
UPGRADE_HINT = (
    "Run 'flask eventtrack upgrade'; with Flask-Migrate, run 'flask db migrate', "
    "'flask db upgrade' and 'flask eventtrack upgrade --data-only'."
)
#: What to do where there is no table at all.
CREATE_HINT = (
    "Run 'flask eventtrack init-db', or make a migration: 'flask db migrate' sees them, and "
    "'flask db upgrade' creates them."
)
GRANT_HINT = (
    "Grant SELECT, INSERT, UPDATE and DELETE on all eventtrack tables to the database user of the "
    "app."
)
REFUSAL_HINT = (
    "Remove the constraint, give the column a default, or install the release that fills it. "
    "Events wait until then."
)

# Nothing is removed from these.
_KEPT = frozenset({"eventtrack_hourly", "eventtrack_tombstone", "eventtrack_schema"})
# The writer inserts a row for each event or customer.
_WRITTEN = (
    *("event", "session", "profile", "alias", "hourly", "quality", "rejected"),
    *("commit", "gone"),
)
_MAX_NAMED = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """What is not as the tables need it.

    ``unfilled`` are columns of the database that this release does not know, and that a row cannot
    be without: every row is refused.
    """

    tables: list[sa.Table]
    columns: list[sa.Column[t.Any]]
    indexes: list[sa.Index]
    unfilled: list[str]
    is_empty: bool

    def names(self) -> set[str]:
        """Return the names of the tables, columns and indexes."""
        return {
            *map(name_of, self.tables),
            *map(name_of, self.columns),
            *map(name_of, self.indexes),
        }


def name_of(item: sa.Table | sa.Column[t.Any] | sa.Index) -> str:
    """Return a name for messages, such as "eventtrack_event.label" for a column."""
    return f"{item.table.name}.{item.name}" if isinstance(item, sa.Column) else str(item.name)


class Fault(t.NamedTuple):
    """Why events cannot be written, and what to do about it. A fault of ``columns`` may also be one
    of their indexes."""

    kind: t.Literal["tables", "columns", "rights", "refusal"]
    sentence: str
    hint: str


def find_missing(connection: sa.Connection, tables: Tables) -> Missing:
    """Compare the database with the tables. A table that is missing lacks nothing else."""
    inspector, schema = sa.inspect(connection), schema_of(connection, tables.event)
    names = set(inspector.get_table_names(schema))
    present = [table for table in tables.all() if table.name in names]
    broken = _list_broken_indexes(connection, schema)
    columns: list[sa.Column[t.Any]] = []
    indexes: list[sa.Index] = []
    unfilled: list[str] = []
    for table in present:
        found = {column["name"]: column for column in inspector.get_columns(table.name, schema)}
        columns += [column for column in table.columns if column.name not in found]
        unfilled += [
            f"{table.name}.{name}"
            for name, column in found.items()
            if name not in table.columns and _must_be_filled(column)
        ]
        made = {index["name"] for index in inspector.get_indexes(table.name, schema)} - broken
        wanted = sorted(table.indexes, key=name_of)
        indexes += [index for index in wanted if index.name not in made]
    absent = [table for table in tables.all() if table.name not in names]
    return Missing(absent, columns, indexes, unfilled, is_empty=not present)


def has_unused_log(connection: sa.Connection, tables: Tables) -> bool:
    """Whether the database has a commit log, which is off here."""
    if tables.commit is not None:
        return False
    schema = schema_of(connection, tables.event)
    return sa.inspect(connection).has_table("eventtrack_commit", schema)


def schema_of(connection: sa.Connection, table: sa.Table) -> str | None:
    """Return the schema that holds a table: the host's engine may translate its name."""
    translated = connection.get_execution_options().get("schema_translate_map") or {}
    found: str | None = translated.get(table.schema, table.schema)
    return found


def _list_broken_indexes(connection: sa.Connection, schema: str | None) -> set[str | None]:
    """Return the indexes whose concurrent creation was interrupted, on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return set()
    query = sa.text(
        "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE NOT indisvalid AND nspname = coalesce(:schema, current_schema())"
    )
    return set(connection.scalars(query, {"schema": schema}))


def _must_be_filled(column: ReflectedColumn) -> bool:
    has_value = any(column.get(name) for name in ("computed", "identity"))
    return not column["nullable"] and column.get("default") is None and not has_value


def find_faults(connection: sa.Connection, tables: Tables, now: dt.datetime) -> list[Fault]:
    """Return why events cannot be written. Nothing is changed: what is tried is rolled back.

    :raises sqlalchemy.exc.SQLAlchemyError: the database cannot be asked.
    """
    missing = find_missing(connection, tables)
    rights = _list_denied(connection, tables)
    denied = {right.split(" on ")[1] for right in rights}
    absent = [table.name for table in missing.tables if table.name not in denied]
    columns = [name_of(column) for column in missing.columns]
    faults: list[Fault] = []
    if absent:
        hint = CREATE_HINT if missing.is_empty else UPGRADE_HINT
        faults.append(Fault("tables", f"Tables are missing: {', '.join(absent)}.", hint))
    if columns:
        faults.append(Fault("columns", f"Columns are missing: {', '.join(columns)}.", UPGRADE_HINT))
    if indexes := _list_named_indexes(connection, missing):
        sentence = f"Indexes are missing: {', '.join(indexes)}."
        faults.append(Fault("columns", sentence, UPGRADE_HINT))
    if rights:
        faults.append(Fault("rights", f"{_name_some(rights)}.", GRANT_HINT))
    if not faults:
        faults += _list_refusals(connection, tables, missing.unfilled, now)
    return faults


def _list_named_indexes(connection: sa.Connection, missing: Missing) -> list[str]:
    """Return the missing indexes that :func:`.dialects.by_index` names, where it names any."""
    if dialects.family_of(connection) != "mysql":
        return []
    return [name_of(each) for each in missing.indexes if each.columns[0].name in FOUND_BY]


def _list_refusals(
    connection: sa.Connection, tables: Tables, unfilled: list[str], now: dt.datetime
) -> cabc.Iterator[Fault]:
    for name in unfilled:
        table = name.partition(".")[0]
        sentence = f"{table} refuses every row: its column {name} must be filled, has no default, "
        yield Fault("refusal", f"{sentence}and is not known to this release.", REFUSAL_HINT)
    if unfilled:
        return
    for field in _WRITTEN:
        table = getattr(tables, field)
        if table is None:
            continue
        refusal = find_refusal(connection, table, now)
        connection.rollback()
        if refusal is not None:
            why = dialects.complaint_of(refusal)
            yield Fault("refusal", f"{table.name} refuses every row ({why}).", REFUSAL_HINT)


def _list_denied(connection: sa.Connection, tables: Tables) -> list[str]:
    """Return what the database user may not do, such as "INSERT on eventtrack_event is denied".

    Each right is tried on no row at all: databases check it all the same.
    """
    if connection.dialect.name == "sqlite":
        tried = [(tables.event, "INSERT")]
    else:
        tried = [(table, right) for table in tables.all() for right in _rights_on(table)]
    return [
        f"{right} on {table.name} is denied"
        for table, right in tried
        if _is_denied(connection, _STATEMENTS[right](table))
    ]


def _rights_on(table: sa.Table) -> cabc.Iterator[str]:
    yield from ("SELECT", "INSERT", "UPDATE")
    if table.name not in _KEPT:
        yield "DELETE"


def _insert(table: sa.Table) -> sa.Insert:
    names = [column.name for column in table.columns]
    return table.insert().from_select(names, sa.select(*table.columns).where(sa.false()))


def _update(table: sa.Table) -> sa.Update:
    column = list(table.columns)[-1]
    return table.update().where(sa.false()).values({column.name: column})


_STATEMENTS: dict[str, cabc.Callable[[sa.Table], sa.Executable]] = {
    "SELECT": lambda table: sa.select(sa.literal(1)).select_from(table).where(sa.false()),
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": lambda table: table.delete().where(sa.false()),
}


def _is_denied(connection: sa.Connection, statement: sa.Executable) -> bool:
    try:
        connection.execute(statement)
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        return dialects.is_denied(error)
    finally:
        connection.rollback()
    return False


def _name_some(rights: list[str]) -> str:
    more = len(rights) - _MAX_NAMED
    return "; ".join(rights[:_MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")


def explain(database: Database, error: Exception, now: dt.datetime) -> str:
    """Return what is missing and what to do, if that caused an error; else "".

    The database is asked only if the error points to its tables. The text quotes no row.
    """
    is_refusal = dialects.is_data_error(error)
    if not (is_refusal or dialects.is_missing(error) or dialects.is_denied(error)):
        return ""
    try:
        with database.read() as connection:
            faults = find_faults(connection, database.tables, now)
    except (sa.exc.SQLAlchemyError, OSError):
        faults = []
    if faults:
        return " ".join(f"{fault.sentence} {fault.hint}" for fault in faults)
    return dialects.complaint_of(error) if is_refusal else ""
