"""The rules for an action and for labels."""

from __future__ import annotations

import pytest

from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.text import check_action, clip_label, page_label


@pytest.mark.parametrize(
    "action",
    ["a.b", "page.visit", "product.addToCart", "A-1_2.b", "a.b.c", "x.-", f"{'a' * 30}.b"],
)
def test_well_formed_action_is_returned_as_it_is(action: str) -> None:
    """1 to 32 letters, digits and ".-_", with a dot inside."""
    assert check_action(action) == action


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ("", "1 to 32 characters, this has 0"),
        (f"{'a' * 31}.b", "1 to 32 characters, this has 33"),
        ("a." + "b" * 100_000, "1 to 32 characters, this has 100002"),
        ("page", "'context.activity', with a dot inside"),
        (".", "'context.activity', with a dot inside"),
        ("..", "'context.activity', with a dot inside"),
        (".visit", "'context.activity', with a dot inside"),
        ("page.", "'context.activity', with a dot inside"),
        ("page.visit\n", "letters a-z and A-Z"),
        ("page.visit\r\n", "letters a-z and A-Z"),
        ("\npage.visit", "letters a-z and A-Z"),
        ("page .visit", "letters a-z and A-Z"),
        ("page.visit\x00", "letters a-z and A-Z"),
        ("pаge.visit", "letters a-z and A-Z"),  # noqa: RUF001 - a Cyrillic letter
        ("page․visit", "letters a-z and A-Z"),  # noqa: RUF001 - a one dot leader
        ("page。visit", "letters a-z and A-Z"),
        ("page.vısit", "letters a-z and A-Z"),  # noqa: RUF001 - a dotless i
        ("page.visit１", "letters a-z and A-Z"),  # noqa: RUF001 - a fullwidth digit
        ("page.vi\u0301sit", "letters a-z and A-Z"),
        ("page.\u200bvisit", "letters a-z and A-Z"),
        ("page.\ud800", "letters a-z and A-Z"),
        ("page/visit", "letters a-z and A-Z"),
        ("page.*", "letters a-z and A-Z"),
        (b"page.visit", "an action is a str, not bytes"),
        (None, "an action is a str, not NoneType"),
        (7, "an action is a str, not int"),
        (True, "an action is a str, not bool"),
        (["page.visit"], "an action is a str, not list"),
    ],
)
def test_malformed_action_is_refused_with_the_rule_it_breaks(action: object, problem: str) -> None:
    """The whole text is matched, and look-alikes are not letters."""
    with pytest.raises(InvalidEvent, match=problem) as caught:
        check_action(action)
    assert (caught.value.code, caught.value.param) == ("invalid_action", None)
    assert len(caught.value.message) < 700


def test_message_can_be_encoded_whatever_came() -> None:
    """A lone surrogate is quoted as an escape, so that logs and answers take it."""
    with pytest.raises(InvalidEvent, match=r"'page\.\\ud800': ") as caught:
        check_action("page.\ud800")
    assert caught.value.message.encode()


@pytest.mark.parametrize(
    ("label", "clipped"),
    [
        ("", ""),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("😀" * 300, "😀" * 254 + "…"),
    ],
)
def test_label_has_at_most_255_characters(label: str, clipped: str) -> None:
    """A longer one is cut, and shows it."""
    assert clip_label(label) == clipped


@pytest.mark.parametrize(
    ("params", "label"),
    [
        ({"title": "Pricing", "path": "/p", "url": "http://h/p"}, "Visited page Pricing"),
        ({"title": "", "path": "/p", "url": "http://h/p"}, "Visited page /p"),
        ({"url": "http://h/p"}, "Visited page http://h/p"),
        ({}, "Visited page "),
    ],
)
def test_page_label_falls_back_to_the_path_and_the_url(params: dict[str, str], label: str) -> None:
    """A page without a title is named by where it is."""
    assert page_label(params) == label
