"""``flask eventtrack upgrade``: brings the tables of any earlier release up to date.

Each step looks first whether it is still to be done, so that a second run changes nothing, and two
runs at once do no harm. Columns are added nullable or with their default: the release before goes
on writing to the upgraded tables.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import time
import typing as t
import zlib

import sqlalchemy as sa

from . import dialects
from .backfill import FindChannel, fill_sessions, find_none, has_sessions_without_person
from .closed_days import count_days_anew, has_days_without_cohorts
from .engine import Database
from .fold import fold_engagement, has_engagement_rows
from .schema import Missing, find_missing, name_of, schema_of
from .tables import VERSION, Tables
from .traits import fill_traits, has_profiles_without_traits

_LOCK_NAME = "eventtrack upgrade"
_LOCK_PAUSE = 0.2
# While a change of a table waits for a long transaction, everyone else waits behind it. So it gives
# up after so many seconds, lets them pass, and tries again.
_PATIENCE = 3
_TRIES = 100


class DataStep(t.NamedTuple):
    """A change of stored rows, which no migration knows of.

    ``run`` may be interrupted, repeated, and run while processes write. It may return sentences
    about its progress. ``is_left`` tells whether there are rows to change, since processes of an
    earlier release may write more of them after a run. Without it, the version tells that.
    """

    version: int
    sentence: str
    run: cabc.Callable[[Database, FindChannel], cabc.Iterable[str] | None]
    is_left: cabc.Callable[[sa.Connection, Tables], bool] | None = None


#: The steps of all releases so far, in their order.
DATA_STEPS: tuple[DataStep, ...] = (
    DataStep(
        3,
        "Moving the rows of page.engage into their page visits.",
        lambda database, _: fold_engagement(database),
        has_engagement_rows,
    ),
    DataStep(
        4,
        "Filling the person of sessions, their landing route and channel, and profiles' touches.",
        fill_sessions,
        has_sessions_without_person,
    ),
    DataStep(
        5,
        "Filling the table in which customers' traits are searched.",
        lambda database, _: fill_traits(database),
        has_profiles_without_traits,
    ),
    DataStep(
        6,
        "Asking the writer to count closed days anew, with who came back when.",
        lambda database, _: count_days_anew(database),
        has_days_without_cohorts,
    ),
)


def upgrade(
    database: Database,
    now: dt.datetime,
    steps: cabc.Sequence[DataStep] = DATA_STEPS,
    find_channel: FindChannel = find_none,
) -> cabc.Iterator[str]:
    """Create what is missing, then run the data steps; yield a sentence before each change.

    :param find_channel: tells the channel of sessions that are stored without one.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused; what was done stays.
    """
    with database.connect_for_changes() as connection:
        if not _take_lock(connection):
            yield "Waiting for another upgrade to end."
            while not _take_lock(connection):
                time.sleep(_LOCK_PAUSE)
        missing = _look(database)
        if missing.tables:
            yield f"Creating {', '.join(map(name_of, missing.tables))}."
            _change(database, missing.tables, functools.partial(_create_tables, database))
        for column in missing.columns:
            yield f"Adding the column {name_of(column)}."
            _change(database, [column], functools.partial(_add_column, connection))
        for index in missing.indexes:
            yield f"Creating the index {name_of(index)}."
            _change(database, [index], functools.partial(_create_index, connection))
        yield from upgrade_data(database, now, steps, find_channel)


def upgrade_data(
    database: Database,
    now: dt.datetime,
    steps: cabc.Sequence[DataStep] = DATA_STEPS,
    find_channel: FindChannel = find_none,
) -> cabc.Iterator[str]:
    """Run the data steps that are left, and note the new version."""
    with database.read() as connection:
        version = read_version(connection, database.tables)
        left = [step for step in steps if _is_left(step, version, connection, database.tables)]
    for step in left:
        yield step.sentence
        yield from step.run(database, find_channel) or ()
    latest = max([VERSION, *(step.version for step in steps)])
    if latest > version:
        database.retry(functools.partial(_note_version, database.tables, latest, now))


def read_version(connection: sa.Connection, tables: Tables) -> int:
    """Return the version that the stored rows have reached; 1 if none was noted."""
    version: int | None = connection.scalar(sa.select(sa.func.max(tables.schema.c.version)))
    return version or 1


def has_steps_left(connection: sa.Connection, tables: Tables) -> bool:
    """Whether data steps are still to be run."""
    version = read_version(connection, tables)
    return any(_is_left(step, version, connection, tables) for step in DATA_STEPS)


def _is_left(step: DataStep, version: int, connection: sa.Connection, tables: Tables) -> bool:
    if step.is_left is None:
        return step.version > version
    return step.is_left(connection, tables)


def _note_version(
    tables: Tables, version: int, now: dt.datetime, connection: sa.Connection
) -> None:
    table = tables.schema
    if connection.scalar(sa.select(table.c.version).where(table.c.version == version)) is None:
        connection.execute(table.insert().values(version=version, reached_at=now))


def _look(database: Database) -> Missing:
    with database.read() as connection:
        return find_missing(connection, database.tables)


_Item = t.TypeVar("_Item", sa.Table, sa.Column[t.Any], sa.Index)


def _change(
    database: Database, items: list[_Item], change: cabc.Callable[[list[_Item]], None]
) -> None:
    """Make a change. Its failure is none if somebody else has made it meanwhile."""
    for attempt in range(1, _TRIES + 1):
        try:
            return change(items)
        except sa.exc.DBAPIError as error:
            if not _look(database).names() & set(map(name_of, items)):
                return None
            if attempt == _TRIES or not dialects.is_lock_timeout(error):
                raise
    return None


def _create_tables(database: Database, tables: list[sa.Table]) -> None:
    with database.begin_patient() as connection:
        tables[0].metadata.create_all(connection, tables=tables)


def _add_column(connection: sa.Connection, columns: list[sa.Column[t.Any]]) -> None:
    preparer = connection.dialect.identifier_preparer
    for original in columns:
        column = original.table.to_metadata(sa.MetaData()).columns[original.name]
        # Rows that are stored have no value for it, and the release before gives none.
        column.nullable = column.nullable or column.server_default is None
        spec = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        table, schema = preparer.quote(original.table.name), schema_of(connection, original.table)
        if schema:
            table = f"{preparer.quote_schema(schema)}.{table}"
        with _impatient(connection):
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {spec}")


def _create_index(connection: sa.Connection, indexes: list[sa.Index]) -> None:
    for original in indexes:
        copies = t.cast("sa.Table", original.table).to_metadata(sa.MetaData()).indexes
        [index] = [copy for copy in copies if copy.name == original.name]
        if connection.dialect.name == "postgresql":
            # Else nothing could be written until the index is made. One that an interrupted run
            # has left is not used.
            index.dialect_options["postgresql"]["concurrently"] = True
            connection.execute(sa.schema.DropIndex(index, if_exists=True))
        connection.execute(sa.schema.CreateIndex(index))


@contextlib.contextmanager
def _impatient(connection: sa.Connection) -> cabc.Iterator[None]:
    """Have a change of a table wait for others for some seconds at most."""
    before, after = {
        "postgresql": (f"SET lock_timeout = '{_PATIENCE}s'", "RESET lock_timeout"),
        "mysql": (
            f"SET SESSION lock_wait_timeout = {_PATIENCE}",
            "SET SESSION lock_wait_timeout = DEFAULT",
        ),
    }.get(dialects.family_of(connection), ("", ""))
    for statement in filter(None, [before]):
        connection.exec_driver_sql(statement)
    try:
        yield
    finally:
        for statement in filter(None, [after]):
            connection.exec_driver_sql(statement)


def _take_lock(connection: sa.Connection) -> bool:
    """Keep other upgrades of this database away until the connection is closed.

    This asks again and again rather than waits: PostgreSQL's concurrent indexes wait for the end
    of all statements, also of one that waits for the lock.
    """
    family = dialects.family_of(connection)
    if family == "postgresql":
        key = zlib.crc32(_LOCK_NAME.encode())
        return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))))
    if family == "mysql":
        name = sa.func.concat(_LOCK_NAME, " ", sa.func.database())
        return bool(connection.scalar(sa.select(sa.func.get_lock(sa.func.left(name, 64), 0))))
    return True
