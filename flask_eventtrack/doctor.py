"""Possible misconfigurations: the checks of ``flask eventtrack doctor``."""

from __future__ import annotations

import collections.abc as cabc
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

    id: str
    level: t.Literal["error", "warning"]
    sentence: str
    hint: str


def examine(app: Flask, state: State) -> list[Finding]:
    """Return the findings of all checks, errors first."""
    found = [finding for check in _CHECKS for finding in check(app, state)]
    return sorted(found, key=lambda finding: (finding.level, finding.id))


def _check_enabled(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if not state.config.enabled:
        yield Finding(
            "ET001", "warning", "EVENTTRACK_ENABLED is off: nothing is recorded.", "Remove it."
        )


def _check_database(app: Flask, state: State) -> cabc.Iterator[Finding]:
    database = state.pipeline.database
    try:
        with database.read() as connection:
            present = sa.inspect(connection).get_table_names(database.tables.event.schema)
            missing = [table.name for table in database.tables.all() if table.name not in present]
            count = sa.select(sa.func.count()).select_from(database.tables.rejected)
            rejected = 0 if missing else connection.scalar(count) or 0
    except SQLAlchemyError as error:
        yield Finding(
            "ET002",
            "error",
            f"The database cannot be reached: {str(error).splitlines()[0]}",
            "Start it, or correct SQLALCHEMY_DATABASE_URI. Meanwhile events wait in the journal, "
            "or in memory if there is none.",
        )
        return
    if missing:
        yield Finding(
            "ET003",
            "error",
            f"Tables are missing: {', '.join(missing)}.",
            "Run 'flask eventtrack init-db', or make a migration: 'flask db migrate' sees them.",
        )
    if rejected:
        yield Finding(
            "ET004",
            "warning",
            f"The database has refused {quantify(rejected, 'event')}.",
            "Read the reasons in eventtrack_rejected.",
        )


def _check_journal_mode(app: Flask, state: State) -> cabc.Iterator[Finding]:
    database = state.pipeline.database
    if database.is_in_memory:
        yield Finding(
            "ET005",
            "warning",
            "The database is in-memory SQLite: events are written by flush() only.",
            "Use a file, except in tests.",
        )
        return
    try:
        with database.read() as connection:
            if connection.dialect.name != "sqlite":
                return
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    except SQLAlchemyError:
        return
    if mode != "wal" and not state.config.sqlite_wal:
        yield Finding(
            "ET006",
            "warning",
            f"SQLite's journal mode is {mode!r}: writing events locks out the app's readers.",
            "Remove EVENTTRACK_SQLITE_WAL = False; the first event then switches the file to WAL.",
        )


def _check_queue(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.journal is None:
        return
    obstacle = find_obstacle(state.journal)
    if obstacle:
        yield Finding(
            "ET012",
            "error",
            f"The journal cannot be kept, and events wait in memory only: {obstacle}.",
            "Set EVENTTRACK_JOURNAL_DIR to a folder that this user can write.",
        )
    elif bad := list_bad(state.journal):
        places = ", ".join(sorted({f"{path.parent}/*.bad" for path in bad}))
        yield Finding(
            "ET013",
            "warning",
            f"Damaged records of the journal were set aside in {quantify(len(bad), 'file')}.",
            f"Check the disk, look at {places}, then remove these files.",
        )
    for folder in (state.journal.parent, *list_homes(state.journal)):
        if folder.is_dir() and _mode_of(folder) & _WRITE_OF_OTHERS:
            yield Finding(
                "ET014",
                "warning",
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
        yield Finding(
            "ET015",
            "error",
            f"{error}",
            "Correct the file. Running processes keep the keys that they read before.",
        )
        return
    if file.faults or not file.keys:
        yield Finding(
            "ET016",
            "warning",
            f"Keys of {path} cannot be used: {'; '.join(file.faults) or 'none is supported'}.",
            "Tokens are signed with HS256 (32 bytes or more), RS256 (2048 bits or more) or ES256.",
        )
    for place in (path, path.parent):
        mode = _mode_of(place)
        if mode & _WRITE_OF_OTHERS and not mode & stat.S_ISVTX:
            yield Finding(
                "ET017",
                "warning",
                f"Other users may write to {place}: a key that they add can name any customer.",
                f"Run: chmod go-w {place}",
            )
    if file.is_secret and _mode_of(path) & stat.S_IROTH:
        yield Finding(
            "ET018",
            "warning",
            f"{path} holds secret or private keys, and any user may read it.",
            f"Run: chmod o-r {path}, or leave only public keys in it.",
        )


def _check_secrets(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if len(app.secret_key or "") < _KEY_MIN_LENGTH:
        yield Finding(
            "ET007",
            "warning",
            f"SECRET_KEY has fewer than {_KEY_MIN_LENGTH} characters: cookies could be forged.",
            "Make one with: python -c 'import secrets; print(secrets.token_hex())'",
        )
    if state.config.profile_salt == Config().profile_salt:
        yield Finding(
            "ET008",
            "warning",
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
        yield Finding(
            "ET009",
            "warning",
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
        yield Finding(
            "ET010",
            "warning",
            "No event is defined: custom events are rejected.",
            "Define one: events.define('signup.click', anonymous=True), in a module that the app "
            "imports.",
        )
    if state.config.undefined_events == "store" and not app.debug:
        yield Finding(
            "ET011",
            "warning",
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
