"""Paths in words, and their columns."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ...reports.explore.path_rows import PathNode, Paths
from ...reports.explore.trails import DEPTH
from ..figures import quantify, shorten, write_percent
from ..query import Query

_LABEL = 60


class DrawnPlace(t.NamedTuple):
    """A place in a column. ``href`` opens what came after it; None where there is nothing more."""

    label: str
    href: str | None
    is_open: bool
    number: int
    share: str
    bar: float


class Column(t.NamedTuple):
    """The places after another one."""

    title: str
    places: list[DrawnPlace]


def name_start(text: str) -> str:
    return shorten(text.removeprefix("page:"), _LABEL)


def write_title(found: Paths) -> str:
    return f"{'After' if found.direction == 'next' else 'Before'} {name_start(found.start)}"


def write_lead(found: Paths) -> str:
    """Return what the report says, in a sentence."""
    if not found.sessions:
        return "No session has this start in this period."
    said = f"{quantify(found.sessions, 'session')} had this start."
    most = found.nodes[0]
    share = write_percent(most.share)
    if most.page is None:
        place = "the end" if found.direction == "next" else "the beginning"
        return f"{said} Most often, it was {place} of the session ({share})."
    which = "next page" if found.direction == "next" else "page before"
    return f"{said} Most often, the {which} was {shorten(most.page, _LABEL)} ({share})."


def draw_columns(query: Query, found: Paths, via: cabc.Sequence[str]) -> list[Column]:
    """Return the columns: that of the start, and of the places that are opened in each.

    A place of ``via`` is opened; where there is none, the most frequent page.
    """
    columns, opened = list[Column](), list[str]()
    nodes, rest, others = found.nodes, found.rest, found.other_pages
    after = "After" if found.direction == "next" else "Before"
    title = f"{after} {name_start(found.start)}"
    while nodes:
        chosen = _choose(nodes, via[len(opened)] if len(opened) < len(via) else None)
        is_last = len(columns) == DEPTH - 1
        places = [_draw(query, found, node, opened, chosen, is_last=is_last) for node in nodes]
        if rest:
            total = rest + sum(node.sessions for node in nodes)
            places.append(_draw_rest(rest, others, rest / total))
        columns.append(Column(title, places))
        if chosen is None or chosen.page is None or is_last:
            break
        opened.append(chosen.page)
        title = f"{after} {shorten(chosen.page, _LABEL)}"
        nodes, rest, others = chosen.nodes, chosen.rest, chosen.other_pages
    return columns


def _choose(nodes: cabc.Iterable[PathNode], page: str | None) -> PathNode | None:
    pages = [node for node in nodes if node.page is not None]
    return next((node for node in pages if node.page == page), pages[0] if pages else None)


def _draw(
    query: Query,
    found: Paths,
    node: PathNode,
    opened: list[str],
    chosen: PathNode | None,
    *,
    is_last: bool,
) -> DrawnPlace:
    share = write_percent(node.share)
    bar = round(node.share * 100, 2)
    if node.page is None:
        label = "Left" if found.direction == "next" else "Came in"
        return DrawnPlace(label, None, False, node.sessions, share, bar)
    kept = query.on("paths", {}, tuple(pair for pair in query.own if pair[0] != "via"))
    if is_last:
        href = kept.link("paths", start=f"page:{node.page}")
    else:
        places = [*opened, node.page]
        href = kept.on("paths", {}, (*kept.own, *(("via", each) for each in places))).link("paths")
    label = shorten(node.page, _LABEL)
    is_open = node is chosen and not is_last
    return DrawnPlace(label, href, is_open, node.sessions, share, bar)


def _draw_rest(number: int, others: int, share: float) -> DrawnPlace:
    label = quantify(others, "other page")
    percent = write_percent(share)
    return DrawnPlace(label, None, False, number, percent, round(share * 100, 2))


def list_lines(found: Paths) -> list[tuple[object, ...]]:
    """Return the lines of a file, with their head: each path, and how many sessions had it."""
    head = (*(f"page_{number}" for number in range(1, DEPTH + 1)), "sessions")
    word = "(left)" if found.direction == "next" else "(came in)"
    return [head, *_iter_lines(found.nodes, found.rest, (), word)]


def _iter_lines(
    nodes: cabc.Iterable[PathNode], rest: int, before: tuple[str, ...], word: str
) -> cabc.Iterator[tuple[object, ...]]:
    for node in nodes:
        path = (*before, word if node.page is None else node.page)
        if node.nodes:
            yield from _iter_lines(node.nodes, node.rest, path, word)
        else:
            yield (*path, *[None] * (DEPTH - len(path)), node.sessions)
    if rest:
        path = (*before, "(other pages)")
        yield (*path, *[None] * (DEPTH - len(path)), rest)
