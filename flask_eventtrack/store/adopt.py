"""Makes an engine of ours use what the host attached to its own.

Listeners, or a function that connects, may set a token as the password, a ``search_path``, a role
or the key of an encrypted file. An engine made from the URL alone has none of these.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

# Not the events of transactions and statements: ours are made for our own transactions.
_OF_POOL = (
    *("first_connect", "connect", "checkout", "checkin", "reset"),
    *("invalidate", "soft_invalidate", "close", "detach", "close_detached"),
)
# The modules of SQLAlchemy's own listeners. Our engine has these already, and those of the host's
# engine would set the host's isolation level.
_BUILT_IN = ("sqlalchemy.engine.", "sqlalchemy.dialects.", "sqlalchemy.util.")


def find_creator(host: sa.Engine) -> dict[str, t.Any]:
    """Return the engine option ``creator`` if the host has a function of its own that connects.

    It may be in the options, or in a pool that the host has made itself.
    """
    creator = getattr(host.pool, "_creator", None)
    return {} if creator is None or _is_built_in(creator) else {"creator": creator}


def adopt_listeners(engine: sa.Engine, host: sa.Engine) -> None:
    """Attach the host's listeners of connections to an engine of ours, in the same order.

    Listeners of the classes ``Engine`` and ``Pool`` hold for every engine anyway.
    """
    _adopt(engine, host.dialect, "do_connect")
    _adopt(engine, host, "engine_connect")
    for name in _OF_POOL:
        _adopt(engine, host.pool, name)


def _adopt(engine: sa.Engine, source: t.Any, name: str) -> None:
    for listener in getattr(source.dispatch, name).listeners:
        if not _is_built_in(listener):
            sa.event.listen(engine, name, listener)


def _is_built_in(function: t.Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith(_BUILT_IN)
