"""What is done each minute beside writing events, a transaction at a time."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import typing as t

from ..store.retention import Pruned

if t.TYPE_CHECKING:
    from .writer import Writer

logger: logging.Logger = logging.getLogger("flask_eventtrack")


class Chores:
    """The chores of this minute, and the day's pruning.

    :param alone: a context in which nothing else in this process writes.
    """

    def __init__(
        self,
        writer: Writer,
        alone: cabc.Callable[[], contextlib.AbstractContextManager[None]],
    ) -> None:
        self._writer = writer
        self._alone = alone
        self._left: cabc.Iterator[None] | None = None
        self._pruning: cabc.Iterator[Pruned] | None = None

    @property
    def has_more(self) -> bool:
        """Whether something is left to do."""
        return self._left is not None or self._pruning is not None

    def begin(self) -> bool:
        """Begin this minute's chores; False if those of an earlier one are not done."""
        if self._left is not None:
            return False
        self._left = self._iter_steps()
        return True

    def stop(self) -> None:
        """Leave the rest to another minute."""
        self._left = self._pruning = None

    def do_one(self) -> None:
        """Do one transaction's worth; raise nothing."""
        try:
            with self._alone():
                if self._left is None or not _go_on(self._left):
                    self._left = None
                    self._prune_some()
        except Exception as error:  # noqa: BLE001 - the next time finds what this one left
            self._left = None
            note_failed_chores(error)

    def _iter_steps(self) -> cabc.Iterator[None]:
        """Do what waits for the writer's spare time, and begin to prune.

        The release comes last, so that nothing else fails with it.
        """
        writer = self._writer
        short: tuple[cabc.Callable[[], object], ...] = (
            writer.count_uncounted,
            writer.look_for_visits,
            writer.apply_aliases,
            writer.settle_touches,
            writer.sweep,
            writer.clean_log,
        )
        for chore in short:
            while chore():
                yield
        self._pruning = self._pruning or writer.prune_daily()
        for _ in writer.close_days():
            yield
        if writer.note_release():
            yield

    def _prune_some(self) -> None:
        try:
            if self._pruning is not None and not self._writer.go_on_pruning(self._pruning):
                self._pruning = None
        except Exception as error:  # noqa: BLE001 - tomorrow's run finds what this one left
            self._pruning = None
            logger.warning("Pruning failed, and goes on tomorrow: %s", error)


def note_failed_chores(error: Exception) -> None:
    """Log that chores have failed."""
    logger.warning("The chores of this minute failed, and are tried again: %s", error)


def _go_on(chores: cabc.Iterator[None]) -> bool:
    """Do the next of some chores; False if there was none left."""
    for _ in chores:
        return True
    return False
