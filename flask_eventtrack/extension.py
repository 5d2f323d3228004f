"""The extension object, which alone knows all the parts."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import logging
import os
import pathlib
import sys
import time
import types
import typing as t
import weakref

import sqlalchemy as sa
from flask import Flask

from . import api, data_rights, transactions
from .browser import load_scripts
from .catalogue.access import Access
from .catalogue.builtin import builtin_catalogue
from .catalogue.definitions import (
    Catalogue,
    Definition,
    Status,
    at_place,
    read_keep,
    read_status,
    read_unmasked,
)
from .catalogue.modules import load_definitions
from .cli.group import eventtrack_cli
from .clients.channels import Channels
from .clients.countries import CountryDatabase
from .clients.facts import AgentParser, FactFinder
from .collector.routes import make_blueprint
from .config import Config, load_config, parse_site
from .dashboard.routes import make_dashboard
from .digest import Every
from .errors import ConfigError, InvalidDefinition
from .identity.jwt import CustomerTokens
from .identity.tokens import DeviceRule, TokenCodec
from .identity.visitor import CustomerId, Lifetimes
from .later import imported_later
from .limits import Limiter, Novelty, VisitLimiter
from .log import escape_log
from .pages.hooks import PageHooks
from .pages.snippet import eventtrack_snippet, make_tag
from .pages.visit import VisitExpander
from .pipeline.forks import Pipelines
from .pipeline.health import Health, examine
from .pipeline.homes import find_obstacle
from .pipeline.journal import Journal
from .pipeline.pipeline import Pipeline
from .pipeline.queue import FindSent, MemoryQueue, Queue
from .pipeline.sink import Sink
from .pipeline.writer import Hooks
from .privacy.masking import Masker
from .privacy.secret_names import is_secret_name
from .privacy.urls import UrlCleaner
from .records import Clock
from .reports.explore.goals import Goals
from .reports.feed import FeedEvent, read_feed
from .reports.reader import Reader
from .request.celery_signals import follow_celery
from .request.cookies import cookie_reader, may_prefix
from .request.debug_log import follow_events
from .request.flask_login import follow_flask_login
from .request.navigation import EXEMPT
from .request.outside import as_visitor
from .signals import events_written, session_ended, session_started, transaction_contradicted
from .sites import Sites
from .state import (
    EXTENSION,
    Callbacks,
    CustomerIdHook,
    CustomerLoader,
    DashboardUser,
    State,
    get_state,
    register,
    registered,
    warn_of_memory,
)
from .store.batch import Written
from .store.engine import Database
from .store.erasure_file import ErasureFile
from .store.objections import Objections
from .store.retention import Retention
from .store.tables import Tables
from .store.tombstones import Tombstones

if t.TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

    from .digest.making import Digest
    from .reports.elsewhere import Elsewhere
    from .reports.library import Reports
    from .store.new_events import StoredEvent
    from .testing.capture import Capture

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_F = t.TypeVar("_F")
_L = t.TypeVar("_L", bound=CustomerLoader)
_I = t.TypeVar("_I", bound=CustomerIdHook)
_U = t.TypeVar("_U", bound=DashboardUser)
_O = t.TypeVar("_O", bound="cabc.Callable[[StoredEvent], object]")
_eventtrack_chart = imported_later("dashboard.host_chart.eventtrack_chart")
_eventtrack_feed = imported_later("dashboard.host_feed.eventtrack_feed")
# Options that our own engine sets itself.
_OWN_OPTIONS = frozenset(
    {"hide_parameters", "max_overflow", "pool", "pool_pre_ping", "pool_size", "poolclass", "url"}
)


class EventTrack:
    """Records what the visitors of a Flask app do, in the app's own database.

    ::

        db = SQLAlchemy(app)
        events = EventTrack(app, db)

    or, with an application factory, ``events = EventTrack()`` and ``events.init_app(app, db)``.
    Definitions belong to the object, settings to each app that it is registered on.

    :param app: the app to register on at once.
    :param db: the app's Flask-SQLAlchemy; the one registered on the app by default.
    :param clock: returns nanoseconds since the epoch; tests give their own.
    """

    def __init__(
        self, app: Flask | None = None, db: SQLAlchemy | None = None, *, clock: Clock = time.time_ns
    ) -> None:
        self.catalogue: t.Final = builtin_catalogue()
        self._goals = Goals()
        self._callbacks = Callbacks()
        self._clock = clock
        if app is not None:
            self.init_app(app, db)

    def init_app(self, app: Flask, db: SQLAlchemy | None = None) -> None:
        """Register on an app: its settings are read now, and its database is not touched.

        :raises ConfigError: a setting is wrong, ``SECRET_KEY`` or the database is missing, or an
            EventTrack is registered already.
        """
        _refuse_second(app)
        escape_log()
        config = load_config(app.config)
        load_definitions(config.definitions)
        self._goals.check(self.catalogue)
        if self._callbacks.functions is not None:
            _require_log(config)
        db = _find_db(app, db)
        database = _open_database(app, db, config, self._clock)
        replica = _open_replica(app, db, config, database)
        state = self._make_state(app, config, database, replica)
        if config.durability is None:
            _follow_drops(app, state, db.metadatas[config.bind_key])
        register(app, state)
        app.jinja_env.globals["eventtrack_snippet"] = eventtrack_snippet
        app.jinja_env.globals["eventtrack_chart"] = _eventtrack_chart
        app.jinja_env.globals["eventtrack_feed"] = _eventtrack_feed
        app.cli.add_command(eventtrack_cli)
        if config.enabled:
            PageHooks(state).register(app)
            app.register_blueprint(make_blueprint(app, config.url_prefix))
            dashboard = make_dashboard(app, config.url_prefix)
            if config.mcp:
                from .assistants.endpoint import add_endpoint

                add_endpoint(app, dashboard)
            app.register_blueprint(dashboard)
            follow_flask_login(app)
            if app.debug:
                follow_events(app)
            if app.debug and database.is_in_memory:
                warn_of_memory(state)

    def _make_state(
        self, app: Flask, config: Config, database: Database, replica: Database
    ) -> State:
        masker = _make_masker(config)
        urls = UrlCleaner(
            config.secret_parameters,
            keeps_routes=config.spa == "hash",
            mask=masker.mask_text if masker else None,
        )
        access = Access(config.allow, config.deny)
        countries = CountryDatabase(config.country_database) if config.country_database else None
        reference = weakref.ref(app)  # the writer must not keep an app alive
        callbacks = weakref.ref(self._callbacks)  # and a function may know its app
        journal = _journal_folder(app, database, config)
        sites = _make_sites(app, config, journal)
        pages = VisitExpander(urls, sites)
        tombstones = Tombstones(database.tables, config.profile_salt)
        erasures = _make_erasure_file(app, database, config)
        novelty = Novelty(config.undefined_limit, self._clock)
        hooks = Hooks(
            context=lambda: app.app_context() if (app := reference()) else contextlib.nullcontext(),
            expand=pages.expand,
            facts=FactFinder(
                AgentParser(config.agent_parser),
                countries,
                _own_hosts(config, sites),
                Channels(config.channels, config.payment_hosts),
            ),
            admits=access.admits,
            is_defined=lambda action: self.catalogue.find(action) is not None,
            most_names=novelty.most_kept,
            written=_announcer(reference),
            mask=lambda fields: (
                masker.mask_params(fields, mask=urls.clean_text) if masker else fields
            ),
            clock=self._clock,
            config=config,
            tombstones=tombstones,
            objections=Objections(database.tables, tombstones.hash_of),
            erasures=erasures,
            retention=lambda: Retention(
                self.catalogue.keeps(), config.retention, keeps_revenue=config.keep_revenue
            ),
            functions=lambda: found.functions if (found := callbacks()) else None,
            is_testing=lambda: bool((app := reference()) and app.testing),
        )
        tokens = TokenCodec(_secret_keys(app), _device_rule(config), self._clock)
        make_queue = _queue_maker(reference, journal, database, config)
        make_sink = _sink_maker(reference, database, config, self._clock)
        pipelines = Pipelines(
            lambda: Pipeline(
                database,
                hooks,
                make_queue,
                config.flush_interval,
                sink=make_sink(),
                sends_at_once=config.durability == "stream",
            )
        )
        elsewhere = _open_elsewhere(config, database, self._clock)
        reader = Reader(replica, lambda: pipelines.get().flush(), elsewhere)
        scripts = load_scripts()
        return State(
            config=config,
            catalogue=self.catalogue,
            access=access,
            sites=sites,
            tokens=tokens,
            customer_tokens=CustomerTokens(config),
            callbacks=self._callbacks,
            read_cookies=cookie_reader(tokens, takes_last=config.frames == "embed"),
            may_prefix=may_prefix(config),
            urls=urls,
            masker=masker,
            limiter=Limiter(config, self._clock),
            visit_limiter=VisitLimiter(config),
            novelty=novelty,
            scripts=scripts,
            tag=make_tag(config, scripts),
            journal=journal,
            erasures=erasures,
            pipelines=pipelines,
            expand=pages.expand,
            clock=self._clock,
            lifetimes=Lifetimes(_to_ns(config.session_timeout), _to_ns(config.vouched_for)),
            make_reports=_reports_maker(reader, config, self._clock, self.catalogue, self._goals),
        )

    def define(
        self,
        action: str,
        *,
        label: str | None = None,
        anonymous: bool = False,
        server_only: bool = False,
        keep: dt.timedelta | float | None = None,
        unmasked: list[str] | tuple[str, ...] = (),
        description: str = "",
        owner: str = "",
        status: Status = "active",
    ) -> cabc.Callable[[type[_F]], type[_F]]:
        """Define an event. Used as a decorator, it takes the parameters from the class.

        ::

            @events.define("product.view", label="Viewed {name}", anonymous=True)
            @dataclass
            class ProductView:
                sku: str
                name: str
                price: float | None = None

        :param action: ``context.activity``, 1 to 32 characters of letters, digits, ``.-_``.
        :param label: a format string over the parameters, for activity feeds.
        :param anonymous: whether an anonymous visitor may send it from a browser or app.
        :param server_only: whether it is refused over HTTP.
        :param keep: how long its events are kept: a timedelta, or seconds. The default is what
            ``EVENTTRACK_RETENTION`` says; ``timedelta.max`` is forever.
        :param unmasked: parameters that are not masked, such as order numbers that look like card
            numbers. Values with a link and parameters with a secret name are masked anyway.
        :param description: what the event means. The default is the first paragraph of the class's
            docstring.
        :param owner: the person or team that answers questions about it.
        :param status: ``"deprecated"`` for an event that is still recorded, but should no longer be
            sent. The first time that it is, a warning is logged.
        :raises InvalidEvent: the action is malformed.
        :raises InvalidDefinition: the definition contradicts another, or cannot be used. The
            messages of both begin with the file and line of the call.
        """
        place = _place_of(sys._getframe(1))
        with at_place(place):
            definition = Definition(
                action=action,
                label=label,
                anonymous=anonymous,
                server_only=server_only,
                keep=read_keep(action, keep),
                unmasked=_read_unmasked(action, unmasked),
                description=description,
                owner=owner,
                status=read_status(action, status),
                place=place,
            )
            return self.catalogue.define(definition)

    def goal(
        self,
        name: str,
        event: str,
        *,
        where: list[str] | tuple[str, ...] = (),
        description: str = "",
    ) -> None:
        """Define a goal: an event or a page that is worth something.

        ::

            events.goal("signup", "account.create", where=["is:plan:pro"])
            events.goal("read the prices", "page:/pricing", where=["at_least:scroll:75"])

        A session reaches it with one event that meets all conditions. The dashboard shows how many
        did, and any report can be filtered by it: ``is:goal:signup``. Define events first:
        ``init_app()`` checks that they are there.

        :param event: an action, or ``page:`` and a URL rule.
        :param where: conditions on parameters: ``is:plan:pro``, ``at_least:price:20`` and
            ``at_most:quantity:3``. Several with the same operator and parameter are alternatives.
        :param description: what it is worth, for the dashboard.
        :raises InvalidDefinition: something is malformed, or there is another goal of this name.
            The message begins with the file and line of the call.
        """
        self._goals.define(name, event, where, description, _place_of(sys._getframe(1)))

    def exempt(self, view: _F) -> _F:
        """Mark a view function, a view class or a blueprint whose pages are not visits.

        This also takes view classes of Flask-Admin, and its ``Admin``.
        """
        setattr(getattr(view, "__func__", view), EXEMPT, True)
        return view

    @t.overload
    def on(
        self, pattern: str, function: _O, *, name: str | None = None, tries: int = ...
    ) -> _O: ...

    @t.overload
    def on(
        self, pattern: str, *, name: str | None = None, tries: int = ...
    ) -> cabc.Callable[[_O], _O]: ...

    def on(
        self, pattern: str, function: _O | None = None, *, name: str | None = None, tries: int = 12
    ) -> _O | cabc.Callable[[_O], _O]:
        """Have a function called with each stored event of some actions, after the commit.

        ::

            @events.on("order.*")
            def tell_the_warehouse(event):
                requests.post(URL, json={"id": str(event.id), **event.params}, timeout=10)

        It gets a :class:`StoredEvent`, in an app context, in a thread beside the requests, and in
        one process at a time: at least once, and in the order of the commits. If it raises an
        exception, it is called with the same event again after 1 second, then 2, and so on up to 5
        minutes, and later events wait. It needs :confval:`EVENTTRACK_COMMIT_LOG`. The manual's page
        "Run your code on events" has more.

        :param pattern: an action, a prefix with ``.*``, or ``*`` for all events.
        :param function: the function, where this is not used as a decorator.
        :param name: the name under which the database keeps the function's position. The default is
            the function's module and qualified name. A new name begins with the events that are
            stored from then on.
        :param tries: how often it is called with the same event before that event is given up.
        :raises InvalidDefinition: something is malformed, or the name is taken.
        :raises ConfigError: an app of this object has no commit log.
        """
        from .pipeline.functions import Functions  # which an app without functions does not need

        def add(function: _O) -> _O:
            for state in list(registered):
                if state.callbacks is self._callbacks:
                    _require_log(state.config)
            functions = self._callbacks.functions or Functions()
            functions.add(pattern, function, name, tries)
            self._callbacks.functions = functions
            return function

        return add if function is None else add(function)

    def customer_loader(self, load: _L) -> _L:
        """Decorate a function that returns the id of the customer who is logged in, or None.

        ::

            @events.customer_loader
            def load_customer():
                return session.get("user_id")

        It is called without arguments inside a request, at most once: when an event or
        ``current_visitor`` needs the customer, and neither a token, nor a user that Flask-Login has
        loaded, nor ``identify()`` in this session names one. Its answer holds for the request. If
        it raises an exception, that is logged, and no customer is vouched for.
        """
        self._callbacks.customer_loader = load
        return load

    def customer_id(self, find: _I) -> _I:
        """Decorate a function that returns the customer's id of a user of Flask-Login, or None.

        ::

            @events.customer_id
            def find_customer_id(user):
                return f"{user.tenant_id}:{user.id}"

        It is called inside a request with the user who is logged in, at most once for each user.
        None means that this user is no customer. If it raises an exception, that is logged, and no
        customer is vouched for.

        Without it the id is what ``user.get_id()`` returns. If that is the user's
        ``fs_uniquifier`` (as in Flask-Security) or ``alternative_id``, which change with the
        password, or a token of Flask-User, the id is the user's primary key.
        """
        self._callbacks.customer_id = find
        return find

    def dashboard_user(self, find: _U) -> _U:
        """Decorate a function that names the member of your staff who makes a request.

        ::

            @events.dashboard_user
            def name_of_staff():
                return g.staff.email

        The dashboard calls it without arguments for its audit, which says who looked at a person.
        Without it, that is the id of Flask-Login's user.
        """
        self._callbacks.dashboard_user = find
        return find

    def issue_token(
        self, customer_id: CustomerId, expires_in: dt.timedelta | float = dt.timedelta(hours=1)
    ) -> str:
        """Return a token (JWT) that tells the current app's collector which customer posts.

        It is signed with the first of ``EVENTTRACK_JWT_KEYS`` that can sign.

        :param expires_in: a timedelta, or seconds.
        :raises ConfigError: no key can sign.
        :raises InvalidEvent: this is not a customer's id.
        :raises InvalidToken: ``expires_in`` is not above 0, or ends after the year 9999.
        """
        state = get_state()
        return state.customer_tokens.issue(customer_id, state.clock(), expires_in)

    @staticmethod
    def digest(every: Every = "week", *, once: bool = False) -> Digest | None:
        """Return the last whole day, week or month of the current app as a mail.

        ::

            digest = events.digest("week", once=True)
            if digest is not None:
                send("team@example.com", digest.subject, digest.text, digest.html)

        Your own mailer sends it. It has the numbers of the dashboard's overview with their changes,
        and the top sources, pages, countries and events. A week begins on Monday; days are those of
        ``EVENTTRACK_TIMEZONE``.

        :param every: ``"day"``, ``"week"`` or ``"month"``.
        :param once: whether only the first call for a period gets its digest, among all processes.
            The others get None. If the process ends before it has sent the mail, no other call gets
            it.
        :returns: the mail; never None without ``once``.
        :raises ReportError: there is no such period.
        :raises ReportUnavailable: the database did not answer. The next call gets the digest.
        """
        from .digest.making import digest  # most processes send none

        return digest(every, once=once)

    forget: t.Final = staticmethod(data_rights.forget)
    export: t.Final = staticmethod(data_rights.export)
    opt_out: t.Final = staticmethod(data_rights.opt_out)
    opt_in: t.Final = staticmethod(data_rights.opt_in)
    track: t.Final = staticmethod(api.track)
    track_transaction: t.Final = staticmethod(transactions.track_transaction)
    cancel_transaction: t.Final = staticmethod(transactions.cancel_transaction)
    identify: t.Final = staticmethod(api.identify)
    logout: t.Final = staticmethod(api.logout)
    as_visitor: t.Final = staticmethod(as_visitor)
    follow_celery: t.Final = staticmethod(follow_celery)

    @property
    def tables(self) -> Tables:
        """The current app's tables, for joins with the host's own."""
        return get_state().pipeline.database.tables

    @property
    def reports(self) -> Reports:
        """The current app's reports: the numbers of the dashboard, for your own code."""
        return get_state().reports

    def capture(
        self,
        *,
        write: bool = False,
        stored: bool = False,
        allow_mistakes: bool = False,
        forbid_personal_data: bool = False,
        filter_bots: bool = False,
    ) -> Capture:
        """Return a context in which tests see events at once. It gives a :class:`Tracked`.

        ::

            with events.capture() as tracked:
                client.post("/pay")
            tracked.assert_event("order.pay", amount="9.99")

        It captures the events of all apps of this object, also of those that are made inside. There
        is no thread and no journal meanwhile, and bots count as people.

        In a capture inside another, both see the events, and the inner one answers for mistakes:
        those that it fails for, expects or allows do not fail the outer one.

        :param write: whether ``flush()`` writes the events to the database. Otherwise they are
            never written, and there need be no tables.
        :param stored: whether to look in the database as well, where the process of a server
            writes. Assertions then wait up to 5 seconds for an event. A server that was forked from
            this process writes whenever the test looks, any other one by itself.
        :param allow_mistakes: whether undefined and rejected events are allowed. Otherwise they
            raise ``AssertionError`` at the end.
        :param forbid_personal_data: whether e-mail addresses, card numbers, tokens and secrets in
            parameters and labels raise ``AssertionError`` at the end.
        :param filter_bots: whether bots are filtered as ``EVENTTRACK_BOTS`` says.
        """
        from .testing.capture import Capture, Options  # apps in production need none of it

        return Capture(
            Options(write, stored, allow_mistakes, forbid_personal_data, filter_bots),
            lambda state: state.callbacks is self._callbacks,
        )

    def flush(self, timeout: float | None = None) -> None:
        """Return once everything that the current app tracked so far is in its database.

        Where no thread runs the functions of :meth:`on`, they run here then: in tests, which set
        ``app.testing``, and with SQLite in memory. What they raise is raised.

        :param timeout: seconds to wait; None waits for as long as the attempt takes.
        :raises FlushTimeout: it took longer; the events are kept.
        :raises sqlalchemy.exc.SQLAlchemyError: the database refused; the events are kept.
        """
        pipeline = get_state().pipeline
        pipeline.flush(timeout)
        if self._callbacks.functions is not None:
            pipeline.run_functions()

    def health(self) -> Health:
        """Return how writing the current app's events goes, for a health page of your own.

        It reads memory and the journals' files. It asks no database and waits for nothing.
        """
        state = get_state()
        journal = state.journal if state.pipeline.has_journal else None
        return examine(state.pipeline, journal, state.config.flush_interval)

    def feed(
        self, who: CustomerId, before: dt.datetime | None = None, limit: int = 50
    ) -> list[FeedEvent]:
        """Return a person's events, newest first, including those before they were identified.

        This is for back offices: it asks for no permission. A page that shows visitors their own
        events calls ``current_visitor.feed()``. ``events.feed(current_visitor.uuid)`` would show a
        customer's life to anyone who has a copy of the device cookie.

        :param who: a customer's id, or a profile's uuid. A UUID may be either.
        :param before: only events earlier than this aware moment.
        """
        state = get_state()
        profiles = data_rights.find_person(state, who).profiles
        database = state.pipeline.database
        if database.is_in_memory:
            state.pipeline.flush()
        return read_feed(database, profiles, before, limit)


