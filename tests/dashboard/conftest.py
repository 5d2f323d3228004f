from __future__ import annotations

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from .staff import CONFIG, fill


@pytest.fixture
def host(make: MakeHost) -> Host:
    """A host with two customers."""
    host = make({**PATIENT, **CONFIG})
    fill(host)
    return host
