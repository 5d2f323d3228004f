"""The shop's pages."""

from __future__ import annotations

import re
import typing as t

from flask import Flask, render_template
from markupsafe import Markup

from example_app.basket import count_items
from example_app.security import form_token

from . import account, basket, catalogue, lookbook, newsletter, outside, visitor

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException

_JOINT = re.compile(r"(?<=[/?&=_])(?=\w)")


def init_app(app: Flask) -> None:
    """Register the pages, their error pages and what their templates use."""
    for module in (account, basket, catalogue, lookbook, newsletter, outside, visitor):
        app.register_blueprint(module.blueprint)
    for code in (400, 404):
        app.register_error_handler(code, show_error)
    app.jinja_env.filters.update(money=format_money, soft=allow_breaks)
    app.jinja_env.globals.update(
        categories=catalogue.CATEGORIES,
        count_items=count_items,
        form_token=form_token,
        topics=newsletter.TOPICS,
    )


def format_money(cents: int) -> str:
    """Write an amount of cents as people do: ``€1,234.50``."""
    return f"€{cents // 100:,}.{cents % 100:02d}"


def allow_breaks(value: object) -> Markup:
    """Let lines break where a long name or address has a joint, and not inside its words."""
    return Markup("<wbr>").join(_JOINT.split(str(value)))


def show_error(error: HTTPException) -> ResponseReturnValue:
    """Show an error in the shop's look."""
    return render_template("error.html", error=error), error.code or 500
