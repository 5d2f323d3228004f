"""Flask-Login, where it is installed: its log-ins and log-outs are recorded as ours."""

from __future__ import annotations

import typing as t

from flask import Flask, has_request_context

from ..identity.users import is_pending
from ..state import find_state
from .context import get_current_now
from .host_login import id_of_user, log_in, log_out


def follow_flask_login(app: Flask) -> None:
    """Listen to Flask-Login's signals of ``app``, if it is installed."""
    try:
        from flask_login import user_logged_in, user_logged_out
    except ImportError:
        return
    user_logged_in.connect(_on_login, app)
    user_logged_out.connect(_on_logout, app)


def _on_login(app: Flask, user: t.Any, **_: object) -> None:
    state = find_state(app)
    if state is None or not has_request_context():
        return
    with state.guard("following a log-in"):
        current = get_current_now(state)
        if current.judged.bot is not None:
            return
        current.judge_again()
        found = id_of_user(current, user)
        if found.customer_id is not None:
            log_in(current, found.customer_id, "login", former=found.former)
        elif is_pending(user):  # as after a sign-up, whose user is committed after the view
            current.logs_in = current.recorded = True


def _on_logout(app: Flask, user: t.Any, **_: object) -> None:
    state = find_state(app)
    if state is None or not has_request_context():
        return
    with state.guard("following a log-out"):
        current = get_current_now(state)
        log_out(current, None if user is None else id_of_user(current, user).customer_id)
