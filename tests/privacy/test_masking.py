"""Masking: what is found by its form, what is left alone, and that a text is masked once."""

from __future__ import annotations

import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_eventtrack.privacy.masking import Masker

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImV4cCI6MX0.c2lnbmF0dXJlLW9mLWl0"
HEX32, HEX64 = "9f86d081884cf6d6f9a1b7c3d5e0f213", "9f86d081884cf6d6" * 4
BASE64URL = "Zk3Qv1xT9bLw0RmYcN7sUaHd2EjPgKo4"

MASKED = [
    # E-mail addresses
    ("ada@example.com", "[email]"),
    ("a@b.co", "[email]"),
    ("Write to ada.lovelace+shop@mail.example.co.uk.", "Write to [email]."),
    ("<ada@example.com>, bob_2@3com.com", "<[email]>, [email]"),
    ("jürgen@müller.de", "[email]"),
    ("mailto:ada@example.com", "mailto:[email]"),
    ("https://shop.example/reset/ada%40example.com", "https://shop.example/reset/[email]"),
    ("/search?q=ada@example.com&page=2", "/search?q=[email]&page=2"),
    ("git@github.com:pallets/flask", "[email]:pallets/flask"),
    # Payment card numbers: test numbers of the issuers
    ("4111111111111111", "[card]"),
    ("4111 1111 1111 1111", "[card]"),
    ("4111-1111-1111-1111", "[card]"),
    ("4222222222222", "[card]"),
    ("4000000000000000006", "[card]"),
    ("5555555555554444", "[card]"),
    ("2223003122003222", "[card]"),
    ("378282246310005", "[card]"),
    ("3782 822463 10005", "[card]"),
    ("30569309025904", "[card]"),
    ("3056 930902 5904", "[card]"),
    ("6011111111111117", "[card]"),
    ("3530111333300000", "[card]"),
    ("6200000000000005", "[card]"),
    ("6304000000000000", "[card]"),
    ("Card:4111111111111111.", "Card:[card]."),
    ("paid with 4111 1111 1111 1111 123", "paid with [card] 123"),
    ("12/2030 4111 1111 1111 1111 12/2030", "12/2030 [card] 12/2030"),
    ("5000 4111 1111 1111 1111", "5000 [card]"),
    ("4111111111111111, 5555555555554444", "[card], [card]"),
    ("id_4111111111111111", "id_[card]"),
    # Tokens
    (JWT, "[token]"),
    (f"see {JWT}, please", "see [token], please"),
    (f"https://shop.example/?t={JWT}#x", "https://shop.example/?t=[token]#x"),
    ("Authorization: Bearer mF_9.B5f-4.1JqM", "Authorization: [token]"),
    ("bearer abc123==", "[token]"),
    ("AKIAIOSFODNN7EXAMPLE", "[token]"),
    ("key ASIAIOSFODNN7EXAMPLE.", "key [token]."),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[token]"),
    ("github_pat_11ABCDEFG0123456789_abc", "[token]"),
    ("xoxb-123456789012-abcdefghijkl", "[token]"),
    ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[token]"),
    ("AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "[token]"),
    (HEX32, "[token]"),
    (HEX64.upper(), "[token]"),
    (f"/reset/{HEX64}/", "/reset/[token]/"),
    (BASE64URL, "[token]"),
    ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "[token]"),
    ("z3k9q0v7m2x5c8b1n4l6j0h3g9f2d5s8", "[token]"),
    ("gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg==", "[token]"),
    (f"{HEX32}=on", "[token]=on"),
    ("password=hunter2", "password=[token]"),
    ("pwd=x1", "pwd=[token]"),
    ("Passwd=hunter2&next=/", "Passwd=[token]&next=/"),
    ("?api_key=abc&x=1", "?api_key=[token]&x=1"),
    ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key=[token]"),
    ('{"user": "ada", "password": "hunter2"}', '{"user": "ada", "password": "[token]"}'),
    ("password=ada@example.com 4111 1111 1111 1111", "password=[token] [card]"),
]

