"""What the shop tracks, in addition to what Flask-EventTrack tracks by itself.

``anonymous=True`` lets the browser of any visitor send the event; otherwise the customer must be
logged in. With ``server_only=True`` only the views may send it. Some events
are built in: ``product.view``, ``product.addToCart``, ``product.removeFromCart``,
``search.query``, and those of the banner and the forms, which the templates tag. Orders are
transactions: ``orders.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask_eventtrack import EventTrack

events = EventTrack()


@events.define("product.wish", label="Wished for {name}")
@dataclass
class ProductWish:
    """A customer pressed the wish button, in the browser."""

    sku: str
    name: str


@events.define("lookbook.like", label="Liked the look {look}", anonymous=True)
@dataclass
class LookbookLike:
    """A visitor pressed the heart beside a look."""

    look: str


@events.define("newsletter.signup", label="Signed up for news about {topic}", anonymous=True)
@dataclass
class NewsletterSignup:
    """Somebody subscribed to the newsletter. The event does not contain the address."""

    topic: str


@events.define("customer.signup", label="Opened an account", server_only=True)
@dataclass
class CustomerSignup:
    """A visitor opened an account."""
