"""Fills an app's database with a made-up history."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import gc

from sqlalchemy.exc import IntegrityError

from ..errors import EventTrackError
from ..origins import site_of
from ..state import State
from .agents import iter_agent_rows
from .history import iter_history
from .mishaps import iter_mishaps
from .site import Site
from .writing import count_events, without_indexes, write, write_agents, write_mishaps


class AlreadyMadeError(EventTrackError, ValueError):
    """The same history was made before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Filled:
    """How many rows were written."""

    events: int
    sessions: int
    orders: int


def fill(
    state: State, events: int, days: int, seed: int = 0, host: str = "127.0.0.1:5000"
) -> cabc.Iterator[Filled]:
    """Write about so many events, and yield now and then how many rows it has written.

    :param days: how many days before today the history begins.
    :param host: the host of its URLs, unless ``EVENTTRACK_SITES`` names one.
    :raises AlreadyMadeError: the database has the same history.
    """
    database = state.pipeline.database
    # Customers and orders of the app's own have such ids too.
    prefix = f"demo{seed}-" if count_events(database) else ""
    site = _make_site(state, prefix, host)
    with without_indexes(database), _without_gc():
        for rows in iter_history(site, events, days, seed):
            try:
                write(database, rows, site.now)
            except IntegrityError as error:
                raise AlreadyMadeError(
                    f"The database has this history already. Choose another seed than {seed}."
                ) from error
            yield Filled(len(rows.events), len(rows.sessions), len(rows.transactions))
        if state.config.agents:
            write_agents(database, list(iter_agent_rows(site, events, days, seed)))
        write_mishaps(database, list(iter_mishaps(site, events, days, seed)))


@contextlib.contextmanager
def _without_gc() -> cabc.Iterator[None]:
    """Turn the garbage collector off, which takes a tenth of the time. Rows have no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _make_site(state: State, prefix: str, host: str) -> Site:
    config, writer = state.config, state.pipeline.writer
    host = next((name for name in config.sites if not name.startswith("*")), host)
    name = site_of(host)

    def is_recorded(action: str) -> bool:
        return state.catalogue.find(action) is not None and state.access.admits(action, name)

    return Site(
        now=writer.now,
        zone=config.timezone,
        salt=config.profile_salt,
        name=name,
        host=host,
        find_channel=writer.find_channel,
        records=is_recorded,
        session_timeout=config.session_timeout,
        lookback=config.lookback,
        prefix=prefix,
    )
