"""A dict of bounded size, for what a process remembers of many clients."""

from __future__ import annotations

import contextlib
import itertools
import typing as t

Key = t.TypeVar("Key")
Value = t.TypeVar("Value")


class BoundedDict(dict[Key, Value]):
    """Remembers the latest entries: beyond ``most`` entries, the older half is forgotten.

    There is no lock, because a fork could copy it while it is held. Threads that fill the dict at
    the same moment may forget more than half.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def remember(self, key: Key, value: Value) -> None:
        """Set ``key``, and make it the newest."""
        self.pop(key, None)
        self[key] = value
        if len(self) > self._most:
            # By halves: each step over the gaps that removed keys leave costs time.
            with contextlib.suppress(RuntimeError):  # another thread changed the dict
                for old in list(itertools.islice(self, len(self) // 2)):
                    self.pop(old, None)
