"""Where a request came from: a masked address, and the country it is in."""

from __future__ import annotations

import functools
import ipaddress
import typing as t

from ..errors import ConfigError


@functools.lru_cache(maxsize=4096)
def mask_address(address: str) -> str:
    """Return an address without its host part (/24, IPv6 /48), or "" if it is none."""
    network = find_network(address, 48)
    return str(network.network_address) if network else ""


def find_network(
    address: str, ipv6_prefix: int
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network of an address, /24 or of so many bits; None if it is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else ipv6_prefix
    return ipaddress.ip_network((int(parsed), prefix), strict=False)


class CountryDatabase:
    """Looks countries up in a local MaxMind DB file (extra ``geo``).

    :raises ConfigError: the package is not installed, or the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        try:
            import maxminddb
        except ImportError as error:
            raise ConfigError(
                "EVENTTRACK_COUNTRY_DATABASE needs a package that is not installed: "
                "pip install 'Flask-EventTrack[geo]'."
            ) from error
        try:
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise ConfigError(
                f"EVENTTRACK_COUNTRY_DATABASE: {path!r} cannot be read: {error}."
            ) from error
        self.find = functools.lru_cache(maxsize=4096)(self._find)

    def _find(self, address: str) -> str:
        try:
            record: t.Any = self._reader.get(address)
        except ValueError:
            return ""
        country = record.get("country") if isinstance(record, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) else ""
