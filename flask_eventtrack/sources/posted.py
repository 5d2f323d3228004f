"""What the collector is sent, from bytes to typed values."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import json
import typing as t

import msgspec

from ..errors import InvalidEvent
from ..event import clean_text
from .checking import parse_time

MAX_BYTES = 256 * 1024
MAX_EVENTS = 100
MAX_DROPPED = 100_000


class PostedEvent(msgspec.Struct, kw_only=True):
    """One event as clients send it; what is absent is None."""

    action: str
    event_id: str | None = None
    params: dict[str, t.Any] | None = None
    label: str | None = None
    time: int | float | str | None = None
    visit: str | None = None
    page: str | None = None


class Envelope(msgspec.Struct, kw_only=True):
    """A post: one event, or several.

    ``dropped`` counts the events that the browser had no room for. ``by_visit`` says that the
    events were kept for somebody who may not be here now: whose they are is by their visit alone.
    """

    events: list[t.Any]
    is_batch: bool
    sent_at: dt.datetime | None = None
    csrf_token: str | None = None
    token: str | None = None
    dropped: int = 0
    by_visit: bool = False


class MalformedPost(ValueError):
    """The body as a whole cannot be read; the text says why."""


def parse_post(body: bytes) -> Envelope:
    """Read a post.

    :raises MalformedPost: it is not JSON in UTF-8, or neither an event nor a batch of 1 to 100.
    """
    value = _parse_json(body)
    if not isinstance(value, dict):
        raise MalformedPost('The body must be a JSON object: an event, or {"events": [...]}.')
    is_batch = "events" in value
    if is_batch and not isinstance(value["events"], list):
        raise MalformedPost('"events" must be a list.')
    events = value["events"] if is_batch else [value]
    if not 1 <= len(events) <= MAX_EVENTS:
        raise MalformedPost(f"A post holds 1 to {MAX_EVENTS} events, this holds {len(events)}.")
    sent_at = value.get("sent_at")
    try:
        return msgspec.convert(
            {
                "events": events,
                "is_batch": is_batch,
                "sent_at": None if sent_at is None else parse_time(sent_at),
                "csrf_token": value.get("csrf_token"),
                "token": value.get("token"),
                "dropped": _read_dropped(value.get("dropped")),
                "by_visit": value.get("by_visit") is True,
            },
            Envelope,
        )
    except InvalidEvent as error:
        raise MalformedPost(f'"sent_at": {error}') from None
    except msgspec.ValidationError as error:
        raise MalformedPost(f"{error}.") from None


def _read_dropped(value: object) -> int:
    """Return a count that cannot spoil the sums: what is no whole number up to 100,000 is none."""
    return value if type(value) is int and 1 <= value <= MAX_DROPPED else 0


def _parse_json(body: bytes) -> object:
    if not body:
        raise MalformedPost("The body is empty.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        raise MalformedPost("The body is nested too deeply.") from None
    # msgspec refuses a whole body for one lone surrogate or NaN, which the catalogue mends.
    try:
        return _mend(json.loads(body.decode()))
    except UnicodeDecodeError:
        raise MalformedPost("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedPost("The body is nested too deeply.") from None
    except ValueError as error:
        raise MalformedPost(f"The body is not JSON: {error}.") from None


def _mend(value: t.Any) -> t.Any:
    """Replace the lone surrogates of a JSON value, also in its names."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(name): _mend(item) for name, item in value.items()}
    return value


def parse_event(value: object) -> PostedEvent:
    """Read one event of a post.

    :raises InvalidEvent: naming the field, what was expected and what came.
    """
    if isinstance(value, cabc.Mapping) and value.get("action") is None:
        raise InvalidEvent("invalid_action", 'An event needs an "action".')
    try:
        return msgspec.convert(value, PostedEvent)
    except msgspec.ValidationError as error:
        raise InvalidEvent("invalid_event", f"{error}.") from None
