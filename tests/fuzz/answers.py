"""What the collector answers to a made-up request, and the rules that each answer keeps."""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t
import uuid as uuidlib
from urllib.parse import urlsplit

import jsonschema_rs
from werkzeug.test import TestResponse

from .plans import Request, clip
from .values import CONSENT, DEVICE, PARTNER, SESSION, SIBLING, Json

SESSION_NS = 1800 * 1_000_000_000
MAX_BYTES, MAX_EVENTS = 256 * 1024, 100
BOTS = ("Googlebot/2.1", "curl/8")


#: A client cannot have more losses counted at once.
MOST_DROPPED = 1000


class Word(t.NamedTuple):
    """What a signed value is good for, at most: as which cookie, on which devices, since when, and
    for which customers, each until when (nanoseconds)."""

    kind: str
    devices: frozenset[str]
    issued: int
    customers: frozenset[tuple[str, int]] = frozenset()


class Accepted(t.NamedTuple):
    """An event that a host has accepted: as what, and its possible owners besides no one."""

    id: uuidlib.UUID
    host: int
    action: str
    source: str
    customers: frozenset[str]


@dataclasses.dataclass(repr=False)
class Sent:
    """A request as it goes out, and what is known of its sender. ``number`` is its own."""

    request: Request
    headers: dict[str, str]
    body: bytes
    arrival: int
    number: int = 0
    json: Json = None
    words: list[Word] = dataclasses.field(default_factory=list)
    shown: frozenset[tuple[str, int]] = frozenset()

    def __repr__(self) -> str:
        request = self.request
        return f"{request.method} {request.path} {clip(self.headers)} {clip(self.body)}"

    def field(self, name: str) -> Json:
        return self.json.get(name) if isinstance(self.json, dict) else None

    @property
    def devices(self) -> frozenset[str]:
        found = [word.devices for word in self.words if word.kind == DEVICE]
        return frozenset().union(*found)

    @property
    def vouched(self) -> frozenset[tuple[str, int]]:
        """The customers as whom the sender may act, and until when, at most."""
        found = set(self.shown)
        for word in self.words:
            is_fresh = self.arrival - word.issued < SESSION_NS
            if word.kind == SESSION and is_fresh and word.devices & self.devices:
                found |= word.customers
        return frozenset((name, until) for name, until in found if self.arrival < until)

    @property
    def is_app(self) -> bool:
        """Whether nothing that only a browser sends is there."""
        return not self._states_own and not any(
            self.headers.get(name)
            for name in self.headers
            if name in {"Origin", "Cookie"} or name.startswith("Sec-Fetch-")
        )

    @property
    def _states_own(self) -> bool:
        stated = self.headers.get("Origin") or self.headers.get("Referer") or ""
        origin = read_origin(stated)
        return origin is not None and origin == read_origin(
            f"http://{self.headers.get('Host', 'localhost')}"
        )

    @property
    def has_refused(self) -> bool:
        """Whether the sender, who has a browser, surely does not want to be recorded."""
        choices: list[str] = re.findall(rf"{CONSENT}=([^;]*)", self.headers.get("Cookie", ""))
        if self.is_app or len(choices) > 1:
            return False
        if choices and choices[0] in {"none", "anonymous", "full"}:
            return choices[0] != "full"
        return not choices and "1" in {self.headers.get("DNT"), self.headers.get("Sec-GPC")}

    @property
    def may_post(self) -> bool:
        """Whether what the headers say lets the sender in, if need be with a CSRF token."""
        site = self.headers.get("Sec-Fetch-Site", "")
        is_allowed = self.headers.get("Origin", "").lower() in {PARTNER, SIBLING}
        return (
            site == "same-origin" or is_allowed or (not site and (self.is_app or self._states_own))
        )

    @property
    def needs_csrf(self) -> bool:
        is_told = self.headers.get("Sec-Fetch-Site") or self.is_app
        is_allowed = self.headers.get("Origin", "").lower() in {PARTNER, SIBLING}
        by_visit = self.request.path == "in" and self.field("by_visit") is True
        return not (is_told or is_allowed or by_visit) and self.request.path != "consent"


def read_origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        return (parts.scheme, parts.hostname, parts.port or 80) if parts.hostname else None
    except ValueError:
        return None