def _place_of(frame: types.FrameType) -> str:
    """Return the file and line of a call; the file as seen from the working directory."""
    path = frame.f_code.co_filename
    with contextlib.suppress(OSError):  # the folder is no more
        path = path.removeprefix(f"{os.getcwd()}{os.sep}")  # noqa: PTH109 - a tenth of the time
    return f"{path}, line {frame.f_lineno}"


def _read_unmasked(action: str, names: object) -> tuple[str, ...]:
    unmasked = read_unmasked(action, names)
    for name in unmasked:
        if is_secret_name(name, declared=True):
            raise InvalidDefinition(
                f"{action!r}: unmasked: {name!r} is the name of a secret, and is always masked."
            )
    return unmasked


def _require_log(config: Config) -> None:
    if not config.commit_log:
        raise ConfigError(
            "events.on() reads the commit log, which is off: set EVENTTRACK_COMMIT_LOG to True, in "
            "all processes of the app, then run 'flask eventtrack upgrade'."
        )


def _refuse_second(app: Flask) -> None:
    if EXTENSION in app.extensions:
        raise ConfigError(
            f"EventTrack is already registered on {app.name!r}. Call init_app once for each app, "
            "and import the EventTrack object where you need it."
        )


def _make_sites(app: Flask, config: Config, journal: pathlib.Path | None) -> Sites:
    """Return the app's sites: those of our setting, of SERVER_NAME and of TRUSTED_HOSTS."""
    name = app.config.get("SERVER_NAME")
    names = [name, *([f"*.{name}"] if app.subdomain_matching else [])] if name else []
    # A dot in front stands for the name and all its subdomains.
    trusted = app.config.get("TRUSTED_HOSTS") or ()
    for host in [trusted] if isinstance(trusted, str) else trusted:
        names.extend([host[1:], f"*{host}"] if host.startswith(".") else [host])
    own = {*config.sites, *filter(None, map(parse_site, names))}
    has_folder = journal is not None and not find_obstacle(journal)
    register = journal.with_name(f"{journal.name}.sites") if journal and has_folder else None
    return Sites(own, register, {*config.allow, *config.deny})


