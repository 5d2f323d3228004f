"""The signing key, and the token that proves that a form comes from one of our own pages."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from flask import Blueprint, Flask, abort, request, session


def ensure_secret_key(app: Flask) -> None:
    """Give the app a key that survives a restart, so that cookies stay valid."""
    if app.config["SECRET_KEY"]:
        return
    path = Path(app.instance_path) / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Complete before it gets its name: another shop may start at the same moment.
        new = path.with_name(f"secret_key.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex())
        new.replace(path)
    app.config["SECRET_KEY"] = path.read_text()


def form_token() -> str:
    """Return this browser's form token; the first call makes it."""
    token: str = session.setdefault("form_token", secrets.token_urlsafe(24))
    return token


def protect(blueprint: Blueprint) -> None:
    """Refuse POST requests to this blueprint's views if they do not have the form token.

    Each blueprint asks for this itself: the collector of Flask-EventTrack has its own checks.
    """
    blueprint.before_request(_check_form_token)


def _check_form_token() -> None:
    if request.method != "POST":
        return
    sent = request.form.get("form_token", "")
    if not secrets.compare_digest(sent.encode(), form_token().encode()):
        abort(400, "This form is out of date. Go back, reload the page and send it again.")
