"""The customer id of a user object of the host."""

from __future__ import annotations

import functools
import typing as t
import urllib.parse

import sqlalchemy as sa
from sqlalchemy.orm import InstanceState

from ..errors import InvalidEvent
from .visitor import check_customer_id

# Attributes that ``get_id()`` may return in place of an id. A new value ends the user's log-ins,
# for instance after a new password. They are Flask-Security's and the one of Flask-Login's manual
# ("Alternative Tokens").
_HANDLES = ("fs_uniquifier", "alternative_id")
# Its users' ``get_id()`` returns an encrypted token, another one with each call.
_OF_TOKENS = "flask_user."
# A shorter one might be a number, and so another customer's id.
_HANDLE_LENGTH = 16


class UserId(t.NamedTuple):
    """A customer's id, or None if the user is no customer.

    ``former`` is the id by which earlier releases knew the same customer.
    """

    customer_id: str | None = None
    former: str | None = None


def find_user_id(user: t.Any) -> UserId:
    """Return the id of a user as a customer's: what ``get_id()`` returns.

    If that is a handle that changes with the password, or a token, the id is the primary key
    instead.
    """
    has_token = _has_token(user.__class__)
    own = None if has_token else _as_customer_id(user.get_id())
    is_handle = own is not None and own in (str(getattr(user, name, "")) for name in _HANDLES)
    if not (has_token or is_handle):
        return UserId(own)
    key = _as_customer_id(_find_primary_key(user))
    if key is None:
        return UserId(None if is_pending(user) else own)
    is_own = own is not None and len(own) >= _HANDLE_LENGTH and key != own
    return UserId(key, own if is_own else None)


@functools.lru_cache(maxsize=64)
def _has_token(kind: type) -> bool:
    return any(base.__module__.startswith(_OF_TOKENS) for base in kind.__mro__)


def is_pending(user: object) -> bool:
    """Whether a mapped user has not been written yet, so that the primary key may be missing."""
    state = _find_state(user)
    return state is not None and state.identity is None


def _find_state(user: object) -> InstanceState[t.Any] | None:
    state = sa.inspect(user, raiseerr=False)
    return state if isinstance(state, InstanceState) else None


def _find_primary_key(user: t.Any) -> object:
    state = _find_state(user)
    if state is None:
        return getattr(user, "id", None)
    # The identity needs no query, even if a commit has expired the attributes.
    values = state.identity or state.mapper.primary_key_from_instance(user)
    if len(values) == 1:
        return values[0]
    parts = [_as_customer_id(value) for value in values]
    return None if None in parts else ":".join(urllib.parse.quote(part or "") for part in parts)


def _as_customer_id(value: object) -> str | None:
    try:
        return None if value is None else check_customer_id(value)
    except InvalidEvent:
        return None
