"""Clients, and the ledger of what they sent and what of it was acknowledged."""

from __future__ import annotations

import collections
import collections.abc as cabc
import http.client
import http.cookies
import itertools
import json
import random
import re
import threading
import typing as t
import uuid as uuidlib

from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN
from .ports import HOST

ANSWERS = 15.0
_KEPT = 60
_VISIT = re.compile(r'data-visit="([^"]+)"')
_FACTS = re.compile(r"<pre>(.*)</pre>")

Json = dict[str, t.Any]


class Answer(t.NamedTuple):
    """A response that arrived whole."""

    status: int
    headers: http.client.HTTPMessage
    text: str


class Ledger:
    """What all clients of a server sent, and what of it was acknowledged.

    A page is known by the number in its address, a posted event by its id. ``joined`` maps pages to
    their browser's halves, and ``engaged`` these halves to how long their page was in view, in
    milliseconds. ``ended`` are sessions that a log-out ended, ``aliases`` the profiles
    that a log-in joined.
    """

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.sent_pages: set[int] = set()
        self.pages: set[int] = set()
        self.sent_events: set[uuidlib.UUID] = set()
        self.events: set[uuidlib.UUID] = set()
        self.joined: dict[int, uuidlib.UUID] = {}
        self.engaged: dict[uuidlib.UUID, int] = {}
        self.ended: set[uuidlib.UUID] = set()
        self.aliases: set[tuple[uuidlib.UUID, uuidlib.UUID]] = set()
        self.answers: collections.Counter[int] = collections.Counter()

    def note_sent(self, events: cabc.Iterable[Json]) -> None:
        self.sent_events.update(uuidlib.UUID(event["event_id"]) for event in events)

    def note_posted(self, events: cabc.Iterable[Json]) -> None:
        for event in events:
            if event["action"] == "page.engage":
                self.engaged[uuidlib.UUID(event["page"])] = event["params"]["visible_ms"]
            else:
                self.events.add(uuidlib.UUID(event["event_id"]))

    def note_facts(self, facts: dict[str, str]) -> None:
        """Note what the page of a log-in or log-out says it has done."""
        now = uuidlib.UUID(facts["uuid"])
        before = uuidlib.UUID(facts.get("before", facts["uuid"]))
        if before.version == 4 and now.version == 5:
            self.aliases.add((before, now))
        if "ended" in facts and before.version == 5:
            self.ended.add(uuidlib.UUID(facts["ended"]))


def make_note() -> Json:
    """Return an event as a browser's script makes it, with an id of its own."""
    return {"action": "note.add", "event_id": str(uuidlib.uuid4())}


