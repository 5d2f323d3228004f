"""What a stream adds to an app, and that it adds nothing to others."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import sqlalchemy as sa

from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION
from ..pipeline.waiting import ROOT
from ..store.test_tables import NAMES, differences, run_migrations
from .conftest import MakeStreamed

_SCRIPT = """
import sys
from tests.hosts import NAVIGATION, make_host
host = make_host(sys.argv[1])
host.client().get("/", headers=NAVIGATION)
host.flush()
found = [name for name in sys.modules if name.startswith(("redis", "flask_eventtrack.stream"))]
print(found, host.actions()["page.visit"])
host.close()
"""


def test_an_app_without_a_stream_imports_nothing_of_it(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, f"sqlite:///{tmp_path / 'host.db'}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] 1\n"


def test_flask_migrate_makes_one_revision_of_it(database_url: str, tmp_path: pathlib.Path) -> None:
    """A second one would be empty. No Redis is asked."""
    settings = {"EVENTTRACK_STREAM_URL": "redis://127.0.0.1:1/0"}
    [revision] = run_migrations(tmp_path, database_url, **settings)
    assert revision.count("op.create_table(") == len(NAMES) + 2
    assert "'eventtrack_stream'" in revision


def test_it_is_turned_on_later(
    make: MakeHost, make_streamed: MakeStreamed, database_url: str
) -> None:
    """``flask eventtrack upgrade`` adds the workers' table."""
    before = make(url=database_url)
    with before.app.app_context():
        names = sa.inspect(before.db.engine).get_table_names()
        assert "eventtrack_stream" not in names
    streamed = make_streamed(create=False, url=database_url)
    assert run(streamed.host, "upgrade").exit_code == 0
    with streamed.host.app.app_context():
        engine, metadata = streamed.host.db.engine, streamed.host.db.metadata
        assert differences(engine, metadata) == []
    streamed.host.client().get("/", headers=NAVIGATION)
    streamed.host.flush()
    streamed.work()
    assert streamed.host.actions()["page.visit"] == 1
