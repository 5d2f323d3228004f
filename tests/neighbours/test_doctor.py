# mypy: disable-error-code="untyped-decorator"
"""``flask eventtrack doctor`` names the extensions that it sees, and what to set."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pytest
from flask import Flask, session
from flask_admin import Admin
from flask_babel import Babel
from flask_compress import Compress
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_minify import Minify
from flask_seasurf import SeaSurf
from flask_sock import Sock
from flask_socketio import SocketIO
from flask_talisman import Talisman
from flask_wtf import CSRFProtect

from flask_eventtrack.neighbours import NEIGHBOURS

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host
from ..manual import read
from ..test_doctor import FINE
from .conftest import MakeNeighbours


def limit(app: Flask) -> None:
    Limiter(lambda: "all", app=app, application_limits=["9/hour"], storage_uri="memory://")


def open_socket(app: Flask) -> None:
    sock = Sock(app)

    @sock.route("/echo")
    def echo(socket: t.Any) -> None:
        socket.close()


def named(host: Host) -> list[str]:
    return re.findall(r"^ET042 note: ([\w-]+): ", run(host, "doctor").output, re.MULTILINE)


@pytest.mark.parametrize(
    ("register", "expected"),
    [
        (lambda app: (Babel(app), Admin(app)), ["Flask-Admin", "Flask-Babel"]),
        (Compress, ["Flask-Compress"]),
        (limit, ["Flask-Limiter"]),
        (LoginManager, ["Flask-Login"]),
        (lambda app: Minify(app, go=False), ["Flask-Minify"]),
        (SeaSurf, ["Flask-SeaSurf"]),
        (open_socket, ["flask-sock"]),
        (SocketIO, ["Flask-SocketIO"]),
        (Talisman, ["flask-talisman"]),
        (CSRFProtect, ["Flask-WTF"]),
        (lambda app: None, []),
        (lambda app: app.before_request(lambda: session.get("user")), []),
    ],
)
def test_doctor_names_what_it_sees(
    beside: MakeNeighbours, register: cabc.Callable[[Flask], t.Any], expected: list[str]
) -> None:
    """Each once; notes are no problem."""
    host = beside(register)
    assert named(host) == expected
    host.client().get("/data.json")  # once the app is complete
    assert named(host) == expected
    assert run(host, "doctor").exit_code == 0


def test_doctor_says_what_there_is_to_set(beside: MakeNeighbours) -> None:
    """As the manual does, without its marks."""
    output = run(beside(lambda app: (Babel(app), Admin(app))), "doctor").output
    assert (
        "ET042 note: Flask-Admin: Its pages are visits like others.\n"
        "      events.exempt leaves pages out: it takes a view class, a view, or the Admin.\n"
    ) in output


def test_notes_come_last_and_all_is_well(make: MakeHost) -> None:
    host = make(FINE)
    Compress(host.app)
    lines = run(host, "doctor").output.splitlines()
    assert [line[:5] for line in lines[::2]] == ["ET010", "ET042"]
    host.events.define("a.b")
    lines = run(host, "doctor").output.splitlines()
    assert (lines[0][:5], lines[-1]) == ("ET042", "Everything is in order.")


@pytest.mark.parametrize(
    ("options", "blocked"),
    [
        ({}, ""),
        ({"content_security_policy": None}, ""),
        ({"content_security_policy": "default-src 'self'"}, ""),
        ({"content_security_policy": {"default-src": "'none'"}}, "script-src, connect-src"),
        ({"content_security_policy": "script-src 'strict-dynamic'"}, "script-src"),
        (
            {
                "content_security_policy": {"script-src": ["'strict-dynamic'"]},
                "content_security_policy_nonce_in": ["script-src"],
            },
            "",
        ),
        (
            {"content_security_policy": {"default-src": ["'self'"], "connect-src": ["'none'"]}},
            "connect-src",
        ),
        ({"content_security_policy": "default-src https:"}, ""),
    ],
)
def test_doctor_et041_a_policy_that_blocks_us(
    beside: MakeNeighbours, options: dict[str, t.Any], blocked: str
) -> None:
    """A warning with the directives; a host's name there may be the app's own."""
    output = run(beside(lambda app: Talisman(app, **options)), "doctor").output
    assert ("ET041" in output) is bool(blocked)
    if blocked:
        assert f"blocks the script or its posts: {blocked}.\n" in output
        assert f"Add \"'self'\" to {blocked.replace(', ', ' and to ')} of its" in output


def test_the_manual_has_the_same_rows() -> None:
    """One row each, in one order."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$",
        read("docs/howto/with-other-extensions.md"),
        re.MULTILINE,
    )
    assert rows[1:] == [(each.name, each.works, each.to_set) for each in NEIGHBOURS]
