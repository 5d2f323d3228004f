"""The reports of single people, and of what happens now: a part of ``events.reports``."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

from ..records import Clock, from_ns
from . import live, people
from . import person as persons
from .feed import Stored
from .reader import Reader
from .rows import HereNow, PersonRow

#: For how long who did an event is looked for, unless something else is said.
DOERS_SINCE: t.Final = dt.timedelta(days=30)
_SHORT_PATIENCE = 0.2


class PeopleReports:
    """What :class:`~.library.Reports` tells of people."""

    def __init__(self, reader: Reader, clock: Clock, salt: str) -> None:
        self.reader: Reader = reader
        self._clock = clock
        self._salt = salt

    @property
    def now(self) -> dt.datetime:
        """The moment, by the app's clock."""
        return from_ns(self._clock())

    def here_now(self, sites: cabc.Collection[str] | None = None) -> list[HereNow]:
        """Return who was active in the last five minutes, the latest first; 500 at most.

        :param sites: only who is on these sites.
        """
        with self.reader.open() as connection:
            return live.read_here(connection, self.reader.tables, self.now, sites)

    def count_here(self) -> int:
        """Return how many people :meth:`here_now` returns, without reading them.

        It waits no longer than a moment for other reports.
        """
        with self.reader.open(patience=_SHORT_PATIENCE) as connection:
            return live.count_here(connection, self.reader.tables, self.now)

    def live(
        self, after: dt.datetime | None = None, limit: int = live.MOST, action: str = ""
    ) -> list[Stored]:
        """Return the events stored last, newest first.

        :param after: the latest ``stored_at`` that you have seen. Events that were stored a little
            earlier are returned again, since a transaction may have held them back: drop what you
            have by the events' ids.
        :param limit: at most 500.
        :param action: only events of this action.
        """
        with self.reader.open() as connection:
            return live.read_live(connection, self.reader.tables, after, limit, action)

    def search(self, text: str, *, whole: bool = False) -> list[PersonRow]:
        """Return the people with this customer id, uuid, order number or trait.

        :param whole: whether e-mail addresses are found by the whole address only.
        """
        with self.reader.open() as connection:
            tables = self.reader.tables
            return people.search_people(connection, tables, self._salt, text, whole=whole)

    def newest(
        self, before: uuidlib.UUID | None = None, limit: int = people.MOST
    ) -> list[PersonRow]:
        """Return the customers who were identified for the first time last.

        :param before: the last person that you have.
        """
        with self.reader.open() as connection:
            return people.newest_people(connection, self.reader.tables, before, limit)

    def most_active(self, limit: int = people.MOST) -> list[PersonRow]:
        """Return the people with the most sessions among the latest 5,000 sessions."""
        with self.reader.open() as connection:
            return people.most_active_people(connection, self.reader.tables, limit)

    def who_did(
        self,
        action: str,
        since: dt.datetime | None = None,
        before: dt.datetime | None = None,
    ) -> people.Doers:
        """Return the people of the latest 500 events of an action.

        :param since: the default is 30 days ago.
        """
        since = since or self.now - DOERS_SINCE
        with self.reader.open() as connection:
            return people.read_doers(connection, self.reader.tables, action, since, before)

    def everyone_who_did(
        self, action: str, since: dt.datetime | None = None
    ) -> cabc.Iterator[PersonRow]:
        """Yield everyone who did an event, the latest first; 100,000 at most.

        :param since: the default is 30 days ago.
        """
        since = since or self.now - DOERS_SINCE
        return people.iter_doers(self.reader.open, self.reader.tables, action, since)

    def name(self, uuids: cabc.Collection[uuidlib.UUID]) -> dict[uuidlib.UUID, people.Named]:
        """Return whose some profiles are."""
        with self.reader.open() as connection:
            return people.name_people(connection, self.reader.tables, uuids)

    def owner(self, uuid: uuidlib.UUID) -> uuidlib.UUID | None:
        """Return the person of a profile; None if nothing is stored of it."""
        with self.reader.open() as connection:
            return persons.find_owner(connection, self.reader.tables, uuid)

    def person(self, uuid: uuidlib.UUID) -> persons.Person:
        """Return what is known of a person, as :meth:`owner` has returned them."""
        with self.reader.open() as connection:
            return persons.describe_person(connection, self.reader.tables, uuid)

    def feed(
        self,
        profiles: cabc.Collection[uuidlib.UUID],
        before: persons.Cursor | None = None,
        limit: int = 50,
        action: str = "",
    ) -> persons.PersonFeed:
        """Return a page of the feed of a person's ``profiles``, newest first."""
        with self.reader.open() as connection:
            tables = self.reader.tables
            return persons.read_person_feed(connection, tables, profiles, before, limit, action)
