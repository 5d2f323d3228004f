"""A page view becomes an event. Pure: raw values of a request in, an event out."""

from __future__ import annotations

import functools
import typing as t
import uuid as uuidlib

from werkzeug.wsgi import get_host

from ..identity.visitor import session_id_of
from ..privacy import UrlCleaner, campaign_of
from ..privacy.urls import site_of
from ..records import PAGE_VISIT, Event, PageView, SessionRef, from_ns
from ..text import clean_text


def expand(view: PageView, urls: UrlCleaner) -> Event:
    """Return the event of a page view: the writer does what the request did not wait for."""
    page = _describe_page(
        urls,
        view.scheme,
        view.host,
        view.script_root + view.path,
        view.query,
        view.endpoint,
        view.url_rule,
        view.referrer,
    )
    params = page.params.copy()
    if view.title:
        params["title"] = clean_text(view.title)
    params["status"] = view.status
    params["duration_ms"] = view.duration_ns / 1e6
    arrival = from_ns(view.arrival)
    return Event(
        id=view.id,
        action=PAGE_VISIT,
        time=arrival,
        received_at=arrival,
        uuid=view.uuid,
        params=params,
        session=_refer_to_session(view.device_id, view.session_number, view.session_started),
        site=page.site,
        url_rule=page.url_rule,
        client=view.client,
        half="server",
    )


class _Page(t.NamedTuple):
    """What the visits of one page have in common."""

    params: dict[str, t.Any]
    site: str
    url_rule: str


@functools.lru_cache(maxsize=1024)
def _describe_page(
    urls: UrlCleaner,
    scheme: str,
    host: str,
    path: str,
    query: str,
    endpoint: str,
    url_rule: str,
    referrer: str,
) -> _Page:
    host = get_host({"wsgi.url_scheme": scheme, "HTTP_HOST": host})
    url = urls.compose(scheme, host, path, query)
    params = {
        "url": url,
        "path": urls.mask(clean_text(path)),
        "endpoint": clean_text(endpoint),
        "url_rule": clean_text(url_rule),
        "referrer": referrer,
        **campaign_of(url),
    }
    return _Page(
        {name: value for name, value in params.items() if value},
        site_of(host),
        clean_text(url_rule)[:255],
    )


@functools.lru_cache(maxsize=4096)
def _refer_to_session(device_id: uuidlib.UUID, number: int, started: int) -> SessionRef:
    return SessionRef(session_id_of(device_id, number), device_id, from_ns(started))
