"""The page on which managers make, list and revoke read-only links to the overview."""

from __future__ import annotations

import datetime as dt
import functools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from flask import Response, request

from ..ids import uuid7
from ..records import from_ns
from ..request.access import Access
from ..state import State
from ..text import clean_text
from .audit import add_entry, find_actor
from .feed_words import write_moment
from .forms import TOO_OLD, is_ours, make_token
from .render import find_root, render
from .shared import is_open, write_path

#: When a link may end, in days from now.
_ENDS: t.Final = {"1": "1 day", "7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year"}
_DEFAULT_END = "30"
_LONGEST_NAME = 100
_MOST = 100
#: How long a link is listed after its end.
_LISTED = dt.timedelta(days=30)
_ACT = "links"


class Asked(t.NamedTuple):
    """What the form of a new link says. ``site`` is empty for all sites."""

    name: str = ""
    site: str = ""
    days: str = _DEFAULT_END


class Listed(t.NamedTuple):
    """A link as the list shows it. ``url`` is None once it opens nothing; ``over`` says why."""

    id: uuidlib.UUID
    name: str
    site: str | None
    made: str
    actor: str
    ends: str
    url: str | None
    over: str


def handle_links(state: State, access: Access) -> Response:
    """Show the links, make one or revoke one."""
    if request.method != "POST":
        return _show(state, access)
    asked = Asked(*(request.form.get(name, "").strip() for name in Asked._fields))
    if not is_ours(state, _ACT):
        return _show(state, access, asked, TOO_OLD)
    if "revoke" in request.form:
        _revoke(state, find_actor(state, access), request.form["revoke"])
        return _see_list(state)
    mistake = _find_mistake(state, asked)
    if mistake:
        return _show(state, access, asked, mistake)
    link_id = _make(state, find_actor(state, access), asked)
    if link_id is None:
        mistake = f"There are {_MOST} links that have not ended, which is the most. Revoke one."
        return _show(state, access, asked, mistake)
    return _see_list(state, f"#link-{link_id}")


def _see_list(state: State, fragment: str = "") -> Response:
    headers = {"Location": f"{find_root(state)}/links{fragment}", "Cache-Control": "no-store"}
    return Response("", 303, headers)


def _show(state: State, access: Access, asked: Asked | None = None, mistake: str = "") -> Response:
    return render(
        state,
        access,
        "links",
        "Shared links",
        status=400 if mistake else 200,
        compress=False,
        links=_list(state),
        asked=asked or Asked(),
        mistake=mistake,
        sites=_list_sites(state),
        ends=_ENDS,
        longest=_LONGEST_NAME,
        token=make_token(state, _ACT),
        zone=str(state.reports.zone),
    )


def _find_mistake(state: State, asked: Asked) -> str:
    """Return what is wrong with the form of a new link, or ""."""
    if not asked.name:
        return "Say who the link is for."
    if len(asked.name) > _LONGEST_NAME:
        length = len(asked.name)
        return f"A name has at most {_LONGEST_NAME} characters. This one has {length}."
    if asked.days not in _ENDS:
        return "Choose when the link ends."
    if asked.site and asked.site not in _list_sites(state):
        return "There is no such site. Choose one of the list."
    return ""


def _list_sites(state: State) -> list[str]:
    """Return the sites that a link can be limited to."""
    reports = state.reports
    counted = reports.breakdown("site", reports.period("all")).rows
    return sorted(filter(None, {*state.sites.list_seen(), *(row.value for row in counted)}))


# Rows


def _list(state: State) -> list[Listed]:
    table, now = state.pipeline.database.tables.link, from_ns(state.clock())
    query = sa.select(table).where(~_is_forgotten(table, now))
    query = query.order_by(table.c.created_at.desc(), table.c.id.desc())
    with state.pipeline.database.read() as connection:
        rows = connection.execute(query).all()
    return [_describe(state, row, now) for row in rows]


def _describe(state: State, row: sa.Row[t.Any], now: dt.datetime) -> Listed:
    write = functools.partial(write_moment, zone=state.reports.zone)
    over = ""
    if row.revoked_at is not None:
        over = f"Revoked on {write(row.revoked_at)}"
    elif row.ends_at <= now:
        over = f"Ended on {write(row.ends_at)}"
    url = request.host_url.rstrip("/") + find_root(state) + write_path(state, row.id)
    return Listed(
        row.id,
        row.name,
        row.site,
        write(row.created_at),
        row.created_by,
        write(row.ends_at),
        None if over else url,
        over,
    )


def _make(state: State, actor: str, asked: Asked) -> uuidlib.UUID | None:
    """Store a link and return its id; None if there are too many.

    Rows that are no longer listed are removed.
    """
    now = from_ns(state.clock())
    row = {
        "id": uuid7(state.clock()),
        "name": clean_text(asked.name),
        "site": asked.site or None,
        "created_at": now,
        "created_by": actor,
        "ends_at": now + dt.timedelta(days=int(asked.days)),
    }
    return state.pipeline.database.retry(functools.partial(_insert, state, row))


def _insert(state: State, row: dict[str, t.Any], connection: sa.Connection) -> uuidlib.UUID | None:
    table = state.pipeline.database.tables.link
    now: dt.datetime = row["created_at"]
    connection.execute(table.delete().where(_is_forgotten(table, now)))
    count = sa.select(sa.func.count()).select_from(table).where(is_open(table, now))
    if connection.execute(count).scalar_one() >= _MOST:
        return None
    connection.execute(table.insert().values(row))
    add_entry(state, row["created_by"], "link", row["name"], connection)
    return t.cast("uuidlib.UUID", row["id"])


def _revoke(state: State, actor: str, text: str) -> None:
    """Revoke a link. One that is revoked already, or was never made, is left alone."""
    try:
        link_id = uuidlib.UUID(text)
    except ValueError:
        return
    state.pipeline.database.retry(functools.partial(_update, state, actor, link_id))


def _update(state: State, actor: str, link_id: uuidlib.UUID, connection: sa.Connection) -> None:
    table = state.pipeline.database.tables.link
    is_same = sa.and_(table.c.id == link_id, table.c.revoked_at.is_(None))
    change = table.update().where(is_same).values(revoked_at=from_ns(state.clock()))
    if connection.execute(change).rowcount:
        name = connection.scalar(sa.select(table.c.name).where(table.c.id == link_id))
        add_entry(state, actor, "revoke", str(name), connection)


def _is_forgotten(table: sa.Table, now: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether a link has ended, or was revoked, so long ago that it is no longer listed."""
    until = now - _LISTED
    return sa.or_(table.c.ends_at < until, sa.func.coalesce(table.c.revoked_at, now) < until)
