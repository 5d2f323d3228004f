"""Pages that were answered with an error, as reasons of the quality counters."""

from __future__ import annotations

import typing as t

#: An outcome: a page was answered with an error.
FAILED: t.Final = "failed"
#: An outcome: where a person came from to such a page.
FAILED_FROM: t.Final = "failed_from"
#: Places that are neither a URL rule nor a host.
DIRECT: t.Final = "(direct)"
NO_ROUTE: t.Final = "(no route)"
OTHER_SITE: t.Final = "(other site)"

_LONGEST = 64
_SIGN = " < "
_LEAST = 20


class Failure(t.NamedTuple):
    """The status and the URL rule of an error. The rule is "" if none matches the address."""

    status: int
    rule: str

    @property
    def reason(self) -> str:
        """The reason of the outcome ``failed``: ``500 /checkout``."""
        return f"{self.status} {self.rule}".rstrip()[:_LONGEST]

    def came_from(self, place: str) -> str:
        """Return the reason of the outcome ``failed_from``: ``500 /checkout < /cart``.

        It is cut to 64 characters, of which the place keeps at least 20.
        """
        room = _LONGEST - len(_SIGN) - min(len(place), _LEAST)
        return f"{self.reason[:room]}{_SIGN}{place}"[:_LONGEST]


def read_failure(reason: str) -> Failure | None:
    """Return the error of a reason; None if it stands for many that are counted together."""
    status, _, rule = reason.partition(" ")
    return Failure(int(status), rule) if status.isdecimal() else None


def find_failure(reason: str, failures: t.Collection[str]) -> tuple[str, str] | None:
    """Return which of some errors a reason of ``failed_from`` belongs to, and its place.

    :param failures: the reasons of the errors.
    :returns: None if the reason is cut and fits none or several.
    """
    head, _, place = reason.rpartition(_SIGN)
    if head in failures:
        return head, place
    is_cut = len(head) >= _LONGEST - len(_SIGN) - _LEAST
    fitting = [each for each in failures if is_cut and each.startswith(head)]
    return (fitting[0], place) if len(fitting) == 1 else None
