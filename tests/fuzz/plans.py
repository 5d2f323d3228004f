"""Made-up histories of posts to the collector: what is sent, by whom, and what happens between.

A plan is data: what only the run can know (an id, a cookie, a customer's token) stands in it as a
``Ref``, so that the part of a history that fails can be found, and printed. Hypothesis draws a
number for each step, from which the step is made; 0 is none.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from hypothesis import strategies as st

from . import values
from .values import CONSENT, CSRF, DEVICE, SESSION, Json, Random, make_value

PEOPLE = 3
HOSTS = 2  # the last of them also takes what is not defined


class Ref(t.NamedTuple):
    """What the run puts in: of a kind, the one with this number, and spoiled in this way.

    ``kind``: "id4", "id7", "id5", "id1" (of an event), "visit id", "visit" (a page's tag), "jwt",
    "csrf", or "time" (``which`` in milliseconds from the run's clock; ``spoiled`` is its form).
    """

    kind: str
    which: int = 0
    spoiled: str = ""


class Cookie(t.NamedTuple):
    """A cookie that is not the one a person has: ``of`` another, ``ago`` so many versions before,
    ``kind`` another's value, ``spoiled``; ``raw`` stands for all of these."""

    name: str
    of: int | None = None
    ago: int = 0
    kind: str = ""
    spoiled: str = ""
    raw: str | None = None


class Request(t.NamedTuple):
    """One request, which is one case. ``body`` is JSON with refs; ``edits`` are made to its bytes
    as (place from 0 to 1, bytes that go, bytes that come)."""

    who: int
    role: str
    path: str
    body: Json
    host: int = 0
    method: str = "POST"
    content_type: str = "application/json"
    form: str = "ascii"
    bearer: Ref | str | None = None
    headers: cabc.Mapping[str, str] = {}
    cookies: cabc.Sequence[Cookie] = ()
    edits: cabc.Sequence[tuple[float, int, bytes]] = ()


class Flush(t.NamedTuple):
    """The writer of a host writes."""

    host: int


class Jump(t.NamedTuple):
    """The clock goes on, or back."""

    seconds: float


class Page(t.NamedTuple):
    """A person opens a page of a host."""

    who: int
    host: int


class Sweep(t.NamedTuple):
    """A host ends silent sessions."""

    host: int


Step = Request | Flush | Jump | Page | Sweep


class History(tuple[Step, ...]):
    """Steps, in order. Its text has one a line, each cut to what a person reads."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "".join(f"\n    {clip(step)}" for step in self)


def clip(value: object, length: int = 1000) -> str:
    """Return the representation of a value, without the middle of a long one."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"


# Events


def make_ref(rng: Random, kind: str) -> Json:
    """Return what stands for an id, a time, a tag or a token; now and then any value instead."""
    if not rng.randrange(5):
        return make_value(rng)
    match kind:
        case "time":
            if not rng.randrange(4):
                return rng.choice(values.TIMES)
            form = rng.choice(("", "", "text", "zone", "float", "naive"))
            return Ref(kind, rng.choice(values.DISTANCES), form)
        case "event_id" | "page":
            return Ref(
                rng.choice(("id4", "id7") * 3 + ("visit id", "id5", "id1")), rng.randrange(6)
            )
        case "jwt":
            which = rng.randrange(rng.choice((64, 80, 160)))
            return Ref(kind, which, rng.choice(("",) * 6 + ("cut", "flip")))
        case "csrf":
            return Ref(kind, rng.randrange(PEOPLE), rng.choice(("", "", "cut", "flip")))
    return Ref("visit", rng.randrange(4), rng.choice(("", "", "", "cut", "flip", "swap")))


#: What is changed of a good event, the same word as often as it is to come.
CHANGES = (
    *("event_id", "event_id", "page", "page", "visit", "visit", "visit", "time", "label", "param"),
    *("param", "param", "address", "address", "action", "action", "params", "odd", "absent"),
)


def make_event(rng: Random) -> Json:
    """Return an event that is good but for some fields."""
    action, params = rng.choice(values.EVENTS)
    event: dict[str, Json] = {"action": action, "params": dict(params)}
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        change_event(rng, event)
    return event


def change_event(rng: Random, event: dict[str, Json]) -> None:
    """Change one field of an event, or one of its parameters."""
    change = rng.choice(CHANGES)
    params = event.get("params")
    match change:
        case "event_id" | "page" | "visit" | "time":
            event[change] = make_ref(rng, change)
        case "label":
            event[change] = rng.choice(values.TEXTS)
        case "action" if rng.randrange(4):
            made_up = [f"made.up{rng.randrange(100)}"] * 5
            event[change] = rng.choice([*values.REFUSED_ACTIONS, *made_up])
        case "param" if isinstance(params, dict):
            name = rng.choice(values.NAMES) if rng.randrange(4) else values.make_text(rng)
            event["params"] = {**params, name: make_value(rng)}
        case "address" if isinstance(params, dict):
            name = rng.choice(("url", "referrer", "href"))
            event["params"] = {**params, name: rng.choice(values.URLS)}
        case "absent":
            event.pop(rng.choice(("action", "params")), None)
        case "odd":
            event[values.make_text(rng)] = make_value(rng)
        case _:
            event[change] = make_value(rng)


# Bodies


def make_post(rng: Random) -> Json:
    """Return the body of a post: an event, several, or hardly either."""
    kind = rng.randrange(32)
    if kind == 0:
        return make_value(rng)
    body: dict[str, Json]
    if kind < 8:
        body = make_event(rng)
    elif kind == 8:
        body = {"events": make_value(rng)}
    elif kind == 9:
        body = {"events": [make_event(rng), make_value(rng)]}
    elif kind == 10:
        body = {"events": [make_event(rng)] * rng.choice((2, 99, 100, 101))}
    else:
        body = {"events": [make_event(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]}
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        name = rng.choice(("sent_at", "csrf_token", "token", "token", "by_visit", "dropped"))
        body[name] = make_field(rng, name)
    return body


def make_field(rng: Random, name: str) -> Json:
    """Return a value for a field of a post."""
    match name:
        case "by_visit":
            return rng.choice((True, True, True, False, 1, "true", None))
        case "dropped":
            return rng.choice(values.COUNTS)
        case "sent_at":
            return make_ref(rng, "time")
    return make_ref(rng, "jwt" if name == "token" else "csrf")


def make_account(rng: Random) -> Json:
    """Return the body of a log-in or a log-out; None is an empty one."""
    kind = rng.randrange(12)
    if kind < 2:
        return None if kind else make_value(rng)
    body = {"token": make_ref(rng, "jwt")} if kind > 3 else {}
    return {**body, "csrf_token": make_ref(rng, "csrf")} if kind == 4 else body


def make_choice(rng: Random) -> Json:
    kind = rng.randrange(10)
    if kind < 2:
        return {"choice": make_value(rng)} if kind else make_value(rng)
    return {"choice": rng.choice(("full", "full", "full", "full", "anonymous", "none", "FULL"))}


# Requests

ROLES = (
    *("page", "page", "page", "page", "page", "old page", "old page", "partner", "sibling"),
    *("app", "app", "stranger"),
)
PATHS: tuple[tuple[str, cabc.Callable[[Random], Json]], ...] = (
    *[("in", make_post)] * 12,
    *[("identify", make_account)] * 2,
    ("logout", make_account),
    ("consent", make_choice),
)
#: The part of a request that is odd: most often none.
ODDITIES = (
    *("",) * 10,
    *("cookies", "cookies", "headers", "headers", "headers", "edits", "bearer", "bearer"),
    *("form", "content_type", "method"),
)


def make_request(rng: Random) -> Request:
    """Return a request that is good but for one of its parts, and its body."""
    path, make_body = rng.choice(PATHS)
    request = Request(
        who=rng.randrange(PEOPLE),
        role=rng.choice(ROLES),
        path=path,
        body=make_body(rng),
        host=int(not rng.randrange(3)),
    )
    oddity = rng.choice(ODDITIES)
    return request._replace(**{oddity: make_oddity(rng, oddity)}) if oddity else request


def make_oddity(rng: Random, part: str) -> t.Any:
    """Return what is odd for this part of a request."""
    match part:
        case "cookies":
            return [make_cookie(rng) for _ in range(rng.choice((1, 1, 2)))]
        case "headers":
            names = rng.sample(sorted(values.HEADERS), rng.choice((1, 1, 2)))
            return {name: rng.choice(values.HEADERS[name]) for name in names}
        case "edits":
            return [
                (rng.random(), rng.randrange(4), rng.randbytes(rng.randrange(4)))
                for _ in range(rng.choice((1, 1, 2, 3)))
            ]
        case "bearer":
            return make_ref(rng, "jwt")
        case "form":
            return rng.choice(values.FORMS)
        case "content_type":
            return rng.choice(values.CONTENT_TYPES)
    return rng.choice(values.METHODS)


def make_cookie(rng: Random) -> Cookie:
    return Cookie(
        rng.choice((DEVICE, SESSION, CSRF, CONSENT, DEVICE, SESSION)),
        rng.choice((None, None, *range(PEOPLE))),
        rng.choice((0, 0, 0, 1, 2, 5)),
        rng.choice(("",) * 6 + (DEVICE, SESSION, CSRF)),
        rng.choice(("",) * 6 + values.SPOILS),
        rng.choice((None, None, None, rng.choice(values.COOKIES))),
    )


# Histories

JUMPS = (0.001, 1, 20, 59, 61, 90, 600, 1799, 1801, 2200, 4000, 90_000, 700_000, -1, -40, -2000)
SALT, LENGTH = 8, 60
NUMBERS = st.binary(min_size=SALT + LENGTH, max_size=SALT + LENGTH)


def make_step(rng: Random) -> Step:
    """Return a step; of ten, seven are requests."""
    kind, host = rng.randrange(20), rng.randrange(HOSTS)
    if kind == 0:
        return Sweep(host)
    if kind == 1:
        return Flush(host)
    if kind < 4:
        return Jump(rng.choice(JUMPS))
    if kind < 6:
        return Page(rng.randrange(PEOPLE), host)
    return make_request(rng)


@st.composite
def make_history(draw: st.DrawFn) -> History:
    """Return a history with a step for each number that is drawn, but for 0.

    One draw: with several, the engine makes most histories out of copies of a few steps.
    """
    drawn = draw(NUMBERS)
    salt, numbers = drawn[:SALT], drawn[SALT:]
    return History(make_step(Random(salt + bytes([number]))) for number in numbers if number)


HISTORIES = make_history()
