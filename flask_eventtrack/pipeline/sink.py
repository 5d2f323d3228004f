"""Where a pipeline's records go: into the database, or to others that write them there."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

from ..errors import EventTrackError
from ..records import Counted, Record
from .queue import Progress, Sent


class Lost(EventTrackError):
    """The sink no longer has what it took."""


class Sink(t.Protocol):
    """What takes the records of a pipeline, in one thread at a time.

    ``committed`` counts records since the start; ``last_commit`` says when it took the last ones.
    """

    committed: int
    last_commit: dt.datetime | None

    @property
    def claim_size(self) -> int:
        """How many waiting records :meth:`commit` should get at once, if so many wait."""
        ...

    def commit(
        self,
        records: cabc.Sequence[Record],
        outcomes: cabc.Mapping[Counted, int],
        *,
        is_replay: bool = False,
        progress: cabc.Sequence[Progress] = (),
    ) -> None:
        """Take records and counts for good.

        :param outcomes: how many events were not stored, and why, for the quality counters; and
            how often agents have read something.
        :param is_replay: whether some records may have been taken already, from a dead process or
            in a failed attempt. These are not counted as duplicates.
        :param progress: how far each journal is read with these records, for :meth:`find_sent`.
        :raises Lost: it did not, since it no longer has what it took: see ``progress``.
        :raises Exception: it did not; the caller keeps both, and tries again.
        """

    def find_sent(self, journals: cabc.Sequence[str]) -> cabc.Mapping[str, Sent]:
        """Return how far it has journals; a sink that loses nothing is not asked.

        :raises Exception: it is away.
        """
        return {}
