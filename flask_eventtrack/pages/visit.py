"""What a page visit is, and how a page view becomes its event. Pure: values in, values out.

A page visit is an HTML document that is shown to a person:

1. a ``GET`` that navigates, of a view that is neither static, nor ours, nor exempt
   (:mod:`..request.navigation`), and that ``EVENTTRACK_PAGE_VISIT_FILTER`` does not refuse (the
   page hooks); in a frame only if ``EVENTTRACK_FRAMES`` says so;
2. answered with 2xx or 304, and not prefetched (:func:`is_shown`), as HTML (:mod:`.headers`);
3. from somebody who may be recorded (the request's verdict).
"""

from __future__ import annotations

import functools
import operator
import typing as t
import uuid as uuidlib

from werkzeug.wsgi import get_host

from ..ids import session_id_of
from ..privacy.urls import UrlCleaner, campaign_of
from ..records import PAGE_VISIT, Event, PageView, SessionRef, Vouched, from_ns
from ..request.navigation import is_navigation
from ..sites import Sites
from ..text import clean_text


def is_for_later(environ: t.Mapping[str, str]) -> bool:
    """Whether a whole page may be fetched to be shown later.

    A service worker fills its cache like this, and ``<link rel="prefetch">`` the browser's cache.
    When the page is shown, the browser reports the visit.
    """
    is_fetched = environ.get("HTTP_SEC_FETCH_DEST") == "empty"
    return is_fetched and is_navigation({**environ, "HTTP_SEC_FETCH_DEST": "document"})


def is_shown(environ: t.Mapping[str, str], status: int) -> bool:
    """Whether an answer is shown to somebody now, and is no error."""
    if not (200 <= status < 300 or status == 304):
        return False
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":  # this answer is the end of it
        return False
    # A prefetched or prerendered page may never be shown; if it is, the browser reports it.
    purpose = environ.get("HTTP_SEC_PURPOSE") or environ.get("HTTP_PURPOSE", "")
    return "prefetch" not in purpose and "prerender" not in purpose


def may_name_campaign(environ: t.Mapping[str, str], status: int) -> bool:
    """Whether a person may have followed a campaign's link to a redirect, a log-in or an error."""
    is_refused = status >= 300 and status != 304 and "=" in environ.get("QUERY_STRING", "")
    is_asked = is_refused and environ["REQUEST_METHOD"] == "GET" and is_navigation(environ)
    return is_asked and is_shown(environ, 200)  # no prefetch


_page_of = operator.attrgetter(
    "scheme", "host", "script_root", "path", "query", "endpoint", "url_rule", "referrer"
)


class _Page(t.NamedTuple):
    """The values that all visits of one page share."""

    params: dict[str, t.Any]
    site: str
    url_rule: str


class VisitExpander:
    """Makes the events of one app's page views, in the writer, so that no request waits for it.

    Their texts are clean already, unless a release that masked only here has left them.

    The same pages and sessions come again and again, so both are remembered.
    """

    def __init__(self, urls: UrlCleaner, sites: Sites) -> None:
        self._urls = urls
        self._find_site = sites.find
        self._describe_page = functools.lru_cache(maxsize=1024)(self._describe_new_page)
        self._refer_to_session = functools.lru_cache(maxsize=4096)(_refer_to_session)

    def expand(self, record: Event | PageView) -> Event:
        """Return the event of a page view, and an event as it is."""
        if isinstance(record, Event):
            return record
        view = record
        page = self._describe_page(_page_of(view))
        params = page.params.copy()
        if view.title:
            params["title"] = self._urls.clean_text(clean_text(view.title))
        if view.campaign:
            params |= campaign_of(params["url"], view.campaign)
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
            session=self._refer_to_session(
                view.device_id,
                view.session_number,
                view.session_started,
                view.vouched,
                view.follows,
            ),
            site=page.site,
            url_rule=page.url_rule,
            client=view.client,
            half="server",
            campaign=view.campaign,
        )

    def _describe_new_page(self, values: tuple[str, ...]) -> _Page:
        scheme, host, script_root, path, query, endpoint, url_rule, referrer = values
        path = script_root + path
        host = get_host({"wsgi.url_scheme": scheme, "HTTP_HOST": host})
        url = self._urls.compose(scheme, host, path, query)
        params = {
            "url": url,
            "path": self._urls.clean_path(clean_text(path)),
            "endpoint": clean_text(endpoint),
            "url_rule": clean_text(url_rule),
            "referrer": referrer,
            **campaign_of(url),
        }
        return _Page(
            {name: value for name, value in params.items() if value},
            self._find_site(host),
            clean_text(url_rule)[:255],
        )


def _refer_to_session(
    device_id: uuidlib.UUID, number: int, started: int, vouched: Vouched, follows: bool
) -> SessionRef:
    session_id = session_id_of(device_id, number)
    return SessionRef(session_id, device_id, from_ns(started), vouched, number if follows else 0)
