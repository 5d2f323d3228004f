"""The shelf: all products, one product, search."""

from __future__ import annotations

import typing as t

from flask import Blueprint, abort, render_template, request
from sqlalchemy import or_, select

from example_app.models import Product, db
from example_app.security import protect
from flask_eventtrack import track

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

CATEGORIES = {
    "kitchen": "Kitchen",
    "green": "Green things",
    "glow": "Glow",
    "desk": "Desk",
    "cosy": "Cosy",
}

blueprint = Blueprint("catalogue", __name__)
protect(blueprint)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show the whole shelf, or one category of it."""
    category = request.args.get("category", "")
    query = select(Product).order_by(Product.id)
    if category:
        if category not in CATEGORIES:
            abort(404)
        query = query.where(Product.category == category)
    products = db.session.scalars(query).all()
    return render_template("home.html", products=products, category=category)


@blueprint.get("/products/<slug>")
def product(slug: str) -> ResponseReturnValue:
    """Show one product and the others of its category."""
    shown: Product = db.first_or_404(select(Product).filter_by(slug=slug))
    neighbours = db.session.scalars(
        select(Product).where(Product.category == shown.category, Product.id != shown.id)
    ).all()
    track(
        "product.view",
        {"sku": shown.sku, "name": shown.name, "final_unit_price": shown.price, "currency": "EUR"},
    )
    return render_template("product.html", product=shown, neighbours=neighbours)


@blueprint.get("/search")
def search() -> ResponseReturnValue:
    """Find products by words in their texts."""
    words = request.args.get("q", "").strip()[:80]
    products = find_products(words) if words else []
    if words:
        track("search.query", {"query": words, "results": len(products)})
    return render_template("search.html", words=words, products=products)


def find_products(words: str) -> list[Product]:
    """Return the products with these words in their texts."""
    columns = (Product.name, Product.kind, Product.category, Product.description)
    mentions = or_(*(column.icontains(words, autoescape=True) for column in columns))
    return list(db.session.scalars(select(Product).where(mentions).order_by(Product.id)))
