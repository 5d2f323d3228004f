"""A shop whose definitions, mistakes and visits are looked at."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import request

from flask_eventtrack import EventTrack, track
from flask_eventtrack.errors import InvalidEvent

from ..conftest import MakeHost
from ..hosts import FakeClock, Host

JSON = dict[str, t.Any]


@dataclasses.dataclass
class Put:
    """A basket got something.

    :param sku: the article's number.
    """

    sku: str
    price: float = 0.0
    customer_id: str | None = None


def open_shop(
    make: MakeHost, clock: FakeClock, permit: object = "manage", **options: t.Any
) -> Host:
    """Return a host with three definitions, of which one is deprecated and one is never sent."""
    events = EventTrack(clock=clock)
    events.define("cart.put", anonymous=True, owner="Team Shop")(Put)
    events.define("cart.old", status="deprecated", description="Before 2026.", anonymous=True)
    events.define("cart.never", anonymous=True)
    config = {
        "EVENTTRACK_DASHBOARD_PERMISSION": lambda: permit,
        "EVENTTRACK_UNDEFINED_EVENTS": "store",
        "EVENTTRACK_SITES": ["localhost", "shop.test", "blog.test"],
        **options.pop("config", {}),
    }
    host = make(config, events=events, **options)

    @host.app.post("/do/<action>")
    def act(action: str) -> str:
        try:
            track(action, request.get_json(silent=True) or {})
        except InvalidEvent as error:
            return error.code
        return ""

    return host


def do(host: Host, action: str, site: str = "localhost", **params: t.Any) -> None:
    """Have a visitor do something, now."""
    host.client().post(f"/do/{action}", json=params, base_url=f"http://{site}")


def read_json(host: Host, path: str) -> JSON:
    """Return a report as a program reads it."""
    host.flush()
    response = host.client().get(f"/_et/{path}")
    assert response.status_code == 200, response.text
    found: JSON = response.get_json()
    return found


def row_of(rows: list[JSON], action: str) -> JSON:
    [row] = [row for row in rows if row["action"] == action]
    return row
