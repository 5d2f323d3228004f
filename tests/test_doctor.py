"""`flask eventtrack doctor`: each finding, and none where all is well."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import typing as t
import uuid

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from . import JOURNALS
from .commands import run
from .conftest import MakeHost
from .hosts import NAVIGATION, START, Host

FINE = {
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "EVENTTRACK_PROFILE_SALT": "our own",
    "EVENTTRACK_SITES": ["localhost"],
    # Other tests leave journals that nobody adopts.
    "EVENTTRACK_JOURNAL_DIR": f"{JOURNALS}/doctor",
}

# The base point of P-256 (FIPS 186-5): a public key that anybody has.
P256_BASE = (
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
)


@pytest.fixture
def fine(make: MakeHost) -> Host:
    """A host without findings, after its first event is written."""
    host = make(FINE)
    host.events.define("a.b")
    host.client().get("/", headers=NAVIGATION)
    host.flush()
    return host


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


@pytest.mark.parametrize("below", ["", "journals"])
def test_doctor_et012_a_journal_that_cannot_be_kept(
    make: MakeHost, tmp_path: pathlib.Path, below: str
) -> None:
    """An error that names the setting: a file is no folder, and holds none."""
    path = tmp_path / "file"
    path.touch()
    host = make({**FINE, "EVENTTRACK_JOURNAL_DIR": str(path / below)})
    sentence, hint = findings_of(host)["ET012"]
    assert sentence == (
        "error: The journal cannot be kept, and events wait in memory only: "
        f"{path} is not a folder."
    )
    assert hint == "Set EVENTTRACK_JOURNAL_DIR to a folder that this user can write."


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
    """A warning, to act on before the first customer."""
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


@pytest.mark.parametrize(
    "named",
    [
        {"EVENTTRACK_SITES": ["*.shop.example"]},
        {"EVENTTRACK_SITES": [], "SERVER_NAME": "shop.example"},
        {"EVENTTRACK_SITES": [], "TRUSTED_HOSTS": [".shop.example"]},
    ],
)
def test_doctor_et034_sites_without_a_setting(make: MakeHost, named: dict[str, t.Any]) -> None:
    """Until one of three settings names them; the hint has the hosts that were seen."""
    host = make({**FINE, "EVENTTRACK_SITES": []})
    host.client().get("/", headers={**NAVIGATION, "Host": "Shop.example:8000"})
    host.flush()
    sentence, hint = findings_of(host)["ET034"]
    assert sentence.startswith("warning: No setting names the app's sites: the first 20 host")
    assert hint.endswith("for instance EVENTTRACK_SITES = ['shop.example'].")
    assert "ET034" not in findings_of(make({**FINE, **named}))


def test_doctor_et035_more_hosts_than_are_taken_for_sites(make: MakeHost) -> None:
    """The hint lists the hosts that were first."""
    host = make({**FINE, "EVENTTRACK_SITES": []})
    for number in range(21):
        host.client().get("/", headers={**NAVIGATION, "Host": f"h{number}.example"})
    host.flush()
    found = findings_of(host)
    assert "ET034" not in found
    sentence, hint = found["ET035"]
    assert sentence.endswith("requests to any other are recorded with the site 'other'.")
    assert "h19.example" in hint
    assert "h20.example" not in hint


def test_doctor_et043_assistants_without_tokens(make: MakeHost) -> None:
    """Nobody could ask."""
    sentence, hint = findings_of(make({**FINE, "EVENTTRACK_MCP": True}))["ET043"]
    assert (
        sentence == "warning: EVENTTRACK_MCP is on, but no assistant can ask: there are no tokens."
    )
    assert hint.startswith("Set EVENTTRACK_REPORT_TOKENS.")
    tokens = {"EVENTTRACK_MCP": True, "EVENTTRACK_REPORT_TOKENS": "t" * 40}
    assert "ET043" not in findings_of(make({**FINE, **tokens}))


def test_doctor_puts_errors_first(make: MakeHost) -> None:
    """Then by id."""
    host = make({"SECRET_KEY": "short", "EVENTTRACK_ENABLED": False}, create=False)
    found = list(findings_of(host))
    assert (found[:2], found[1:]) == (["ET003", "ET001"], sorted(found[1:]))


def test_doctor_examines_each_database(make: MakeHost, database_url: str) -> None:
    """Reading the schema of each."""
    own = "EVENTTRACK_JOURNAL_DIR"  # other tests leave journals in the common folder
    db_host = make({own: FINE[own]}, url=database_url)
    db_host.client().get("/", headers=NAVIGATION)
    db_host.flush()
    assert list(findings_of(db_host)) == ["ET008", "ET010", "ET034"]
    with db_host.app.app_context():
        db_host.db.drop_all()
    assert list(findings_of(db_host))[:1] == ["ET003"]
