from __future__ import annotations

import dataclasses

import pytest

from flask_eventtrack import identify, logout

from ..conftest import MakeHost
from ..hosts import Host


@dataclasses.dataclass
class ProductView:
    sku: str
    name: str
    price: float | None = None


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A host with events of its own, and views that log its customer in and out."""
    host = make()
    host.events.define("product.view", label="Viewed {name}", anonymous=True)(ProductView)
    host.events.define("signup.click", anonymous=True)
    host.events.define("account.open")
    host.events.define("invoice.print", server_only=True)
    host.app.get("/login", endpoint="login")(lambda: f"{identify('42')}")

    @host.app.get("/logout")
    def leave() -> str:
        logout()
        return "bye"

    return host
