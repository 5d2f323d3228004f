"""`flask eventtrack export-events`: all rows, each once, whatever happens meanwhile."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import pathlib
import typing as t
import uuid

import msgspec
import pytest
from filelock import FileLock

from flask_eventtrack import identify, track
from flask_eventtrack.reports import bulk

from .commands import run
from .conftest import MakeHost
from .dashboard.test_hostile import HOSTILE
from .hosts import FakeClock, Host
from .reports.visits import Visitor, close_days, open_shop

WHAT = {"events": "event", "sessions": "session", "people": "profile"}
INNER = {"claimed_by", "private_at", "logged_out_at"}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read two rows at a time."""
    monkeypatch.setattr(bulk, "_CHUNK", 2)


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, database_url: str) -> Host:
    """A shop on each database, with customers, strangers, a bot and hostile labels."""
    config = {"EVENTTRACK_BOTS": "tag"}
    shop = open_shop(make, clock, url=database_url, config=config)
    for number in range(1, 6):
        visitor = Visitor(shop).see(f"/?utm_source=news{number}", f"2026-11-{15 + number} 09:00")
        visitor.do(f"/login/{number}").do(f"/cart/A{number}/9.5").see("/products/mug")
        close_days(shop)
    shop.client("Googlebot/2.1 (+http://www.google.com/bot.html)").get("/")
    add(shop, *HOSTILE)
    with shop.app.app_context():
        identify("5", {"name": "=1+1", "email": "ada@example.com"})
    close_days(shop)
    clock.advance(seconds=31)
    return shop


def add(host: Host, *labels: str, time: dt.datetime | None = None) -> None:
    """Store events of a job, all of one moment."""
    with host.app.app_context():
        for label in labels:
            track(
                "cart.put",
                {"sku": f"\u2028{label}"[:99], "price": 1.5},
                label=label,
                customer="=7",
                time=time,
            )
    host.flush()


def export(host: Host, *arguments: str) -> str:
    answer = run(host, "export-events", *arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout_bytes.decode()


def expect(host: Host, what: str) -> list[dict[str, t.Any]]:
    """Return what is to be exported: each row of a table with its public columns."""
    return [
        {name: value for name, value in row.items() if name not in INNER}
        for row in map(msgspec.to_builtins, host.rows(WHAT[what]))
    ]


def read_lines(text: str) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in text.splitlines()]


