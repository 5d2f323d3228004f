"""Notes on the chart's days, and the page on which managers write and remove them."""

from __future__ import annotations

import bisect
import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

from flask import Response, request

from ..reports.notes import Note, list_notes
from ..reports.period import Bucket, Period
from ..reports.rows import Overview, Point
from ..request.access import Access
from ..state import State
from ..store.saved import MOST, Saved
from ..text import clean_text
from .explore.saving import (
    find_refusal,
    is_removal,
    make_save_token,
    read_saved,
    remove,
    see,
    store,
)
from .figures import name_month, write_day
from .query import read_query
from .render import find_root, render

PAGE: t.Final = "notes"
LONGEST: t.Final = 200

#: The texts of notes, by the place of their bucket in a series.
Placed = dict[int, list[str]]


@dataclasses.dataclass(frozen=True, slots=True)
class NotedOverview(Overview):
    """The overview, and the notes on its days."""

    notes: tuple[Note, ...] = ()


class Asked(t.NamedTuple):
    """What the form of a new note says."""

    day: str
    text: str = ""


def may_see_notes(access: Access) -> bool:
    """Whether an access sees notes. They are for colleagues, and may be about any site."""
    return access.link is None and access.sites is None


def read_notes(state: State, access: Access, period: Period) -> tuple[Note, ...]:
    """Return the notes on the days of a period that an access may see."""
    return list_notes(read_saved(state, "note"), period) if may_see_notes(access) else ()


def add_notes(state: State, access: Access, overview: Overview) -> NotedOverview:
    """Return an overview with the notes on its days."""
    names = (field.name for field in dataclasses.fields(overview))
    values: dict[str, t.Any] = {name: getattr(overview, name) for name in names}
    return NotedOverview(**values, notes=read_notes(state, access, overview.period))


def place_notes(notes: cabc.Iterable[Note], series: cabc.Sequence[Point], bucket: Bucket) -> Placed:
    """Return the texts of the notes of each bucket. In weeks and months, with their day."""
    days, placed = [point.start.date() for point in series], Placed()
    for note in notes:
        place = bisect.bisect_left(days, note.day)
        if place == len(days) or days[place] != note.day:
            place -= 1  # the week or month that began before
        if place >= 0:
            text = (
                note.text if bucket in {"hour", "day"} else f"{write_date(note.day)}: {note.text}"
            )
            placed.setdefault(place, []).append(text)
    return placed


def write_date(day: dt.date) -> str:
    return f"{day.day} {name_month(day)}"


def handle_notes(state: State, access: Access) -> Response:
    """Show all notes, write one or remove one."""
    today = state.reports.now.astimezone(state.reports.zone).date().isoformat()
    if request.method != "POST":
        return _show(state, access, Asked(today))
    refusal = find_refusal(state, access, "note")
    if isinstance(refusal, Response):
        return refusal
    query = read_query(state.reports, access, find_root(state), request.args)
    if is_removal() and not refusal:
        remove(state, access, "note", request.form["remove"])
        return see(query.link(PAGE))
    text = " ".join(clean_text(request.form.get("text", "")).split())
    asked = Asked(request.form.get("day", ""), text)
    mistake = refusal or _write(state, access, asked)
    return _show(state, access, asked, mistake) if mistake else see(query.link())


def _write(state: State, access: Access, asked: Asked) -> str:
    """Store a note. Return what is wrong, or ""."""
    try:
        day = dt.date.fromisoformat(asked.day).isoformat()
    except ValueError:
        return "Choose a day."
    if not 0 < len(asked.text) <= LONGEST:
        return f"A note has 1 to {LONGEST} characters."
    definition = {"day": day, "text": asked.text}
    if not store(state, access, "note", f"{day} {asked.text}", definition):
        return f"This note exists already, or there are {MOST['note']} notes, the most."
    return ""


def _show(state: State, access: Access, asked: Asked, mistake: str = "") -> Response:
    query = read_query(state.reports, access, find_root(state), request.args)
    return render(
        state,
        access,
        "overview",
        "Notes",
        template="notes",
        status=400 if mistake else 200,
        compress=False,
        notes=_list(read_saved(state, "note")),
        asked=asked,
        mistake=mistake,
        longest=LONGEST,
        action=query.link(PAGE),
        back=query.link(),
        token=make_save_token(state, access, "note"),
        zone=str(state.reports.zone),
    )


def _list(rows: cabc.Iterable[Saved]) -> list[tuple[str, str, Note]]:
    """Return each note after its name and its day as text, the latest first."""
    found = [(row.name, note) for row in rows for note in list_notes([row])]
    found.sort(key=lambda each: (each[1].day, each[1].made_at), reverse=True)
    return [(name, write_day(note.day), note) for name, note in found]
