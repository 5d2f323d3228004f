"""The functions that a host has run on its events: ``events.on()``."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import re
import typing as t

from ..errors import InvalidDefinition
from ..store.new_events import StoredEvent

_MOST_TRIES = 1000
_NAME_LENGTH = 255
_PATTERN = re.compile(r"\*|[A-Za-z0-9._-]{1,32}|[A-Za-z0-9._-]{1,30}\.\*")
Call = cabc.Callable[[StoredEvent], object]


class Function(t.NamedTuple):
    """A function, the name of its position, and which events it is called with."""

    name: str
    pattern: str
    call: Call
    tries: int


class Functions:
    """The functions of an ``EventTrack`` object, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Function] = {}

    def add(self, pattern: object, call: object, name: str | None, tries: object) -> None:
        """Add a function.

        :raises InvalidDefinition: something is malformed, or the name is taken.
        """
        if not (isinstance(pattern, str) and _PATTERN.fullmatch(pattern)):
            raise InvalidDefinition(
                f"on({pattern!r}): this is no pattern. Give an action such as 'order.pay', a "
                "prefix such as 'order.*', or '*'."
            )
        if not callable(call):
            raise InvalidDefinition(f"on({pattern!r}): {call!r} cannot be called.")
        if any(map(inspect.iscoroutinefunction, (call, type(call).__call__))):
            raise InvalidDefinition(
                f"on({pattern!r}): {call!r} is async. Give a plain function, such as one that "
                "calls asyncio.run()."
            )
        if isinstance(tries, bool) or not isinstance(tries, int) or not 0 < tries <= _MOST_TRIES:
            raise InvalidDefinition(f"on({pattern!r}): tries is a number from 1 to {_MOST_TRIES}.")
        own = _name_of(pattern, call) if name is None else name
        if not isinstance(own, str) or not own.isprintable() or not 0 < len(own) <= _NAME_LENGTH:
            raise InvalidDefinition(
                f"on({pattern!r}): name is a text of 1 to {_NAME_LENGTH} characters."
            )
        if own in self._by_name:
            raise InvalidDefinition(
                f"on({pattern!r}): there is a function of the name {own!r} already. Each has a "
                "position of its own, so give one of them another name=."
            )
        self._by_name[own] = Function(own, pattern, call, tries)

    def list(self) -> list[Function]:
        """Return all of them."""
        return [*self._by_name.values()]


def _name_of(pattern: str, call: t.Any) -> str:
    """Return the name of a function by where it is defined, which no release should change."""
    module, name = getattr(call, "__module__", None), getattr(call, "__qualname__", None)
    if not module or not name or "<lambda>" in name:
        raise InvalidDefinition(
            f"on({pattern!r}): {call!r} has no name by which its position could be found after a "
            "restart. Give it a name=."
        )
    return f"{module}:{name}"
