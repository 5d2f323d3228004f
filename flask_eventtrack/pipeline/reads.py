"""What agents have read, as it waits for the writer: counts in memory, of bounded size."""

from __future__ import annotations

import collections
import typing as t

from ..records import AgentRead

_MOST = 1000


class Taken(t.NamedTuple):
    """Counts that are being written, and as how many records they wait."""

    counts: collections.Counter[AgentRead]
    records: int


class Reads:
    """Counts the reads of agents. The caller has a lock.

    Of more than 1,000 different reads, the rest are counted without their route and status. All
    that wait count as one record; if writing them failed, those that came meanwhile as another.
    """

    def __init__(self) -> None:
        self._counts: collections.Counter[AgentRead] = collections.Counter()
        self._records = 0

    def add(self, read: AgentRead) -> bool:
        """Count a read; return whether it is the first of another record."""
        is_first = not self._counts
        self._records += is_first
        self._add(read, 1)
        return is_first

    def _add(self, read: AgentRead, by: int) -> None:
        counts = self._counts
        if len(counts) >= _MOST and read not in counts:
            read = read.without_route()
        counts[read] += by

    def take(self) -> Taken:
        """Return the counts so far, and begin again."""
        taken = Taken(self._counts, self._records)
        self._counts, self._records = collections.Counter(), 0
        return taken

    def put_back(self, taken: Taken) -> None:
        """Keep counts that could not be written."""
        self._records += taken.records
        for read, number in taken.counts.items():
            self._add(read, number)
