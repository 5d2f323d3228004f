"""Parts that most processes do not need are imported when they are first used."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys

import pytest

from flask_eventtrack.dashboard.routes import ROUTES, Route
from flask_eventtrack.later import imported_later

# A visit of a page of the host, and which of our rooms are imported then.
VISIT = """
import sys
from tests.hosts import make_host

host = make_host("sqlite://")
host.client().get("/")
host.flush()
for room in ("dashboard.answers", "dashboard.overview", "digest.making", "reports.library"):
    assert f"flask_eventtrack.{room}" not in sys.modules, room
host.close()
"""


# All pages are opened at once by the first requests of a process.
AT_ONCE = """
import sys, threading
from flask_eventtrack.dashboard.routes import ROUTES
from tests.hosts import make_host

sys.setswitchinterval(1e-5)
host = make_host(sys.argv[1], {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: True})
with host.app.app_context():
    host.db.create_all()
paths = [f"/_et{route.path}" for route in ROUTES if "<" not in route.path]
start = threading.Barrier(len(paths))
found = []

def get(path):
    client = host.app.test_client()
    start.wait()
    found.append(client.get(path).status_code)

threads = [threading.Thread(target=get, args=(path,)) for path in paths]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
host.close()
assert len(found) == len(paths) and set(found) == {200, 400}, found  # 400: arguments are missing
"""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.endpoint)
def test_each_route_names_a_view(route: Route) -> None:
    module, _, name = route.view.rpartition(".")
    assert callable(getattr(importlib.import_module(f"flask_eventtrack.dashboard.{module}"), name))


def test_a_visit_imports_no_reports() -> None:
    done = subprocess.run(
        [sys.executable, "-c", VISIT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_function_that_is_imported_later_has_its_own_name_and_module() -> None:
    later = imported_later("text.quantify")
    assert (later.__module__, later.__name__) == ("flask_eventtrack.text", "quantify")
    assert later(2, "event") == "2 events"


def test_pages_may_be_opened_for_the_first_time_at_once(tmp_path: pathlib.Path) -> None:
    """Threads wait for each other's imports, and none sees a module that is half imported."""
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, f"sqlite:///{tmp_path}/pages.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
