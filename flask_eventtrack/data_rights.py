"""A person's rights to what is stored of them: to have it, and to have it erased."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t
import uuid as uuidlib

from .identity import check_customer_id, customer_uuid
from .reports import iter_person
from .signals import profile_erased
from .state import State, get_state, send
from .store import Erased, count_rows, remove_alias

logger = logging.getLogger("flask_eventtrack")


class Person(t.NamedTuple):
    """Whom a caller means: profiles of one person, and the id in the host app if it is known."""

    profiles: tuple[uuidlib.UUID, ...]
    customer_id: str | None = None


def forget(who: str | int | uuidlib.UUID) -> Erased:
    """Erase all that the current app's database and journals hold of a person, until now.

    That is their profile with its traits, the events and sessions of all their devices, and
    records of theirs that were set aside; totals become what is left. Records that are still on
    their way are dropped when they arrive. What the person does afterwards is recorded again.

    Doing it again changes nothing. A person with 100,000 events takes a while: use a background
    job, or ``flask eventtrack forget``.

    :param who: a customer's id, or a profile's uuid.
    :returns: how many rows were removed: ``events``, ``sessions``, ``aliases``, ``rejected``.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way. Call it again.
    """
    state = get_state()
    *_, erased = iter_forget(state, find_person(state, who))
    return erased


def export(who: str | int | uuidlib.UUID) -> cabc.Iterator[dict[str, t.Any]]:
    """Return all that the current app's database holds of a person, as values for JSON.

    Each dict has a ``type``: ``profile``, ``alias``, ``session`` or ``event``, in this order and
    the oldest first, and the columns of the table. They are read in pages.

    :param who: a customer's id, or a profile's uuid.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused.
    """
    state = get_state()
    return iter_export(state, find_person(state, who))


def unmerge(state: State, anonymous: uuidlib.UUID) -> uuidlib.UUID | None:
    """Part an anonymous profile from its customer: in feeds and reports it is itself again.

    No event is changed. What the device does from now on is still the customer's, until it logs
    out.

    :returns: the customer's profile; None if the profile was nobody's.
    """
    state.pipeline.flush()
    with state.pipeline.database.begin() as connection:
        return remove_alias(connection, state.pipeline.database.tables, anonymous)


def find_person(state: State, who: str | int | uuidlib.UUID) -> Person:
    """Return whom ``who`` names.

    :raises InvalidEvent: it is no customer's id.
    """
    if isinstance(who, uuidlib.UUID):
        return Person((who,))
    customer_id = check_customer_id(who)
    return Person((customer_uuid(state.config.profile_salt, customer_id),), customer_id)


def parse_person(state: State, text: str) -> Person:
    """Return whom a text names. One that reads as a UUID may be either: a profile's, or an id.

    :raises InvalidEvent: it is neither.
    """
    person = find_person(state, text)
    try:
        return person._replace(profiles=(*person.profiles, uuidlib.UUID(text)))
    except ValueError:
        return person


def iter_forget(state: State, person: Person) -> cabc.Iterator[Erased]:
    """Erase a person, and yield now and then how much is removed so far."""
    erased = Erased()
    for erased in state.pipeline.forget(person.profiles, person.customer_id):
        yield erased
    # Without the identifier: the log must not be where they live on.
    logger.info("A person was erased: %d events, %d sessions.", erased.events, erased.sessions)
    uuid, customer_id = person
    send(state, profile_erased, customer_id=customer_id, uuid=uuid[0], erased=erased)


def iter_export(state: State, person: Person) -> cabc.Iterator[dict[str, t.Any]]:
    """Write what waits, and return a person's rows."""
    state.pipeline.flush()
    return iter_person(state.pipeline.database, person.profiles)


def count_person(state: State, person: Person) -> Erased:
    """Return how much an erasure would remove."""
    return count_rows(state.pipeline.database, person.profiles)
