"""Hosts of their own on this machine: network namespaces, each with one cable to it."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import random
import subprocess

from .trial import give_up


class FarHost:
    """A host that can be cut off. As a context manager it is gone when the block ends.

    ``gateway`` is this machine's address as the host sees it.
    """

    def __init__(self) -> None:
        self._name = f"et{random.randrange(1 << 24):06x}"
        net = f"10.{random.randrange(200, 250)}.{random.randrange(250)}"
        self.gateway: str = f"{net}.1"
        self._address = f"{net}.2"

    def __enter__(self) -> FarHost:
        near, far = f"{self._name}a", f"{self._name}b"
        try:
            _ip("netns", "add", self._name)
        except (OSError, subprocess.CalledProcessError) as error:
            give_up(f"A network namespace cannot be made ({error}): run as root, with iproute2.")
        with contextlib.ExitStack() as stack:
            stack.callback(_ip, "netns", "delete", self._name)
            _ip("link", "add", near, "type", "veth", "peer", "name", far)
            _ip("link", "set", far, "netns", self._name)
            _ip("address", "add", f"{self.gateway}/30", "dev", near)
            _ip("link", "set", near, "up")
            inside = ("-n", self._name)
            _ip(*inside, "address", "add", f"{self._address}/30", "dev", far)
            _ip(*inside, "link", "set", far, "up")
            _ip(*inside, "link", "set", "lo", "up")
            self._left = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._left.close()

    def command(self, *command: str) -> list[str]:
        """Return a command that runs on that host."""
        return ["ip", "netns", "exec", self._name, *command]

    @contextlib.contextmanager
    def cut_off(self) -> cabc.Iterator[None]:
        """Pull the cable: nothing answers, and nothing says so."""
        _ip("link", "set", f"{self._name}a", "down")
        try:
            yield
        finally:
            _ip("link", "set", f"{self._name}a", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)
