"""What made-up people do in a session, as the rows that the product would have written."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import random
import typing as t
import uuid as uuidlib

import msgspec

from ..catalogue.orders import Order, check_charge
from ..ids import session_end_id, session_id_of, session_start_id, uuid7
from ..money import from_minor
from ..privacy.urls import campaign_of, source_of
from ..records import (
    CAMPAIGN,
    CHARGE,
    PAGE_VISIT,
    SESSION_END,
    SESSION_START,
    Event,
    SessionRef,
    from_ns,
)
from ..store.orders import charge_row, expand
from ..store.rows import EventRow, SessionRow, TransactionRow, row_of
from ..store.settling import SETTLES_AFTER
from ..store.touches import Touch, columns_of, touch_of
from ..text import page_label
from . import world
from .people import HOUR, MINUTE, Browser, Person

_EPOCH = from_ns(0)
_CURRENCY = "EUR"
_SECOND = 1_000_000
_SWEEP_DELAY = 5 * MINUTE
_LONGEST = 2 * HOUR
_FIRST_ORDER = 100_001
_COUPON = "WOBBLE10"
_MOST_PAGES = 25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The app whose history is made up.

    :param now: when the history ends.
    :param host: the host of its URLs; ``name`` is its site.
    :param salt: ``EVENTTRACK_PROFILE_SALT``.
    :param records: whether an action is recorded.
    :param prefix: what the ids of customers and orders begin with, where there are others.
    """

    now: dt.datetime
    zone: dt.tzinfo
    salt: str
    name: str
    host: str
    find_channel: cabc.Callable[[str, str, bool], str | None]
    records: cabc.Callable[[str], bool]
    session_timeout: dt.timedelta = dt.timedelta(minutes=30)
    lookback: dt.timedelta = dt.timedelta(days=30)
    prefix: str = ""


@dataclasses.dataclass(slots=True)
class Alias:
    """A row of ``eventtrack_alias``."""

    anonymous_uuid: uuidlib.UUID
    customer_uuid: uuidlib.UUID
    created_at: dt.datetime
    stored_at: dt.datetime
    applied_at: dt.datetime | None


@dataclasses.dataclass(slots=True)
class Rows:
    """Rows that are not written yet. ``profiles`` are people of whom nothing more comes."""

    events: list[EventRow] = dataclasses.field(default_factory=list)
    sessions: list[SessionRow] = dataclasses.field(default_factory=list)
    transactions: list[TransactionRow] = dataclasses.field(default_factory=list)
    aliases: list[Alias] = dataclasses.field(default_factory=list)
    profiles: list[Person] = dataclasses.field(default_factory=list)


class _PresentReached(Exception):
    """What comes next has not happened yet."""


