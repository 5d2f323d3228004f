"""Who may see the pages: what ``EVENTTRACK_DASHBOARD_PERMISSION`` answers."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import ipaddress
import typing as t

from flask import request
from werkzeug.exceptions import HTTPException

from ..identity.scoped_tokens import find_scopes
from ..state import State, this_app
from .host_login import read_bearer

#: What a page needs: to see the numbers, to see people, or to change what is stored of them.
Need = t.Literal["numbers", "people", "manage"]

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


class Link(t.NamedTuple):
    """A read-only link to the overview: its path below the root of the dashboard, and its end."""

    path: str
    ends_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """What a request may do. Everyone who has access sees numbers.

    ``sites`` are the only ones that it may see; None is all of them. ``is_by_debug`` if only the
    debug mode lets it in, ``is_by_token`` if a token of ``EVENTTRACK_REPORT_TOKENS`` does, and
    ``is_by_command`` if a command of the operator reads. ``link`` is the shared link that lets it
    in.
    """

    may_see_people: bool = False
    may_manage: bool = False
    sites: frozenset[str] | None = None
    is_by_debug: bool = False
    is_by_token: bool = False
    is_by_command: bool = False
    link: Link | None = None

    def meets(self, need: Need) -> bool:
        """Whether it may do what needs this much."""
        return {"numbers": True, "people": self.may_see_people, "manage": self.may_manage}[need]


#: What commands may do: whoever runs them can read the database.
OPERATOR: t.Final = Access(may_see_people=True, may_manage=True, is_by_command=True)
_ACCESS: t.Final[dict[object, Access]] = {
    True: Access(may_see_people=True, may_manage=True),
    "manage": Access(may_see_people=True, may_manage=True),
    "view": Access(may_see_people=True),
    "numbers": Access(),
}


def find_access(state: State, *, by_token: bool = False) -> Access | None:
    """Return what the host app permits the current request; None if it permits nothing.

    :param by_token: whether a token of ``EVENTTRACK_REPORT_TOKENS`` will do as well: for what
        programs read.
    """
    access = find_token_access(state) if by_token else None
    return access or _ask_host(state)


def _ask_host(state: State) -> Access | None:
    ask = state.config.dashboard_permission
    if ask is None:
        return dataclasses.replace(_ACCESS[True], is_by_debug=True) if _is_developer() else None
    try:
        return _read_permit(ask())
    except HTTPException:  # the host's function may refuse with abort(403)
        return None
    except Exception as error:  # noqa: BLE001 - a failing function permits nothing
        state.report_failure("asking for EVENTTRACK_DASHBOARD_PERMISSION", error)
        return None


def _read_permit(permit: object) -> Access | None:
    if permit is True or isinstance(permit, str):
        return _ACCESS.get(permit)
    if not isinstance(permit, cabc.Collection):
        return None
    # An empty name is no site, such as that of "".split(",").
    sites = frozenset(site for site in permit if isinstance(site, str) and site)
    return Access(sites=sites) if sites else None


def find_token_access(state: State) -> Access | None:
    """Return what the request's token of ``EVENTTRACK_REPORT_TOKENS`` permits; None without one."""
    given = read_bearer(request.environ)
    if given is None:
        return None
    scopes = find_scopes(state.config.report_tokens, given)
    # A token that is listed twice has the larger scope.
    scope = next((scope for scope in ("manage", "view", "numbers") if scope in scopes), None)
    return None if scope is None else dataclasses.replace(_ACCESS[scope], is_by_token=True)


def _is_developer() -> bool:
    """Whether the app is in debug mode, and its own machine asks without a proxy."""
    if not this_app().debug or any(name in request.headers for name in _FORWARDING):
        return False
    name = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
    try:
        is_loopback = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
    return is_loopback and (name or request.host) in _LOCAL_NAMES
