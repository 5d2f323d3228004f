from __future__ import annotations

import collections.abc as cabc
import importlib
import pathlib
import sys
import typing as t

import pytest

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host

#: A package of a host, with its events in a module of their own.
EVENTS = '''\
import datetime as dt
import decimal
import enum
import typing as t
from dataclasses import dataclass, field

import msgspec

from flask_eventtrack import Money

from . import events


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Line:
    sku: str
    """The stock number."""
    quantity: int = 1


@events.define("mug.view", label="Viewed {name}", anonymous=True, owner="Team Shop")
@dataclass
class MugView:
    """A mug's page was opened.

    :param name: as the shop
        shows it
    """

    sku: t.Annotated[str, "the stock number"]
    name: str
    price: decimal.Decimal | None = None
    size: Size = Size.SMALL
    colour: t.Literal["red", "blue"] = "red"
    stars: t.Annotated[int, msgspec.Meta(ge=1, le=5, description="1 to 5")] = 5
    cost: Money | None = None
    lines: list[Line] = field(default_factory=list)
    seen_at: dt.datetime | None = None
    is_gift: bool = False


events.define("mug.close", anonymous=True, status="deprecated", description="Not sent any more.")


@events.define("order.place", server_only=True)
@dataclass
class OrderPlace:
    number: int
'''


class Project(t.NamedTuple):
    """A folder of a host that is developed, and the host."""

    folder: pathlib.Path
    host: Host

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run ``flask eventtrack catalogue`` and return what it prints."""
        answer = run(self.host, "catalogue", *arguments)
        assert answer.exit_code == exit_code, answer.output
        return answer.output


@pytest.fixture
def project(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, make: MakeHost
) -> cabc.Iterator[Project]:
    package = tmp_path / "mugs"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from flask_eventtrack import EventTrack\n\nevents = EventTrack()\n"
    )
    (package / "shop_events.py").write_text(EVENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    events = importlib.import_module("mugs").events
    host = make({"EVENTTRACK_DEFINITIONS": ["mugs.shop_events"]}, events=events)
    yield Project(tmp_path, host)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mugs"]:
        del sys.modules[name]
