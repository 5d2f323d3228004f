"""``events.reports``: the numbers of the pages, for the host's own code."""

from __future__ import annotations

import datetime as dt

from ..catalogue.definitions import Catalogue
from ..records import Clock, from_ns
from .reader import Reader


class Reports:
    """The reports of one app. No method needs a request, and none asks for a permission."""

    def __init__(self, reader: Reader, zone: dt.tzinfo, clock: Clock, catalogue: Catalogue) -> None:
        self.reader: Reader = reader
        self.zone: dt.tzinfo = zone
        self.catalogue: Catalogue = catalogue
        self._clock = clock

    @property
    def now(self) -> dt.datetime:
        """The moment, by the app's clock."""
        return from_ns(self._clock())
