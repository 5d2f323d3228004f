"""The built-in events: their parameters and labels."""

from __future__ import annotations

import dataclasses
import typing as t

from msgspec import Meta

from ..records import CANCEL, CHARGE, PRODUCT_BUY
from .baskets import AddToCart, CartStatus, ProductView, RemoveFromCart, SearchQuery
from .definitions import Catalogue, Definition


@dataclasses.dataclass
class PageVisit:
    """A page was shown. Synerise requires ``url`` alone.

    The page's metadata are ``content_type`` to ``section``, read as Allegro does (its ``context``
    is ``section``), and ``opengraph``, read as Synerise does, by property. ``visible_ms`` and
    ``scroll`` come from ``page.engage``.
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
    visible_ms: int | None = None
    scroll: int | None = None


@dataclasses.dataclass
class SessionEnd:
    """``duration``: seconds from the start of the session to its last activity."""

    duration: float
    pages: int
    events: int
    reason: str


@dataclasses.dataclass
class Login:
    """``customer_id``: the customer's id in the host app."""

    customer_id: str


@dataclasses.dataclass
class FormSubmit:
    """Tagged fields of the form are further parameters."""

    form: str | None = None


@dataclasses.dataclass
class FormStart:
    form: str | None = None


@dataclasses.dataclass
class FormAbandon:
    """``field``: the name or id of the field that was changed last; never its value."""

    form: str | None = None
    field: str | None = None


@dataclasses.dataclass
class ButtonClick:
    id: str | None = None
    text: str | None = None


@dataclasses.dataclass
class LinkClick:
    href: str
    id: str | None = None
    text: str | None = None


@dataclasses.dataclass
class ElementView:
    id: str


@dataclasses.dataclass
class ElementHover:
    """``dwell_ms``: how many milliseconds the pointer rested on the element."""

    id: str
    dwell_ms: t.Annotated[int, Meta(ge=0)] | None = None


@dataclasses.dataclass
class PageEngage:
    """Values that are added to a page visit. It is no event of its own. The larger value counts.

    ``visible_ms``: milliseconds in view since the page was opened; ``scroll``: the deepest point
    seen, in percent of the page; ``title``: the page's last title. Release 0.1 sends ``visible_s``,
    in seconds.
    """

    visible_ms: t.Annotated[float, Meta(ge=0)] | None = None
    scroll: t.Annotated[float, Meta(ge=0)] | None = None
    title: str | None = None
    visible_s: t.Annotated[float, Meta(ge=0)] | None = None


@dataclasses.dataclass
class TransactionCharge:
    """``quantity``: how many pieces. Money is text with all digits, and integer minor units, such
    as cents, in ``_minor``."""

    order_id: str
    total: str
    total_minor: int
    currency: str
    quantity: int
    discount: str | None = None
    discount_minor: int | None = None
    tax: str | None = None
    tax_minor: int | None = None
    shipping: str | None = None
    shipping_minor: int | None = None
    payment_method: str | None = None
    coupon: str | None = None
    channel: str | None = None


@dataclasses.dataclass
class TransactionCancel:
    """``amount`` and ``amount_minor`` are negative; ``items``: each SKU with its quantity."""

    order_id: str
    amount: str
    amount_minor: int
    currency: str
    items: list[dict[str, t.Any]] | None = None


@dataclasses.dataclass
class ProductBuy:
    """``final_unit_price``: of one piece; ``amount_minor``: of all, in minor units."""

    sku: str
    name: str | None = None
    quantity: int = 1
    final_unit_price: str | None = None
    currency: str | None = None
    amount_minor: int | None = None
    category: str | list[str] | None = None
    order_id: str | None = None


@dataclasses.dataclass
class ScreenView:
    """An app's equivalent of a page visit."""

    name: str


_BUILTIN: tuple[tuple[str, type | None, str], ...] = (
    ("page.visit", PageVisit, "Visited page {title}"),
    ("session.start", None, "Started session"),
    ("session.end", SessionEnd, "Session end"),
    ("customer.login", Login, "Logged in"),
    ("customer.logout", Login, "Logged out"),
    ("form.submit", FormSubmit, "Submitted form {form}"),
    ("form.start", FormStart, "Began form {form}"),
    ("form.abandon", FormAbandon, "Left form {form}"),
    ("button.click", ButtonClick, "Clicked button {text}"),
    ("link.click", LinkClick, "Clicked link {href}"),
    ("element.view", ElementView, "Saw {id}"),
    ("element.hover", ElementHover, "Hovered over {id}"),
    ("page.engage", PageEngage, "Left the page"),
    ("product.view", ProductView, "Viewed {name}"),
    ("product.addToCart", AddToCart, "Added {name} to the basket"),
    ("product.removeFromCart", RemoveFromCart, "Removed {name} from the basket"),
    ("cart.status", CartStatus, "Items in the basket: {total_quantity}"),
    ("search.query", SearchQuery, "Searched for {query}"),
    (CHARGE, TransactionCharge, "Ordered for {total} {currency}"),
    (CANCEL, TransactionCancel, "Cancelled order {order_id}"),
    (PRODUCT_BUY, ProductBuy, "Bought {name}"),
    ("screen.view", ScreenView, "Viewed screen {name}"),
)
_SERVER_ONLY = ("session.", "customer.", "transaction.", PRODUCT_BUY)


def builtin_catalogue() -> Catalogue:
    """Return a catalogue of the built-in events."""
    return Catalogue(
        Definition(
            action=action,
            schema=schema,
            label=label,
            anonymous=not action.startswith(_SERVER_ONLY),
            server_only=action.startswith(_SERVER_ONLY),
            builtin=True,
        )
        for action, schema, label in _BUILTIN
    )
