from __future__ import annotations

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from .staff import CONFIG, fill


@pytest.fixture
def shop(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with two customers. The answer to an erasure waits for its end."""
    monkeypatch.setattr("flask_eventtrack.dashboard.rights._PATIENCE", 30)
    shop = make({**PATIENT, **CONFIG})
    fill(shop)
    return shop