class Described(t.NamedTuple):
    """What ``/openapi.json`` says: the statuses of operations, and what is in their answers."""

    statuses: dict[tuple[str, str], frozenset[int]]
    bodies: dict[tuple[str, str, int], jsonschema_rs.Validator]

    @classmethod
    def of(cls, document: Json) -> Described:
        statuses, bodies = {}, {}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                key = path[1:], method.upper()
                statuses[key] = frozenset(map(int, operation["responses"]))
                for status, response in operation["responses"].items():
                    for content in response.get("content", {}).values():
                        schema = {**content["schema"], "components": document["components"]}
                        bodies[*key, int(status)] = jsonschema_rs.validator_for(schema)
        return cls(statuses, bodies)

    def check(self, path: str, method: str, status: int, body: Json) -> None:
        """Hold an answer against the description.

        :raises AssertionError: it is not in it.
        """
        assert status in self.statuses.get((path, method), {405}), status
        validator = self.bodies.get((path, method, status))
        if validator is not None:
            validator.validate(body)


class Ledger:
    """What hosts have answered in one history.

    ``rejected`` is by reason. ``duplicates`` are those that a host has seen itself, ``dropped``
    what senders had no room for, ``visits`` the pages that were opened, and ``nobodys`` how many
    more by those who do not want it said whose they are. ``engaged`` is how often engagement, which
    becomes no row, was accepted. ``seen`` counts answers by their kind.
    """

    def __init__(self, described: Described) -> None:
        self._described = described
        self.accepted: list[Accepted] = []
        self.rejected: collections.Counter[str] = collections.Counter()
        self.visits: set[uuidlib.UUID] = set()
        self.duplicates = self.dropped = self.nobodys = self.engaged = 0
        self.customers: set[str] = set()
        self.arrivals: set[int] = set()
        self.sent = 0
        self.seen: collections.Counter[str] = collections.Counter()

    def take(self, sent: Sent, response: TestResponse, csrf: Word | None) -> None:
        """Note an answer.

        :param csrf: what is known of the CSRF token that was sent.
        :raises AssertionError: it breaks a rule.
        """
        self.sent += 1
        request, status = sent.request, response.status_code
        if status == 400 and "Host" in sent.headers and response.mimetype == "text/html":
            return  # Werkzeug takes no request to such a host
        body = response.get_json(silent=True)
        if request.method != "HEAD":
            self._described.check(request.path, request.method, status, body)
        self._check_headers(sent, response)
        if request.method != "POST":
            return
        code = body.get("code", "") if isinstance(body, dict) else ""
        self.seen[f"{request.path} {status} {code}"] += 1
        if status < 400:
            self._check_admission(sent, csrf)
        if code.startswith("token_") and code != "token_missing":
            self.rejected[code] += 1
        if isinstance(body, dict) and "results" in body:
            self._take_results(sent, body["results"])

    def _check_headers(self, sent: Sent, response: TestResponse) -> None:
        headers = response.headers
        assert "X-Injected" not in headers
        assert not any("\n" in value or "\r" in value for value in headers.values())
        assert "a=b" not in " ".join(headers.getlist("Set-Cookie"))
        origin = headers.get("Access-Control-Allow-Origin")
        assert origin is None or origin.lower() in {PARTNER, SIBLING}
        if response.mimetype == "application/problem+json":
            assert headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in headers or response.get_json()["code"] == "csrf"

    def _check_admission(self, sent: Sent, csrf: Word | None) -> None:
        assert sent.may_post
        assert len(sent.body) <= MAX_BYTES
        if sent.needs_csrf and not sent.has_refused:
            assert csrf is not None, "without a CSRF token"
            assert csrf.devices & sent.devices, "with another device's CSRF token"
            assert sent.arrival < csrf.issued + SESSION_NS, "with an old CSRF token"

    def _take_results(self, sent: Sent, results: list[Json]) -> None:
        by_visit = sent.field("by_visit") is True
        events = sent.field("events") if "events" in sent.json else [sent.json]
        assert len(results) == len(events) <= MAX_EVENTS
        customers = frozenset(name for name, _ in sent.vouched) if not by_visit else frozenset()
        for event, result in zip(events, results, strict=True):
            status, error = result["status"], result["error"]
            self.seen[error["code"] if error else status] += 1
            if status == "accepted":
                assert not sent.has_refused
                assert sent.is_app or sent.headers.get("User-Agent") not in BOTS
                event_id = uuidlib.UUID(result["event_id"])
                assert event.get("event_id") is None or uuidlib.UUID(event["event_id"]) == event_id
                source = "app" if sent.is_app else "browser"
                host = sent.request.host
                accepted = Accepted(event_id, host, event["action"], source, customers)
                self._note_accepted(accepted)
            elif status == "rejected":
                self.rejected[error["code"]] += 1
            else:
                self.duplicates += event["action"] != "page.engage"
        dropped = sent.field("dropped")
        if type(dropped) is int and 1 <= dropped <= 100_000:
            self.dropped += min(dropped, MOST_DROPPED)

    def _note_accepted(self, event: Accepted) -> None:
        if event.action == "page.engage":
            self.engaged += 1
        else:
            self.accepted.append(event)
