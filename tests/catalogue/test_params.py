"""Parameters: validation, limits, normalised values."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import pathlib
import types
import typing as t
import uuid
import zoneinfo

import pytest
import sqlalchemy as sa
from markupsafe import Markup
from msgspec import Meta

from flask_eventtrack import identify, track
from flask_eventtrack.errors import InvalidEvent

from ..collector.posts import error_of, post_one
from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, Host
from .events import Line, OrderPay, Shoe, Size, send

NESTED_8: dict[str, t.Any] = {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}


# Validation


@pytest.mark.parametrize(
    ("params", "param", "message"),
    [
        ({}, "total", r"it is required \(Decimal\) and was not given"),
        ({"total": "abc"}, "total", "invalid decimal string: 'abc'[.]$"),
        ({"quantity": 0}, "quantity", "expected `int` >= 1: 0[.]$"),
        ({"quantity": 10}, "quantity", "expected `int` <= 9: 10[.]$"),
        ({"quantity": "3"}, "quantity", "expected `int`, got `str`: '3'[.]$"),
        ({"quantity": True}, "quantity", "expected `int`, got `bool`: True[.]$"),
        ({"quantity": 3.5}, "quantity", "expected `int`, got `float`: 3.5[.]$"),
        ({"code": "ABCDE"}, "code", "expected `str` of length <= 4: 'ABCDE'[.]$"),
        ({"code": "a"}, "code", r"expected `str` matching regex '\^\[A-Z\]\+\$': 'a'[.]$"),
        ({"size": "x"}, "size", "invalid enum value 'x': 'x'[.]$"),
        ({"at": "yesterday"}, "at", "'yesterday'[.]$"),
        ({"gift": 1}, "gift", "expected `bool`, got `int`: 1[.]$"),
        ({"note": 5}, "note", r"expected `str | null`, got `int`: 5[.]$"),
        ({"order": "x"}, "order", "invalid UUID: 'x'[.]$"),
        ({"lines": "abc"}, "lines", "expected `array`, got `str`: 'abc'[.]$"),
        ({"lines": [{"count": 1}]}, "lines", "missing required field `sku`"),
        ({"lines": [{"sku": 1}]}, "lines", "expected `str`, got `int`"),
        ({"ratio": float("nan")}, "ratio", "expected `float`, got `null`"),
    ],
)
def test_wrong_parameter_is_named_with_what_was_expected_and_what_came(
    shop: Host, params: dict[str, t.Any], param: str, message: str
) -> None:
    """The error is enough to fix the call."""
    given = {"total": 1, **params} if params else {}
    with pytest.raises(InvalidEvent, match=f"'order.pay', parameter '{param}': .*") as caught:
        send(shop, "order.pay", given)
    assert (caught.value.code, caught.value.param) == ("invalid_param", param)
    caught.match(message)


PLAIN: list[tuple[t.Any, t.Any, t.Any]] = [
    (str, 10432, "10432"),
    (str, 0.5, "0.5"),
    (str, 3.0, "3.0"),
    (str, -1, "-1"),
    (str | None, 5, "5"),
    (t.Annotated[str, Meta(max_length=3)], 123, "123"),
    (list[str], [1, "a", 2.5], ["1", "a", "2.5"]),
    (dict[str, str | list[str]], {"a": 1, "b": [2]}, {"a": "1", "b": ["2"]}),
    (t.Literal["38", "40"], 38, "38"),
    (Size, "s", "s"),
    (Shoe, 38, "38"),
    (int, "007", 7),
    (int, "-12", -12),
    (float, "1.10", 1.1),
    (float | None, "2", 2.0),
    (t.Annotated[int, Meta(ge=1)], "3", 3),
    (list[int], ["1", 2], [1, 2]),
    (str, True, "true"),
    (bool, "true", True),
    (bool, "False", False),
    (bool, 1, True),
    (Line, {"sku": 5, "count": "2"}, {"sku": "5", "count": 2}),
    (list[Line], [{"sku": 5}], [{"sku": "5", "count": 1}]),
    # What a type takes is left as it is.
    (int | str, 5, 5),
    (int | str, "5", "5"),
    (list[int | str], [5, "5"], [5, "5"]),
    (str | bool, True, True),
    (t.Literal["38", 40], 40, 40),
    (str, "007", "007"),
    (t.Any, 5, 5),
]


def post_typed(host: Host, kind: t.Any, value: t.Any) -> dict[str, t.Any]:
    """Post ``value`` for a parameter of a type, beside one to be read; return the result."""
    made = dataclasses.make_dataclass("Made", [("x", kind), ("other", int)])
    host.events.define("a.b", anonymous=True)(made)
    event = {"action": "a.b", "params": {"x": value, "other": "1"}}
    answer = host.client().post("/_et/in", json={"events": [event]}, headers=SAME_ORIGIN)
    result: dict[str, t.Any] = answer.get_json()["results"][0]
    return result


@pytest.mark.parametrize(("kind", "sent", "stored"), PLAIN)
def test_posted_parameter_is_read_as_its_type(
    host: Host, kind: t.Any, sent: t.Any, stored: t.Any
) -> None:
    """An attribute is typed by its looks: only the definition knows whether 10432 is a number."""
    assert post_typed(host, kind, sent)["status"] == "accepted"
    [row] = host.events_of("a.b")
    assert row["params"] == {"x": stored, "other": 1}
    assert type(row["params"]["x"]) is type(stored)


@pytest.mark.parametrize(
    ("kind", "sent", "message"),
    [
        (str, [1], "expected `str`, got `array`: [1]"),
        (t.Annotated[str, Meta(max_length=3)], 1234, "expected `str` of length <= 3: 1234"),
        (t.Annotated[int, Meta(ge=1)], "0", "expected `int` >= 1: '0'"),
        (int, "seven", "expected `int`, got `str`: 'seven'"),
        (int, "", "expected `int`, got `str`: ''"),
        (int, "1_0", "expected `int`, got `str`: '1_0'"),
        (int, "9" * 19, f"expected `int`, got `str`: '{'9' * 19}'"),
        (int, True, "expected `int`, got `bool`: True"),
        (float, "nan", "expected `float`, got `str`: 'nan'"),
        (float, "1e999", "expected `float`, got `str`: '1e999'"),
        (bool, "yes", "expected `bool`, got `str`: 'yes'"),
        (bool, 2, "expected `bool`, got `int`: 2"),
        (dt.datetime, 5, "expected `datetime`, got `int`: 5"),
        (t.Literal["38", "40"], 39, "expected `str`, got `int`: 39"),
        (Shoe, 39, "expected `str`, got `int`: 39"),
        (list[str], 5, "expected `array`, got `int`: 5"),
    ],
)
def test_posted_parameter_that_cannot_be_read_is_named(
    host: Host, kind: t.Any, sent: t.Any, message: str
) -> None:
    """With the value as it was sent."""
    error = post_typed(host, kind, sent)["error"]
    assert error["message"] == f"'a.b', parameter 'x': {message}."
    assert host.rows("event") == []


def test_a_class_may_check_its_parameters_together(host: Host) -> None:
    """What its ``__post_init__`` complains of is the error, in code and in the collector."""

    @host.events.define("stay.book", anonymous=True)
    @dataclasses.dataclass
    class StayBook:
        first: int
        last: int

        def __post_init__(self) -> None:
            if self.last < self.first:
                raise ValueError("the stay ends before it begins")

    wrong, problem = {"first": 2, "last": 1}, "'stay.book': the stay ends before it begins."
    with pytest.raises(InvalidEvent) as caught:
        send(host, "stay.book", wrong)
    assert (caught.value.code, str(caught.value)) == ("invalid_params", problem)
    answer = post_one(host.client(), {"action": "stay.book", "params": wrong})
    assert error_of(answer) == {"code": "invalid_params", "message": problem, "param": None}


def test_a_class_that_fails_rejects_its_event_alone(host: Host) -> None:
    """Whatever it raises: the other events of the post are stored, and no error text is shown."""

    @host.events.define("rate.give", anonymous=True)
    @dataclasses.dataclass
    class RateGive:
        of: int

        def __post_init__(self) -> None:
            self.share = 1 / self.of

    events = [{"action": "rate.give", "params": {"of": number}} for number in (0, 2)]
    answer = host.client().post("/_et/in", json={"events": events}).get_json()
    bad, good = answer["results"]
    assert bad["error"]["message"] == "'rate.give': its class raised ZeroDivisionError."
    assert good["status"] == "accepted"


@pytest.mark.parametrize(("sku", "price"), [(5, 1.5), ("A1", "1.5")])
def test_server_code_says_what_it_means(shop: Host, sku: t.Any, price: t.Any) -> None:
    """``track()`` reads strictly: a mistake in code should be found."""
    with pytest.raises(InvalidEvent, match=r"parameter '(sku|price)': expected `(str|float)"):
        send(shop, "product.view", {"sku": sku, "name": "Mug", "price": price})


def test_a_pointer_rests_no_negative_time(shop: Host) -> None:
    """A visitor's -5 would be a median on the page of elements."""
    with pytest.raises(InvalidEvent, match=r"parameter 'dwell_ms': .*>= 0"):
        send(shop, "element.hover", {"id": "spring", "dwell_ms": -5})
    assert send(shop, "element.hover", {"id": "spring", "dwell_ms": 0})["params"]["dwell_ms"] == 0


