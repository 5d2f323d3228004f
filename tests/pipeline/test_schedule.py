"""What the writer's thread does next: no thread, no clock, no database."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from flask_eventtrack.pipeline.schedule import (
    BATCH_SIZE,
    NEVER,
    Life,
    Status,
    Step,
    longest_pause,
    next_step,
)

NOW = 1000.0
QUIET = {"put": 7, "written": 7, "due_at": NEVER, "chores_at": NOW + 60}
WAITING = {**QUIET, "written": 6, "due_at": NOW + 0.5}
FULL = {**WAITING, "put": 7 + BATCH_SIZE}
FAILED = {**WAITING, "failed": 3, "failures": 5, "error": OSError(), "due_at": NOW + 4}


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({}, "chores"),  # the first of all: what have dead processes left?
        (QUIET, "wait"),
        ({**QUIET, "is_hurried": True}, "write"),  # a flush learns that nothing waits
        ({**QUIET, "chores_at": NOW}, "chores"),
        (WAITING, "wait"),
        ({**WAITING, "due_at": NOW}, "write"),
        ({**QUIET, "look_at": NOW + 1}, "wait"),
        ({**QUIET, "look_at": NOW}, "write"),
        ({**WAITING, "is_hurried": True}, "write"),
        ({**WAITING, "is_hurried": True, "chores_at": NOW}, "chores"),
        ({**WAITING, "due_at": NOW, "chores_at": NOW}, "chores"),
        (FULL, "write"),
        ({**FULL, "put": FULL["put"] - 2}, "wait"),
        ({**FULL, "chores_at": NOW - 1}, "chores"),
        (FAILED, "wait"),
        ({**FAILED, "put": 7 + BATCH_SIZE}, "wait"),  # however much waits
        ({**FAILED, "is_hurried": True}, "write"),
        ({**FAILED, "due_at": NOW}, "write"),
        ({**FAILED, "chores_at": NOW}, "chores"),
        ({**QUIET, "turn_at": NOW + 1}, "chore"),
        ({**WAITING, "turn_at": NOW + 1}, "chore"),
        ({**WAITING, "due_at": NOW, "turn_at": NOW + 1}, "write"),
        ({**FULL, "turn_at": NOW + 1}, "write"),
        ({**FULL, "turn_at": NOW}, "chore"),  # a backlog does not hold up chores forever
        ({**FULL, "turn_at": NOW, "chores_at": NOW}, "chores"),
    ],
)
def test_next_step(fields: dict[str, t.Any], step: Step) -> None:
    """Chores first, then what is hurried, full or due; nothing is decided by chance."""
    status = Status(**fields)
    before = dataclasses.replace(status)
    assert next_step(status, NOW) == step
    assert status == before


@pytest.mark.parametrize("life", ["leaving", "closed", "abandoned"])
@pytest.mark.parametrize("fields", [QUIET, WAITING, FULL, FAILED, {}])
def test_a_life_that_is_over_ends_the_thread(life: Life, fields: dict[str, t.Any]) -> None:
    """Whatever there is to do."""
    status = Status(**{**fields, "life": life, "is_hurried": True})
    assert next_step(status, NOW) == "end"


@pytest.mark.parametrize(
    ("fields", "wakes_at"),
    [
        (QUIET, NOW + 60),
        (WAITING, NOW + 0.5),
        (FAILED, NOW + 4),
        ({**QUIET, "look_at": NOW + 3}, NOW + 3),
    ],
)
def test_a_thread_that_waits_wakes_for_what_comes_first(
    fields: dict[str, t.Any], wakes_at: float
) -> None:
    """And then it has something to do."""
    status = Status(**fields)
    assert status.wakes_at == wakes_at
    assert next_step(status, wakes_at) != "wait"


@pytest.mark.parametrize(
    ("failed", "seconds"), [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (5000, 30.0)]
)
def test_pauses_between_failures_grow_to_half_a_minute(failed: int, seconds: float) -> None:
    """Twice as long each time, to a limit."""
    assert longest_pause(failed, 0.5) == seconds
