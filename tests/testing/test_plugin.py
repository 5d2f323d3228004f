"""The plugin for pytest: it loads by itself, costs nothing, and fails tests for their mistakes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib

import pytest

from ..hosts import CHROME
from ..manual import ROOT
from ..servers import require_chromium

pytest_plugins = ["pytester"]

_CONFTEST = """
import pytest
from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack, track

db = SQLAlchemy()
events = EventTrack()
events.define("order.pay", anonymous=True)

def create_app(url="sqlite://", **settings):
    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY="for tests only", SQLALCHEMY_DATABASE_URI=url)
    app.config.update(settings)
    db.init_app(app)
    events.init_app(app, db)

    @app.post("/pay")
    def pay():
        track("order.pay", {"amount": "9.99", "email": "ada@example.com"})
        return "Thank you."

    @app.get("/")
    def home():
        return render_template_string("<title>Home</title>{{ eventtrack_snippet() }}")

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


def test_a_capture_inside_the_fixture_answers_for_its_mistakes(suite: pytest.Pytester) -> None:
    """A test fails for them once, by the innermost."""
    result = run(
        suite,
        """
        import pytest
        from conftest import events

        def test_undefined(post, tracked):
            with events.capture() as inner:
                post("order.pya")

        def test_expected(client, post, tracked):
            with events.capture() as inner:
                post("order.pya")
                client.post("/pay")
                inner.assert_rejected("order.pya")
            tracked.assert_event("order.pay")
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    shown = [line for line in result.outlines if line.startswith("E ")]  # the summary repeats it
    assert sum("1 event rejected or undefined:" in line for line in shown) == 1


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


_LIVE = """
import multiprocessing
import urllib.request
import pytest
from conftest import create_app, db

multiprocessing.set_start_method("fork")

@pytest.fixture
def app(tmp_path):
    app = create_app(f"sqlite:///{{tmp_path / 'shop.db'}}", {settings})
    with app.app_context():
        db.create_all()
    return app

@pytest.fixture
def pay(live_server):
    def pay():
        urllib.request.urlopen(live_server.url("/pay"), b"", timeout=30).close()
    return pay

@pytest.fixture
def post(live_server):
    def post(action):
        url, own = live_server.url("/_et/in"), {{"Sec-Fetch-Site": "same-origin"}}
        headers = {{"Content-Type": "application/json", "User-Agent": {CHROME!r}, **own}}
        body = b'{{"events": [{{"action": "%s"}}]}}' % action.encode()
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30).close()
    return post
"""


def run_live(
    suite: pytest.Pytester, tests: str, settings: str = "", scope: str = "function"
) -> pytest.RunResult:
    """Run tests with pytest-flask's server, which is a process of its own."""
    suite.makeini(f"[pytest]\nlive_server_scope = {scope}")
    text = _LIVE.format(settings=settings, CHROME=CHROME) + textwrap.dedent(tests)
    return run(suite, text, "--live-server-wait=30")


def test_a_live_servers_events_are_there_at_once(suite: pytest.Pytester) -> None:
    """They are read from its database, which it writes when the test looks. Its clients need not
    look like browsers."""
    result = run_live(
        suite,
        """
        def test_pay(tracked, pay):
            tracked.assert_no_event()
            pay()
            tracked.assert_event("order.pay", amount="9.99", within=0)
            pay()
            assert tracked.actions == ["session.start", "order.pay", "session.start", "order.pay"]
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_live_servers_undefined_event_fails_the_test(suite: pytest.Pytester) -> None:
    """At its end, though the server has only counted it so far; unless the test expects it."""
    result = run_live(
        suite,
        """
        def test_undefined(tracked, post):
            post("order.pya")

        def test_expected(tracked, post):
            post("order.pya")
            tracked.assert_rejected("order.pya", "undefined_event", within=0)

        def test_allowed(tracked, post):
            tracked.allow_mistakes("order.*")
            post("order.pya")
        """,
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "1 event rejected or undefined:",
            "  order.pya (undefined_event): 'order.pya' is not defined. Did you mean 'order.pay'?",
        ]
    )


def test_a_live_servers_wrong_parameters_are_named(suite: pytest.Pytester) -> None:
    """As the database counts them."""
    result = run_live(
        suite,
        """
        import dataclasses
        from conftest import events

        @events.define("product.rate", anonymous=True)
        @dataclasses.dataclass
        class Rate:
            stars: int

        def test_wrong(tracked, post):
            post("product.rate")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  product.rate (invalid_param): wrong: stars"])


def test_a_live_servers_stored_undefined_event_fails_the_test(suite: pytest.Pytester) -> None:
    """Once, however often the test looks at the mistakes."""
    result = run_live(
        suite,
        """
        def test_undefined(tracked, post):
            post("order.pya")
            assert len(tracked.mistakes) == len(tracked.mistakes) == 1
        """,
        settings='EVENTTRACK_UNDEFINED_EVENTS="store"',
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  order.pya (undefined_event): It was recorded."])


@pytest.mark.parametrize("first", ["post", "post, tracked"], ids=["without", "with"])
def test_a_server_of_several_tests_blames_the_right_one(suite: pytest.Pytester, first: str) -> None:
    """Not the next one for what the last has left, also if the server is older than a capture."""
    result = run_live(
        suite,
        f"""
        @pytest.fixture(scope="session")
        def app(tmp_path_factory):
            app = create_app(f"sqlite:///{{tmp_path_factory.mktemp('app') / 'shop.db'}}")
            with app.app_context():
                db.create_all()
            return app

        @pytest.mark.tracked(allow_mistakes=True)
        def test_first({first}):
            post("order.pya")

        def test_after(tracked, pay):
            pay()

        def test_fails_by_itself(tracked, post):
            post("order.pya")
            assert False, "on purpose"

        def test_after_a_failure(tracked, pay):
            pay()

        def test_undefined(tracked, post):
            post("order.pya")
        """,
        scope="session",
    )
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["FAILED *::test_fails_by_itself*", "FAILED *::test_undefined*"])


def test_an_undefined_event_of_a_browser_fails_the_test(suite: pytest.Pytester) -> None:
    """With Playwright, and a live server that the browser has sent it to."""
    browser = str(require_chromium())
    result = run_live(
        suite,
        f"""
        from playwright.sync_api import sync_playwright

        @pytest.fixture
        def page():
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path={browser!r}, args=["--no-sandbox"]
                )
                yield browser.new_page()
                browser.close()

        def test_page(page, tracked, live_server):
            page.goto(live_server.url("/"))
            with page.expect_response("**/_et/in"):
                page.evaluate("eventtrack.track('order.pya')")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  order.pya (undefined_event): 'order.pya' is not defined.*"])


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
