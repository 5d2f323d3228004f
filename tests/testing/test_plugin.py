"""The plugin for pytest: it loads by itself, costs nothing, and fails tests for their mistakes."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tomllib

import pytest

from ..manual import ROOT

pytest_plugins = ["pytester"]

_CONFTEST = """
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack, track

db = SQLAlchemy()
events = EventTrack()
events.define("order.pay", anonymous=True)

def create_app(url="sqlite://"):
    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY="for tests only", SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)
    events.init_app(app, db)

    @app.post("/pay")
    def pay():
        track("order.pay", {"amount": "9.99", "email": "ada@example.com"})
        return "Thank you."

    return app

@pytest.fixture
def app():
    return create_app()

@pytest.fixture
def post(client):
    def post(action):
        return client.post(
            "/_et/in", json={"action": action}, headers={"Sec-Fetch-Site": "same-origin"}
        )
    return post
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with pytest-flask and a small app."""
    pytester.makeconftest(_CONFTEST)
    return pytester


def run(suite: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run tests in a process of their own, as their project does."""
    suite.makepyfile(tests)
    return suite.runpytest_subprocess(
        "-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist", *arguments
    )


def test_the_plugin_loads_by_itself() -> None:
    """pytest finds it by the entry point of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {
        "flask_eventtrack": "flask_eventtrack.testing.plugin"
    }


def test_the_plugin_imports_nothing_of_ours() -> None:
    """It is imported in each run of pytest, also of projects that do not use it."""
    code = (
        "import sys, flask_eventtrack.testing.plugin\n"
        "print(*(name for name in sys.modules if name.startswith('flask')))\n"
        "assert 'sqlalchemy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "flask_eventtrack",
        "flask_eventtrack.testing",
        "flask_eventtrack.testing.plugin",
    ]


def test_the_fixture_captures_what_the_client_does(suite: pytest.Pytester) -> None:
    """With pytest-flask's client, whichever fixture comes first, and apps that the test makes."""
    result = run(
        suite,
        """
        from conftest import create_app

        def test_after(client, tracked):
            client.post("/pay")
            tracked.assert_event("order.pay", amount="9.99")

        def test_before(tracked, client):
            client.post("/pay")
            tracked.assert_event("order.pay", times=1)

        def test_of_a_factory(tracked):
            create_app().test_client().post("/pay")
            tracked.assert_event("order.pay")
        """,
    )
    result.assert_outcomes(passed=3)


def test_a_mistake_fails_the_test(suite: pytest.Pytester) -> None:
    """As a failure, not as an error of the fixture; unless the test expects it."""
    result = run(
        suite,
        """
        import pytest

        def test_undefined(post, tracked):
            post("order.pya")

        def test_expected(post, tracked):
            post("order.pya")
            tracked.assert_rejected("order.pya")

        @pytest.mark.tracked(allow_mistakes=True)
        def test_allowed(post, tracked):
            post("order.pya")

        def test_without_the_kit(post):
            post("order.pya")
        """,
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["1 event rejected or undefined:"])
    result.stdout.fnmatch_lines(["  order.pya (undefined_event): 'order.pya' is not defined*"])


def test_the_own_failure_of_a_test_is_shown(suite: pytest.Pytester) -> None:
    """Without the lines of ours that lead to it."""
    result = run(
        suite,
        """
        def test_pay(client, tracked):
            client.post("/pay")
            tracked.assert_event("order.pay", amount="9.90")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*- amount: '9.90'", "E*+ amount: '9.99'"])
    result.stdout.no_fnmatch_line("*tracked.py:*")


@pytest.mark.parametrize("way", ["marker", "file"])
def test_personal_data_fails_the_test_if_asked_to(suite: pytest.Pytester, way: str) -> None:
    """By a marker of one test, or in the settings of all."""
    mark = "@pytest.mark.tracked(forbid_personal_data=True)" if way == "marker" else ""
    if way == "file":
        suite.makeini("[pytest]\neventtrack_forbid_personal_data = true")
    result = run(
        suite,
        f"""
        import pytest

        {mark}
        def test_pay(client, tracked):
            client.post("/pay")

        @pytest.mark.tracked(forbid_personal_data=False)
        def test_other(client, tracked):
            client.post("/pay")
        """,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["  order.pay, parameter 'email': would be masked as '?email?'"])


def test_a_live_servers_events_are_read_from_its_database(
    suite: pytest.Pytester, tmp_path: pathlib.Path
) -> None:
    """They are waited for, as are rejections. Its clients need not look like browsers."""
    suite.makeini("[pytest]\nlive_server_scope = function")
    result = run(
        suite,
        f"""
        import multiprocessing
        import urllib.request
        import pytest
        from conftest import create_app, db

        multiprocessing.set_start_method("fork")

        @pytest.fixture
        def app():
            app = create_app("sqlite:///{(tmp_path / "shop.db").as_posix()}")
            with app.app_context():
                db.create_all()
            return app

        def test_pay(tracked, live_server):
            url = live_server.url("/pay")
            with urllib.request.urlopen(url, b"", timeout=30) as answer:
                assert answer.status == 200
            tracked.assert_event("order.pay", amount="9.99", within=30)

        def post(live_server):
            url, own = live_server.url("/_et/in"), {{"Sec-Fetch-Site": "same-origin"}}
            headers = {{"Content-Type": "application/json", **own}}
            body = b'{{"events": [{{"action": "order.pya"}}, {{"action": "order.pay"}}]}}'
            request = urllib.request.Request(url, body, headers)
            urllib.request.urlopen(request, timeout=30).close()

        def test_expected(tracked, live_server):
            post(live_server)
            tracked.assert_rejected("order.pya", "undefined_event", within=30)

        def test_undefined(tracked, live_server):
            post(live_server)
            tracked.assert_event("order.pay", within=30)
        """,
        "--live-server-wait=30",
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["  order.pya (undefined_event)"])


def test_an_app_is_free_after_its_test(suite: pytest.Pytester) -> None:
    """Nothing of ours holds it, so that it ends with its thread and its connections."""
    result = run(
        suite,
        """
        import gc
        import weakref

        apps = []

        def test_pay(app, client, tracked):
            apps.append(weakref.ref(app.extensions["eventtrack"]))
            client.post("/pay")
            tracked.assert_event("order.pay")

        def test_after():
            gc.collect()
            assert apps[0]() is None
        """,
    )
    result.assert_outcomes(passed=2)


def test_strict_markers_know_ours(suite: pytest.Pytester) -> None:
    """It is registered, with its options in the help."""
    result = suite.runpytest_subprocess("--markers", "-p", "no:schemathesis")
    result.stdout.fnmatch_lines(["@pytest.mark.tracked(**options): options of*"])


def test_a_fixture_of_the_projects_own_keeps_its_place(suite: pytest.Pytester) -> None:
    """Though it is called as ours is."""
    suite.makepyfile(
        """
        import pytest

        made = []

        @pytest.fixture(autouse=True)
        def first():
            made.append("first")

        @pytest.fixture
        def tracked():
            made.append("tracked")

        def test_order(tracked):
            assert made == ["first", "tracked"]
        """
    )
    suite.runpytest_subprocess("-q").assert_outcomes(passed=1)
