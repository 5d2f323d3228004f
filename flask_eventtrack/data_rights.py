"""A person's rights to their stored data: access, erasure and objection."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import logging
import pathlib
import typing as t
import uuid as uuidlib

from .identity.visitor import CustomerId, check_customer_id
from .reports.export import iter_person
from .signals import profile_erased
from .state import State, get_state, send
from .store.erasure import Erased
from .store.erasure_file import ErasureFile, Note, read_notes
from .text import quantify

logger: logging.Logger = logging.getLogger("flask_eventtrack")


class Person(t.NamedTuple):
    """A person: their known profiles, and their id in the host app if the caller gave it."""

    profiles: tuple[uuidlib.UUID, ...]
    customer_id: str | None = None


def forget(who: CustomerId) -> Erased:
    """Erase everything that the current app has stored about a person until now.

    That is the profile with its traits, the events and sessions of all the person's devices, and
    their records that were set aside; totals are corrected. Records that still wait to be written
    are dropped when they arrive. What the person does afterwards is recorded again. The amounts of
    the person's orders stay, without the person, unless ``EVENTTRACK_KEEP_REVENUE`` is False.

    It is safe to repeat. A person with 100,000 events takes a while: use a background job, or
    ``flask eventtrack forget``.

    :param who: a customer's id, or a profile's uuid.
    :returns: how many rows were removed: ``events``, ``sessions``, ``aliases``, ``transactions``
        and ``rejected``.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way. Call it again.
    """
    state = get_state()
    *_, erased = iter_forget(state, find_person(state, who))
    return erased


def export(who: CustomerId) -> cabc.Iterator[dict[str, t.Any]]:
    """Return everything that the current app has stored about a person, as values for JSON.

    Each dict has the columns of a table, and a ``type``: ``profile``, ``alias``, ``session``,
    ``event`` or ``transaction``, in this order and oldest first. Rows are read in pages.

    :param who: a customer's id, or a profile's uuid.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused.
    """
    state = get_state()
    person = find_person(state, who)
    state.pipeline.flush()
    return iter_person(state.pipeline.database, person.profiles)


def opt_out(who: CustomerId) -> None:
    """Note that a person objects: from now on the current app records nothing of them.

    It holds on all of their devices, and for code that names them: ``track(customer=…)``,
    ``identify()``, log-ins and tokens. What was recorded before stays: see :func:`forget`. The
    writer drops what still comes in and counts it, so requests are not slower, and signals of
    requests are sent as before.

    Only a keyed hash of each of the person's profiles is kept, also after an erasure.

    :param who: a customer's id, or a profile's uuid.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused. Call it again.
    """
    state = get_state()
    state.pipeline.opt_out(find_person(state, who).profiles)
    logger.info("A person has opted out.")


def opt_in(who: CustomerId) -> bool:
    """Note that a person withdraws their objection: from now on they are recorded again.

    What happened in between is not, even if it arrives later.

    :param who: a customer's id, or a profile's uuid.
    :returns: whether they had objected.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused. Call it again.
    """
    state = get_state()
    return state.pipeline.opt_in(find_person(state, who).profiles)


def unmerge(state: State, anonymous: uuidlib.UUID) -> uuidlib.UUID | None:
    """Undo the merge of an anonymous profile with a customer, in feeds and reports.

    No event is changed. Until the device logs out, its later events still belong to the customer.
    Interrupted, it can be called again.

    :returns: the customer's profile; None if the profile was not merged.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way. Call it again.
    """
    state.pipeline.flush()
    return state.pipeline.writer.unmerge(anonymous)


def find_person(state: State, who: CustomerId) -> Person:
    """Return the person with a customer's id or a profile's uuid. A UUID may be either.

    :raises InvalidEvent: it is not a customer's id.
    """
    customer_id = check_customer_id(who)
    profile = state.profile_of(customer_id)
    if isinstance(who, uuidlib.UUID):
        return Person((who, profile))
    return Person((profile,), customer_id)


def parse_person(state: State, text: str) -> Person:
    """Return the person that a text names; a UUID may be a profile's uuid or a customer's id.

    :raises InvalidEvent: it is neither.
    """
    person = find_person(state, text)
    with contextlib.suppress(ValueError):
        person = person._replace(profiles=(*person.profiles, uuidlib.UUID(text)))
    return person


def iter_forget(state: State, person: Person) -> cabc.Iterator[Erased]:
    """Erase a person, and yield the number of rows removed so far, again and again."""
    erased = Erased()
    for erased in state.pipeline.forget(person.profiles, person.customer_id):
        yield erased
    # The log must not keep the identifier of a person who is erased.
    events, sessions = quantify(erased.events, "event"), quantify(erased.sessions, "session")
    logger.info("A person was erased: %s, %s.", events, sessions)
    uuid, customer_id = person.profiles[0], person.customer_id
    send(state, profile_erased, customer_id=customer_id, uuid=uuid, erased=erased)


def read_erasures(state: State, path: pathlib.Path | None) -> list[Note]:
    """Return the notes of a file of erasures; by default of the current app's.

    :raises OSError: there is no such file, or it cannot be read.
    """
    if path is None and state.erasures is None:
        raise FileNotFoundError(
            "the database is in memory, so erasures are not kept outside it: name a file"
        )
    return read_notes(path or t.cast("ErasureFile", state.erasures).path)


def iter_replay(state: State, notes: list[Note]) -> cabc.Iterator[tuple[int, int, Erased]]:
    """Carry out erasures and objections again, after a backup was restored.

    :returns: again and again how many profiles are done, of how many, and the rows removed so far.
    """
    state.pipeline.replay(notes)
    groups: dict[dt.datetime, set[uuidlib.UUID]] = {}
    for uuid, at in find_noted(state, notes).items():
        groups.setdefault(at, set()).add(uuid)
    done, number, total = 0, sum(map(len, groups.values())), Erased()
    for at, profiles in sorted(groups.items()):
        erased, customers = state.pipeline.erase_again(profiles, at)
        done, total = done + len(profiles), total + erased
        names: list[str] | list[None] = customers or [None]
        for customer_id in names:
            uuid = min(profiles) if customer_id is None else state.profile_of(customer_id)
            send(state, profile_erased, customer_id=customer_id, uuid=uuid, erased=erased)
        yield done, number, total
    logger.info("Erasures were repeated: %s.", quantify(done, "profile"))


def find_noted(state: State, notes: list[Note]) -> dict[uuidlib.UUID, dt.datetime]:
    """Return the stored profiles that the notes name, each with the moment of its erasure."""
    found: dict[uuidlib.UUID, dt.datetime] = {}
    for page in state.pipeline.writer.find_noted(notes):
        found |= page
    return found
