"""The server's and the browser's halves of a visit, as records."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

from flask_eventtrack.records import Claim, Event

from .records import a_page, an_event, an_id, session_of

STRANGER = uuidlib.UUID("22222222-2222-4222-8222-222222222222")


def server_half(path: str = "/", seconds: float = 0, **fields: t.Any) -> Event:
    return a_page(path, seconds, **fields)


def browser_half(
    claim: Event | None, seconds: float = 1, path: str = "/", **fields: t.Any
) -> Event:
    """Return the browser's half of a page; ``claim`` is the server's half that its tag names."""
    params = {"url": f"http://localhost{path}", "path": path, "title": "As shown", "url_rule": path}
    given: dict[str, t.Any] = {
        "id": an_id(seconds),
        "params": params | {"viewport": "800x600"},
        "half": "browser",
        "source": "browser",
        "url_rule": path,
        "claim": Claim(claim.id) if claim else None,
    }
    return an_event("page.visit", seconds, **given | fields)


def cookieless(event: Event, claim: Event, device: uuidlib.UUID = STRANGER) -> Event:
    """Return a browser's event as the collector makes it where the cookies were refused."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    fields |= {"uuid": device, "session": session_of(device, start=1)}
    return Event(**fields | {"claim": Claim(claim.id, cookieless=True)})


SERVER = server_half()
BROWSER = browser_half(SERVER)

TRACKED = an_event("order.ship", 3)

RELOADED = server_half(seconds=20, params={"status": 304})
RESHOWN = browser_half(SERVER, 21)
