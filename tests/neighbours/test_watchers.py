"""Extensions that watch all requests go on doing so."""

from __future__ import annotations

import logging
import typing as t

import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics

from ..hosts import NAVIGATION
from .conftest import MakeNeighbours, click, load_script


def test_opentelemetry_misses_no_span(
    beside: MakeNeighbours, caplog: pytest.LogCaptureFixture
) -> None:
    """Its part around the app says so where its hook has not run; also in the first request."""

    def log_in_first(app: Flask) -> None:
        instrumentor: t.Any = FlaskInstrumentor()
        instrumentor.instrument_app(app)
        app.before_request(lambda: None)

    caplog.set_level(logging.WARNING)
    host = beside(log_in_first)
    client = host.client()
    assert click(client).status_code == 202
    assert load_script(client).status_code == 200
    assert [record.message for record in caplog.records if "span" in record.message] == []


def test_prometheus_exporter_counts_all_requests(beside: MakeNeighbours) -> None:
    """And the durations of all."""
    registry = CollectorRegistry()

    def register(app: Flask) -> None:
        PrometheusMetrics(app, registry=registry)
        app.before_request(lambda: None)

    host = beside(register)
    browser = host.client()
    click(browser)
    browser.get("/", headers=NAVIGATION)
    labels: dict[str, t.Any] = {"method": "POST", "status": "202"}
    assert registry.get_sample_value("flask_http_request_total", labels) == 1
