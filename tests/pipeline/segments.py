"""A journal's files, and journals without a host."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import typing as t

from flask_eventtrack.pipeline.journal import Journal

HEAD = 12
FRAME = 8
SEGMENT_BYTES = "flask_eventtrack.pipeline.journal._SEGMENT_BYTES"
RECORDS = [b"first", b"second", b"third record", b"fourth and last"]


def a_journal(
    home: pathlib.Path, max_bytes: int = 1024 * 1024 * 256, *, is_durable: bool = False
) -> Journal:
    return Journal(home, max_bytes, is_durable=is_durable)


Begin = cabc.Callable[..., Journal]


def leave(home: pathlib.Path, *batches: cabc.Sequence[bytes]) -> pathlib.Path:
    """Have a process put batches and die; return the folder that it leaves."""
    before = set(home.glob("*"))
    journal = a_journal(home)
    for batch in batches:
        assert journal.put(batch)
    journal.close()
    [folder] = set(home.glob("*")) - before
    return folder


class Drained(t.NamedTuple):
    """What came out of a journal: its records, and how many others it said are damaged."""

    payloads: list[bytes]
    damaged: int


def drain(journal: Journal, limit: int = 500) -> Drained:
    """Claim and acknowledge until there is no more."""
    payloads: list[bytes] = []
    damaged = 0
    while claimed := journal.claim(limit):
        assert len(payloads) < 10_000
        payloads += claimed.payloads
        damaged += claimed.damaged
        journal.acknowledge(claimed)
    return Drained(payloads, damaged)


def adopt(home: pathlib.Path, limit: int = 500) -> Drained:
    """Take over what dead processes have left below a folder, to the end."""
    journal = a_journal(home)
    journal.adopt()
    drained = drain(journal, limit)
    journal.close()
    return drained


def folders(home: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in home.glob("*") if path.is_dir()]


def segments(home: pathlib.Path) -> list[pathlib.Path]:
    return sorted(home.glob("*/*.segment"))
