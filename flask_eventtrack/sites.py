"""Which of the app's sites a request is made to: clients choose the ``Host`` header freely."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import os
import pathlib
import typing as t

from .origins import site_of

#: The site of requests to a host that is none of the app's own.
OTHER: t.Final = "other"
#: How many hosts are taken for the app's own if no setting names them.
MOST_UNNAMED: t.Final = 20
_MOST_BYTES = MOST_UNNAMED * 256
# Another user may have put a link or a pipe in its place.
_OWN_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# How many hosts may match the app's own patterns.
_MOST_MATCHES = 1000


class Sites:
    """The sites of one app, and the names of those that a process has seen.

    :param own: the app's host names, and patterns such as ``"*.example.com"``. If there are none,
        the first 20 hosts that are seen are the app's own.
    :param register: the file in which all processes note the hosts that they see first; None if
        each notes its own.
    :param listed: more of the app's own hosts, which leave room for others.
    """

    def __init__(
        self,
        own: cabc.Collection[str],
        register: pathlib.Path | None = None,
        listed: cabc.Iterable[str] = (),
    ) -> None:
        self.is_named: bool = bool(own)
        self._own = frozenset((*own, *listed))
        self._suffixes = tuple(name[1:] for name in own if name.startswith("*."))
        self._most = _MOST_MATCHES if self.is_named else MOST_UNNAMED
        self._register = None if self.is_named else register
        self._seen: set[str] = set()
        #: Return the site of a ``Host`` header, or of a host name.
        self.find: t.Final = functools.lru_cache(maxsize=1024)(self._find)

    def _find(self, host: str) -> str:
        name = site_of(host)
        if name in self._own or name in self._seen:
            return name
        may_be_own = not self.is_named or name.endswith(self._suffixes)
        return name if name and may_be_own and self._note(name) else OTHER

    def _note(self, name: str) -> bool:
        """Whether a host that this process has not seen before is among the first."""
        if len(self._seen) >= self._most:
            return False
        noted = [name]
        if self._register is not None:
            with contextlib.suppress(OSError):
                noted = _add_line(self._register, name, self._most)
        for each in noted:
            if len(self._seen) < self._most:
                self._seen.add(each)
        return name in self._seen

    def list_seen(self) -> list[str]:
        """Return the hosts that were seen and are taken for the app's own, without a setting."""
        lines = _read_lines(self._register) if self._register else []
        return sorted({*lines[: self._most], *self._seen})


def _add_line(path: pathlib.Path, line: str, most: int) -> list[str]:
    """Add a line to a file of at most ``most`` lines, unless it is there; return all lines."""
    lines = _read_lines(path)
    if line not in lines and len(lines) < most:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _OWN_FILE, 0o600)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)
        # Others may have added lines at the same moment: all read the same order.
        lines = _read_lines(path)
    return lines[:most]


def _read_lines(path: pathlib.Path) -> list[str]:
    """Return the different lines of a file in their order; none if it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _OWN_FILE), "rb") as file:
            text = file.read(_MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return []
    return list(dict.fromkeys(text.splitlines()))
