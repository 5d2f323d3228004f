"""Which of the app's sites a request is made to: clients choose the ``Host`` header freely."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import logging
import os
import pathlib
import typing as t

from .origins import site_of
from .private_files import open_private, read_own

logger: logging.Logger = logging.getLogger("flask_eventtrack")

#: The site of requests to a host that is none of the app's own.
OTHER: t.Final = "other"
#: How many hosts are taken for the app's own if no setting names them.
MOST_UNNAMED: t.Final = 20
_MOST_BYTES = MOST_UNNAMED * 256
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
        self._is_refused = False
        #: Whether new hosts are noted in the file. Tests switch it off.
        self.writes: bool = True
        self._seen: set[str] = set()
        self._has_read = False
        #: Return the site of a ``Host`` header, or of a host name.
        self.find: t.Final = functools.lru_cache(maxsize=1024)(self._find)

    def _find(self, host: str) -> str:
        name = site_of(host)
        if name in self._own or name in self._seen:
            return name
        may_be_own = not self.is_named or name.endswith(self._suffixes)
        return name if name and may_be_own and self._note(name) else OTHER

    def find_known(self, host: str) -> str:
        """Return the site of a host, and take no new one for the app's own.

        Agents ask for any host. If they could fill the places, there would be none for visitors'.
        """
        name = site_of(host)
        if name in self._own or name in self._seen:
            return name
        if not self._has_read:  # what other processes have noted
            self._has_read = True
            self._seen.update(self.list_seen())
        return name if name in self._seen else OTHER

    def has_named(self, host: str) -> bool:
        """Whether a setting names a host."""
        name = site_of(host)
        return bool(name) and (name in self._own or name.endswith(self._suffixes))

    def _note(self, name: str) -> bool:
        """Whether a host that this process has not seen before is among the first."""
        if len(self._seen) >= self._most:
            return False
        noted = [name]
        if self._register is not None and self.writes and not self._is_refused:
            try:
                noted = _add_line(self._register, name, self._most)
            except PermissionError as error:
                self._is_refused = True
                logger.warning("Each process keeps its own list of sites: %s.", error)
            except OSError:
                pass
        for each in noted:
            if len(self._seen) < self._most:
                self._seen.add(each)
        return name in self._seen

    def list_known(self) -> set[str]:
        """Return the app's own hosts: those that a setting names, and those that were seen."""
        return {*(name for name in self._own if "*" not in name), *self.list_seen()}

    def list_seen(self) -> list[str]:
        """Return the hosts that were seen and are taken for the app's own, without a setting."""
        lines: list[str] = []
        if self._register is not None:
            with contextlib.suppress(OSError):
                lines = _read_lines(self._register)
        return sorted({*lines[: self._most], *self._seen})

    def find_fault(self) -> str:
        """Return why the register is left alone, or ""."""
        try:
            if self._register is not None:
                _read_lines(self._register)
        except OSError as error:
            return str(error)
        return ""


def _add_line(path: pathlib.Path, line: str, most: int) -> list[str]:
    """Add a line to a file of at most ``most`` lines, unless it is there; return all lines.

    :raises PermissionError: the file is another user's, or no regular file.
    :raises OSError: it cannot be read or written.
    """
    lines = _read_lines(path)
    if line not in lines and len(lines) < most:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        file = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, root_opens_all=False)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)
        # Others may have added lines at the same moment: all read the same order.
        lines = _read_lines(path)
    return lines[:most]


def _read_lines(path: pathlib.Path) -> list[str]:
    """Return the different lines of a file in their order; none if there is no file."""
    try:
        text = read_own(path, _MOST_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(text.splitlines()))
