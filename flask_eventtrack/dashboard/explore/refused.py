"""Records that the database has refused: listed with their reasons, tried again, or given up."""

from __future__ import annotations

import contextlib
import functools
import json
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from flask import Response, request

from ...pipeline.again import NotWhole, give_up, try_again
from ...pipeline.refusal import read_described
from ...request.access import Access
from ...request.problems import not_found
from ...state import State
from ...store.rejected import Rejected, count_rejected, read_rejected
from ..audit import Act, add_entry, find_actor
from ..feed_words import write_moment
from ..figures import shorten
from ..forms import TOO_OLD, is_ours
from ..render import find_root
from .upkeep import forget

#: What the forms' tokens are made for.
ACT: t.Final = "refused"
#: So many records are listed.
MOST: t.Final = 50
_LONGEST = 4000
_ACTS: t.Final[dict[str, Act]] = {"again": "try", "give-up": "give_up"}


class Listed(t.NamedTuple):
    """A refused record as the page lists it. ``is_whole`` if it can be tried again."""

    id: uuidlib.UUID
    at: str
    action: str
    reason: str
    payload: str
    is_whole: bool


class Records(t.NamedTuple):
    """The latest refused records, how many there are, and how many were removed to make room."""

    listed: list[Listed]
    number: int
    crowded_out: int


def read_records(state: State) -> Records:
    """Return the refused records, the latest first."""
    with state.reports.reader.open() as connection:
        rows = read_rejected(connection, state.reports.reader.tables, MOST)
        number, crowded_out = count_rejected(connection, state.reports.reader.tables)
    return Records([_describe(state, row) for row in rows], number, crowded_out)


def _describe(state: State, row: Rejected) -> Listed:
    return Listed(
        row.id,
        write_moment(row.rejected_at, state.reports.zone),
        row.action.strip(),
        row.reason,
        _indent(row.payload),
        read_described(row.payload) is not None,
    )


def _indent(payload: str) -> str:
    """Return JSON for people to read; as it is if it was cut."""
    with contextlib.suppress(ValueError, RecursionError):
        payload = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    return shorten(payload, _LONGEST)


def decide(state: State, access: Access, act: str) -> tuple[Response | None, str]:
    """Do what a form asks for; return the answer, or what was wrong with the form.

    The form names one record, or all that its page has listed.
    """
    if act not in _ACTS:
        return not_found(), ""
    if not is_ours(state, ACT):
        return None, TOO_OLD
    mistake = ""
    actor = find_actor(state, access)
    for record_id in _read_ids():
        try:
            work = functools.partial(_decide, state, actor, _ACTS[act], record_id)
            state.pipeline.database.retry(work)
        except (NotWhole, TimeoutError) as error:
            mistake = str(error)
    forget(state)
    state.pipeline.hurry()
    if mistake and len(request.form.getlist("id")) == 1:
        return None, mistake
    where = f"{find_root(state)}/quality#refused"
    return Response("", 303, {"Location": where, "Cache-Control": "no-store"}), ""


def _read_ids() -> list[uuidlib.UUID]:
    try:
        return [uuidlib.UUID(each) for each in request.form.getlist("id")[:MOST]]
    except ValueError:
        return []


def _decide(
    state: State, actor: str, act: Act, record_id: uuidlib.UUID, connection: sa.Connection
) -> None:
    pipeline = state.pipeline
    if act == "try":
        action = try_again(connection, pipeline, record_id)
    else:
        action = give_up(connection, pipeline.database.tables, record_id, pipeline.writer.now)
    if action is not None:
        add_entry(state, actor, act, f"{action} {record_id}".strip(), connection)
