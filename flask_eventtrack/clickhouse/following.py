"""Follows the commit log until it is told to stop, also while a server is away."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import time

from sqlalchemy import exc

from ..store.changes import SnapshotNeeded
from .copying import Copier
from .problems import Away, Busy

#: How many seconds pass between two looks into the log.
INTERVAL = 1.0
#: How many seconds pass at least between two merges of what was deleted.
BETWEEN_MERGES = 300.0
_LONGEST_PAUSE = 60.0


@dataclasses.dataclass(slots=True)
class Follower:
    """Keeps a copy up to date.

    :param open: opens the copy, anew after a failure.
    :param bring_up: does what the first look asks for, such as to copy the tables.
    :param say: is told what people should know, once.
    :param pause: waits for so many seconds; returns True if it is time to stop.
    """

    open: cabc.Callable[[], contextlib.AbstractContextManager[Copier]]
    bring_up: cabc.Callable[[Copier], None]
    say: cabc.Callable[[str], None]
    pause: cabc.Callable[[float], bool]
    clock: cabc.Callable[[], float] = time.monotonic
    _failures: int = 0
    _said: str = ""
    _merged: float = float("-inf")

    def run(self) -> None:
        """Follow until :attr:`pause` says to stop.

        :raises CopyProblem: the copy cannot be gone on with.
        """
        while True:
            try:
                with self.open() as copier:
                    self._follow(copier)
                return
            except (Away, Busy) as error:
                self._note_failure(str(error))
            except exc.DBAPIError as error:
                if not _is_away(error):
                    raise
                reason = f"{error.orig}".partition("\n")[0]
                self._note_failure(f"The app's database does not answer: {reason}.")
            if self.pause(min(2.0 ** min(self._failures, 6), _LONGEST_PAUSE)):
                return
            self._failures += 1

    def _follow(self, copier: Copier) -> None:
        self.bring_up(copier)
        if self._said:
            self.say("It goes on.")
        else:
            self.say(f"Following the commit log from position {copier.position:,}. Ctrl+C stops.")
        self._said, self._failures = "", 0
        while not self.pause(INTERVAL):
            try:
                for _ in copier.catch_up():
                    if self.pause(0):
                        return
            except SnapshotNeeded as error:
                copier.start_anew(str(error))
                self.bring_up(copier)
            if copier.is_due and self.clock() - self._merged >= BETWEEN_MERGES:
                copier.merge()
                self._merged = self.clock()

    def _note_failure(self, text: str) -> None:
        if text != self._said:
            self.say(f"{text} Trying again.")
        self._said = text


def _is_away(error: exc.DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(
        error, exc.OperationalError | exc.InterfaceError
    )
