"""The plugin for pytest: the fixture ``tracked``.

pytest imports this module in each run, also of projects that do not use it. So whatever else is
needed is imported by the fixture.
"""

from __future__ import annotations

import collections.abc as cabc
import sys
import typing as t

import pytest

if t.TYPE_CHECKING:
    from .capture import Capture
    from .tracked import Tracked

# Of the fixture and of its marker.
_NAME = "tracked"
_OPTIONS = ("allow_mistakes", "forbid_personal_data", "filter_bots")
_INI = "eventtrack_"
# The fixture of pytest-flask.
_LIVE_SERVER = "live_server"
_CAPTURE = pytest.StashKey["Capture"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pyproject.toml``."""
    for option in _OPTIONS:
        text = f"What the fixture 'tracked' of Flask-EventTrack gives to capture({option}=…)."
        parser.addini(_INI + option, text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", f"{_NAME}(**options): options of Flask-EventTrack's events.capture()."
    )


@pytest.fixture
def tracked(request: pytest.FixtureRequest) -> cabc.Iterator[Tracked]:
    """The events that the apps of this process record during the test."""
    from .capture import Capture, Options

    options: dict[str, bool] = {name: request.config.getini(_INI + name) for name in _OPTIONS}
    options["stored"] = _LIVE_SERVER in request.fixturenames
    for marker in reversed(list(request.node.iter_markers(_NAME))):
        options.update(marker.kwargs)
    capture = Capture(Options(**options))
    request.node.stash[_CAPTURE] = capture
    yield capture.open()
    capture.close()
    del request.node.stash[_CAPTURE]  # it holds the apps


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set up our fixture before all others: pytest-flask's server is a copy of this process."""
    names: list[str] = getattr(item, "fixturenames", [])
    if _NAME in names and _is_ours(item):
        names.remove(_NAME)
        names.insert(0, _NAME)


def _is_ours(item: pytest.Item) -> bool:
    """Whether the fixture of a test is ours, and none of the project's own with the same name."""
    info: t.Any = getattr(item, "_fixtureinfo", None)
    found = getattr(info, "name2fixturedefs", {}).get(_NAME) or [None]
    return getattr(getattr(found[-1], "func", None), "__module__", "") == __name__


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[t.Any],
) -> cabc.Generator[None, t.Any, t.Any]:
    """Note the process of a live server, also if the first test that uses it does not capture."""
    if fixturedef.argname != _LIVE_SERVER or "flask_eventtrack.extension" not in sys.modules:
        return (yield)
    from .servers import servers

    with servers.noted():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> cabc.Iterator[None]:
    """Fail a test that passes but for its mistakes."""
    capture: Capture | None = item.stash.get(_CAPTURE, None)
    if capture is not None:
        capture.skip_stored()  # the tables may have been made by a fixture
    yield
    if capture is None:
        return
    if problem := _find_problem(capture):
        pytest.fail(problem, pytrace=False)


def _find_problem(capture: Capture) -> str:
    try:
        capture.check()
    except AssertionError as error:
        return str(error)
    return ""