def test_message_shortens_what_came(shop: Host) -> None:
    """A page of text is not repeated."""
    with pytest.raises(InvalidEvent, match=r": 'x{58}…[.]$") as caught:
        send(shop, "order.pay", {"total": 1, "quantity": "x" * 10_000})
    assert len(str(caught.value)) < 200


def test_values_are_stored_as_the_definition_reads_them(shop: Host) -> None:
    """Enumerations as their value, times as ISO 8601, nested classes as objects."""
    order = uuid.UUID(int=7)
    row = send(
        shop,
        OrderPay(
            total=decimal.Decimal("19.90"),
            at=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
            size=Size.LARGE,
            lines=[Line("A1", 2)],
            order=order,
        ),
    )
    assert {name: row["params"][name] for name in ("at", "size", "lines", "order")} == {
        "at": "2026-01-02T03:04:05Z",
        "size": "l",
        "lines": [{"sku": "A1", "count": 2}],
        "order": str(order),
    }


@pytest.mark.parametrize("total", [decimal.Decimal("19.90"), 19.9, "19.90"], ids=repr)
def test_decimal_parameter_is_stored_as_a_number(shop: Host, total: t.Any) -> None:
    """Reports add it up, and its label may format it."""
    row = send(shop, "order.pay", {"total": total})
    assert row["params"]["total"] == 19.9
    assert row["label"] == "Paid 19.90"