LEFT_ALONE = [
    "",
    " ",
    "iPhone 15",
    "iPhone 15 Pro Max 256GB, blue titanium",
    "A-10432",
    "SKU-2026-0000123",
    "302-1234567-1234567",
    "123456789012",
    "100234567890",
    "ORDER 4111 1111",
    "0190b2f0-7a3c-7cc1-9d59-1f2f5d0e8a11",
    "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
    "f81d4fae7dec41d0a76500a0c91e6bf6",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "507f1f77bcf86cd799439011",
    "dQw4w9WgXcQ",
    "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "2026-11-21",
    "2026-11-21T12:00:00.123456+00:00",
    "2026-11-21 2026-11-22 2026-11-23",
    "1732190400000",
    "1732190400000000000",
    "12.50 €",
    "3 mugs@5.99",
    "4.123456789012345",
    "51.507350912345678",
    "+49 151 234567890",
    "+4915123456704",
    "192.168.100.200",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "4006381333931",
    "5449000000996",
    "9783161484100",
    "4111111111111112",
    "1111111111111117",
    "41111111111111111111",
    "0.4111111111111111",
    "x4111111111111111",
    "/products/mugs/blue-mug-with-a-very-long-name-of-2026",
    "https://shop.example/products/mug?utm_source=news&utm_medium=email&sort=price",
    "https://shop.example/img/logo@2x.png",
    "campaign-507f1f77bcf86cd799439011-spring-2026",
    "/a/Summer-Sale-2026-Everything-Must-Go-Now-And-Fast",
    "the_quick_brown_fox_jumps_over_the_lazy_dog_twice_2026",
    "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk",
    "-" * 64,
    "_" * 64,
    "0" * 64,
    "@media (min-width: 40em)",
    "@ada and user@host",
    "Bearer certificates",
    "Token Ring, 16 Mbit/s",
    "Forgot your password? Reset: here",
    "one-of-the-long-words-with-hyphens=",
    "?next_tokens=5&secretary=ada&monkey=1",
    "utm_content=banner",
    "[email] [card] [token]",
    "日本語のタイトル、とても長い商品名です",
    "\ufffd" * 40,
]

KEPT: list[t.Any] = [*LEFT_ALONE, 17, 4111111111111111, 10**18, 12.5, float("nan"), True, None]


@pytest.mark.parametrize(("value", "masked"), MASKED, ids=ascii)
def test_personal_data_is_masked(value: str, masked: str) -> None:
    """Wherever it is; the text around it stays."""
    assert Masker().mask_params({"x": value}) == {"x": masked}
    assert Masker().mask_text(value) == masked


@pytest.mark.parametrize("value", KEPT, ids=ascii)
def test_what_shops_record_is_left_alone(value: t.Any) -> None:
    """Names, ids, dates, prices, paths and articles; the very same object comes back."""
    params = {"x": value, "y": {"z": [value]}}
    assert Masker().mask_params(params) is params


def test_all_levels_are_masked() -> None:
    """Values in lists and mappings, and names; the original is not changed."""
    params = {"a": [{"b": "x@y.example"}, 1, ["4111111111111111"]], "ada@example.com": {"c": HEX32}}
    assert Masker().mask_params(params) == {
        "a": [{"b": "[email]"}, 1, ["[card]"]],
        "[email]": {"c": "[token]"},
    }
    assert "ada@example.com" in params


def test_own_rules_come_last() -> None:
    """A pattern's matches become [masked]; a function returns the text."""
    masker = Masker((re.compile(r"\bPAT-\d{6}\b"), lambda text: text.replace("Ada", "[name]")))
    assert masker.mask_text("Ada (PAT-123456), ada@example.com") == "[name] ([masked]), [email]"
    params = {"x": "nothing", "y": [1]}
    assert masker.mask_params(params) is params
    assert masker.mask_params({"y": ["PAT-123456"]}) == {"y": ["[masked]"]}


FRAGMENTS = st.sampled_from(
    [
        *(str(value) for value, _ in MASKED),
        *("@", "%40", ".", "-", "_", " ", "+", "=", "a", "A1", "4", "4111", "&", '"', ": ", "\n"),
        *("Bearer ", "eyJ", "password", "token=", "sk-", "AKIA", "[token]", "é", "x.y", HEX32[:20]),
    ]
)


@given(st.one_of(st.text(), st.lists(FRAGMENTS).map("".join)))
def test_masking_twice_is_masking_once(text: str) -> None:
    """Of any text."""
    masked = Masker().mask_text(text)
    assert Masker().mask_text(masked) == masked


@given(st.lists(FRAGMENTS, max_size=4).map(" ; ".join))
def test_what_is_looked_for_is_not_left(text: str) -> None:
    """Between words, each example of the table is gone."""
    found = {str(value) for value, _ in MASKED} & set(text.split(" ; "))
    assert not found & set(Masker().mask_text(text).split(" ; "))


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "@", ".", "+", "_", "4", "a@", "a@b.", "b.", "a-", "A1b-", "1 ", "4444 ", "4444-"),
        *("4444-4444-4444-4444-", "eyJ", "eyJ.", "eyJaaaaa.", "bearer ", "Bearer a", "password="),
        *("token", '"', '":', 'token": "', "%40", "a%40", "sk-", "AKIA", "Aa0" * 11 + "_", "x=y"),
    ],
)
def test_long_texts_are_masked_in_one_go(unit: str) -> None:
    """32 KiB of what patterns begin with: were one of them quadratic, this would take minutes."""
    text = unit * (32 * 1024 // len(unit))
    for long in (text, f"{text}@", f"{text} a@b.co", f"a@b.co {text}", f"password={text}"):
        masked = Masker().mask_text(long)
        assert Masker().mask_text(masked) == masked
