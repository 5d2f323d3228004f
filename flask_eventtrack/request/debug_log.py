"""In debug, what requests record and what is refused: in the app's log, and in a header.

The header is ``Server-Timing``, which browsers show with each answer, and which scripts can read.
"""

from __future__ import annotations

import typing as t
import urllib.parse

from flask import Flask, Response, has_request_context, request

from ..errors import InvalidEvent
from ..records import Event
from ..signals import event_accepted, event_rejected
from ..state import this_app
from ..text import escape
from .context import Current
from .verdict import Reason

_WHY: t.Final[dict[Reason, str]] = {
    "": "there was no room",
    "bot": "a bot makes the request, and curl is one",
    "choice": "the visitor has refused",
    "signal": "the browser asks not to be tracked",
    "default": "the app records nobody who has not agreed",
    "filter": "EVENTTRACK_VISITOR_FILTER leaves the visitor out",
}
_LENGTH = 200
_TOLD = "_eventtrack_told"
_MOST_TOLD = 20


def follow_events(app: Flask) -> None:
    """Log the events of an app from now on."""
    event_accepted.connect(_log_accepted, app)
    event_rejected.connect(_log_rejected, app)


def tell_browser(response: Response) -> Response:
    """Say in the header of an answer what its request has recorded."""
    for text in request.__dict__.get(_TOLD, ()):
        response.headers.add("Server-Timing", f'eventtrack;desc="{urllib.parse.quote(text)}"')
    return response


def tell_unrecorded(current: Current, action: str) -> None:
    """Say why an event of the app's own was not recorded."""
    app = this_app()
    if app.debug and not current.verdict.takes_events:
        _tell(app, "did not record", action, f"{_WHY[current.verdict.reason]}.")


def _log_accepted(app: Flask, event: Event, **_: t.Any) -> None:
    undefined = f", undefined: {', '.join(event.undefined)}" if event.undefined else ""
    _tell(app, "recorded", event.action, f"{_write(event.params)}{undefined}")


def _log_rejected(app: Flask, action: str, error: InvalidEvent, **_: t.Any) -> None:
    _tell(app, "refused", action or "an event", error.message)


def _tell(app: Flask, what: str, action: str, text: str) -> None:
    cut = text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
    where = ""
    if has_request_context():
        where = f" in {request.method} {request.path}"
        told: list[str] = request.__dict__.setdefault(_TOLD, [])
        if len(told) < _MOST_TOLD:
            told.append(f"{what} {action}: {cut}")
    app.logger.info("%s", escape(f"EventTrack {what} {action}{where}: {cut}"))


def _write(params: dict[str, t.Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items()) or "no parameters"
