"""``{{ eventtrack_feed(user) }}``: a customer's feed in the host's own pages."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

from markupsafe import Markup

from ..data_rights import find_person
from ..errors import InvalidEvent
from ..identity.users import find_user_id
from ..identity.visitor import CustomerId
from ..request.access import Access, find_access
from ..state import State, get_state
from .audit import note_view
from .feed_words import group_feed
from .people import catch_up, choose_veil
from .render import make_environment

_MOST = 200


def eventtrack_feed(user: t.Any, limit: int = 20) -> Markup:
    """Return a customer's latest events as HTML.

    It is empty if ``EVENTTRACK_DASHBOARD_PERMISSION`` does not let the request see people.

    :param user: a user of Flask-Login, a customer's id, or a profile's uuid.
    :param limit: at most 200.
    """
    state = get_state()
    access = find_access(state) if state.config.enabled else None
    if access is None or not access.may_see_people:
        return Markup()
    try:
        return _render(state, access, user, limit)
    except Exception as error:  # noqa: BLE001 - the host's page goes on without it
        state.report_failure("rendering a feed", error)
        return Markup()


def _render(state: State, access: Access, user: t.Any, limit: int) -> Markup:
    catch_up(state)
    who = _find_id(state, user)
    if who is None:
        return Markup()
    reports = state.reports
    owners = {reports.owner(uuid) for uuid in find_person(state, who).profiles} - {None}
    person = min(t.cast("set[uuidlib.UUID]", owners), default=None)
    if person is None:
        return Markup()
    note_view(state, access, person)
    profiles = reports.person(person).profiles
    feed = reports.feed(profiles, limit=max(1, min(limit, _MOST)))
    shown = choose_veil(access)
    days = group_feed(feed.events, feed.sessions, reports.zone, reports.now, shown)
    template = make_environment().get_template("host_feed.html")
    return Markup(template.render(days=days))  # noqa: S704 - it is escaped by its template


def _find_id(state: State, user: t.Any) -> CustomerId | None:
    """Return the id of a user of the host, or the id itself."""
    if isinstance(user, str | int | uuidlib.UUID):
        return user
    ask = state.callbacks.customer_id
    try:
        return find_user_id(user).customer_id if ask is None else ask(user)
    except InvalidEvent:
        return None
