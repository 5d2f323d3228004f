"""A small shop with events of each kind, whose tests capture them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from flask import request

from flask_eventtrack import identify, track, track_transaction

from ..conftest import MakeHost
from ..hosts import CHROME, SAME_ORIGIN, Host

#: Called inside a request of the shop's.
Do = cabc.Callable[[], object]


def make_shop(make: MakeHost, config: dict[str, t.Any] | None = None, **options: t.Any) -> Host:
    """Return a host app that defines events, without tables unless it is asked to create them."""
    host = make(config=config, **{"create": False, **options})

    @host.events.define("order.pay", label="Paid {amount}")
    @dataclasses.dataclass
    class _Pay:
        amount: str
        currency: str = "EUR"
        email: str | None = None

    host.events.define("product.like", anonymous=True)
    host.events.define("product.wish")

    @host.app.post("/pay")
    def pay() -> str:
        track("order.pay", request.form.to_dict())
        return "Thank you."

    @host.app.post("/login/<customer_id>")
    def login(customer_id: str) -> str:
        identify(customer_id)
        return "Hello."

    @host.app.post("/order")
    def order() -> str:
        track_transaction("17", "9.99", "EUR", [{"sku": "A1", "final_unit_price": "9.99"}])
        return "Thank you."

    return host


def post(host: Host, *batch: dict[str, t.Any]) -> t.Any:
    """Post events as a browser without cookies does; return the answer."""
    client = host.client(CHROME)
    return client.post("/_et/in", json={"events": [*batch]}, headers=SAME_ORIGIN).get_json()
