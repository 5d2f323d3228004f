"""`flask eventtrack mcp`: a message a line, and nothing but answers on standard output."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import subprocess
import sys
import typing as t

import msgspec
import pytest

from flask_eventtrack.config import MAX_POST_BYTES

from ..hosts import Host
from ..manual import ROOT
from .asking import META, read_page

# It logs to standard output, and prints with each statement.
APP = """
import logging, os, sys
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack

logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
app = Flask(__name__)
app.config.update(
    SECRET_KEY="for tests only",
    SQLALCHEMY_DATABASE_URI=os.environ["SHOP_DATABASE"],
    EVENTTRACK_TIMEZONE="Europe/Berlin",
    EVENTTRACK_DURABILITY="memory",
)
events = EventTrack(app, SQLAlchemy(app))


@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def make_noise(*_):
    print("noise of print")
    logging.warning("noise of a log")
    os.write(1, b"noise of a library\\n")
"""


class Assistant:
    """A program that has started the command."""

    def __init__(self, folder: pathlib.Path, url: str) -> None:
        (folder / "noisy_shop.py").write_text(APP)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "noisy_shop", "eventtrack", "mcp"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SHOP_DATABASE": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def ask(self, method: str, **params: t.Any) -> t.Any:
        sent = {**params, "_meta": META}
        message = {"jsonrpc": "2.0", "id": "é", "method": method, "params": sent}
        self.write(msgspec.json.encode(message) + b"\n")
        return self.read()

    def read(self) -> t.Any:
        assert self.process.stdout is not None
        return msgspec.json.decode(self.process.stdout.readline())

    def end(self) -> tuple[int, bytes, bytes]:
        """End the input; return the exit status, the rest of the output, and what was logged."""
        rest, logged = self.process.communicate(timeout=60)
        return self.process.returncode, rest, logged


@pytest.fixture
def assistant(shop: Host, tmp_path: pathlib.Path) -> cabc.Iterator[Assistant]:
    url = shop.app.config["SQLALCHEMY_DATABASE_URI"]
    started = Assistant(tmp_path, url)
    yield started
    started.process.kill()
    started.process.communicate()


def test_an_assistant_asks_line_by_line(shop: Host, assistant: Assistant) -> None:
    """It has all tools, and needs no setting. What the app prints goes to standard error."""
    found = assistant.ask("server/discover")
    assert (found["id"], found["result"]["supportedVersions"][0]) == ("é", "2026-07-28")
    assert len(assistant.ask("tools/list")["result"]["tools"]) == 8
    asked = {"from": "2026-11-01", "to": "2026-11-21"}
    found = assistant.ask("tools/call", name="overview", arguments=asked)["result"]
    page = read_page(shop, "overview.json?period=custom&from=2026-11-01&to=2026-11-21")
    report = found["structuredContent"]["report"]
    assert report["numbers"]["visitors"] == page["numbers"]["visitors"] == 3
    found = assistant.ask("tools/call", name="person", arguments={"person": "ada"})["result"]
    [person] = found["structuredContent"]["report"]["people"]
    assistant.ask("tools/call", name="person", arguments={"person": person["person"]})
    assert [row["actor"] for row in shop.rows("audit")] == ["command line"]
    status, rest, logged = assistant.end()
    assert (status, rest) == (0, b"")
    for kind in (b"print", b"a log", b"a library"):
        assert b"noise of " + kind in logged


def test_lines_that_are_no_message_are_answered(assistant: Assistant) -> None:
    """Each by one line. Empty lines and notifications are not, and an end without a break is."""
    assistant.write(b"{\n\n  \r\n")
    assert assistant.read()["error"]["code"] == -32700
    assistant.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\r\n')
    assistant.write(b"x" * (3 * MAX_POST_BYTES) + b"\n")
    message = "A message has at most 262,144 bytes."
    assert assistant.read()["error"] == {"code": -32600, "message": message}
    assistant.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
    status, rest, _ = assistant.end()
    assert status == 0
    assert msgspec.json.decode(rest)["id"] == 1


def test_a_client_of_a_former_revision_opens_with_a_handshake(assistant: Assistant) -> None:
    """And asks without a version."""
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x"}}
    for method, sent in (("initialize", params), ("tools/list", {})):
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": sent}
        assistant.write(msgspec.json.encode(message) + b"\n")
        assert assistant.read()["result"]["resultType"] == "complete"


def test_a_closed_input_is_said(tmp_path: pathlib.Path) -> None:
    """As whoever starts services may leave it."""
    (tmp_path / "noisy_shop.py").write_text(APP)
    command = f'exec "{sys.executable}" -m flask --app noisy_shop eventtrack mcp 0<&-'
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SHOP_DATABASE": f"sqlite:///{tmp_path / 'shop.db'}",
    }
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.endswith(b"Standard input is closed: there is nothing to answer.\n")
