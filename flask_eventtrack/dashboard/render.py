"""Pages out of templates, with the headers of pages that are for the host's staff only."""

from __future__ import annotations

import functools
import typing as t

import jinja2
from flask import Response, request

from ..request.access import Access
from ..state import State

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
#: The pages of the navigation: the endpoint of each, and its title.
PAGES: t.Final = (("overview", "Overview"),)


@functools.cache
def _environment() -> jinja2.Environment:
    """Our own environment: the host's may have another syntax, filters and undefined values."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(state: State, access: Access, page: str, title: str, **values: object) -> Response:
    """Return a page.

    :param page: the endpoint, which is also the name of its template.
    """
    prefix = request.script_root + state.config.url_prefix
    template = _environment().get_template(f"{page}.html")
    text = template.render(
        page=page,
        title=title,
        name=state.config.dashboard_name or request.host.partition(":")[0],
        logo=state.config.dashboard_logo,
        home=f"{request.script_root}/",
        prefix=prefix,
        pages=PAGES,
        access=access,
        **values,
    )
    return Response(text, mimetype="text/html", headers=_HEADERS)