class Teller:
    """Tells sessions: adds their rows to ``rows``. All times are microseconds since the epoch."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.site, self.rng, self.rows = site, rng, Rows()
        self.now = in_microseconds(site.now)
        self.timeout = site.session_timeout // dt.timedelta(microseconds=1)
        self.orders = _FIRST_ORDER
        self.origins = world.Picker(world.ORIGINS)
        # Picked from lists, since making such numbers takes long: of a page, microseconds.
        self.pick_stay = world.Picker(dict.fromkeys(_make_stays(rng), 1))
        self.pick_duration = world.Picker(dict.fromkeys(_make_durations(rng), 1))
        self.describe_page = functools.lru_cache(maxsize=1024)(self._describe_page)
        self.describe_origin = functools.cache(self._describe_origin)

    def tell(self, person: Person, browser: Browser, start: int) -> int:
        """Tell one session of a person, as far as it has come by now; return how many events."""
        before = len(self.rows.events)
        _Session(self, person, browser, start).tell()
        person.done += 1
        if person.is_over() and person.last_known:
            self.rows.profiles.append(person)
        return len(self.rows.events) - before

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


class _Session:
    """One session, from its start until the person leaves, or until now."""

    def __init__(self, teller: Teller, person: Person, browser: Browser, start: int) -> None:
        self._teller, self._rng, self._rows = teller, teller.rng, teller.rows
        self._person, self._browser = person, browser
        self._site = teller.site.name
        self._origin = self._choose_origin()
        browser.number += 1
        self._start = self._at = self._last = start
        self._uuid = person.uuid if browser.is_known else browser.id
        self._url, self._visit = "", browser.id
        self._second, self._stored_at = 0, teller.site.now
        self._query = self._origin.query
        self._basket: dict[world.Product, int] = {}
        self._logs_in = bool(person.customer_id) and (
            person.done == person.login or (person.done > person.login and not browser.is_known)
        )
        place, device = person.place, browser.device
        self._shown = {
            "viewport": device.viewport,
            "screen": device.screen,
            "language": place.language,
            "timezone_offset": place.offset,
        }
        self._row = SessionRow(
            id=session_id_of(browser.id, browser.number),
            uuid=self._uuid,
            device_id=browser.id,
            started_at=from_us(start),
            last_seen_at=from_us(start),
            browser=device.browser,
            os=device.os,
            device_type=device.type,
            language=place.language,
            country=place.country,
            site=self._site,
            person=person.uuid,
            **teller.describe_origin(self._origin),  # type: ignore[arg-type]
        )

    def _choose_origin(self) -> world.Origin:
        rng = self._rng
        if self._person.done and rng.random() < 0.6:  # who knows the shop needs no search engine
            return world.NEWSLETTERS(rng) if rng.random() < 0.3 else world.DIRECT
        return self._teller.origins(rng)

    # From the first page to the last

    def tell(self) -> None:
        if self._browser.is_known:
            self._be_known()
        self._add(
            SESSION_START, self._start - 1, session_start_id(self._row.id), {}, "Started session"
        )
        with contextlib.suppress(_PresentReached):
            self._browse()
        self._row.uuid = self._uuid
        self._row.last_seen_at = from_us(self._last)
        self._end()
        self._rows.sessions.append(self._row)

    def _browse(self) -> None:
        rng = self._rng
        page = self._choose_landing()
        self._show(page)
        if self._logs_in:
            self._log_in()
        elif page.product is None and rng.random() < 0.53:
            return
        stays = 0.86 if self._person.has_come_often else 0.78
        while self._row.pages < _MOST_PAGES and self._at < self._start + _LONGEST:
            if rng.random() > stays:
                return
            self._show(page := self._choose_next(page))
            if page.product is not None and rng.random() < 0.11:
                self._add_to_basket(page.product)
                if rng.random() < 0.5:
                    self._check_out()
            elif rng.random() < 0.008:
                self._subscribe()

    def _choose_landing(self) -> world.Page:
        return _pick_page(world.LANDINGS[self._origin.landing](self._rng), self._rng)

    def _choose_next(self, page: world.Page) -> world.Page:
        following = page
        while following is page:
            following = _pick_page(world.NEXT(self._rng), self._rng)
        return following

    # Pages

    def _show(self, page: world.Page) -> None:
        """Show a page, and stay on it for a while."""
        rng, at = self._rng, self._at
        self._visit = self._teller.make_id(at)
        known, label = self._teller.describe_page(page, self._query)
        referrer, took = self._url or self._origin.referrer, self._teller.pick_duration(rng)
        params = {**known, "duration_ms": took / 1000}
        self._query, self._url = "", known["url"]
        if referrer:
            params["referrer"] = referrer
        stay = self._teller.pick_stay(rng) + rng.getrandbits(21)
        claimed_by = None
        if rng.random() < 0.96:  # the others block the script
            claimed_by = self._teller.make_id(at + 300_000)
            params.update(self._shown)
            self._note_view(params, min(stay, self._teller.now - at))
        self._add(PAGE_VISIT, at, self._visit, params, label, page.rule, claimed_by)
        self._move_pages(page.rule, known["path"])
        self._at += took
        if page.product is not None or page.search is not None:
            self._track_content(page)
        self._at = at + stay

    def _note_view(self, params: dict[str, t.Any], stay: int) -> None:
        """Note how long a page was in view, and how far it was read."""
        visible = int(stay / 1000 * min(1.0, 0.6 + 0.7 * self._rng.random()))
        if visible > 1000:
            params["visible_ms"] = visible
            params["scroll"] = min(100, 30 + int(visible / 400 * self._rng.random()))
            self._row.visible_ms += visible

    def _move_pages(self, rule: str, path: str) -> None:
        row, at = self._row, from_us(self._at)
        row.pages += 1
        if row.pages == 1:
            row.entry, row.entry_at, row.entry_rule = path, at, rule
            self._person.add_touch(t.cast("Touch", touch_of(row)))
        row.exit, row.exit_at, row.exit_rule = path, at, rule

    def _track_content(self, page: world.Page) -> None:
        visit = {"visit": str(self._visit)}
        if page.product is not None:
            self._track("product.view", {**_describe(page.product), **visit}, page.product.name)
        elif page.search is not None:
            words, found = page.search
            self._track("search.query", {"query": words, "results": found, **visit}, words)

    # Purchases

    def _add_to_basket(self, product: world.Product) -> None:
        quantity = 1 if self._rng.random() < 0.86 else 2
        self._basket[product] = self._basket.get(product, 0) + quantity
        params = {**_describe(product), "quantity": quantity}
        self._track("product.addToCart", params, product.name)
        self._wait(0.05)
        self._show(world.BASKET)
        if self._rng.random() < 0.08:
            del self._basket[product]
            self._track("product.removeFromCart", params, product.name)

    def _check_out(self) -> None:
        if not self._basket:
            return
        self._show(world.CHECKOUT)
        if self._rng.random() < 0.36:
            return
        self._wait(self._rng.uniform(20, 120))  # at the bank
        number = self._teller.orders
        self._teller.orders += 1
        self._charge(number)
        self._wait(0.05)
        self._show(world.order_page(number))
        self._basket.clear()

    def _charge(self, number: int) -> None:
        if not self._teller.site.records(CHARGE):
            return
        self._check_present()
        at, visit = from_us(self._at), self._teller.make_id(self._at)
        site, row = self._teller.site, self._row
        checked = check_charge(self._make_order(number), site.salt, _write_buy_label)
        order = msgspec.structs.replace(checked.charge, visit_id=visit)
        for item in order.items:
            item.params["visit"] = str(visit)
        event = Event(
            id=checked.id,
            action=CHARGE,
            time=at,
            received_at=at,
            uuid=self._uuid,
            params={**checked.params, "visit": str(visit)},
            label=checked.label,
            site=self._site,
            session=SessionRef(row.id, row.device_id, row.started_at),
            order=order,
        )
        stored_at = self._store_at(self._at)
        rows = [row_of(each, stored_at) for each in expand(event) if site.records(each.action)]
        self._rows.events += rows
        row.events += len(rows)
        self._last = in_microseconds(rows[-1].time)
        self._rows.transactions.append(self._settle(charge_row(event, order, stored_at)))
        if self._browser.is_known:
            self._person.traits["orders"] = self._person.traits.get("orders", 0) + 1
            self._person.last_known = self._at

    def _make_order(self, number: int) -> Order:
        cents = sum(_cents(product.price) * count for product, count in self._basket.items())
        coupon = _COUPON if self._rng.random() < 0.12 else None
        discount = cents // 10 if coupon else 0
        items = [
            {
                "sku": product.sku,
                "name": product.name,
                "category": product.category,
                "quantity": count,
                "final_unit_price": product.price,
            }
            for product, count in self._basket.items()
        ]
        return Order(
            order_id=f"{self._teller.site.prefix or 'demo-'}{number}",
            total=from_minor(cents - discount, _CURRENCY),
            currency=_CURRENCY,
            items=items,
            discount=from_minor(discount, _CURRENCY),
            coupon=coupon,
            payment_method="Wobbly Bank",
        )

    def _settle(self, row: TransactionRow) -> TransactionRow:
        person = self._person
        last, lookback = person.latest_named, self._teller.site.lookback
        if last is None or last.at < row.time - lookback:
            last = person.latest
        for name, value in columns_of(person.first, last).items():
            setattr(row, name, value)
        row.person = person.uuid
        row.settled_at = self._find_chore(row.stored_at)
        return row

    # Accounts

    def _log_in(self) -> None:
        person, browser = self._person, self._browser
        is_new = not person.last_known and self._rng.random() < 0.6
        self._show(world.SIGNUP if is_new else world.LOGIN)
        self._uuid = person.uuid
        browser.is_known = True
        self._be_known()
        created_at, stored_at = from_us(self._at), self._store_at(self._at)
        self._rows.aliases.append(
            Alias(browser.id, person.uuid, created_at, stored_at, self._find_chore(stored_at))
        )
        if is_new:
            person.traits["customer_since"] = created_at.date().isoformat()
            self._track("customer.signup", {}, "")
            self._wait(0.01)
        self._track("customer.login", {"customer_id": person.customer_id}, "")
        self._wait(0.05)
        self._show(world.HOME)

    def _be_known(self) -> None:
        """The host names the customer: from here on only they may read the session."""
        self._row.private_at = from_us(self._at)
        self._person.first_known = self._person.first_known or self._at
        self._person.last_known = self._at

    def _subscribe(self) -> None:
        topic = world.TOPICS(self._rng)
        self._track("newsletter.signup", {"topic": topic}, topic)
        if self._browser.is_known:
            self._person.traits["newsletter"] = topic
        self._wait(0.05)
        self._show(world.THANKS)

    # Rows

    def _wait(self, seconds: float) -> None:
        self._at += int(seconds * _SECOND)

    def _check_present(self) -> None:
        if self._at > self._teller.now:
            raise _PresentReached

    def _track(self, action: str, params: dict[str, t.Any], what: str) -> None:
        """Add an event of the server's, if the app records it."""
        if self._teller.site.records(action):
            label = _LABELS[action].format(what)
            self._add(action, self._at, self._teller.make_id(self._at), params, label)

    def _add(
        self,
        action: str,
        at: int,
        event_id: uuidlib.UUID,
        params: dict[str, t.Any],
        label: str,
        rule: str = "",
        claimed_by: uuidlib.UUID | None = None,
    ) -> None:
        self._check_present()
        moment, stored_at = from_us(at), self._store_at(at)
        is_derived = action == SESSION_START
        received_at = stored_at if is_derived else moment
        self._rows.events.append(
            EventRow(
                event_id,
                action,
                moment,
                received_at,
                stored_at,
                label,
                self._uuid,
                self._row.id,
                self._site,
                rule,
                "server",
                claimed_by,
                params,
                None,
            )
        )
        if not is_derived:
            self._row.events += 1
            self._last = at

    def _store_at(self, at: int) -> dt.datetime:
        """Return when the writer stores what happens now: at the end of the second."""
        second = at // _SECOND
        if second != self._second:
            self._second = second
            self._stored_at = from_us(min(at + _SECOND - at % _SECOND, self._teller.now))
        return self._stored_at

    def _find_chore(self, stored_at: dt.datetime) -> dt.datetime | None:
        """Return when the writer's chore settles a new row, if that was before now."""
        at = stored_at + SETTLES_AFTER + dt.timedelta(seconds=self._rng.random() * 60)
        return at if at <= self._teller.site.now else None

    def _end(self) -> None:
        """End the session, if the sweeper has done so by now."""
        row = self._row
        swept = self._last + self._teller.timeout + _SWEEP_DELAY + int(self._rng.random() * MINUTE)
        if swept > self._teller.now:
            return
        row.ended_at = row.last_seen_at
        params = {
            "duration": (row.last_seen_at - row.started_at).total_seconds(),
            "pages": row.pages,
            "events": row.events,
            "reason": "timeout",
        }
        at = from_us(swept)
        self._rows.events.append(
            EventRow(
                session_end_id(row.id),
                SESSION_END,
                row.last_seen_at,
                at,
                at,
                "Session end",
                row.uuid,
                row.id,
                self._site,
                "",
                "server",
                None,
                params,
                None,
            )
        )


