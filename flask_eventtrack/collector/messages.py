"""What clients send to the collector, from bytes to typed values, and what it answers."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import json
import typing as t

import msgspec
from msgspec import Meta

from ..config import MAX_POST_BYTES, Policy
from ..errors import EventCode, InvalidEvent
from ..request.checking import parse_time
from ..structs import prepared
from ..text import ACTION_MAX_LENGTH, clean_text

MAX_BYTES = MAX_POST_BYTES
MAX_EVENTS = 100
MAX_DROPPED = 100_000
# As many as the script keeps while it is offline. A larger count is taken for this one.
_PLAUSIBLY_DROPPED = 1000
# What a stored event without parameters takes, or the counting of one that is not stored.
EVENT_BYTES = 250

_ACTION_RULE = {"pattern": r"^[a-zA-Z0-9._-]+\.[a-zA-Z0-9._-]+$", "maxLength": ACTION_MAX_LENGTH}
_Action = t.Annotated[str, Meta(examples=["product.view"], extra_json_schema=_ACTION_RULE)]
_Uuid = t.Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
_Id = t.Annotated[_Uuid, Meta(description="A UUID of version 4 or 7.")]
_Page = t.Annotated[
    _Uuid,
    Meta(
        description="The id of the browser's half of the page visit, or of an app's `screen.view`. "
        "A UUID of version 4 or 7."
    ),
]
_Date = t.Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
PostedTime = t.Annotated[
    int | float | _Date,
    Meta(
        description="Milliseconds since the epoch, or ISO 8601 with a time zone. The "
        "size of a number tells seconds, microseconds and nanoseconds from milliseconds."
    ),
]
_Dropped = t.Annotated[
    int, Meta(ge=0, le=MAX_DROPPED, description="How many events the sender had no room to keep.")
]
_ByVisit = t.Annotated[
    bool,
    Meta(
        description="The sender kept the events for later, and the visitor may have changed since. "
        "Each belongs to the visitor of its `visit` or `page`."
    ),
]

_Owner = t.Annotated[
    str,
    Meta(
        description="With `by_visit`: the value that the cookie `eventtrack_csrf` had when the "
        "events happened. They belong to the visitor and session of that moment."
    ),
]


@prepared
class PostedEvent(msgspec.Struct, kw_only=True):
    """An event as clients send it."""

    action: _Action
    event_id: _Id | None = None
    params: dict[str, t.Any] | None = None
    label: str | None = None
    time: PostedTime | None = None
    visit: str | None = None
    page: _Page | None = None


@prepared
class Account(msgspec.Struct, kw_only=True):
    """What every post may say about its sender."""

    csrf_token: str | None = None
    token: str | None = None

    def weigh(self, size: int) -> int:
        """Return how many bytes a post with a body of this size counts as."""
        return size


class PostFields(Account, kw_only=True):
    """What a post may say besides its events."""

    sent_at: dt.datetime | None = None
    dropped: _Dropped = 0
    by_visit: _ByVisit = False
    owner: _Owner | None = None


@prepared
class Envelope(PostFields, kw_only=True):
    """A post: one event, or a batch."""

    events: list[t.Any]
    is_batch: bool

    def weigh(self, size: int) -> int:
        return min(max(size, (len(self.events) + self.dropped) * EVENT_BYTES), MAX_BYTES)


@prepared
class Choice(msgspec.Struct):
    """What the visitor allows to be recorded."""

    choice: Policy


class Rejection(msgspec.Struct):
    """Why an event is rejected. `param` names the parameter at fault, if a parameter is."""

    code: EventCode
    message: str
    param: str | None


class Result(msgspec.Struct):
    """What became of one event. If it is rejected, `event_id` is what the sender gave."""

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
    value = parse_object(body, 'an event, or {"events": [...]}')
    is_batch = "events" in value
    if is_batch and not isinstance(value["events"], list):
        raise MalformedPost('"events" must be a list.')
    events = value["events"] if is_batch else [value]
    if not 1 <= len(events) <= MAX_EVENTS:
        raise MalformedPost(f"A post holds 1 to {MAX_EVENTS} events, this holds {len(events)}.")
    sent_at = value.get("sent_at")
    try:
        sent_at = None if sent_at is None else parse_time(sent_at)
    except InvalidEvent as error:
        raise MalformedPost(f'"sent_at": {error}') from None
    read = {
        "events": events,
        "is_batch": is_batch,
        "sent_at": sent_at,
        "dropped": _read_dropped(value.get("dropped")),
        "by_visit": value.get("by_visit") is True,
    }
    return _convert({**value, **read}, Envelope)


def parse_account(body: bytes) -> Account:
    """Read a post without events; its body may be empty.

    :raises MalformedPost: it is not a JSON object in UTF-8.
    """
    return _convert(parse_object(body, '{"token": "..."}') if body else {}, Account)


def parse_event(value: object) -> PostedEvent:
    """Read one event of a post.

    :raises InvalidEvent: naming the field, what was expected and what was given.
    """
    if isinstance(value, cabc.Mapping) and value.get("action") is None:
        raise InvalidEvent("invalid_action", 'An event needs an "action".')
    try:
        return msgspec.convert(value, PostedEvent)
    except msgspec.ValidationError as error:
        raise InvalidEvent("invalid_event", f"{error}.") from None


_Post = t.TypeVar("_Post", bound=Account)


def _convert(fields: dict[str, t.Any], kind: type[_Post]) -> _Post:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise MalformedPost(f"{error}.") from None


def _read_dropped(value: object) -> int:
    """Return how many events were dropped: 0 for anything but a count, and at most a plausible
    one, so that one post cannot distort the totals."""
    is_count = type(value) is int and 1 <= value <= MAX_DROPPED
    return min(t.cast("int", value), _PLAUSIBLY_DROPPED) if is_count else 0


def parse_object(body: bytes, example: str) -> dict[str, t.Any]:
    if not body:
        raise MalformedPost("The body is empty.")
    try:
        value = _decode(body)
    except UnicodeDecodeError:
        raise MalformedPost("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedPost("The body is nested too deeply.") from None
    except ValueError as error:
        raise MalformedPost(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise MalformedPost(f"The body must be a JSON object: {example}.")
    return value


def _decode(body: bytes) -> t.Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # msgspec refuses a whole body for one lone surrogate or NaN. Those can be replaced.
        return _mend(json.loads(body.decode()))


def _mend(value: t.Any) -> t.Any:
    """Replace the lone surrogates of a JSON value and of the names in it."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(name): _mend(item) for name, item in value.items()}
    return value
