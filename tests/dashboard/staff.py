"""A shop whose pages of people are looked at by members of its staff."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import re
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from flask import request
from werkzeug.test import TestResponse

from flask_eventtrack.records import Identified

from ..hosts import SAME_ORIGIN, Host
from ..store.orders import a_charge
from ..store.people import ADA, ADA_UUID, BOB, BOB_UUID
from ..store.records import a_page, an_event, at, session_of, write_records

PAGES = "/_et"
ADA_PAGE, BOB_PAGE = f"{PAGES}/people/{ADA_UUID}", f"{PAGES}/people/{BOB_UUID}"
PHONE = uuidlib.UUID("44444444-4444-4444-8444-444444444444")


def permit() -> object:
    """Return what the header says: nothing, view, manage, or the sites."""
    word = request.headers.get("X-Staff", "")
    return {"localhost"} if word == "sites" else word


CONFIG: dict[str, t.Any] = {"EVENTTRACK_DASHBOARD_PERMISSION": permit}


def look(host: Host, path: str, staff: str = "manage", **options: t.Any) -> TestResponse:
    """Get one of our pages as a member of the staff."""
    host.flush()
    headers = {"X-Staff": staff, **options.pop("headers", {})}
    return host.client().open(path, headers=headers, **options)


def text_of(response: TestResponse) -> str:
    assert response.status_code == 200, response.text
    return response.text


def token_of(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found, page
    return found[1]


def act(
    host: Host, path: str, typed: str, headers: dict[str, str] | None = None, **fields: str
) -> TestResponse:
    """Open the form of an act on a person, and send it."""
    token = token_of(look(host, path).text)
    data = {"token": token, "typed": typed, **fields}
    sent = SAME_ORIGIN if headers is None else headers
    return look(host, path, method="POST", data=data, headers=sent)


def fill(host: Host) -> None:
    """Have Ada look around as a stranger, log in and buy; and Bob come by."""
    stranger = session_of(PHONE)
    write_records(
        host,
        a_page("/", 1, uuid=PHONE, session=stranger, params={"visible_ms": 18_000, "scroll": 92}),
        Identified(
            uuid=ADA_UUID,
            customer_id=ADA,
            time=at(5),
            anonymous=PHONE,
            traits={"name": "Ada Lovelace", "email": "Ada@Example.com", "plan": "pro"},
        ),
        an_event(
            "order.ship", 6, uuid=ADA_UUID, session=stranger, params={"to": "ada@example.com"}
        ),
        a_charge("A-2207", 6400, seconds=7, uuid=ADA_UUID, session=stranger),
        Identified(uuid=BOB_UUID, customer_id=BOB, time=at(9), traits={"name": "Bob"}),
    )


@contextlib.contextmanager
def counted(host: Host) -> cabc.Iterator[list[str]]:
    """Collect the statements that are run, without those that begin a transaction."""
    found: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
