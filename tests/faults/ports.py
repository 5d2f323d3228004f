"""Ports that stay free while their server is down."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
# Below those that the system gives to outgoing connections: one of these could take the port of a
# server that is about to start again, or connect to itself.
_PORTS = range(12_000, 32_000)


def free_port() -> int:
    """Return a port that no process has bound."""
    for port in random.sample(_PORTS, 100):
        if is_free(port):
            return port
    raise OSError("no port is free")


def is_free(port: int) -> bool:
    """Whether a server could bind a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
