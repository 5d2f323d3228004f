from __future__ import annotations

import pytest
from flask import request

from ..collector.senders import SHOP
from ..conftest import MakeHost
from ..hosts import Host
from .customers import HOST_TOKEN, KEY, add_views


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A host that takes tokens, with an event for customers only, and views to log in and out."""
    host = make(
        {
            "EVENTTRACK_JWT_KEYS": KEY,
            "EVENTTRACK_ALLOWED_ORIGINS": [SHOP],
            "EVENTTRACK_HOST_TOKENS": HOST_TOKEN,
            "EVENTTRACK_DASHBOARD_PERMISSION": lambda: request.headers.get("X-Staff") and "view",
        }
    )
    host.events.define("account.open")
    add_views(host.app)
    return host
