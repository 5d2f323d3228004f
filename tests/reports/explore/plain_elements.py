"""Elements and forms counted plainly, from their definition in the manual."""

from __future__ import annotations

import typing as t

from .stories import Told

CLICKS = ("button.click", "link.click")
FORM_ACTIONS = ("form.start", "form.submit", "form.abandon")


def count_elements(story: list[Told]) -> dict[str, dict[str, t.Any]]:
    """Count the elements of a story that happened in the period, in sessions."""
    story = [each for each in story if each.session is not None]
    ids = {e.params["id"] for e in story if e.params.get("id") and not e.what.startswith("form.")}
    forms = {name_form(each) for each in story if each.what in FORM_ACTIONS}
    found = {}
    for id_ in ids:
        mine = [each for each in story if each.params.get("id") == id_]
        seen, hovered, clicked = (
            sessions_of(mine, what) for what in (("element.view",), ("element.hover",), CLICKS)
        )
        if id_ in forms and not hovered and not clicked:
            continue
        longest = {
            session: max(dwells)
            for session in hovered
            if (dwells := [d for e in mine if session_of(e) == session for d in list_dwells(e)])
        }
        halves = [d for d in longest.values() if 2 * count_at_most(longest, d) >= len(longest)]
        median = min(halves, default=None)
        long = {session for session, dwell in longest.items() if dwell > t.cast("int", median)}
        found[id_] = {
            "id": id_,
            "views": sum(each.what == "element.view" for each in mine),
            "seen": len(seen),
            "hovered": len(hovered),
            "median_dwell_ms": median,
            "clicked": len(clicked),
            "hover_rate": rate(seen & hovered, seen),
            "click_rate": rate(seen & clicked, seen),
            "hovered_long": len(long),
            "hovered_long_clicked": len(long & clicked),
            "long_click_rate": rate(long & clicked, long),
        }
    return found


def count_forms(story: list[Told]) -> dict[str, dict[str, t.Any]]:
    """Count the forms of a story that happened in the period, in sessions."""
    story = [each for each in story if each.session is not None]
    found = {}
    for form in {each.params.get("form", "") for each in story if each.what in FORM_ACTIONS}:
        mine = [each for each in story if name_form(each) == form]
        begun, sent, told = (sessions_of(mine, (what,)) for what in FORM_ACTIONS)
        shown = [each for each in story if form and each.params.get("id") == form]
        opened = sessions_of(shown, ("element.view",))
        left = told - sent
        fields: dict[str, int] = {}
        for session in left:
            leaves = [e for e in mine if e.what == "form.abandon" and session_of(e) == session]
            _, field = max((e.minute, e.params.get("field") or "") for e in leaves)
            fields[field] = fields.get(field, 0) + 1
        found[form] = {
            "form": form,
            "opened": len(opened),
            "begun": len(begun),
            "sent": len(sent),
            "abandoned": len(left),
            "begin_rate": rate(begun & opened, opened),
            "send_rate": rate(sent & begun, begun),
            "abandon_rate": rate(left & begun, begun),
            "fields": fields,
        }
    return found


def name_form(told: Told) -> str | None:
    return told.params.get("form", "") if told.what in FORM_ACTIONS else None


def session_of(told: Told) -> tuple[int, int | None]:
    return told.who, told.session


def sessions_of(story: list[Told], whats: tuple[str, ...]) -> set[tuple[int, int | None]]:
    return {session_of(each) for each in story if each.what in whats}


def list_dwells(told: Told) -> list[int]:
    dwell = told.params.get("dwell_ms") if told.what == "element.hover" else None
    return [] if dwell is None else [dwell]


def count_at_most(longest: dict[t.Any, int], dwell: int) -> int:
    return sum(each <= dwell for each in longest.values())


def rate(part: set[t.Any], whole: set[t.Any]) -> float | None:
    return len(part) / len(whole) if whole else None
