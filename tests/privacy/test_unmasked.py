"""Parameters that a definition exempts from masking."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import pytest

from flask_eventtrack import EventTrack
from flask_eventtrack.errors import InvalidDefinition
from flask_eventtrack.privacy.masking import CARD, Masker

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, Host

VISA = "4111111111111111"


@dataclasses.dataclass
class OrderView:
    order_id: str
    note: str | None = None
    lines: list[dict[str, str]] | None = None


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A host with an event that exempts its order's number and lines."""
    host = make()
    host.events.define(
        "order.view",
        label="Looked at order {order_id}: {note}",
        anonymous=True,
        unmasked=["order_id", "lines"],
    )(OrderView)
    return host


def post(host: Host, params: dict[str, t.Any], label: str | None = None) -> dict[str, t.Any]:
    event = {"action": "order.view", "params": params, "label": label}
    answer = host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
    assert answer.status_code == 202, answer.json
    [row] = host.events_of("order.view")
    return row


def test_order_numbers_that_look_like_cards_are_kept(shop: Host) -> None:
    """In the parameter and in the label, on the way of a browser's event."""
    lots = random.Random(7)
    numbers = [f"{lots.randrange(10**15, 10**16)}" for _ in range(1000)]
    masked = [number for number in numbers if Masker().mask_text(number) == CARD]
    assert len(masked) > 20  # so this happens to honest numbers
    row = post(shop, {"order_id": masked[0], "lines": [{"order": number} for number in masked]})
    assert row["params"] == {
        "order_id": masked[0],
        "lines": [{"order": number} for number in masked],
    }
    assert row["label"] == f"Looked at order {masked[0]}: "


def test_other_parameters_are_masked(shop: Host) -> None:
    """Declared or not, in the label too, and the names as well."""
    row = post(shop, {"order_id": VISA, "note": VISA, "more": VISA, f"n {VISA}": "x"})
    assert row["params"] == {"order_id": VISA, "note": CARD, "more": CARD, f"n {CARD}": "x"}
    assert row["label"] == f"Looked at order {VISA}: {CARD}"


@pytest.mark.parametrize("number", [VISA, f"#{VISA}", "4111 1111 1111 1111", "A/4111-1111"])
def test_number_in_any_notation_is_kept(shop: Host, number: str) -> None:
    """A number sign is no link."""
    assert post(shop, {"order_id": number})["params"] == {"order_id": number}


@pytest.mark.parametrize(
    "link",
    [
        "https://shop.example/orders?token=S3CR3T",
        "/orders?password=S3CR3T&id=7",
        "https://ada:S3CR3T@shop.example/",
        "see https%3A%2F%2Fshop.example%2F%3Ftoken%3DS3CR3T now",
        f"https://shop.example/?next=/x&card={VISA}",
    ],
)
def test_secrets_in_links_are_masked_anyway(shop: Host, link: str) -> None:
    """An exempt parameter may hold a link, and is no way around its cleaning."""
    row = post(shop, {"order_id": link, "lines": [{"at": link}]})
    for text in (str(row["params"]), row["label"]):
        assert "S3CR3T" not in text
        assert VISA not in text


def test_secret_names_inside_are_masked_anyway(shop: Host) -> None:
    """At any level."""
    lines = [{"order": VISA, "card_number": VISA, "password": "x"}]
    row = post(shop, {"order_id": "7", "lines": lines})
    assert row["params"]["lines"] == [
        {"order": VISA, "card_number": "[masked]", "password": "[masked]"}
    ]


def test_label_of_a_client_is_masked(shop: Host) -> None:
    """It is a text of its own."""
    assert post(shop, {"order_id": VISA}, f"Order {VISA}")["label"] == f"Order {CARD}"


@pytest.mark.parametrize(
    ("unmasked", "said"),
    [
        (["order"], "unmasked: 'order' is not a parameter; the parameters are: order_id, note"),
        ("order_id", "unmasked is a list of names of parameters, not 'order_id'"),
        ([7], "unmasked is a list of names of parameters"),
        (["password"], "unmasked: 'password' is the name of a secret, and is always masked"),
        (["cardNumber"], "unmasked: 'cardNumber' is the name of a secret"),
    ],
)
def test_wrong_exemption_is_refused(unmasked: t.Any, said: str) -> None:
    """At the definition, and not when the first card number is stored."""
    with pytest.raises(InvalidDefinition, match=said):
        EventTrack().define("order.view", unmasked=unmasked)(OrderView)


def test_exemption_without_a_class_is_of_the_name(make: MakeHost) -> None:
    """An event without parameters may exempt one that clients send all the same."""
    host = make()
    host.events.define("order.view", anonymous=True, unmasked=("order_id",))
    assert post(host, {"order_id": VISA, "note": VISA})["params"] == {
        "order_id": VISA,
        "note": CARD,
    }
