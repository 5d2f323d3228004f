"""Flask-Login, where it is installed: its log-ins and log-outs are ours too."""

from __future__ import annotations

import typing as t

from flask import Flask, has_request_context

from ..state import find_state
from .current import get_current
from .views import log_in, log_out


def follow_flask_login(app: Flask) -> bool:
    """Listen to Flask-Login's signals of ``app``. False where it is not installed."""
    try:
        from flask_login import user_logged_in, user_logged_out
    except ImportError:
        return False
    user_logged_in.connect(_on_login, app)
    user_logged_out.connect(_on_logout, app)
    return True


def _on_login(app: Flask, user: t.Any, **_: object) -> None:
    state = find_state(app)
    if state is None or not has_request_context():
        return
    try:
        current = get_current(state)
        if not current.bot:
            log_in(current, str(user.get_id()), "login")
    except Exception as error:  # noqa: BLE001 - the edge: a log-in succeeds whatever we do
        state.report_failure("following a log-in", error)


def _on_logout(app: Flask, user: t.Any, **_: object) -> None:
    state = find_state(app)
    if state is None or not has_request_context():
        return
    try:
        customer_id = user.get_id() if user is not None else None
        log_out(get_current(state), None if customer_id is None else str(customer_id))
    except Exception as error:  # noqa: BLE001 - the edge: a log-out succeeds whatever we do
        state.report_failure("following a log-out", error)
