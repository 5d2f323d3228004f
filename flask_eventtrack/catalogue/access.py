"""Allow and deny lists of action patterns, for all sites or per site."""

from __future__ import annotations

import fnmatch
import functools
import re
import typing as t

if t.TYPE_CHECKING:
    from ..config import SitePatterns


class Access:
    """Says which actions a site records. Deny wins; an allow list admits only what it names."""

    def __init__(self, allow: SitePatterns, deny: SitePatterns) -> None:
        self._allow = allow
        self._deny = deny
        #: Whether nothing is refused anywhere.
        self.is_open = not allow and not deny
        # Sites come from the Host header: the cache is bounded.
        self.admits = functools.lru_cache(maxsize=1024)(self._admits)

    def _admits(self, action: str, site: str) -> bool:
        denied = _pattern(self._deny, site)
        if denied is not None and denied.fullmatch(action):
            return False
        allowed = _pattern(self._allow, site)
        return allowed is None or allowed.fullmatch(action) is not None


def _pattern(lists: SitePatterns, site: str) -> re.Pattern[str] | None:
    patterns = [*lists.get("*", ()), *lists.get(site, ())]
    return re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else None
