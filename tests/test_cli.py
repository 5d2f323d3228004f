"""`flask eventtrack …`: init-db, tail, sweep, forget, export, prune, definitions, doctor."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import typing as t
import uuid

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask
from msgspec import Meta
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_eventtrack import identify, track
from flask_eventtrack.identity import customer_uuid

from .conftest import MakeHost
from .hosts import NAVIGATION, START, Host

FINE = {"SECRET_KEY": "0123456789abcdef0123456789abcdef", "EVENTTRACK_PROFILE_SALT": "our own"}

# The base point of P-256 (FIPS 186-5): a public key that anybody has.
P256_BASE = (
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
)


def run(host: Host, *arguments: str) -> Result:
    return host.app.test_cli_runner().invoke(args=["eventtrack", *arguments])


@pytest.fixture
def busy(host: Host) -> Host:
    return make_busy(host)


def make_busy(host: Host) -> Host:
    """Have a host record three events of a customer's."""
    host.events.define("a.b", label="Did {what}")
    with host.app.app_context():
        for what in ("one", "two", "three"):
            track("a.b", {"what": what}, customer="7")
            host.events.flush()
            host.clock.advance(seconds=1)
    return host


@pytest.fixture
def fine(make: MakeHost) -> Host:
    """A host with nothing to complain of, whose first event is written."""
    host = make(FINE)
    host.events.define("a.b")
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    return host


def test_commands_are_listed(host: Host) -> None:
    """With a sentence each."""
    answer = run(host, "--help")
    assert answer.exit_code == 0
    for name in ("init-db", "tail", "sweep", "forget", "export", "prune", "definitions", "doctor"):
        assert f"  {name} " in answer.output


# init-db


def test_init_db_creates_the_tables_that_are_missing(db_host: Host) -> None:
    """Again, it changes nothing."""
    with db_host.app.app_context():
        db_host.db.drop_all()
    for _ in range(2):
        answer = run(db_host, "init-db")
        assert (answer.exit_code, answer.output) == (0, "All 10 tables exist.\n")
    assert db_host.client().get("/", headers=NAVIGATION).status_code == 200
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}


def test_init_db_keeps_microseconds(make: MakeHost, database_url: str) -> None:
    """The tables that it creates are those of create_all(), to the fraction of a second."""
    host = make(url=database_url, create=False)
    run(host, "init-db")
    host.clock.advance(microseconds=123456)
    host.client().get("/", headers=NAVIGATION)
    assert host.events_of("page.visit")[0]["time"] == START + dt.timedelta(microseconds=123456)


