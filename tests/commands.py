"""How tests run a command."""

from __future__ import annotations

from click.testing import Result

from .hosts import Host


def run(host: Host, *arguments: str) -> Result:
    return host.app.test_cli_runner().invoke(args=["eventtrack", *arguments])
