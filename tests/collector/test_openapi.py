"""What ``/openapi.json`` says of the HTTP API is so: by table, and by requests made up."""

from __future__ import annotations

import collections.abc as cabc
import importlib.metadata
import io
import os
import re
import typing as t

import jsonschema_rs
import pytest
import schemathesis
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks as openapi_checks
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from flask_eventtrack.collector.messages import MAX_BYTES
from flask_eventtrack.dashboard.routes import ROUTES
from flask_eventtrack.errors import RejectionCode, TokenCode

from ..conftest import MakeHost
from ..dashboard import staff
from ..hosts import CHROME, SAME_ORIGIN, Host
from ..manual import read
from ..pipeline.waiting import PATIENT
from ..store.people import ADA_UUID

JSON_TYPE = "application/json"
PARTNER = "https://partner.example"
HOST_TOKEN = "of-the-host-for-tests-only-of-32-characters"
TILL_TOKEN = "of-the-till-for-tests-only-of-32-characters"
REPORT_TOKEN = "of-reports-for-tests-only-of-32-characters"
CONFIG = {
    "EVENTTRACK_ADDRESS_LIMIT": None,
    "EVENTTRACK_ALLOWED_ORIGINS": [PARTNER],
    "EVENTTRACK_DEVICE_LIMIT": None,
    "EVENTTRACK_HOST_TOKENS": {"transactions": HOST_TOKEN, "charges": TILL_TOKEN},
    "EVENTTRACK_REPORT_TOKENS": {"view": REPORT_TOKEN},
    "EVENTTRACK_JWT_KEYS": "for tests only, of 32 bytes or more",
    "EVENTTRACK_UNDEFINED_EVENTS": "store",
}
SENDERS: dict[str, dict[str, str]] = {
    "an app": {},
    "a page": SAME_ORIGIN,
    "an old browser": {"Origin": "http://localhost"},
    "another origin": {"Origin": PARTNER},
    "a stranger": {"Sec-Fetch-Site": "cross-site"},
    "a back end": {"Authorization": f"Bearer {HOST_TOKEN}"},
}
READER = {"Authorization": f"Bearer {REPORT_TOKEN}", "Accept-Encoding": "identity"}
REPORTS = [re.sub("<(.*?)>", r"{\1}", route.path) for route in ROUTES if route.is_for_programs]
CHECKS: list[schemathesis.CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
EXAMPLES = int(os.environ.get("EVENTTRACK_TEST_EXAMPLES", "100"))

# No API: the answer to unknown paths, and the page for people.
OTHERS = (".nothing", ".privacy", ".privacy_css")

Answer = tuple[str, int, str]


def fetch(host: Host) -> dict[str, t.Any]:
    document: dict[str, t.Any] = host.client().get("/_et/openapi.json").get_json()
    return document


def load(host: Host) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_wsgi("/_et/openapi.json", host.app)


def iter_responses(document: dict[str, t.Any]) -> cabc.Iterator[tuple[str, int, dict[str, t.Any]]]:
    """Yield each operation as "POST /in", a status and its description."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                yield f"{method.upper()} {path}", int(status), response


def codes_of(response: dict[str, t.Any]) -> list[str]:
    """Return the codes of a documented problem, or [""]."""
    content = response.get("content", {}).get("application/problem+json")
    return content["schema"]["allOf"][1]["properties"]["code"]["enum"] if content else [""]


# The document


def test_the_document_is_valid_openapi(host: Host) -> None:
    """By the schema of OpenAPI 3.1, and its schemas by JSON Schema's own of 2020-12."""
    schema = load(host)
    schema.validate()
    document = fetch(host)
    for part in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(part)
    assert document["info"]["version"] == importlib.metadata.version("Flask-EventTrack")


def test_it_describes_each_route(host: Host) -> None:
    """Paths and methods are those of the blueprint; of the dashboard's, what programs read."""
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule.removeprefix("/_et")), method.lower())
        for rule in host.app.url_map.iter_rules()
        if rule.endpoint.startswith("eventtrack.") and not rule.endpoint.endswith(OTHERS)
        for method in (rule.methods or set()) - {"HEAD"}
        if method != "OPTIONS" or not getattr(rule, "provide_automatic_options", True)
    }
    routes |= {(path, "get") for path in REPORTS}
    paths = fetch(host)["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == routes


def test_each_problem_of_the_collector_is_in_it(host: Host) -> None:
    """By status and code, those of tokens too; and each code that rejects an event."""
    document = fetch(host)
    responses = [(status, response) for _, status, response in iter_responses(document)]
    for name, status in {"NotFound": 404, "MethodNotAllowed": 405}.items():
        responses.append((status, document["components"]["responses"][name]))
    documented = {(status, code) for status, response in responses for code in codes_of(response)}
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", read("docs/reference/http-api.md"), re.MULTILINE)
    tokens = {(401, code) for code in t.get_args(TokenCode)}
    problems = {(int(status), code) for status, code in rows} | tokens
    assert {(status, code) for status, code in documented if code} == problems
    rejections = document["components"]["schemas"]["Rejection"]["properties"]["code"]["enum"]
    assert rejections == list(t.get_args(RejectionCode))


def test_its_server_is_where_the_app_is_mounted(make: MakeHost) -> None:
    """Below the path at which another app has mounted this one, and the prefix of the settings."""
    host = make({"EVENTTRACK_URL_PREFIX": "/a/b"})
    host.app.wsgi_app = DispatcherMiddleware(Flask("outer"), {"/shop": host.app.wsgi_app})  # type: ignore[method-assign]
    response = host.client().get("/shop/a/b/openapi.json")
    assert response.get_json()["servers"] == [{"url": "/shop/a/b"}]
    assert (response.mimetype, response.headers["Cache-Control"]) == (
        JSON_TYPE,
        "public, max-age=300",
    )


def test_it_is_made_once(host: Host) -> None:
    """The same bytes again, and no visit."""
    client = host.client()
    first, second = (client.get("/_et/openapi.json").data for _ in range(2))
    assert first == second
    assert host.rows("event") == []


# What it says, and what is


class Caller:
    """Asks host apps, and holds their answers against one document."""

    def __init__(self, schema: schemathesis.BaseSchema) -> None:
        self.schema = schema

    def __call__(self, host: Host, operation: str, **options: t.Any) -> Answer:
        """Return operation, status and code of the answer."""
        method, path = operation.split()
        client = Client(host.app, TestResponse, use_cookies=False)
        headers = {"User-Agent": CHROME, **options.pop("headers", {})}
        values = {"dimension": "source", "person": ADA_UUID, "name": options.pop("name", "et")}
        values |= {"action": "page.visit", "goal": "order"}
        url = path.format(digest=host.state.scripts.digest, **values)
        response = client.open(f"/_et{url}", method=method, headers=headers, **options)
        self.schema[path][method].validate_response(response)
        is_problem = response.mimetype == "application/problem+json"
        return operation, response.status_code, response.get_json()["code"] if is_problem else ""


POSTS = ("/in", "/identify", "/logout", "/consent")
BODY = b'{"action": "button.click", "choice": "full"}'
FAULTS: dict[str, dict[str, t.Any]] = {
    "none": {},
    "foreign": {"headers": {"Sec-Fetch-Site": "cross-site"}},
    "no CSRF token": {"headers": {"Origin": "http://localhost"}},
    "torn": {"data": b"{"},
    "compressed": {"headers": {**SAME_ORIGIN, "Content-Encoding": "gzip"}},
    "another type": {"content_type": "text/html"},
    "too large": {"data": b" " * (MAX_BYTES + 1)},
    "a false token": {"headers": {**SAME_ORIGIN, "Authorization": "Bearer x.y.z"}},
    "a rejected event": {"data": b'{"action": "nodot"}'},
}


ORDER = b'{"order_id": 1, "total": 5, "currency": "EUR"}'
CANCELLATION = b'{"cancel": 1}'
TRANSACTION_FAULTS: dict[str, dict[str, t.Any]] = {
    "none": {},
    "of a page": {"headers": {**SAME_ORIGIN, "Authorization": f"Bearer {HOST_TOKEN}"}},
    "no token": {"headers": {}},
    "a false token": {"headers": {"Authorization": "Bearer x.y.z"}},
    "no scope": {"headers": {"Authorization": f"Bearer {TILL_TOKEN}"}, "data": CANCELLATION},
    "torn": {"data": b"{"},
    "compressed": {"headers": {**SENDERS["a back end"], "Content-Encoding": "gzip"}},
    "another type": {"content_type": "text/plain"},
    "too large": {"data": b" " * (MAX_BYTES + 1)},
    "rejected": {"data": b'{"order_id": 1}'},
}


class Broken(io.RawIOBase):
    """A body that fails in an unforeseen way."""

    def readinto(self, buffer: t.Any) -> int:
        raise RuntimeError("a server's own")


def iter_answers(make: MakeHost, host: Host) -> cabc.Iterator[Answer]:
    """Cause what can go right and wrong with each operation."""
    ask = Caller(load(host))
    full = make({**CONFIG, "EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 1})
    failing = make({**CONFIG, "TESTING": False})
    limited = make({**CONFIG, "EVENTTRACK_ADDRESS_LIMIT": (1, 1)})
    with host.app.app_context():
        token = host.events.issue_token("7")
    fine = {"headers": SAME_ORIGIN, "data": BODY, "content_type": JSON_TYPE}
    customer = {"headers": {**SAME_ORIGIN, "Authorization": f"Bearer {token}"}}
    for path in POSTS:
        for fault in [*FAULTS.values(), customer]:
            yield ask(host, f"POST {path}", **fine | fault)
        for other in (full, limited, limited):
            yield ask(other, f"POST {path}", **fine | customer)
        broken = {"environ_overrides": {"wsgi.input": Broken()}}
        yield ask(failing, f"POST {path}", **fine | broken)
        for origin in (PARTNER, "https://else.example"):
            yield ask(host, f"OPTIONS {path}", headers={"Origin": origin})
    fine = {"headers": SENDERS["a back end"], "data": ORDER, "content_type": JSON_TYPE}
    batch = b'{"transactions": [' + ORDER + b"," + CANCELLATION + b"]}"
    attempt = fine | {"headers": {"Authorization": "Bearer x.y.z"}}
    for fault in TRANSACTION_FAULTS.values():
        yield ask(host, "POST /transactions", **fine | fault)
    yield ask(make(), "POST /transactions", **fine)
    yield ask(full, "POST /transactions", **fine | {"data": batch})
    yield ask(limited, "POST /transactions", **attempt)
    yield ask(failing, "POST /transactions", **fine | broken)
    yield ask(host, "GET /{digest}/{name}.js")
    yield ask(host, "GET /{digest}/{name}.js", name="none")
    yield ask(host, "GET /openapi.json")
    yield ask(host, "GET /catalogue.json")
    yield ask(host, "GET /catalogue.json", headers=READER)
    yield from iter_reports(ask, host, make({**PATIENT, **CONFIG, "TESTING": False}))


def iter_reports(ask: Caller, host: Host, broken: Host) -> cabc.Iterator[Answer]:
    """Read each report, also where the database is away."""
    staff.fill(host)
    for each in (host, broken):
        each.events.goal("order", "transaction.charge")
    host.client().get("/?utm_source=paper")
    host.flush()
    with broken.state.pipeline.database.begin() as connection:
        for name in (
            "session",
            "event",
            "transaction",
            "closed",
            "agent_daily",
            "quality",
            "saved",
        ):
            connection.execute(sa.text(f"DROP TABLE eventtrack_{name}"))
    for path in REPORTS:
        steps = "step=page.visit&step=transaction.charge"
        query = f"event=transaction.charge&{steps}"
        wanted = {"query_string": query, "headers": READER}
        yield ask(host, f"GET {path}", **wanted)
        yield ask(host, f"GET {path}")
        yield ask(host, f"GET {path}", headers=READER, query_string="site=%00")
        yield ask(broken, f"GET {path}", **wanted)


def test_each_answer_is_had_and_no_other(make: MakeHost) -> None:
    """Whatever an operation is said to answer it does answer; of tokens' codes one is enough."""
    host = make(CONFIG)
    rare = set(t.get_args(TokenCode)) - {"token_invalid"}
    documented = {
        (operation, status, code)
        for operation, status, response in iter_responses(fetch(host))
        for code in codes_of(response)
        if code not in rare
    }
    assert set(iter_answers(make, host)) == documented


@pytest.mark.parametrize(
    "operation",
    [
        *(f"{method} {path}" for path in POSTS for method in ("POST", "OPTIONS")),
        "POST /transactions",
        "GET /{digest}/{name}.js",
        *(f"GET {path}" for path in REPORTS),
    ],
)
def test_nothing_that_is_made_up_gets_another_answer(make: MakeHost, operation: str) -> None:
    """Requests by the document and against it, from each kind of sender: no failure, no status,
    type, header or body that the document does not have."""
    host = make(CONFIG)
    method, path = operation.split()
    described = load(host)[path][method]
    modes = [described.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]
    is_report = path in REPORTS
    if is_report:
        staff.fill(host)

    @given(case=st.one_of(modes), sender=st.sampled_from(sorted(SENDERS)))
    @settings(
        max_examples=EXAMPLES // 5 if is_report else EXAMPLES,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case[t.Any], sender: str) -> None:
        headers = {"User-Agent": CHROME, **SENDERS[sender], **(READER if is_report else {})}
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    check()
