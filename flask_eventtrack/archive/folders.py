"""Where an archive is: a folder, or a place that fsspec knows, such as a bucket.

A file takes its name only once it is whole, and takes the place of an earlier one at once.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import os
import pathlib
import re
import shutil
import tempfile
import typing as t

import msgspec
from filelock import FileLock, Timeout

from .manifest import ArchiveProblem

_LOCK = ".lock"
_WORK = ".eventtrack-work"
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# A run that has not finished a day for so long has ended without removing its lock.
_DEAD_AFTER = dt.timedelta(hours=1)

Now = cabc.Callable[[], dt.datetime]


class Folder(t.Protocol):
    """Holds files by their names, which have slashes.

    ``filesystem`` is fsspec's, by which others reach the ``address`` of a file.
    """

    filesystem: t.Any

    def address(self, name: str) -> str: ...

    def find(self) -> dict[str, int]:
        """Return the names of all files, with their bytes."""

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, content: bytes) -> None: ...

    def put(self, path: pathlib.Path, name: str) -> None:
        """Store a file of the work folder under a name."""

    def remove(self, name: str) -> None: ...

    def hold(self, now: Now) -> contextlib.AbstractContextManager[pathlib.Path]:
        """Keep other runs out, and give a folder to work in, which only its owner may read.

        :raises ArchiveProblem: another run holds it.
        """

    def still_hold(self, now: Now) -> None:
        """Say that the run goes on.

        :raises ArchiveProblem: another run has taken the archive meanwhile.
        """


def open_folder(place: str) -> Folder:
    """Return the folder at a path or a URL.

    :raises ArchiveProblem: a package that the URL needs is not installed, or it has a mistake.
    """
    scheme = _URL.match(place)
    if scheme is None or scheme[1].lower() == "file":
        return LocalFolder(pathlib.Path(place[scheme.end() :] if scheme else place).absolute())
    return RemoteFolder(place)


class LocalFolder:
    """A folder of this machine. If it is made here, only its owner may read what is in it."""

    filesystem: t.Any = None

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root

    def address(self, name: str) -> str:
        return str(self._root / name)

    def find(self) -> dict[str, int]:
        files = (path for path in self._root.rglob("*") if path.is_file())
        found = {path.relative_to(self._root).as_posix(): path.stat().st_size for path in files}
        return {name: size for name, size in found.items() if not name.startswith((_LOCK, _WORK))}

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        path = self._root / _WORK / name
        path.write_bytes(content)
        self.put(path, name)

    def put(self, path: pathlib.Path, name: str) -> None:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        path.replace(target)

    def remove(self, name: str) -> None:
        path = self._root / name
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others may have put something into it
            path.parent.rmdir()

    @contextlib.contextmanager
    def hold(self, now: Now) -> cabc.Iterator[pathlib.Path]:
        self._root.parent.mkdir(parents=True, exist_ok=True)
        self._root.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock(self._root / _LOCK, timeout=0, mode=0o600, thread_local=False)
        work = self._root / _WORK
        try:
            with lock:
                # What a killed run has left: it may hold rows that are erased now.
                if work.exists():
                    shutil.rmtree(work)
                work.mkdir(mode=0o700)
                try:
                    yield work
                finally:
                    shutil.rmtree(work)
        except Timeout:
            raise ArchiveProblem("Another run is writing to it.") from None

    def still_hold(self, now: Now) -> None: ...


_P = t.ParamSpec("_P")
_R = t.TypeVar("_R")


def _explained(work: cabc.Callable[_P, _R]) -> cabc.Callable[_P, _R]:
    """Turn the errors of the packages behind fsspec into problems that name them."""

    @functools.wraps(work)
    def explain(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return work(*args, **kwargs)
        except (OSError, ArchiveProblem):
            raise
        except Exception as error:
            raise ArchiveProblem(f"{type(error).__name__}: {error}") from error

    return explain


class _Lock(msgspec.Struct, frozen=True):
    run: str
    at: dt.datetime


class RemoteFolder:
    """A place that fsspec knows.

    A run holds it by a file. If the run is killed, the file stays, and counts for an hour.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise missing_extra() from None
        try:
            filesystem, root = fsspec.url_to_fs(url)
        except ImportError as error:
            raise ArchiveProblem(f"{_without_path(url)} needs a package: {error}.") from None
        except ValueError as error:
            raise ArchiveProblem(f"{_without_path(url)} is not known: {error}.") from None
        self.filesystem: t.Any = filesystem
        self._root: str = root.rstrip("/")
        # Elsewhere, a name's beginning is no folder, and to make it could make a bucket.
        self._has_folders = self._root.startswith("/")
        self._run = os.urandom(8).hex()

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def address(self, name: str) -> str:
        address: str = self.filesystem.unstrip_protocol(self._path(name))
        return address

    @_explained
    def find(self) -> dict[str, int]:
        self.filesystem.invalidate_cache()
        try:
            found = self.filesystem.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        start = len(self._root) + 1
        files = {path[start:]: info["size"] for path, info in found.items()}
        return {name: size for name, size in files.items() if name and name != _LOCK}

    @_explained
    def read(self, name: str) -> bytes | None:
        try:
            content: bytes = self.filesystem.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return content

    @_explained
    def write(self, name: str, content: bytes) -> None:
        self.filesystem.pipe_file(self._path(name), content)

    @_explained
    def put(self, path: pathlib.Path, name: str) -> None:
        target = self._path(name)
        self._make_folder(target.rpartition("/")[0])
        self.filesystem.put_file(str(path), target)
        path.unlink()

    @_explained
    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self._path(name))

    @contextlib.contextmanager
    def hold(self, now: Now) -> cabc.Iterator[pathlib.Path]:
        self._take(now)
        try:
            with tempfile.TemporaryDirectory(prefix="eventtrack-archive-") as work:
                yield pathlib.Path(work)
        finally:
            lock = self._find_lock()
            if lock is not None and lock.run == self._run:
                self.remove(_LOCK)

    def still_hold(self, now: Now) -> None:
        lock = self._find_lock()
        if lock is None or lock.run != self._run:
            raise ArchiveProblem("Another run has taken it.")
        self.write(_LOCK, msgspec.json.encode(_Lock(self._run, now())))

    def _make_folder(self, path: str) -> None:
        if self._has_folders:
            self.filesystem.makedirs(path, exist_ok=True)

    @_explained
    def _take(self, now: Now) -> None:
        self._make_folder(self._root)
        lock = self._find_lock()
        if lock is not None and now() - lock.at > _DEAD_AFTER:
            self.remove(_LOCK)
        own = msgspec.json.encode(_Lock(self._run, now()))
        try:
            # Where the place can do it, nobody else has made the file at the same time.
            self.filesystem.pipe_file(self._path(_LOCK), own, mode="create")
        except FileExistsError:
            raise ArchiveProblem(
                "Another run is writing to it. If that was killed, wait an hour, or remove "
                f"{_LOCK}."
            ) from None

    def _find_lock(self) -> _Lock | None:
        stored = self.read(_LOCK)
        try:
            return None if stored is None else msgspec.json.decode(stored, type=_Lock)
        except msgspec.MsgspecError:
            return None


def missing_extra() -> ArchiveProblem:
    """Return the problem that a package is not installed."""
    return ArchiveProblem(
        "It needs packages that are not installed: pip install 'Flask-EventTrack[parquet]'."
    )


def _without_path(url: str) -> str:
    return f"{url.partition('://')[0]}://"
