"""Customers' ids as other libraries make them: integers of numpy, enums, UUIDs."""

from __future__ import annotations

import enum
import typing as t
import uuid as uuidlib

import numpy as np
import pytest
from markupsafe import Markup

from flask_eventtrack import identify, track
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.identity.visitor import CustomerId, check_customer_id

from ..hosts import CHROME, Host
from ..identity.customers import profile_of, visit

PERSON = uuidlib.UUID("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b")


class Tenant(enum.IntEnum):
    ANN = 7


class Number(int, enum.Enum):
    ANN = 7


class Name(str, enum.Enum):  # noqa: UP042 - whose own text is "Name.ANN"
    ANN = "ann"


class Index:
    """An integer of a library of its own."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("customer", "text"),
    [
        *((number(7), "7") for number in (np.int8, np.uint32, np.int64, np.longlong)),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (np.array(7), "7"),
        *((value, "7") for value in (Tenant.ANN, Number.ANN, Index())),
        (Name.ANN, "ann"),
        (np.str_("ann"), "ann"),
        (Markup("ann"), "ann"),
        (PERSON, str(PERSON)),
    ],
)
def test_id_of_any_library_is_text(customer: object, text: str) -> None:
    """Of Python's own type, which a journal can hold."""
    found = check_customer_id(customer)
    assert (found, type(found)) == (text, str)


@pytest.mark.parametrize(
    "customer",
    [
        *(np.bool_(True), np.float64(7.0), np.array([7, 8]), np.datetime64("2026-11-21")),
        *(np.int64(0), np.int64(-1), uuidlib.UUID(int=0), object(), int, uuidlib.UUID),
    ],
)
def test_what_is_no_id_is_refused(customer: object) -> None:
    """A truth value, a fraction, several numbers, a placeholder."""
    with pytest.raises(InvalidEvent, match="not a customer's id"):
        check_customer_id(customer)


@pytest.mark.parametrize("customer", [np.int64(7), PERSON])
def test_customer_is_the_same_by_each_call(host: Host, customer: t.Any) -> None:
    """In requests, in jobs, in tokens and for the back office."""
    host.events.define("order.ship")
    host.app.add_url_rule("/known", view_func=lambda: f"<title>{identify(customer)}</title>")
    visit(host.client(), "/known")
    with host.app.app_context():
        track("order.ship", customer=customer)
        host.flush()
        assert {event.action for event in host.events.feed(customer)} == set(host.actions())
        assert identify(customer, {"plan": "pro"}) == profile_of(str(customer))
        rows = list(host.events.export(customer))
        assert {row["type"] for row in rows} == {"profile", "alias", "session", "event"}
        host.events.opt_out(customer)
        host.clock.advance(minutes=1)
        track("order.ship", customer=customer)
        assert host.actions()["order.ship"] == 1
        assert host.events.opt_in(customer)
        host.events.forget(customer)
    assert host.rows("event") == host.rows("session") == host.rows("profile") == []


def test_loader_may_return_any_of_them(host: Host) -> None:
    """As it comes from the database."""
    answers: list[CustomerId] = [PERSON, np.int64(7)]
    host.events.customer_loader(lambda: answers.pop(0))
    for _ in range(2):
        visit(host.client(CHROME))
    assert {row["customer_id"] for row in host.rows("profile")} == {str(PERSON), "7"}
