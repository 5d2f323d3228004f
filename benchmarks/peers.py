"""What else people add to see their visitors, each as its own manual has it, at its defaults."""

from __future__ import annotations

import collections.abc as cabc
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
# Each with the distribution that must be there.
_PEERS: dict[str, tuple[cabc.Callable[[Place], Contestant], str]] = {
    "`db.session.add` and commit, SQLite": (inserting, "Flask-SQLAlchemy"),
    "prometheus-flask-exporter": (prometheus, "prometheus-flask-exporter"),
    "posthog-python": (posthog, "posthog"),
    "OpenTelemetry": (opentelemetry, "opentelemetry-instrumentation-flask"),
    "Flask-MonitoringDashboard": (monitoring_dashboard, "Flask-MonitoringDashboard"),
}
#: All that are measured against the bare app, in the order of the tables.
NAMES = (*us.DURABILITIES, *_PEERS)


def build(name: str, place: Place) -> Contestant:
    """Return a contestant.

    :raises Unavailable: it is a peer that is not installed, or does not run with what is.
    """
    if name == BARE:
        return make_bare(place)
    if name in us.DURABILITIES:
        return us.tracked(place, **us.DURABILITIES[name])
    make, distribution = _PEERS[name]
    try:
        importlib.metadata.version(distribution)
        return make(place)
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("skipped: not installed") from None
    except Exception as error:
        raise Unavailable(f"skipped: {type(error).__name__}: {error}") from error
