"""The basket, the checkout and the orders."""

from __future__ import annotations

import typing as t

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask_login import current_user
from sqlalchemy import select

from example_app import basket, orders
from example_app.models import Order, Product, db
from example_app.security import protect

from . import outside

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

HOW_MANY = "How many would you like? Please enter a number."

blueprint = Blueprint("basket", __name__)
protect(blueprint)


@blueprint.get("/basket")
def show() -> ResponseReturnValue:
    """Show what is in the basket."""
    return render_template("basket.html", basket=basket.get_basket(), most=basket.MAX_QUANTITY)


@blueprint.post("/basket/add")
def add() -> ResponseReturnValue:
    """Add a product."""
    product = _get_posted_product()
    quantity = _find_posted_quantity(at_least=1)
    if quantity is None:
        flash(HOW_MANY)
        return redirect(url_for("catalogue.product", slug=product.slug), 303)
    before = basket.quantity_of(product)
    after = basket.add(product, quantity)
    flash(_describe_change(product, before, after, before + quantity))
    return redirect(url_for(".show"), 303)


@blueprint.post("/basket/update")
def update() -> ResponseReturnValue:
    """Change the quantity of a product."""
    product = _get_posted_product()
    quantity = _find_posted_quantity(at_least=0)
    if quantity is None:
        flash(HOW_MANY)
    else:
        before = basket.quantity_of(product)
        after = basket.set_quantity(product, quantity)
        flash(_describe_change(product, before, after, quantity))
    return redirect(url_for(".show"), 303)


@blueprint.post("/basket/remove")
def remove() -> ResponseReturnValue:
    """Take a product out."""
    product = _get_posted_product()
    basket.set_quantity(product, 0)
    flash(f"{product.name} went back to the shelf.")
    return redirect(url_for(".show"), 303)


@blueprint.get("/checkout")
def checkout() -> ResponseReturnValue:
    """Ask for the name and address."""
    wanted = basket.get_basket()
    if not wanted.lines:
        return redirect(url_for(".show"))
    return render_template("checkout.html", basket=wanted)


@blueprint.post("/checkout")
def place_order() -> ResponseReturnValue:
    """Turn the basket into an order, and lead to the bank."""
    name = request.form.get("name", "").strip()
    address = request.form.get("address", "").strip()
    coupon = request.form.get("coupon", "").strip().upper() or None
    wanted = basket.get_basket()
    if not (wanted.lines and name and address):
        flash("We need a name and an address for the parcel.")
        return redirect(url_for(".checkout"), 303)
    if coupon is not None and coupon not in orders.COUPONS:
        flash(f"We do not know the coupon {coupon}. Leave it out, or correct it.")
        return redirect(url_for(".checkout"), 303)
    order = orders.place(wanted, name, address, coupon)
    session["orders"] = [*session.get("orders", []), order.id]
    basket.empty()
    return redirect(outside.bank_url(order), 303)


@blueprint.get("/paid")
def paid() -> ResponseReturnValue:
    """Take the visitor who comes back from the bank, with the bank's answer."""
    answer = outside.read_answer(request.args.get("answer", ""))
    if answer is None:
        abort(400, "This answer is not the bank's.")
    placed = _get_order(answer.order)
    if answer.is_paid:
        orders.note_payment(placed)
        flash("The bank says that everything is paid.")
    else:
        flash("Nothing was paid. The parcel waits until you do.")
    return redirect(url_for(".order", order_id=placed.id), 303)


@blueprint.get("/orders/<int:order_id>")
def order(order_id: int) -> ResponseReturnValue:
    """Show an order to the browser that placed it, or to its customer."""
    placed = _get_order(order_id)
    return render_template("order.html", order=placed, bank_url=outside.bank_url(placed))


@blueprint.post("/orders/<int:order_id>/cancel")
def cancel(order_id: int) -> ResponseReturnValue:
    """Pay an order back: all of it, or one piece of an item that was sent back."""
    placed = _get_order(order_id)
    number = request.form.get("item", type=int)
    found = [item for item in placed.items if item.id == number and item.returned < item.quantity]
    if not placed.is_paid:
        flash("There is nothing to pay back.")
    elif number is None:
        orders.cancel(placed)
        flash("The order is cancelled, and everything is paid back.")
    elif found:
        orders.take_back(found[0])
        flash(f"{found[0].product.name} is back. So is your money.")
    else:
        flash("That is not in the parcel.")
    return redirect(url_for(".order", order_id=placed.id), 303)


def _get_order(order_id: int) -> Order:
    if order_id >= 2**63:  # which no database has
        abort(404)
    placed: Order = db.get_or_404(Order, order_id)
    is_theirs = current_user.is_authenticated and placed.user_id == current_user.id
    if not is_theirs and order_id not in session.get("orders", []):
        abort(404)
    return placed


def _get_posted_product() -> Product:
    sku = request.form.get("sku", "")
    product: Product = db.first_or_404(select(Product).filter_by(sku=sku))
    return product


def _find_posted_quantity(at_least: int) -> int | None:
    quantity: int | None = request.form.get("quantity", type=int)
    return quantity if quantity is not None and quantity >= at_least else None


def _describe_change(product: Product, before: int, after: int, wanted: int) -> str:
    """Say what became of a quantity, to the visitor who changed it."""
    limit = f" {after} is the most that one parcel holds." if wanted > after else ""
    if after == 0:
        return f"{product.name} went back to the shelf."
    if before == 0:
        what = product.name + " is" if after == 1 else f"{after} of {product.name} are"
        return f"{what} in your basket.{limit}"
    if after == before:
        return f"The quantity of {product.name} is {after}, as before.{limit}"
    return f"Changed the quantity of {product.name} from {before} to {after}.{limit}"
