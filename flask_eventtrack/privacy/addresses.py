"""Client addresses, which are masked before anything else sees them."""

from __future__ import annotations

import functools
import ipaddress


@functools.lru_cache(maxsize=4096)
def mask_address(address: str) -> str:
    """Return an address without its host part (/24, IPv6 /48), or "" if it is no address."""
    network = find_network(address, 48)
    return str(network.network_address) if network else ""


def find_network(
    address: str, ipv6_prefix: int
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network of an address (/24, IPv6 as given), or None if it is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else ipv6_prefix
    return ipaddress.ip_network((int(parsed), prefix), strict=False)
