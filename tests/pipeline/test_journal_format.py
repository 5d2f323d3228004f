"""The journal is a format: what a release has left on the disk, every later one reads.

``SEGMENT`` and ``CHECKPOINT`` were written by the first release, ``SEGMENT_2`` by the first one of
the second format. They never change: a test that fails here says that journals which wait on the
disks of users would be lost.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing as t
import unittest.mock
import uuid as uuidlib

import msgspec
import pytest

from flask_eventtrack.doctor import examine
from flask_eventtrack.pipeline import journal_format
from flask_eventtrack.pipeline.homes import find_obstacle, list_bad
from flask_eventtrack.pipeline.journal import Journal
from flask_eventtrack.records import (
    Bought,
    Cancellation,
    Charge,
    Claim,
    Client,
    Event,
    Identified,
    PageView,
    Record,
    SessionEnd,
    SessionRef,
    decode_record,
    encode_record,
)

from ..conftest import MakeHost
from ..hosts import Host

ROOT = pathlib.Path(__file__).parents[2]
FORMAT = "flask_eventtrack.pipeline.journal_format.FORMAT"
SEED = 0x0BADCAFE
SEGMENT = bytes.fromhex(
    """
    45545241434b3031fecaad0b5c010000caba244bdc0011a56576656e74c4100194f3c0000070008000000000000001aa
    6f726465722e73686970d7ffa1dcd420695735a5c4100194f3c000007000800000000000000288a474657874a95a6fc3
    ab20f09f9b92a577686f6c65f9a3626967cf0020000000000000a470617274cb3fe0000000000000a4666c6167c3a46e
    6f6e65c0a46c6973749301a374776f81a5746872656503a5656d70747980a9536869707065642037d7ffa1dcd4206957
    35a6a762726f77736572a473686f70ac2f6f72646572732f3c69643e92a56578747261a46d6f726593c4100194f3c000
    0070008000000000000003c4100194f3c0000070008000000000000004d7ffa1dcd4206957356994ab4d6f7a696c6c61
    2f352e30ae64652d44452c64653b713d302e39a93139322e302e322e30a24445a762726f77736572c4100194f3c00000
    7000800000000000000594c4100194f3c0000070008000000000000006c3c3c35400000013a4a3c5dc0011a56576656e
    74c4100194f3c000007000800000000000000aa161d7ffa1dcd420695735a5c4100194f3c00000700080000000000000
    0b80c0d7ffa1dcd420695735a5a6736572766572a0a090c0c0a0c0c076000000e02313e5dc0011a56576656e74c41001
    94f3c000007000800000000000000caa706167652e7669736974d7ffa1dcd420695735a5c4100194f3c0000070008000
    00000000000b80c0d7ffa1dcd420695735a5a6736572766572a0a090c094a0a0a0a0a0c094c4100194f3c00000700080
    0000000000000dc2c2c2ef000000e60a9199dc0013a470616765c4100194f3c0000070008000000000000007cf1886ca
    f2450d67f2c4100194f3c0000070008000000000000008c4100194f3c000007000800000000000000903cf1886cae7a2
    60b000a56874747073b173686f702e6578616d706c653a38343433a42f617070ad2f70726f64756374732f746561b375
    746d5f736f757263653d6d61696c26713d31ac73686f702e70726f64756374b02f70726f64756374732f3c736c75673e
    b768747470733a2f2f7365617263682e6578616d706c652fac54656120e280932053686f70ccc8ce00bc614e94a66375
    726c2f38a0aa323030313a6462383a3aa05d00000074103490dc0013a470616765c4100194f3c0000070008000000000
    00000e00c4100194f3c000007000800000000000000fc4100194f3c000007000800000000000000f0100a468747470a9
    6c6f63616c686f7374a0a12fa0a0a0a0a0cd019400c01f000000c2dd617993a3656e64c4100194f3c000007000800000
    0000000010a774696d656f75741e00000046c7bdd193a3656e64c4100194f3c0000070008000000000000010a66c6f67
    6f757459000000c15c6bd296aa6964656e746966696564c4100194f3c0000070008000000000000011a434373131d7ff
    a1dcd420695735a5c4100194f3c000007000800000000000001282a5656d61696caf616461406578616d706c652e636f
    6da16e012f000000fe6ad73c96aa6964656e746966696564c4100194f3c0000070008000000000000011a434373131d7
    ffa1dcd420695735a5c080
    """
)
#: Format 2: orders.
SEGMENT_2 = bytes.fromhex(
    """
    45545241434b3032fecaad0bf1000000537e7b2edc0013a56576656e74c4100194f3c0000070008000000000000015a1
    61d7ffa1dcd420695735a5c4100194f3c000007000800000000000000b80c0d7ffa1dcd420695735a5a6736572766572
    a0a090c0c0a0c0c0a097a6636861726765a3412d31a3455552cd0992d920303132333435363738396162636465663031
    32333435363738396162636465669296c4100194f3c0000070008000000000000016a36d756702a531302e303081a373
    6b75a36d7567ad426f756768742032206d75677396c4100194f3c0000070008000000000000017a374656101a4342e35
    3080c0c4100194f3c000007000800000000000000769000000dea8e82edc0013a56576656e74c4100194f3c000007000
    8000000000000015a161d7ffa1dcd420695735a5c4100194f3c000007000800000000000000b80c0d7ffa1dcd4206957
    35a5a6736572766572a0a090c0c0a0c0c0a097a6636861726765a3412d31a34a505900a090c07e000000177e2a8bdc00
    13a56576656e74c4100194f3c0000070008000000000000015a161d7ffa1dcd420695735a5c4100194f3c00000700080
    0000000000000b80c0d7ffa1dcd420695735a5a6736572766572a0a090c0c0a0c0c0a095a663616e63656cc4100194f3
    c0000070008000000000000015a3412d31a4352e303081a36d75670175000000fee6c08fdc0013a56576656e74c41001
    94f3c0000070008000000000000015a161d7ffa1dcd420695735a5c4100194f3c000007000800000000000000b80c0d7
    ffa1dcd420695735a5a6736572766572a0a090c0c0a0c0c0a095a663616e63656cc4100194f3c0000070008000000000
    000015a3412d31c0c0
    """
)
#: Two of the segment's records are in the database.
CHECKPOINT = bytes.fromhex("0100000000000000cc010000000000000883adc9")


def uuid(number: int) -> uuidlib.UUID:
    return uuidlib.UUID(int=0x0194F3C0_0000_7000_8000_000000000000 + number)


MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
SECOND = dt.timedelta(seconds=1)
FULL_EVENT = Event(
    id=uuid(1),
    action="order.ship",
    time=MOMENT,
    uuid=uuid(2),
    params={
        "text": "Zoë 🛒",
        "whole": -7,
        "big": 2**53,
        "part": 0.5,
        "flag": True,
        "none": None,
        "list": [1, "two", {"three": 3}],
        "empty": {},
    },
    label="Shipped 7",
    received_at=MOMENT + SECOND,
    source="browser",
    site="shop",
    url_rule="/orders/<id>",
    undefined=("extra", "more"),
    session=SessionRef(uuid(3), uuid(4), MOMENT - 60 * SECOND),
    client=Client("Mozilla/5.0", "de-DE,de;q=0.9", "192.0.2.0", "DE"),
    half="browser",
    page=uuid(5),
    claim=Claim(uuid(6), cookieless=True, foreign=True, kept=True),
)
PLAIN_EVENT = Event(
    id=uuid(10), action="a", time=MOMENT, uuid=uuid(11), params={}, received_at=MOMENT
)
FULL_PAGE = PageView(
    id=uuid(7),
    arrival=1767323045678901234,
    uuid=uuid(8),
    device_id=uuid(9),
    session_number=3,
    session_started=1767323000000000000,
    scheme="https",
    host="shop.example:8443",
    script_root="/app",
    path="/products/tea",
    query="utm_source=mail&q=1",
    endpoint="shop.product",
    url_rule="/products/<slug>",
    referrer="https://search.example/",
    title="Tea \u2013 Shop",
    status=200,
    duration_ns=12345678,
    client=Client("curl/8", "", "2001:db8::", ""),
)
PLAIN_PAGE = PageView(
    id=uuid(14),
    arrival=0,
    uuid=uuid(15),
    device_id=uuid(15),
    session_number=1,
    session_started=0,
    scheme="http",
    host="localhost",
    script_root="",
    path="/",
    query="",
    endpoint="",
    url_rule="",
    referrer="",
    title="",
    status=404,
    duration_ns=0,
    client=None,
)
FULL_IDENTIFIED = Identified(
    uuid=uuid(17),
    customer_id="4711",
    time=MOMENT,
    anonymous=uuid(18),
    traits={"email": "ada@example.com", "n": 1},
)
#: What SEGMENT holds, in this order.
RECORDS: list[Record] = [
    FULL_EVENT,
    PLAIN_EVENT,
    Event(
        id=uuid(12),
        action="page.visit",
        time=MOMENT,
        uuid=uuid(11),
        params={},
        received_at=MOMENT,
        client=Client(),
        claim=Claim(uuid(13)),
    ),
    FULL_PAGE,
    PLAIN_PAGE,
    SessionEnd(session_id=uuid(16), reason="timeout"),
    SessionEnd(session_id=uuid(16), reason="logout"),
    FULL_IDENTIFIED,
    Identified(uuid=uuid(17), customer_id="4711", time=MOMENT),
]
ORDER = Charge(
    order_id="A-1",
    currency="EUR",
    amount=2450,
    digest="0123456789abcdef0123456789abcdef",
    items=(
        Bought(uuid(22), "mug", 2, "10.00", {"sku": "mug"}, "Bought 2 mugs"),
        Bought(uuid(23), "tea", 1, "4.50", {}),
    ),
    visit_id=uuid(7),
)
CHARGED = msgspec.structs.replace(PLAIN_EVENT, id=uuid(21), order=ORDER)
#: What SEGMENT_2 holds.
ORDERS: list[Record] = [
    CHARGED,
    msgspec.structs.replace(CHARGED, order=Charge("A-1", "JPY", 0, "")),
    msgspec.structs.replace(CHARGED, order=Cancellation(uuid(21), "A-1", "5.00", {"mug": 1})),
    msgspec.structs.replace(CHARGED, order=Cancellation(uuid(21), "A-1")),
]


class Release:
    """A process of a release, which is known by the number of the format that it writes."""

    def __init__(self, folder: pathlib.Path, number: int) -> None:
        self._number = number
        with self._running():
            self._journal = Journal(folder, 1 << 28, is_durable=False)

    def _running(self) -> contextlib.AbstractContextManager[t.Any]:
        return unittest.mock.patch(FORMAT, self._number)

    def put(self, *payloads: bytes) -> None:
        with self._running():
            assert self._journal.put(payloads)

    def end(self) -> None:
        """Leave what waits behind, as a process does that is killed."""
        self._journal.close()

    def take_over(self) -> list[bytes]:
        """Return what waits here and in what the dead have left, and acknowledge it."""
        payloads: list[bytes] = []
        with self._running():
            self._journal.adopt()
            while claimed := self._journal.claim(500):
                assert not claimed.damaged
                payloads += claimed.payloads
                self._journal.acknowledge(claimed)
        return payloads


Run = cabc.Callable[[int], Release]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where the journals of one database lie."""
    return tmp_path / "eventtrack" / "f0e1d2c3b4a59687"


