"""The page on which visitors read what is recorded of them, and object. It needs no script."""

from __future__ import annotations

import datetime as dt
import pathlib
import typing as t
from urllib.parse import parse_qs

from flask import Response, request

from ..config import Policy
from ..privacy.policy import parse_choice
from ..privacy.report import longest_keep
from ..records import PAGE_ENGAGE
from ..request.context import Current
from ..request.cookies import send_choice
from ..request.problems import Refused, problem
from ..state import get_state, this_app
from .body import read_body

#: The template, which an app may replace by one of the same name.
TEMPLATE = "eventtrack/privacy.html"

_FORM = frozenset({"application/x-www-form-urlencoded"})
_FORM_MAX_LENGTH = 1024  # so that a body of very many fields costs nothing
_STYLESHEET = pathlib.Path(__file__).with_name("privacy.css")
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    # Not "no-referrer": then an old browser would post the form without a usable Origin.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
_STYLESHEET_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
}


def read_choice() -> Policy:
    """Return what the form of the page says.

    :raises Refused: it is not such a form.
    """
    fields = parse_qs(read_body(_FORM)[:_FORM_MAX_LENGTH].decode(errors="replace"))
    choice = parse_choice(fields.get("choice", [""])[0])
    if choice is None:
        raise Refused(problem(400, "malformed", "The form needs a choice: full, anonymous, none."))
    return choice


def show_page(current: Current, choice: Policy | None) -> Response:
    """Return the page, as it is after a choice if there is one."""
    state, verdict = current.state, current.judged
    prefix = request.script_root + state.config.url_prefix
    text = (
        this_app()
        .jinja_env.get_template(TEMPLATE)
        .render(
            {
                "site": current.site,
                "home": f"{request.script_root}/",
                "action": f"{prefix}/privacy",
                "stylesheet": f"{prefix}/privacy.css",
                "policy": choice or verdict.policy,
                "reason": verdict.reason,
                "is_saved": choice is not None,
                **_describe(current),
            }
        )
    )
    response = Response(text, mimetype="text/html", headers=_PAGE_HEADERS)
    if choice is not None:
        send_choice(current, response, choice)
    return response


def _describe(current: Current) -> dict[str, t.Any]:
    """Return what the page says about the live settings."""
    state = current.state
    config = state.config
    kept_for = longest_keep(config, state.catalogue.keeps())
    return {
        "has_country": bool(config.country_header or config.country_database),
        "has_identity": config.privacy_identity,
        "cookie_lifetime": config.device_max_age and in_words(config.device_max_age),
        "kept_for": kept_for and in_words(kept_for),
        "has_engagement": state.access.admits(PAGE_ENGAGE, current.site),
        "has_events": any(not definition.builtin for definition in state.catalogue),
    }


def in_words(duration: dt.timedelta) -> str:
    """Return a duration for people: "13 months", "30 days", "1 day"."""
    days = max(1, duration.days)
    number, unit = (days, "day") if days < 60 else (round(days / 30.44), "month")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def serve_stylesheet() -> Response:
    """Serve the stylesheet of the page."""
    get_state()
    return Response(_STYLESHEET.read_bytes(), mimetype="text/css", headers=_STYLESHEET_HEADERS)
