"""Text as every database can store it: cleaned and cut; and the rule for an action."""

from __future__ import annotations

import collections.abc as cabc
import json
import operator
import re
import typing as t
import unicodedata
import uuid as uuidlib

from .errors import InvalidEvent

ACTION_MAX_LENGTH = 32
LABEL_MAX_LENGTH = 255
#: Longer titles of pages are cut.
TITLE_MAX_LENGTH = 2000

_ACTION_PATTERN = re.compile(r"[a-zA-Z0-9.\-_]+")
_NAME = re.compile(r"[^\W\d][\w.\-]*")
# Between the words of an action: addToCart, add_to_cart, add-to-cart.
_WORD_BREAK = re.compile(r"[_-]+|(?<=[a-z\d])(?=[A-Z])")
_UNPRINTABLE = re.compile(r"[^ -~]")
# PostgreSQL does not store NUL, and no driver can encode a lone surrogate.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_action(action: object) -> str:
    """Return ``action`` if it is a well-formed ``context.activity``.

    An action has 1 to 32 characters of ``[a-zA-Z0-9.\\-_]`` (Synerise's rule), and a dot that is
    neither first nor last.

    :raises InvalidEvent: the action breaks the rule; the message says which part.
    """
    if not isinstance(action, str):
        problem = f"an action is a str, not {type(action).__name__}"
    elif not 1 <= len(action) <= ACTION_MAX_LENGTH:
        problem = f"an action has 1 to {ACTION_MAX_LENGTH} characters, this has {len(action)}"
    elif not _ACTION_PATTERN.fullmatch(action):
        problem = "an action is made of the letters a-z and A-Z, digits, '.', '-' and '_' only"
    elif "." not in action[1:-1]:
        problem = "an action is written 'context.activity', with a dot inside"
    else:
        return action
    raise InvalidEvent("invalid_action", f"{str(action)[:64]!r}: {problem}.")


def write_id(value: object, max_length: int) -> str | None:
    """Return an id as text: a str as it is, an integer of any library, a UUID. None if it is none
    of these, or a number of more digits than ``max_length``."""
    if isinstance(value, str):
        return str.__str__(value)  # a subclass's own may say something else, as an enum's does
    if isinstance(value, uuidlib.UUID):
        return str(value)
    if isinstance(value, bool):
        return None
    try:
        number = operator.index(t.cast("t.SupportsIndex", value))
    except TypeError:
        return None
    # Python refuses to print a number of very many digits.
    return str(number) if abs(number) < 10 ** (max_length - 1) else None


def is_name(text: str) -> bool:
    """Whether a parameter's name looks like one: letters, digits, ``.-_``, and a letter first."""
    return _NAME.fullmatch(text) is not None


def shorten(value: object, length: int = 60) -> str:
    """Return a value's ``repr``, at most ``length`` characters of it, for an error message."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of very many digits"
    return text if len(text) <= length else text[: length - 1] + "…"


def escape(text: object) -> str:
    """Return a text as a terminal or a line of a log may show it: with the escapes of JSON in place
    of control characters, line separators, and marks that turn the direction of text around."""
    text = str(text)
    return text if text.isprintable() else _UNPRINTABLE.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    character = match[0]
    is_shown = character.isprintable() or unicodedata.category(character) == "Zs"
    return character if is_shown else json.dumps(character)[1:-1]


def quantify(number: int, noun: str) -> str:
    """Return a number with its noun: "1 event", "2 events", "0 aliases"."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"


def clean_text(text: str) -> str:
    """Return ``text`` with U+FFFD in place of each character that some database cannot store."""
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


def clean_action(action: object) -> str:
    """Return what was sent as an action, valid or not, as it can be counted and stored."""
    return clean_text(str(action)[:ACTION_MAX_LENGTH])


def page_label(params: cabc.Mapping[str, t.Any]) -> str:
    """Return the label of a page visit: its title, else its path."""
    name = params.get("title") or params.get("path") or params.get("url") or ""
    return clip_label(f"Visited page {name}")


def action_label(action: str) -> str:
    """Return a sentence for an event without a label: "Product: add to cart" for
    ``product.addToCart``."""
    context, _, activity = _WORD_BREAK.sub(" ", action.strip("._-")).rpartition(".")
    words = f"{context.replace('.', ' ')}: {activity}" if context else activity
    return words.capitalize()


def clip_label(label: str) -> str:
    """Return ``label`` cut to 255 characters."""
    return label if len(label) <= LABEL_MAX_LENGTH else label[: LABEL_MAX_LENGTH - 1] + "…"
