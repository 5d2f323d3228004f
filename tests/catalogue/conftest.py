from __future__ import annotations

import pytest

from ..hosts import Host
from .events import OrderPay, ProductView


@pytest.fixture
def shop(host: Host) -> Host:
    """A host whose order.pay, product.view and signup.click are defined."""
    host.events.define("order.pay", label="Paid {total:.2f}")(OrderPay)
    host.events.define("product.view", label="Viewed {name}", anonymous=True)(ProductView)
    host.events.define("signup.click", anonymous=True)
    return host
