"""What the journal promises to apps: an answer that was given is kept, and counted once."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack import identify, track
from flask_eventtrack.pipeline.journal import Journal
from flask_eventtrack.records import Identified

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..store.records import an_event, at
from .journals import (
    NOBODY,
    adopt,
    as_nobody,
    folders,
    give_to,
    home_of,
    leave,
    losses,
    needs_users,
    post,
    program,
    run,
    segments,
)
from .segments import home_at
from .waiting import visit, wait_until, waiting

TABLES = ("alias", "event", "hourly", "profile", "quality", "rejected", "session")


def snapshot(host: Host) -> dict[str, list[dict[str, t.Any]]]:
    """Return all that is stored."""
    return {
        table: sorted(host.rows(table), key=lambda row: repr(sorted(row.items())))
        for table in TABLES
    }


# The death of a process


@pytest.mark.parametrize(("durability", "kept"), [("memory", 0), ("journal", 1), ("durable", 1)])
def test_an_answer_outlives_its_process(
    make: MakeHost, url: str, config: dict[str, t.Any], durability: str, kept: int
) -> None:
    """Killed right after its answers: pages, posts and tracked events arrive, but for memory."""
    script = """
assert host.client().get("/", headers=NAVIGATION).status_code == 200
post(3)
note("parent.test")
die()
"""
    assert run(script, url, {**config, "EVENTTRACK_DURABILITY": durability}) == -9
    host = make(config, url=url)
    assert len(folders(home_of(host))) == kept
    adopt(host)
    expected = {"page.visit": 1, "button.click": 3, "parent.test": 1, "session.start": 2}
    assert host.actions() == (expected if kept else {})
    assert losses(host) == {}
    assert not folders(home_of(host))


_DEATHS = {
    "between the commit and its acknowledgement": "Journal.acknowledge = die",
    "between the checkpoint and the removal": """
unlink = pathlib.Path.unlink
def kill_at(path, missing_ok=False):
    die() if path.suffix == ".segment" else unlink(path, missing_ok)
pathlib.Path.unlink = kill_at
""",
    "between two segments": """
from flask_eventtrack.pipeline import chain
add = chain.Chain.add
def kill_at(self, number):
    die() if number == 2 else add(self, number)
chain.Chain.add = kill_at
""",
    "before the first byte of a batch is written": """
from flask_eventtrack.pipeline import journal_format
note("parent.test")
journal_format.SegmentWriter.append = die
""",
}


@pytest.mark.parametrize("death", _DEATHS)
def test_a_death_at_any_place_neither_loses_nor_doubles(
    make: MakeHost, url: str, config: dict[str, t.Any], death: str
) -> None:
    """All that was acknowledged is there once, and no duplicate is counted."""
    host = make(config, url=url)
    script = f"""
import flask_eventtrack.pipeline.journal
flask_eventtrack.pipeline.journal._SEGMENT_BYTES = 1000
def note_down():
    note("parent.test")
    print("noted", flush=True)
{_DEATHS[death]}
for _ in range(25):
    note_down()
host.flush()
print("it did not die")
"""
    with program(script, url, config) as process:
        assert process.stdout is not None
        noted = process.stdout.read().split()
    assert set(noted) <= {"noted"}
    adopt(host)
    extra = 1 if "first byte" in death else 0
    assert host.actions()["parent.test"] == len(noted) + extra
    assert losses(host) == {}


def test_a_replay_changes_nothing(
    make: MakeHost, url: str, config: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    """Records of every kind that are in the database already: no row is another afterwards."""
    first = make(config, url=url)

    @first.app.get("/in")
    def log_in() -> str:
        identify("42", {"plan": "pro"})
        return "<title>In</title>"

    client = first.client()
    for path in ("/", "/in", "/products/mug"):
        client.get(path, headers=NAVIGATION)
    first.clock.advance(hours=1)
    client.get("/", headers=NAVIGATION)
    post(first)
    home = home_of(first)
    shutil.copytree(home, tmp_path / "killed")
    before = snapshot(first)
    assert {"page.visit", "customer.login", "session.end"} <= first.actions().keys()
    first.close()
    assert not home.exists()
    shutil.copytree(tmp_path / "killed", home)
    second = make(config, url=url, create=False)
    adopt(second)
    assert snapshot(second) == before


def test_what_is_known_of_a_customer_does_not_go_back(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """A dead process's older word on a customer leaves the newer one standing."""
    first, second = make(config, url=url), make(config, url=url, create=False)
    customer = uuidlib.uuid4()

    def say(plan: str, seconds: float) -> Identified:
        traits = {"plan": plan, plan: True}
        return Identified(uuid=customer, customer_id="42", time=at(seconds), traits=traits)

    first.state.pipeline.put(say("pro", 2))
    first.flush()
    leave(first, say("free", 1))
    adopt(second)
    [profile] = second.rows("profile")
    assert profile["traits"] == {"plan": "pro", "pro": True, "free": True}


# Adoption


