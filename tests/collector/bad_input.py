"""Posts of any body."""

from __future__ import annotations

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..hosts import SAME_ORIGIN

CLICK = {"action": "button.click"}
GOOD = '{"action": "button.click"}'
ID = "018f2b1e-7c1a-7def-8a5b-0123456789ab"
JSON_TYPE = "application/json"


def post(
    client: FlaskClient, body: bytes | str, content_type: str = JSON_TYPE, **headers: str
) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/_et/in", data=body, content_type=content_type, headers=SAME_ORIGIN | named)


def batch_of(*events: str) -> str:
    return '{"events": [' + ", ".join(events) + "]}"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth
