"""Possible misconfigurations: the checks of ``flask eventtrack doctor``."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import os
import pathlib
import stat
import typing as t

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.middleware.proxy_fix import ProxyFix

from .config import Config
from .errors import ConfigError
from .pipeline.homes import find_obstacle, list_bad, list_homes
from .state import State
from .text import quantify

_WRITE_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_KEY_MIN_LENGTH = 16


class Finding(t.NamedTuple):
    """A problem, and what to do about it. An error keeps events from being recorded correctly."""

    level: t.Literal["error", "warning"]
    id: str
    sentence: str
    hint: str


_error = functools.partial(Finding, "error")
_warning = functools.partial(Finding, "warning")


def examine(app: Flask, state: State) -> list[Finding]:
    """Return the findings of all checks, errors first."""
    return sorted(finding for check in _CHECKS for finding in check(app, state))


def _check_enabled(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if not state.config.enabled:
        yield _warning("ET001", "EVENTTRACK_ENABLED is off: nothing is recorded.", "Remove it.")


def _check_database(app: Flask, state: State) -> cabc.Iterator[Finding]:
    database = state.pipeline.database
    try:
        with database.read() as connection:
            present = sa.inspect(connection).get_table_names(database.tables.event.schema)
            missing = [table.name for table in database.tables.all() if table.name not in present]
            count = sa.select(sa.func.count()).select_from(database.tables.rejected)
            rejected = 0 if missing else connection.scalar(count) or 0
    except SQLAlchemyError as error:
        yield _error(
            "ET002",
            f"The database cannot be reached: {str(error).splitlines()[0]}",
            "Start it, or correct SQLALCHEMY_DATABASE_URI. Meanwhile events wait in the journal, "
            "or in memory if there is none.",
        )
        return
    if missing:
        yield _error(
            "ET003",
            f"Tables are missing: {', '.join(missing)}.",
            "Run 'flask eventtrack init-db', or make a migration: 'flask db migrate' sees them.",
        )
    if rejected:
        yield _warning(
            "ET004",
            f"The database has refused {quantify(rejected, 'event')}.",
            "Read the reasons in eventtrack_rejected.",
        )


def _check_journal_mode(app: Flask, state: State) -> cabc.Iterator[Finding]:
    database = state.pipeline.database
    if database.is_in_memory:
        yield _warning(
            "ET005",
            "The database is in-memory SQLite: events are written by flush() only.",
            "Use a file, except in tests.",
        )
    elif database.is_file and not state.config.sqlite_wal:
        with contextlib.suppress(SQLAlchemyError), database.read() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            if mode != "wal":
                yield _warning(
                    "ET006",
                    f"SQLite's journal mode is {mode!r}: writing events locks out the app's "
                    "readers.",
                    "Remove EVENTTRACK_SQLITE_WAL = False; the first event then switches the file "
                    "to WAL.",
                )


def _check_queue(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.journal is None:
        return
    obstacle = find_obstacle(state.journal)
    if obstacle:
        yield _error(
            "ET012",
            f"The journal cannot be kept, and events wait in memory only: {obstacle}.",
            "Set EVENTTRACK_JOURNAL_DIR to a folder that this user can write.",
        )
    elif bad := list_bad(state.journal):
        places = ", ".join(sorted({f"{path.parent}/*.bad" for path in bad}))
        yield _warning(
            "ET013",
            f"Damaged records of the journal were set aside in {quantify(len(bad), 'file')}.",
            f"Check the disk, look at {places}, then remove these files.",
        )
    for folder in (state.journal.parent, *list_homes(state.journal)):
        if folder.is_dir() and _mode_of(folder) & _WRITE_OF_OTHERS:
            yield _warning(
                "ET014",
                f"Other users may write to {folder}: they could remove events that wait.",
                f"Run: chmod go-w {folder}",
            )


def _mode_of(path: pathlib.Path) -> int:
    """Return the mode of a file or folder; 0 if it does not exist, or the system has no modes."""
    return path.stat().st_mode if os.name == "posix" and path.exists() else 0


def _check_key_files(app: Flask, state: State) -> cabc.Iterator[Finding]:
    for source in state.config.jwt_keys:
        if isinstance(source.value, pathlib.Path):
            yield from _examine_key_file(source.value)


def _examine_key_file(path: pathlib.Path) -> cabc.Iterator[Finding]:
    from .identity.keys import read_key_file  # PyJWT is imported only where it is used

    try:
        file = read_key_file(path)
    except ConfigError as error:
        yield _error(
            "ET015",
            f"{error}",
            "Correct the file. Running processes keep the keys that they read before.",
        )
        return
    if file.faults or not file.keys:
        yield _warning(
            "ET016",
            f"Keys of {path} cannot be used: {'; '.join(file.faults) or 'none is supported'}.",
            "Tokens are signed with HS256 (32 bytes or more), RS256 (2048 bits or more) or ES256.",
        )
    for place in (path, path.parent):
        mode = _mode_of(place)
        if mode & _WRITE_OF_OTHERS and not mode & stat.S_ISVTX:
            yield _warning(
                "ET017",
                f"Other users may write to {place}: a key that they add can name any customer.",
                f"Run: chmod go-w {place}",
            )
    if file.is_secret and _mode_of(path) & stat.S_IROTH:
        yield _warning(
            "ET018",
            f"{path} holds secret or private keys, and any user may read it.",
            f"Run: chmod o-r {path}, or leave only public keys in it.",
        )


def _check_secrets(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if len(app.secret_key or "") < _KEY_MIN_LENGTH:
        yield _warning(
            "ET007",
            f"SECRET_KEY has fewer than {_KEY_MIN_LENGTH} characters: cookies could be forged.",
            "Make one with: python -c 'import secrets; print(secrets.token_hex())'",
        )
    if state.config.profile_salt == Config().profile_salt:
        yield _warning(
            "ET008",
            "EVENTTRACK_PROFILE_SALT is the default: whoever knows a customer's id can compute the "
            "profile's uuid.",
            "Set a secret one before the first customer logs in, and keep it.",
        )


def _check_proxy(app: Flask, state: State) -> cabc.Iterator[Finding]:
    expects_tls = (
        app.config.get("PREFERRED_URL_SCHEME") == "https"
        or app.config.get("SESSION_COOKIE_SECURE")
        or state.config.cookie_secure is True
    )
    if expects_tls and not any(isinstance(layer, ProxyFix) for layer in _wsgi_layers(app)):
        yield _warning(
            "ET009",
            "The app expects HTTPS, and ProxyFix is not set up: behind a proxy that ends TLS, "
            "cookies are not Secure and addresses are the proxy's.",
            "app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1), with the numbers "
            "of proxies you run.",
        )


def _wsgi_layers(app: Flask) -> cabc.Iterator[object]:
    layer: object = app.wsgi_app
    seen: set[int] = set()
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        layer = getattr(layer, "app", None) or getattr(layer, "wsgi_app", None)


def _check_definitions(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if all(definition.builtin for definition in state.catalogue):
        yield _warning(
            "ET010",
            "No event is defined: custom events are rejected.",
            "Define one: events.define('signup.click', anonymous=True), in a module that the app "
            "imports.",
        )
    if state.config.undefined_events == "store" and not app.debug:
        yield _warning(
            "ET011",
            "EVENTTRACK_UNDEFINED_EVENTS is 'store': any browser can add actions of any name.",
            "Define the events that you want, and set it to 'reject'.",
        )


_CHECKS: tuple[cabc.Callable[[Flask, State], cabc.Iterator[Finding]], ...] = (
    _check_enabled,
    _check_database,
    _check_journal_mode,
    _check_queue,
    _check_key_files,
    _check_secrets,
    _check_proxy,
    _check_definitions,
)
