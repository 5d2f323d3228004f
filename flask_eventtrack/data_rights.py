"""A person's rights to their stored data: access and erasure."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import typing as t
import uuid as uuidlib

from .reports.export import iter_person
from .signals import profile_erased
from .state import State, get_state, send
from .store.erasure import Erased
from .store.profiles import remove_alias
from .text import quantify

logger: logging.Logger = logging.getLogger("flask_eventtrack")


class Person(t.NamedTuple):
    """A person: their known profiles, and their id in the host app if the caller gave it."""

    profiles: tuple[uuidlib.UUID, ...]
    customer_id: str | None = None


def forget(who: str | int | uuidlib.UUID) -> Erased:
    """Erase everything that the current app has stored about a person until now.

    That is the profile with its traits, the events and sessions of all the person's devices, and
    their records that were set aside; totals are corrected. Records that still wait to be written
    are dropped when they arrive. What the person does afterwards is recorded again.

    It is safe to repeat. A person with 100,000 events takes a while: use a background job, or
    ``flask eventtrack forget``.

    :param who: a customer's id, or a profile's uuid.
    :returns: how many rows were removed: ``events``, ``sessions``, ``aliases``, ``rejected``.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way. Call it again.
    """
    state = get_state()
    *_, erased = iter_forget(state, find_person(state, who))
    return erased


def export(who: str | int | uuidlib.UUID) -> cabc.Iterator[dict[str, t.Any]]:
    """Return everything that the current app has stored about a person, as values for JSON.

    Each dict has the columns of a table, and a ``type``: ``profile``, ``alias``, ``session`` or
    ``event``, in this order and oldest first. Rows are read in pages.

    :param who: a customer's id, or a profile's uuid.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused.
    """
    state = get_state()
    person = find_person(state, who)
    state.pipeline.flush()
    return iter_person(state.pipeline.database, person.profiles)


def unmerge(state: State, anonymous: uuidlib.UUID) -> uuidlib.UUID | None:
    """Undo the merge of an anonymous profile with a customer, in feeds and reports.

    No event is changed. Until the device logs out, its later events still belong to the customer.

    :returns: the customer's profile; None if the profile was not merged.
    """
    state.pipeline.flush()
    with state.pipeline.database.begin() as connection:
        return remove_alias(connection, state.pipeline.database.tables, anonymous)


def find_person(state: State, who: str | int | uuidlib.UUID) -> Person:
    """Return the person that a customer's id or a profile's uuid names.

    :raises InvalidEvent: it is not a customer's id.
    """
    if isinstance(who, uuidlib.UUID):
        return Person((who,))
    return Person((state.profile_of(who),), str(who))


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
