"""Live: who is here, and the events as they are stored."""

from __future__ import annotations

import re
import typing as t

import pytest

from flask_eventtrack.errors import TooBusy
from flask_eventtrack.records import SessionEnd
from flask_eventtrack.reports.live import HERE

from ..hosts import Host
from ..store.people import ADA, NOBODY
from ..store.records import an_event, write_records
from .staff import PAGES, look, text_of


def labels(answer: t.Any) -> list[str]:
    return [event["label"] for event in answer["events"]]


def test_who_is_here(shop: Host) -> None:
    """Whoever was active within five minutes, in a session that has not ended."""
    shop.clock.advance(seconds=10)
    answer = look(shop, f"{PAGES}/live.json").json
    assert answer is not None
    [ada] = answer["here"]
    assert (ada["name"], ada["path"], ada["age"]) == (f"Customer {ADA}", "/", "3s ago")
    page = text_of(look(shop, f"{PAGES}/live"))
    assert "1 person on 1 page in the last 5 minutes" in page
    shop.clock.advance(seconds=HERE.total_seconds())
    assert "Nobody right now" in text_of(look(shop, f"{PAGES}/live"))


def test_every_page_says_how_many_are_here(shop: Host) -> None:
    """And leads to them. Permissions by sites see no people, so their pages do not say it."""
    shop.clock.advance(seconds=10)
    for path in (PAGES, f"{PAGES}/details/source", f"{PAGES}/people", f"{PAGES}/audit"):
        page = look(shop, path).text
        assert re.search(r'href="/_et/live"><i class="dot"></i>1 here now</a>', page), path
    assert "here now" not in text_of(look(shop, PAGES, "sites"))
    shop.clock.advance(seconds=HERE.total_seconds())
    assert "0 here now" in look(shop, PAGES).text


def test_a_page_does_not_wait_for_who_is_here(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the number out if other reports take all the room."""

    def refuse() -> int:
        raise TooBusy

    monkeypatch.setattr(shop.state.reports, "count_here", refuse)
    answer = look(shop, f"{PAGES}/people")
    assert answer.status_code == 200
    assert "here now" not in answer.text


def test_who_has_left_is_not_here(shop: Host) -> None:
    """Also within the five minutes."""
    shop.clock.advance(seconds=10)
    [session] = shop.rows("session")
    write_records(shop, SessionEnd(session_id=session["id"], reason="logout"))
    assert "Nobody right now" in text_of(look(shop, f"{PAGES}/live"))


def test_what_is_stored_after_a_look_is_in_the_next(shop: Host) -> None:
    """And what was stored a little before, which the script drops by its id."""
    shop.clock.advance(seconds=10)
    first = look(shop, f"{PAGES}/live.json").json
    assert first is not None
    shop.clock.advance(seconds=40)
    write_records(shop, an_event("order.ship", 45, label="Now", uuid=NOBODY, session=None))
    query = {"after": first["after"]}
    second = look(shop, f"{PAGES}/live.json", query_string=query).json
    assert second is not None
    assert labels(second) == ["Now", *labels(first)]
    third = look(shop, f"{PAGES}/live.json", query_string={"after": second["after"]}).json
    assert labels(third) == ["Now"]


def test_events_of_one_action(shop: Host) -> None:
    """By the form of the page, also without a script."""
    page = text_of(look(shop, f"{PAGES}/live?action=order.ship"))
    assert re.findall(r"</span><code>([^<]+)</code></li>", page) == ["order.ship"]
    answer = look(shop, f"{PAGES}/live.json?action=order.ship").json
    assert labels(answer) == ["Order: ship"]


@pytest.mark.parametrize(
    "after", ["yesterday", "2026-11-21", "2026-11-21T12:00:00", "", "0001-01-01T00:00:00Z"]
)
def test_a_look_from_a_moment_that_is_none(shop: Host, after: str) -> None:
    """It begins anew."""
    answer = look(shop, f"{PAGES}/live.json", query_string={"after": after}).json
    assert answer is not None
    assert len(answer["events"]) == 6


def test_a_look_is_never_of_more_than_so_many_rows(shop: Host) -> None:
    """However many are stored at once."""
    shop.clock.advance(seconds=60)
    write_records(shop, *(an_event("order.ship", 20 + n / 100, session=None) for n in range(700)))
    with shop.app.app_context():
        assert len(shop.events.reports.live(limit=10_000)) == 500
    answer = look(shop, f"{PAGES}/live.json").json
    assert answer is not None
    assert len(answer["events"]) == 100
