"""What one app's registration holds, and how to reach it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import logging
import pathlib
import typing as t
import uuid as uuidlib
import weakref

from blinker import NamedSignal
from flask import Flask, current_app
from markupsafe import Markup

from .bounded import BoundedDict
from .browser import Scripts
from .catalogue.access import Access
from .catalogue.definitions import Catalogue
from .config import Config
from .errors import NotRegistered
from .identity.jwt import CustomerTokens
from .identity.tokens import Cookies, TokenCodec
from .identity.visitor import CustomerId, Lifetimes, check_customer_id, customer_uuid
from .limits import Limiter, Novelty, VisitLimiter
from .pipeline.forks import Pipelines
from .pipeline.pipeline import Pipeline
from .privacy.masking import Masker
from .privacy.urls import UrlCleaner
from .records import Clock, Event, PageView
from .sites import Sites
from .store.erasure_file import ErasureFile

if t.TYPE_CHECKING:
    from .pipeline.functions import Functions
    from .reports.library import Reports

logger: logging.Logger = logging.getLogger("flask_eventtrack")

EXTENSION = "eventtrack"
#: The name of the blueprint, in front of the names of its endpoints.
BLUEPRINT = "eventtrack"
#: The same of the dashboard. The host's hooks run for its pages, as for the host's own.
DASHBOARD = "eventtrack_dashboard"
OWN_BLUEPRINTS: t.Final = frozenset({BLUEPRINT, DASHBOARD})
# At least half of them are remembered.
_RECENT_IDS = 20_000
_URL_RULES = 2000
_WARNINGS = 1000

CustomerLoader = cabc.Callable[[], CustomerId | None]
#: Names the member of staff who makes a request.
DashboardUser = cabc.Callable[[], object]
#: Takes a user of Flask-Login.
CustomerIdHook = cabc.Callable[[t.Any], CustomerId | None]


@dataclasses.dataclass(slots=True, weakref_slot=True)
class Callbacks:
    """What a host gives to its ``EventTrack`` object, before ``init_app`` or after."""

    customer_loader: CustomerLoader | None = None
    customer_id: CustomerIdHook | None = None
    dashboard_user: DashboardUser | None = None
    functions: Functions | None = None

    @property
    def function_names(self) -> set[str]:
        """The names of the functions on events."""
        return {each.name for each in self.functions.list()} if self.functions else set()


@dataclasses.dataclass(slots=True, kw_only=True, weakref_slot=True, eq=False)
class State:
    """One app's registration: ``app.extensions["eventtrack"]``.

    ``may_prefix`` says whether cookies have the prefix ``__Host-`` over HTTPS; ``tag`` is what the
    snippet's tags have in common; ``journal`` is the folder of the journals,
    if events are kept in one; ``erasures`` the file that keeps erasures outside the database;
    ``has_pages`` remembers for each endpoint
    whether its answers may be page visits; ``has_login`` whether Flask-Login may have loaded a
    user; ``recent_ids`` are the last event ids that this process took from clients; ``url_rules``
    the rules of the last URLs, each with the moment until which it is remembered; ``warned`` the
    kinds of warnings that were logged; ``admits_bots`` says that bots count as people, as they do
    where a test captures events.
    """

    config: Config
    catalogue: Catalogue
    access: Access
    sites: Sites
    tokens: TokenCodec
    customer_tokens: CustomerTokens
    callbacks: Callbacks
    read_cookies: cabc.Callable[[str, bool], Cookies]
    may_prefix: bool
    urls: UrlCleaner
    masker: Masker | None
    limiter: Limiter
    visit_limiter: VisitLimiter
    novelty: Novelty
    scripts: Scripts
    tag: Markup
    journal: pathlib.Path | None
    erasures: ErasureFile | None
    pipelines: Pipelines
    expand: cabc.Callable[[Event | PageView], Event]
    clock: Clock
    lifetimes: Lifetimes
    make_reports: cabc.Callable[[], Reports]
    recent_ids: BoundedDict[uuidlib.UUID, None] = dataclasses.field(
        default_factory=lambda: BoundedDict(_RECENT_IDS)
    )
    url_rules: BoundedDict[tuple[str, ...], tuple[int, str]] = dataclasses.field(
        default_factory=lambda: BoundedDict(_URL_RULES)
    )
    failures: dict[str, int] = dataclasses.field(default_factory=dict)
    warned: BoundedDict[str, None] = dataclasses.field(
        default_factory=lambda: BoundedDict(_WARNINGS)
    )
    has_pages: dict[str, bool] = dataclasses.field(default_factory=dict)
    has_login: bool = True
    is_set_up: bool = False
    admits_bots: bool = False

    @property
    def pipeline(self) -> Pipeline:
        """This process's way to the database."""
        return self.pipelines.get()

    @property
    def reports(self) -> Reports:
        """The reports, whose modules are imported now if nothing asked for numbers before."""
        return self.make_reports()

    def profile_of(self, customer_id: CustomerId) -> uuidlib.UUID:
        """Return the profile of a customer.

        :raises InvalidEvent: the id cannot be a customer's.
        """
        return customer_uuid(self.config.profile_salt, check_customer_id(customer_id))

    def warn_once(self, kind: str, message: str, *values: object) -> None:
        """Log a warning, unless one of this kind was logged before."""
        if kind not in self.warned:
            self.warned.remember(kind, None)
            logger.warning(message, *values)

    def guard(self, doing: str) -> Guard:
        """Return a context for our code, so that its exceptions never reach the host's users."""
        return Guard(self, doing)

    def report_failure(self, doing: str, error: Exception) -> None:
        """Raise our exception in debug and testing; otherwise log each kind once, and count it."""
        if current_app.testing or current_app.debug:
            raise error
        kind = f"{doing}: {type(error).__name__}"
        self.failures[kind] = self.failures.get(kind, 0) + 1
        if self.failures[kind] == 1:
            logger.error("EventTrack failed while %s; the request goes on.", doing, exc_info=error)


