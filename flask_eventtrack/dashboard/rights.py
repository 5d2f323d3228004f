"""A person's rights: export, objection and erasure, by forms of the person's page.

Each form is posted by a page of ours, with a signed token for this act on this person, and with the
person's id typed.
"""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t
import uuid as uuidlib

import msgspec
from flask import Flask, Response, request

from .. import data_rights
from ..reports.export import iter_person
from ..request.access import Access
from ..request.problems import not_found
from ..state import State, this_app
from ..store.erasure import count_rows
from .audit import Act, Entry, find_actor, find_last, write_audit
from .feed_words import keep, write_moment
from .forms import TOO_OLD, is_ours, make_token
from .people import link_people, name_person, read_uuid
from .person import find_owner, redirect_to, show_unknown
from .render import render

_SHORT = 8
# A small erasure is done when its page is shown.
_PATIENCE = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Asked = t.Literal["export", "object", "withdraw", "erase"]


class Words(t.NamedTuple):
    """What the page of an act says."""

    title: str
    sentence: str
    button: str


WORDS: t.Final[dict[str, Words]] = {
    "export": Words(
        "Export",
        "You get a file with everything that is stored of this person: profile, sessions, events "
        "and orders, one JSON object a line.",
        "Download",
    ),
    "object": Words(
        "Objection",
        "From now on nothing is recorded of this person, on any of their devices. What was "
        "recorded before stays.",
        "Record the objection",
    ),
    "withdraw": Words(
        "Withdraw the objection",
        "From now on this person is recorded again. What happened in between is not.",
        "Withdraw the objection",
    ),
    "erase": Words(
        "Erase",
        "Everything that is stored of this person is removed for good: profile, traits, sessions "
        "and events. The amounts of their orders stay without the person, unless your settings "
        "say otherwise.",
        "Erase for good",
    ),
}


def handle_rights(state: State, access: Access, person: str, act: str) -> Response:
    """Show the form of an act on a person, or do it."""
    if act not in WORDS:
        return not_found()
    asked, uuid = t.cast("Asked", act), read_uuid(person)
    last = _find_erasure(state, uuid) if asked == "erase" and uuid is not None else None
    if last is not None and request.method != "POST":
        return _show_erasure(state, access, person, last)
    found = find_owner(state, person)
    if found is None:
        return show_unknown(state, access)
    if str(found) != person:
        return redirect_to(state, found, f"/{act}")
    if request.method != "POST":
        return _show_form(state, access, asked, found)
    return _take_form(state, access, asked, found)


def _show_form(
    state: State, access: Access, act: Asked, person: uuidlib.UUID, mistake: str = ""
) -> Response:
    customer_id = state.reports.name([person])[person].customer_id
    return render(
        state,
        access,
        "people",
        WORDS[act].title,
        template="rights",
        status=400 if mistake else 200,
        compress=False,
        words=WORDS[act],
        act=act,
        who=name_person(person, customer_id, keep),
        link=f"{link_people(state)}/{person}",
        expected=customer_id or str(person)[:_SHORT],
        token=make_token(state, act, person),
        mistake=mistake,
    )


def _take_form(state: State, access: Access, act: Asked, person: uuidlib.UUID) -> Response:
    customer_id = state.reports.name([person])[person].customer_id
    if not is_ours(state, act, person):
        return _show_form(state, access, act, person, TOO_OLD)
    typed = request.form.get("typed", "").strip()
    if typed not in {customer_id, str(person)[:_SHORT]}:
        return _show_form(state, access, act, person, "That is not what you were asked to type.")
    actor = find_actor(state, access)
    if act == "export":
        return _export(state, actor, person)
    if act == "erase":
        return _erase(state, actor, data_rights.Person((person,), customer_id))
    if act == "object":
        state.pipeline.opt_out([person])
    else:
        state.pipeline.opt_in([person])
    write_audit(state, actor, act, person)
    return _see_other(f"{link_people(state)}/{person}")


def _see_other(url: str) -> Response:
    return Response("", 303, {**_HEADERS, "Location": url})


# Export


def _export(state: State, actor: str, person: uuidlib.UUID) -> Response:
    state.pipeline.flush()
    write_audit(state, actor, "export", person)
    items = iter_person(state.pipeline.database, [person])
    name = f"person-{str(person)[:_SHORT]}.jsonl"
    headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_write_lines(items), mimetype="application/jsonl", headers=headers)


def _write_lines(items: cabc.Iterable[object]) -> cabc.Iterator[bytes]:
    for item in items:
        yield msgspec.json.encode(item) + b"\n"


# Erasure: in a thread of this process. What any process shows of it is read from the database: the
# audit says when it began and ended, and the rows that are left are counted.


def _erase(state: State, actor: str, person: data_rights.Person) -> Response:
    [uuid] = person.profiles
    subject = state.pipeline.writer.hash_of(uuid)
    write_audit(state, actor, "erase", subject)
    arguments = (this_app(), state, actor, person, subject)
    if state.pipeline.database.is_in_memory:  # a thread may have another database
        _run_erasure(*arguments)
    else:
        name = "eventtrack-erasure"
        thread = threading.Thread(target=_run_erasure, args=arguments, name=name, daemon=True)
        thread.start()
        thread.join(_PATIENCE)
    return _see_other(f"{link_people(state)}/{uuid}/erase")


def _run_erasure(
    app: Flask, state: State, actor: str, person: data_rights.Person, subject: str
) -> None:
    act: Act = "failed"
    try:
        with app.app_context():
            for _ in data_rights.iter_forget(state, person):
                pass
        act = "erased"
    except Exception:  # noqa: BLE001 - nobody waits for the thread; the audit and the log say so
        data_rights.logger.exception("An erasure from the dashboard failed; it can be repeated.")
    finally:
        write_audit(state, actor, act, subject)


def _find_erasure(state: State, person: uuidlib.UUID) -> Entry | None:
    """Return what the audit of the last day says last of a person's erasure."""
    return find_last(state, state.pipeline.writer.hash_of(person), ("erase", "erased", "failed"))


def _show_erasure(state: State, access: Access, person: str, last: Entry) -> Response:
    """Show how an erasure goes."""
    uuid = uuidlib.UUID(person)
    left = count_rows(state.pipeline.database, [uuid]) if last.action != "erased" else None
    return render(
        state,
        access,
        "people",
        "Erasure",
        template="erasure",
        compress=False,
        last=last,
        left=left and left.events + left.sessions + left.transactions,
        people=link_people(state),
        action=f"{link_people(state)}/{uuid}/erase",
        expected=str(uuid)[:_SHORT],
        token=make_token(state, "erase", uuid),
        zone=state.reports.zone,
        write_moment=write_moment,
    )
