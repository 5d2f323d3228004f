"""Events of a shop."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import typing as t
import uuid

from msgspec import Meta

from flask_eventtrack import track

from ..hosts import Host


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Shoe(enum.Enum):
    SMALL = "38"
    LARGE = "40"


@dataclasses.dataclass
class Line:
    sku: str
    count: int = 1


@dataclasses.dataclass
class OrderPay:
    total: decimal.Decimal
    at: dt.datetime | None = None
    size: Size = Size.SMALL
    quantity: t.Annotated[int, Meta(ge=1, le=9)] = 1
    code: t.Annotated[str, Meta(pattern="^[A-Z]+$", max_length=4)] = "A"
    lines: list[Line] = dataclasses.field(default_factory=list)
    ratio: float = 0.5
    gift: bool = False
    note: str | None = None
    order: uuid.UUID | None = None


class ProductView:
    sku: str
    name: str
    price: float | None = None
    quantity: int = 1


def send(host: Host, event: t.Any, params: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
    """Track from server code and return the row."""
    with host.app.app_context():
        event_id = track(event, params, customer="1", **options)
    [row] = [row for row in host.rows("event") if row["id"] == event_id]
    return row
