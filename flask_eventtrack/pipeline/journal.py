"""Records in files, so that they outlive the process: each process appends to its own.

The journals of all processes that write to the same database lie in one folder. A process keeps
its own journal locked. When it dies, another process adopts the journal.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import logging
import os
import pathlib
import threading

from .chain import Chain, Tip
from .homes import list_folders, readable_homes, remove_bad
from .journal_format import SegmentWriter
from .owners import is_our_home
from .queue import Claimed, FindSent, Room

logger: logging.Logger = logging.getLogger("flask_eventtrack")

#: For how long a journal holds what was sent to Redis, which may come back without it.
HELD_SECONDS = 60.0

_SEGMENT_BYTES = 1024 * 1024
_MAX_BROKEN = 64  # failed syncs, about which requests may still ask
_MAX_ORPHANS = 16  # at a time: each takes open files


class Journal:
    """The queue of one process, with the journals of dead processes that it has adopted.

    :param folder: where the journals of the same database lie; ``homes.py`` says how.
    :param max_bytes: how much may wait. When there is more, :meth:`put` refuses.
    :param is_durable: whether :meth:`sync` waits for the disk.
    :param former: the folder's name in an earlier release, whose journals are adopted too.
    :param find_sent: that of a sink that may lose what it took: what is acknowledged is then held.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        max_bytes: int,
        *,
        is_durable: bool,
        former: pathlib.Path | None = None,
        find_sent: FindSent | None = None,
    ) -> None:
        self._folders = [former, folder] if former else [folder]
        self._homes = [home for each in self._folders for home in readable_homes(each)]
        self._home = self._homes[-1]
        self.room: Room = Room(max_bytes, "EVENTTRACK_JOURNAL_MAX_BYTES")
        self._is_durable = is_durable
        self._chain: Chain | None = None
        self._writer: SegmentWriter | None = None
        # How far the chain is written, while there is no writer.
        self._tip = Tip(1, 0)
        self._orphans: collections.deque[Chain] = collections.deque()
        self._find_sent = find_sent
        self._hold = HELD_SECONDS if find_sent else 0.0
        self._held: list[Chain] = []  # adopted ones that are read
        self._has_more = False
        self._skipped: set[pathlib.Path] = set()  # cannot be read at the moment
        # The last claim, by the journals that it is from.
        self._claims: list[tuple[Chain, Claimed]] = []
        self._syncing = threading.Lock()
        self._failure = ""
        # Bytes since the start: put, committed, and brought to the disk.
        self._put = 0
        self._committed = 0
        self._synced = 0
        # Positions that may never reach the disk, because a sync has failed.
        self._broken: collections.deque[range] = collections.deque(maxlen=_MAX_BROKEN)
        # Bytes of other processes, when we last looked.
        self._others = 0

    def put(self, payloads: cabc.Sequence[bytes]) -> int:
        if not self.room.admits(self._put - self._committed + self._others):
            return 0
        try:
            writer = self._writer
            if writer is None or writer.end > _SEGMENT_BYTES or not writer.is_open:
                writer = self._begin_segment()
            size = writer.append(payloads)
            # The writer's thread may have found damage meanwhile, and will not read these records.
            if not writer.is_open:
                return 0
            self._put += size
        except OSError as error:
            self._note_failure(error)
            return 0
        if self._failure and not self._is_durable:
            self._note_recovery()
        return self._put

    def _begin_segment(self) -> SegmentWriter:
        self._retire_writer()
        if self._chain is not None and not self._chain.folder.exists():
            # Someone deleted the folder. Its open files can still be read, like an orphan's.
            self._orphans.append(self._chain)
            self._chain = None
            self._committed = self._put
        if self._chain is None:
            self._tip = Tip(1, 0)
            self._chain = Chain.begin(self._home, self._hold)
        number, path = self._chain.next_segment()
        self._writer = SegmentWriter(number, path)
        self._chain.add(number)
        if self._is_durable:
            try:
                _sync_folders(path.parent, self._home, self._home.parent)
            except OSError:
                self._writer.is_open = False
                raise
        return self._writer

    def _retire_writer(self) -> None:
        writer = self._writer
        if writer is None or not writer.has_file:
            return
        with self._syncing:  # another thread may be syncing it
            if self._is_durable and not self._is_broken(self._put):
                self._sync_writer(writer)
            writer.close()

    def _note_failure(self, error: OSError) -> None:
        kind = f"{type(error).__name__} {error.errno}"
        if self._failure != kind:
            self._failure = kind
            logger.error(
                "The journal cannot be written, and events are refused: %s. Make room in %s, or "
                "set EVENTTRACK_JOURNAL_DIR to another folder.",
                error,
                self._home,
            )

    def _note_recovery(self) -> None:
        self._failure = ""
        logger.warning("The journal can be written again.")

    def sync(self, position: int) -> bool:
        """Wait for the disk, if that is promised. Threads that wait together share one sync."""
        if not self._is_durable:
            return True
        try:
            with self._syncing:
                # This comes first: a later success says nothing about what failed before it.
                if self._is_broken(position):
                    return False
                if self._synced >= position:
                    return True
                if self._writer is None:
                    return False
                self._sync_writer(self._writer)
        except OSError as error:  # logged without the lock: a host's log handler may track
            self._note_failure(error)
            return False
        if self._failure:
            self._note_recovery()
        return True

    def _sync_writer(self, writer: SegmentWriter) -> None:
        """Bring all records so far to the disk.

        :raises OSError: that failed. The kernel drops what it could not write, so a later success
            says nothing about it: the next record begins another segment.
        """
        reached = self._put
        try:
            if writer.has_file:
                writer.sync()
        except OSError:
            self._broken.append(range(self._synced + 1, self._put + 1))
            writer.is_open = False
            raise
        self._synced = reached

    def _is_broken(self, position: int) -> bool:
        return any(position in lost for lost in self._broken)

    def claim(self, limit: int) -> Claimed | None:
        """Return the next records: our own and adopted ones take turns."""
        claims = [self._claim_own, self._claim_orphans]
        if self._orphans and self._claims and self._claims[0][0] is self._chain:
            claims.reverse()
        return claims[0](limit) or claims[1](limit)

    def _claim_own(self, limit: int) -> Claimed | None:
        put, chain, writer = self._put, self._chain, self._writer
        if chain is None:
            return None
        tip = self._tip_of(writer)
        if writer is not None and writer.is_cut():
            writer.is_open = False
            tip = Tip(writer.number + 1, 0)
        claimed = chain.claim(limit, tip)
        if claimed is None:
            self._committed = max(self._committed, put)  # counts deleted records too
            self._claims = []
            return None
        if claimed.damaged and writer is not None and self._writer is writer:
            # Another program wrote to the file: later records may not be where they should be.
            writer.is_open = False
        self._claims = [(chain, claimed)]
        return claimed._replace(progress=[chain.progress_of(claimed)])

    def _claim_orphans(self, limit: int) -> Claimed | None:
        """Return the next records of adopted journals: of several, where each has few."""
        claims, found = list[tuple[Chain, Claimed]](), 0
        self._place_orphans()
        while found < limit and self._has_orphan_after(len(claims)):
            chain = self._orphans[len(claims)]
            try:
                claimed = chain.claim(limit - found)
            except OSError as error:
                logger.error("The journal %s cannot be read: %s", chain.folder, error)
                self._skipped.add(chain.folder)
                chain.release()
            else:
                if claimed is not None:
                    claims.append((chain, claimed))
                    found += len(claimed.payloads)
                    continue
                self._held.append(chain)
                self._remove_read()
            del self._orphans[len(claims)]
        if not claims:
            return None
        self._claims = claims
        payloads = [payload for _, claimed in claims for payload in claimed.payloads]
        damaged = sum(claimed.damaged for _, claimed in claims)
        progress = [chain.progress_of(claimed) for chain, claimed in claims]
        return Claimed(payloads, damaged=damaged, is_replay=True, progress=progress)

    def _has_orphan_after(self, number: int) -> bool:
        """Whether there is another adopted journal behind the first ``number``."""
        if number < len(self._orphans):
            return True
        if number or not (self._has_more and self._adopt_some()):
            return False
        self._place_orphans()
        return True

    def _place_orphans(self) -> None:
        """Find out how far the sink has what was adopted."""
        new = [chain for chain in self._orphans if not chain.is_placed]
        if new and self._find_sent is not None:
            sent = self._find_sent([chain.folder.name for chain in new])
            for chain in new:
                chain.place(sent.get(chain.folder.name))

    def _remove_read(self) -> None:
        """Remove adopted journals that are read, unless they are held."""
        for chain in self._held:
            if not chain.is_holding():
                chain.remove()
        self._held = [chain for chain in self._held if chain.is_holding()]

    def is_holding(self) -> bool:
        return bool(self._held) or (self._chain is not None and self._chain.is_holding())

    def check(self) -> None:
        chains = [self._chain, *self._orphans, *self._held]
        holding = [chain for chain in chains if chain is not None and chain.is_holding()]
        if self._find_sent is None or not holding:
            return
        sent = self._find_sent([chain.folder.name for chain in holding])
        lost = [chain for chain in holding if chain.check(sent.get(chain.folder.name))]
        if lost:
            logger.warning("What was sent last has not arrived, and is sent again.")
        self._orphans.extend(chain for chain in self._held if chain in lost)
        self._held = [chain for chain in self._held if chain not in lost]
        self._remove_read()

    def acknowledge(self, claimed: Claimed, foreign: cabc.Sequence[bytes] = ()) -> None:
        if not self._claims:
            raise ValueError("nothing is claimed")
        for chain, part in self._claims:
            payloads = set(part.payloads) if foreign else ()
            size = chain.acknowledge(part, [each for each in foreign if each in payloads])
            if chain is self._chain and not part.is_replay:
                self._committed += size
            else:
                self._others = max(0, self._others - size)

    def peek(self) -> tuple[int, bytes | None]:
        return 0, None  # all is in files

    def has_neighbours(self) -> bool:
        return bool(list_folders(self._homes))

    def is_behind(self) -> bool:
        return bool(self._orphans) or (self._chain is not None and self._chain.is_behind())

    def adopt(self) -> bool:
        self._skipped.clear()
        return self._adopt_some()

    def _adopt_some(self) -> bool:
        chain, writer = self._chain, self._writer
        if chain is not None and writer is not None and not chain.has(writer.number):
            logger.error("The journal was removed while it was in use: %s", chain.folder)
            writer.is_open = False  # the next record begins another
        adopted = {orphan.folder for orphan in (*self._orphans, *self._held)}
        others = 0
        self._has_more = False
        for folder in list_folders(self._homes):
            if chain is not None and folder == chain.folder:
                continue
            others += _size_of(folder)
            if len(self._orphans) >= _MAX_ORPHANS:
                self._has_more = True
            elif (
                folder not in adopted | self._skipped
                and (orphan := Chain.adopt(folder, self._hold)) is not None
            ):
                if self._hold:  # each process leaves what it has sent last
                    logger.info("Events of a process that has ended are taken over: %s", folder)
                else:
                    logger.warning("Events of a process that has died are taken over: %s", folder)
                self._orphans.append(orphan)
        self._others = others
        return bool(self._orphans)

    def discard(self, needles: cabc.Collection[bytes] = ()) -> None:
        chain, writer = self._chain, self._writer
        if chain is not None and writer is not None and self._is_read():
            self._end_segment()  # the next record begins another
            chain.claim(1, Tip(writer.number + 1, 0))  # which removes the file
        if needles:
            for folder in self._folders:
                remove_bad(folder, needles)

    def close(self) -> None:
        is_read = self._is_read()
        self._end_segment()
        if self._chain is not None and is_read and not self._chain.is_holding():
            self._chain.remove()
            for home in filter(is_our_home, self._homes):
                with contextlib.suppress(OSError):
                    home.rmdir()  # unless it holds other folders
        elif self._chain is not None:
            self._chain.release()
        for orphan in (*self._orphans, *self._held):
            orphan.release()
        self._orphans.clear()
        self._held.clear()
        self._chain = None
        self._claims.clear()
        self._committed = self._put

    def _is_read(self) -> bool:
        """Whether all that this process has put is committed."""
        chain, writer = self._chain, self._writer
        return chain is None or chain.is_read(self._tip_of(writer))

    def _tip_of(self, writer: SegmentWriter | None) -> Tip:
        return self._tip if writer is None else Tip(writer.number, writer.end)

    def _end_segment(self) -> None:
        try:
            self._retire_writer()
        except OSError as error:
            self._note_failure(error)
        if self._writer is not None:
            self._tip = Tip(self._writer.number + 1, 0)
        self._writer = None

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for chain in (self._chain, *self._orphans, *self._held):
            if chain is not None:
                chain.close_files()


def _size_of(folder: pathlib.Path) -> int:
    size = 0
    with contextlib.suppress(OSError):  # its process may remove files meanwhile
        for path in folder.iterdir():
            size += path.stat().st_size
    return size


def _sync_folders(*folders: pathlib.Path) -> None:
    """Bring the names of new files to the disk: on POSIX these are the folders' contents."""
    if os.name != "posix":
        return
    for folder in folders:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
