"""Possible misconfigurations: the checks of ``flask eventtrack doctor``."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
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
from .errors import ConfigError, ReportUnavailable
from .neighbours import find_blocked, list_neighbours
from .pipeline.health import list_orphans, list_waiting
from .pipeline.homes import find_obstacle, list_bad, list_faults, list_homes, list_stranded
from .privacy.report import compare
from .reports.elsewhere import CopyUnusable
from .sites import MOST_UNNAMED, OTHER
from .state import State
from .store.rejected import count_rejected
from .store.schema import UPGRADE_HINT, find_faults, find_missing, has_unused_log, name_of
from .store.tables import Tables
from .store.upgrade import has_steps_left
from .text import escape, quantify

if t.TYPE_CHECKING:
    from .stream.redis_streams import PartitionStatus

_WRITE_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_KEY_MIN_LENGTH = 16
_LATE = dt.timedelta(minutes=2)  # other processes look for what dead ones left once a minute


class Finding(t.NamedTuple):
    """A problem, and what to do about it. An error keeps events from being recorded correctly.

    A note reports no problem: it says what works beside another extension, and what to set.
    """

    level: t.Literal["error", "warning", "note"]
    id: str
    sentence: str
    hint: str


_error = functools.partial(Finding, "error")
_warning = functools.partial(Finding, "warning")
_note = functools.partial(Finding, "note")
_LEVELS = ("error", "warning", "note")


def examine(app: Flask, state: State) -> list[Finding]:
    """Return the findings of all checks, errors first and notes last."""
    found = sorted(finding for check in _CHECKS for finding in check(app, state))
    return sorted(found, key=lambda finding: _LEVELS.index(finding.level))


def _check_enabled(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if not state.config.enabled:
        yield _warning("ET001", "EVENTTRACK_ENABLED is off: nothing is recorded.", "Remove it.")


def _check_database(app: Flask, state: State) -> cabc.Iterator[Finding]:
    try:
        with state.pipeline.database.look_as_writer() as connection:
            yield from _check_tables(connection, state)
    except (SQLAlchemyError, OSError) as error:  # pg8000 raises the system's own
        yield _error(
            "ET002",
            f"The database cannot be reached: {str(error).splitlines()[0]}",
            "Start it, or correct SQLALCHEMY_DATABASE_URI. Meanwhile events wait in the journal, "
            "or in memory if there is none.",
        )


_OF_FAULT: dict[str, cabc.Callable[[str, str], Finding]] = {
    "tables": lambda sentence, hint: _error("ET003", sentence, hint),
    "columns": lambda sentence, hint: _error("ET020", sentence, hint),
    "rights": lambda sentence, hint: _error("ET021", sentence, hint),
    "refusal": lambda sentence, hint: _error("ET022", sentence, hint),
}


def _check_tables(connection: sa.Connection, state: State) -> cabc.Iterator[Finding]:
    tables = state.pipeline.database.tables
    faults = find_faults(connection, tables, state.pipeline.writer.now)
    for fault in faults:
        yield _OF_FAULT[fault.kind](fault.sentence, fault.hint)
    if any(fault.kind != "refusal" for fault in faults):
        return
    if late := list(_list_late(connection, tables)):
        yield _warning("ET023", " ".join(late), UPGRADE_HINT)
    if has_unused_log(connection, tables):
        yield _warning(
            "ET044",
            "The tables have a commit log, but EVENTTRACK_COMMIT_LOG is off here: what this "
            "process changes is not logged, and copies of the tables miss it.",
            "Set it in all processes. If nothing reads the log, drop eventtrack_commit, "
            "eventtrack_gone and eventtrack_follower.",
        )
    yield from _check_functions(connection, state)
    kept, removed = count_rejected(connection, tables)
    if kept:
        more = f" {removed} more were removed to make room." if removed else ""
        yield _warning(
            "ET004",
            f"The database has refused {quantify(kept, 'event')}.{more}",
            "Read the reasons in eventtrack_rejected.",
        )


def _check_functions(connection: sa.Connection, state: State) -> cabc.Iterator[Finding]:
    if state.pipeline.database.tables.follower is None:
        return
    from .reports.explore.functions import read_functions  # which needs the commit log

    now, known = state.pipeline.writer.now, state.callbacks.function_names
    for each in read_functions(connection, state.pipeline.database.tables):
        if each.name not in known:
            yield _warning(
                "ET045",
                f"eventtrack_follower has the position of {escape(each.name)!r}, and no function "
                "of events.on() has this name.",
                "If it was renamed, give it the former name with name=. If it was removed, delete "
                "its row.",
            )
        elif each.failing_since is not None:
            yield _warning(
                "ET046",
                f"The function {escape(each.name)!r} has failed with an event "
                f"{quantify(each.tries, 'time')}: {escape(each.error or '')}.",
                "Look for its traceback in the app's log. Later events wait until it succeeds, or "
                "until that event is given up.",
            )
        elif each.is_late(now):
            yield _warning(
                "ET047",
                f"The function {escape(each.name)!r} is {quantify(each.behind, 'transaction')} "
                "behind.",
                "Start a process of the app if none runs. Otherwise the function is slow: give its "
                "requests a timeout, and leave long work to a job.",
            )


def _list_late(connection: sa.Connection, tables: Tables) -> cabc.Iterator[str]:
    if indexes := find_missing(connection, tables).indexes:
        yield f"Indexes are missing, and queries are slow: {', '.join(map(name_of, indexes))}."
    if has_steps_left(connection, tables):
        yield "The stored rows are of an earlier release."


def _check_stranded(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.journal is None:
        return
    former = state.journal.with_name(state.pipeline.database.former_fingerprint)
    for left in list_stranded(state.journal, former):
        yield _warning(
            "ET024",
            f"No process adopts the journal {left.home}: {quantify(left.size, 'byte')}, last "
            f"written {_say_age(left.seconds)} ago.",
            f"If it is of this database under an earlier URL, move its folders to {state.journal}. "
            "Otherwise start the app that wrote it, or remove it.",
        )


def _say_age(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600)):
        if seconds >= length:
            return quantify(int(seconds // length), unit)
    return quantify(int(seconds // 60), "minute")


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
    for fault in list_faults(state.journal):
        if fault not in obstacle:
            yield _warning(
                "ET037",
                f"A part of the journal is left alone, and not written to the database: {fault}.",
                "If its events are this app's, run: chown -R to the user of the app, and "
                "chmod -R go-w. Otherwise remove it.",
            )
    for folder in (state.journal.parent, *list_homes(state.journal)):
        if folder.is_dir() and _mode_of(folder) & _WRITE_OF_OTHERS:
            yield _warning(
                "ET014",
                f"Other users may write to {folder}: they could remove events that wait.",
                f"Run: chmod go-w {folder}",
            )


def _check_erasures(app: Flask, state: State) -> cabc.Iterator[Finding]:
    obstacle = state.erasures.find_obstacle() if state.erasures else ""
    if obstacle:
        yield _warning(
            "ET030",
            f"Erasures cannot be kept outside the database: {obstacle}.",
            "A restored backup would bring erased people back. Remove what is in the way, or set "
            "EVENTTRACK_JOURNAL_DIR to a folder that this user can write.",
        )


def _check_privacy(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.config.privacy is None:
        return
    own = [definition for definition in state.catalogue if not definition.builtin]
    criteria = compare(state.config, state.catalogue.keeps(), [each.action for each in own])
    for criterion in criteria:
        if criterion.result == "not met":
            yield _warning(
                "ET031",
                "EVENTTRACK_PRIVACY is 'audience', and other settings contradict it. "
                f"{criterion.detail}",
                f"Asked for is: {criterion.title}. See 'flask eventtrack privacy-report'.",
            )
    useless = [each.action for each in own if not (each.anonymous or each.server_only)]
    if useless and not state.config.privacy_identity:
        yield _warning(
            "ET032",
            f"No browser can send {', '.join(useless)}: it takes a customer, and "
            "EVENTTRACK_PRIVACY_IDENTITY is off.",
            "Define it with anonymous=True, or with server_only=True.",
        )


def _check_assistants(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.config.mcp and not state.config.report_tokens:
        yield _warning(
            "ET043",
            "EVENTTRACK_MCP is on, but no assistant can ask: there are no tokens.",
            "Set EVENTTRACK_REPORT_TOKENS. 'flask eventtrack mcp' needs neither.",
        )


def _check_waiting(app: Flask, state: State) -> cabc.Iterator[Finding]:
    found = list_waiting(state.journal) if state.journal else []
    late = [each for each in found if each.oldest and _is_late(state, each.oldest)]
    if late:
        oldest = min(each.oldest for each in late if each.oldest)
        yield _warning(
            "ET025",
            f"Events have waited since {oldest:%Y-%m-%d %H:%M} UTC: "
            f"{quantify(sum(each.bytes for each in late), 'byte')} in "
            f"{quantify(len(late), 'journal')}.",
            "Look for 'Events cannot be written' in the app's log. If no process of the app runs, "
            "start one.",
        )
    if orphans := [each for each in list_orphans(late) if each in late]:
        yield _warning(
            "ET026",
            f"No process writes what dead ones have left in {orphans[0].folder.parent}: "
            f"{quantify(len(orphans), 'journal')}.",
            "Start the app as the user who owns these folders, with the release that made them or "
            "a newer one.",
        )


def _is_late(state: State, moment: dt.datetime) -> bool:
    return state.pipeline.writer.now - moment > _LATE + state.config.flush_interval


def _check_clock(app: Flask, state: State) -> cabc.Iterator[Finding]:
    with contextlib.suppress(SQLAlchemyError, OSError):  # other checks say that
        doubt = state.pipeline.writer.doubt_clock()
        if doubt and doubt.reason:
            yield _warning(
                "ET027",
                f"The clock may be wrong: {doubt.reason}.",
                "Correct it. If it is right, run 'flask eventtrack prune --yes': until then, "
                "events that are old by this clock only are not pruned.",
            )


def _check_stream(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.config.stream_url is None:
        return
    from .stream.redis_streams import open_streams

    streams = open_streams(state.config, state.pipeline.database)
    try:
        server, found, workers = streams.server(), streams.partitions(), streams.workers()
    except streams.errors as error:
        yield _error(
            "ET048",
            f"Redis cannot be reached: {escape(error)}",
            "Start it, or correct EVENTTRACK_STREAM_URL. Meanwhile events wait in the journal.",
        )
        return
    finally:
        streams.close()
    if server.has_aof is False:
        yield _warning(
            "ET049",
            "Redis keeps nothing on its disk: if it is killed, the events that no worker has "
            "written are lost, unless they were sent in its last minute.",
            "Set appendonly to yes.",
        )
    if server.may_evict:
        yield _error(
            "ET050",
            "Redis removes keys when it is full, which may be events.",
            "Set maxmemory-policy to noeviction, or use another Redis.",
        )
    yield from _check_workers(found, workers)


def _check_workers(found: list[PartitionStatus], workers: list[str]) -> cabc.Iterator[Finding]:
    late = [each for each in found if (each.oldest or 0) > _LATE.total_seconds()]
    if not workers:
        yield _warning(
            "ET051",
            "No worker writes the events that are sent to Redis.",
            "Start one with 'flask eventtrack worker'.",
        )
    elif late:
        frames = sum(each.frames for each in late)
        yield _warning(
            "ET052",
            f"The workers are late: {quantify(frames, 'frame')} of events wait in "
            f"{quantify(len(late), 'stream')}, the oldest for "
            f"{max(each.oldest or 0 for each in late):,.0f} s.",
            "Look for 'cannot work' and 'newer release' in their logs. If there is no such line, "
            "start another worker.",
        )


def _check_copy(app: Flask, state: State) -> cabc.Iterator[Finding]:
    reader = state.reports.reader
    if reader.elsewhere is None:
        return
    try:
        with contextlib.suppress(ReportUnavailable), reader.open() as connection:
            reader.elsewhere.check(connection)
    except CopyUnusable as problem:
        yield _warning(
            "ET053",
            f"Reports cannot use the copy: {escape(problem.__cause__ or problem)}",
            "Start ClickHouse and 'flask eventtrack copy --follow', or correct "
            "EVENTTRACK_REPORTS_URL. Meanwhile all reports run on the app's database.",
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


def _check_sites(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if state.sites.is_named:
        return
    if fault := state.sites.find_fault():
        yield _warning(
            "ET038",
            f"The list of sites is left alone, and each process keeps its own: {fault}.",
            "Remove it, or give it to the user of the app.",
        )
    seen = state.sites.list_seen()
    hint = "Set EVENTTRACK_SITES, SERVER_NAME or TRUSTED_HOSTS to the host names that you serve"
    if len(seen) < MOST_UNNAMED:
        yield _warning(
            "ET034",
            "No setting names the app's sites: the first "
            f"{MOST_UNNAMED} host names that clients send are taken for sites.",
            f"{hint}, for instance EVENTTRACK_SITES = {seen or ['shop.example.com']}.",
        )
    else:
        yield _warning(
            "ET035",
            f"Clients have sent {MOST_UNNAMED} host names or more: requests to any other are "
            f"recorded with the site {OTHER!r}.",
            f"{hint}. These were the first: {', '.join(seen)}.",
        )


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


def _check_neighbours(app: Flask, state: State) -> cabc.Iterator[Finding]:
    if blocking := find_blocked(app):
        yield _warning(
            "ET041",
            f"flask-talisman's policy blocks the script or its posts: {', '.join(blocking)}.",
            f"Add \"'self'\" to {' and to '.join(blocking)} of its content_security_policy.",
        )
    for each in list_neighbours(app):
        yield _note(
            "ET042", f"{each.name}: {each.works}".replace("`", ""), each.to_set.replace("`", "")
        )


_CHECKS: tuple[cabc.Callable[[Flask, State], cabc.Iterator[Finding]], ...] = (
    _check_enabled,
    _check_database,
    _check_journal_mode,
    _check_queue,
    _check_stranded,
    _check_erasures,
    _check_privacy,
    _check_waiting,
    _check_assistants,
    _check_clock,
    _check_stream,
    _check_copy,
    _check_key_files,
    _check_secrets,
    _check_proxy,
    _check_sites,
    _check_definitions,
    _check_neighbours,
)
