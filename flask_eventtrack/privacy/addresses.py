"""Client addresses, which are masked before anything else sees them."""

from __future__ import annotations

import functools
import ipaddress
import re

_PORT = re.compile(r"(?::[0-9]{1,5})?")


@functools.lru_cache(maxsize=4096)
def mask_address(address: str) -> str:
    """Return an address without its host part (/24, IPv6 /48), or "" if it is no address."""
    network = find_network(address, 48)
    return str(network.network_address) if network else ""


def find_network(
    address: str, ipv6_prefix: int
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network of an address (/24, IPv6 as given), or None if it is no address.

    Some proxies add the client's port: ``192.0.2.1:61598``, ``[2001:db8::1]:61598``.
    """
    try:
        parsed = ipaddress.ip_address(_without_port(address))
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else ipv6_prefix
    return ipaddress.ip_network((int(parsed), prefix), strict=False)


def _without_port(address: str) -> str:
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        is_whole = bool(bracket) and _PORT.fullmatch(port)
        return host if is_whole and ":" in host else ""
    host, _, port = address.partition(":")
    return host if _PORT.fullmatch(f":{port}") else address
