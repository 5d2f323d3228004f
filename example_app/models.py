"""The shop's own tables. Flask-EventTrack adds its tables to the same database."""

from __future__ import annotations

import datetime as dt
import typing as t

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flask_eventtrack import TracksSession


class Base(DeclarativeBase):
    """The base of the shop's models."""


db = SQLAlchemy(model_class=Base)

if t.TYPE_CHECKING:
    Model = Base  # mypy cannot follow db.Model
else:
    Model = db.Model


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def write_amount(cents: int) -> str:
    """Write an amount of cents as a decimal: ``12.50``."""
    return f"{cents // 100}.{cents % 100:02d}"


class User(UserMixin, Model):  # type: ignore[misc]  # Flask-Login ships no types
    """A customer with an account."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]


class Product(Model):
    """Something on the shelf. All prices are in cents."""

    __tablename__ = "product"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(unique=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[str]
    category: Mapped[str] = mapped_column(index=True)
    description: Mapped[str]
    price_cents: Mapped[int]
    shape: Mapped[str]
    mood: Mapped[str]
    ground: Mapped[str]
    body: Mapped[str]
    accent: Mapped[str]

    @property
    def price(self) -> str:
        """The price as events carry it: a decimal text, since a float has no exact cents."""
        return write_amount(self.price_cents)


class Order(TracksSession, Model):
    """A basket that somebody ordered. ``user_id`` is None if they were not logged in.

    ``TracksSession`` adds the session in which it was ordered, and the source of that session.
    """

    __tablename__ = "order"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str]
    address: Mapped[str]
    placed_at: Mapped[dt.datetime] = mapped_column(default=_now)
    paid_at: Mapped[dt.datetime | None]
    coupon: Mapped[str | None]
    discount_cents: Mapped[int] = mapped_column(default=0)
    refunded_cents: Mapped[int] = mapped_column(default=0)
    items: Mapped[list[OrderItem]] = relationship(back_populates="order")

    @property
    def total_cents(self) -> int:
        """What the whole order costs."""
        return sum(item.total_cents for item in self.items) - self.discount_cents

    @property
    def is_paid(self) -> bool:
        """Whether it was paid, and not all of it was sent back."""
        return self.paid_at is not None and self.refunded_cents < self.total_cents


class OrderItem(Model):
    """One product of an order, at the price when it was ordered."""

    __tablename__ = "order_item"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    quantity: Mapped[int]
    returned: Mapped[int] = mapped_column(default=0)
    price_cents: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="items")
    product: Mapped[Product] = relationship()

    @property
    def total_cents(self) -> int:
        """What this line costs."""
        return self.quantity * self.price_cents


class Subscriber(Model):
    """An address that gets the newsletter."""

    __tablename__ = "subscriber"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    topic: Mapped[str]
