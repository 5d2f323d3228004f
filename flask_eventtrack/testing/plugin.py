"""The plugin for pytest: the fixture ``tracked``.

pytest imports this module in each run, also of projects that do not use it. So whatever else is
needed is imported by the fixture.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest

if t.TYPE_CHECKING:
    from .tracked import Tracked

_MARKER = "tracked"
_OPTIONS = ("allow_mistakes", "forbid_personal_data", "filter_bots")
_INI = "eventtrack_"
_CHECK = pytest.StashKey[cabc.Callable[[], None]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pyproject.toml``."""
    for option in _OPTIONS:
        text = f"What the fixture 'tracked' of Flask-EventTrack gives to capture({option}=…)."
        parser.addini(_INI + option, text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(**options): options of Flask-EventTrack's events.capture()."
    )


@pytest.fixture
def tracked(request: pytest.FixtureRequest) -> cabc.Iterator[Tracked]:
    """The events that the apps of this process record during the test."""
    from .capture import Capture, Options

    options: dict[str, bool] = {name: request.config.getini(_INI + name) for name in _OPTIONS}
    options["stored"] = "live_server" in request.fixturenames
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        options.update(marker.kwargs)
    capture = Capture(Options(**options))
    request.node.stash[_CHECK] = capture.check
    yield capture.open()
    capture.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> cabc.Iterator[None]:
    """Fail a test that passes but for its mistakes."""
    __tracebackhide__ = True
    yield
    check = item.stash.get(_CHECK, None)
    if check is not None:
        check()
