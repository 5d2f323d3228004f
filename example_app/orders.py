"""Orders: from a basket to a paid order, and back. What is paid and refunded is recorded here."""

from __future__ import annotations

import datetime as dt

from flask_login import current_user
from sqlalchemy import func, select

from flask_eventtrack import cancel_transaction, identify, track_transaction

from .basket import Basket
from .models import Order, OrderItem, User, db, write_amount

CURRENCY = "EUR"
#: The coupons, and what they take off, in percent.
COUPONS = {"WOBBLE10": 10, "SECONDS25": 25}


def place(wanted: Basket, name: str, address: str, coupon: str | None) -> Order:
    """Save a basket as an order, which is still to be paid."""
    items = [
        OrderItem(
            product=line.product, quantity=line.quantity, price_cents=line.product.price_cents
        )
        for line in wanted.lines
    ]
    order = Order(
        user_id=current_user.id if current_user.is_authenticated else None,
        name=name,
        address=address,
        coupon=coupon,
        discount_cents=wanted.total_cents * COUPONS[coupon] // 100 if coupon else 0,
        items=items,
    )
    db.session.add(order)
    db.session.commit()
    return order


def note_payment(order: Order) -> None:
    """Note that an order was paid. The bank may say so again: it is one transaction."""
    if order.paid_at is None:
        order.paid_at = dt.datetime.now(dt.UTC)
        db.session.commit()
    track_transaction(
        order.id,
        write_amount(order.total_cents),
        CURRENCY,
        items=[
            {
                "sku": item.product.sku,
                "name": item.product.name,
                "category": item.product.category,
                "quantity": item.quantity,
                "final_unit_price": write_amount(item.price_cents),
            }
            for item in order.items
        ],
        discount=write_amount(order.discount_cents),
        coupon=order.coupon,
        payment_method="Wobbly Bank",
    )
    if current_user.is_authenticated:
        identify(current_user.get_id(), {"orders": _count_orders(current_user)})


def cancel(order: Order) -> None:
    """Pay back what is left of an order."""
    order.refunded_cents = order.total_cents
    db.session.commit()
    cancel_transaction(order.id)


def take_back(item: OrderItem) -> None:
    """Pay back one piece of an item that was sent back, at most what is left of the order."""
    order = item.order
    item.returned += 1
    left = order.total_cents - order.refunded_cents
    order.refunded_cents += min(item.price_cents, left)
    db.session.commit()
    cancel_transaction(
        order.id,
        [{"sku": item.product.sku, "quantity": 1}],
        cancellation_id=f"{item.id}-{item.returned}",
    )


def _count_orders(user: User) -> int:
    orders = select(func.count()).select_from(Order).where(Order.user_id == user.id)
    return db.session.scalar(orders) or 0
