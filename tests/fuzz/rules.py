"""The rules that what is stored keeps, checked against what a history's requests were answered."""

from __future__ import annotations

import collections
import datetime as dt
import json
import re
import typing as t
import uuid as uuidlib

from flask_eventtrack.identity.visitor import customer_uuid

from ..hosts import Host
from .answers import Accepted, Ledger
from .plans import HOSTS, clip
from .values import EMAIL, SECRET

Row = dict[str, t.Any]
ACTION = re.compile(r"(?=.{1,32}\Z)[a-zA-Z0-9._-]+\.[a-zA-Z0-9._-]+", re.DOTALL)
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
MAX_AGE = dt.timedelta(days=7)
DERIVED = frozenset({"session.start", "session.end"})
BY_SERVER = DERIVED | {"customer.login", "customer.logout"}
PAGES = frozenset({"page.visit", "screen.view"})
CUSTOMERS_ONLY = frozenset({"account.close", "account.note"})
NEVER = frozenset(
    {"transaction.charge", "transaction.cancel", "product.buy", "server.only", "denied.event"}
)
NEVER |= {"page.engage"}
#: What the server adds to the parameters that a client sends, beyond their limits: what it knows
#: itself, and what a definition has as default.
SERVERS = frozenset({"visit", "original_time", "count", "quantity", "visible_ms", "scroll"})
SERVERS_OF_VISITS = SERVERS | {"url", "path", "endpoint", "url_rule", "referrer", "status"}
SERVERS_OF_VISITS |= {"duration_ms", "title"}
READ_BYTES = 16  # "1" for a number is stored as 1.0
PARAMS_BYTES, PARAMS_KEYS, PARAMS_DEPTH, NAME_LENGTH, LABEL_LENGTH = 32 * 1024, 256, 8, 64, 255


