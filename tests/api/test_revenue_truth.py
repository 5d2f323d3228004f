"""Revenue agrees to the cent: by our rows, by SQL over the host's orders, and by what happened.

Random histories of people who come from somewhere, log in, order, pay twice, contradict themselves,
send things back and ask to be erased, in three currencies that are never added.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import random
import typing as t

import pytest
import sqlalchemy as sa
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy.orm import Mapped, mapped_column

from flask_eventtrack import (
    TracksSession,
    cancel_transaction,
    identify,
    track_transaction,
)

from ..conftest import MakeHost
from ..hosts import Host

Sums = collections.Counter[tuple[t.Any, ...]]
# The digits of each currency, which its amounts are generated with.
CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3}
# What leads to the shop: a query, a referrer, and the source, campaign and channel that they are.
ARRIVALS: list[tuple[str, str, tuple[str, str | None, str]]] = [
    ("", "", ("direct", None, "direct")),
    (
        "?utm_source=letter&utm_medium=email&utm_campaign=may",
        "",
        ("letter", "may", "mail"),
    ),
    ("?utm_source=google&utm_medium=cpc&utm_campaign=mugs", "", ("google", "mugs", "paid")),
    ("", "https://www.google.com/", ("www.google.com", None, "search")),
    ("?utm_source=chatgpt.com", "", ("chatgpt.com", None, "ai")),
    ("", "https://blog.example/", ("blog.example", None, "referral")),
]
LOOKBACK = dt.timedelta(days=30)
Origin = tuple[str, str | None, str]


@dataclasses.dataclass
class Person:
    """Somebody with one browser; ``arrivals`` are the moments and origins of their sessions."""

    client: FlaskClient
    name: str
    is_known: bool = False
    arrivals: list[tuple[dt.datetime, Origin]] = dataclasses.field(default_factory=list)
    orders: list[Sold] = dataclasses.field(default_factory=list)

    def touches(self, at: dt.datetime) -> tuple[Origin | None, Origin | None]:
        """Return the first touch at a moment, and the last that is not direct, or direct."""
        past = [(moment, origin) for moment, origin in self.arrivals if moment <= at]
        if not past:
            return None, None
        found = [o for moment, o in past if o[0] != "direct" and moment >= at - LOOKBACK]
        recent = [origin for moment, origin in past if moment >= at - LOOKBACK]
        return past[0][1], next(reversed([*recent[-1:], *found[-1:]]), None)


@dataclasses.dataclass
class Sold:
    """An order as it was charged first, and how much of it is left. Amounts in minor units."""

    number: int
    currency: str
    total: int
    touches: tuple[Origin | None, Origin | None]
    left: int


class Shop:
    """A host whose orders say in which session they were made, with a table of refunds."""

    def __init__(self, host: Host, seed: int) -> None:
        self.host, self.random = host, random.Random(seed)
        self.people: list[Person] = []
        self.entries: list[tuple[dt.date, str, int, tuple[Origin | None, Origin | None]]] = []
        self.number = 0
        self.erased: list[Person] = []
        db = host.db

        class Order(TracksSession, db.Model):  # type: ignore[name-defined,misc]
            __tablename__ = "shop_order"
            id: Mapped[int] = mapped_column(primary_key=True)
            paid_at: Mapped[dt.datetime]
            currency: Mapped[str] = mapped_column(sa.String(3))
            total: Mapped[int] = mapped_column(sa.BigInteger)

        class Refund(db.Model):  # type: ignore[name-defined,misc]
            __tablename__ = "shop_refund"
            id: Mapped[int] = mapped_column(primary_key=True)
            order_id: Mapped[int]
            paid_at: Mapped[dt.datetime]
            currency: Mapped[str] = mapped_column(sa.String(3))
            total: Mapped[int] = mapped_column(sa.BigInteger)

        self.order, self.refund = t.cast("t.Any", Order), t.cast("t.Any", Refund)
        self._add_views(host.app)
        with host.app.app_context():
            db.create_all()

    def _add_views(self, app: Flask) -> None:
        @app.post("/login")
        def login() -> str:
            identify(request.form["name"])
            return ""

        @app.post("/order")
        def order() -> str:
            self.charge(
                int(request.form["number"]), request.form["currency"], request.form["total"]
            )
            return ""

    @property
    def now(self) -> dt.datetime:
        return self.host.clock.moment

    def charge(self, number: int, currency: str, total: str, **options: t.Any) -> None:
        """Save and charge an order, as a view or a job does."""
        db, minor = self.host.db, int(decimal.Decimal(total).scaleb(CURRENCIES[currency]))
        at = options.get("time", self.now).replace(tzinfo=None)
        row = self.order(id=number, paid_at=at, currency=currency, total=minor)
        db.session.add(row)
        db.session.commit()
        items = [{"sku": "all", "final_unit_price": total}]
        track_transaction(number, total, currency, items, **options)

    def write(self, minor: int, currency: str) -> str:
        return f"{decimal.Decimal(minor).scaleb(-CURRENCIES[currency]):f}"

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.host.clock.advance(seconds=self.random.randrange(2000, 200_000))
            step = self.random.choice(
                [
                    *(self.arrive, self.arrive, self.arrive, self.log_in, self.buy, self.buy),
                    *(self.buy_by_job, self.repeat, self.contradict),
                    *(self.refund_part, self.refund_all, self.erase),
                ]
            )
            step()

    def pick(self, *, known: bool = False) -> Person | None:
        people = [each for each in self.people if each.is_known or not known]
        return self.random.choice(people) if people else None

    def arrive(self) -> None:
        person = self.pick()
        if person is None or self.random.random() < 0.4:
            person = Person(self.host.client(), f"customer-{len(self.people) + len(self.erased)}")
            self.people.append(person)
        query, referrer, origin = self.random.choice(ARRIVALS)
        person.arrivals.append((self.now, origin))
        headers = {"Referer": referrer} if referrer else {}
        assert person.client.get(f"/{query}", headers=headers).status_code == 200

    def log_in(self) -> None:
        person = self.pick()
        if person is not None and not person.is_known:
            # Half an hour after the last page this opens a session of its own.
            self.visit(person)
            person.client.post("/login", data={"name": person.name})
            person.is_known = True

    def visit(self, person: Person) -> None:
        person.arrivals.append((self.now, ARRIVALS[0][2]))
        person.client.get("/")

    def buy(self) -> None:
        person = self.pick()
        if person is None:
            return
        self.visit(person)
        self.host.clock.advance(seconds=60)
        sold = self.make_order(person, self.now)
        total = self.write(sold.total, sold.currency)
        form = {"number": sold.number, "currency": sold.currency, "total": total}
        person.client.post("/order", data=form)

    def buy_by_job(self) -> None:
        """Record what a customer ordered up to ten days ago."""
        person = self.pick(known=True)
        if person is not None:
            at = self.now - dt.timedelta(seconds=self.random.randrange(864_000))
            if at > person.arrivals[0][0]:
                self.host.flush()  # the job runs long after the visits
                sold = self.make_order(person, at)
                total = self.write(sold.total, sold.currency)
                with self.host.app.app_context():
                    self.charge(sold.number, sold.currency, total, customer=person.name, time=at)

    def make_order(self, person: Person, at: dt.datetime) -> Sold:
        self.number += 1
        currency, total = self.random.choice(list(CURRENCIES)), self.random.randrange(1, 1_000_000)
        touches = person.touches(at)
        sold = Sold(self.number, currency, total, touches, left=total)
        person.orders.append(sold)
        self.entries.append((at.date(), currency, total, touches))
        return sold

    def pick_order(self) -> Sold | None:
        sold = [order for person in self.people for order in person.orders]
        return self.random.choice(sold) if sold else None

    def repeat(self) -> None:
        """Charge an order again, as a retry does; or with another total, as a bug does."""
        self.again(0)

    def contradict(self) -> None:
        self.again(100_000)

    def again(self, more: int) -> None:
        sold = self.pick_order()
        if sold is not None:
            total = self.write(sold.total + more, sold.currency)
            items = [{"sku": "all", "final_unit_price": total}]
            with self.host.app.app_context():
                track_transaction(sold.number, total, sold.currency, items)

    def refund_part(self) -> None:
        """Pay back an amount, perhaps more than is left."""
        sold = self.pick_order()
        if sold is not None:
            amount = self.random.randrange(1, sold.total + 1)
            self.pay_back(sold, min(amount, sold.left), self.write(amount, sold.currency))

    def refund_all(self) -> None:
        sold = self.pick_order()
        if sold is not None:
            self.pay_back(sold, sold.left, None)

    def pay_back(self, sold: Sold, amount: int, asked: str | None) -> None:
        if not amount:
            return
        sold.left -= amount
        self.entries.append((self.now.date(), sold.currency, -amount, sold.touches))
        self.host.clock.advance(seconds=1)
        with self.host.app.app_context():
            db, at = self.host.db, self.now.replace(tzinfo=None)
            refund = self.refund(
                order_id=sold.number, paid_at=at, currency=sold.currency, total=amount
            )
            db.session.add(refund)
            db.session.commit()
            cancel_transaction(sold.number, amount=asked, cancellation_id=refund.id)

    def erase(self) -> None:
        """Erase a customer; their orders stay in the host's table."""
        person = self.pick(known=True)
        if person is not None and self.random.random() < 0.5:
            self.settle()
            self.people.remove(person)
            self.erased.append(person)
            with self.host.app.app_context():
                self.host.events.forget(person.name)

    def settle(self) -> None:
        """Write everything, and let the minute pass in which touches may still change."""
        self.host.flush()
        self.host.clock.advance(minutes=2)
        self.host.state.pipeline.sweep()

    # Three ways to the same sums

    def by_truth(self) -> dict[str, Sums]:
        sums: dict[str, Sums] = collections.defaultdict(collections.Counter)
        for day, currency, amount, (first, last) in self.entries:
            sums["day"][day, currency] += amount
            sums["first"][first, currency] += amount
            sums["last"][last, currency] += amount
        return sums

    def by_ours(self) -> dict[str, Sums]:
        sums: dict[str, Sums] = collections.defaultdict(collections.Counter)
        for row in self.host.rows("transaction"):
            amount, currency = row["amount"], row["currency"]
            sums["day"][row["time"].date(), currency] += amount
            for which in ("first", "last"):
                values = [row[f"{which}_{name}"] for name in ("source", "campaign", "channel")]
                sums[which][tuple(values) if values[0] else None, currency] += amount
        return sums

    def by_host(self) -> dict[str, Sums]:
        """Add up the host's orders and refunds: by day, and by the last touch of those whose
        buyer was not erased, by one join with our rows."""
        sums: dict[str, Sums] = collections.defaultdict(collections.Counter)
        ours = self.host.events.tables
        for model, number, sign in (
            (self.order, self.order.id, 1),
            (self.refund, self.refund.order_id, -1),
        ):
            by_day = sa.select(model.paid_at, model.currency, model.total)
            charge = ours.transaction.c
            joined = sa.select(
                charge.last_source, model.currency, sa.func.sum(model.total)
            ).join_from(
                model,
                ours.transaction,
                sa.and_(
                    charge.order_id == sa.cast(number, sa.String(20)), charge.charge_id.is_(None)
                ),
            )
            for at, currency, total in self.host.db.session.execute(by_day):
                sums["day"][at.date(), currency] += sign * total
            by_source = joined.group_by(charge.last_source, model.currency)
            for source, currency, total in self.host.db.session.execute(by_source):
                sums["source"][source, currency] += sign * int(total)
        return sums


