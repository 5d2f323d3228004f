"""What stands on the shelf when the shop opens."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.security import generate_password_hash

from .models import Product, User, db

DEMO_EMAIL = "demo@example.com"

# sku, slug, name, kind, cents, shape, mood, ground, body, accent, description
PRODUCTS = [
    (
        "K-01", "bruno", "Bruno", "morning mug", 1450, "mug", "sleepy",
        "#ffd9b8", "#e4572e", "#ffb199",
        "Holds a third of a litre and never speaks before nine. Bruno was thrown by hand on a slow "
        "wheel, which explains both the wobble and the patience.",
    ),
    (
        "K-02", "agatha", "Agatha", "teapot", 3800, "teapot", "happy",
        "#cfe8ff", "#2f6fb5", "#ffd166",
        "Pours without a drip and has an opinion on milk. Six cups, one lid, any number of "
        "mysteries solved over the second pot.",
    ),
    (
        "K-03", "otto", "Otto", "fruit bowl", 2600, "bowl", "wink",
        "#e3f5c9", "#f2b705", "#d1495b",
        "Wide, generous and slightly tipsy. Otto keeps three oranges and a secret. Glazed twice, "
        "because once looked shy.",
    ),
    (
        "K-04", "greta", "Greta", "evening cup", 1850, "cup", "happy",
        "#e7dbff", "#7b4fc9", "#f7c6ff",
        "A cup with a saucer and good posture. Greta is at her best with cocoa, a window and "
        "nothing planned for tomorrow.",
    ),
    (
        "G-01", "sir-prickles", "Sir Prickles", "cactus", 1200, "cactus", "grumpy",
        "#ffe3ec", "#2e9e6b", "#e8825a",
        "Wants a spoon of water a fortnight and to be left alone. Flowers once a year and "
        "denies it.",
    ),
    (
        "G-02", "fernanda", "Fernanda", "fern", 1600, "fern", "happy",
        "#d7f5e9", "#1f8a58", "#f4a261",
        "Throws her arms up whenever somebody comes home. Likes a bathroom, half shade and praise.",
    ),
    (
        "G-03", "monty", "Monty", "monstera", 2950, "monstera", "wink",
        "#fff0bf", "#21804f", "#5b8def",
        "Three leaves today, the whole wall by autumn. Monty climbs anything that holds still, so "
        "do keep moving.",
    ),
    (
        "L-01", "luna", "Luna", "bedside lamp", 4900, "lamp", "sleepy",
        "#d9ddff", "#ffc145", "#3d3b8e",
        "Warm light for the last ten pages. Dims when you yawn: there is a switch on the cord, and "
        "you will press it.",
    ),
    (
        "L-02", "morel", "Morel", "mushroom lamp", 5400, "mushroom", "happy",
        "#ffd6d6", "#d7263d", "#fff4e0",
        "Found on no forest floor. Morel glows through hand-blown glass and has never met a gnome, "
        "whatever the gnome says.",
    ),
    (
        "L-03", "wick", "Wick", "candle", 950, "candle", "surprised",
        "#dcefe7", "#f6f1e5", "#e07a5f",
        "Beeswax, forty hours, a little startled to be on fire. Smells faintly of honey and of the "
        "second Sunday in advent.",
    ),
    (
        "D-01", "nora", "Nora", "notebook", 1350, "notebook", "wink",
        "#ffe5b4", "#147d8c", "#f25f5c",
        "A hundred and sixty pages, lies flat, tells nobody. Nora closes with an elastic that has "
        "kept better secrets than yours.",
    ),
    (
        "D-02", "pim", "Pim", "pencil pot", 1700, "pencils", "happy",
        "#d8f0ff", "#ef8354", "#4f5d9e",
        "Comes with four pencils, three of them sharp. Pim will hold scissors, too, but worries.",
    ),
    (
        "D-03", "tock", "Tock", "alarm clock", 3200, "clock", "surprised",
        "#fbd7f0", "#2a9d8f", "#f4a300",
        "Two bells and a conscience. Tock rings once, apologises, and rings again. Winds by hand "
        "in eleven turns.",
    ),
    (
        "C-01", "nimbus", "Nimbus", "cloud cushion", 2750, "cloud", "sleepy",
        "#c9e4ff", "#ffffff", "#8fb8de",
        "The only cloud allowed indoors. Filled with wool, covered in linen, quite unable to rain.",
    ),
    (
        "C-02", "rex", "Rex", "hot-water bottle", 2200, "bottle", "happy",
        "#ffe0d1", "#c1403d", "#ffd9a0",
        "Knitted jumper, warm heart. Rex holds the heat for five hours and your feet for six.",
    ),
    (
        "C-03", "mr-later", "Mr Later", "doorstop tortoise", 2450, "tortoise", "grumpy",
        "#eaf2c4", "#8a6d3b", "#7fb069",
        "Two kilos of sand in corduroy. Mr Later holds every door, and gets to the next one when "
        "he gets to it.",
    ),
]  # fmt: skip
CATEGORY_OF = {"K": "kitchen", "G": "green", "L": "glow", "D": "desk", "C": "cosy"}


def ensure_database() -> bool:
    """Create the tables and fill the shelf, unless that was done before.

    :returns: whether it was done here; of two shops that start at the same moment, by one.
    """
    for _ in range(20):
        try:
            return _fill()
        except SQLAlchemyError:  # a second shop that starts at the same moment does the same
            db.session.rollback()
            time.sleep(0.1)
    return _fill()


def _fill() -> bool:
    db.create_all()
    known = set(db.session.scalars(select(Product.sku)))
    db.session.add_all(_make_product(*row) for row in PRODUCTS if row[0] not in known)
    is_new = db.session.scalar(select(User).filter_by(email=DEMO_EMAIL)) is None
    if is_new:
        db.session.add(
            User(email=DEMO_EMAIL, name="Demo", password_hash=generate_password_hash("demo"))
        )
    db.session.commit()
    return is_new


def _make_product(
    sku: str,
    slug: str,
    name: str,
    kind: str,
    price_cents: int,
    shape: str,
    mood: str,
    ground: str,
    body: str,
    accent: str,
    description: str,
) -> Product:
    return Product(
        sku=sku,
        slug=slug,
        name=name,
        kind=kind,
        category=CATEGORY_OF[sku[0]],
        description=description,
        price_cents=price_cents,
        shape=shape,
        mood=mood,
        ground=ground,
        body=body,
        accent=accent,
    )
