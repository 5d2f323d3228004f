"""How the rows of a made-up session come about: as the product would have written them."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import functools
import random
import typing as t
import uuid as uuidlib

from ..ids import session_end_id, session_id_of, uuid7
from ..privacy.urls import campaign_of, source_of
from ..records import CAMPAIGN, PAGE_VISIT, SESSION_END, SESSION_START
from ..store.rows import EventRow, SessionRow
from ..store.sessions import end_row
from ..store.settling import SETTLES_AFTER
from ..store.touches import Touch, touch_of
from ..text import page_label
from . import world
from .people import MINUTE, Browser, Person
from .site import Rows, Site, from_us, in_microseconds

CURRENCY = "EUR"
SECOND = 1_000_000
_SWEEP_DELAY = 5 * MINUTE
_FIRST_ORDER = 100_001
_Described = tuple[dict[str, t.Any], str]
_Columns = dict[str, str | None]
_LABELS = {
    "product.view": "Viewed {}",
    "product.addToCart": "Added {} to the basket",
    "product.removeFromCart": "Removed {} from the basket",
    "search.query": "Searched for {}",
    "customer.signup": "Opened an account",
    "customer.login": "Logged in",
    "newsletter.signup": "Signed up for news about {}",
    "element.view": "Saw {}",
    "element.hover": "Hovered over {}",
    "link.click": "Clicked link {}",
    "form.start": "Began form {}",
    "form.submit": "Submitted form {}",
    "form.abandon": "Left form {}",
}


class PresentReached(Exception):
    """What comes next has not happened yet."""


class Maker:
    """What all sessions share. All times are microseconds since the epoch."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.site: Site = site
        self.rng: random.Random = rng
        self.rows: Rows = Rows()
        self.now: int = in_microseconds(site.now)
        self.timeout: int = site.session_timeout // dt.timedelta(microseconds=1)
        self.orders: int = _FIRST_ORDER
        self.origins: world.Picker[world.Origin] = world.Picker(world.ORIGINS)
        # Picked from lists, since making such numbers takes long: of a page, microseconds.
        self.pick_stay: world.Picker[int] = world.Picker(dict.fromkeys(_make_stays(rng), 1))
        self.pick_duration: world.Picker[int] = world.Picker(dict.fromkeys(_make_durations(rng), 1))
        self.describe_page: cabc.Callable[[world.Page, str], _Described] = functools.lru_cache(
            maxsize=1024
        )(self._describe_page)
        self.describe_origin: cabc.Callable[[world.Origin], _Columns] = functools.cache(
            self._describe_origin
        )

    def make_id(self, at: int) -> uuidlib.UUID:
        return uuid7(at * 1000, self.rng.getrandbits(64))

    def _describe_page(self, page: world.Page, query: str) -> tuple[dict[str, t.Any], str]:
        """Return what the server knows of a page, without its referrer; and the visit's label."""
        path, _, own = page.path.partition("?")
        queries = "&".join(filter(None, (own, query)))
        url = f"http://{self.site.host}{path}{'?' + queries if queries else ''}"
        names = {"path": path, "endpoint": page.endpoint, "url_rule": page.rule}
        known = {"url": url, **names, **campaign_of(url), "title": page.title, "status": 200}
        return known, page_label(known)

    def _describe_origin(self, origin: world.Origin) -> dict[str, str | None]:
        """Return a session's columns for where it comes from."""
        url = f"http://{self.site.host}/?{origin.query}"
        source, named = source_of(url, origin.referrer), campaign_of(url)
        channel = self.site.find_channel(source, named.get("utm_medium", ""), bool(named))
        unknown = dict.fromkeys(CAMPAIGN)
        found = {"referrer": origin.referrer or None, "source": source, "channel": channel}
        return {**found, **unknown, **named}


def _make_stays(rng: random.Random) -> list[int]:
    """Return for how long people stay on a page: mostly some 30 s, at most 15 minutes."""
    seconds = (3 + rng.lognormvariate(3.3, 1.0) for _ in range(2000))
    return [min(int(each * SECOND), 15 * MINUTE) for each in seconds]


def _make_durations(rng: random.Random) -> list[int]:
    """Return how long the server takes for a page: mostly some 20 ms."""
    return [4000 + int(rng.expovariate(0.06) * 1000) for _ in range(2000)]


