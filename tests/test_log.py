"""Texts of others in our log and on a terminal: no line of theirs passes for one of ours."""

from __future__ import annotations

import io
import json
import logging
import pathlib
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack import current_visitor, identify, track
from flask_eventtrack.text import escape

from .commands import run
from .conftest import MakeHost
from .hosts import CHROME, Host
from .store.records import an_event

HOSTILE = "x\n2026-11-27 ERROR forged\x1b[2J\r\u202egpj\u2066\u2028\x9b31m\x85"


class Wanted:
    size: t.Literal["S", "M"]


@pytest.mark.parametrize("character", [*"\n\r\t\x00\x1b\x7f\x85\x9b\u200b\u2028\u2029\ufeff\udc80"])
def test_what_controls_a_terminal_is_escaped(character: str) -> None:
    """As JSON writes it, so that JSON stays the same JSON."""
    assert escape(f"a{character}b").isprintable()
    assert json.loads(f'"{escape(character)}"') == character


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0xE0041])
def test_what_turns_text_around_is_escaped(code: int) -> None:
    """Embeddings, overrides and isolates, and invisible letters."""
    assert json.loads(f'"{escape(chr(code))}"') == chr(code)
    assert chr(code) not in escape(chr(code))


@pytest.mark.parametrize("text", ["", "Grüße, 12\u00a0€", "価格 ☕ 🙂", 'a\\b "c"', "שלום"])
def test_what_can_be_read_stays(text: str) -> None:
    """Also letters of other scripts, and their spaces."""
    assert escape(text) == text


class Log(io.StringIO):
    """A log file as most apps write it."""

    def lines(self) -> list[str]:
        # Not splitlines(): a reader may take any of its separators for an end of a line.
        return self.getvalue().splitlines()


@pytest.fixture
def log() -> t.Iterator[Log]:
    file = Log()
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("LOG %(message)s"))
    logging.getLogger("flask_eventtrack").addHandler(handler)
    yield file
    logging.getLogger("flask_eventtrack").removeHandler(handler)


@pytest.mark.parametrize("value", [HOSTILE, f"S{HOSTILE}"])
def test_mistake_of_an_app_is_one_line(make: MakeHost, log: Log, value: str) -> None:
    """A value, a name, an action, a customer's id or a time that came from a form."""
    host = make({"TESTING": False})
    host.events.define("size.pick")(Wanted)
    with host.app.app_context():
        track("size.pick", {"size": value}, customer="1")
        track(value, customer="1")
        track("size.pick", {value * 5: 1, "size": "S"}, customer="1")
        track("size.pick", {"size": "S"}, customer=value * 20)
        track("size.pick", {"size": "S"}, customer="1", time=value)
        identify(value * 20)
    assert len(log.lines()) == 6
    assert all(line.startswith("LOG ") and line.isprintable() for line in log.lines())


def test_lines_of_an_exception_do_not_pass_for_entries(make: MakeHost, log: Log) -> None:
    """A traceback is indented, and its message is on lines that are."""
    host = make({"TESTING": False})

    @host.events.customer_loader
    def load() -> str:
        raise RuntimeError(f"no {HOSTILE}")

    with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
        assert current_visitor.customer_id is None
    first, *rest = log.lines()
    assert first.startswith("LOG EventTrack failed")
    assert any("RuntimeError" in line for line in rest)
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


def test_log_has_the_first_line_of_a_database_s_error(db_host: Host, log: Log) -> None:
    """Later ones may quote the row."""
    tables = db_host.state.pipeline.database.tables
    with db_host.state.pipeline.database.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {tables.quality.name}"))
    db_host.state.pipeline.put(an_event())
    with pytest.raises(sa.exc.SQLAlchemyError):
        db_host.flush()
    assert len(log.lines()) == 1
    assert "[SQL" not in log.getvalue()


def test_terminal_shows_no_control_characters(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """Whatever command prints them: tail, export, unmerge, doctor, or an error."""
    folder = tmp_path / "a\x1b[2J\u202e\nb"
    folder.write_text("no folder")
    host = make({"EVENTTRACK_JOURNAL_DIR": str(folder)})
    host.events.define("a.b")
    with host.app.app_context():
        track("a.b", {HOSTILE: HOSTILE}, label=HOSTILE, customer="7")
        identify("7", {"name": HOSTILE})
    host.flush()
    outputs = [
        run(host, *arguments).output
        for arguments in (
            ("tail",),
            ("tail", "--json"),
            ("export", "7"),
            ("export", HOSTILE * 20),
            ("doctor",),
        )
    ]
    for line in "".join(outputs).split("\n"):
        assert line.isprintable(), line
    [event] = [json.loads(line) for line in outputs[2].split("\n") if '"a.b"' in line]
    assert event["label"] == HOSTILE
