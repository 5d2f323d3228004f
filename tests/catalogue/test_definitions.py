"""Definitions and labels."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import decimal
import functools
import gc
import sys
import types
import typing as t

import pytest

from flask_eventtrack import EventTrack, track
from flask_eventtrack.errors import InvalidDefinition, InvalidEvent

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from .events import Line, OrderPay, ProductView, send

# Definitions


def test_instance_and_mapping_are_the_same_event(shop: Host) -> None:
    """DESIGN §4: track(ProductView(...)) and track("product.view", {...}) store the same."""
    view: t.Any = ProductView
    by_instance = send(shop, view(sku="A1", name="Mug"))
    by_mapping = send(shop, "product.view", {"sku": "A1", "name": "Mug"})
    assert by_instance["params"] == {"sku": "A1", "name": "Mug", "quantity": 1}
    assert by_mapping["params"] == by_instance["params"]
    assert by_mapping["label"] == by_instance["label"] == "Viewed Mug"


def test_default_is_in_the_label_of_an_event_that_leaves_it_out(host: Host) -> None:
    """A label reads what is stored, defaults included."""

    @host.events.define("basket.add", label="Added {count}")
    class BasketAdd:
        count: int = 1

    assert send(host, "basket.add")["label"] == "Added 1"


def test_call_defines_an_event_without_parameters(shop: Host) -> None:
    """Nothing else is needed."""
    row = send(shop, "signup.click")
    assert (row["params"], row["label"], row["undefined"]) == ({}, None, None)


def test_decorator_returns_the_class_made_a_dataclass() -> None:
    """It is the developer's own class, ready to be made."""

    @EventTrack().define("a.b")
    class Given:
        x: int

    made: t.Any = Given
    assert Given.__name__ == "Given"
    assert dataclasses.asdict(made(x=1)) == {"x": 1}


def test_subclass_of_an_events_class_is_no_event_of_its_own(shop: Host) -> None:
    """It would have to be defined."""

    @dataclasses.dataclass
    class Special(OrderPay):
        pass

    with pytest.raises(InvalidEvent, match="Special does not define an event: decorate the class"):
        send(shop, Special(total=decimal.Decimal(1)))


def test_instance_with_further_params_is_refused(shop: Host) -> None:
    """It would be unclear which of the two wins."""
    with pytest.raises(
        InvalidEvent, match="OrderPay has its parameters already: leave 'params' out"
    ):
        send(shop, OrderPay(total=decimal.Decimal(1)), {"total": 2})


@pytest.mark.parametrize("action", ["page.visit", "session.start", "session.end"])
def test_built_in_event_cannot_be_defined_anew(action: str) -> None:
    """The extension writes these events itself."""
    with pytest.raises(InvalidDefinition, match=f"'{action}' is built in and cannot be redefined"):
        EventTrack().define(action)


@pytest.mark.parametrize("action", ["charge", "cancel", "refund"])
def test_no_transaction_can_be_defined(action: str) -> None:
    """It is never a custom event."""
    with pytest.raises(InvalidDefinition, match=rf"'transaction.{action}' is built in"):
        EventTrack().define(f"transaction.{action}")


def test_same_definition_twice_is_one() -> None:
    """A factory that runs for each app defines its events on a shared object again."""
    events = EventTrack()
    for _ in range(3):
        events.define("a.b", label="A")(Line)
    assert [definition.action for definition in events.catalogue if not definition.builtin] == [
        "a.b"
    ]


@pytest.mark.parametrize(
    "options", [{"label": "Other"}, {"anonymous": True}, {"server_only": True}], ids=str
)
def test_definition_that_contradicts_another_is_refused(options: dict[str, t.Any]) -> None:
    """Two modules do not share an action by accident."""
    events = EventTrack()
    events.define("a.b", label="A")
    with pytest.raises(
        InvalidDefinition, match=r"'a.b' is defined already in .*, with other options"
    ):
        events.define("a.b", **{"label": "A", **options})


def test_definition_with_other_parameters_is_refused() -> None:
    """The parameters are part of a definition: the first one's events would be rejected."""
    events = EventTrack()
    events.define("a.b")(Line)
    with pytest.raises(InvalidDefinition, match=r"'a.b' is defined already"):
        events.define("a.b")(OrderPay)


def test_class_of_the_same_parameters_is_the_same_definition() -> None:
    """A factory that defines its classes inside makes new ones each time."""
    events = EventTrack()
    for _ in range(2):
        made = dataclasses.make_dataclass("Made", [("sku", str), ("count", int, 1)])
        events.define("a.b")(made)
        found = events.catalogue.find_for(made("A1"))
        assert found is not None
        assert found.action == "a.b"


def test_class_of_two_actions_is_refused() -> None:
    """track(Line(...)) could mean either."""
    events = EventTrack()
    events.define("a.b")(Line)
    with pytest.raises(InvalidDefinition, match="Line"):
        events.define("a.c")(Line)


@pytest.mark.parametrize("action", ["a", "a.b\n", "x" * 33, "", None])
def test_malformed_action_cannot_be_defined(action: t.Any) -> None:
    """The rule is the same as for events."""
    with pytest.raises(InvalidEvent, match="an action"):
        EventTrack().define(action)


def _mutable_default() -> type:
    class Mutable:
        tags: list[str] = []  # noqa: RUF012 - the mistake that people make

    return Mutable


