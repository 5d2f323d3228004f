"""The lookbook: its pages work without a script, and shop.js turns them without a page load."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from flask import Blueprint, abort, render_template
from sqlalchemy import select

from example_app.models import Product, db
from example_app.security import protect

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@dataclass(frozen=True)
class Look:
    """A few products in one picture."""

    slug: str
    title: str
    text: str
    skus: tuple[str, ...]


LOOKS = (
    Look(
        "slow-morning",
        "The slow morning",
        "Nobody has said a word yet. Agatha is on her second pot, Bruno is steaming, and the "
        "clock has been asked to look the other way.",
        ("K-02", "K-01", "D-03"),
    ),
    Look(
        "small-jungle",
        "A small jungle",
        "It began with one cactus. Now Fernanda has the window, Monty wants the wall, and Mr Later "
        "patrols the undergrowth at his own pace.",
        ("G-02", "C-03", "G-01", "G-03"),
    ),
    Look(
        "midnight-desk",
        "The midnight desk",
        "One more page. Luna keeps the dark out, Nora keeps the secrets in, and Pim has a pencil "
        "for whatever happens next.",
        ("L-01", "D-01", "D-02"),
    ),
    Look(
        "rain-all-day",
        "Rain all day",
        "Plans: none. Nimbus is the only cloud allowed indoors, Rex is warm to the last drop, and "
        "Wick hums quietly in the corner.",
        ("L-03", "C-01", "C-02"),
    ),
)

blueprint = Blueprint("lookbook", __name__, url_prefix="/lookbook")
protect(blueprint)


@blueprint.get("")
@blueprint.get("/<slug>")
def show(slug: str = "") -> ResponseReturnValue:
    """Show one look, or the overview. Each page contains all of them and hides all but one."""
    if slug and slug not in {look.slug for look in LOOKS}:
        abort(404)
    skus = {sku for look in LOOKS for sku in look.skus}
    products = db.session.scalars(select(Product).where(Product.sku.in_(skus)))
    by_sku = {product.sku: product for product in products}
    return render_template("lookbook.html", looks=LOOKS, by_sku=by_sku, shown=slug)
