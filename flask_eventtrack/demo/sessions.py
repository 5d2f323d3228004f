"""What made-up people do in a session, as the rows that the product would have written."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import random
import typing as t

import msgspec

from ..catalogue.orders import Order, check_charge
from ..ids import session_start_id
from ..money import from_minor
from ..records import CHARGE, SESSION_START, Event, SessionRef
from ..store.orders import charge_row, expand
from ..store.rows import TransactionRow, row_of
from ..store.touches import columns_of
from . import world
from .people import HOUR, Browser, Person
from .recording import CURRENCY, Maker, PresentReached, SessionRows, describe
from .site import Alias, from_us, in_microseconds

_LONGEST = 2 * HOUR
_COUPON = "WOBBLE10"
_MOST_PAGES = 25


def tell(maker: Maker, person: Person, browser: Browser, start: int) -> int:
    """Tell one session of a person, as far as it has come by now; return how many events."""
    before = len(maker.rows.events)
    _Session(maker, person, browser, start).tell()
    person.done += 1
    if person.is_over() and person.last_known:
        maker.rows.profiles.append(person)
    return len(maker.rows.events) - before


class _Session(SessionRows):
    """One session, from its start until the person leaves, or until now."""

    def __init__(self, maker: Maker, person: Person, browser: Browser, start: int) -> None:
        super().__init__(maker, person, browser, _choose_origin(maker, person), start)
        self._basket: dict[world.Product, int] = {}
        self._logs_in = bool(person.customer_id) and (
            person.done == person.login or (person.done > person.login and not browser.is_known)
        )

    # From the first page to the last

    def tell(self) -> None:
        if self.browser.is_known:
            self._be_known()
        self.add(
            SESSION_START, self._start - 1, session_start_id(self.row.id), {}, "Started session"
        )
        with contextlib.suppress(PresentReached):
            self._browse()
        self.row.uuid = self.uuid
        self.row.last_seen_at = from_us(self.last)
        self.end()
        self.rows.sessions.append(self.row)

    def _browse(self) -> None:
        rng = self.rng
        page = self._choose_landing()
        self.show(page)
        if self._logs_in:
            self._log_in()
        elif page.product is None and rng.random() < 0.53:
            return
        stays = 0.86 if self.person.has_come_often else 0.78
        while self.row.pages < _MOST_PAGES and self.at < self._start + _LONGEST:
            if rng.random() > stays:
                return
            banner = world.BANNERS.get(page.path)
            clicked = banner is not None and self._meet(banner)
            page = banner.target if banner and clicked else self._choose_next(page)
            self.show(page)
            if page.product is not None and rng.random() < 0.08:
                self._add_to_basket(page.product)
                if rng.random() < 0.5:
                    self._check_out()
            elif rng.random() < 0.014:
                self._subscribe()

    def _choose_landing(self) -> world.Page:
        return _pick_page(world.LANDINGS[self.origin.landing](self.rng), self.rng)

    def _choose_next(self, page: world.Page) -> world.Page:
        following = page
        while following is page:
            following = _pick_page(world.NEXT(self.rng), self.rng)
        return following

    # Elements and forms

    def _meet(self, banner: world.Banner) -> bool:
        """Tell what a banner gets of a person's time; return whether they click it."""
        rng, params = self.rng, {"id": banner.id}
        if rng.random() > banner.seen:
            return False
        self.report("element.view", params, banner.id)
        dwell = 0
        if self.browser.device.type == "desktop" and rng.random() < banner.hovered:
            dwell = 200 + int(banner.dwell * rng.lognormvariate(0, 0.6))
            self.wait(dwell / 1000)
            self.report("element.hover", {**params, "dwell_ms": dwell}, banner.id)
        if rng.random() > (banner.long_clicked if dwell > banner.dwell else banner.clicked):
            return False
        href = f"http://{self.maker.site.host}{banner.target.path}"
        self.report("link.click", {**params, "href": href}, href)
        self.wait(0.05)
        return True

    def _fill_in(self, form: world.Form, leaves: float, **fields: str) -> bool:
        """Tell that a form is filled in; return whether it is sent.

        :param leaves: the part of those who begin it that leave it.
        :param fields: the tagged fields of what is sent.
        """
        params = {"form": form.name}
        self.report("form.start", params, form.name)
        self.wait(self.rng.uniform(4, 40))
        if self.rng.random() < leaves:
            field = form.fields(self.rng)
            self.report("form.abandon", {**params, "field": field}, form.name)
            return False
        self.report("form.submit", {**params, **fields}, form.name)
        self.wait(0.05)
        return True

    # Purchases

    def _add_to_basket(self, product: world.Product) -> None:
        quantity = 1 if self.rng.random() < 0.86 else 2
        self._basket[product] = self._basket.get(product, 0) + quantity
        params = {**describe(product), "quantity": quantity}
        self.track("product.addToCart", params, product.name)
        self.wait(0.05)
        self.show(world.BASKET)
        if self.rng.random() < 0.08:
            del self._basket[product]
            self.track("product.removeFromCart", params, product.name)

    def _check_out(self) -> None:
        if not self._basket:
            return
        self.show(world.CHECKOUT)
        form = world.CHECKOUT_FORM
        self.report("element.view", {"id": form.name}, form.name)
        if self.rng.random() < 0.14 or not self._fill_in(form, leaves=0.26):
            return
        self.wait(self.rng.uniform(20, 120))  # at the bank
        number = self.maker.orders
        self.maker.orders += 1
        self._charge(number)
        self.wait(0.05)
        self.show(world.order_page(number))
        self._basket.clear()

    def _charge(self, number: int) -> None:
        if not self.maker.site.records(CHARGE):
            return
        self.check_present()
        at, visit = from_us(self.at), self.maker.make_id(self.at)
        site, row = self.maker.site, self.row
        checked = check_charge(self._make_order(number), site.salt, _write_buy_label)
        order = msgspec.structs.replace(checked.charge, visit_id=visit)
        for item in order.items:
            item.params["visit"] = str(visit)
        event = Event(
            id=checked.id,
            action=CHARGE,
            time=at,
            received_at=at,
            uuid=self.uuid,
            params={**checked.params, "visit": str(visit)},
            label=checked.label,
            site=self.site,
            session=SessionRef(row.id, row.device_id, row.started_at),
            order=order,
        )
        stored_at = self.store_at(self.at)
        rows = [row_of(each, stored_at) for each in expand(event) if site.records(each.action)]
        self.rows.events += rows
        row.events += len(rows)
        self.last = in_microseconds(rows[-1].time)
        self.rows.transactions.append(self._settle(charge_row(event, order, stored_at)))
        if self.browser.is_known:
            self.person.traits["orders"] = self.person.traits.get("orders", 0) + 1
            self.person.last_known = self.at

    def _make_order(self, number: int) -> Order:
        cents = sum(_cents(product.price) * count for product, count in self._basket.items())
        coupon = _COUPON if self.rng.random() < 0.12 else None
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
            order_id=f"{self.maker.site.prefix or 'demo-'}{number}",
            total=from_minor(cents - discount, CURRENCY),
            currency=CURRENCY,
            items=items,
            discount=from_minor(discount, CURRENCY),
            coupon=coupon,
            payment_method="Wobbly Bank",
        )

    def _settle(self, row: TransactionRow) -> TransactionRow:
        person = self.person
        since = row.time - self.maker.site.lookback
        touches = (person.latest_named, person.latest)
        last = next((each for each in touches if each is not None and each.at >= since), None)
        for name, value in columns_of(person.first, last).items():
            setattr(row, name, value)
        row.person = person.uuid
        row.settled_at = self.find_chore(row.stored_at)
        return row

    # Accounts

    def _log_in(self) -> None:
        person, browser = self.person, self.browser
        is_new = not person.last_known and self.rng.random() < 0.6
        self.show(world.SIGNUP if is_new else world.LOGIN)
        self.uuid = person.uuid
        browser.is_known = True
        self._be_known()
        created_at, stored_at = from_us(self.at), self.store_at(self.at)
        self.rows.aliases.append(
            Alias(browser.id, person.uuid, created_at, stored_at, self.find_chore(stored_at))
        )
        if is_new:
            person.traits["customer_since"] = created_at.date().isoformat()
            self.track("customer.signup", {}, "")
            self.wait(0.01)
        self.track("customer.login", {"customer_id": person.customer_id}, "")
        self.wait(0.05)
        self.show(world.HOME)

    def _be_known(self) -> None:
        """The host names the customer: from here on only they may read the session."""
        self.row.private_at = from_us(self.at)
        self.person.first_known = self.person.first_known or self.at
        self.person.last_known = self.at

    def _subscribe(self) -> None:
        topic = world.TOPICS(self.rng)
        if not self._fill_in(world.NEWSLETTER, leaves=0.43, topic=topic):
            return
        self.track("newsletter.signup", {"topic": topic}, topic)
        if self.browser.is_known:
            self.person.traits["newsletter"] = topic
        self.wait(0.05)
        self.show(world.THANKS)


def _pick_page(found: world.Page | world.Picker[world.Page], rng: random.Random) -> world.Page:
    return found(rng) if isinstance(found, world.Picker) else found


def _cents(price: str) -> int:
    return int(price.replace(".", ""))


def _write_buy_label(params: cabc.Mapping[str, t.Any]) -> str:
    return f"Bought {params['name']}"


def _choose_origin(maker: Maker, person: Person) -> world.Origin:
    rng = maker.rng
    if person.done and rng.random() < 0.6:  # who knows the shop needs no search engine
        return world.NEWSLETTERS(rng) if rng.random() < 0.3 else world.DIRECT
    return maker.origins(rng)
