"""Who works in the shop, and so may see its dashboard."""

from __future__ import annotations

from flask import Flask, current_app, request

from .tracking import events


def init_app(app: Flask) -> None:
    """Open the dashboard to the staff. Call it before ``events.init_app()``."""
    app.config.setdefault("EVENTTRACK_DASHBOARD_PERMISSION", may_see_dashboard)
    app.config.setdefault("EVENTTRACK_DASHBOARD_NAME", "The Wobbly Shelf")
    app.jinja_env.globals["has_dashboard"] = has_dashboard


def may_see_dashboard() -> str | None:
    """Say what the current request may do: in this demo, everyone at this machine is staff.

    A real shop asks its log-in: ``return "manage" if current_user.is_staff else None``.
    """
    is_forwarded = "X-Forwarded-For" in request.headers
    is_here = request.remote_addr in {"127.0.0.1", "::1"} and not is_forwarded
    name = request.host.partition(":")[0]
    return "manage" if is_here and name in {"localhost", "127.0.0.1"} else None


@events.dashboard_user
def name_of_staff() -> str:
    """Say who looks, for the dashboard's audit."""
    return "demo staff"


def has_dashboard() -> bool:
    """Whether to show the link to it: there is none while tracking is switched off."""
    return may_see_dashboard() is not None and "eventtrack_dashboard" in current_app.blueprints
