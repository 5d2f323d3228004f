"""What managers save under a name, and remove: goals, funnels, filters and notes."""

from __future__ import annotations

import functools
import typing as t

import sqlalchemy as sa
from flask import Response, request

from ...ids import uuid7
from ...records import from_ns
from ...request.access import Access
from ...request.problems import not_found
from ...state import State
from ...store.notes import add_note, remove_note
from ...store.saved import MOST, Kind, Saved, add_saved, list_saved, remove_saved
from ...text import clean_text
from ..audit import Act, add_entry, find_actor
from ..forms import TOO_OLD, is_ours, make_token
from ..render import find_root

LONGEST_NAME: t.Final = 64


def read_saved(state: State, *kinds: Kind) -> list[Saved]:
    """Return what is saved of some kinds."""
    database = state.pipeline.database
    with database.read() as connection:
        return list_saved(connection, database.tables, *kinds)


def make_save_token(state: State, access: Access, kind: Kind) -> str:
    """Return the token of the forms that save and remove; "" for those who may not."""
    return make_token(state, kind) if access.may_manage else ""


def find_refusal(state: State, access: Access, kind: Kind) -> Response | str | None:
    """Return why a post may change nothing; None if it may."""
    if not access.may_manage:
        return not_found()
    return None if is_ours(state, kind) else TOO_OLD


def save(state: State, access: Access, kind: Kind, name: str, definition: dict[str, t.Any]) -> str:
    """Save something under a name. Return what is wrong, or ""."""
    name = clean_text(name).strip()
    if not 0 < len(name) <= LONGEST_NAME:
        return f"Enter a name of 1 to {LONGEST_NAME} characters."
    if not store(state, access, kind, name, definition):
        return (
            f"The {kind} {name!r} exists already, or there are {MOST[kind]}, the most. Choose "
            "another name, or remove one."
        )
    return ""


def store(
    state: State, access: Access, kind: Kind, name: str, definition: dict[str, t.Any]
) -> bool:
    """Save something. Return False if its name is taken, or there are too many of the kind."""
    now, actor = state.clock(), find_actor(state, access)
    row = Saved(uuid7(now), kind, name, definition, actor, from_ns(now))
    return state.pipeline.database.retry(functools.partial(_add, state, row))


def remove(state: State, access: Access, kind: Kind, name: str) -> None:
    """Remove what is saved under a name, if anything is."""
    actor = find_actor(state, access)
    work = functools.partial(_remove, state, kind, clean_text(name), actor)
    state.pipeline.database.retry(work)


def see_list(state: State, page: str) -> Response:
    """Lead back to a page, so that it can be reloaded."""
    return see(f"{find_root(state)}/{page}")


def see(url: str) -> Response:
    """Lead from a form that was sent to a URL."""
    return Response("", 303, {"Location": url, "Cache-Control": "no-store"})


def is_removal() -> bool:
    """Whether the form that was sent removes something."""
    return "remove" in request.form


def _add(state: State, row: Saved, connection: sa.Connection) -> bool:
    add = add_note if row.kind == "note" else add_saved
    is_new = add(connection, state.pipeline.database.tables, row)
    if is_new:
        _note(state, row.made_by, "save", row.kind, row.name, connection)
    return is_new


def _remove(state: State, kind: Kind, name: str, actor: str, connection: sa.Connection) -> None:
    tables = state.pipeline.database.tables
    if kind == "note":
        is_gone = remove_note(connection, tables, name)
    else:
        is_gone = remove_saved(connection, tables, kind, name)
    if is_gone:
        _note(state, actor, "remove", kind, name, connection)


def _note(
    state: State, actor: str, act: Act, kind: Kind, name: str, connection: sa.Connection
) -> None:
    add_entry(state, actor, act, f"{kind} {name}"[:255], connection)