class Visitor:
    """A browser: cookies, and events that wait for an acknowledgement.

    Each request has a connection of its own, so that all processes of a server get some.
    """

    def __init__(self, port: int, ledger: Ledger, customer: str = "42") -> None:
        self.cookies: dict[str, str] = {}
        self.unsent: list[Json] = []
        self._customer = customer
        self._ledger = ledger
        self._port = port

    def forget(self) -> None:
        """Be somebody else from now on, who knows nothing of what waited."""
        self.cookies.clear()
        self.unsent = []

    def visit(self, path: str = "/page", *, report: bool = False) -> Answer | None:
        """Open a page.

        :param report: whether the page's script gets to post the browser's half of the visit.
        """
        number = next(self._ledger.numbers)
        address = f"{path}?n={number}"
        self._ledger.sent_pages.add(number)
        answer = self.ask("GET", address, NAVIGATION)
        if answer is None or answer.status != 200:
            return answer
        self._ledger.pages.add(number)
        if facts := _FACTS.search(answer.text):
            self._ledger.note_facts(json.loads(facts[1]))
        if report and (visit := _VISIT.search(answer.text)):
            self._report(number, f"http://{HOST}:{self._port}{address}", visit[1])
        return answer

    def log_in(self) -> Answer | None:
        return self.visit(f"/login/{self._customer}")

    def log_out(self) -> Answer | None:
        return self.visit("/logout")

    def _report(self, number: int, url: str, visit: str) -> None:
        half = make_note() | {"action": "page.visit", "visit": visit, "params": {"url": url}}
        told = {"action": "page.engage", "page": half["event_id"], "visit": visit}
        engagement = make_note() | told | {"params": {"visible_ms": 1000 + number % 5000}}
        # The visit is told before or after how long it was in view.
        self.unsent += [half, engagement] if number % 2 else [engagement, half]
        if self.post([]):
            self._ledger.joined[number] = uuidlib.UUID(half["event_id"])

    def post(self, events: cabc.Sequence[Json]) -> Answer | None:
        """Post events, with those that wait; they wait on where they are not acknowledged.

        :returns: the answer, if it is an acknowledgement.
        """
        self.unsent = [*self.unsent, *events]
        answer = self.send(self.unsent)
        if answer is not None and answer.status == 202:
            self.unsent = []
            return answer
        self.unsent = self.unsent[-_KEPT:]
        return None

    def send(self, events: cabc.Sequence[Json]) -> Answer | None:
        """Post events once, and note them if they are acknowledged."""
        self._ledger.note_sent(events)
        answer = self.ask("POST", "/_et/in", SAME_ORIGIN, json.dumps({"events": events}))
        if answer is not None and answer.status == 202:
            results = json.loads(answer.text)["results"]
            assert {result["status"] for result in results} <= {"accepted", "duplicate"}, results
            self._ledger.note_posted(events)
        return answer

    def ask(
        self, method: str, path: str, headers: cabc.Mapping[str, str], body: str | None = None
    ) -> Answer | None:
        """Return the answer, or None where none arrived whole."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"User-Agent": CHROME, "Content-Type": "application/json", "Connection": "close"}
        sent.update(headers)
        if cookie:
            sent["Cookie"] = cookie
        connection = http.client.HTTPConnection(HOST, self._port, timeout=ANSWERS)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            self._ledger.answers[0] += 1
            return None
        finally:
            connection.close()
        self._take_cookies(response.headers.get_all("Set-Cookie", []))
        self._ledger.answers[response.status] += 1
        return Answer(response.status, response.headers, text)

    def _take_cookies(self, lines: cabc.Iterable[str]) -> None:
        for line in lines:
            for name, morsel in http.cookies.SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


class Crowd:
    """Visitors who keep a server busy from several threads until the block ends.

    :param pause: seconds that each thread waits between two requests.
    """

    def __init__(
        self, port: int, ledger: Ledger, *, seed: str, threads: int = 4, pause: float = 0.01
    ) -> None:
        self._port = port
        self._ledger = ledger
        self._seed = seed
        self._pause = pause
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * ANSWERS)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"
        if self._errors:
            raise self._errors[0]

    def _run(self, number: int) -> None:
        seed = f"{self._seed}-{number}"
        rng = random.Random(seed)
        visitors = [Visitor(self._port, self._ledger, f"{seed}-{n}") for n in range(3)]
        try:
            while not self._over.wait(self._pause):
                _act(rng.choice(visitors), rng)
        except BaseException as error:  # noqa: BLE001 - the thread that waits for this one raises it
            self._errors.append(error)


def _act(visitor: Visitor, rng: random.Random) -> None:
    match rng.choices(["visit", "report", "post", "log_in", "log_out", ""], [8, 2, 6, 2, 1, 1])[0]:
        case "visit":
            visitor.visit()
        case "report":
            visitor.visit(report=True)
        case "post":
            visitor.post([make_note() for _ in range(rng.randint(1, 20))])
        case "log_in":
            visitor.log_in()
        case "log_out":
            visitor.log_out()
        case _:
            visitor.forget()


def send_some(port: int, ledger: Ledger) -> None:
    """Have three visitors open 15 pages and post 18 events, all of which must be acknowledged."""
    for customer in ("1", "2", "3"):
        visitor = Visitor(port, ledger, customer)
        for _ in range(3):
            _expect(visitor.visit(), 200)
            _expect(visitor.send([make_note(), make_note()]), 202)
        _expect(visitor.log_in(), 200)
        _expect(visitor.log_out(), 200)


def _expect(answer: Answer | None, status: int) -> None:
    assert answer is not None, "no answer"
    assert answer.status == status, answer.text
