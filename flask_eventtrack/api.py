"""The calls for developers: ``track()``, ``identify()``, ``logout()`` and ``current_visitor``."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

from flask import has_request_context
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.local import LocalProxy

from .catalogue.classes import Fields
from .catalogue.definitions import Definition
from .catalogue.params import normalise
from .config import Policy
from .errors import InvalidEvent, NotRegistered
from .identity.visitor import CustomerId, Visitor, check_customer_id
from .records import PAGE_ENGAGE, PAGE_VISIT, VOUCHED_BY_COOKIE, Identified, from_ns
from .reports.feed import FeedEvent, read_anonymous_feed, read_feed, read_session_feed
from .reports.sessions import (
    Profile,
    TrackedSession,
    find_profile,
    read_anonymous_sessions,
    read_present_session,
    read_sessions,
)
from .request.checking import (
    Time,
    check_content,
    find_definition,
    parse_time,
    settle_time,
)
from .request.context import Current, get_current, get_current_now
from .request.debug_log import tell_unrecorded
from .request.host_login import LOGIN, LOGOUT, log_in, log_out, resolve
from .request.mistakes import answer_mistake, count_left_out, raises_mistakes
from .request.navigation import find_visit
from .request.outside import NamedVisitor, find_block, make_token, read_visitor
from .request.recording import (
    Append,
    make_event,
    put,
    put_in_transaction,
    record,
)
from .state import State, get_state
from .store.engine import Database


def track(
    event: str | object,
    params: cabc.Mapping[str, t.Any] | None = None,
    *,
    label: str | None = None,
    time: Time | None = None,
    customer: CustomerId | None = None,
    visitor: str | None = None,
    in_transaction: bool = False,
) -> uuidlib.UUID | None:
    """Record an event of the current visitor, or of a customer or visitor who is named.

    The current visitor is that of ``events.as_visitor()`` in its block, else that of the request.

    ::

        track("product.view", {"sku": "A1", "name": "Mug"})
        track(ProductView(sku="A1", name="Mug"))
        track("order.ship", {"order": 17}, customer=order.user_id)     # in a job, a command

    Values of other libraries are stored as text, numbers, lists or mappings. A value that cannot be
    stored is an error in debug and testing. In production it is left out, logged and counted, and
    the rest of the event is recorded.

    :param event: an action, or an instance of a class given to ``define``.
    :param params: the parameters, where ``event`` is an action.
    :param label: the sentence for activity feeds, at most 255 characters; the definition's
        template otherwise.
    :param time: when it happened: an aware datetime, ISO 8601, or a number since the epoch. The
        size of a number tells whether it is in seconds, milliseconds, microseconds or nanoseconds.
    :param customer: the id of the customer whom the event belongs to, as the host app knows them.
        Such an event has no session. None names no customer.
    :param visitor: a :attr:`CurrentVisitor.token`, to record for that visitor outside the request.
        ``events.as_visitor()`` names one for all calls in a block.
    :param in_transaction: whether to write the event as a row in the host's own ``db.session``: it
        is stored if and only if the host commits. This asks the database at once, and raises what
        the database raises. It needs the events in the default database (no
        ``EVENTTRACK_BIND_KEY``).
    :returns: the event's id. None if nothing was recorded: the visitor refused (and no customer is
        named), a customer is named and ``EVENTTRACK_PRIVACY_IDENTITY`` is off, a bot made the
        request (unless ``EVENTTRACK_BOTS`` tags bots), tracking is off, or, in production, the
        event is wrong or there is no room for it.
    :raises InvalidEvent: the event breaks a rule. Only in debug and testing; in production the
        error is logged and counted.
    :raises NotRegistered: there is no app context. In debug and testing also: there is no request,
        and neither ``customer`` nor ``visitor`` is given.
    """
    state = get_state()
    if not state.config.enabled:
        return None
    try:
        append = put_in_transaction if in_transaction else put
        return _track(state, event, params, label, time, customer, visitor, append)
    except (InvalidEvent, NotRegistered) as error:
        answer_mistake(state, _name_action(state, event), error)
    except SQLAlchemyError:  # of the host's own transaction
        raise
    except Exception as error:  # noqa: BLE001 - the edge: the view goes on whatever we do
        state.report_failure("tracking an event", error)
    return None


def _name_action(state: State, event: str | object) -> str:
    """Return the action of an event, or the name of a class that defines none."""
    if isinstance(event, str):
        return event
    definition = state.catalogue.find_for(event)
    return type(event).__name__ if definition is None else definition.action


def _track(
    state: State,
    event: str | object,
    params: cabc.Mapping[str, t.Any] | None,
    label: str | None,
    time: Time | None,
    customer: CustomerId | None,
    visitor: str | None,
    append: Append,
) -> uuidlib.UUID | None:
    action, params, is_valid = _read_arguments(state, event, params)
    token = find_block() if visitor is None and customer is None else visitor
    named, site = None, ""
    if customer is None and token is not None and token != "":
        named = read_visitor(state, token)
        site = named.site
    elif has_request_context():
        site = get_current(state).site
    definition = find_definition(state, action, site)
    left_out: list[InvalidEvent] | None = None if raises_mistakes() else []
    try:
        checked = check_content(definition, params, label, is_valid=is_valid, left_out=left_out)
    finally:
        count_left_out(state, action, left_out or ())
    now = state.clock()
    moment = None if time is None else settle_time(parse_time(time), from_ns(now), checked.params)
    if customer is not None:
        profile, session = state.profile_of(customer), None
        if not state.config.privacy_identity:
            return None
    elif named is not None:
        profile, session = named.uuid, named.session
        _name_visit(named.visit_id, definition, checked.params)
    elif token is not None:  # that of a visitor of whom nothing may be recorded
        return None
    else:
        current = get_current_now(state)
        resolve(current)
        _name_visit(find_visit(current), definition, checked.params)
        event_id = record(current, checked, now, moment, append)
        if event_id is None:
            tell_unrecorded(current, action)
        return event_id
    event = make_event(checked, now, moment, profile, session=session, site=site)
    return event.id if append(state, None, event) else None


def _name_visit(
    visit_id: uuidlib.UUID | None, definition: Definition, params: dict[str, t.Any]
) -> None:
    """Add the page visit that an event comes from, unless the host says which one."""
    is_page = definition.action in {PAGE_VISIT, PAGE_ENGAGE}
    if visit_id is not None and not is_page and "visit" not in definition.types:
        params.setdefault("visit", str(visit_id))


def _read_arguments(
    state: State, event: str | object, params: cabc.Mapping[str, t.Any] | None
) -> tuple[str, cabc.Mapping[str, t.Any], bool]:
    """Return the action, the parameters, and whether their class has validated them already."""
    if isinstance(event, str):
        return event, {} if params is None else params, False
    name = type(event).__name__
    definition = state.catalogue.find_for(event)
    if definition is None:
        raise InvalidEvent("undefined_event", _explain_no_event(state, event))
    if params is not None:
        raise InvalidEvent(
            "invalid_params", f"{name} has its parameters already: leave 'params' out."
        )
    fields = t.cast("Fields", definition.fields)
    return definition.action, definition.dump(event), fields.validates


def _explain_no_event(state: State, event: object) -> str:
    """Return what is wrong with the first argument of ``track()``."""
    is_class = isinstance(event, type)
    kind = t.cast("type", event) if is_class else type(event)
    name = kind.__name__
    if is_class and state.catalogue.find_schema(kind) is not None:
        return f"{name} is a class: give track() an instance of it, such as {name}(...)."
    if is_class or kind.__module__ != "builtins":
        advice = "decorate the class with @events.define('context.activity')."
    else:
        advice = "give track() an action, such as 'product.view', or an instance of its class."
    return f"{name} does not define an event: {advice}"


def identify(
    customer_id: CustomerId, traits: cabc.Mapping[str, t.Any] | None = None
) -> uuidlib.UUID | None:
    """Identify the visitor of this request as a customer, who is vouched for in this session.

    Their anonymous history becomes the customer's. ``customer.login`` is recorded unless they were
    known as this customer already. Outside a request, and in ``events.as_visitor()``, only the
    traits are stored.

    :param traits: what is known of the customer, such as ``{"plan": "pro"}``. Later values win.
    :returns: the uuid of the customer's profile. None if tracking is off, the visitor refused, a
        bot made the request, the token of ``events.as_visitor()`` is empty, or
        ``EVENTTRACK_PRIVACY_IDENTITY`` is off.
    :raises InvalidEvent: the id or the traits cannot be stored. Only in debug and testing; in
        production the error is logged and counted.
    """
    state = get_state()
    if not state.config.enabled:
        return None
    try:
        customer = check_customer_id(customer_id)
        left_out: list[InvalidEvent] | None = None if raises_mistakes() else []
        plain = {} if traits is None else normalise(traits, left_out=left_out)
        count_left_out(state, LOGIN, left_out or ())
    except InvalidEvent as error:
        answer_mistake(state, LOGIN, error)
        return None
    if not state.config.privacy_identity:
        return None
    token = find_block()
    if token == "":
        return None
    if token is None and has_request_context():
        with state.guard("identifying a customer"):
            current = get_current_now(state)
            if current.visitor.customer_id != customer:
                current.judge_again()
            if current.verdict.is_person:
                log_in(current, customer, "identify", plain)
                return resolve(current).uuid
        return None
    profile = state.profile_of(customer)
    moment = from_ns(state.clock())
    state.pipeline.put(Identified(uuid=profile, customer_id=customer, time=moment, traits=plain))
    return profile


def logout() -> None:
    """Say that the customer has left this device.

    ``customer.logout`` is recorded, the session ends, and the device gets a new anonymous profile:
    the next person at a shared computer is not taken for the customer. If the device belongs to no
    customer, nothing happens.

    :raises NotRegistered: there is no request. In debug and testing also in
        ``events.as_visitor()``, which cannot change the visitor's cookies.
    """
    state = get_state()
    if not state.config.enabled:
        return
    if find_block() is not None:
        answer_mistake(state, LOGOUT, _explain_as_visitor("logout()"))
        return
    current = get_current_now(state)
    with state.guard("logging a customer out"):
        log_out(current)


class CurrentVisitor:
    """The visitor of the current request; read it through ``current_visitor``.

    In ``events.as_visitor()`` it is the visitor whom the token names. Then ``customer_id`` is
    None, ``session_id`` the session of the events, ``policy`` ``"full"``, or ``"none"`` if the
    token is empty; the other members raise ``NotRegistered``, and so do the ids if it is empty.
    """

    def __init__(self, current: Current) -> None:
        self._current = current

    def __repr__(self) -> str:
        return f"<CurrentVisitor {self.uuid}>"

    @property
    def device_id(self) -> uuidlib.UUID:
        """The id of the browser or phone."""
        return resolve(self._current).device_id

    @property
    def uuid(self) -> uuidlib.UUID:
        """The profile: the customer's, or the device's own."""
        return resolve(self._current).uuid

    @property
    def session_id(self) -> uuidlib.UUID:
        """The open session, or the one that the next event will open."""
        return resolve(self._current).session_id

    @property
    def customer_id(self) -> str | None:
        """The customer, if vouched for: logged in now, shown by a valid token, or identified in
        this session. Otherwise None."""
        return resolve(self._current).customer_id

    @property
    def is_new(self) -> bool:
        """Whether this is the device's first request."""
        return resolve(self._current).is_new

    @property
    def is_bot(self) -> bool:
        """Whether the client is taken for a bot. ``EVENTTRACK_BOTS`` says what is recorded."""
        return self._current.judged.bot is not None

    @property
    def policy(self) -> Policy:
        """What may be recorded of the visitor: ``"full"``, ``"anonymous"`` or ``"none"``."""
        return self._current.judged.policy

    def feed(self, before: dt.datetime | None = None, limit: int = 50) -> list[FeedEvent]:
        """Return what the visitor may see of their own events, newest first.

        A customer who is vouched for sees everything, on all devices and from before the log-in.
        A device that belongs to no customer sees its own events, since its last log-out. A device
        of a customer without a log-in sees its present session, but nothing from the moment a
        customer is vouched for in it. Newcomers, bots and visitors who refuse see nothing.

        A device cookie may be copied, or belong to a browser that someone else uses now. So it
        attributes events to a customer, and does not show the customer's other events.

        :param before: only events earlier than this aware moment.
        """
        visitor, database = self._open()
        if visitor.customer_id is not None:
            return read_feed(database, [visitor.uuid], before, limit, _by_session(visitor))
        if not visitor.is_known:
            return read_anonymous_feed(database, visitor.uuid, before, limit)
        if visitor.started is None:
            return []
        return read_session_feed(database, visitor.uuid, visitor.session, before, limit)

    def sessions(self, before: dt.datetime | None = None, limit: int = 50) -> list[TrackedSession]:
        """Return what the visitor may see of their own sessions, newest first.

        The rules are those of :meth:`feed`. But a row describes a whole session: it is left out if
        someone else has events in the session, for instance with a copy of the device cookie. On a
        customer's device without a log-in, the present session is left out once a customer is
        vouched for in it.

        :param before: only sessions that started earlier than this aware moment.
        """
        visitor, database = self._open()
        if visitor.customer_id is not None:
            return read_sessions(database, visitor.uuid, before, limit, _by_session(visitor))
        if not visitor.is_known:
            return read_anonymous_sessions(database, visitor.uuid, before, limit)
        if visitor.started is None:
            return []
        return read_present_session(database, visitor.uuid, visitor.session, before, limit)

    def profile(self) -> Profile | None:
        """Return what is stored of the customer, such as the traits.

        None if no customer is vouched for, or nothing is stored of them.
        """
        visitor, database = self._open()
        if visitor.customer_id is None:
            return None
        return find_profile(database, visitor.uuid, _by_session(visitor))

    def _open(self) -> tuple[Visitor, Database]:
        """Return who reads, and the database. What waits for one in memory is written first."""
        visitor, pipeline = resolve(self._current), self._current.state.pipeline
        if pipeline.database.is_in_memory:
            pipeline.flush()
        return visitor, pipeline.database

    @property
    def token(self) -> str:
        """A signed text of up to 500 characters for ``events.as_visitor()`` and
        ``track(visitor=…)`` in a job that this request starts.

        It names the device, the profile, the session, the page visit and the site. It does not
        expire, vouches for no customer, and is no cookie. It is empty if the visitor refused, is a
        bot or is left out by ``EVENTTRACK_VISITOR_FILTER``; ``track()`` then records nothing. When
        a new visitor's token is read, the answer to the request sends the cookies.
        """
        return make_token(self._current)


