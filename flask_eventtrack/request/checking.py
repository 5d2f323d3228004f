"""What every source checks of an event before it is recorded."""

from __future__ import annotations

import datetime as dt
import decimal
import numbers
import operator
import re
import typing as t

from ..catalogue.definitions import Definition, refuse_reserved
from ..catalogue.params import normalise
from ..catalogue.plain import to_plain
from ..errors import InvalidEvent, UndefinedEvent
from ..limits import Sender
from ..privacy.posts import PostCleaner
from ..privacy.urls import clean_beginning
from ..records import PAGE_ENGAGE, PAGE_VISIT, Outcome, from_ns
from ..signals import event_rejected
from ..state import State, send, this_app
from ..text import check_action, clean_text, clip_label, page_label, shorten

# The parameters of engagement. Release 0.1 sends `visible_s`.
_TOLD = ("visible_ms", "visible_s", "scroll", "title")

Time = dt.datetime | str | int | float
# In seconds since the epoch.
_YEAR_1973 = 100_000_000
_YEAR_10000 = 253_402_300_800
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?").fullmatch


class Checked(t.NamedTuple):
    """An event's content, checked against its definition."""

    action: str
    params: dict[str, t.Any]
    undefined: tuple[str, ...]
    label: str | None


def find_definition(
    state: State, action: object, site: str, sender: Sender | None = None
) -> Definition:
    """Return the definition by which an action may be sent.

    :param sender: the client that sent it; None if the app itself names the action.
    :raises InvalidEvent: it is malformed, reserved, undefined, or refused on this site.
    """
    action = check_action(action)
    refuse_reserved(action)
    app = this_app()
    try:
        definition = state.catalogue.get(action, suggests=app.debug or app.testing)
    except UndefinedEvent:
        if state.config.undefined_events != "store":
            raise
        if not state.novelty.admits(action, sender):
            raise InvalidEvent(
                "too_many_undefined", f"{action!r} is one undefined action too many in this hour."
            ) from None
        definition = Definition(action=action, anonymous=True)
    check_access(state, action, site)
    if definition.status == "deprecated":
        ask = f" Ask its owner: {definition.owner}." if definition.owner else ""
        state.warn_once(
            f"deprecated: {action}",
            "%r is deprecated, and still sent. It is recorded.%s",
            action,
            ask,
        )
    return definition


def check_access(state: State, action: str, site: str) -> None:
    """Refuse an action that the settings do not admit on a site.

    :raises InvalidEvent: saying so.
    """
    if not state.access.admits(action, site):
        raise InvalidEvent(
            "denied_event", f"{action!r} is not recorded on {site or 'this site'!r}."
        )


def check_content(
    definition: Definition,
    params: t.Mapping[str, t.Any],
    label: object = None,
    *,
    lenient: bool = False,
    is_valid: bool = False,
    cleaner: PostCleaner | None = None,
    left_out: list[InvalidEvent] | None = None,
) -> Checked:
    """Check parameters and label against a definition.

    :param lenient: whether text may stand for a number or a boolean, and a number for text.
    :param is_valid: whether the definition's class has validated the parameters already.
    :param cleaner: what cleans the content, if others have sent it.
    :param left_out: a list to which an error is added for each value that cannot be stored. The
        value is left out. Without a list, the error is raised.
    :raises InvalidEvent: naming the parameter, what was expected and what was given.
    """
    if label is not None and type(label) is not str:
        label = _read_label(label, left_out)
    plain = normalise(params, left_out=left_out, keeps_decimals=definition.schema is not None)
    checked, undefined = definition.check(
        plain, lenient=lenient, is_valid=is_valid, left_out=left_out
    )
    clean = str if cleaner is None else cleaner.clean_text
    if cleaner is not None:
        masked = cleaner.mask_params(checked, definition.types, definition.unmasked)
        if masked is not checked:  # which may have become too large
            checked, undefined = normalise(masked), tuple(map(clean, undefined))
    if definition.action == PAGE_ENGAGE:
        return _check_engagement(checked, params)
    if isinstance(label, str) and label:
        label = clean_text(label)
    elif definition.action == PAGE_VISIT:
        label = page_label(checked)
    else:
        label = definition.format_label(checked)
        if definition.unmasked:  # its other parameters are masked already
            clean = str
    label = label and clip_label(clean_beginning(label, clean))
    return Checked(definition.action, checked, undefined, label)