def test_init_db_creates_nothing_of_the_hosts(make: MakeHost) -> None:
    """Its own tables are its own business."""
    host = make(create=False)
    sa.Table("things", host.db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    run(host, "init-db")
    with host.app.app_context():
        found = sa.inspect(host.db.engine).get_table_names()
    assert len(found) == 10
    assert "things" not in found


def test_init_db_follows_the_bind(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """The tables stand in EVENTTRACK_BIND_KEY's database."""
    binds = {"SQLALCHEMY_BINDS": {"events": f"sqlite:///{tmp_path / 'events.db'}"}}
    host = make({**binds, "EVENTTRACK_BIND_KEY": "events"}, create=False)
    run(host, "init-db")
    with host.app.app_context():
        assert len(sa.inspect(host.db.engines["events"]).get_table_names()) == 10
        assert sa.inspect(host.db.engine).get_table_names() == []


def test_init_db_in_memory(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://", create=False)
    assert run(host, "init-db").output == "All 10 tables exist.\n"
    host.client().get("/", headers=NAVIGATION)
    assert host.actions() == {"page.visit": 1, "session.start": 1}


# tail


def test_tail_prints_the_latest_events_in_their_order(busy: Host) -> None:
    """Time, who, where from, what, and the sentence."""
    who = str(busy.rows("event")[0]["uuid"])[:8]
    answer = run(busy, "tail")
    assert answer.output.splitlines() == [
        f"2026-11-21 12:00:0{second}  {who}  server   a.b                       Did {what}"
        for second, what in enumerate(("one", "two", "three"))
    ]


@pytest.mark.parametrize(("lines", "printed"), [(0, 0), (1, 1), (2, 2), (20, 3)])
def test_tail_prints_as_many_as_asked(busy: Host, lines: int, printed: int) -> None:
    """The newest."""
    answer = run(busy, "tail", "-n", str(lines))
    assert answer.exit_code == 0
    found = answer.output.splitlines()
    assert len(found) == printed
    assert all(line.endswith("three") for line in found[-1:])


def test_tail_refuses_a_negative_number(db_host: Host) -> None:
    """A LIMIT below zero means everything to one database and an error to another."""
    answer = run(db_host, "tail", "-n", "-1")
    assert answer.exit_code == 2
    assert "Invalid value" in answer.output


def test_tail_of_nothing_prints_nothing(host: Host) -> None:
    """And is no failure."""
    answer = run(host, "tail")
    assert (answer.exit_code, answer.output) == (0, "")


def test_tail_as_json_is_one_object_a_line(busy: Host) -> None:
    """With every field of an event."""
    [row] = [
        json.loads(line) for line in run(busy, "tail", "-n", "1", "--json").output.splitlines()
    ]
    [stored] = [row for row in busy.rows("event") if row["params"] == {"what": "three"}]
    assert row["params"] == {"what": "three"}
    assert (row["id"], row["uuid"]) == (str(stored["id"]), str(stored["uuid"]))
    assert row["time"].startswith("2026-11-21")
    assert (row["action"], row["label"], row["source"], row["site"], row["session_id"]) == (
        "a.b",
        "Did three",
        "server",
        "",
        None,
    )


def test_tail_keeps_a_terminal_safe(host: Host) -> None:
    """A label that a client sent does not clear the screen or forge a line."""
    host.events.define("a.b")
    with host.app.app_context():
        track("a.b", label="\x1b[2J\rroot\nline two \u202e \x9b31m", customer="7")
    host.flush()
    output = run(host, "tail").output
    assert len(output.splitlines()) == 1
    assert output.rstrip("\n").isprintable()


def test_tail_follows_the_events_to_come(busy: Host, tmp_path: pathlib.Path) -> None:
    """--follow prints what another process writes, until it is stopped."""
    app = tmp_path / "shop.py"
    url = busy.app.config["SQLALCHEMY_DATABASE_URI"]
    app.write_text(
        textwrap.dedent(f"""
            from flask import Flask
            from flask_sqlalchemy import SQLAlchemy
            from flask_eventtrack import EventTrack
            app = Flask("shop")
            app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI={url!r})
            EventTrack(app, SQLAlchemy(app))
        """)
    )
    command = [sys.executable, "-m", "flask", "--app", str(app), "eventtrack", "tail", "-f", "-n1"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        with busy.app.app_context():
            track("a.b", {"what": "four"}, customer="7")
        busy.flush()
        second = process.stdout.readline()
        process.terminate()
    assert (first.split()[-1], second.split()[-1]) == ("three", "four")


# sweep


def test_sweep_says_how_many_sessions_it_ended(db_host: Host) -> None:
    """All that are silent, whatever their number, and once."""
    for _ in range(3):
        db_host.client().get("/", headers=NAVIGATION)
    db_host.flush()
    db_host.clock.advance(hours=1)
    outputs = [run(db_host, "sweep").output for _ in range(2)]
    assert outputs == ["3 sessions ended.\n", "0 sessions ended.\n"]
    assert db_host.actions() == {"page.visit": 3, "session.start": 3, "session.end": 3}


def test_sweep_goes_on_beyond_a_batch(host: Host) -> None:
    """Two hundred are claimed at a time."""
    for _ in range(201):
        host.client().get("/products/mug", headers=NAVIGATION)
    host.flush()
    host.clock.advance(hours=1)
    assert run(host, "sweep").output == "201 sessions ended.\n"


# forget, export


@pytest.mark.parametrize("who", ["7", str(customer_uuid("flask-eventtrack", "7"))])
def test_forget_erases_a_person(db_host: Host, who: str) -> None:
    """By the customer's id or the profile's uuid; it says how much that was, and of whom not."""
    busy = make_busy(db_host)
    answer = run(busy, "forget", who, "--yes")
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [
        "Found 3 events, 0 sessions and 0 aliases.",
        "Erased 3 events, 0 sessions, 0 aliases and 0 rejected records.",
    ]
    assert busy.rows("event") == []
    assert "0 events" in run(busy, "forget", who, "--yes").stdout


@pytest.mark.parametrize(
    ("options", "typed", "status", "left"),
    [
        ((), "y\n", 0, 0),
        ((), "n\n", 1, 3),
        ((), "", 1, 3),
        (("--yes",), "", 0, 0),
        (("--dry-run",), "", 0, 3),
        (("--dry-run", "--yes"), "", 0, 3),
    ],
)
def test_forget_asks_before_it_erases(
    busy: Host, options: tuple[str, ...], typed: str, status: int, left: int
) -> None:
    """Nothing is erased by mistake."""
    arguments = ["eventtrack", "forget", "7", *options]
    answer = busy.app.test_cli_runner().invoke(args=arguments, input=typed)
    assert answer.exit_code == status
    assert "Found 3 events" in answer.output
    assert len(busy.rows("event")) == left


def test_unmerge_parts_a_stranger_from_the_customer(db_host: Host) -> None:
    """In the feed; no event is changed, and it is said where there is nothing to part."""
    db_host.app.add_url_rule("/enter", "enter", lambda: str(identify("7")))
    client = db_host.client()
    client.get("/", headers=NAVIGATION)
    [stranger] = {row["uuid"] for row in db_host.rows("event")}
    client.get("/enter", headers=NAVIGATION)
    before = db_host.rows("event", "time", "id")
    with db_host.app.app_context():
        merged = {event.uuid for event in db_host.events.feed("7")}
        assert stranger in merged
        assert run(db_host, "unmerge", str(stranger)).exit_code == 0
        assert {event.uuid for event in db_host.events.feed("7")} == merged - {stranger}
    assert db_host.rows("event", "time", "id") == before
    assert run(db_host, "unmerge", str(stranger)).exit_code == 1
    assert run(db_host, "unmerge", "stranger").exit_code == 2


def test_forget_takes_an_id_that_reads_as_a_uuid(host: Host) -> None:
    """A customer may have one: the person is meant either way."""
    host.events.define("a.b")
    theirs = str(uuid.uuid4())
    with host.app.app_context():
        track("a.b", customer=theirs)
    host.clock.advance(seconds=1)
    host.flush()
    assert "Erased 1 event," in run(host, "forget", theirs, "--yes").output
    assert host.rows("event") == []


@pytest.mark.parametrize("command", ["forget", "export"])
def test_a_word_for_nobody_is_nobody(busy: Host, command: str) -> None:
    """It is a mistake, and no person."""
    answer = run(busy, command, "null")
    assert answer.exit_code == 2
    assert "word for nobody" in answer.output
    assert len(busy.rows("event")) == 3


def test_export_prints_json_lines(db_host: Host) -> None:
    """An object a line, and nothing else where a program reads."""
    answer = run(make_busy(db_host), "export", "7")
    assert answer.exit_code == 0
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [line["params"]["what"] for line in lines] == ["one", "two", "three"]
    assert {line["type"] for line in lines} == {"event"}
    assert answer.stderr == "3 lines.\n"


def test_export_writes_a_file(busy: Host, tmp_path: pathlib.Path) -> None:
    """That --output names, in UTF-8."""
    with busy.app.app_context():
        track("a.b", {"what": "žluťoučký\u2028"}, customer="7")
    path = tmp_path / "data.jsonl"
    answer = run(busy, "export", "7", "--output", str(path))
    assert (answer.exit_code, answer.stdout) == (0, "")
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["params"]["what"] for line in lines][-1] == "žluťoučký\u2028"


def test_export_of_nobody_is_empty(host: Host) -> None:
    """And no failure."""
    answer = run(host, "export", "nobody-knows")
    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, "", "0 lines.\n")


# prune


@pytest.mark.parametrize(
    ("options", "printed", "left"),
    [
        (
            ("--dry-run",),
            "Past their retention period: 3 events, 0 sessions and 0 rejected records.",
            3,
        ),
        ((), "Removed 3 events, 0 sessions and 0 rejected records.", 0),
    ],
)
def test_prune_removes_what_is_older_than_it_is_kept(
    make: MakeHost, database_url: str, options: tuple[str, ...], printed: str, left: int
) -> None:
    """And says how much that was, or would be."""
    busy = make_busy(make({"EVENTTRACK_RETENTION": dt.timedelta(days=30)}, url=database_url))
    busy.clock.advance(days=31)
    answer = run(busy, "prune", *options)
    assert answer.exit_code == 0
    assert printed in answer.output
    assert len(busy.rows("event")) == left


def test_prune_without_a_retention_says_so(busy: Host) -> None:
    """It removes nothing, and names the setting."""
    answer = run(busy, "prune")
    assert (answer.exit_code, len(busy.rows("event"))) == (0, 3)
    assert "EVENTTRACK_RETENTION" in answer.output


# definitions


def test_definitions_are_listed_with_who_may_send_them(host: Host) -> None:
    """Action, label, and parameters with their types."""

    @host.events.define("product.view", label="Viewed {name}", anonymous=True)
    class ProductView:
        sku: str
        name: t.Annotated[str, Meta(max_length=9)]
        price: float | None = None

    host.events.define("order.ship", server_only=True)
    host.events.define("wish.add")
    output = run(host, "definitions").output
    assert (
        "product.view  (anyone)\n    Viewed {name}\n"
        "    sku: str\n    name: str\n    price: float | None\n"
    ) in output
    assert "order.ship  (server only)\n" in output
    assert "wish.add  (customers)\n" in output
    assert "page.visit  (anyone, built in)\n    Visited page {title}\n    url: str\n" in output
    actions = [line.split()[0] for line in output.splitlines() if not line.startswith(" ")]
    assert actions == sorted(actions)


# doctor


def findings_of(host: Host) -> dict[str, tuple[str, str]]:
    """Return what doctor prints: id → (level and sentence, hint)."""
    lines = run(host, "doctor").output.splitlines()
    if lines == ["Everything is in order."]:
        return {}
    return {
        line[:5]: (line[6:], hint.strip())
        for line, hint in zip(lines[::2], lines[1::2], strict=True)
    }


def test_doctor_finds_nothing_where_all_is_well(fine: Host) -> None:
    """Exit status 0."""
    answer = run(fine, "doctor")
    assert (answer.output, answer.exit_code) == ("Everything is in order.\n", 0)


def test_doctor_finds_nothing_before_the_first_event(make: MakeHost) -> None:
    """The writer switches SQLite to WAL when it first writes: there is nothing to set."""
    host = make(FINE)
    host.events.define("a.b")
    assert findings_of(host) == {}


def test_doctor_et001_switched_off(make: MakeHost) -> None:
    """A warning: it may be on purpose."""
    host = make({**FINE, "EVENTTRACK_ENABLED": False})
    assert findings_of(host)["ET001"] == (
        "warning: EVENTTRACK_ENABLED is off: nothing is recorded.",
        "Remove it.",
    )
    assert run(host, "doctor").exit_code == 0


def test_doctor_et002_unreachable_database(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """An error, without a traceback."""
    host = make(FINE, url=f"sqlite:///{tmp_path / 'no' / 'such' / 'file.db'}", create=False)
    sentence, hint = findings_of(host)["ET002"]
    assert sentence.startswith("error: The database cannot be reached: ")
    assert "unable to open database file" in sentence
    assert hint == (
        "Start it, or correct SQLALCHEMY_DATABASE_URI. Meanwhile events wait in the journal, or in "
        "memory if there is none."
    )
    assert run(host, "doctor").exit_code == 1


def test_doctor_et003_missing_tables(make: MakeHost) -> None:
    """An error that names them and the commands that make them."""
    host = make(FINE, create=False)
    sentence, hint = findings_of(host)["ET003"]
    assert sentence.startswith("error: Tables are missing: eventtrack_event, eventtrack_session, ")
    assert hint.startswith(
        "Run 'flask eventtrack init-db', or make a migration: 'flask db migrate'"
    )
    assert run(host, "doctor").exit_code == 1


def test_doctor_names_only_the_tables_that_are_missing(fine: Host) -> None:
    """One of nine."""
    with fine.app.app_context(), fine.db.engine.begin() as connection:
        fine.events.tables.tombstone.drop(connection)
    assert findings_of(fine)["ET003"][0] == "error: Tables are missing: eventtrack_tombstone."


def test_doctor_et004_refused_events(fine: Host) -> None:
    """A warning with their number."""
    with fine.app.app_context(), fine.db.engine.begin() as connection:
        row = {"rejected_at": START, "action": "a.b", "reason": "x", "payload": "{}"}
        rows = [{**row, "id": uuid.uuid4()} for _ in range(2)]
        connection.execute(fine.events.tables.rejected.insert(), rows)
    assert findings_of(fine) == {
        "ET004": (
            "warning: The database has refused 2 events.",
            "Read the reasons in eventtrack_rejected.",
        )
    }
    assert run(fine, "doctor").exit_code == 0


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_doctor_et014_a_journal_that_others_may_write_to(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """A warning with the command that mends it; some platforms give folders to a group."""
    folder = tmp_path / "journals"
    folder.mkdir()
    folder.chmod(0o770)
    host = make({**FINE, "EVENTTRACK_JOURNAL_DIR": str(folder)})
    host.events.define("a.b")
    assert findings_of(host) == {
        "ET014": (
            f"warning: Other users may write to {folder}: they could remove events that wait.",
            f"Run: chmod go-w {folder}",
        )
    }


@pytest.fixture
def keyed(make: MakeHost, tmp_path: pathlib.Path) -> tuple[Host, pathlib.Path]:
    """A host with a JWKS file to complain of, and that file."""
    path = tmp_path / "own" / "keys.json"
    path.parent.mkdir(mode=0o700)
    write_keys(path, "01" * 16)
    host = make({**FINE, "EVENTTRACK_JWT_KEYS": path})
    host.events.define("a.b")
    return host, path


def write_keys(path: pathlib.Path, *secrets: str) -> None:
    encoded = [base64.urlsafe_b64encode(secret.encode()).decode() for secret in secrets]
    path.write_text(json.dumps({"keys": [{"kty": "oct", "k": secret} for secret in encoded]}))
    path.chmod(0o600)


def test_doctor_et015_key_file_that_broke(keyed: tuple[Host, pathlib.Path]) -> None:
    """An error: the next start of the app fails."""
    host, path = keyed
    assert findings_of(host) == {}
    path.write_text("[]")
    sentence, hint = findings_of(host)["ET015"]
    assert sentence.startswith(f"error: EVENTTRACK_JWT_KEYS: '{path}' is no JWK set: JSON such as")
    assert hint == "Correct the file. Running processes keep the keys that they read before."
    path.unlink()
    assert "cannot be read: No such file or directory." in findings_of(host)["ET015"][0]
    assert run(host, "doctor").exit_code == 1


def test_doctor_et016_keys_that_are_too_short(keyed: tuple[Host, pathlib.Path]) -> None:
    """A warning that says which, and why."""
    host, path = keyed
    write_keys(path, "01" * 16, "short")
    sentence, hint = findings_of(host)["ET016"]
    assert sentence.startswith(
        f"warning: Keys of {path} cannot be used: key 2 is a secret of 5 bytes, and HS256 needs 32;"
    )
    assert (
        hint
        == "Tokens are signed with HS256 (32 bytes or more), RS256 (2048 bits or more) or ES256."
    )
    write_keys(path)
    assert findings_of(host)["ET016"][0].endswith("cannot be used: none is supported.")


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_doctor_et017_key_file_that_others_may_write_to(keyed: tuple[Host, pathlib.Path]) -> None:
    """A warning with the command that mends it; the folder counts, unless it is like /tmp."""
    host, path = keyed
    path.chmod(0o620)
    assert findings_of(host) == {
        "ET017": (
            f"warning: Other users may write to {path}: a key that they add can name any customer.",
            f"Run: chmod go-w {path}",
        )
    }
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert findings_of(host)["ET017"][1] == f"Run: chmod go-w {path.parent}"
    path.parent.chmod(0o1777)
    assert findings_of(host) == {}


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_doctor_et018_secret_keys_that_any_user_may_read(keyed: tuple[Host, pathlib.Path]) -> None:
    """A warning; a group may be there to read, and public keys are for everybody."""
    host, path = keyed
    path.chmod(0o640)
    assert findings_of(host) == {}
    path.chmod(0o644)
    assert findings_of(host) == {
        "ET018": (
            f"warning: {path} holds secret or private keys, and any user may read it.",
            f"Run: chmod o-r {path}, or leave only public keys in it.",
        )
    }
    x, y = (base64.urlsafe_b64encode(bytes.fromhex(n)).rstrip(b"=").decode() for n in P256_BASE)
    path.write_text(json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y}]}))
    assert findings_of(host) == {}


