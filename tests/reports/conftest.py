from __future__ import annotations

from ..store.conftest import shop as shop
