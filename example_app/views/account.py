"""Opening an account, logging in and out."""

from __future__ import annotations

import datetime as dt
import typing as t

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user, login_user, logout_user
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from example_app.models import User, db
from example_app.security import protect
from example_app.tracking import CustomerSignup
from flask_eventtrack import identify, track

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("account", __name__)
protect(blueprint)


@blueprint.get("/signup")
def signup() -> ResponseReturnValue:
    """Show the sign-up form, unless that was done."""
    if current_user.is_authenticated:
        return redirect(url_for("catalogue.home"))
    return render_template("signup.html")


@blueprint.post("/signup")
def open_account() -> ResponseReturnValue:
    """Open an account and log in to it."""
    name, email, password = (_read(field) for field in ("name", "email", "password"))
    problem = _find_problem(name, email, password)
    if problem:
        return render_template("signup.html", problem=problem), 422
    user = User(name=name, email=email.lower(), password_hash=generate_password_hash(password))
    db.session.add(user)
    db.session.commit()
    opened_at = dt.datetime.now(dt.UTC)
    login_user(user)
    identify(user.get_id(), {"customer_since": opened_at.date().isoformat()})
    # Tracked as the customer, and with the time at which it happened: before the log-in.
    track(CustomerSignup(), time=opened_at)
    flash(f"Welcome to the shelf, {user.name}. You are logged in.")
    return redirect(url_for("catalogue.home"), 303)


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Show the log-in form, unless that was done."""
    if current_user.is_authenticated:
        return redirect(url_for("catalogue.home"))
    return render_template("login.html")


@blueprint.post("/login")
def check_login() -> ResponseReturnValue:
    """Log in, if the password is right."""
    user = _find_user(_read("email"))
    if user is None or not check_password_hash(user.password_hash, _read("password")):
        problem = "That address and password do not belong together."
        return render_template("login.html", problem=problem), 422
    login_user(user)
    flash(f"Good to see you, {user.name}.")
    return redirect(url_for("catalogue.home"), 303)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Log out."""
    logout_user()
    flash("You are logged out. See you soon!")
    return redirect(url_for("catalogue.home"), 303)


def _read(field: str) -> str:
    value = request.form.get(field, "")
    return value if field == "password" else value.strip()


def _find_user(email: str) -> User | None:
    return db.session.scalar(select(User).filter_by(email=email.lower()))


def _find_problem(name: str, email: str, password: str) -> str | None:
    if not name or "@" not in email:
        return "We need a name and an e-mail address."
    if len(password) < 4:
        return "The password needs at least four characters."
    if _find_user(email):
        return "There is an account with this address already. Log in instead?"
    return None