class Guard:
    """The edge between us and the host: ``with state.guard("reading a title"):``."""

    __slots__ = ("_doing", "_state")

    def __init__(self, state: State, doing: str) -> None:
        self._state = state
        self._doing = doing

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._state.report_failure(self._doing, error)
        return True


def send(state: State, signal: NamedSignal, **detail: t.Any) -> None:
    """Tell the receivers of a signal; in production their exceptions do not reach the request."""
    if not signal.receivers:
        return
    with state.guard(f"telling receivers of {signal.name}"):
        signal.send(this_app(), **detail)


def warn_of_memory(state: State) -> None:
    """Tell the developer that events are lost with the process."""
    state.warn_once(
        "in memory",
        "EventTrack: the database is SQLite in memory. Events live in this process and vanish with "
        "it, and other processes do not see them.",
    )


def this_app() -> Flask:
    """Return the current app itself, which is the sender of signals."""
    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]


#: The registrations of this process's apps, and who is told of each new one.
registered: t.Final[weakref.WeakSet[State]] = weakref.WeakSet()
watchers: t.Final[list[cabc.Callable[[State], None]]] = []


def register(app: Flask, state: State) -> None:
    """Put the registration on an app."""
    app.extensions[EXTENSION] = state
    registered.add(state)
    for watch in watchers:
        watch(state)


def find_state(app: Flask) -> State | None:
    """Return the registration on ``app``, or None."""
    return app.extensions.get(EXTENSION)


def get_state() -> State:
    """Return the registration on the current app.

    :raises NotRegistered: there is no app context, or no EventTrack on the app.
    """
    if not current_app:
        raise NotRegistered("There is no app context: use 'with app.app_context():' around it.")
    state = find_state(current_app)
    if state is None:
        raise NotRegistered(
            f"EventTrack is not registered on {current_app.name!r}: call events.init_app(app, db)."
        )
    return state