_LABELS = {
    "product.view": "Viewed {}",
    "product.addToCart": "Added {} to the basket",
    "product.removeFromCart": "Removed {} from the basket",
    "search.query": "Searched for {}",
    "customer.signup": "Opened an account",
    "customer.login": "Logged in",
    "newsletter.signup": "Signed up for news about {}",
}


def from_us(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(0, 0, microseconds)


def in_microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _make_stays(rng: random.Random) -> list[int]:
    """Return for how long people stay on a page: mostly some 30 s, at most 15 minutes."""
    seconds = (3 + rng.lognormvariate(3.3, 1.0) for _ in range(2000))
    return [min(int(each * _SECOND), 15 * MINUTE) for each in seconds]


def _make_durations(rng: random.Random) -> list[int]:
    """Return how long the server takes for a page: mostly some 20 ms."""
    return [4000 + int(rng.expovariate(0.06) * 1000) for _ in range(2000)]


def _pick_page(found: world.Page | world.Picker[world.Page], rng: random.Random) -> world.Page:
    return found(rng) if isinstance(found, world.Picker) else found


def _describe(product: world.Product) -> dict[str, t.Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "final_unit_price": product.price,
        "currency": _CURRENCY,
    }


def _cents(price: str) -> int:
    return int(price.replace(".", ""))


def _write_buy_label(params: cabc.Mapping[str, t.Any]) -> str:
    return f"Bought {params['name']}"
