"""Parameters of money: an amount and its currency in one."""

from __future__ import annotations

import dataclasses
import decimal
import typing as t

import pydantic
import pytest

from flask_eventtrack import EventTrack, Money
from flask_eventtrack.catalogue.schema import describe_definition
from flask_eventtrack.errors import InvalidEvent

from ..collector.posts import error_of, post_one, statuses
from ..conftest import MakeHost
from ..hosts import Host
from .events import send


@dataclasses.dataclass
class OfferView:
    sku: str
    price: Money
    before: Money | None = None
    steps: list[Money] = dataclasses.field(default_factory=list)


class Offer(pydantic.BaseModel):
    price: Money


@pytest.fixture
def offers(make: MakeHost) -> Host:
    events = EventTrack()
    events.define("offer.view", label="Saw {sku} for {price}", anonymous=True)(OfferView)
    events.define("offer.take", label="Took one for {price:>12}")(Offer)
    events.define("offer.note", label="Noted {price}")
    return make(events=events)


def stored(amount: str, currency: str = "EUR") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


def test_money_is_stored_with_all_its_digits(offers: Host) -> None:
    """As text, so that no program reads a float; with the digits of the currency's minor unit."""
    view: t.Any = OfferView("A", Money("9.9", "EUR"), steps=[Money(300, "JPY"), Money(-1, "EUR")])
    row = send(offers, view)
    assert row["params"] == {
        "sku": "A",
        "price": stored("9.90"),
        "steps": [stored("300", "JPY"), stored("-1.00")],
    }
    assert row["label"] == "Saw A for EUR 9.90"


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        (Money(decimal.Decimal("9.90"), "EUR"), "9.90"),
        ({"amount": "9.9", "currency": "EUR"}, "9.90"),
        ({"amount": 9, "currency": "EUR"}, "9.00"),
        ({"amount": decimal.Decimal("0.123456789012345678901"), "currency": "EUR"}, None),
        ({"amount": "-0", "currency": "EUR"}, "0.00"),
    ],
)
def test_a_mapping_is_money_too(offers: Host, given: t.Any, amount: str | None) -> None:
    """Whichever way it is given, it is stored the same."""
    row = send(offers, "offer.view", {"sku": "A", "price": given})
    assert row["params"]["price"] == stored(amount or "0.123456789012345678901")


@pytest.mark.parametrize("event", ["offer.take", "offer.note"])
def test_models_and_events_without_a_class_take_money(offers: Host, event: str) -> None:
    """A pydantic model reads it itself; without a class, nothing is checked."""
    row = send(offers, event, {"price": Money("9.9", "EUR")})
    assert row["params"] == {"price": stored("9.90")}
    assert row["label"].split() in (["Took", "one", "for", "EUR", "9.90"], ["Noted", "EUR", "9.90"])


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        ("9.90 EUR", "expected money such as"),  # a text is money over HTTP alone
        ({"amount": 9.9, "currency": "EUR"}, "the amount is a float"),
        ([{"amount": 9.9, "currency": "EUR"}], "the amount is a float"),
        ({"amount": "9.90"}, "missing required field `currency`"),
        (stored("x"), "invalid decimal string"),
        (stored("NaN"), "amount is a Decimal, an integer or text such as '12.30'"),
        (stored("1e5000"), "amount is a Decimal"),
        (stored("9.90", "euro"), "currency is a code of ISO 4217 in capitals, such as 'EUR'"),
        (stored("9.90", "EUX"), "not 'EUX': "),
    ],
)
def test_what_is_no_money_is_refused(offers: Host, price: t.Any, problem: str) -> None:
    """The error names the parameter, and what was expected."""
    with pytest.raises(InvalidEvent, match=problem) as caught:
        send(offers, "offer.view", {"sku": "A", "price": price})
    assert (caught.value.code, caught.value.param) == ("invalid_param", "price")


def test_a_float_is_no_money() -> None:
    """Where Python code makes it: the amount that was meant is lost already."""
    with pytest.raises(InvalidEvent, match="A float has no exact cents"):
        Money(t.cast("t.Any", 9.9), "EUR")


def test_a_class_is_described_by_what_its_docstring_says_first(offers: Host) -> None:
    """A release that changes the rest of it changes no file that an app has committed."""
    definition = offers.events.catalogue.get("offer.view")
    money = describe_definition(definition)["params"]["$defs"]["Money"]
    assert money["description"] == "An amount of a currency, for the parameters of a definition."


def test_money_is_a_value() -> None:
    """It compares, hashes and prints as one."""
    assert Money("9.9", "EUR") == Money(decimal.Decimal("9.90"), "EUR")
    assert len({Money(1, "EUR"), Money("1.00", "EUR"), Money(1, "USD")}) == 2
    assert (str(Money("9.9", "EUR")), Money("9.9", "EUR").amount * 2) == (
        "EUR 9.90",
        decimal.Decimal("19.80"),
    )


@pytest.mark.parametrize("text", ["9.90 EUR", "EUR 9.9", " 9.90  EUR "])
def test_clients_send_money_as_text_too(offers: Host, text: str) -> None:
    """Attributes of a page hold text only."""
    event = {"action": "offer.view", "params": {"sku": "A", "price": text}}
    assert statuses(post_one(offers.client(), event)) == ["accepted"]
    [row] = [row for row in offers.rows("event") if row["action"] == "offer.view"]
    assert row["params"]["price"] == stored("9.90")


@pytest.mark.parametrize("text", ["9.90", "9.90 EUX", "EUR EUR", "9.90 EUR EUR", "x EUR"])
def test_clients_text_that_is_no_money_is_refused(offers: Host, text: str) -> None:
    """Nothing is guessed."""
    event = {"action": "offer.view", "params": {"sku": "A", "price": text}}
    assert error_of(post_one(offers.client(), event))["param"] == "price"
