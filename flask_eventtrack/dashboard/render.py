"""Pages out of templates, with the headers of pages that are for the host's staff only."""

from __future__ import annotations

import contextlib
import functools
import gzip
import typing as t

import jinja2
from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ReportUnavailable
from ..request.access import Access, Link, Need
from ..state import State
from . import figures
from .assets import link_asset
from .explore.warning import find_warning

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
# The path of a shared link is a secret: not even the host's own pages get it as a referrer.
_OF_LINKS = {"Referrer-Policy": "no-referrer"}
#: The pages of the navigation: the endpoint of each, its title, and what it needs.
PAGES: t.Final[tuple[tuple[str, str, Need], ...]] = (
    ("overview", "Overview", "numbers"),
    ("live", "Live", "people"),
    ("people", "People", "people"),
    ("goals", "Goals", "numbers"),
    ("funnels", "Funnels", "numbers"),
    ("retention", "Retention", "numbers"),
    ("paths", "Paths", "numbers"),
    ("elements", "Elements", "numbers"),
    ("agents", "Agents", "numbers"),
    ("routes", "Routes", "numbers"),
    ("catalogue", "Catalogue", "numbers"),
    ("quality", "Quality", "numbers"),
    ("audit", "Audit", "manage"),
    ("links", "Share", "manage"),
)
_LEAST_BYTES = 600
_LEVEL = 5


@functools.cache
def make_environment() -> jinja2.Environment:
    """Our own environment: the host's may have another syntax, filters and undefined values."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=figures.clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = figures.write_count
    environment.filters["percent"] = figures.write_percent
    environment.filters["shorten"] = figures.shorten
    return environment


def find_root(state: State, link: Link | None = None) -> str:
    """Return the URL path of the dashboard, or of a shared link, without a slash at its end."""
    root = request.script_root + state.config.url_prefix
    return root if link is None else root + link.path


def render(
    state: State,
    access: Access,
    page: str,
    title: str,
    *,
    template: str | None = None,
    status: int = 200,
    compress: bool = True,
    **values: t.Any,
) -> Response:
    """Return a page.

    :param page: the endpoint that is current in the navigation.
    :param template: the name of its template, if it is another one.
    :param values: what the template shows. ``here_now`` is counted unless it is among them.
    :param compress: False for pages that hold a secret, such as a form's token: the length of a
        compressed page can tell it to somebody who chooses a part of the page.
    """
    if "here_now" not in values:
        values["here_now"] = _count_here(state, access)
    root = find_root(state, access.link)
    text = (
        make_environment()
        .get_template(f"{template or page}.html")
        .render(
            page=page,
            title=title,
            name=state.config.dashboard_name or request.host.partition(":")[0],
            logo=state.config.dashboard_logo,
            home=f"{request.script_root}/",
            prefix=root,
            pages=_list_pages(access),
            access=access,
            warning=find_warning(state, access) if page != "quality" else None,
            until=access.link and _write_end(state, access.link),
            asset=functools.partial(link_asset, state, root),
            **values,
        )
    )
    headers = _HEADERS if access.link is None else _HEADERS | _OF_LINKS
    response = Response(text, status, headers, mimetype="text/html")
    return shrink(response) if compress else response


def _list_pages(access: Access) -> list[tuple[str, str]]:
    """Return the pages of the navigation. A shared link opens the first one alone."""
    pages = PAGES if access.link is None else PAGES[:1]
    return [(name, label) for name, label, need in pages if access.meets(need)]


def _write_end(state: State, link: Link) -> str:
    day = link.ends_at.astimezone(state.reports.zone).date()
    return f"{day.day} {figures.name_month(day)[:3]} {day.year}"


def _count_here(state: State, access: Access) -> int | None:
    """Return how many people are here, for the head of the page; None to leave it out."""
    if not access.meets("people"):
        return None
    with contextlib.suppress(ReportUnavailable, SQLAlchemyError, TimeoutError):
        return state.reports.count_here()
    return None


def respond(body: bytes | str, mimetype: str, **headers: str) -> Response:
    """Return data for a program or a file to keep, compressed if the client accepts it.

    :param headers: more headers of the answer, with ``_`` for ``-`` in their names.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    names = ("Cache-Control", "X-Content-Type-Options", "X-Robots-Tag")
    common = {name: _HEADERS[name] for name in names}
    return shrink(Response(body, headers={**common, **named}, mimetype=mimetype))


def shrink(response: Response) -> Response:
    """Compress a response if its client accepts that."""
    response.headers["Vary"] = "Accept-Encoding"
    body = response.get_data()
    if len(body) >= _LEAST_BYTES and request.accept_encodings.quality("gzip"):
        response.set_data(gzip.compress(body, _LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
