"""The country of a masked address."""

from __future__ import annotations

import functools
import typing as t

from ..errors import ConfigError, missing_package


class CountryDatabase:
    """Looks countries up in a local MaxMind DB file (extra ``geo``).

    :raises ConfigError: the package is not installed, or the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        try:
            import maxminddb
        except ImportError as error:
            raise missing_package("EVENTTRACK_COUNTRY_DATABASE", "geo") from error
        try:
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise ConfigError(
                f"EVENTTRACK_COUNTRY_DATABASE: {path!r} cannot be read: {error}."
            ) from error
        self.find: t.Final = functools.lru_cache(maxsize=4096)(self._find)

    def _find(self, address: str) -> str:
        try:
            record: t.Any = self._reader.get(address)
        except ValueError:
            return ""
        country = record.get("country") if isinstance(record, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) else ""
