"""Amounts of money: read, rounded and written without a float."""

from __future__ import annotations

import ast
import decimal
import enum
import pathlib
import typing as t

import pytest

import flask_eventtrack
from flask_eventtrack import money
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.money import (
    MAX_AMOUNT,
    check_currency,
    from_minor,
    limit_minor,
    multiply,
    pad_money,
    parse_money,
    to_minor,
    write_money,
)

D = decimal.Decimal
PACKAGE = pathlib.Path(flask_eventtrack.__file__).parent
MONEY_MODULES = [
    "money.py",
    "transactions.py",
    "catalogue/orders.py",
    "collector/transactions.py",
    "dashboard/revenue.py",
    "reports/amounts.py",
    "reports/revenue.py",
    "request/transactions.py",
    "store/cancelling.py",
    "store/orders.py",
    "store/revenue.py",
]


class Price(enum.IntEnum):
    LOW = 5


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("12.30", "12.30"),
        (" 12.30\n", "12.30"),
        ("+5", "5"),
        ("5.", "5"),
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        (Text("7.5"), "7.5"),
        ("0" * 29 + "1", "1"),
        ("0.123456789012345678901234567890", "0.123456789012345678901234567890"),
        (12, "12"),
        (0, "0"),
        (Price.LOW, "5"),
        (MAX_AMOUNT, "1000000000000000"),
        (D("12.30"), "12.30"),
        (D("-0"), "0"),
        (D("1E+3"), "1000"),
        (D("1E-3"), "0.001"),
    ],
)
def test_amounts_are_read_with_all_their_digits(given: t.Any, text: str) -> None:
    """Decimals, integers and decimal text."""
    assert write_money(parse_money(given, "total")) == text


@pytest.mark.parametrize(
    "given",
    [
        *(
            None,
            True,
            False,
            "",
            " ",
            ".",
            ".5",
            "1,50",
            "1.000,00",
            "1 000",
            "12 EUR",
            "€12",
            "1e3",
        ),
        *(
            "0x10",
            "NaN",
            "Infinity",
            "1_000",
            "१२",
            "12\x00",
            "1" * 31,
            "1." + "1" * 31,
            b"12",
            [12],
        ),
        *({"amount": 12}, 12j, MAX_AMOUNT + 1, 10**5000),
        *(D("NaN"), D("sNaN"), D("Infinity"), D("1E+31"), D("1E-31"), D("1" * 31)),
    ],
    ids=lambda value: (
        repr(value)[:30]
        if not isinstance(value, int)
        else str(value)[:30]
        if abs(value) < 10**20
        else "huge"
    ),
)
def test_what_is_no_amount_is_refused(given: t.Any) -> None:
    """The error names the argument and says what is taken."""
    with pytest.raises(
        InvalidEvent, match=r"^total is a Decimal, an integer or text such as '12.30'; it was"
    ) as e:
        parse_money(given, "total")
    assert (e.value.code, e.value.param) == ("invalid_money", "total")


@pytest.mark.parametrize("given", [12.3, 12.0, 0.0, float("nan"), float("inf"), -1.5])
def test_float_is_refused_and_told_why(given: float) -> None:
    """Also a whole one."""
    with pytest.raises(InvalidEvent, match="A float has no exact cents"):
        parse_money(given, "total")


@pytest.mark.parametrize("given", [-1, "-0.01", D(-1)])
def test_negative_amount_is_refused(given: t.Any) -> None:
    """What is returned has a call of its own."""
    with pytest.raises(
        InvalidEvent, match=r"^total is below 0: .* the amount of cancel_transaction\(\)"
    ):
        parse_money(given, "total")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.30", "EUR", 1230),
        ("12.345", "EUR", 1235),
        ("12.344999999999999999999999999", "EUR", 1234),
        ("0.005", "EUR", 1),
        ("0.0049", "EUR", 0),
        ("0.015", "USD", 2),
        ("0.025", "USD", 3),
        ("2.5", "JPY", 3),
        ("3.5", "JPY", 4),
        ("1500", "JPY", 1500),
        ("1.2345", "KWD", 1235),
        ("1.23455", "CLF", 12346),
        ("10000000000000.00", "EUR", MAX_AMOUNT),
    ],
)
def test_half_a_unit_is_rounded_away_from_zero(text: str, currency: str, minor: int) -> None:
    """As databases round, whatever the currency's minor unit is."""
    assert to_minor(D(text), currency, "total") == minor


def test_too_large_an_amount_is_refused() -> None:
    """The error says what is possible; a cancellation is cut."""
    with pytest.raises(InvalidEvent, match=r"at most 10000000000000\.00"):
        to_minor(D("10000000000000.005"), "EUR", "total")
    assert limit_minor("9" * 30, "EUR") == MAX_AMOUNT
    assert limit_minor("12.345", "EUR") == 1235


CURRENCIES = [(code, digits) for code, digits in money._DIGITS.items()]


@pytest.mark.parametrize(("code", "digits"), CURRENCIES)
def test_each_currency_has_its_digits(code: str, digits: int) -> None:
    """What is written in minor units is read back."""
    assert check_currency(code) == code
    assert digits in {0, 2, 3, 4}
    assert to_minor(D(1), code, "total") == 10**digits
    text = from_minor(12345, code)
    assert (to_minor(D(text), code, "total"), len(text.partition(".")[2])) == (12345, digits)
    assert pad_money(D(5), code) == from_minor(5 * 10**digits, code)


@pytest.mark.parametrize("given", ["eur", "Euro", "€", "", None, 978, "XXX", "EUR ", b"EUR", "XTS"])
def test_other_codes_are_no_currency(given: t.Any) -> None:
    """A code of ISO 4217, in capitals."""
    with pytest.raises(InvalidEvent, match=r"^currency is a code of ISO 4217 in capitals, such"):
        check_currency(given)


def test_amounts_keep_more_digits_than_the_currency_has() -> None:
    """A price of half a cent is one, also of many pieces."""
    assert pad_money(D("0.0375"), "EUR") == "0.0375"
    assert pad_money(D("12.3"), "EUR") == "12.30"
    assert to_minor(multiply(D("0.0375"), 4), "EUR", "amount") == 15
    assert write_money(multiply(D("9" * 30), 1_000_000)) == "9" * 30 + "000000"


@pytest.mark.parametrize("digits", [1, 5, 28])
def test_a_host_s_decimal_context_changes_nothing(digits: int) -> None:
    """A host may have set its own precision and rounding."""
    with decimal.localcontext(prec=digits, rounding=decimal.ROUND_DOWN):
        assert to_minor(D("123456789.125"), "EUR", "total") == 12345678913
        assert from_minor(12345678913, "EUR") == "123456789.13"
        assert pad_money(D("123456789"), "EUR") == "123456789.00"


def find_floats(source: str) -> list[str]:
    """Return the floats of a module: as literals, by name, or by a division."""
    found = []
    for node in ast.walk(ast.parse(source)):
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_named = isinstance(node, ast.Name) and node.id == "float"
        is_division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if is_literal or is_named or is_division:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("name", MONEY_MODULES)
def test_money_is_in_no_float(name: str) -> None:
    """The only floats in these modules are those that are refused."""
    allowed = ["float"] * 2 if name == "money.py" else []
    assert find_floats((PACKAGE / name).read_text()) == allowed


def test_floats_are_found() -> None:
    """The test above could fail."""
    assert len(find_floats("a = 0.1\nb = float('1')\nc = 5 / 2\na /= 2")) == 4
