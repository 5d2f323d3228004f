"""What others in this field were attacked by, and the page of it: docs/explanation/security.md."""

from __future__ import annotations

import ast
import collections.abc as cabc
import pathlib
import random
import typing as t
from urllib.parse import quote

import pytest
from flask import render_template_string

import flask_eventtrack
from flask_eventtrack import current_visitor, track

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host

PACKAGE = pathlib.Path(flask_eventtrack.__file__).parent

# What makes code of data, starts programs, or asks other machines on the way.
FORBIDDEN_MODULES = {
    *("pickle", "marshal", "shelve", "dbm", "copyreg", "code", "runpy", "yaml", "dill"),
    *("subprocess", "multiprocessing", "pty", "ctypes"),
    *("http.client", "urllib.request", "socket", "ssl", "smtplib", "ftplib", "xmlrpc", "requests"),
}
# The first shuts down connections that drivers have opened, and opens none. The second speaks with
# servers that a test has forked.
EXCEPTED = {"stalls.py": {"socket"}, "servers.py": {"socket"}}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "fork", "execv"}

HOSTILE = {
    "element": '"><img src=x onerror=alert(1)>',
    "script": "</script><script>alert(1)</script>",
    "link": "javascript:alert(1)",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "format": "{0.__class__.__mro__} %s %(a)s",
    "sql": "'); DROP TABLE eventtrack_event; --",
    "sql string": "\\'; SELECT pg_sleep(9); --",
    "right to left": "\u202egnp.exe",
    "path": "../../../../etc/passwd",
    "spreadsheet": '=HYPERLINK("x")',
    "long": "x" * 10_000,
}


def imports_of(module: ast.Module) -> cabc.Iterator[str]:
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(package), level=0, names=names):
                yield from (package, *(f"{package}.{alias.name}" for alias in names))


def calls_of(module: ast.Module) -> cabc.Iterator[str]:
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr=name)):
                yield name


def test_no_module_makes_code_of_data_or_asks_other_machines() -> None:
    """Nothing is unpickled or evaluated, no program is started, and no address is fetched."""
    imported, called = set[str](), set[str]()
    for path in PACKAGE.rglob("*.py"):
        module = ast.parse(path.read_text())
        imported |= set(imports_of(module)) - EXCEPTED.get(path.name, set())
        called |= set(calls_of(module))
    assert "json" in imported
    assert "isinstance" in called
    assert not imported & FORBIDDEN_MODULES
    assert not called & FORBIDDEN_CALLS


def test_no_script_makes_markup_or_code_of_text() -> None:
    """The browser's files build no HTML and run no text, whatever a page or an answer says."""
    scripts = [path.read_text() for path in (PACKAGE / "browser" / "src").glob("*.js")]
    assert len(scripts) > 5
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert not [script for script in scripts if word in script]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_nothing_but_text(db_host: Host, text: str) -> None:
    """Wherever a client puts it, it is stored as it came, or refused; it runs nowhere."""
    db_host.events.define("note.add", label="Noted {note}", anonymous=True)

    @db_host.app.get("/notes/<path:name>")
    def note(name: str) -> str:
        track("note.add", {"note": name, name[:64]: 1})
        return render_template_string("{{ eventtrack_snippet(nonce=name) }}", name=name)

    client = db_host.client()
    header = text.encode("latin-1", "ignore").decode("latin-1")[:3000]
    for name in ("eventtrack_device", "eventtrack_session", "eventtrack_consent"):
        client.set_cookie(name, header)
    tag = client.get(
        f"/notes/{quote(text)}",
        query_string={"utm_source": text, text: text},
        headers={**NAVIGATION, "Referer": f"https://a.example/{header}"},
        environ_overrides={"SCRIPT_NAME": f"/{header}"},
    ).text
    assert (tag.count("<"), tag.count(">")) == (2, 2)
    event = {"action": "note.add", "params": {"note": text, text[:64]: text}, "label": text}
    fields = ("event_id", "visit", "page", "time", "action", "token", "csrf_token")
    posts = [("in", event), *(("in", {**event, field: text}) for field in fields)]
    posts += [(path, {"choice": text, "token": text}) for path in ("identify", "logout", "consent")]
    answers = [client.post(f"/_et/{path}", json=body, headers=SAME_ORIGIN) for path, body in posts]
    answers.append(client.get(f"/_et/{quote(text[:100])}", headers={"X-EventTrack-Device": header}))
    for answer in answers:
        assert answer.status_code in {202, 400, 401, 404, 422}
        assert answer.mimetype in {"application/json", "application/problem+json"}
        assert "Location" not in answer.headers
    for row in db_host.events_of("note.add"):
        shown = row["params"]["note"] if row["source"] == "server" else row["label"]
        assert shown[:200] == text[:200]
        assert text[:64] in row["params"]
    assert db_host.actions() == {
        "page.visit": 1,
        "note.add": 1 + sum(answer.status_code == 202 for answer in answers),
        "session.start": 1,
    }


def test_devices_are_drawn_from_the_system(make: MakeHost) -> None:
    """No device can be told from those before it, whatever seeds Python's own generator."""
    seen: set[t.Any] = set()
    for _ in range(3):
        random.seed(1)
        host = make()
        with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
            seen.add(current_visitor.device_id)
    assert len(seen) == 3
