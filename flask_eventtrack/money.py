"""Amounts of money: decimals in, integer minor units and text with all digits out; never floats."""

from __future__ import annotations

import dataclasses
import decimal
import re

from .errors import InvalidEvent
from .text import shorten

#: An amount of money: a Decimal, an integer, or a decimal number as text.
Amount = decimal.Decimal | int | str

# ISO 4217, list one of 2026-01-01: the currencies by the number of digits of their minor unit, such
# as cents. Those of the last line were withdrawn after 2022; older orders have them.
_CURRENCIES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
    "GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR "
    "LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD "
    "PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
    "SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR "
    "ZMW ZWG "
    "ANG BGN CUC HRK SLL ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {code: digits for digits, codes in _CURRENCIES.items() for code in codes.split()}
_UNITS = {digits: decimal.Decimal(1).scaleb(-digits) for digits in _CURRENCIES}
#: In minor units. Sums of a thousand such amounts fit into 64 bits.
MAX_AMOUNT = 10**15
_MAX_DIGITS = 30
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{0,30})?", re.ASCII)
# More digits than an amount has, so that no step rounds but the one that is meant to.
_CONTEXT = decimal.Context(prec=80, rounding=decimal.ROUND_HALF_UP)


class Digits(decimal.Decimal):
    """A decimal that is stored as text with all of its digits, also where a number could be."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, init=False)
class Money:
    """An amount of a currency, for the parameters of a definition.

    It is stored as ``{"amount": "9.90", "currency": "EUR"}``: the amount as text with all of its
    digits, at least those of the currency's minor unit. Clients send the same, or one text:
    ``"9.90 EUR"``. Labels and pages show ``EUR 9.90``.

    :param amount: a Decimal, an integer or decimal text such as 9.90, and no float; below 0 too.
    :param currency: a code of ISO 4217 such as EUR.
    :raises InvalidEvent: the amount is a float or no number, or there is no such currency.
    """

    amount: decimal.Decimal
    currency: str

    def __init__(self, amount: Amount, currency: str) -> None:
        object.__setattr__(self, "amount", amount)
        object.__setattr__(self, "currency", currency)
        self.__post_init__()

    def __post_init__(self) -> None:
        currency = check_currency(self.currency)
        amount = _parse_decimal(self.amount, "amount") or decimal.Decimal(0)  # -0 is 0
        object.__setattr__(self, "currency", currency)
        object.__setattr__(self, "amount", Digits(pad_money(amount, currency)))

    def __str__(self) -> str:
        return f"{self.currency} {self.amount:f}"


def split_money(text: str) -> dict[str, str] | None:
    """Return "9.90 EUR" or "EUR 9.90" as the parts of :class:`Money`; None if it is neither."""
    words = text.split()
    if len(words) != 2:
        return None
    amount, currency = words if words[1] in _DIGITS else reversed(words)
    return {"amount": amount, "currency": currency} if currency in _DIGITS else None


def has_float(value: object) -> bool:
    """Whether an amount of money in a mapping, or in a list of them, is a float."""
    match value:
        case {"amount": float(), "currency": _}:
            return True
        case list():
            return any(map(has_float, value))
    return False


def show_money(value: object) -> str | None:
    """Return a stored :class:`Money` as text: "EUR 9.90"; None for any other value."""
    match value:
        case {"amount": str(amount), "currency": str(currency), **rest} if not rest:
            return f"{currency} {amount}" if currency in _DIGITS else None
    return None


def check_currency(currency: object, param: str = "currency") -> str:
    """Return the code of a currency.

    :raises InvalidEvent: it is not in ISO 4217.
    """
    if isinstance(currency, str) and currency in _DIGITS:
        return str.__str__(currency)
    raise InvalidEvent(
        "invalid_money",
        f"{param} is a code of ISO 4217 in capitals, such as 'EUR', not {shorten(currency, 40)}.",
        param,
    )


def parse_money(value: object, param: str) -> decimal.Decimal:
    """Return an amount of 0 or more, with all of its digits.

    :param param: the name of what it is, for the error.
    :raises InvalidEvent: it is a float, no number, or negative.
    """
    amount = _parse_decimal(value, param)
    if amount < 0:
        problem = (
            f"{param} is below 0: {shorten(value, 40)}. A discount is above 0 too, and a refund is "
            "the amount of cancel_transaction()"
        )
        raise _invalid(problem, param)
    return amount.copy_abs()  # -0 is 0


def _parse_decimal(value: object, param: str) -> decimal.Decimal:
    given = shorten(value, 40)
    if isinstance(value, float):
        problem = (
            f"{param} is the float {given}. A float has no exact cents (0.1 + 0.2 is not 0.3): "
            "give a Decimal, an integer or text"
        )
        raise _invalid(problem, param)
    amount = _read_number(value)
    if amount is None:
        problem = f"{param} is a Decimal, an integer or text such as '12.30'; it was {given}"
        raise _invalid(problem, param)
    return amount


def _read_number(value: object) -> decimal.Decimal | None:
    if isinstance(value, str):
        text = value.strip()
        return decimal.Decimal(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | decimal.Decimal):
        return None
    if isinstance(value, int):
        return decimal.Decimal(value) if abs(value) <= MAX_AMOUNT else None
    if not value.is_finite():
        return None
    _, digits, exponent = value.as_tuple()
    is_short = len(digits) <= _MAX_DIGITS and abs(int(exponent)) <= _MAX_DIGITS
    return value if is_short else None


def _invalid(problem: str, param: str) -> InvalidEvent:
    return InvalidEvent("invalid_money", f"{problem}.", param)


def to_minor(amount: decimal.Decimal, currency: str, param: str) -> int:
    """Return an amount in minor units, such as cents.

    Half a unit is rounded away from zero, as PostgreSQL and MariaDB round what they store in a
    column of two digits.

    :raises InvalidEvent: it is too large.
    """
    units = int(_CONTEXT.to_integral_value(_CONTEXT.scaleb(amount, _DIGITS[currency])))
    if abs(units) > MAX_AMOUNT:
        largest = from_minor(MAX_AMOUNT, currency)
        raise _invalid(f"{param} is at most {largest}; it was {shorten(str(amount), 40)}", param)
    return units


def from_minor(units: int, currency: str) -> str:
    """Return minor units as a decimal text: "12.30"."""
    return write_money(_CONTEXT.scaleb(decimal.Decimal(units), -_DIGITS[currency]))


def limit_minor(amount: str, currency: str) -> int:
    """Return an amount that :func:`parse_money` has read in minor units, or the largest amount."""
    try:
        return to_minor(decimal.Decimal(amount), currency, "amount")
    except InvalidEvent:
        return MAX_AMOUNT


def multiply(price: decimal.Decimal, quantity: int) -> decimal.Decimal:
    """Return the price of so many, with all of its digits."""
    return _CONTEXT.multiply(price, quantity)


def add(amount: decimal.Decimal, other: decimal.Decimal) -> decimal.Decimal:
    """Return a sum with all of its digits, whatever the precision of the host's own context."""
    return _CONTEXT.add(amount, other)


def write_money(amount: decimal.Decimal) -> str:
    """Return an amount as text with all of its digits, without an exponent."""
    return f"{amount:f}"


def pad_money(amount: decimal.Decimal, currency: str) -> str:
    """Return an amount as text with all of its digits, at least those of its currency's minor unit:
    "12.00"."""
    digits = -int(amount.as_tuple().exponent)
    if digits < _DIGITS[currency]:
        amount = _CONTEXT.quantize(amount, _UNITS[_DIGITS[currency]])
    return write_money(amount)
