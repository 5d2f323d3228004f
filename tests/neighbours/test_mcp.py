"""The official client of the Model Context Protocol asks by both of its transports."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import sys
import threading
import typing as t

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from werkzeug.serving import make_server

from ..assistants.asking import MANAGE, NUMBERS, fill, read_page
from ..assistants.test_command import APP
from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..loops import run_alone
from ..manual import ROOT

ASKED = {"from": "2026-11-01", "to": "2026-11-21"}
QUERY = "period=custom&from=2026-11-01&to=2026-11-21"


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, tmp_path: pathlib.Path) -> Host:
    return fill(make, clock, f"sqlite:///{tmp_path / 'shop.db'}")


@pytest.fixture
def url(shop: Host) -> cabc.Iterator[str]:
    """The address of the shop's server."""
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/_et/mcp"
    server.shutdown()
    thread.join()
    server.server_close()


async def ask(client: Client) -> tuple[list[str], t.Any]:
    """Return the names of the tools, and what one answers; a wrong question is refused."""
    tools = await client.list_tools()
    found = await client.call_tool("overview", ASKED)
    assert not found.is_error
    refused = await client.call_tool("overview", {"period": "tuesday"})
    assert refused.is_error
    return [tool.name for tool in tools.tools], found.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("token", [NUMBERS, MANAGE])
def test_over_http(shop: Host, url: str, mode: str, token: str) -> None:
    """In the current revision, and in one that opens with a handshake."""

    async def run() -> tuple[list[str], t.Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            return await ask(client)

    names, found = run_alone(run)
    assert ("person" in names) is (token == MANAGE)
    page = read_page(shop, f"overview.json?{QUERY}")
    assert found["report"]["revenue"] == page["revenue"]
    assert found["report"]["numbers"]["visitors"] == page["numbers"]["visitors"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_stdio(shop: Host, tmp_path: pathlib.Path, mode: str) -> None:
    """The client starts the command itself."""
    (tmp_path / "noisy_shop.py").write_text(APP)
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "flask", "--app", "noisy_shop", "eventtrack", "mcp"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SHOP_DATABASE": shop.app.config["SQLALCHEMY_DATABASE_URI"],
        },
        cwd=tmp_path,
    )

    async def run() -> tuple[list[str], t.Any]:
        async with Client(stdio_client(server), mode=mode) as client:
            return await ask(client)

    names, found = run_alone(run)
    assert len(names) == 8
    page = read_page(shop, f"overview.json?{QUERY}")
    assert found["report"]["numbers"]["visitors"] == page["numbers"]["visitors"]
