"""Forms that change something. A signed token in each shows that a page of ours has sent it."""

from __future__ import annotations

import typing as t

from flask import request
from itsdangerous import BadSignature, URLSafeSerializer

from ..request.origin import PostOrigin, find_origin
from ..state import State, this_app

#: What a page says if a form is refused.
TOO_OLD: t.Final = "The form was too old, or not from this page. Try again."

_HOUR_NS = 3600 * 1_000_000_000
_SALT = "eventtrack.dashboard"


def make_token(state: State, act: str, subject: object = "") -> str:
    """Return a token for an act on a subject, for an hour."""
    return str(_serializer().dumps([act, str(subject), state.clock() + _HOUR_NS]))


def is_ours(state: State, act: str, subject: object = "") -> bool:
    """Whether a page of ours has sent the form, and has made it within the last hour."""
    if find_origin(state) not in {PostOrigin.OWN_PAGE, PostOrigin.OWN_PAGE_WITH_TOKEN}:
        return False
    try:
        signed: t.Any = _serializer().loads(request.form.get("token", ""))
    except BadSignature:
        return False
    return bool(signed[:2] == [act, str(subject)] and state.clock() < signed[2])


def _serializer() -> URLSafeSerializer:
    app = this_app()
    keys = [*(app.config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key]
    return URLSafeSerializer(keys, salt=_SALT)