def _own_hosts(config: Config, sites: Sites) -> cabc.Callable[[str], bool]:
    """Return a function that tells whether a host is the app's own.

    It is if it is one of the named sites, or below the cookies' domain.
    """
    domain = f".{(config.cookie_domain or '').lstrip('.').lower()}"
    has_domain = config.cookie_domain is not None
    return lambda host: sites.has_named(host) or (has_domain and f".{host}".endswith(domain))


def _make_masker(config: Config) -> Masker | None:
    rules = config.mask
    return None if rules is False else Masker(() if rules is True else rules)


def _device_rule(config: Config) -> DeviceRule:
    age = config.device_max_age
    return DeviceRule(None if age is None else int(age.total_seconds()), config.privacy_identity)


def _to_ns(duration: dt.timedelta) -> int:
    return duration // dt.timedelta(microseconds=1) * 1000


def _secret_keys(app: Flask) -> list[bytes]:
    if not app.secret_key:
        raise ConfigError(
            "EventTrack signs its cookies with SECRET_KEY, which is not set. Set it before "
            "init_app, for instance app.config['SECRET_KEY'] = os.environ['SECRET_KEY']; make one "
            "with: python -c 'import secrets; print(secrets.token_hex())'"
        )
    keys = [*(app.config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key]
    return [key.encode() if isinstance(key, str) else key for key in keys]


def _find_db(app: Flask, db: SQLAlchemy | None) -> SQLAlchemy:
    registered: SQLAlchemy | None = app.extensions.get("sqlalchemy")
    if registered is None:
        raise ConfigError(
            f"Flask-SQLAlchemy is not registered on {app.name!r}: call db.init_app(app) before "
            "EventTrack's init_app."
        )
    if db is not None and db is not registered:
        raise ConfigError(f"The db given to EventTrack is not the one registered on {app.name!r}.")
    return registered


def _find_engine(app: Flask, db: SQLAlchemy, setting: str, bind_key: str | None) -> sa.Engine:
    with app.app_context():
        engines = db.engines
    if bind_key not in engines:
        raise ConfigError(
            f"{setting} {bind_key!r} is not in SQLALCHEMY_BINDS; the binds are: "
            f"{', '.join(repr(key) for key in engines)}."
        )
    return engines[bind_key]


def _open_replica(app: Flask, db: SQLAlchemy, config: Config, database: Database) -> Database:
    """Return where reports read: the same tables on another bind, if one is named for it."""
    key = config.reports_bind_key
    if key is None:
        return database
    engine = _find_engine(app, db, "EVENTTRACK_REPORTS_BIND_KEY", key)
    return Database(engine, database.tables, _engine_options(app, db, key), wal=False)


def _open_elsewhere(config: Config, database: Database, clock: Clock) -> Elsewhere | None:
    """Return the copy in which reports are counted, if one is named. It connects when asked."""
    if config.reports_url is None:
        return None
    from .clickhouse.problems import CopyProblem
    from .clickhouse.reports import CopyReports
    from .clickhouse.server import parse_place

    try:
        return CopyReports(parse_place(config.reports_url), database, clock)
    except CopyProblem as problem:
        raise ConfigError(f"EVENTTRACK_REPORTS_URL is wrong. {problem}") from None


def _open_database(app: Flask, db: SQLAlchemy, config: Config, clock: Clock) -> Database:
    engine = _find_engine(app, db, "EVENTTRACK_BIND_KEY", config.bind_key)
    metadata = db.metadatas.setdefault(
        config.bind_key, sa.MetaData(info={"bind_key": config.bind_key})
    )
    return Database(
        engine,
        Tables.for_metadata(
            metadata, has_log=config.commit_log, has_stream=config.stream_url is not None
        ),
        _engine_options(app, db, config.bind_key),
        wal=config.sqlite_wal,
        is_durable=config.durability == "durable",
        timeout=config.statement_timeout.total_seconds(),
        clock=clock,
    )


def _follow_drops(app: Flask, state: State, metadata: sa.MetaData) -> None:
    """In tests, drop the events that wait when the tables are dropped.

    Otherwise they would be written to the tables of the next test.
    """
    apps, all_pipelines = weakref.ref(app), weakref.ref(state.pipelines)

    def forget(_: object, connection: sa.Connection, **__: object) -> None:
        app, pipelines = apps(), all_pipelines()
        pipeline = pipelines.find() if pipelines is not None else None
        if app is not None and app.testing and pipeline and pipeline.database.is_of(connection):
            pipeline.drop_waiting()

    sa.event.listen(metadata, "after_drop", forget)


def _journal_folder(app: Flask, database: Database, config: Config) -> pathlib.Path | None:
    """Return the folder for this database's journals, or None if events wait in memory."""
    if database.is_in_memory or config.durability in {"memory", "stream"}:
        return None
    return _file_folder(app, config) / database.fingerprint


def _make_erasure_file(app: Flask, database: Database, config: Config) -> ErasureFile | None:
    """Return the file that outlives a restore of the database; None if that is in memory."""
    if database.is_in_memory:
        return None
    return ErasureFile(_file_folder(app, config) / f"{database.fingerprint}.erasures")


def _file_folder(app: Flask, config: Config) -> pathlib.Path:
    return pathlib.Path(app.instance_path, config.journal_dir or "eventtrack")


def _queue_maker(
    reference: weakref.ref[Flask],
    journal: pathlib.Path | None,
    database: Database,
    config: Config,
) -> cabc.Callable[[FindSent | None], Queue]:
    """Return a function that makes a journal, or a queue in memory.

    A queue is in memory if there can be no journal, and in tests: the next test would adopt one.
    """
    obstacle = find_obstacle(journal) if journal else ""
    if obstacle:
        logger.warning(
            "EventTrack keeps its events in memory only, and loses them if the process is killed: "
            "%s. Set EVENTTRACK_JOURNAL_DIR to a folder that this user can write, or "
            "EVENTTRACK_DURABILITY to 'memory' if that is what you want.",
            obstacle,
        )
    if journal is None or obstacle:
        return lambda _: MemoryQueue(config.buffer_size)
    is_durable = config.durability == "durable"
    former = journal.with_name(database.former_fingerprint)

    def make(find_sent: FindSent | None) -> Queue:
        app = reference()
        if config.durability is None and app is not None and app.testing:
            return MemoryQueue(config.buffer_size)
        return Journal(
            journal,
            config.journal_max_bytes,
            is_durable=is_durable,
            former=former,
            find_sent=find_sent,
        )

    return make


def _reports_maker(
    reader: Reader, config: Config, clock: Clock, catalogue: Catalogue, goals: Goals
) -> cabc.Callable[[], Reports]:
    """Return a function that makes the reports when they are first read."""

    @functools.cache
    def make() -> Reports:
        from .reports.library import Reports  # which an app needs only where numbers are read

        return Reports(reader, config.timezone, clock, catalogue, config.profile_salt, goals)

    return make


def _sink_maker(
    reference: weakref.ref[Flask], database: Database, config: Config, clock: Clock
) -> cabc.Callable[[], Sink | None]:
    """Return a function that makes what takes records to workers; None if there are none.

    Nor are there any in tests: those of hosts run without workers.
    """
    if config.stream_url is None:
        return lambda: None
    if database.is_in_memory:
        raise ConfigError(
            "EVENTTRACK_STREAM_URL is set, and the database is in memory, where no worker can "
            "write: use a file, or remove the setting."
        )
    from .stream.forwarder import Forwarder  # which other apps do not need
    from .stream.redis_streams import open_streams

    open_streams(config, database)  # a wrong URL is told now

    def make() -> Sink | None:
        app = reference()
        if config.durability is None and app is not None and app.testing:
            return None
        return Forwarder(open_streams(config, database), clock)

    return make


def _engine_options(app: Flask, db: SQLAlchemy, bind_key: str | None) -> dict[str, t.Any]:
    """Return Flask-SQLAlchemy's engine options for a bind, without those of the pool."""
    options: dict[str, t.Any] = dict(getattr(db, "_engine_options", {}))
    if bind_key is None:
        options.update(app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {})
    else:
        bind = (app.config.get("SQLALCHEMY_BINDS") or {}).get(bind_key)
        if isinstance(bind, dict):
            options.update(bind)
    return {name: value for name, value in options.items() if name not in _OWN_OPTIONS}


def _announcer(reference: weakref.ref[Flask]) -> cabc.Callable[[Written], None]:
    """Return a function that sends the signals of a commit, inside an app context."""

    def announce(written: Written) -> None:
        app = reference()
        if app is None or not any(
            signal.receivers
            for signal in (events_written, session_started, session_ended, transaction_contradicted)
        ):
            return
        try:
            _send_signals(app, written)
        except Exception:
            logger.exception("A receiver of EventTrack's signals failed; the events are written.")

    return announce


def _send_signals(app: Flask, written: Written) -> None:
    if written.new_events:
        events_written.send(app, count=written.new_events)
    for session_id in written.started:
        session_started.send(app, session_id=session_id)
    for session_id, reason in written.ended:
        session_ended.send(app, session_id=session_id, reason=reason)
    for each in written.contradicted:
        transaction_contradicted.send(
            app, order_id=each.order_id, first=each.first, second=each.second
        )
