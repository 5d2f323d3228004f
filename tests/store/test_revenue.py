"""What stays of orders after an erasure, an objection and a retention; and that the sums agree."""

from __future__ import annotations

import collections
import datetime as dt
import json
import random
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack.records import Event, Identified

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.journals import leave
from .orders import (
    Line,
    Revenue,
    a_cancellation,
    a_charge,
    amounts,
    id_of,
    price_of,
    put,
    revenue,
    rows_of,
    the_row,
)
from .people import ADA, ADA_UUID, BOB_UUID, STRANGER, export, forget, open_shop
from .records import NAIVE, a_page, an_id, at, quality, recount, session_of, totals

_TOUCHES = {
    f"{which}_{name}": f"{which} {name}"
    for which in ("first", "last")
    for name in ("source", "medium", "campaign", "term", "content", "referrer", "rule", "channel")
}
STAYS = {
    "id", "charge_id", "time", "stored_at", "settled_at", "site", "currency", "amount", "cancelled",
    *(f"{w}_{n}" for w in ("first", "last") for n in ("source", "medium", "campaign", "channel")),
}  # fmt: skip


@pytest.fixture(params=[True, False], ids=["kept", "removed"])
def keeps(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def open_host(make: MakeHost, url: str, tmp_path: t.Any, *, keeps: bool, **options: t.Any) -> Host:
    host = open_shop(make, url, tmp_path, **options)
    assert host.state.config.keep_revenue is True  # the default
    object.__setattr__(host.state.config, "keep_revenue", keeps)
    return host


@pytest.fixture
def selling(make: MakeHost, database_url: str, tmp_path: t.Any, *, keeps: bool) -> Host:
    """A shop that keeps the amounts of erased orders, and one that does not."""
    return open_host(make, database_url, tmp_path, keeps=keeps)


def attribute_all(host: Host) -> None:
    """Give each order touches of all kinds."""
    table = host.state.pipeline.database.tables.transaction
    values = {**_TOUCHES, "first_at": at(0), "last_at": at(1), "person": ADA_UUID}
    with host.state.pipeline.database.begin() as connection:
        connection.execute(table.update().values(values))


def adas_orders(host: Host) -> None:
    """Sell to Ada, also before she logged in, and to Bob."""
    session = session_of(STRANGER)
    put(
        host,
        a_page("/", device=STRANGER),
        a_charge("Ada-1", device=STRANGER, visit_id=an_id(0), session=session),
        Identified(uuid=ADA_UUID, customer_id=ADA, time=at(2), anonymous=STRANGER),
        a_charge("Ada-2", 450, uuid=ADA_UUID, seconds=3, session=None),
        a_cancellation("Ada-1", items={"tea": 1}, seconds=4),
    )
    attribute_all(host)
    put(host, a_charge("Bob-1", 999, uuid=BOB_UUID, seconds=5, session=None))


# Erasure


def test_an_erasure_leaves_amounts_without_anybody(selling: Host, *, keeps: bool) -> None:
    """Or removes them too. The events are gone in any case, and others' orders stay whole."""
    adas_orders(selling)
    before = rows_of(selling)
    erased = forget(selling, ADA)
    assert erased.transactions == 3
    assert totals(selling) == recount(selling)
    assert selling.actions() == {"transaction.charge": 1, "product.buy": 2}
    after = rows_of(selling)
    bob = id_of("Bob-1")
    assert after.pop(bob) == before.pop(bob)
    if not keeps:
        assert after == {}
        return
    assert after.keys() == before.keys()
    for key, row in after.items():
        stays = {name: value for name, value in row.items() if value is not None}
        assert stays.keys() <= STAYS
        assert stays.pop("settled_at") is not None
        assert {name: before[key][name] for name in stays} == stays
        assert stays["first_source"] == "first source"
    assert "Ada" not in repr(after)


def test_no_refused_cancellation_tells_of_an_erased_order(selling: Host) -> None:
    """What was set aside names the order, and no profile."""
    adas_orders(selling)
    put(
        selling,
        a_cancellation("Ada-2", amount=50, time=NAIVE, seconds=6),
        a_cancellation("Bob-1", amount=50, time=NAIVE, seconds=7),
    )
    assert len(selling.rows("rejected")) == 2
    assert forget(selling, ADA).rejected == 1
    [row] = selling.rows("rejected")
    assert "Bob-1" in row["payload"]


def test_an_erased_order_that_is_sent_again_counts_nothing(selling: Host, *, keeps: bool) -> None:
    """Whenever that is, whoever sends it, and whatever it says."""
    adas_orders(selling)
    forget(selling, ADA)
    before = revenue(selling)
    selling.clock.advance(days=1)
    late: dict[str, t.Any] = {"seconds": 24 * 3600.0, "session": None}
    put(
        selling,
        a_charge("Ada-1", device=STRANGER),
        a_charge("Ada-2", 450, uuid=ADA_UUID, **late),
        a_charge("Ada-1", 7777, uuid=BOB_UUID, **late),
    )
    assert revenue(selling) == before
    assert selling.actions() == {"transaction.charge": 1, "product.buy": 2}
    assert not quality(selling)["contradicted", "transaction.charge", ""]


def test_an_order_that_waits_when_its_customer_is_erased(selling: Host, *, keeps: bool) -> None:
    """In another process's journal: its amount is counted without anybody, or not at all."""
    put(selling, a_charge("Bob-1", 999, uuid=BOB_UUID, seconds=5, session=None))
    forget(selling, ADA)
    leave(selling, a_charge("Ada-1", uuid=ADA_UUID, session=None))
    selling.state.pipeline.settle()
    put(selling, a_charge("Ada-1", uuid=ADA_UUID, session=None, seconds=900))
    put(selling, a_charge("Ada-1", uuid=BOB_UUID, session=None, seconds=900))
    assert amounts(selling) == ([2450, 999] if keeps else [999])
    assert "Ada" not in repr(rows_of(selling))
    assert selling.actions() == {"transaction.charge": 1, "product.buy": 2}
    assert quality(selling)["dropped", "transaction.charge", "erased"] == (1 if keeps else 3)
    assert export(selling, ADA) == []


def test_an_erased_order_can_be_cancelled(selling: Host, *, keeps: bool) -> None:
    """As to its amount: that row has no person either, and there is no event. Items are unknown."""
    adas_orders(selling)
    forget(selling, ADA)
    put(selling, a_cancellation("Ada-1", seconds=50), a_cancellation("Ada-2", items={"tea": 1}))
    if keeps:
        assert amounts(selling) == [2450, 450, -450, 999, -2000]
        assert quality(selling)["rejected", "transaction.cancel", "no_items"] == 1
        assert quality(selling)["dropped", "transaction.cancel", "erased"] == 1
    else:
        assert amounts(selling) == [999]
    assert "Ada" not in repr(rows_of(selling))
    assert selling.events_of("transaction.cancel") == []


def test_a_replayed_erasure_erases_orders(selling: Host, *, keeps: bool) -> None:
    """After a backup was restored: also of somebody of whom only an order is stored."""
    put(selling, a_charge("Ada-1", uuid=ADA_UUID, session=None))
    event = selling.state.pipeline.database.tables.event
    with selling.state.pipeline.database.begin() as connection:
        connection.execute(event.delete())
    assert selling.state.erasures is not None
    tombstones = selling.state.pipeline.writer._hooks.tombstones
    selling.state.erasures.add("erased", at(10), [tombstones.hash_of(ADA_UUID)])
    runner = selling.app.test_cli_runner()
    assert runner.invoke(args=["eventtrack", "forget", "--replay", "--yes"]).exit_code == 0
    assert amounts(selling) == ([2450] if keeps else [])
    assert {row["uuid"] for row in rows_of(selling).values()} <= {None}
    assert "Found 0 profiles" in runner.invoke(
        args=["eventtrack", "forget", "--replay", "--dry-run"]
    ).output  # fmt: skip


# Objections


def test_an_order_of_somebody_who_objects(selling: Host, *, keeps: bool) -> None:
    """What it brought is recorded without anybody, or not at all; what was before stays."""
    put(selling, a_charge("Ada-1", uuid=ADA_UUID, session=None))
    selling.clock.advance(seconds=60)
    with selling.app.app_context():
        selling.events.opt_out(ADA)
    theirs: dict[str, t.Any] = {"uuid": ADA_UUID, "session": None, "seconds": 61.0}
    put(selling, a_charge("Ada-1", **theirs), a_charge("Ada-2", 450, **theirs))
    put(selling, a_charge("Ada-2", 450, **theirs))
    put(selling, a_cancellation("Ada-1", amount=50, seconds=62, uuid=ADA_UUID))
    assert amounts(selling) == ([2450, 450, -50] if keeps else [2450, -50])
    assert the_row(selling, "Ada-1")["uuid"] == ADA_UUID
    if keeps:
        assert the_row(selling, "Ada-2")["uuid"] is None
    assert selling.actions()["transaction.charge"] == 1


# Export


def test_an_export_lists_the_orders(selling: Host) -> None:
    """Last, oldest first, as values for JSON; and nothing of others."""
    adas_orders(selling)
    items = export(selling, ADA)
    orders = [item for item in items if item["type"] == "transaction"]
    assert items[-3:] == orders
    assert [item["amount"] for item in orders] == [2450, 450, -450]
    assert orders[0]["items"][0]["sku"] == "mug"
    assert "Bob-1" not in json.dumps(items)


# Retention


def test_a_retention_leaves_the_amounts(
    make: MakeHost, database_url: str, tmp_path: t.Any, *, keeps: bool
) -> None:
    """Of orders whose charges are past it; a second run finds nothing."""
    host = open_host(make, database_url, tmp_path, keeps=keeps)
    object.__setattr__(host.state.config, "retention", {"transaction.*": dt.timedelta(days=1)})
    adas_orders(host)
    young = 24 * 3600.0 * 3
    put(host, a_charge("Eve-1", 100, uuid=BOB_UUID, seconds=young, session=None))
    host.clock.advance(seconds=young + 60)
    writer = host.state.pipeline.writer
    counted = writer.count_old(is_sure=True)
    assert counted.transactions == 4
    removed = [each for each in writer.prune(is_sure=True) if each.transactions]
    assert sum(each.transactions for each in removed) == 4
    assert writer.count_old(is_sure=True).transactions == 0
    assert sum(each.transactions for each in writer.prune(is_sure=True)) == 0
    assert the_row(host, "Eve-1")["order_id"] == "Eve-1"
    assert amounts(host) == ([2450, 450, -450, 999, 100] if keeps else [100])
    assert "Ada" not in repr(rows_of(host))
    assert host.actions()["transaction.charge"] == 1


# The sums

_CURRENCIES = ("EUR", "USD", "JPY")
_DAYS = 4
_DAY = 24 * 3600


class Truth:
    """A made-up history of orders, and what it brought by day and currency."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.records: list[Event] = []
        self.sums: collections.Counter[tuple[dt.date, str]] = collections.Counter()
        self.people = [uuidlib.uuid5(STRANGER, str(n)) for n in range(6)]
        for number in range(60):
            self._order(f"O-{number}")

    def _note(self, seconds: float, currency: str, amount: int) -> None:
        self.sums[at(seconds).date(), currency] += amount

    def _order(self, order_id: str) -> None:
        draw = self.draw
        currency = draw.choice(_CURRENCIES)
        lines: list[Line] = [
            (sku, draw.randint(1, 3), f"{draw.randint(1, 40)}.00") for sku in ("mug", "tea", "hat")
        ]
        total = price_of(lines) // (100 if currency == "JPY" else 1)
        second = draw.uniform(0, _DAYS * _DAY)
        theirs: dict[str, t.Any] = {
            "uuid": draw.choice(self.people), "currency": currency, "session": None, "items": lines
        }  # fmt: skip
        charge = a_charge(order_id, total, seconds=second, **theirs)
        self.records.append(charge)
        self._note(second, currency, total)
        if draw.random() < 0.3:
            self.records.append(charge)  # doubled
        left = total
        for number in range(draw.choice((0, 0, 1, 2, 3))):
            later = second + draw.uniform(1, _DAY)
            kind = draw.choice(("amount", "much", "all"))
            wanted = {"amount": total // 3, "much": total * 2, "all": left}[kind]
            cancel = a_cancellation(
                order_id,
                amount=None if kind == "all" else wanted,
                name=str(number),
                currency=currency,
                seconds=later,
                received_at=at(later),
            )
            self.records += [cancel] * draw.choice((1, 2))
            self._note(later, currency, -min(wanted, left))
            left -= min(wanted, left)
            if not left:
                break
            second = later  # so that cancellations of an order keep their order


def test_sums_agree_with_the_truth(selling: Host, *, keeps: bool) -> None:
    """With doubled, contradicted, part-cancelled, over-cancelled and erased orders, to the cent."""
    truth = Truth(15)
    size = 7
    records = truth.records
    for start in range(0, len(records), size):
        put(selling, *records[start : start + size])
    charges = [each for each in records if each.action == "transaction.charge"]
    put(selling, *(a_charge(c.params["order_id"], 1, seconds=9e5) for c in charges[::5]))
    expected: Revenue = {key: amount for key, amount in truth.sums.items() if amount}
    assert non_zero(revenue(selling)) == expected
    assert quality(selling)["contradicted", "transaction.charge", ""] == len(charges[::5])
    # Amounts are integers of the database, which adds them up without rounding.
    assert sum(map(abs, expected.values())) > 10_000
    gone = truth.people[:2]
    lost: collections.Counter[tuple[dt.date, str]] = collections.Counter()
    for row in selling.rows("transaction"):
        if row["uuid"] in gone:
            lost[row["time"].date(), row["currency"]] += row["amount"]
    selling.clock.advance(days=_DAYS + 20)
    for uuid in gone:
        *_, erased = selling.state.pipeline.writer.erase([uuid]).run()
        assert erased.transactions > 5
    put(selling, *charges[::3])
    if not keeps:
        expected = non_zero({key: expected.get(key, 0) - lost[key] for key in {*expected, *lost}})
    assert non_zero(revenue(selling)) == expected
    assert totals(selling) == recount(selling)


def non_zero(sums: Revenue) -> Revenue:
    return {key: amount for key, amount in sums.items() if amount}