@pytest.fixture
def run(folder: pathlib.Path) -> cabc.Iterator[Run]:
    """Return what starts a process of a release; all of them end afterwards."""
    started: list[Release] = []

    def start(number: int) -> Release:
        started.append(Release(folder, number))
        return started[-1]

    yield start
    for release in started:
        release.end()


def leave_golden(
    folder: pathlib.Path, checkpoint: bytes = b"", segment: bytes = SEGMENT
) -> pathlib.Path:
    """Leave what a process of the first release has left that died."""
    dead = folder / uuid(99).hex
    dead.mkdir(parents=True)
    (dead / "lock").touch()
    (dead / "00000001.segment").write_bytes(segment)
    if checkpoint:
        (dead / "checkpoint").write_bytes(checkpoint)
    return dead


# Golden bytes


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_the_first_release_left_is_read(folder: pathlib.Path, run: Run, number: int) -> None:
    """By this release and by later ones: every record with exactly its values."""
    dead = leave_golden(folder)
    release = run(number)
    assert [decode_record(payload) for payload in release.take_over()] == RECORDS
    assert not dead.exists()
    assert list_bad(folder) == []


@pytest.mark.parametrize("number", [2, 3])
def test_orders_of_the_second_format_are_read(folder: pathlib.Path, run: Run, number: int) -> None:
    """In its own home, by this release and by later ones."""
    leave_golden(folder.with_name(f"{folder.name}.2"), segment=SEGMENT_2)
    payloads = run(number).take_over()
    assert [decode_record(payload) for payload in payloads] == ORDERS
    assert payloads == [encode_record(record) for record in ORDERS]


