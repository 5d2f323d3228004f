"""What the collector is sent, from bytes to typed values, and what it answers."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import json
import typing as t

import msgspec

from ..config import Policy
from ..errors import InvalidEvent
from ..request.checking import parse_time
from ..text import ACTION_MAX_LENGTH, clean_text

MAX_BYTES = 256 * 1024
MAX_EVENTS = 100
MAX_DROPPED = 100_000


_Action = t.Annotated[
    str,
    msgspec.Meta(
        examples=["product.view"],
        extra_json_schema={
            "pattern": r"^[a-zA-Z0-9._-]+\.[a-zA-Z0-9._-]+$",
            "maxLength": ACTION_MAX_LENGTH,
        },
    ),
]
_Id = t.Annotated[
    str,
    msgspec.Meta(description="A UUID of version 4 or 7.", extra_json_schema={"format": "uuid"}),
]
_Time = t.Annotated[
    int | float | t.Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})],
    msgspec.Meta(description="Milliseconds since the epoch, or ISO 8601 with a zone."),
]


class PostedEvent(msgspec.Struct, kw_only=True):
    """One event as clients send it; what is absent is None."""

    action: _Action
    event_id: _Id | None = None
    params: dict[str, t.Any] | None = None
    label: str | None = None
    time: _Time | None = None
    visit: str | None = None
    page: _Id | None = None


class Account(msgspec.Struct, kw_only=True):
    """Who posts: what every post may say of it."""

    csrf_token: str | None = None
    token: str | None = None


class PostFields(Account, kw_only=True):
    """What a post may say besides its events."""

    sent_at: dt.datetime | None = None
    dropped: t.Annotated[
        int,
        msgspec.Meta(
            ge=0, le=MAX_DROPPED, description="How many events the sender had no room for."
        ),
    ] = 0
    by_visit: t.Annotated[
        bool,
        msgspec.Meta(
            description="The events were kept for somebody who may not be here now: whose they are "
            "is by their visit alone."
        ),
    ] = False


class Envelope(PostFields, kw_only=True):
    """A post: one event, or several."""

    events: list[t.Any]
    is_batch: bool


class Choice(msgspec.Struct):
    """What a visitor wants to be recorded."""

    choice: Policy


class Rejection(msgspec.Struct):
    """Why an event is rejected: a word for programs, a sentence, the parameter if it is one's."""

    code: str
    message: str
    param: str | None


class Result(msgspec.Struct):
    """What became of one event; a rejected one's id is the sender's."""

    event_id: str | None
    status: t.Literal["accepted", "duplicate", "rejected"]
    error: Rejection | None


class Results(msgspec.Struct):
    """A result for each event of a post, in order."""

    results: list[Result]


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


def parse_account(body: bytes) -> Account:
    """Read a post that has no events; an empty one says nothing.

    :raises MalformedPost: it is not JSON in UTF-8, or no object.
    """
    value = _parse_json(body) if body else {}
    if not isinstance(value, dict):
        raise MalformedPost('The body must be a JSON object: {"token": "..."}.')
    fields = {name: value.get(name) for name in ("csrf_token", "token")}
    try:
        return msgspec.convert(fields, Account)
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
