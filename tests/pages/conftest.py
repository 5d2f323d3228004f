from __future__ import annotations

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from .odd_pages import add_odd_pages


@pytest.fixture
def odd(make: MakeHost) -> Host:
    host = make(create=False)
    add_odd_pages(host.app, host.events)
    with host.app.app_context():
        host.db.create_all()
    return host