def test_what_is_adopted_does_not_wait_behind_what_is_ours(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """A process with events of its own writes the dead one's in the same go."""
    host = make(config)
    leave(host, an_event(session=None), an_event("order.late", session=None))
    visit(host)
    host.state.pipeline.start()
    table = host.state.pipeline.database.tables.event
    late = sa.select(table.c.id).where(table.c.action == "order.late")

    def is_stored() -> bool:  # without a flush, which would hurry the writer
        with host.app.app_context(), host.db.engine.connect() as connection:
            return connection.scalar(late) is not None

    wait_until(is_stored, seconds=10)


def test_the_chore_of_a_live_process_adopts(
    make: MakeHost, config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each minute it looks for the dead, without a request."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    host = make(config)
    visit(host)
    host.flush()
    left = leave(host, *(an_event(seconds=n, session=None) for n in range(3)))
    wait_until(lambda: not left.exists())
    assert host.actions()["order.ship"] == 3


def test_the_journal_of_a_live_process_is_its_own(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """Nobody takes it over, also not another app in the same process."""
    first, second = make(config, url=url), make(config, url=url, create=False)
    visit(first, 3)
    [path] = segments(home_of(first))
    before = path.read_bytes()
    second.state.pipeline.put(an_event(session=None))
    assert second.actions() == {"order.ship": 1}
    assert path.read_bytes() == before
    assert waiting(first) == 3
    assert first.actions() == {"order.ship": 1, "page.visit": 3, "session.start": 1}


def test_two_processes_share_what_the_dead_have_left(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """Both begin at the same moment: each event is there once, and nothing is left."""
    host = make(config, url=url)
    home = home_of(host)
    for orphan in range(12):
        leave(host, *(an_event(seconds=orphan * 100 + n, session=None) for n in range(40)))
    script = f"""
home = pathlib.Path({str(home)!r})
print("ready", flush=True)
sys.stdin.readline()
assert host.client().get("/data.json").status_code == 200
for _ in range(3000):
    if not [path for path in home.glob("*") if path.is_dir()]:
        break
    threading.Event().wait(0.01)
host.flush()
print("done", flush=True)
"""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(program(script, url, config)) for _ in range(2)]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        answers = [other.communicate("\n", timeout=60)[0] for other in others]
    assert answers == ["done\n", "done\n"]
    assert host.actions() == {"order.ship": 480}
    assert losses(host) == {}
    assert not folders(home)


def test_what_cannot_be_read_is_counted(make: MakeHost, config: dict[str, t.Any]) -> None:
    """Damage, and bytes that are not records, are set aside and counted; the rest is written."""
    host = make(config)
    left = leave(host, an_event(seconds=1, session=None), raw=[b"\xc1", b"\x93no record", b""])
    leave(host, an_event(seconds=2, session=None), an_event(seconds=3, session=None))
    [damaged] = folders(home_of(host)) - {left}
    path = damaged / "00000001.segment"
    path.write_bytes(path.read_bytes()[:-1])
    adopt(host)
    assert host.actions() == {"order.ship": 2}
    assert losses(host) == {("dropped", "", "unreadable"): 4}
    assert (home_of(host) / f"{left.name}.bad").read_bytes() == b"\xc1\x93no record"
    assert (home_of(host) / f"{damaged.name}.bad").stat().st_size > 50


@pytest.mark.parametrize("other", ["database", "bind"])
def test_another_target_s_journal_is_left_alone(
    make: MakeHost, url: str, config: dict[str, t.Any], other: str
) -> None:
    """Only who writes to the same tables may take over: another database, another bind."""
    first = make({**config, "SQLALCHEMY_BINDS": {"other": url}}, url=url)
    left = leave(first, an_event(session=None))
    if other == "database":
        second = make(config)
    else:
        binds = {"SQLALCHEMY_BINDS": {"other": url}, "EVENTTRACK_BIND_KEY": "other"}
        second = make({**config, **binds}, url=url, create=False)
    assert home_of(second) != home_of(first)
    adopt(second)
    assert left.exists()
    adopt(first)
    assert first.actions() == {"order.ship": 1}


@needs_users
def test_another_user_s_journal_is_skipped(open_folder: pathlib.Path) -> None:
    """It does no harm; its own user's next process takes it over."""
    journal = open_folder / "home"
    home = home_at(journal)
    with as_nobody():
        theirs, ours = (Journal(journal, 1 << 28, is_durable=False) for _ in range(2))
        assert theirs.put([b"theirs"])
        theirs.close()
    [left] = folders(home)
    give_to(0, left)
    os.utime(left, (0, 0))
    with as_nobody():
        assert ours.put([b"ours"])
        assert not ours.adopt()
        claimed = ours.claim(10)
        assert claimed is not None
        assert claimed.payloads == [b"ours"]
        ours.acknowledge(claimed)
        assert ours.claim(10) is None
        ours.close()
    give_to(NOBODY, left)
    with as_nobody():
        next_one = Journal(journal, 1 << 28, is_durable=False)
        next_one.adopt()
        assert next_one.claim(10) is not None
        next_one.close()


# Bounds


def test_a_full_journal_says_come_back(make: MakeHost, config: dict[str, t.Any]) -> None:
    """503 for posts, counted drops for visits; when the database is back all that was
    acknowledged is there, and posting works again."""
    host = make({**config, "EVENTTRACK_JOURNAL_MAX_BYTES": 3000}, create=False)
    ids: list[str] = []
    while len(ids) < 100 and (answer := post(host)).status_code == 202:
        ids += [result["event_id"] for result in answer.json["results"]]
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert 5 < len(ids) < 40
    visit(host, 4)
    host.events.define("order.ship")
    with host.app.app_context():
        assert track("order.ship", customer="1") is None
        host.db.create_all()
    host.flush()
    assert {str(row["id"]) for row in host.events_of("button.click")} == set(ids)
    assert host.actions()["page.visit"] == 0
    assert losses(host) == {
        ("dropped", "page.visit", "no room"): 4,
        ("dropped", "order.ship", "no room"): 1,
    }
    assert post(host).status_code == 202
    assert host.actions()["button.click"] == len(ids) + 1