def test_doctor_et005_database_in_memory(make: MakeHost) -> None:
    """A warning: only flush() writes."""
    host = make(FINE, url="sqlite://")
    assert findings_of(host)["ET005"] == (
        "warning: The database is in-memory SQLite: events are written by flush() only.",
        "Use a file, except in tests.",
    )


def test_doctor_et006_rollback_journal(make: MakeHost) -> None:
    """A warning with the setting."""
    host = make({**FINE, "EVENTTRACK_SQLITE_WAL": False})
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    assert findings_of(host)["ET006"] == (
        "warning: SQLite's journal mode is 'delete': writing events locks out the app's readers.",
        "Remove EVENTTRACK_SQLITE_WAL = False; the first event then switches the file to WAL.",
    )


@pytest.mark.parametrize("key", ["short", "x" * 15, b"x" * 15])
def test_doctor_et007_short_key(make: MakeHost, key: str | bytes) -> None:
    """A warning with the command that makes a key."""
    host = make({**FINE, "SECRET_KEY": key})
    assert findings_of(host)["ET007"] == (
        "warning: SECRET_KEY has fewer than 16 characters: cookies could be forged.",
        "Make one with: python -c 'import secrets; print(secrets.token_hex())'",
    )


def test_doctor_et008_salt_that_everybody_knows(make: MakeHost) -> None:
    """A warning, to heed before the first customer."""
    sentence, hint = findings_of(make({"SECRET_KEY": FINE["SECRET_KEY"]}))["ET008"]
    assert sentence.startswith("warning: EVENTTRACK_PROFILE_SALT is the default: whoever knows")
    assert hint == "Set a secret one before the first customer logs in, and keep it."


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, False),
        ({"PREFERRED_URL_SCHEME": "https"}, True),
        ({"SESSION_COOKIE_SECURE": True}, True),
        ({"EVENTTRACK_COOKIE_SECURE": True}, True),
    ],
)
def test_doctor_et009_https_without_proxy_fix(
    make: MakeHost, settings: dict[str, t.Any], *, found: bool
) -> None:
    """A warning where the app expects HTTPS; it goes with ProxyFix."""
    host = make({**FINE, **settings})
    assert ("ET009" in findings_of(host)) is found
    host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_proto=1)  # type: ignore[method-assign]
    assert "ET009" not in findings_of(host)


