"""What the report of paths answers: frozen rows with typed fields."""

from __future__ import annotations

import dataclasses
import typing as t

from ..rows import Cut

#: Whether it is asked what people saw next, or before.
Direction = t.Literal["next", "before"]


@dataclasses.dataclass(frozen=True, slots=True)
class PathNode:
    """A place in the paths of sessions.

    ``page`` is the place's route. It is None where the session ended; in paths of what came before,
    where it began. ``sessions`` is how many sessions had this path. ``share`` is their share of the
    sessions at the place before (0 to 1). ``nodes`` are the ten most frequent places after it, and
    the end. ``rest`` is how many sessions went to any of the ``other_pages``.
    """

    page: str | None
    sessions: int
    share: float
    nodes: tuple[PathNode, ...] = ()
    rest: int = 0
    other_pages: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """What people saw after a start, or before it, three pages deep.

    ``start`` and ``where`` are the event or page and its conditions, as in a URL. ``sessions`` is
    how many had it. ``nodes``, ``rest`` and ``other_pages`` are as in :class:`PathNode`. ``cut``
    says which part a limit has cut.
    """

    start: str
    where: tuple[str, ...]
    direction: Direction
    sessions: int
    nodes: tuple[PathNode, ...]
    rest: int
    other_pages: int
    cut: Cut | None = None
