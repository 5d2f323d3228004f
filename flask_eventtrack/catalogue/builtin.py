"""The events that exist without being defined, with the labels of the seeds."""

from __future__ import annotations

import dataclasses

from .definitions import Catalogue, Definition, describe_fields


@dataclasses.dataclass
class PageVisit:
    """A page was shown. ``url`` is the one that Synerise requires.

    What the page says it is about: ``content_type`` to ``section`` as Allegro reads it (its
    ``context`` is the section), ``opengraph`` as Synerise does, by property.
    """

    url: str
    path: str | None = None
    endpoint: str | None = None
    url_rule: str | None = None
    referrer: str | None = None
    title: str | None = None
    status: int | None = None
    duration_ms: float | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    viewport: str | None = None
    screen: str | None = None
    language: str | None = None
    timezone_offset: int | None = None
    canonical: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    publisher: str | None = None
    author: str | list[str] | None = None
    section: str | None = None
    opengraph: dict[str, str | list[str]] | None = None


@dataclasses.dataclass
class SessionEnd:
    """``duration`` in seconds, from the session's start to its last activity."""

    duration: float
    pages: int
    events: int
    reason: str


@dataclasses.dataclass
class Login:
    """``customer_id`` as the host app knows it."""

    customer_id: str


@dataclasses.dataclass
class FormSubmit:
    """The fields that were tagged come along as parameters of their own."""

    form: str | None = None


@dataclasses.dataclass
class ButtonClick:
    id: str | None = None
    text: str | None = None


@dataclasses.dataclass
class LinkClick:
    href: str
    text: str | None = None


@dataclasses.dataclass
class ElementView:
    id: str


@dataclasses.dataclass
class ElementHover:
    """``dwell_ms``: how long the pointer rested on the element, in milliseconds."""

    id: str
    dwell_ms: int | None = None


@dataclasses.dataclass
class PageEngage:
    """Totals since the page opened: of several events of one visit, the last one counts.

    ``visible_s``: seconds in view; ``scroll``: the deepest point seen, 0 to 100 percent.
    """

    visible_s: float
    scroll: float | None = None


@dataclasses.dataclass
class BasketChange:
    sku: str
    name: str | None = None
    quantity: int = 1
    price: float | None = None
    currency: str | None = None


@dataclasses.dataclass
class AddToCart(BasketChange):
    pass


@dataclasses.dataclass
class RemoveFromCart(BasketChange):
    pass


@dataclasses.dataclass
class ProductBuy(BasketChange):
    order_id: str | None = None


@dataclasses.dataclass
class ScreenView:
    """The page visit of an app."""

    name: str


def _define(
    action: str,
    schema: type | None = None,
    label: str | None = None,
    *,
    server_only: bool = False,
) -> Definition:
    return Definition(
        action=action,
        schema=schema,
        label=label,
        anonymous=not server_only,
        server_only=server_only,
        builtin=True,
        types=describe_fields(schema) if schema else {},
    )


def builtin_catalogue() -> Catalogue:
    """Return a catalogue that holds the built-in events and nothing else."""
    return Catalogue(
        [
            _define("page.visit", PageVisit, "Visited page {title}"),
            _define("session.start", None, "Started session", server_only=True),
            _define("session.end", SessionEnd, "Session end", server_only=True),
            _define("customer.login", Login, "Logged in", server_only=True),
            _define("customer.logout", Login, "Logged out", server_only=True),
            _define("form.submit", FormSubmit, "Submitted form {form}"),
            _define("button.click", ButtonClick, "Clicked button {text}"),
            _define("link.click", LinkClick, "Clicked link {href}"),
            _define("element.view", ElementView, "Saw {id}"),
            _define("element.hover", ElementHover, "Hovered over {id}"),
            _define("page.engage", PageEngage, "Left the page"),
            _define("product.addToCart", AddToCart, "Added {name} to the basket"),
            _define("product.removeFromCart", RemoveFromCart, "Removed {name} from the basket"),
            _define("transaction.charge", None, "Paid", server_only=True),
            _define("product.buy", ProductBuy, "Bought {name}", server_only=True),
            _define("screen.view", ScreenView, "Viewed screen {name}"),
        ]
    )
