"""What stands in made-up requests: values that have broken parsers, databases and rules before."""

from __future__ import annotations

import math
import random
import typing as t

Json = t.Any
Random = random.Random

PARTNER = "https://partner.example"
SIBLING = "http://shop.localhost"
OWN = "http://localhost"
EMAIL = "zoe@mail.example"
SECRET = "5up3r5ecret"
DEVICE, SESSION, CSRF, CONSENT = (
    f"eventtrack_{name}" for name in ("device", "session", "csrf", "consent")
)


def nested(depth: int, *, objects: bool) -> Json:
    """Return lists or objects so many levels deep."""
    value: Json = 1
    for _ in range(depth):
        value = {"a": value} if objects else [value]
    return value


TEXTS: tuple[str, ...] = (
    *("", "\0", "a\0b", "\ud800", "\udc00\ud83d", "\ud83d\udc9a", "💚", "\u202eevil\u2066"),
    *("e\u0301", "\ufeff", "\u2028", "\x7f", "\r\nSet-Cookie: a=b", "%00", "%s %(id)s :id"),
    *("{x}", "{0.__class__}", "a.b", "x" * 64, "x" * 65, "x" * 255, "x" * 256, "x" * 3000),
    *("💚" * 100, "💚" * 300, "1", "0.5", "-1", "1e5", "true", "null", "NaN", "007", "9" * 30),
    *("<script>alert(1)</script>", "'; DROP TABLE x;--", EMAIL, f"mail me: {EMAIL}"),
    *("4111 1111 1111 1111", "Bearer abcdef0123456789", "..", "/", "\\", '"', "null\n"),
)
SCALARS: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 10, 11, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1),
    *(10**400, 0.0, -0.0, 0.1, 5e-324, 1.8e308, math.nan, math.inf, -math.inf, 99.99),
)
#: About the limits: 8 levels, 256 names, 64 characters a name, 32 KiB.
BIG: tuple[Json, ...] = (
    *([], {}, [None], {"": 1}, {"a": {"b": [1, {"c": None}]}}, {"\ud800": 1, "\0": 2}),
    *(nested(depth, objects=kind) for depth in (6, 7, 8, 30) for kind in (True, False)),
    *({f"n{n}": n for n in range(count)} for count in (250, 254, 255, 256, 257)),
    *([{f"n{n}": [n]} for n in range(count)] for count in (200, 255, 256)),
    *("x" * size for size in (32_600, 32_700, 32_740, 32_750, 32_755, 32_758, 32_760, 33_000)),
    *("\u20ac" * 10_910, "\x01" * 5_460, ["x" * 30_000, "y" * 3_000], {"x" * 65: 1}),
)
URLS: tuple[str, ...] = (
    *(f"{OWN}/", f"{OWN}/products/mug", f"{OWN}/products/tea?utm_source=news&utm_campaign=%00%ff"),
    *(f"{OWN}/?token={SECRET}&a=1", f"https://user:{SECRET}@shop.example/a#b", f"{OWN}/\ud800"),
    *(f"{OWN}/\0", "javascript:alert(1)", "mailto:a", "http://", "http://[::1", "//x/y"),
    *("x" * 2500, f"http://{'x' * 3000}", f"{OWN}/{'%F0%9F%92%9A' * 100}", "http://①②/"),
    *(f"{OWN}/?{'a=b&' * 900}", f"{OWN}/_et/in", f"{OWN}/products/%2e%2e/|", "http://h:99999/"),
    *(f"{OWN}/?utm_source={'x' * 1900}", f"{PARTNER}/p?email={SECRET}&x=1", f"{OWN}/?q={EMAIL}"),
    *(f"{OWN}//evil.example/", f"{OWN}/#/route?token={SECRET}", "HTTP://LOCALHOST/"),
)


def make_text(rng: Random) -> str:
    """Return up to 12 characters from anywhere in Unicode, surrogates too."""
    limits = (0x80, 0x100, 0x3000, 0xE000, 0x110000)
    return "".join(chr(rng.randrange(rng.choice(limits))) for _ in range(rng.randrange(13)))


