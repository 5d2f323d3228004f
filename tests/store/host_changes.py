"""What another release's migration, or a host, does to the tables."""

from __future__ import annotations

import collections.abc as cabc
import contextlib

import sqlalchemy as sa

from ..hosts import Host


@contextlib.contextmanager
def changing(host: Host) -> cabc.Iterator[sa.Connection]:
    """Open a transaction of another program."""
    engine = sa.create_engine(host.state.pipeline.database._host.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def demand_column(host: Host, table: str) -> None:
    """Have a table demand a value that nobody gives it."""
    name = f"eventtrack_{table}"
    with changing(host) as connection:
        add = f"ALTER TABLE {name} ADD COLUMN tenant VARCHAR(9) NOT NULL DEFAULT 'x'"
        connection.exec_driver_sql(add)
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql(f"ALTER TABLE {name} ALTER COLUMN tenant DROP DEFAULT")
            return
        # SQLite has no statement for it (https://sqlite.org/lang_altertable.html, section 7).
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL DEFAULT ''x''', 'NOT NULL')"
            f" WHERE name = '{name}'"
        )
        connection.exec_driver_sql("PRAGMA writable_schema = RESET")


def drop_column(host: Host, table: str) -> None:
    """Undo :func:`demand_column`."""
    with changing(host) as connection:
        connection.exec_driver_sql(f"ALTER TABLE eventtrack_{table} DROP COLUMN tenant")


@contextlib.contextmanager
def refusing(host: Host, table: str, allowed: str = "1 = 0") -> cabc.Iterator[None]:
    """Have a host's constraint refuse each new row for which a condition is not true."""
    name = f"eventtrack_{table}"
    with changing(host) as connection:
        kind = connection.dialect.name
        make = f"ALTER TABLE {name} ADD CONSTRAINT ours CHECK ({allowed})"
        drop = f"ALTER TABLE {name} DROP CONSTRAINT ours"
        if kind == "postgresql":
            make += " NOT VALID"
        elif kind == "mysql":
            connection.exec_driver_sql("SET SESSION check_constraint_checks = 0")
        else:
            condition = allowed.replace("action", "NEW.action")
            make = (
                f"CREATE TRIGGER ours BEFORE INSERT ON {name} WHEN NOT ({condition})"
                " BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
            drop = "DROP TRIGGER ours"
        connection.exec_driver_sql(make)
    try:
        yield
    finally:
        with changing(host) as connection:
            connection.exec_driver_sql(drop)


_TRIGGERS = {
    "mysql": [
        "CREATE TRIGGER ours BEFORE INSERT ON eventtrack_event FOR EACH ROW IF {condition} THEN"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not ours'; END IF"
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {condition} THEN"
        " RAISE EXCEPTION 'not ours: %%', NEW.id; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER ours BEFORE INSERT ON eventtrack_event FOR EACH ROW"
        " EXECUTE FUNCTION refuse()",
    ],
}


@contextlib.contextmanager
def triggered(host: Host, condition: str) -> cabc.Iterator[None]:
    """Have a host's trigger refuse the events for which a condition is true."""
    with changing(host) as connection:
        kind = connection.dialect.name
        for statement in _TRIGGERS[kind]:
            connection.exec_driver_sql(statement.replace("{condition}", condition))
    try:
        yield
    finally:
        on_table = " ON eventtrack_event" if kind == "postgresql" else ""
        with changing(host) as connection:
            connection.exec_driver_sql(f"DROP TRIGGER ours{on_table}")
