"""Random sequences: a journal loses nothing and repeats nothing."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import pathlib
import shutil
import tempfile
import typing as t
import unittest.mock
import uuid as uuidlib

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from .segments import FRAME, SEGMENT_BYTES, a_journal, home_at, segments


def killed(home: pathlib.Path, place: pathlib.Path) -> pathlib.Path:
    """Return a copy of all journals, as they are after every process was killed just now."""
    copy = home_at(place / uuidlib.uuid4().hex)
    if home.exists():
        shutil.copytree(home, copy)
    return copy


def _life_of(payload: bytes) -> int:
    return int(payload.partition(b":")[0])


class JournalMachine(RuleBasedStateMachine):
    """What was put and not acknowledged comes again, in its process's order; nothing else does."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._place = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._stack.enter_context(unittest.mock.patch(SEGMENT_BYTES, 100))
        self._home = home_at(self._place / "home")
        self._journal = a_journal(self._home)
        self._lives = itertools.count()
        self._numbers = itertools.count()
        # What waits of each life, in the order in which it was put.
        self._waiting: dict[int, collections.deque[bytes]] = {}
        self._life = 0

    @initialize()
    def begin(self) -> None:
        self._life = next(self._lives)
        self._waiting[self._life] = collections.deque()

    def _make(self, sizes: list[int]) -> list[bytes]:
        return [b"%d:%d:%s" % (self._life, next(self._numbers), b"x" * size) for size in sizes]

    @rule(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=5))
    def put(self, sizes: list[int]) -> None:
        payloads = self._make(sizes)
        assert self._journal.put(payloads)
        self._waiting[self._life].extend(payloads)

    def _claim(self, limit: int) -> t.Any:
        claimed = self._journal.claim(limit)
        if claimed is None:
            assert not any(self._waiting.values())
            return None
        # Adopted journals of several lives may come together, one behind the other.
        for life, found in itertools.groupby(claimed.payloads, _life_of):
            payloads = list(found)
            assert payloads == list(itertools.islice(self._waiting[life], len(payloads)))
        assert len(claimed.payloads) <= limit
        return claimed

    @rule(limit=st.integers(1, 10))
    def claim_in_vain(self, limit: int) -> None:
        self._claim(limit)

    @rule(limit=st.integers(1, 10))
    def claim_and_acknowledge(self, limit: int) -> None:
        claimed = self._claim(limit)
        if claimed is not None:
            self._journal.acknowledge(claimed)
            for payload in claimed.payloads:
                self._waiting[_life_of(payload)].popleft()

    def _restart(self, home: pathlib.Path) -> None:
        self._journal.close()
        self._home = home
        self._journal = a_journal(home)
        self._journal.adopt()
        self.begin()

    @rule()
    def end_and_begin_again(self) -> None:
        self._restart(self._home)

    @rule()
    def be_killed(self) -> None:
        self._restart(killed(self._home, self._place))

    @rule(size=st.integers(0, 60), cut=st.integers(0, 30))
    def be_killed_while_writing(self, size: int, cut: int) -> None:
        [payload] = self._make([size])
        assert self._journal.put([payload])
        home = killed(self._home, self._place)
        [path] = [path for path in segments(home) if path.read_bytes().endswith(payload)]
        os.truncate(path, path.stat().st_size - min(cut, FRAME + len(payload)))
        if not cut:
            self._waiting[self._life].append(payload)
        self._restart(home)

    # Without a precondition on what waits: which process's records come first is random, so what
    # is left after a claim differs from run to run, and Hypothesis takes that for a flaky test.
    @rule()
    def look_for_the_dead(self) -> None:
        self._journal.adopt()

    def teardown(self) -> None:
        with self._stack:
            while (claimed := self._claim(500)) is not None:
                self._journal.acknowledge(claimed)
                for payload in claimed.payloads:
                    self._waiting[_life_of(payload)].popleft()
            self._journal.close()
            # A folder without segments goes when it is a minute old.
            assert not segments(self._home)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