class _OutsideVisitor(CurrentVisitor):
    """The visitor of a block of ``as_visitor()``."""

    def __init__(self, state: State, token: str) -> None:
        self._state = state
        self._token = token

    def __getattribute__(self, name: str) -> t.Any:
        if name in _OF_REQUESTS:
            raise _explain_as_visitor(f"current_visitor.{name}")
        return super().__getattribute__(name)

    def __repr__(self) -> str:
        return "<CurrentVisitor of as_visitor()>"

    def _read(self) -> NamedVisitor:
        if not self._token:
            raise NotRegistered(
                "The visitor's token is empty: nothing may be recorded of them, and they have no "
                "ids. Look at current_visitor.token first."
            )
        return read_visitor(self._state, self._token)

    @property
    def device_id(self) -> uuidlib.UUID:
        return self._read().device_id

    @property
    def uuid(self) -> uuidlib.UUID:
        return self._read().uuid

    @property
    def session_id(self) -> uuidlib.UUID:
        return self._read().session_id

    @property
    def customer_id(self) -> None:
        return None

    @property
    def policy(self) -> Policy:
        return "full" if self._token else "none"

    @property
    def token(self) -> str:
        return self._token


_OF_REQUESTS = frozenset({"is_new", "is_bot", "feed", "sessions", "profile"})


def _explain_as_visitor(name: str) -> NotRegistered:
    return NotRegistered(
        f"{name} needs the visitor's own request. In events.as_visitor() a token stands for it, "
        "which vouches for no customer and cannot change cookies."
    )


def _by_session(visitor: Visitor) -> uuidlib.UUID | None:
    """Return the session whose cookie alone vouches for the customer, if it does."""
    return visitor.session_id if visitor.vouched == VOUCHED_BY_COOKIE else None


def _current_visitor() -> CurrentVisitor:
    token, state = find_block(), get_state()
    return CurrentVisitor(get_current(state)) if token is None else _OutsideVisitor(state, token)


#: The visitor of ``events.as_visitor()`` or of the current request: a proxy for
#: :class:`CurrentVisitor`.
current_visitor: CurrentVisitor = t.cast("CurrentVisitor", LocalProxy(_current_visitor))