def make_tree(rng: Random, levels: int = 4) -> Json:
    """Return JSON of a few levels."""
    kind = rng.randrange(6) if levels else 0
    if kind == 4:
        return [make_tree(rng, levels - 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {make_text(rng): make_tree(rng, levels - 1) for _ in range(rng.randrange(4))}
    return rng.choice(TEXTS if kind == 3 else SCALARS)


def make_value(rng: Random) -> Json:
    """Return any JSON at all."""
    match rng.randrange(8):
        case 0:
            return make_text(rng)
        case 1:
            return make_tree(rng)
        case 2:
            return rng.randrange(-(2**70), 2**70)
        case 3:
            return rng.uniform(-1, 1) * 10 ** rng.randrange(-300, 300)
    return rng.choice(rng.choice((TEXTS, SCALARS, BIG, URLS)))


#: Actions, and parameters with which they are taken.
EVENTS: tuple[tuple[str, dict[str, Json]], ...] = (
    ("button.click", {}),
    ("button.click", {"id": "buy", "text": "Buy"}),
    ("page.visit", {"url": f"{OWN}/", "title": "Home"}),
    ("page.visit", {"url": f"{OWN}/", "title": "Home", "opengraph": {"type": "website"}}),
    ("page.visit", {"url": f"{OWN}/products/mug", "referrer": f"{OWN}/", "viewport": "8x6"}),
    ("page.engage", {"visible_s": 1.5, "scroll": 40}),
    ("page.engage", {"visible_ms": 1500}),
    ("link.click", {"href": f"{OWN}/products/tea"}),
    ("screen.view", {"name": "start"}),
    ("product.addToCart", {"sku": "A1", "quantity": "2"}),
    ("shop.view", {"sku": "A1", "name": "Mug", "price": 9.5, "count": 3, "tags": ["a", "b"]}),
    ("shop.view", {"sku": "B2", "name": "Tea"}),
    ("product.view", {"sku": "A1", "final_unit_price": "9.50", "categories": ["a"]}),
    ("cart.status", {"products": [{"sku": "A1"}], "total_amount": 9.5, "total_quantity": 1}),
    ("account.close", {}),
    ("account.note", {"text": "hello"}),
)
REFUSED_ACTIONS: tuple[str, ...] = (
    *("session.start", "session.end", "transaction.charge", "customer.login", "customer.logout"),
    *("transaction.cancel", "transaction.x"),
    *("product.buy", "server.only", "denied.event", "who.knows", "a.b", "a.c", "click", ".", ".a"),
    *("a.", "button.click\n", " button.click", "button.\u0441lick", "button.💚", "b." + "x" * 30),
    *("b." + "x" * 31, "a.\0", "a.\ud800", "", "a'.b;--", "BUTTON.CLICK", "..", "...", "a..b"),
    *("-._", "x" * 5000),
)
NAMES: tuple[str, ...] = (
    *("url", "referrer", "href", "path", "title", "status", "duration_ms", "url_rule", "endpoint"),
    *("id", "text", "name", "sku", "price", "count", "tags", "quantity", "visible_s", "scroll"),
    *("visit", "original_time", "utm_source", "opengraph", "author", "customer_id", "a b", "$"),
    *("nobody_knows", "", "\0", "\ud800", "x" * 64, "x" * 65, "__class__", "dwell_ms", "language"),
)
TIMES: tuple[Json, ...] = (
    *("soon", "", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-23:59", math.nan, math.inf, True),
    *("0001-01-01T00:00:00+23:59", 1e300, -1e300, 10**400, [], {}, "\ud800", 0, 253402300799999),
)
#: In milliseconds from the clock.
DISTANCES: tuple[int, ...] = (
    *(0, 0, -1, -1000, -31_000, -1_800_000, -1_900_000, -3_700_000, -86_400_000, 1, 1000, 31_000),
    *(-604_800_000, -604_800_001, -700_000_000, 86_400_000, -(10**13)),
)
COUNTS: tuple[Json, ...] = (1, 7, 100_000, 100_001, 0, -1, True, 1.0, "3", None, 10**30)

# Requests

METHODS = ("OPTIONS", "OPTIONS", "GET", "PUT", "HEAD", "DELETE", "PATCH")
CONTENT_TYPES = (
    *("text/plain", "text/plain;charset=UTF-8", "application/json; charset=latin-1", "", ";;;"),
    *("text/html", "application/json; charset=utf-16", "application/json-seq", "APPLICATION/JSON"),
    *("multipart/form-data", "application/x-www-form-urlencoded"),
)
FORMS = ("raw", "raw", "utf-16", "latin-1", "bom", "padded")
ODD = (
    *("", "x", "null", "\xff\xfe", "\0", "é" * 50, "a\r\nX-Injected: 1", "x" * 3000, "1"),
    *("=?utf-8?q?=00?=", "a=b; c", "\t", "'; --"),
)
HEADERS: dict[str, tuple[str, ...]] = {
    "Sec-Fetch-Site": ("same-origin", "same-site", "cross-site", "none", "SAME-ORIGIN", *ODD),
    "Sec-Fetch-Mode": ("cors", "no-cors", *ODD),
    "Origin": (OWN, PARTNER, SIBLING, f"{OWN}:80", "http://evil.example", "null", *ODD),
    "Referer": (f"{OWN}/products/mug", "http://evil.example/", f"{PARTNER}/", *ODD),
    "User-Agent": ("Googlebot/2.1", "curl/8", "Mozilla/5.0 (iPhone) Safari/1 Version/9", *ODD),
    "DNT": ("1", "0", *ODD),
    "Sec-GPC": ("1", "0", *ODD),
    "X-EventTrack-Device": ODD,
    "X-EventTrack-Session": ODD,
    "Host": ("localhost", "LOCALHOST:80", "other.example", "[::1]", "[::1", "x" * 300, *ODD),
    "Accept-Language": ("de-CH, de;q=0.9", *ODD),
    "X-Country": ("de", "ß" * 9, *ODD),
    "Content-Encoding": ("gzip", "identity", "br, gzip", *ODD),
    "Authorization": ("Basic dXNlcjpwYXNz", "Bearer", "Bearer x.y.z", "bearer  x", *ODD),
    "X-Forwarded-For": ("203.0.113.9, 10.0.0.1", *ODD),
    "Cookie": ("a=b", f"{DEVICE}=x; {DEVICE}=y", f"{CONSENT}=none", *ODD),
}
COOKIES = (*ODD, "none", "anonymous", "full", "a.b", "AQ.x", "eyJhIjoxfQ.Zm9v")
SPOILS = ("cut", "flip", "swap", "double", "case")
