"""What else people add to see their visitors, each as its own manual has it, at its defaults."""

from __future__ import annotations

import collections.abc as cabc
import functools
import importlib.metadata
import threading
import time
import typing as t
import uuid

import sqlalchemy as sa
from flask import request

from . import us
from .hosts import Contestant, Place, make_app, make_bare
from .report import Unavailable


def inserting(place: Place) -> Contestant:
    """An app that adds a row to ``db.session`` and commits in each request, as many do."""
    app, db = make_app(place, "inserting")

    class Visit(db.Model):  # type: ignore[name-defined,misc]
        id: t.Any = sa.Column(sa.Integer, primary_key=True)
        time: t.Any = sa.Column(sa.Float)
        visitor: t.Any = sa.Column(sa.String(64))
        url: t.Any = sa.Column(sa.String(255))
        referrer: t.Any = sa.Column(sa.String(255))
        agent: t.Any = sa.Column(sa.String(255))

    with app.app_context():
        db.create_all()
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    @app.after_request
    def insert(response: t.Any) -> t.Any:
        visit = Visit(
            time=time.time(),
            visitor=request.cookies.get("visitor"),
            url=request.path,
            referrer=request.headers.get("Referer"),
            agent=request.headers.get("User-Agent"),
        )
        db.session.add(visit)
        db.session.commit()
        return response

    def written() -> int:
        with app.app_context():
            return db.session.scalar(sa.select(sa.func.count()).select_from(Visit)) or 0

    return Contestant(app, written=written)


def posthog(place: Place) -> Contestant:
    """The client of posthog-python: an event is queued in the request, and a thread posts it."""
    from posthog import Posthog

    app, _ = make_app(place, "posthog")
    client = Posthog("phc_of_a_benchmark", host=place.sink)

    @app.after_request
    def capture(response: t.Any) -> t.Any:
        client.capture(
            "page visited",
            distinct_id=request.cookies.get("visitor") or str(uuid.uuid4()),
            properties={
                "$current_url": request.url,
                "$referrer": request.headers.get("Referer"),
                "$raw_user_agent": request.headers.get("User-Agent"),
                "status": response.status_code,
            },
        )
        return response

    return Contestant(app, client.flush)


def opentelemetry(place: Place) -> Contestant:
    """A span a request, exported as OTLP over HTTP by a thread, in batches."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    app, _ = make_app(place, "opentelemetry")
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{place.sink}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    instrumentor: t.Any = FlaskInstrumentor()
    instrumentor.instrument_app(app, tracer_provider=provider)
    return Contestant(app, provider.force_flush)


def prometheus(place: Place) -> Contestant:
    """Counters and a histogram of durations: how many, not who."""
    from prometheus_flask_exporter import PrometheusMetrics

    app, _ = make_app(place, "prometheus")
    PrometheusMetrics(app)
    return Contestant(app)


def monitoring_dashboard(place: Place) -> Contestant:
    """A thread a request, which inserts a row; on SQLite, without its profiler."""
    import flask_monitoringdashboard as dashboard

    dashboard.config.database_name = f"sqlite:///{place.folder / 'dashboard.db'}"
    app, _ = make_app(place, "monitored")
    dashboard.bind(app, schedule=False)
    return Contestant(app, _join_profilers)


def _join_profilers() -> None:
    for thread in threading.enumerate():
        if type(thread).__name__ == "PerformanceProfiler":
            thread.join()


BARE = "nothing"
OURS = "Flask-EventTrack"
_Build = cabc.Callable[[Place], Contestant]


def _in(durability: str) -> _Build:
    return lambda place: us.tracked(place, **us.durability(durability))


# Each with the distribution that must be there.
CONTESTANTS: dict[str, tuple[_Build, str]] = {
    OURS: (us.tracked, "Flask"),
    **{f"{OURS}, `{name}`": (_in(name), "Flask") for name in us.DURABILITIES},
    "`db.session.add` and commit, SQLite": (inserting, "Flask-SQLAlchemy"),
    "prometheus-flask-exporter": (prometheus, "prometheus-flask-exporter"),
    "posthog-python": (posthog, "posthog"),
    "OpenTelemetry": (opentelemetry, "opentelemetry-instrumentation-flask"),
    "Flask-MonitoringDashboard": (monitoring_dashboard, "Flask-MonitoringDashboard"),
    BARE: (make_bare, "Flask"),
}


@functools.cache
def our_names() -> tuple[str, ...]:
    """Return our contestants: one for each durability, where there is more than one."""
    found = []
    for name in us.DURABILITIES:
        try:
            us.durability(name)
        except Unavailable:
            continue
        found.append(f"{OURS}, `{name}`")
    return tuple(found) or (OURS,)


def names() -> list[str]:
    """Return all that are measured against the bare app, in the order of the tables."""
    others = [name for name in CONTESTANTS if name != BARE and not is_ours(name)]
    return [*our_names(), *others]


def is_ours(name: str) -> bool:
    return name.startswith(OURS)


def is_default(name: str) -> bool:
    """Whether this is us as installed: the targets are for that."""
    return name in {OURS, f"{OURS}, `journal`"}


def build(name: str, place: Place) -> Contestant:
    """Return a contestant.

    :raises Unavailable: it is not installed, or does not run with what is.
    """
    make, distribution = CONTESTANTS[name]
    try:
        importlib.metadata.version(distribution)
        return make(place)
    except Unavailable:
        raise
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("skipped: not installed") from None
    except Exception as error:
        raise Unavailable(f"skipped: {type(error).__name__}: {error}") from error