class Stored:
    """All rows of a database, and the rules that they keep.

    :param host: one of the hosts whose rows they are, all of them flushed.
    :param undefined_limit: how many names that nothing defines hosts may have counted in all.
    """

    def __init__(self, host: Host, ledger: Ledger, undefined_limit: int) -> None:
        self._ledger = ledger
        self._undefined_limit = undefined_limit
        self._catalogue = {definition.action for definition in host.events.catalogue}
        salt = host.state.config.profile_salt
        self._arrivals = {arrival // 1000 for arrival in ledger.arrivals}
        self._customers = {customer_uuid(salt, name): name for name in ledger.customers}
        self._profile_of = {name: profile for profile, name in self._customers.items()}
        self.events = host.rows("event")
        self.sessions = host.rows("session")
        self.hourly = host.rows("hourly")
        self.quality = host.rows("quality")
        self.profiles = host.rows("profile")
        self.aliases = host.rows("alias")
        self.refused = host.rows("rejected")

    def check(self) -> None:
        """Check every rule.

        :raises AssertionError: one is broken.
        """
        assert self.refused == []
        for row in (*self.events, *self.sessions, *self.quality, *self.hourly, *self.profiles):
            assert not any(map(UNSTORABLE.search, iter_texts(row))), row
        for row in self.events:
            self._check_event(row)
            check_params(row["params"], SERVERS_OF_VISITS if has_server_half(row) else SERVERS)
            check_content(row)
        self._check_accepted()
        self._check_visits()
        self._check_sessions()
        self._check_hourly()
        self._check_quality()
        self._check_people()

    def _check_event(self, row: Row) -> None:
        action, time, received_at = row["action"], row["time"], row["received_at"]
        assert ACTION.fullmatch(action)
        assert action not in NEVER
        assert row["id"].version == 5 if action in DERIVED else row["id"].version in {4, 7}, row
        assert (row["source"] == "server") == (action in BY_SERVER or has_server_half(row)), row
        assert row["uuid"].version == 4 or row["uuid"] in self._customers or is_nobodys(row), row
        if action not in DERIVED:
            assert time <= received_at, row
            assert _to_ns(received_at) in self._arrivals, row
            assert received_at - time <= MAX_AGE, row
        assert row["label"] is None or len(row["label"]) <= LABEL_LENGTH
        assert len(row["site"]) <= 255
        assert all(1 <= len(name) <= NAME_LENGTH for name in row["undefined"] or ())

    def _check_accepted(self) -> None:
        """Each accepted event is one row, and each row of a client's an accepted event's."""
        rows: dict[uuidlib.UUID, list[Row]] = collections.defaultdict(list)
        for row in self.events:
            for known in {row["id"], row["claimed_by"]} - {None}:
                rows[known].append(row)
        accepted: dict[uuidlib.UUID, list[Accepted]] = collections.defaultdict(list)
        for event in self._ledger.accepted:
            assert event.action in self._catalogue or event.host == HOSTS - 1, event
            accepted[event.id].append(event)
        for event_id, events in accepted.items():
            self._check_one(rows[event_id], events)
        for row in self.events:
            if row["source"] != "server":
                assert row["id"] in accepted or row["claimed_by"] in accepted, row
            assert row["claimed_by"] is None or row["claimed_by"] in accepted, row

    def _check_one(self, rows: list[Row], events: list[Accepted]) -> None:
        """Check that there is one row. Under one id there may be two where a visit's half has it,
        which is no row of its own, and another event or the server's half of another visit."""
        for row in rows:
            self._check_origin(row, events)
        halves = [row for row in rows if row["claimed_by"] == events[0].id]
        is_mixed = len({event.action == "page.visit" for event in events}) == 2
        is_mixed |= events[0].id in self._ledger.visits
        assert len(rows) == 1 or (is_mixed and len(halves) == 1 and len(rows) == 2), (rows, events)

    def _check_origin(self, row: Row, events: list[Accepted]) -> None:
        """Hold a row against the events that came under its id, one of which it is."""
        if row["action"] == "page.visit":
            return
        fitting = [
            event
            for event in events
            if (event.action, event.source) == (row["action"], row["source"])
        ]
        assert fitting, (row, events)
        if row["action"] in CUSTOMERS_ONLY:
            allowed = {self._profile_of[name] for event in fitting for name in event.customers}
            assert row["uuid"] in allowed, (row, events)

    def _check_visits(self) -> None:
        """Each page that was opened is one row, unless a client has used its id for another."""
        halves = [row for row in self.events if has_server_half(row)]
        named = {row["id"] for row in halves if not is_nobodys(row)}
        assert named | self._occupied == self._ledger.visits | self._occupied, (
            named,
            self._ledger.visits,
        )
        assert len(halves) - len(named) == self._ledger.nobodys

    @property
    def _occupied(self) -> set[uuidlib.UUID]:
        return {event.id for event in self._ledger.accepted} & self._ledger.visits

    def _check_sessions(self) -> None:
        of_session: dict[uuidlib.UUID, list[Row]] = collections.defaultdict(list)
        for row in self.events:
            if row["session_id"] is not None:
                of_session[row["session_id"]].append(row)
        of_none = of_session.keys() ^ {session["id"] for session in self.sessions}
        assert not of_none, (of_none, self.sessions, self.events)
        shared = {row["id"] for row in self.events if row["claimed_by"]} | self._occupied
        for session in self.sessions:
            check_session(session, of_session[session["id"]], shared)

    def _check_hourly(self) -> None:
        counted = collections.Counter(
            (_hour_of(row["time"]), row["site"], row["action"], row["url_rule"])
            for row in self.events
        )
        found = {
            (row["hour"], row["site"], row["action"], row["url_rule"]): row["count"]
            for row in self.hourly
            if row["count"]
        }
        assert found == dict(counted)

    def _check_quality(self) -> None:
        ledger = self._ledger
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        reasons: collections.Counter[str] = collections.Counter()
        for row in self.quality:
            if row["reason"] == "no visit":
                assert 0 <= row["count"] <= ledger.engaged, row
                continue
            assert row["count"] > 0
            counts[row["outcome"]][row["action"]] += row["count"]
            if row["outcome"] == "rejected":
                reasons[row["reason"]] += row["count"]
        new = collections.Counter(
            row["action"] for row in self.events if row["action"] not in DERIVED
        )
        self._check_counted(new, counts.pop("accepted", collections.Counter()))
        assert reasons == ledger.rejected
        assert counts.pop("invalid", collections.Counter()) <= counts.pop(
            "rejected", collections.Counter()
        )
        again = counts.pop("duplicate", collections.Counter()).total() - ledger.duplicates
        assert 0 <= again - self._count_repeated() <= len(self._occupied), again
        assert counts.pop("dropped", collections.Counter()).total() == ledger.dropped
        counts.pop("undefined", None)
        assert not counts
        assert len(self._undefined_names()) <= self._undefined_limit

    def _check_counted(
        self, stored: collections.Counter[str], counted: collections.Counter[str]
    ) -> None:
        """Undefined actions beyond their sender's part are counted without their text."""
        nameless = counted.pop("", 0)
        uncounted = stored - counted
        assert counted <= stored
        assert uncounted.total() == nameless
        assert not uncounted.keys() & self._catalogue

    def _count_repeated(self) -> int:
        """Return how many of what hosts have put on its way became no row, or part of one."""
        put = len(self._ledger.accepted) + len(self._ledger.visits) + self._ledger.nobodys
        rows = [row for row in self.events if row["action"] not in BY_SERVER]
        joined = sum(has_server_half(row) and row["claimed_by"] is not None for row in rows)
        return put - len(rows) - joined - len(self._occupied)

    def _undefined_names(self) -> set[tuple[str, str]]:
        found = set()
        for row in self.quality:
            if row["outcome"] == "undefined":
                found.add((row["action"], row["reason"]))
            if row["action"] and row["action"] not in self._catalogue:
                found.add((row["action"], ""))
        return found

    def _check_people(self) -> None:
        for row in self.profiles:
            assert self._customers.get(row["uuid"]) == row["customer_id"], row
        for row in self.aliases:
            assert row["customer_uuid"] in self._customers, row
            assert row["anonymous_uuid"].version == 4, row


def check_params(stored: t.Any, added: frozenset[str]) -> None:
    """Check that parameters are within their limits, but for those that the server has added."""
    assert isinstance(stored, dict)
    params = {name: value for name, value in stored.items() if name not in added}
    size = len(json.dumps(params, ensure_ascii=False, separators=(",", ":")).encode())
    assert size <= PARAMS_BYTES + READ_BYTES, (size, clip(params))
    keys = 0

    def walk(value: t.Any, depth: int) -> None:
        nonlocal keys
        if isinstance(value, dict | list):
            assert depth <= PARAMS_DEPTH, params
        if isinstance(value, dict):
            keys += len(value)
            assert all(1 <= len(name) <= NAME_LENGTH for name in value), params
        for item in items_of(value):
            walk(item, depth + 1)

    walk(params, 1)
    assert keys <= PARAMS_KEYS, keys
    assert None not in params.values()


def items_of(value: t.Any) -> t.Iterable[t.Any]:
    """Return what is in a list or in an object."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def iter_texts(value: t.Any) -> t.Iterator[str]:
    """Yield each text that is somewhere in a value, names too."""
    if isinstance(value, str):
        yield value
    if isinstance(value, dict):
        yield from value
    for item in items_of(value):
        yield from iter_texts(item)


def check_content(row: Row) -> None:
    """Check what definitions promise, and that nothing personal or secret of the pools is there."""
    params = row["params"]
    assert EMAIL not in f"{row['label']} {json.dumps(params, ensure_ascii=False)}", row
    for name in ("url", "referrer", "href"):
        assert SECRET not in str(params.get(name)), row
    match row["action"]:
        case "shop.view":
            assert isinstance(params["sku"], str)
            assert len(params["sku"]) <= 20
            assert isinstance(params["name"], str)
            assert type(params["count"]) is int
            assert 1 <= params["count"] <= 10
            assert params.get("price", 0) >= 0
            assert all(isinstance(tag, str) for tag in params.get("tags", []))
        case "link.click" | "page.visit":
            assert isinstance(params["href" if row["action"] == "link.click" else "url"], str)
        case "customer.login":
            assert isinstance(params["customer_id"], str)


def check_session(session: Row, rows: list[Row], shared: set[uuidlib.UUID]) -> None:
    """Check a session against the rows of its events.

    :param shared: the visits of two halves, whose time is one's, and which may have moved to this
        session from another that had ended.
    """
    own = [row for row in rows if row["action"] not in DERIVED]
    [start] = [row for row in rows if row["action"] == "session.start"]
    ends = [row for row in rows if row["action"] == "session.end"]
    assert session["id"].version == 5
    assert session["events"] == len(own), (session, own)
    assert session["pages"] == sum(row["action"] in PAGES for row in own), (session, own)
    in_view = [row["params"].get("visible_ms", 0) for row in own if row["action"] in PAGES]
    assert session["visible_ms"] == sum(in_view), (session, own)
    assert start["time"] == session["started_at"] - MICROSECOND, (session, start)
    assert session["started_at"] <= session["last_seen_at"], session
    assert len(ends) == (session["ended_at"] is not None), (session, ends)
    if ends:
        [end] = ends
        assert end["time"] == session["ended_at"] == session["last_seen_at"], (session, end)
        assert end["params"]["events"] <= session["events"] + len(shared), (session, end)
        assert end["params"]["reason"] in {"timeout", "logout"}
    else:
        last = max([session["started_at"], *(row["time"] for row in own)])
        assert session["last_seen_at"] >= last, (session, own)
        is_later = session["last_seen_at"] > last
        assert not is_later or any(row["id"] in shared for row in own), (session, own)


def has_server_half(row: Row) -> bool:
    return row["action"] == "page.visit" and "status" in row["params"]


def is_nobodys(row: Row) -> bool:
    """Whether a row is a visit that is counted without an owner."""
    return has_server_half(row) and row["session_id"] is None


def _hour_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _to_ns(moment: dt.datetime) -> int:
    return (moment - EPOCH) // MICROSECOND
