"""In debug, a line in the app's log for each event that is recorded or refused."""

from __future__ import annotations

import typing as t

from flask import Flask, has_request_context, request

from ..errors import InvalidEvent
from ..records import Event
from ..signals import event_accepted, event_rejected
from ..text import escape

_LENGTH = 200


def follow_events(app: Flask) -> None:
    """Log the events of an app from now on."""
    event_accepted.connect(_log_accepted, app)
    event_rejected.connect(_log_rejected, app)


def _log_accepted(app: Flask, event: Event, **_: t.Any) -> None:
    undefined = f", undefined: {', '.join(event.undefined)}" if event.undefined else ""
    _log(app, "recorded", event.action, f"{_write(event.params)}{undefined}")


def _log_rejected(app: Flask, action: str, error: InvalidEvent, **_: t.Any) -> None:
    _log(app, "refused", action or "an event", error.message)


def _log(app: Flask, what: str, action: str, text: str) -> None:
    where = f" in {request.method} {request.path}" if has_request_context() else ""
    cut = text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
    app.logger.info("%s", escape(f"EventTrack {what} {action}{where}: {cut}"))


def _write(params: dict[str, t.Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items()) or "no parameters"