def _nonzero(sums: Sums) -> dict[tuple[t.Any, ...], int]:
    return {key: value for key, value in sums.items() if value}


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "removed"])
@pytest.mark.parametrize("seed", range(3))
def test_revenue_agrees_to_the_cent(
    make: MakeHost, database_url: str, seed: int, keeps: bool
) -> None:
    """By day, by first and by last touch, in each currency."""
    config = {
        "EVENTTRACK_KEEP_REVENUE": keeps,
        "EVENTTRACK_MAX_AGE": dt.timedelta(days=3650),
        "EVENTTRACK_FLUSH_INTERVAL": 3600,
    }
    shop = Shop(make(config, url=database_url), seed)
    shop.run(steps=120)
    shop.settle()
    gone = {order.number for person in shop.erased for order in person.orders}
    assert gone, "a history in which nobody with an order is erased shows less"
    truth, ours = shop.by_truth(), shop.by_ours()
    with shop.host.app.app_context():
        host = shop.by_host()
    assert _nonzero(host["day"]) == _nonzero(truth["day"])
    if keeps:
        for way in ("day", "first", "last"):
            assert _nonzero(ours[way]) == _nonzero(truth[way]), way
    left: Sums = collections.Counter()
    for person in shop.people:
        for order in person.orders:
            left[(order.touches[1] or (None,))[0], order.currency] += order.left
    assert _nonzero(host["source"]) == _nonzero(left)
    if not keeps:
        sums: Sums = collections.Counter()
        for (origin, currency), amount in ours["last"].items():
            sums[(origin or (None,))[0], currency] += amount
        assert _nonzero(sums) == _nonzero(left)