def test_parameter_that_is_not_defined_is_stored_and_marked(shop: Host) -> None:
    """It stays out of reports, and data quality lists it."""
    row = send(shop, "product.view", {"sku": "A1", "name": "Mug", "colour": "red", "none": None})
    assert row["params"] == {"sku": "A1", "name": "Mug", "quantity": 1, "colour": "red"}
    assert row["undefined"] == ["colour"]
    counted = [row for row in shop.rows("quality") if row["outcome"] == "undefined"]
    assert [(row["action"], row["reason"], row["count"]) for row in counted] == [
        ("product.view", "colour", 1)
    ]


def test_optional_parameter_that_is_none_is_not_stored(shop: Host) -> None:
    """None and absent are the same."""
    row = send(shop, "product.view", {"sku": "A1", "name": "Mug", "price": None})
    assert "price" not in row["params"]
    assert row["undefined"] is None


def test_undefined_events_may_be_stored(make: MakeHost) -> None:
    """EVENTTRACK_UNDEFINED_EVENTS = "store" takes any well-formed action."""
    host = make({"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    row = send(host, "brand.new", {"x": 1})
    assert (row["action"], row["params"], row["undefined"]) == ("brand.new", {"x": 1}, ["x"])


def test_refused_event_is_counted_with_its_reason(shop: Host) -> None:
    """One that is malformed is counted without its text, which may be anything."""
    for action in ("bränd.new", "no.such", "x" * 100):
        with shop.app.app_context(), pytest.raises(InvalidEvent, match=r"action|defined"):
            track(action, customer=1)
    counted = {(row["action"], row["reason"]) for row in shop.rows("quality")}
    assert counted == {
        ("", "invalid_action"),
        ("no.such", "undefined_event"),
    }


# Limits and values


def test_eight_levels_of_nesting_are_taken(shop: Host) -> None:
    """The parameters themselves are the first."""
    assert send(shop, "signup.click", NESTED_8)["params"] == NESTED_8


@pytest.mark.parametrize(
    "params",
    [
        {"z": NESTED_8},
        {"a": [[[[[[[[1]]]]]]]]},
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": []}}}}}}}},
    ],
)
def test_nine_levels_of_nesting_are_refused(shop: Host, params: dict[str, t.Any]) -> None:
    """Lists and objects alike."""
    with pytest.raises(InvalidEvent, match="nested deeper than 8 levels") as caught:
        send(shop, "signup.click", params)
    assert caught.value.code == "params_too_deep"


def test_bottomless_parameters_are_refused(shop: Host) -> None:
    """A dict inside itself is an error of the caller's, not of the interpreter's."""
    endless: dict[str, t.Any] = {}
    endless["again"] = endless
    with pytest.raises(InvalidEvent, match="nested deeper than 8 levels"):
        send(shop, "signup.click", endless)


def test_256_names_are_taken(shop: Host) -> None:
    """At all levels together."""
    params = {"n": {f"p{n}": n for n in range(255)}}
    assert send(shop, "signup.click", params)["params"] == params


@pytest.mark.parametrize(
    "params",
    [
        {f"p{n}": n for n in range(257)},
        {"n": {f"p{n}": n for n in range(256)}},
        {"n": [{f"p{n}": n} for n in range(256)]},
        {"n": [{"a": {f"p{n}": n}} for n in range(255)]},
        {f"p{n}": {"a": n} for n in range(129)},
    ],
    ids=["flat", "nested", "in a list", "below a list", "in dicts"],
)
def test_257_names_are_refused(shop: Host, params: dict[str, t.Any]) -> None:
    """Wherever they are."""
    with pytest.raises(InvalidEvent, match="at most 256 parameter names") as caught:
        send(shop, "signup.click", params)
    assert caught.value.code == "too_many_params"


@pytest.mark.parametrize(
    "lines",
    [
        [{"sku": f"A{n}", "name": "Mug", "quantity": n} for n in range(86)],
        [{"sku": "A1", **({"gift": True} if n % 2 else {})} for n in range(500)],
        [{"sku": "A1", "size": {"w": n, "h": n}} for n in range(300)],
        [[{"sku": "A1", "n": n}] for n in range(300)],
        [{"parts": [{"id": n} for n in range(20)]} for _ in range(40)],
    ],
    ids=["basket", "some names", "dicts below", "list of lists", "lists below"],
)
def test_names_are_counted_once_for_a_list(shop: Host, lines: list[t.Any]) -> None:
    """A basket has as many names as one of its lines."""
    params = {"lines": lines, **{f"p{n}": n for n in range(251)}}
    assert send(shop, "signup.click", params)["params"] == params


def test_list_of_dicts_is_limited_by_its_size(shop: Host) -> None:
    """32 KiB, as anything else."""
    with pytest.raises(InvalidEvent, match="at most 32768 are allowed"):
        send(shop, "signup.click", {"lines": [{"sku": "A1"}] * 3000})


@pytest.mark.parametrize("name", ["x", "x" * 64, "é" * 64, "with space", "__class__"])
def test_name_of_up_to_64_characters_is_taken(shop: Host, name: str) -> None:
    """Any characters."""
    assert send(shop, "signup.click", {name: 1})["params"] == {name: 1}


@pytest.mark.parametrize(("name", "length"), [("", 0), ("x" * 65, 65), ("\ud800" * 65, 65)])
def test_name_of_another_length_is_refused(shop: Host, name: str, length: int) -> None:
    """The error names it, cut, in text that can be sent."""
    with pytest.raises(InvalidEvent, match=f"1 to 64 characters, this has {length}") as caught:
        send(shop, "signup.click", {name: 1})
    assert caught.value.code == "invalid_param_name"
    assert f"{caught.value.message}{caught.value.param}".encode()


def test_32_kib_are_taken(shop: Host) -> None:
    """{"x":"…"} takes eight bytes besides its text."""
    row = send(shop, "signup.click", {"x": "y" * (32 * 1024 - 8)})
    assert len(row["params"]["x"]) == 32 * 1024 - 8


@pytest.mark.parametrize(
    ("text", "size"),
    [("y" * (32 * 1024 - 7), 32_769), ("y" * 33 * 1024, 33_800), ("é" * 20_000, 40_008)],
)
def test_beyond_32_kib_is_refused(shop: Host, text: str, size: int) -> None:
    """Bytes are counted, not characters."""
    message = f"The parameters take {size} bytes; at most 32768 are allowed"
    with pytest.raises(InvalidEvent, match=message) as caught:
        send(shop, "signup.click", {"x": text})
    assert caught.value.code == "params_too_large"


POISON: list[tuple[t.Any, t.Any]] = [
    ("a\x00b", "a\ufffdb"),
    ("a\ud800b\udfff", "a\ufffdb\ufffd"),
    ("😀 日本 \u202e", "😀 日本 \u202e"),
    (float("nan"), None),
    (float("-inf"), None),
    (1e308 * 10, None),
    (5e-324, 5e-324),
    (2**63 - 1, 2**63 - 1),
    (-(2**63), -(2**63)),
    (2**63, "9223372036854775808"),
    (-(2**63) - 1, "-9223372036854775809"),
    ({"\x00": {"\ud800": 1}}, {"\ufffd": {"\ufffd": 1}}),
]


class Stamp(dt.datetime):
    pass


class Odd(enum.Enum):
    PATH = pathlib.PurePosixPath("/srv")
    PAIR = (1, 2)
    NONE = object()


class Told:
    def __str__(self) -> str:
        return "as told"


class Untold:
    def __str__(self) -> str:
        raise LookupError("no translation")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        *POISON,
        (decimal.Decimal("1.5"), 1.5),
        (decimal.Decimal("NaN"), None),
        (decimal.Decimal("sNaN"), None),
        (decimal.Decimal("1e400"), "1E+400"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Size.LARGE, "l"),
        (Line("A1"), {"sku": "A1", "count": 1}),
        ({1: {2.5: "x"}}, {"1": {"2.5": "x"}}),
        ((1, [2]), [1, [2]]),
        (Markup("<b>x</b>"), "<b>x</b>"),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (decimal.Decimal("19.90"), 19.9),
        (decimal.Decimal("5.00"), 5),
        (decimal.Decimal("9007199254740993"), 9007199254740993),
        (decimal.Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (decimal.Decimal("1e1000000"), "1E+1000000"),
        (decimal.Decimal("1e-1000000"), "1E-1000000"),
        (fractions.Fraction(1, 4), 0.25),
        (1 + 2j, "(1+2j)"),
        (pathlib.PurePosixPath("/srv/a.pdf"), "/srv/a.pdf"),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (zoneinfo.ZoneInfo("Europe/Berlin"), "Europe/Berlin"),
        (collections.deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        (frozenset([1]), [1]),
        (array.array("d", [0.5]), [0.5]),
        (collections.UserString("x"), "x"),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (b"abc", "YWJj"),
        (dt.timedelta(minutes=2), "PT120S"),
        (dt.time(1, 2), "01:02:00"),
        (Stamp(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (Odd.PATH, "/srv"),
        (Odd.PAIR, [1, 2]),
        pytest.param(Told(), "as told", id="text of its own"),
        ({None: 1, True: 2, 1.5: 3, Size.LARGE: 4}, {"null": 1, "true": 2, "1.5": 3, "l": 4}),
        ({pathlib.PurePosixPath("/a"): 1, Odd.PATH: 2}, {"/a": 1, "/srv": 2}),
    ],
    ids=ascii,
)
def test_value_is_stored_plain(host: Host, value: t.Any, stored: t.Any) -> None:
    """As JSON, with what no database takes replaced."""
    host.events.define("a.b")
    assert send(host, "a.b", {"x": 1, "y": [value]})["params"] == {"x": 1, "y": [stored]}


def test_no_database_refuses_a_value(db_host: Host) -> None:
    """One such value would hold up the whole batch."""
    db_host.events.define("a.b", label="{x}")
    for value, stored in POISON:
        assert send(db_host, "a.b", {"x": [value]})["params"] == {"x": [stored]}
    assert db_host.rows("rejected") == []


UNWRITABLE: dict[str, t.Any] = {
    "object": object(),
    "function": print,
    "class": Line,
    "iterator": iter([1]),
    "generator": (each for each in [1]),
    "mapping": {(1, 2): 3},
    "range": range(10**9),
    "enumeration": Odd.NONE,
    "text that fails": Untold(),
    "number of very many digits": 10**5000,
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_value_that_has_no_json_form_is_refused(shop: Host, name: str) -> None:
    """The error is the caller's, and names the parameter, also from inside of it."""
    for value in (UNWRITABLE[name], [UNWRITABLE[name]], {"a": {"b": UNWRITABLE[name]}}):
        with pytest.raises(InvalidEvent, match="parameter 'x' cannot be written as JSON") as caught:
            send(shop, "signup.click", {"x": value})
        assert (caught.value.code, caught.value.param) == ("invalid_params", "x")


@pytest.mark.parametrize("name", UNWRITABLE)
def test_value_that_has_no_json_form_is_left_out_alone_in_production(
    shop: Host, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted each time and logged once; the rest of the event is recorded."""
    value = UNWRITABLE[name]
    shop.app.testing = False
    for _ in range(2):
        row = send(shop, "product.view", {"sku": "A1", "name": "Mug", "x": value})
        left: dict[str, t.Any] = (
            {"x": {}} if name == "mapping" else {}
        )  # of which only the pair is left out
        assert row["params"] == {"sku": "A1", "name": "Mug", "quantity": 1, **left}
    if name != "mapping":
        row = send(shop, "signup.click", {"x": [1, value, 2], "y": {"a": value, "b": 1}})
        assert row["params"] == {"x": [1, None, 2], "y": {"b": 1}}
    counted = {row["action"]: row for row in shop.rows("quality") if row["outcome"] == "left_out"}
    assert (counted["product.view"]["reason"], counted["product.view"]["count"]) == (
        "invalid_params",
        2,
    )
    logged = [text for text in caplog.messages if "'product.view' was left out" in text]
    assert len(logged) == 1
    assert "parameter 'x' cannot be written as JSON" in logged[0]


def test_what_breaks_a_limit_is_left_out_alone_in_production(shop: Host) -> None:
    """A list inside itself, a name that is too long: the rest of the event is recorded."""
    endless: list[t.Any] = []
    endless.append(endless)
    shop.app.testing = False
    params = {"x": endless, "y": NESTED_8, "": 1, "z" * 65: 1, "a": {"z" * 65: 1}, "good": 1}
    assert send(shop, "signup.click", params)["params"] == {"a": {}, "good": 1}
    counted = {
        (r["reason"], r["count"]) for r in shop.rows("quality") if r["outcome"] == "left_out"
    }
    assert counted == {("params_too_deep", 2), ("invalid_param_name", 3)}


def test_required_parameter_that_is_left_out_is_missing(
    shop: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """In production the log says both why it is missing and what became of the event."""
    shop.app.testing = False
    with shop.app.app_context():
        assert track("order.pay", {"total": object()}, customer=1) is None
    assert ["left out" in text for text in caplog.messages] == [True, False]
    assert "'total': it is required (Decimal) and was not given" in caplog.messages[1]


def test_trait_that_cannot_be_stored_is_left_out_alone(shop: Host) -> None:
    with shop.app.app_context():
        with pytest.raises(InvalidEvent, match="parameter 'x' cannot be written"):
            identify(3, {"x": object(), "plan": "pro"})
        shop.app.testing = False
        identify(3, {"x": object(), "path": pathlib.PurePosixPath("/a")})
    assert [profile["traits"] for profile in shop.rows("profile")] == [{"path": "/a"}]


def test_row_of_a_query_is_written_with_its_names(shop: Host) -> None:
    """And a row may be the parameters; an object of the ORM is no value."""
    with shop.app.app_context():
        row = shop.db.session.execute(sa.text("SELECT 1 AS a, 'x' AS b")).one()
        mapping = row._mapping
    params = send(shop, "signup.click", {"row": row, "mapping": mapping, "rows": [row]})["params"]
    assert params == {name: {"a": 1, "b": "x"} for name in ("row", "mapping")} | {
        "rows": [{"a": 1, "b": "x"}]
    }
    assert send(shop, "signup.click", t.cast("t.Any", row))["params"] == {"a": 1, "b": "x"}


@pytest.mark.parametrize("price", [decimal.Decimal("0.1") / 3, fractions.Fraction(1, 3)], ids=repr)
def test_decimal_fits_a_float(shop: Host, price: t.Any) -> None:
    """Where a float is asked for, its digits are enough."""
    row = send(shop, "product.view", {"sku": "A1", "name": "Mug", "price": price})
    assert row["params"]["price"] == float(price)


def test_decimal_keeps_its_digits(shop: Host) -> None:
    """As text where no number has them, whether the parameter is defined or not."""
    total = decimal.Decimal("0.12345678901234567890")
    row = send(shop, "order.pay", {"total": total, "rest": total})
    assert (row["params"]["total"], row["params"]["rest"]) == (str(total), str(total))
    assert row["label"] == f"Paid {total}"


@pytest.mark.parametrize("params", [[1], "abc", 7, [("a", 1)]], ids=repr)
def test_params_that_are_no_mapping_are_refused(shop: Host, params: t.Any) -> None:
    """The error says what was given."""
    message = f"params is a mapping of names to values, not {type(params).__name__}"
    with pytest.raises(InvalidEvent, match=message):
        send(shop, "signup.click", params)


def test_params_may_be_any_mapping(shop: Host) -> None:
    """The signature says Mapping."""
    params = types.MappingProxyType({"sku": "A1", "name": "Mug"})
    assert send(shop, "product.view", params)["label"] == "Viewed Mug"


def test_text_of_a_template_may_be_a_parameter(shop: Host) -> None:
    """Markup is a str, and what Flask's own escape() returns."""
    row = send(shop, "product.view", {"sku": "A1", "name": Markup("Mug &amp; Co")})
    assert row["params"]["name"] == "Mug &amp; Co"


def test_key_types_of_a_mapping_are_understood(host: Host) -> None:
    """msgspec understands dict[int, str], and JSON has no other names than text."""

    @host.events.define("a.b")
    class Given:
        names: dict[int, str]

    assert send(host, "a.b", {"names": {1: "one"}})["params"] == {"names": {"1": "one"}}


def test_in_production_nothing_raises_into_the_host(shop: Host) -> None:
    """The event is logged and counted; the view goes on."""
    shop.app.testing = False
    large = {"x": "y" * 40_000}
    with shop.app.app_context():
        for params in ([1], {str(n): n for n in range(257)}, large):
            assert track("signup.click", t.cast("t.Any", params), customer=1) is None
    assert shop.actions() == {}
