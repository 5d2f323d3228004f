"""The next step of the writer thread, as a pure function of the pipeline's status."""

from __future__ import annotations

import dataclasses
import math
import typing as t

BATCH_SIZE = 500
NEVER = math.inf

_MAX_BACKOFF = 30.0

Life = t.Literal["running", "leaving", "closed", "abandoned"]
Step = t.Literal["end", "chores", "chore", "write", "wait"]


@dataclasses.dataclass(slots=True)
class Status:
    """Where a pipeline stands; it changes under the pipeline's lock only.

    ``life``: ``leaving`` at the end of the process, when the thread ends and the next record starts
    another; ``closed`` for good; ``abandoned`` in a fork's child, as it all belongs to the parent.

    ``put`` and ``written`` count records and outcomes since the start. ``failures`` counts failed
    attempts since the start, ``failed`` those since the last one that succeeded, and ``error`` is
    what the last of these raised.

    All moments are ``time.monotonic()``'s. Waiting records are written at ``due_at`` at the latest,
    or tried again after a failure. At ``look_at`` the sink is asked whether it still has what is
    held. Until ``expecting_until`` hosts may commit events in their own transactions. While chores
    are not done, one of their transactions comes at ``turn_at`` at the latest, and earlier if
    nothing is to be written.
    """

    life: Life = "running"
    put: int = 0
    written: int = 0
    failures: int = 0
    failed: int = 0
    error: Exception | None = None
    is_hurried: bool = False
    due_at: float = NEVER
    look_at: float = NEVER
    chores_at: float = 0.0
    expecting_until: float = 0.0
    turn_at: float = NEVER

    @property
    def waiting(self) -> int:
        """How many records and outcomes are not written yet."""
        return self.put - self.written

    @property
    def wakes_at(self) -> float:
        """When a thread that waits looks again, if nothing wakes it before."""
        return min(self.due_at, self.look_at, self.chores_at)


def next_step(status: Status, now: float) -> Step:
    """Return the thread's next step.

    A full batch does not wait for its time, except after a failure. A hurried one waits only for
    the chores, which would otherwise never come under steady traffic.
    """
    if status.life != "running":
        return "end"
    if now >= status.chores_at:
        return "chores"
    if now < status.turn_at and _is_to_be_written(status, now):
        return "write"
    return "wait" if status.turn_at == NEVER else "chore"


def _is_to_be_written(status: Status, now: float) -> bool:
    is_full = status.waiting >= BATCH_SIZE and not status.failed
    return is_full or status.is_hurried or now >= min(status.due_at, status.look_at)


def longest_pause(failed: int, interval: float) -> float:
    """Return how many seconds to wait, at most, after so many failures in a row."""
    return min(_MAX_BACKOFF, interval * 2.0 ** min(failed, 10))
