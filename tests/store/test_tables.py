from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import subprocess
import sys
import typing as t
import warnings

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.state import find_state
from flask_eventtrack.store.tables import Tables

from ..hosts import CHROME, NAVIGATION, Host, add_pages

ROOT = pathlib.Path(__file__).parents[2]
NAMES = {
    "eventtrack_event",
    "eventtrack_session",
    "eventtrack_profile",
    "eventtrack_alias",
    "eventtrack_hourly",
    "eventtrack_quality",
    "eventtrack_uncounted",
    "eventtrack_rejected",
    "eventtrack_tombstone",
    "eventtrack_transaction",
    "eventtrack_objection",
    "eventtrack_salt",
    "eventtrack_daily",
    "eventtrack_returning",
    "eventtrack_person_day",
    "eventtrack_agent_daily",
    "eventtrack_cohort",
    "eventtrack_closed",
    "eventtrack_recount_day",
    "eventtrack_recount_person",
    "eventtrack_trait",
    "eventtrack_audit",
    "eventtrack_link",
    "eventtrack_saved",
    "eventtrack_schema",
}
CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Site(t.NamedTuple):
    """A host app whose db the test has set up itself."""

    app: Flask
    db: SQLAlchemy
    events: EventTrack

    def close(self) -> None:
        state = find_state(self.app)
        assert state is not None
        state.pipeline.close()
        with self.app.app_context():
            for engine in self.db.engines.values():
                engine.dispose()


Register = cabc.Callable[..., Site]


@pytest.fixture
def register() -> cabc.Iterator[Register]:
    """Return what registers on a new app of a given db; the apps are closed afterwards."""
    sites: list[Site] = []

    def build(
        db: SQLAlchemy, url: str, *, events: EventTrack | None = None, **config: t.Any
    ) -> Site:
        app = Flask("host")
        app.config.update(SECRET_KEY="a secret for tests", SQLALCHEMY_DATABASE_URI=url)
        app.config.update({"TESTING": True, **config})
        db.init_app(app)
        sites.append(Site(app, db, events or EventTrack()))
        sites[-1].events.init_app(app, db)
        add_pages(app)
        return sites[-1]

    yield build
    for site in sites:
        site.close()


def visit(site: Site) -> int:
    """Open a page; return how many visits then stand in the database."""
    site.app.test_client().get("/", headers={**NAVIGATION, "User-Agent": CHROME})
    state = find_state(site.app)
    assert state is not None
    state.pipeline.flush(30)
    table = state.pipeline.database.tables.event
    count = sa.select(sa.func.count()).where(table.c.action == "page.visit")
    with state.pipeline.database.read() as connection:
        return connection.scalar(count.select_from(table)) or 0


def differences(engine: sa.Engine, metadata: sa.MetaData, **options: t.Any) -> list[t.Any]:
    """Return what a migration would change."""
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, **options}
        found: list[t.Any] = compare_metadata(
            MigrationContext.configure(connection, opts=options), metadata
        )
        return found


def test_create_all_makes_the_tables(db_host: Host) -> None:
    """The host's own ``db.create_all()`` makes ours, and ``db.drop_all()`` takes them along."""
    with db_host.app.app_context():
        assert set(sa.inspect(db_host.db.engine).get_table_names()) == NAMES
        db_host.db.drop_all()
        assert sa.inspect(db_host.db.engine).get_table_names() == []


def test_a_migration_finds_nothing_to_change(db_host: Host) -> None:
    """Types, indexes and nullability read back as they were declared: no perpetual diff."""
    with db_host.app.app_context():
        assert differences(db_host.db.engine, db_host.db.metadata) == []


def test_the_tables_are_for_joins(db_host: Host) -> None:
    """``events.tables`` work in the host's session."""
    with db_host.app.app_context():
        tables = db_host.events.tables
        assert set(db_host.db.metadata.tables) >= NAMES
        assert {table.name for table in tables.all()} == NAMES
        joined = sa.select(tables.event.c.id).join(
            tables.session, tables.event.c.session_id == tables.session.c.id
        )
        assert db_host.db.session.execute(joined).all() == []


_MIGRATIONS = """
import sys
from flask import Flask
from flask_migrate import Migrate, init, migrate, upgrade
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack

app = Flask("host")
app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI=sys.argv[1])
app.config.update(eval(sys.argv[2]))
db = SQLAlchemy(app)

class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)

EventTrack(app, db)
Migrate(app, db)
with app.app_context():
    init(multidb=bool(app.config.get("SQLALCHEMY_BINDS")))
    migrate(message="first")
    upgrade()
    migrate(message="second")
"""


