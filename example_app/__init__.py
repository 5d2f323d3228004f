"""The Wobbly Shelf: a small web shop that shows what Flask-EventTrack does."""

from __future__ import annotations

import typing as t
import zlib

from flask import Flask

from . import security, staff, views
from .login import login_manager
from .models import db
from .tracking import events


def create_app(config: dict[str, t.Any] | None = None) -> Flask:
    """Make the shop.

    Settings come from the defaults here, then from ``FLASK_*`` environment variables, then from
    ``config``.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///shelf.db",
        # Cookies know no ports: a shop in another folder would overwrite the basket and log-in.
        SESSION_COOKIE_NAME=f"shop-{zlib.crc32(app.instance_path.encode()):08x}",
        SESSION_COOKIE_SAMESITE="Lax",
        # Never change it: every customer would become another person.
        EVENTTRACK_PROFILE_SALT="the-wobbly-shelf",
        EVENTTRACK_SPA=True,  # the lookbook turns its pages without a reload
        EVENTTRACK_PAYMENT_HOSTS=["127.0.0.1", "localhost"],  # of the bank: views/outside.py
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})
    security.ensure_secret_key(app)

    staff.init_app(app)
    db.init_app(app)
    login_manager.init_app(app)
    events.init_app(app, db)
    views.init_app(app)
    return app
