"""The host app's rules for the URLs of its pages."""

from __future__ import annotations

from flask import request

from ..privacy.urls import path_of
from ..state import OWN_BLUEPRINTS, State, this_app

# A host's own converters run with each match, and may ask a database.
_MOST_MATCHES = 10
_LIFETIME_NS = 60 * 1_000_000_000


class RuleFinder:
    """Finds the rules for the URLs of one post, and remembers them for later posts.

    A page is matched once a minute, whatever the result. A post can have ten new pages matched; any
    others have no rule.
    """

    def __init__(self, state: State) -> None:
        self._known = state.url_rules
        self._now = state.clock()
        self._left = _MOST_MATCHES

    def find(self, url: str) -> str:
        """Return the host app's rule for a URL of its own, or "" if none was found."""
        path = path_of(url).removeprefix(request.script_root)
        key = request.scheme, request.host, request.script_root, path
        until, rule = self._known.get(key, (0, ""))
        if not 0 <= until - self._now <= _LIFETIME_NS:
            if not self._left:
                return ""
            self._left -= 1
            rule = _match(path)
            self._known.remember(key, (self._now + _LIFETIME_NS, rule))
        return rule


def _match(path: str) -> str:
    try:
        adapter = this_app().create_url_adapter(request)
        if adapter is None:
            return ""
        rule, _ = adapter.match(path, method="GET", return_rule=True)
    except Exception:  # noqa: BLE001 - a host's own converters run here, and may fail as they like
        return ""
    return "" if rule.endpoint.partition(".")[0] in OWN_BLUEPRINTS else rule.rule