def test_doctor_et010_no_definition(make: MakeHost) -> None:
    """A warning with an example."""
    host = make(FINE)
    sentence, hint = findings_of(host)["ET010"]
    assert sentence == "warning: No event is defined: custom events are rejected."
    assert hint.startswith("Define one: events.define('signup.click', anonymous=True)")
    host.events.define("a.b")
    assert "ET010" not in findings_of(host)


@pytest.mark.parametrize(("debug", "found"), [("0", True), ("1", False)])
def test_doctor_et011_undefined_events_are_stored(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch, debug: str, *, found: bool
) -> None:
    """A warning, except in development."""
    monkeypatch.setenv("FLASK_DEBUG", debug)
    host = make({**FINE, "EVENTTRACK_UNDEFINED_EVENTS": "store"})
    assert ("ET011" in findings_of(host)) is found


def test_doctor_puts_errors_first(make: MakeHost) -> None:
    """Then by id."""
    host = make({"SECRET_KEY": "short", "EVENTTRACK_ENABLED": False}, create=False)
    found = list(findings_of(host))
    assert (found[:2], found[1:]) == (["ET003", "ET001"], sorted(found[1:]))


def test_doctor_examines_each_database(db_host: Host) -> None:
    """Reading the schema of each."""
    db_host.client().get("/", headers=NAVIGATION)
    db_host.flush()
    assert list(findings_of(db_host)) == ["ET008", "ET010"]
    with db_host.app.app_context():
        db_host.db.drop_all()
    assert list(findings_of(db_host))[:1] == ["ET003"]


@pytest.mark.parametrize("command", ["tail", "sweep", "forget 7 --yes", "export 7"])
def test_command_without_tables_says_what_to_do(make: MakeHost, command: str) -> None:
    """One line that names init-db, and no traceback."""
    answer = run(make(create=False), *command.split())
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    assert "flask eventtrack init-db" in answer.output


def test_command_without_a_registration_does_not_exist() -> None:
    """The group belongs to the apps that registered."""
    answer = Flask("bare").test_cli_runner().invoke(args=["eventtrack", "tail"])
    assert answer.exit_code == 2
    assert "No such command 'eventtrack'" in answer.output