def _check_engagement(checked: dict[str, t.Any], params: t.Mapping[str, t.Any]) -> Checked:
    """Return the parameters of engagement, and no others.

    :raises InvalidEvent: it has none.
    """
    told = {name: checked[name] for name in _TOLD if checked.get(name) is not None}
    if not told:
        name = "visible_s" if "visible_s" in params else "visible_ms"
        problem = f"{PAGE_ENGAGE!r}, parameter {name!r}: it is required and was not given."
        raise InvalidEvent("invalid_param", problem, name)
    return Checked(PAGE_ENGAGE, told, (), None)


def _read_label(label: object, left_out: list[InvalidEvent] | None) -> str | None:
    """Return a label that is no plain str, such as a lazy translation, as text."""
    try:
        text = to_plain(label)
    except Exception:  # noqa: BLE001 - methods of the host's classes may raise anything
        text = None
    if isinstance(text, str):
        return text
    error = InvalidEvent("invalid_label", f"A label is a str, not {type(label).__name__}.")
    if left_out is None:
        raise error
    left_out.append(error)
    return None


def parse_time(value: Time) -> dt.datetime:
    """Return the UTC moment of an aware datetime, ISO 8601 text, or a number since the epoch.

    The unit of a number is the first of seconds, milliseconds, microseconds and nanoseconds in
    which it lies between the years 1973 and 9999. Smaller numbers are milliseconds: a device
    without a clock counts from 1970.

    :raises InvalidEvent: it is none of these, has no zone, or lies outside the years 1 to 9999.
    """
    try:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if isinstance(value, dt.datetime):
            if value.tzinfo is None:
                raise InvalidEvent("invalid_time", f"{value.isoformat()!r} has no time zone.")
            return value.astimezone(dt.UTC)
        if isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool):
            return from_ns(0) + _read_number(value)
    except InvalidEvent:
        raise
    except (ArithmeticError, TypeError, ValueError):
        pass
    hint = " A number must not be text." if isinstance(value, str) and _NUMBER(value) else ""
    raise InvalidEvent(
        "invalid_time",
        f"{shorten(value, 40)} is not a time: an aware datetime, ISO 8601 with a zone, or "
        f"milliseconds, seconds, microseconds or nanoseconds since the epoch.{hint}",
    )


def _read_number(value: numbers.Real | decimal.Decimal) -> dt.timedelta:
    """Return the time since the epoch of a number whose size tells the unit.

    :raises ValueError: it is too large in every unit.
    """
    number = operator.index(value) if isinstance(value, numbers.Integral) else float(value)
    size = abs(number)
    if _YEAR_1973 <= size < _YEAR_10000:
        return dt.timedelta(seconds=number)
    if size < _YEAR_10000 * 1000:
        return dt.timedelta(milliseconds=number)
    if size < _YEAR_10000 * 1_000_000:
        return dt.timedelta(microseconds=number)
    if size < 2**63:
        return dt.timedelta(microseconds=number // 1000)
    raise ValueError("no moment")


def settle_time(
    time: dt.datetime,
    latest: dt.datetime,
    params: dict[str, t.Any],
    original: dt.datetime | None = None,
) -> dt.datetime:
    """Return when an event happened: a later time becomes the latest that it can be.

    The time that was given is then kept in ``params["original_time"]``.
    """
    if time <= latest:
        return time
    params["original_time"] = (original or time).isoformat()
    return latest


def refuse(state: State, action: object, error: InvalidEvent, sender: Sender | None = None) -> None:
    """Count a refused event and tell the receivers of ``event_rejected``."""
    name = countable_action(state, action, sender)
    state.pipeline.count(Outcome("rejected", name, error.code))
    send(state, event_rejected, error=error, action=name)


def countable_action(state: State, action: object, sender: Sender | None = None) -> str:
    """Return an action as it is counted.

    It is "" if the action is malformed, if it is undefined and has something to mask in it, or if
    there are too many undefined ones.
    """
    try:
        name = check_action(action)
    except InvalidEvent:
        return ""
    if state.catalogue.find(name) is not None:
        return name
    is_clean = state.masker is None or state.masker.mask_text(name) == name
    return name if is_clean and state.novelty.admits(name, sender) else ""
