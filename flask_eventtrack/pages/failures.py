"""Counts pages that are answered with an error, and where people came from, but not who."""

from __future__ import annotations

import typing as t

from flask import Request

from ..origins import origin_of, site_of
from ..records import PAGE_VISIT, Outcome
from ..request.context import Current
from ..request.rules import RuleFinder
from ..state import State
from ..store.failures import DIRECT, FAILED, FAILED_FROM, NO_ROUTE, OTHER_SITE, Failure

_MOST_HOSTS = 50
_HOUR_NS = 3600 * 1_000_000_000


class Failures:
    """Counts the errors of one app.

    A referrer may name any host, so a process keeps the names of only 50 hosts an hour.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._hour = 0
        self._hosts: set[str] = set()

    def count(self, current: Current, status: int) -> None:
        """Count a page that a person asked for."""
        request, count = current.request, self._state.pipeline.count
        failure = Failure(status, request.url_rule.rule if request.url_rule else "")
        place = self._find_place(request, current.arrival)
        count(Outcome(FAILED, PAGE_VISIT, failure.reason))
        count(Outcome(FAILED_FROM, PAGE_VISIT, failure.came_from(place)))

    def _find_place(self, request: Request, now: int) -> str:
        """Return the rule of the page that led here, or its host if that is another site."""
        referrer = t.cast("str", request.environ.get("HTTP_REFERER", ""))
        origin = origin_of(referrer)
        host = site_of(origin.host or "") if origin else ""
        if not host:
            return DIRECT
        if host == site_of(request.host):
            return RuleFinder(self._state).find(referrer) or NO_ROUTE
        return host if self._admits(host, now // _HOUR_NS) else OTHER_SITE

    def _admits(self, host: str, hour: int) -> bool:
        if hour != self._hour:
            self._hour, self._hosts = hour, set()
        if len(self._hosts) < _MOST_HOSTS:
            self._hosts.add(host)
        return host in self._hosts