def _default_before_required() -> type:
    class Disordered:
        a: int = 1
        b: str

    return Disordered


def _unknown_annotation() -> type:
    class Unknown:
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821

    return Unknown


@pytest.mark.parametrize(
    "make",
    [
        _mutable_default,
        _default_before_required,
        _unknown_annotation,
        pytest.param(lambda: print, id="a function"),
        pytest.param(lambda: lambda: None, id="a view"),
        pytest.param(lambda: 42, id="an int"),
        pytest.param(lambda: int, id="int"),
    ],
)
def test_class_that_cannot_be_parameters_is_refused_with_its_action(
    make: t.Callable[[], t.Any],
) -> None:
    """The one error that define() documents, whatever was decorated."""
    with pytest.raises(InvalidDefinition, match=r"'a.b'"):
        EventTrack().define("a.b")(make())


# Labels


@pytest.mark.parametrize(
    "label",
    ["{x.__class__}", "{x[0]}", "{x.y!r}", "{}", "{0}", "{ x}", "{x:{y}}", "{x!r:{y}}", "{x-y}"],
)
def test_label_that_reaches_into_values_is_refused(label: str) -> None:
    """Plain names of parameters only."""
    message = "is not the plain name of a parameter; attributes, indexes and nested fields"
    with pytest.raises(InvalidDefinition, match=message):
        EventTrack().define("a.b", label=label)


@pytest.mark.parametrize("label", ["{x", "x}", "{x!}", "{x!z}", "{x:", "{x!rr}"])
def test_label_that_is_no_format_string_is_refused(label: str) -> None:
    """At once, and not when the first event comes without its label."""
    with pytest.raises(InvalidDefinition, match=r"'a.b': label"):
        EventTrack().define("a.b", label=label)


def test_label_of_a_parameter_that_is_not_there_is_refused() -> None:
    """It names the ones there are."""
    with pytest.raises(
        InvalidDefinition, match="'nam' is not a parameter; the parameters are: sku, count"
    ):
        EventTrack().define("a.b", label="Saw {nam}")(Line)


@pytest.mark.parametrize(
    ("template", "params", "label"),
    [
        ("Saw {name}", {"name": "Mug"}, "Saw Mug"),
        ("Saw {name}", {}, "Saw "),
        ("Saw {name}", {"name": None}, "Saw "),
        ("{{name}} {name}", {"name": "{x.__class__}"}, "{name} {x.__class__}"),
        ("{name!r}", {"name": "Mug"}, "'Mug'"),
        ("{price:.2f} EUR", {"price": 3}, "3.00 EUR"),
        ("{price:.2f} EUR", {"price": "dear"}, "dear EUR"),
        ("{price:.2f} EUR", {}, " EUR"),
        ("{name!r:>4} {price:d}", {"name": "A", "price": 1.5}, " 'A' 1.5"),
        ("{name:>3000}", {"name": "x"}, " " * 254 + "…"),
        ("{name}", {"name": "a\x00b\ud800"}, "a\ufffdb\ufffd"),
        ("Zoë 😀 {name}", {"name": "日本"}, "Zoë 😀 日本"),
    ],
)
def test_label_is_made_of_the_parameters(
    host: Host, template: str, params: dict[str, t.Any], label: str | None
) -> None:
    """An absent one reads as nothing; a value that does not fit the format makes no label."""
    host.events.define("a.b", label=template)
    assert send(host, "a.b", params)["label"] == label


@pytest.mark.parametrize(
    ("given", "label"),
    [("Mine", "Mine"), ("", "Viewed Mug"), (None, "Viewed Mug"), ("y" * 300, "y" * 254 + "…")],
)
def test_caller_may_give_a_label(shop: Host, given: str | None, label: str) -> None:
    """It wins over the template and is cut to 255 characters."""
    row = send(shop, "product.view", {"sku": "A1", "name": "Mug"}, label=given)
    assert row["label"] == label


def test_label_that_is_no_text_is_refused(shop: Host) -> None:
    """The error says what was given."""
    with pytest.raises(InvalidEvent, match="A label is a str, not int"):
        send(shop, "signup.click", label=t.cast("str", 5))


def count_instructions(work: cabc.Callable[[], object]) -> int:
    """Return how many instructions of Python run, once what they remember is remembered."""
    count = 0

    def trace(frame: types.FrameType, kind: str, _: object) -> t.Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += kind == "opcode"
        return trace

    for _ in range(3):
        work()
    before = sys.gettrace()
    gc.disable()  # it calls back
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def test_further_definitions_cost_a_request_nothing(make: MakeHost) -> None:
    """A page visit and a ``track()`` run as many instructions in an app of many definitions."""
    counts = []
    for more in (0, 500):
        host = make(create=False)
        for number in range(more + 1):
            schema = dataclasses.make_dataclass(f"Event{number}", [("sku", str)])
            host.events.define(f"thing.do{number:03}", label="Did {sku}")(schema)
        with host.events.capture(), host.app.app_context():
            get = functools.partial(host.client().get, "/", headers=NAVIGATION)
            call = functools.partial(track, f"thing.do{more:03}", {"sku": "A1"}, customer=7)
            counts.append((count_instructions(get), count_instructions(call)))
    assert counts[0] == counts[1]
    assert min(counts[0]) > 100
