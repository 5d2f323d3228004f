"""The audit: who looked at a person, exported or erased them, made or removed what, or decided on a
refused record."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import threading
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from flask import Response, current_app, g, request

from ..identity.users import find_user_id
from ..ids import uuid7
from ..records import from_ns
from ..request.access import Access
from ..state import State
from ..store.tables import cached_on_table
from ..text import clean_text
from .feed_words import write_moment
from .render import render

logger: logging.Logger = logging.getLogger("flask_eventtrack")

Act = t.Literal[
    "view",
    "export",
    "object",
    "withdraw",
    "erase",
    "erased",
    "failed",
    "link",
    "revoke",
    "save",
    "remove",
    "try",
    "give_up",
]

#: A look at a person is noted once in this time for each member of staff.
_VIEW_PAUSE = dt.timedelta(hours=1)
# The end of an erasure comes after its beginning, however coarse the clock is.
_TICK = 1000
_PAGE = 100
_ACTOR_LENGTH = 255
_PATIENCE = 0.3
_THREAD = "eventtrack-audit"
WORDS: t.Final[dict[str, str]] = {
    "view": "looked at",
    "export": "exported",
    "object": "recorded the objection of",
    "withdraw": "withdrew the objection of",
    "erase": "began to erase",
    "erased": "erased",
    "failed": "failed to erase",
    "link": "made the link",
    "revoke": "revoked the link",
    "save": "saved the",
    "remove": "removed the",
    "try": "tried to store again",
    "give_up": "gave up the refused record",
}


class Entry(t.NamedTuple):
    """A row of the audit.

    ``subject`` is a person's uuid, or a hash once they are erased; the name of a link, or of what
    was saved; or the action and the id of a refused record.
    """

    at: dt.datetime
    actor: str
    action: str
    subject: str

    @property
    def is_of_person(self) -> bool:
        return self.action not in {"link", "revoke", "save", "remove", "try", "give_up"}

    @property
    def uuid(self) -> uuidlib.UUID | None:
        try:
            return uuidlib.UUID(self.subject)
        except ValueError:
            return None


def find_actor(state: State, access: Access) -> str:
    """Return who makes the request, as far as the host says."""
    if access.is_by_token:
        return "report token"
    if access.is_by_command:
        return "command line"
    name = None
    with state.guard("asking for the dashboard's user"):
        name = _ask_host(state)
    if name is None:
        name = "debug mode" if access.is_by_debug else "unknown"
    return clean_text(str(name))[:_ACTOR_LENGTH]


def _ask_host(state: State) -> object:
    ask = state.callbacks.dashboard_user
    if ask is not None:
        return ask()
    if hasattr(current_app, "login_manager") and g.get("_login_user") is None:
        current_app.login_manager._load_user()
    user = g.get("_login_user")
    is_known = user is not None and user.is_authenticated
    return find_user_id(user).customer_id if is_known else None


def write_audit(state: State, actor: str, act: Act, subject: uuidlib.UUID | str) -> None:
    """Write a row, by a connection of ours: the host's transaction has no part in it."""
    state.pipeline.database.retry(functools.partial(add_entry, state, actor, act, subject))


def add_entry(
    state: State, actor: str, act: Act, subject: uuidlib.UUID | str, connection: sa.Connection
) -> None:
    """Write a row in a transaction of ours."""
    now = state.clock() + (_TICK if act in {"erased", "failed"} else 0)
    row = {"id": uuid7(now), "at": from_ns(now), "actor": actor, "action": act}
    insert = state.pipeline.database.tables.audit.insert().values(**row, subject=str(subject))
    connection.execute(insert)


def note_view(state: State, access: Access, person: uuidlib.UUID) -> None:
    """Write that somebody looks at a person, unless a row of the last hour says so."""
    actor, query = find_actor(state, access), _view_query(state.pipeline.database.tables.audit)
    since = from_ns(state.clock()) - _VIEW_PAUSE
    with state.pipeline.database.read() as connection:
        known = connection.scalar(query, {"since": since, "by": actor, "of": str(person)})
    if known is not None:
        return
    if not state.pipeline.database.is_file:
        write_audit(state, actor, "view", person)
        return
    # The host's own transaction may hold the file until its page is rendered.
    thread = threading.Thread(target=_write_view, args=(state, actor, person), name=_THREAD)
    thread.start()
    thread.join(_PATIENCE)


@cached_on_table
def _view_query(audit: sa.Table) -> sa.Select[tuple[uuidlib.UUID]]:
    is_same = audit.c.actor == sa.bindparam("by"), audit.c.subject == sa.bindparam("of")
    is_view = audit.c.at > sa.bindparam("since"), audit.c.action == "view"
    return sa.select(audit.c.id).where(*is_view, *is_same).limit(1)


def _write_view(state: State, actor: str, person: uuidlib.UUID) -> None:
    try:
        write_audit(state, actor, "view", person)
    except Exception:  # nobody waits for the thread
        logger.exception("A look at a person could not be written to the audit.")


def find_last(state: State, subject: str, acts: tuple[Act, ...]) -> Entry | None:
    """Return the latest of some acts on a subject, of the last day."""
    table = state.pipeline.database.tables.audit.c
    query = _select(state).where(table.at > from_ns(state.clock()) - dt.timedelta(days=1))
    query = query.where(table.subject == subject, table.action.in_(acts)).limit(1)
    with state.pipeline.database.read() as connection:
        row = connection.execute(query).first()
        return None if row is None else Entry(*row)


def show_audit(state: State, access: Access) -> Response:
    """Show the audit, newest first."""
    table, query = state.pipeline.database.tables.audit.c, _select(state).limit(_PAGE)
    try:
        before: uuidlib.UUID | None = uuidlib.UUID(request.args.get("before", ""))
    except ValueError:
        before = None
    with state.pipeline.database.read() as connection:
        if before is not None:
            query = query.where(table.id < before)
        rows = connection.execute(query.add_columns(table.id)).all()
    return render(
        state,
        access,
        "audit",
        "Audit",
        entries=[Entry(*row[:-1]) for row in rows],
        words=WORDS,
        zone=state.reports.zone,
        write_moment=write_moment,
        further=rows[-1].id if len(rows) == _PAGE else None,
    )


def _select(state: State) -> sa.Select[t.Any]:
    table = state.pipeline.database.tables.audit.c
    columns = (table.at, table.actor, table.action, table.subject)
    return sa.select(*columns).order_by(table.at.desc(), table.id.desc())
