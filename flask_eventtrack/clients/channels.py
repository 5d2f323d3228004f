"""Channels: the kinds of sources. The rules follow those of Google Analytics 4.

See https://support.google.com/analytics/answer/9756891. Here all that is paid for is one channel,
AI assistants are another, and a campaign that fits no rule is ``campaign`` ("Unassigned" there).
The rules as a table are in ``docs/explanation/attribution.md``.
"""

from __future__ import annotations

import collections.abc as cabc
import re

from ..config import Channel
from .channel_hosts import DETOURS, HOSTS, NAMES

# What the medium of a campaign says; some count before the source, others only after it.
_BEFORE: tuple[tuple[Channel, re.Pattern[str]], ...] = (
    ("paid", re.compile(r".*cp.*|ppc|retargeting|paid.*|display|banner|expandable|interstitial")),
    ("mail", re.compile(r"e[-_ ]?mail|mail|newsletter")),
    ("affiliate", re.compile(r"affiliates?")),
)
_AFTER: tuple[tuple[Channel, re.Pattern[str]], ...] = (
    ("social", re.compile(r"social|social[-_ ](?:network|media)|sm")),
    ("search", re.compile(r"organic")),
    ("referral", re.compile(r"referral|app|link")),
)
_ENDING = re.compile(r"(?:\.com?)?\.[a-z]{2}$|\.com$")


class Channels:
    """Tells the channel of a visit.

    :param more: more sources, as hosts or names in lower case; they count before those of the list.
    :param detours: more hosts to which people go in the middle of a visit.
    """

    def __init__(
        self, more: cabc.Mapping[str, Channel] | None = None, detours: cabc.Iterable[str] = ()
    ) -> None:
        self._more = more or {}
        self._detours = DETOURS.union(detours)

    def is_detour(self, host: str) -> bool:
        """Whether people who come from a host had left in the middle of a visit, as to pay."""
        return not self._detours.isdisjoint(_forms_of(host))

    def channel_of(
        self, source: str, medium: str = "", *, is_paid: bool = False, has_campaign: bool = False
    ) -> Channel:
        """Return the channel of a visit, by the first rule that fits.

        :param source: a host, an app's package, a name, or "direct".
        :param medium: ``utm_medium``.
        :param is_paid: whether the link has the click id of an ad.
        :param has_campaign: whether the link has any ``utm_`` parameter.
        """
        source, medium = source.strip().lower(), medium.strip().lower()
        return (
            _match(_BEFORE, medium)
            or ("paid" if is_paid else None)
            or self._find(source)
            or _match(_AFTER, medium)
            or ("campaign" if has_campaign else None)
            or ("direct" if source == "direct" else "referral")
        )

    def _find(self, source: str) -> Channel | None:
        forms = _forms_of(source)
        return _first(self._more, forms) or _first(HOSTS, forms) or NAMES.get(source)


def _match(rules: cabc.Iterable[tuple[Channel, re.Pattern[str]]], medium: str) -> Channel | None:
    return next((channel for channel, pattern in rules if pattern.fullmatch(medium)), None)


def _first(channels: cabc.Mapping[str, Channel], forms: cabc.Iterable[str]) -> Channel | None:
    return next((channels[form] for form in forms if form in channels), None)


def _forms_of(host: str) -> list[str]:
    """Return the names under which a host may be listed, the longest first: it, the hosts above it,
    and the same with any country's ending."""
    forms = []
    for name in (host, _ENDING.sub(".*", host)):
        labels = name.split(".")
        forms += [".".join(labels[at:]) for at in range(len(labels))]
    return forms
