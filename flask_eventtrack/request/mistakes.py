"""What becomes of the mistakes in the host's own calls."""

from __future__ import annotations

import collections.abc as cabc
import logging
import re

from ..errors import InvalidEvent, NotRegistered
from ..records import Outcome
from ..state import State, this_app
from .checking import countable_action, refuse

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_CUT = re.compile(r"(?:[\d -]{4,}|\S+)…")  # half a number or a word


def answer_mistake(state: State, action: str, error: InvalidEvent | NotRegistered) -> None:
    """Raise the caller's mistake in debug and testing; log and count it otherwise."""
    if isinstance(error, InvalidEvent):
        refuse(state, action, error)
    else:
        name = countable_action(state, action)
        state.pipeline.count(Outcome("rejected", name, "invalid_customer"))
    if raises_mistakes():
        raise error
    logger.warning("An event was not recorded. %s", _clean_message(state, error))


def raises_mistakes() -> bool:
    """Whether the caller's mistakes are raised."""
    return this_app().testing or this_app().debug


def _clean_message(state: State, error: Exception) -> str:
    """Return an error's message for the log: it may quote what a visitor has sent, and cut it."""
    return state.urls.clean_text(_CUT.sub("…", str(error)))


def count_left_out(state: State, action: str, errors: cabc.Iterable[InvalidEvent]) -> None:
    """Count the values that were left out, and log each kind once."""
    for error in errors:
        state.pipeline.count(Outcome("left_out", action, error.code))
        state.warn_once(
            f"left out: {action} {error}",
            "A value of %r was left out. %s",
            action,
            _clean_message(state, error),
        )