class SessionRows:
    """A session's rows as they grow: its pages, and what the server tracks in between."""

    def __init__(
        self, maker: Maker, person: Person, browser: Browser, origin: world.Origin, start: int
    ) -> None:
        self.maker: Maker = maker
        self.rng: random.Random = maker.rng
        self.rows: Rows = maker.rows
        self.person: Person = person
        self.browser: Browser = browser
        self.site: str = maker.site.name
        self.origin: world.Origin = origin
        browser.number += 1
        self._start = start
        self.at: int = start
        self.last: int = start
        self.uuid: uuidlib.UUID = person.uuid if browser.is_known else browser.id
        self._url = ""
        self.visit: uuidlib.UUID = browser.id
        self._second, self._stored_at = 0, maker.site.now
        self._query = self.origin.query
        place, device = person.place, browser.device
        self._shown = {
            "viewport": device.viewport,
            "screen": device.screen,
            "language": place.language,
            "timezone_offset": place.offset,
        }
        self.row: SessionRow = SessionRow(
            id=session_id_of(browser.id, browser.number),
            uuid=self.uuid,
            device_id=browser.id,
            started_at=from_us(start),
            last_seen_at=from_us(start),
            browser=device.browser,
            os=device.os,
            device_type=device.type,
            language=place.language,
            country=place.country,
            site=self.site,
            person=person.uuid,
            **maker.describe_origin(self.origin),  # type: ignore[arg-type]
        )

    # Pages

    def show(self, page: world.Page) -> None:
        """Show a page, and stay on it for a while."""
        rng, at = self.rng, self.at
        self.visit = self.maker.make_id(at)
        known, label = self.maker.describe_page(page, self._query)
        referrer, took = self._url or self.origin.referrer, self.maker.pick_duration(rng)
        params = {**known, "duration_ms": took / 1000}
        self._query, self._url = "", known["url"]
        if referrer:
            params["referrer"] = referrer
        stay = self.maker.pick_stay(rng) + rng.getrandbits(21)
        claimed_by = None
        if rng.random() < 0.96:  # the others block the script
            claimed_by = self.maker.make_id(at + 300_000)
            params.update(self._shown)
            self._note_view(params, min(stay, self.maker.now - at))
        self.add(PAGE_VISIT, at, self.visit, params, label, page.rule, claimed_by)
        self._move_pages(page.rule, known["path"])
        self.at += took
        if page.product is not None or page.search is not None:
            self._track_content(page)
        self.at = at + stay

    def _note_view(self, params: dict[str, t.Any], stay: int) -> None:
        """Note how long a page was in view, and how far it was read."""
        visible = int(stay / 1000 * min(1.0, 0.6 + 0.7 * self.rng.random()))
        if visible > 1000:
            params["visible_ms"] = visible
            params["scroll"] = min(100, 30 + int(visible / 400 * self.rng.random()))
            self.row.visible_ms += visible

    def _move_pages(self, rule: str, path: str) -> None:
        row, at = self.row, from_us(self.at)
        row.pages += 1
        if row.pages == 1:
            row.entry, row.entry_at, row.entry_rule = path, at, rule
            self.person.add_touch(t.cast("Touch", touch_of(row)))
        row.exit, row.exit_at, row.exit_rule = path, at, rule

    def _track_content(self, page: world.Page) -> None:
        visit = {"visit": str(self.visit)}
        if page.product is not None:
            self.track("product.view", {**describe(page.product), **visit}, page.product.name)
        elif page.search is not None:
            words, found = page.search
            self.track("search.query", {"query": words, "results": found, **visit}, words)

    # Rows

    def wait(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)

    def check_present(self) -> None:
        if self.at > self.maker.now:
            raise PresentReached

    def track(self, action: str, params: dict[str, t.Any], what: str) -> None:
        """Add an event of the server's, if the app records it."""
        if self.maker.site.records(action):
            label = _LABELS[action].format(what)
            self.add(action, self.at, self.maker.make_id(self.at), params, label)

    def report(self, action: str, params: dict[str, t.Any], what: str) -> None:
        """Add an event of the browser's, if the app records it."""
        if self.maker.site.records(action):
            label, named = _LABELS[action].format(what), {**params, "visit": str(self.visit)}
            event_id = self.maker.make_id(self.at)
            self.add(action, self.at, event_id, named, label, source="browser")

    def add(
        self,
        action: str,
        at: int,
        event_id: uuidlib.UUID,
        params: dict[str, t.Any],
        label: str,
        rule: str = "",
        claimed_by: uuidlib.UUID | None = None,
        source: str = "server",
    ) -> None:
        self.check_present()
        moment, stored_at = from_us(at), self.store_at(at)
        is_derived = action == SESSION_START
        received_at = stored_at if is_derived else moment
        self.rows.events.append(
            EventRow(
                event_id,
                action,
                moment,
                received_at,
                stored_at,
                label,
                self.uuid,
                self.row.id,
                self.site,
                rule,
                source,
                claimed_by,
                params,
                None,
            )
        )
        if not is_derived:
            self.row.events += 1
            self.last = at

    def store_at(self, at: int) -> dt.datetime:
        """Return when the writer stores what happens now: at the end of the second."""
        second = at // SECOND
        if second != self._second:
            self._second = second
            self._stored_at = from_us(min(second * SECOND + SECOND - 1, self.maker.now))
        return self._stored_at

    def find_chore(self, stored_at: dt.datetime) -> dt.datetime | None:
        """Return when the writer's chore settles a new row, if that was before now."""
        at = stored_at + SETTLES_AFTER + dt.timedelta(seconds=self.rng.random() * 60)
        return at if at <= self.maker.site.now else None

    def end(self) -> None:
        """End the session, if the sweeper has done so by now."""
        row = self.row
        swept = self.last + self.maker.timeout + _SWEEP_DELAY + int(self.rng.random() * MINUTE)
        if swept > self.maker.now:
            return
        params = end_row(row, "timeout")
        at = from_us(swept)
        self.rows.events.append(
            EventRow(
                session_end_id(row.id),
                SESSION_END,
                row.last_seen_at,
                at,
                at,
                "Session end",
                row.uuid,
                row.id,
                self.site,
                "",
                "server",
                None,
                params,
                None,
            )
        )


def describe(product: world.Product) -> dict[str, t.Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "final_unit_price": product.price,
        "currency": CURRENCY,
    }
