from __future__ import annotations

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from .staff import CONFIG, fill


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A host with two customers."""
    shop = make({**PATIENT, **CONFIG})
    fill(shop)
    return shop
