"""The pages that a session saw after a moment, or before it, and the tree of many. Pure."""

from __future__ import annotations

import collections
import collections.abc as cabc
import itertools
import typing as t

from .path_rows import Direction, PathNode

#: How many pages deep paths are.
DEPTH: t.Final = 3
_MOST_NODES = 10

#: A moment, or a text that sorts like it.
Moment = t.Any
#: When a page was seen, and its route.
Seen = tuple[Moment, str]
#: The routes of the pages, the nearest first; None at the end if there are no more.
Trail = tuple[str | None, ...]


def follow(pages: cabc.Iterable[Seen], start: Moment, route: str | None, to: Direction) -> Trail:
    """Return what a session saw after its start, or before it.

    :param pages: the pages of the session in any order.
    :param route: that of the start, which is one of them; None if it is an event.
    """
    order = sorted(pages)
    if route is None:
        before = [each for at, each in order if at <= start]
        after = [each for at, each in order if at > start]
    else:
        place = order.index((start, route))
        before = [each for _, each in order[:place]]
        after = [each for _, each in order[place + 1 :]]
    routes = after if to == "next" else before[::-1]
    own = [] if route is None else [route]
    # One page several times in a row is one place.
    places = [each for each, _ in itertools.groupby([*own, *routes])][len(own) :]
    return end_trail(places)


def end_trail(places: cabc.Sequence[str]) -> Trail:
    """Return the trail of places, which ends with None if there are too few."""
    return tuple(places[:DEPTH]) if len(places) >= DEPTH else (*places, None)


class Branches(t.NamedTuple):
    """The places after another one: see :class:`.PathNode`."""

    nodes: tuple[PathNode, ...]
    rest: int
    other_pages: int


def make_branches(trails: cabc.Mapping[Trail, int]) -> Branches:
    """Return the tree of trails, each with how many sessions have it."""
    by_page = collections.defaultdict[str | None, dict[Trail, int]](dict)
    for trail, number in trails.items():
        if trail:
            by_page[trail[0]][trail[1:]] = number
    sums = {page: sum(rest.values()) for page, rest in by_page.items()}
    total = sum(sums.values())
    order = sorted(sums, key=lambda page: (-sums[page], page or ""))
    pages = [page for page in order if page is not None]
    shown = {*pages[:_MOST_NODES], None}
    nodes = []
    for page in order:
        if page in shown:
            branches = make_branches(by_page[page])
            nodes.append(PathNode(page, sums[page], sums[page] / total, *branches))
    others = pages[_MOST_NODES:]
    return Branches(tuple(nodes), sum(sums[page] for page in others), len(others))
