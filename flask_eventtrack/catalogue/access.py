"""Allow and deny lists of action patterns, for all sites or for one."""

from __future__ import annotations

import fnmatch
import functools
import typing as t

from ..config import SitePatterns
from ..sites import OTHER


class Access:
    """Decides which actions a site records. A deny list outweighs an allow list."""

    def __init__(self, allow: SitePatterns, deny: SitePatterns) -> None:
        self._allow = allow
        self._deny = deny
        #: Whether every site records every action.
        self.is_open: bool = not allow and not deny
        # Sites come from the Host header, so the cache has to be bounded.
        self.admits: t.Final = functools.lru_cache(maxsize=1024)(self._admits)

    def _admits(self, action: str, site: str) -> bool:
        # Whoever calls a site by another name must not get past its lists.
        sites = {site, *self._allow, *self._deny} if site == OTHER else {site}
        return all(self._admits_on(each, action) for each in sites)

    def _admits_on(self, site: str, action: str) -> bool:
        allowed, denied = _patterns(self._allow, site), _patterns(self._deny, site)
        return (not allowed or _matches(action, allowed)) and not _matches(action, denied)


def _patterns(lists: SitePatterns, site: str) -> list[str]:
    return [*lists.get("*", ()), *lists.get(site, ())]


def _matches(action: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)