def test_a_release_before_orders_never_gets_one(folder: pathlib.Path, run: Run) -> None:
    """It would store an order without its items: they wait for the next new release."""
    leave_golden(folder.with_name(f"{folder.name}.2"), segment=SEGMENT_2)
    assert run(1).take_over() == []
    assert len(run(journal_format.FORMAT).take_over()) == len(ORDERS)


def test_the_first_release_s_checkpoint_is_understood(folder: pathlib.Path, run: Run) -> None:
    """What it had committed is not written again."""
    leave_golden(folder, CHECKPOINT)
    assert [decode_record(payload) for payload in run(1).take_over()] == RECORDS[2:]


def test_the_same_payloads_give_the_same_bytes(
    folder: pathlib.Path, tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This release writes as the first one did, to the byte, but for the format's number."""
    leave_golden(folder)
    payloads = run(1).take_over()
    monkeypatch.setattr("secrets.randbits", lambda bits: SEED)
    journal = Journal(tmp_path / "again", 1 << 28, is_durable=False)
    assert journal.put(payloads)
    claimed = journal.claim(2)
    assert claimed is not None
    journal.acknowledge(claimed)
    journal.close()
    [segment] = tmp_path.glob("again.2/*/*.segment")
    assert segment.read_bytes() == b"ETRACK02" + SEGMENT[8:]
    assert (segment.parent / "checkpoint").read_bytes() == CHECKPOINT


def test_orders_have_the_same_bytes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first release that had them wrote them."""
    monkeypatch.setattr("secrets.randbits", lambda bits: SEED)
    journal = Journal(tmp_path / "again", 1 << 28, is_durable=False)
    assert journal.put(list(map(encode_record, ORDERS)))
    journal.close()
    [segment] = tmp_path.glob("again.2/*/*.segment")
    assert segment.read_bytes() == SEGMENT_2


def test_fields_are_only_appended(folder: pathlib.Path, run: Run) -> None:
    """Each record begins as the first release wrote it, and so do the structs inside of it."""
    leave_golden(folder)
    for payload, record in zip(run(1).take_over(), RECORDS, strict=True):
        first, now = map(msgspec.msgpack.decode, (payload, encode_record(record)))
        assert begin_of(now, first) == first


def begin_of(value: t.Any, first: t.Any) -> t.Any:
    """Return a value without what was appended to it and to the arrays in it."""
    if not isinstance(value, list) or not isinstance(first, list):
        return value
    return [begin_of(*pair) for pair in zip(value, first, strict=False)]


# Appended fields


class LaterEvent(Event, frozen=True, kw_only=True, array_like=True, gc=False, tag="event"):
    """As a later release may define it."""

    mood: str = "calm"
    weights: tuple[float, ...] = ()


class LaterPage(PageView, frozen=True, array_like=True, gc=False, tag="page"):
    """As a later release may define it."""

    protocol: str = "h1"


class LaterEnd(SessionEnd, frozen=True, kw_only=True, array_like=True, gc=False, tag="end"):
    """As a later release may define it."""

    by: uuidlib.UUID | None = None


class LaterIdentified(
    Identified, frozen=True, kw_only=True, array_like=True, gc=False, tag="identified"
):
    """As a later release may define it."""

    issuer: str = ""


class LaterClaim(Claim, frozen=True, array_like=True, gc=False):
    """As a later release may define it: inside of another record."""

    nonce: str = ""


LATER: list[tuple[Record, type[msgspec.Struct], dict[str, t.Any]]] = [
    (FULL_EVENT, LaterEvent, {"mood": "wild", "weights": (1.5,)}),
    (PLAIN_EVENT, LaterEvent, {"mood": "wild"}),
    (FULL_PAGE, LaterPage, {"protocol": "h3"}),
    (PLAIN_PAGE, LaterPage, {"protocol": "h3"}),
    (RECORDS[5], LaterEnd, {"by": uuid(20)}),
    (FULL_IDENTIFIED, LaterIdentified, {"issuer": "sso"}),
]
IDS = [kind.__name__ for _, kind, _ in LATER]


def fields_of(record: msgspec.Struct) -> dict[str, t.Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize(("record", "later", "added"), LATER, ids=IDS)
def test_fields_that_a_later_release_appends_are_ignored(
    record: Record, later: type[msgspec.Struct], added: dict[str, t.Any]
) -> None:
    """During a deploy an old process may adopt what a new one has left."""
    written = encode_record(later(**fields_of(record), **added))
    assert len(written) > len(encode_record(record))
    assert decode_record(written) == record


@pytest.mark.parametrize(("record", "later", "added"), LATER, ids=IDS)
def test_fields_that_an_older_release_did_not_know_have_their_defaults(
    record: Record, later: type[msgspec.Struct], added: dict[str, t.Any]
) -> None:
    """After an upgrade a later release reads what this one has left."""
    read = msgspec.msgpack.decode(encode_record(record), type=later)
    defaults = fields_of(later(**fields_of(record)))
    assert fields_of(read) == defaults


def test_fields_may_be_appended_inside_of_a_record() -> None:
    """Claims, clients and sessions lie within events by the same rule."""
    later = LaterClaim(uuid(6), cookieless=True, foreign=True, kept=True, nonce="n")
    written = encode_record(msgspec.structs.replace(FULL_EVENT, claim=later))
    assert decode_record(written) == FULL_EVENT


@pytest.mark.parametrize("record", [PLAIN_EVENT, RECORDS[-1]], ids=["event", "identified"])
def test_fields_at_the_end_may_be_missing(record: Record) -> None:
    """As if they had been appended since: they have their defaults, one by one."""
    values = msgspec.msgpack.decode(encode_record(record))
    required = 1 + sum(
        field.required or field.name in ("received_at", "label")
        for field in msgspec.structs.fields(record)
    )
    for length in range(required, len(values) + 1):
        assert decode_record(msgspec.msgpack.encode(values[:length])) == record


# Formats side by side


def test_each_format_has_a_home_of_its_own(folder: pathlib.Path, run: Run) -> None:
    """The folder of the first format has no number: releases from before the second know it."""
    for number in (1, 2, 3):
        run(number).put(b"record")
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        folder.name,
        f"{folder.name}.2",
        f"{folder.name}.3",
    ]
    magics = [path.read_bytes()[:8] for path in sorted(folder.parent.glob("*/*/*.segment"))]
    assert magics == [b"ETRACK01", b"ETRACK02", b"ETRACK03"]


def test_during_a_deploy_no_record_is_lost_or_adopted_wrongly(
    folder: pathlib.Path, run: Run
) -> None:
    """Both releases run, put and die in turn: the old one sees nothing of the new one's."""
    old, new = run(1), run(2)
    old.put(b"old 1")
    new.put(b"new 1")
    assert (old.take_over(), new.take_over()) == ([b"old 1"], [b"new 1"])  # the living are left be
    old.put(b"old 2")
    new.put(b"new 2")
    dead, alive = old, run(1)
    dead.end()
    new.end()
    assert alive.take_over() == [b"old 2"]
    assert run(1).take_over() == []
    alive.put(b"old 3")
    alive.end()
    last = run(2)
    assert sorted(last.take_over()) == [b"new 2", b"old 3"]
    assert last.take_over() == []
    last.end()
    assert not list(folder.parent.glob("*/*.bad"))
    assert not list(folder.parent.glob("*/*/*.segment"))


def test_after_a_rollback_a_newer_format_waits(folder: pathlib.Path, run: Run) -> None:
    """It is neither read nor removed by the old release, and there for the next new one."""
    new = run(2)
    new.put(b"new")
    new.end()
    old = run(1)
    assert old.take_over() == []
    old.put(b"old")
    assert old.take_over() == [b"old"]
    old.end()
    assert run(2).take_over() == [b"new"]


def test_a_home_that_is_empty_is_removed(folder: pathlib.Path, run: Run) -> None:
    """Also the one of an old release, by the new one that has emptied it."""
    leave_golden(folder)
    new = run(2)
    new.put(b"new")
    assert len(new.take_over()) == len(RECORDS) + 1
    new.end()
    assert not list(folder.parent.iterdir())


def test_what_waits_in_older_homes_takes_room(folder: pathlib.Path) -> None:
    """The bound is for all that this release may have to write."""
    leave_golden(folder)
    with unittest.mock.patch(FORMAT, 2):
        journal = Journal(folder, len(SEGMENT) - 1, is_durable=False)
        journal.adopt()
        assert journal.put([b"one more"]) == 0
        journal.close()


@pytest.mark.parametrize("number", [1, 2])
def test_an_erasure_removes_what_is_set_aside_in_each_home(
    folder: pathlib.Path, number: int
) -> None:
    """In those of other formats too, whatever release the erasure runs in."""
    homes = [folder, *(folder.with_name(f"{folder.name}.{n}") for n in (2, 3))]
    for home in homes:
        home.mkdir(parents=True)
        (home / "theirs.bad").write_bytes(b"... 4711 ...")
        (home / "other.bad").write_bytes(b"...")
    other = folder.with_name("another-database")
    other.mkdir()
    (other / "theirs.bad").write_bytes(b"4711")
    with unittest.mock.patch(FORMAT, number):
        assert len(list_bad(folder)) == 6
        Journal(folder, 1 << 28, is_durable=False).discard([b"4711"])
        assert list_bad(folder) == [home / "other.bad" for home in homes]
    assert (other / "theirs.bad").exists()


def test_the_doctor_looks_into_each_home(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """What could not be read, and who may write there."""
    host = make({"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journals")})
    journal = host.state.journal
    assert journal is not None
    newer = journal.with_name(f"{journal.name}.3")
    for home in (journal, newer):
        home.mkdir(parents=True, mode=0o700)
        (home / "theirs.bad").touch()
    newer.chmod(0o770)
    with host.app.app_context():
        found = {finding.id: finding for finding in examine(host.app, host.state)}
    assert "2 files" in found["ET013"].sentence
    assert f"{newer}/*.bad" in found["ET013"].hint
    if os.name == "posix":
        assert f"{newer}:" in found["ET014"].sentence


def test_an_obstacle_is_looked_for_where_this_release_writes(tmp_path: pathlib.Path) -> None:
    """A file in the place of the home, say."""
    journal = tmp_path / "f0e1"
    (tmp_path / "f0e1.3").touch()
    assert find_obstacle(journal) == ""
    with unittest.mock.patch(FORMAT, 3):
        assert find_obstacle(journal) == f"{tmp_path / 'f0e1.3'} is not a folder"


# Whole processes

_PROCESS = """
import json, sys
from flask_eventtrack import track
from flask_eventtrack.pipeline import journal_format
from tests.hosts import make_host
journal_format.FORMAT = int(sys.argv[3])
host = make_host(sys.argv[1], json.loads(sys.argv[2]), create=False)
host.events.define("order.ship")
for line in sys.stdin:
    with host.app.app_context():
        if line.strip() == "track":
            assert track("order.ship", customer="1") is not None
        else:
            host.state.pipeline.settle()
    print("done", flush=True)
"""


@contextlib.contextmanager
def process(
    host: Host, config: dict[str, t.Any], number: int
) -> cabc.Iterator[cabc.Callable[[str], None]]:
    """Start a process that writes a format; it is killed at the end of the block."""
    url = str(host.state.pipeline.database._host.url)
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, url, json.dumps(config), str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

        def tell(line: str) -> None:
            assert child.stdin is not None
            assert child.stdout is not None
            print(line, file=child.stdin, flush=True)
            assert child.stdout.readline() == "done\n", child.wait(10)

        with child:
            try:
                yield tell
            finally:
                child.kill()
                log.seek(0)
                print(log.read())  # pytest shows it where a test has failed


def test_a_rolling_deploy(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """Old and new processes of one app, killed in turn: each event is stored once, all of them."""
    config = {
        "EVENTTRACK_FLUSH_INTERVAL": 3600,
        "EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journals"),
    }
    host = make(config)
    journal = host.state.journal
    assert journal is not None
    leave_golden(journal)
    with process(host, config, 2) as new:
        # The golden journal and its own event; then it looks for the dead only in a minute.
        new("track")
        new("settle")
        with process(host, config, 1) as old:
            old("track")
            new("track")
        with process(host, config, 1) as old:  # the one before was killed
            old("track")
            old("settle")
            new("track")
    assert list(journal.with_name(f"{journal.name}.2").glob("*/*.segment"))
    before = host.actions()
    with process(host, config, 2) as new:
        new("track")
        new("settle")
    assert before["order.ship"] == 4  # the golden one, the new release's first, the old's two
    assert host.actions()["order.ship"] == 7
    assert host.actions()["a"] == 1
    outcomes = {row["outcome"] for row in host.rows("quality")}
    assert not outcomes & {"dropped", "rejected", "duplicate"}
    assert not list_bad(journal)
