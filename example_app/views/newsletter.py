"""The newsletter form, which is in the footer of every page."""

from __future__ import annotations

import typing as t

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from example_app.models import Subscriber, db
from example_app.security import protect
from example_app.tracking import NewsletterSignup
from flask_eventtrack import identify, track

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

TOPICS = ("everything", "new arrivals", "green things", "seconds sale")

blueprint = Blueprint("newsletter", __name__, url_prefix="/newsletter")
protect(blueprint)


@blueprint.post("")
def sign_up() -> ResponseReturnValue:
    """Save an address and the topic that its owner wants to read about."""
    email = request.form.get("email", "").strip().lower()
    topic = request.form.get("topic", "")
    if "@" not in email or topic not in TOPICS:
        flash("The newsletter needs an e-mail address.")
        return redirect(url_for("catalogue.home"), 303)
    if db.session.scalar(select(Subscriber).filter_by(email=email)) is None:
        db.session.add(Subscriber(email=email, topic=topic))
        db.session.commit()
        track(NewsletterSignup(topic=topic))
        if current_user.is_authenticated:
            identify(current_user.get_id(), {"newsletter": topic})
    return redirect(url_for(".thanks"), 303)


@blueprint.get("/thanks")
def thanks() -> ResponseReturnValue:
    """Say that it worked."""
    return render_template("thanks.html")