def run_migrations(folder: pathlib.Path, url: str, **config: t.Any) -> list[str]:
    """Run ``flask db init``, ``migrate``, ``upgrade``, ``migrate``; return the revisions."""
    done = subprocess.run(
        [sys.executable, "-c", _MIGRATIONS, url, repr(config)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    assert "No changes in schema detected" in done.stderr
    return [path.read_text() for path in (folder / "migrations" / "versions").glob("*.py")]


def test_flask_migrate_makes_one_revision(database_url: str, tmp_path: pathlib.Path) -> None:
    """The first revision holds all tables, runs as it was written, and a second is empty."""
    [revision] = run_migrations(tmp_path, database_url)
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        names = set(sa.inspect(connection).get_table_names())
    engine.dispose()
    assert names == NAMES | {"order", "alembic_version"}
    assert revision.count("op.create_table(") == len(NAMES) + 1


def test_flask_migrate_with_a_bind(database_url: str, tmp_path: pathlib.Path) -> None:
    """With a bind key our tables are migrated in that database."""
    config = {"SQLALCHEMY_BINDS": {"events": database_url}, "EVENTTRACK_BIND_KEY": "events"}
    run_migrations(tmp_path, f"sqlite:///{tmp_path / 'default.db'}", **config)
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) >= NAMES
    engine.dispose()


def test_a_bind_key_names_the_database(
    register: Register, tmp_path: pathlib.Path, database_url: str
) -> None:
    """The tables stand in the metadata and the database of the bind, and nowhere else."""
    config = {"SQLALCHEMY_BINDS": {"events": {"url": database_url}}}
    url = f"sqlite:///{tmp_path / 'default.db'}"
    site = register(SQLAlchemy(), url, **config, EVENTTRACK_BIND_KEY="events")
    with site.app.app_context():
        site.db.create_all()
        assert set(site.db.metadatas["events"].tables) == NAMES
        assert not site.db.metadata.tables
        assert sa.inspect(site.db.engine).get_table_names() == []
        assert set(sa.inspect(site.db.engines["events"]).get_table_names()) == NAMES
    assert visit(site) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_schema_is_respected(register: Register, database_url: str) -> None:
    """Where the host's metadata has a schema, our tables live in it."""
    site = register(SQLAlchemy(metadata=sa.MetaData(schema="shop")), database_url)
    with site.app.app_context():
        with site.db.engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema("shop"))
        site.db.create_all()
        names = sa.inspect(site.db.engine).get_table_names
        assert (set(names("shop")), names("public")) == (NAMES, [])
        assert differences(site.db.engine, site.db.metadata, include_schemas=True) == []
    assert visit(site) == 1


def test_a_naming_convention_is_respected(register: Register, database_url: str) -> None:
    """A host's convention neither breaks our names nor makes a migration that never ends."""
    site = register(SQLAlchemy(metadata=sa.MetaData(naming_convention=CONVENTION)), database_url)
    with site.app.app_context():
        site.db.create_all()
        assert differences(site.db.engine, site.db.metadata) == []
    assert visit(site) == 1


def test_flask_migrate_with_a_naming_convention(register: Register, database_url: str) -> None:
    """Migrating to a convention afterwards does not rename what is ours."""
    plain = register(SQLAlchemy(), database_url)
    with plain.app.app_context():
        plain.db.create_all()
    site = register(SQLAlchemy(metadata=sa.MetaData(naming_convention=CONVENTION)), database_url)
    with site.app.app_context():
        assert differences(site.db.engine, site.db.metadata) == []


def test_a_second_registration_shares_the_tables(
    register: Register, tmp_path: pathlib.Path
) -> None:
    """One db and several apps, as in a host's test suite: nothing is raised, nothing warned of."""
    db = SQLAlchemy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sites = [register(db, f"sqlite:///{tmp_path / f'{n}.db'}") for n in range(3)]
    for site in sites:
        with site.app.app_context():
            db.create_all()
        assert visit(site) == 1
    assert set(db.metadata.tables) == NAMES


def test_tables_are_put_once_into_a_metadata() -> None:
    """Asking again gives the same tables; another metadata has tables of its own."""
    metadata, other = sa.MetaData(), sa.MetaData()
    for each in (metadata, other, metadata):
        assert {table.name for table in Tables.for_metadata(each).all()} == NAMES
    assert set(metadata.tables) == set(other.tables) == NAMES


def test_one_object_on_two_apps_and_two_databases(
    register: Register, tmp_path: pathlib.Path
) -> None:
    """Each app's visits land in its own database, also under one object and one db."""
    db, events = SQLAlchemy(), EventTrack()
    sites = [register(db, f"sqlite:///{tmp_path / f'{n}.db'}", events=events) for n in range(2)]
    for site in sites:
        with site.app.app_context():
            db.create_all()
    assert [visit(sites[0]), visit(sites[0]), visit(sites[1])] == [1, 2, 1]
