"""The people and hosts of a made-up history, who send its requests and note what was answered."""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import re
import uuid as uuidlib

from werkzeug.datastructures import Headers

from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, FakeClock, Host
from .answers import Ledger, Sent, Word
from .plans import PEOPLE, Cookie, Flush, Jump, Page, Ref, Request, Step, Sweep
from .tokens import CUSTOMERS, FAR, bad_jwts, brief_jwt, good_jwts, read_csrf, spoil
from .values import (
    CONSENT,
    CSRF,
    DEVICE,
    EMAIL,
    OWN,
    PARTNER,
    SECRET,
    SESSION,
    SIBLING,
    Json,
)

NS = 1_000_000_000
LEEWAY_NS = 60 * NS
HOUR_NS = 3600 * NS
IDENTITY = {"X-EventTrack-Device": DEVICE, "X-EventTrack-Session": SESSION}
ROLES: dict[str, dict[str, str]] = {
    "page": SAME_ORIGIN,
    "old page": {"Origin": OWN},
    "partner": {"Origin": PARTNER, "Sec-Fetch-Site": "cross-site"},
    "sibling": {"Origin": SIBLING, "Sec-Fetch-Site": "same-site"},
    "app": {},
    "stranger": {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
}
WITH_COOKIES = frozenset({"page", "old page", "sibling"})
VERSIONS = {"id1": "1", "id4": "4", "id5": "5", "id7": "7"}
TAG = re.compile(rb'data-visit="([^"]+)"')


@dataclasses.dataclass
class Person:
    """A person with a browser, with the cookies ``jar``, and an app, with headers by role."""

    jar: dict[str, str] = dataclasses.field(default_factory=dict)
    past: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    identities: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def write_cookies(jar: cabc.Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())


def read_visit_id(tag: str) -> uuidlib.UUID:
    """Return what everybody can read in a page's tag."""
    payload = base64.urlsafe_b64decode(tag.partition(".")[0] + "==")
    return uuidlib.UUID(bytes=payload[1:17])


def make_id(version: str) -> str:
    text = str(uuidlib.uuid4())
    return f"{text[:14]}{version}{text[15:]}"


class World:
    """Hosts that share a database and a clock, and the people who visit them.

    ``ledger`` has what was answered; ``hours`` counts those of the clock that it has been in.
    """

    def __init__(self, hosts: cabc.Sequence[Host], clock: FakeClock, ledger: Ledger) -> None:
        self.hosts = hosts
        self.clock = clock
        self.ledger = ledger
        self.hours = 1
        self._people = [Person() for _ in range(PEOPLE)]
        self._ids: dict[tuple[str, int], str] = {}
        self._tags: list[str] = []
        self._numbers = itertools.count()
        self._ends: dict[int, int] = {}
        self._briefs: dict[str, tuple[str, int]] = {}
        self._words: dict[str, Word] = {}

    def take(self, step: Step) -> None:
        """Do a step of a history.

        :raises AssertionError: an answer breaks a rule.
        """
        match step:
            case Request():
                self._send(step)
            case Page(who, host):
                self._open_page(self._people[who], self.hosts[host])
            case Flush(host):
                self.hosts[host].flush()
            case Sweep(host):
                self.hosts[host].state.pipeline.sweep()
            case Jump(seconds):
                hour = self.clock.now // HOUR_NS
                self.clock.advance(seconds=seconds)
                self.hours += self.clock.now // HOUR_NS != hour

    def _open_page(self, person: Person, host: Host) -> None:
        cookies = write_cookies(person.jar)
        headers = {"User-Agent": CHROME, **NAVIGATION, **({"Cookie": cookies} if cookies else {})}
        request = Request(0, "page", "", None, method="GET")
        sent = Sent(request, headers, b"", self.clock.now, next(self._numbers))
        sent.words = self._words_in(cookies)
        self.ledger.arrivals.add(sent.arrival)
        response = host.app.test_client(use_cookies=False).get("/", headers=headers)
        assert response.status_code == 200
        tags = [tag.decode() for tag in TAG.findall(response.data)]
        self._tags += tags
        choice = person.jar.get(CONSENT, "full")
        if choice == "full":  # else the tag names a visit that there is not
            self.ledger.visits |= {read_visit_id(tag) for tag in tags}
        self.ledger.nobodys += choice == "anonymous"
        self._keep_cookies(person, sent, response.headers)

    def _send(self, request: Request) -> None:
        sent = self._prepare(request)
        try:
            self._exchange(sent, self._people[request.who])
        except BaseException as error:
            error.add_note(f"Sent: {sent}")
            raise

    def _exchange(self, sent: Sent, person: Person) -> None:
        request = sent.request
        self.ledger.arrivals.add(sent.arrival)
        variables = {f"HTTP_{n.upper().replace('-', '_')}": v for n, v in sent.headers.items()}
        client = self.hosts[request.host].app.test_client(use_cookies=False)
        response = client.open(
            f"/_et/{request.path}",
            method=request.method,
            data=sent.body,
            environ_overrides={**variables, "CONTENT_TYPE": request.content_type},
        )
        csrf = sent.field("csrf_token")
        known = self._words.get(read_csrf(csrf)) if isinstance(csrf, str) else None
        self.ledger.customers |= {name for name, _ in sent.shown}
        self.ledger.take(sent, response, known)
        if request.role in WITH_COOKIES:
            self._keep_cookies(person, sent, response.headers)
        given = {name: response.headers[name] for name in IDENTITY if name in response.headers}
        if given:
            person.identities[request.role] = given
            for name, value in given.items():
                self._note_word(IDENTITY[name], value, sent)

    def _keep_cookies(self, person: Person, sent: Sent, headers: Headers) -> None:
        for line in headers.getlist("Set-Cookie"):
            name, _, rest = line.partition("=")
            value, _, attributes = rest.partition(";")
            if "Max-Age=0" in attributes:
                person.jar.pop(name, None)
                continue
            person.jar[name] = value
            person.past.setdefault(name, []).append(value)
            if name in {DEVICE, SESSION, CSRF}:
                self._note_word(name, value, sent)

    def _note_word(self, kind: str, value: str, sent: Sent) -> None:
        """Note what a signed value can be good for: what the request could show, and no more."""
        value = read_csrf(value) if kind == CSRF else value
        if value in self._words:
            return
        is_logout = sent.request.path == "logout" and not sent.shown
        pages = frozenset(page for page in self._ids.values() if page.encode() in sent.body)
        devices = sent.devices | pages | {f"device of {sent.number}"}
        customers = frozenset() if is_logout else sent.vouched
        self._words[value] = Word(kind, devices, sent.arrival, customers)

    # What is sent

    def _prepare(self, request: Request) -> Sent:
        person = self._people[request.who]
        headers = {"User-Agent": CHROME, **ROLES[request.role]}
        jar = dict(person.jar) if request.role in WITH_COOKIES else {}
        jar |= {cookie.name: self._bake(cookie, request) for cookie in request.cookies}
        if jar:
            headers["Cookie"] = write_cookies(jar)
        headers |= person.identities.get(request.role, {})
        if request.bearer is not None:
            headers["Authorization"] = f"Bearer {self._fill(request.bearer)}"
        headers |= request.headers
        body = self._write(request, person)
        sent = Sent(request, headers, body, self.clock.now, next(self._numbers))
        with contextlib.suppress(ValueError, RecursionError):
            sent.json = json.loads(sent.body.decode())
        sent.words = self._words_in(" ".join(headers.values()))
        sent.shown = self._shown_in(sent)
        return sent

    def _bake(self, cookie: Cookie, request: Request) -> str:
        if cookie.raw is not None:
            return cookie.raw
        person = self._people[request.who if cookie.of is None else cookie.of]
        past = person.past.get(cookie.kind or cookie.name, ["none"])
        return spoil(past[-1 - cookie.ago % len(past)], cookie.spoiled)

    def _words_in(self, text: str) -> list[Word]:
        found = map(self._words.get, re.findall(r"[\w.-]+", text))
        return [word for word in found if word is not None]

    def _shown_in(self, sent: Sent) -> frozenset[tuple[str, int]]:
        """Return the customers whose good tokens a request has, and until when they are good."""
        texts = {str(sent.field("token")), sent.headers.get("Authorization", "").rpartition(" ")[2]}
        found = set()
        for text in texts:
            if text in good_jwts():
                found.add((good_jwts()[text], FAR * NS))
            elif text in self._briefs and sent.arrival < self._briefs[text][1]:
                found.add(self._briefs[text])
        return frozenset(found)

    def _write(self, request: Request, person: Person) -> bytes:
        body = self._fill(request.body)
        if request.role == "old page" and isinstance(body, dict) and CSRF in person.jar:
            body = {"csrf_token": person.jar[CSRF], **body}
        text = json.dumps(body, ensure_ascii=request.form == "ascii")
        match request.form:
            case "utf-16":
                written = text.encode("utf-16", "surrogatepass")
            case "latin-1":
                written = text.encode("latin-1", "replace")
            case "bom":
                written = text.encode("utf-8-sig", "surrogatepass")
            case "padded":
                written = text.encode("utf-8", "surrogatepass").ljust(256 * 1024 + 1)
            case _:
                written = text.encode("utf-8", "surrogatepass")
        is_personal = EMAIL in text or SECRET in text  # and might not look so when it is edited
        for place, gone, come in () if is_personal else request.edits:
            at = int(place * len(written))
            written = written[:at] + come + written[at + gone :]
        return b"" if request.body is None else written

    def _fill(self, value: Json, levels: int = 3) -> Json:
        """Put values for refs, which stand in a post, its events and their fields."""
        if isinstance(value, Ref):
            return self._resolve(value)
        if levels and isinstance(value, dict):
            return {name: self._fill(item, levels - 1) for name, item in value.items()}
        if levels and isinstance(value, list):
            return [self._fill(item, levels - 1) for item in value]
        return value

    def _resolve(self, ref: Ref) -> Json:
        kind, index, spoiled = ref
        match kind:
            case "time":
                return self._write_time(index, spoiled)
            case "jwt":
                return spoil(self._find_jwt(index), spoiled)
            case "csrf":
                return spoil(self._people[index].jar.get(CSRF, "none"), spoiled)
            case "visit" if self._tags:
                return spoil(self._tags[index % len(self._tags)], spoiled)
            case "visit id" if self._tags:
                return str(read_visit_id(self._tags[index % len(self._tags)]))
        return self._ids.setdefault((kind, index), make_id(VERSIONS.get(kind, "7")))

    def _write_time(self, milliseconds: int, form: str) -> Json:
        now = self.clock.now // 1_000_000
        moment = self.clock.moment + dt.timedelta(milliseconds=max(milliseconds, -now))
        match form:
            case "text":
                return moment.isoformat()
            case "zone":
                return moment.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat()
            case "naive":
                return moment.replace(tzinfo=None).isoformat()
            case "float":
                return now + milliseconds + 0.25
        return now + milliseconds

    def _find_jwt(self, index: int) -> str:
        """Return a token: a good one, one that is good for 20 seconds, or a bad one."""
        if index < 64:
            return list(good_jwts())[index % len(good_jwts())]
        customer = CUSTOMERS[index % len(CUSTOMERS)]
        if index < 80:
            until = self._ends.setdefault(index, self.clock.now // NS + 20)
            brief = brief_jwt(customer, until)
            self._briefs[brief] = (customer, until * NS + LEEWAY_NS)
            return brief
        return bad_jwts()[(index - 80) % len(bad_jwts())]
