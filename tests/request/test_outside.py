"""Outside their request, events still belong to the visit in which they were caused."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextvars
import dataclasses
import threading
import typing as t

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from flask_eventtrack import (
    cancel_transaction,
    current_visitor,
    errors,
    identify,
    logout,
    track,
    track_transaction,
)
from flask_eventtrack.identity.tokens import SessionToken, VisitorToken
from flask_eventtrack.ids import session_id_of

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, Host

BOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
Row = dict[str, t.Any]


@dataclasses.dataclass
class Visit:
    """A host's own parameter of that name."""

    visit: int | None = None


def add_views(host: Host) -> Host:
    """Add a view that gives its visitor's token, which hosts do not give away."""
    host.events.define("note.add", anonymous=True)
    host.events.define("doctor.visit")(Visit)
    host.app.add_url_rule("/token", "token", lambda: current_visitor.token, methods=["GET", "POST"])
    return host


@pytest.fixture
def shop(host: Host) -> Host:
    return add_views(host)


def open_page(client: FlaskClient, **headers: str) -> str:
    """Open a page, and return the token that it made."""
    return client.get("/token", headers={"Accept": "text/html", **NAVIGATION, **headers}).text


def send_form(client: FlaskClient) -> str:
    return client.post("/token", headers=NAVIGATION).text


def owner_of(row: Row) -> tuple[object, object, object]:
    return row["uuid"], row["session_id"], row["params"].get("visit")


# Whose events are


def test_events_in_the_block_belong_to_the_visit(shop: Host) -> None:
    """To the profile and the session of the request, and they name its page."""
    token = _open_html(shop)
    shop.clock.advance(hours=3)
    with shop.app.app_context(), shop.events.as_visitor(token):
        event_id = track("note.add")
    [note], [page] = shop.events_of("note.add"), shop.events_of("page.visit")
    assert note["id"] == event_id
    assert owner_of(note) == (page["uuid"], page["session_id"], str(page["id"]))
    [session] = shop.rows("session")
    assert (session["events"], session["pages"]) == (2, 1)


def _open_html(host: Host, client: FlaskClient | None = None, **headers: str) -> str:
    """Open a page that is a visit, and return the token that it made."""
    tokens: list[str] = []
    endpoint = f"page{len(host.app.view_functions)}"

    def view() -> str:
        tokens.append(current_visitor.token)
        return "<title>Page</title>"

    host.app._got_first_request = False  # tests add views as they go
    host.app.add_url_rule(f"/{endpoint}", endpoint, view)
    (client or host.client()).get(f"/{endpoint}", headers={**NAVIGATION, **headers})
    return tokens[0]
