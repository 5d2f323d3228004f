"""A journal's files, and journals without a host."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import typing as t

from flask_eventtrack.pipeline.homes import readable_homes
from flask_eventtrack.pipeline.journal import Journal
from flask_eventtrack.pipeline.journal_format import FORMAT

HEAD = 12
FRAME = 8
SEGMENT_BYTES = "flask_eventtrack.pipeline.journal._SEGMENT_BYTES"
RECORDS = [b"first", b"second", b"third record", b"fourth and last"]


def home_at(journal: pathlib.Path) -> pathlib.Path:
    """Return the folder to which this release writes the journals of a path."""
    return readable_homes(journal)[-1]


def homes_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the homes that this release reads of a journal's path, or of one of its homes."""
    return readable_homes(path.with_name(path.name.removesuffix(f".{FORMAT}")))


def a_journal(
    home: pathlib.Path, max_bytes: int = 1024 * 1024 * 256, *, is_durable: bool = False
) -> Journal:
    return Journal(homes_of(home)[0], max_bytes, is_durable=is_durable)


Begin = cabc.Callable[..., Journal]


def leave(home: pathlib.Path, *batches: cabc.Sequence[bytes]) -> pathlib.Path:
    """Have a process put batches and die; return the folder that it leaves."""
    before = set(folders(home))
    journal = a_journal(home)
    for batch in batches:
        assert journal.put(batch)
    journal.close()
    [folder] = set(folders(home)) - before
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
    return [path for each in homes_of(home) for path in each.glob("*") if path.is_dir()]


def segments(home: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for each in homes_of(home) for path in each.glob("*/*.segment"))
