"""Visitors who come at given times, and a shop where they order."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

from flask import request
from flask.testing import FlaskClient

from flask_eventtrack import EventTrack, identify, track, track_transaction

from ..conftest import MakeHost
from ..hosts import FakeClock, Host

UTC = dt.UTC


def moment(text: str) -> dt.datetime:
    """Return a moment of UTC: "2026-11-03 09:30"."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def go_to(clock: FakeClock, text: str) -> None:
    clock.now = int(moment(text).timestamp()) * 1_000_000_000


@dataclasses.dataclass
class CartAdd:
    sku: str
    price: float
    gift: bool = False


def open_shop(make: MakeHost, clock: FakeClock, **options: t.Any) -> Host:
    """Return a host with an order page, an event with parameters and a log-in."""
    events = EventTrack(clock=clock)
    events.define("cart.put", anonymous=True)(CartAdd)
    config = {"EVENTTRACK_SITES": ["localhost", "shop.test", "blog.test"]}
    host = make({**config, **options.pop("config", {})}, events=events, **options)

    @host.app.post("/order/<number>/<total>")
    def order(number: str, total: str) -> str:
        track_transaction(number, total, request.args.get("currency", "EUR"))
        return ""

    @host.app.post("/cart/<sku>/<float:price>")
    def cart(sku: str, price: float) -> str:
        track("cart.put", {"sku": sku, "price": price, "gift": "gift" in request.args})
        return ""

    @host.app.post("/login/<customer>")
    def login(customer: str) -> str:
        identify(customer)
        return ""

    return host


class Visitor:
    """A browser of somebody."""

    def __init__(self, host: Host, site: str = "localhost", **environ: str) -> None:
        self.client: FlaskClient = host.client()
        self.client.environ_base.update(environ)
        self._host = host
        self._site = site

    def see(self, path: str, at: str | None = None, **headers: str) -> Visitor:
        """Visit a page."""
        if at is not None:
            go_to(self._host.clock, at)
        self.client.get(path, base_url=f"http://{self._site}", headers=headers)
        return self

    def do(self, path: str, at: str | None = None) -> Visitor:
        """Post to a page."""
        if at is not None:
            go_to(self._host.clock, at)
        self.client.post(path, base_url=f"http://{self._site}")
        return self


def close_days(host: Host) -> None:
    """Write what waits, end sessions and close days, as the chores do."""
    host.flush()
    host.state.pipeline.sweep()


def pending(host: Host) -> tuple[set[dt.date], set[uuidlib.UUID]]:
    """Return the days and the people that wait to be counted again."""
    days = {row["day"] for row in host.rows("recount_day")}
    return days, {row["person"] for row in host.rows("recount_person")}