def read_csv(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def by_id(rows: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return sorted(rows, key=lambda row: str(row.get("id") or row["uuid"]))


def labels_of(text: str) -> list[str]:
    return [row["label"] for row in read_lines(text)]


@pytest.mark.parametrize("what", WHAT)
def test_every_row_is_exported_once(shop: Host, what: str) -> None:
    """With its public columns, as stored; in JSON Lines and in CSV."""
    rows = expect(shop, what)
    found = read_lines(export(shop, "--what", what))
    assert by_id(found) == by_id(rows)
    assert len(rows) > 3
    cells = read_csv(export(shop, "--what", what, "--format", "csv"))
    assert [list(row) for row in cells] == [list(row) for row in found]
    key = "uuid" if what == "people" else "id"
    assert [row[key] for row in cells] == [row[key] for row in found]


def test_a_row_is_a_line_that_runs_nowhere(shop: Host) -> None:
    """Labels with line ends, escapes and formulas stay in their cells."""
    number = len(shop.rows("event"))
    assert len(export(shop).splitlines()) == number
    text = export(shop, "--format", "csv")
    assert len(text.splitlines()) == number + 1
    labels = {row["label"] for row in read_csv(text)}
    assert {"'=1+1", "{{7*7}}", '"><img src=x onerror=1>', "\\u202egnp.exe"} <= labels
    [sku] = {row["params"] for row in read_csv(text) if row["label"] == "'=1+1"}
    assert json.loads(sku)["sku"] == "\u2028=1+1"
    assert {
        row["customer_id"] for row in read_csv(export(shop, "--what", "people", "--format", "csv"))
    } == {
        *("1", "2", "3", "4", "5"),
    }


def test_bots_are_marked(shop: Host) -> None:
    """They are in the file, with the source that tells them apart."""
    sources = {row["source"] for row in read_lines(export(shop))}
    assert sources == {"server", "bot"}


@pytest.mark.parametrize(
    ("options", "is_in"),
    [
        (["--action", "cart.*"], lambda row: row["action"] == "cart.put"),
        (
            ["--action", "cart.put", "--action", "page.visit"],
            lambda r: r["action"] in "cart.put page.visit",
        ),
        (["--since", "2026-11-19"], lambda row: row["time"] >= "2026-11-19"),
        (["--until", "2026-11-19"], lambda row: row["time"] < "2026-11-19"),
        (
            ["--since", "2026-11-19", "--until", "2026-11-20"],
            lambda r: r["time"][:10] == "2026-11-19",
        ),
        (["--since", "2027-01-01"], lambda row: False),
    ],
)
def test_some_events_are_exported(shop: Host, options: list[str], is_in: t.Any) -> None:
    """Of actions, and of days, by when they happened."""
    found = read_lines(export(shop, *options))
    assert by_id(found) == by_id([row for row in expect(shop, "events") if is_in(row)])


def test_days_are_those_of_the_app(make: MakeHost, clock: FakeClock) -> None:
    """They begin at midnight of its time zone, for sessions and people too."""
    host = open_shop(make, clock, config={"EVENTTRACK_TIMEZONE": "Asia/Tokyo"})
    Visitor(host).see("/", "2026-11-19 14:59").do("/login/1")
    Visitor(host).see("/", "2026-11-19 15:00").do("/login/2")
    host.flush()
    clock.advance(seconds=31)
    for what, name in (("sessions", "started_at"), ("people", "first_seen_at")):
        [row] = read_lines(export(host, "--what", what, "--since", "2026-11-20"))
        assert row[name] == "2026-11-19T15:00:00Z"
        [row] = read_lines(export(host, "--what", what, "--until", "2026-11-20"))
        assert row[name] == "2026-11-19T14:59:00Z"


def test_events_of_the_last_seconds_are_left_out(shop: Host) -> None:
    """A slow transaction may still store some before them; they are in the next export."""
    add(shop, "new")
    assert "new" not in labels_of(export(shop))
    shop.clock.advance(seconds=31)
    assert labels_of(export(shop))[-1] == "new"
    answer = run(shop, "export-events")
    assert "events, stored until 2026-11-" in answer.stderr


class Cut(Exception):
    """What ends an export in a test."""


def interrupt(
    host: Host, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> pathlib.Path:
    """End an export at its third piece, and return the file that is left."""
    chunks = bulk.Bulk.iter_chunks

    def end_soon(*args: t.Any, **named: t.Any) -> t.Iterator[bulk.Chunk]:
        for number, chunk in enumerate(chunks(*args, **named)):
            if number == 2:
                raise Cut
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(bulk.Bulk, "iter_chunks", end_soon)
        answer = run(host, "export-events", "-o", str(path), *options)
    assert isinstance(answer.exception, Cut)
    [part] = path.parent.glob(f"{path.name}.*.part")
    return part


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("what", ["events", "people"])
def test_an_export_goes_on_wherever_it_stopped(
    shop: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, form: str, what: str
) -> None:
    """After any byte, within a character or rows of one moment, it becomes the same file."""
    options = ["--format", form, "--what", what]
    whole = export(shop, *options).encode()
    part = interrupt(shop, tmp_path / "out", monkeypatch, *options)
    assert whole.startswith(part.read_bytes())
    ends = [place for place, byte in enumerate(whole) if byte == 10]
    places = {0, 1, 2, 3, len(whole), *ends, *(end + 1 for end in ends), *range(0, len(whole), 997)}
    for place in sorted(places):
        part.write_bytes(whole[:place])
        assert (
            run(shop, "export-events", "-o", str(tmp_path / "out"), "--resume", *options).exit_code
            == 0
        )
        assert (tmp_path / "out").read_bytes() == whole
        assert not part.exists()


def test_rows_written_meanwhile_are_exported_once(
    shop: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that happened long before, whether it is interrupted or not."""
    chunks = bulk.Bulk.iter_chunks

    def write_meanwhile(*args: t.Any, **named: t.Any) -> t.Iterator[bulk.Chunk]:
        for chunk in chunks(*args, **named):
            yield chunk
            add(shop, "late", time=shop.clock.moment - dt.timedelta(hours=9))

    with monkeypatch.context() as patch:
        patch.setattr(bulk.Bulk, "iter_chunks", write_meanwhile)
        interrupt(shop, tmp_path / "out", monkeypatch)
        shop.clock.advance(minutes=1)
        assert run(shop, "export-events", "-o", str(tmp_path / "out"), "--resume").exit_code == 0
    found = read_lines((tmp_path / "out").read_text())
    rows = expect(shop, "events")
    until = msgspec.to_builtins(shop.clock.moment - dt.timedelta(seconds=30))
    assert by_id(found) == by_id([row for row in rows if row["stored_at"] <= until])
    assert sum(row["label"] == "late" for row in found) >= 2


def test_events_of_the_hosts_transaction_are_exported_once(
    shop: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are stored anew when they are counted; until then they are left out."""
    shop.clock.advance(days=-9)
    with shop.app.app_context():
        track(
            "cart.put", {"sku": "own", "price": 1}, customer="7", label="own", in_transaction=True
        )
        shop.db.session.commit()
    shop.clock.advance(days=9)
    assert "own" not in labels_of(export(shop))
    interrupt(shop, tmp_path / "out", monkeypatch)
    shop.flush()
    shop.clock.advance(seconds=31)
    assert run(shop, "export-events", "-o", str(tmp_path / "out"), "--resume").exit_code == 0
    found = read_lines((tmp_path / "out").read_text())
    assert by_id(found) == by_id(expect(shop, "events"))
    assert found[-1]["label"] == "own"


def test_another_export_does_not_go_on_with_it(
    shop: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other options it begins anew, and without --resume as well."""
    out = tmp_path / "out"
    interrupt(shop, out, monkeypatch)
    assert (
        run(shop, "export-events", "-o", str(out), "--action", "cart.*", "--resume").exit_code == 0
    )
    assert out.read_text() == export(shop, "--action", "cart.*")
    assert run(shop, "export-events", "-o", str(out)).exit_code == 0
    assert out.read_text() == export(shop)
    assert list(tmp_path.glob("out*")) == [out]
    assert run(shop, "export-events", "-o", str(out), "--resume").exit_code == 0
    assert out.read_text() == export(shop)


def test_an_interrupted_export_leaves_the_earlier_file(
    shop: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one takes its place once it is whole; only its owner can read either."""
    out = tmp_path / "out"
    out.write_text("old")
    part = interrupt(shop, out, monkeypatch)
    assert out.read_text() == "old"
    assert os.name != "posix" or part.stat().st_mode & 0o777 == 0o600
    assert run(shop, "export-events", "-o", str(out), "--resume").exit_code == 0
    assert os.name != "posix" or out.stat().st_mode & 0o777 == 0o600


def test_two_processes_do_not_write_one_file(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one says so, and changes nothing."""
    add_some(host)
    part = interrupt(host, tmp_path / "out", monkeypatch)
    before = part.read_bytes()
    with FileLock(f"{part}.lock"):
        answer = run(host, "export-events", "-o", str(tmp_path / "out"), "--resume")
    assert (answer.exit_code, part.read_bytes()) == (1, before)
    assert answer.stderr.endswith(f"cannot be written: another process writes {part}.\n")


def add_some(host: Host) -> None:
    """Store ten events, each of its own moment."""
    host.events.define("a.b")
    for number in range(1, 11):
        with host.app.app_context():
            track("a.b", customer=str(number))
        host.flush()
        host.clock.advance(seconds=10)


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
@pytest.mark.parametrize("name", ["out", "part"])
def test_an_export_is_not_written_through_a_link(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It fails with a sentence, and touches nothing."""
    add_some(host)
    out, target = tmp_path / "out", tmp_path / "target"
    part = interrupt(host, out, monkeypatch)
    part.unlink()
    (out if name == "out" else part).symlink_to(target)
    answer = run(host, "export-events", "-o", str(out))
    assert answer.exit_code == 1
    assert "is a symbolic link" in answer.stderr
    assert not target.exists()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
def test_root_does_not_write_into_another_user_s_file(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has planted it could read the export, and put lines before it."""
    add_some(host)
    out = tmp_path / "out"
    part = interrupt(host, out, monkeypatch)
    os.chown(part, 65534, 65534)
    answer = run(host, "export-events", "--resume", "-o", str(out))
    assert (answer.exit_code, "belongs to another user" in answer.stderr) == (1, True)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--resume", "--resume needs the --output that was interrupted."),
        ("--resume -o -", "--resume needs the --output that was interrupted."),
        ("--what people --action a.b", "--action is for events alone."),
        ("--what orders", "Invalid value for '--what'"),
        ("--since soon", "Invalid value for '--since'"),
    ],
)
def test_a_wrong_argument_is_refused(host: Host, arguments: str, sentence: str) -> None:
    """With the exit status 2."""
    answer = run(host, "export-events", *arguments.split())
    assert answer.exit_code == 2
    assert sentence in answer.stderr


def test_an_empty_database_has_an_empty_export(host: Host) -> None:
    """Without tables, it is an error of one line."""
    assert [export(host, "--what", what) for what in WHAT] == ["", "", ""]
    assert len(export(host, "--format", "csv").splitlines()) == 1


def test_without_tables_it_says_what_to_do(make: MakeHost) -> None:
    """In one line, with the exit status 1."""
    answer = run(make(create=False), "export-events")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.splitlines()[-1].startswith("Error: The tables of this release are")


def test_in_memory_all_rows_are_exported(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://")
    add_some(host)
    host.clock.advance(seconds=31)
    assert len(export(host).splitlines()) == 10
    assert uuid.UUID(read_lines(export(host))[0]["id"])
