from __future__ import annotations

from ..identity.conftest import shop as shop
