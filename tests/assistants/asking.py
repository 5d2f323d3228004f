"""A shop whose assistants ask over HTTP, and how they do."""

from __future__ import annotations

import typing as t

import msgspec
from werkzeug.test import TestResponse

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.visits import Visitor, close_days, open_shop

NUMBERS, VIEW, MANAGE = (name * 4 for name in ("numbers-", "viewing-", "manager-"))
CONFIG: dict[str, t.Any] = {
    "EVENTTRACK_MCP": True,
    "EVENTTRACK_DASHBOARD_PERMISSION": lambda: "manage",
    "EVENTTRACK_REPORT_TOKENS": {"numbers": NUMBERS, "view": VIEW, "manage": MANAGE},
    "EVENTTRACK_TIMEZONE": "Europe/Berlin",
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def fill(make: MakeHost, clock: FakeClock, url: str) -> Host:
    """Return a shop with visitors of two months, orders, and an event that is refused."""
    shop = open_shop(make, clock, url=url, config=CONFIG)
    Visitor(shop).see("/", "2026-10-20 10:00")
    ada = Visitor(shop).see("/?utm_source=news", "2026-11-20 09:00", **{"Accept-Language": "de"})
    ada.do("/login/ada", "2026-11-20 09:01").do("/cart/A1/9.5", "2026-11-20 09:02")
    ada.do("/order/1/12.30", "2026-11-20 09:03")
    bob = Visitor(shop, "blog.test").see("/products/mug", "2026-11-20 23:30").see("/")
    bob.do("/cart/A2/3.0", "2026-11-21 10:00")
    bob.client.post(
        "/_et/in", json={"action": "no.such"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    Visitor(shop).see("/", "2026-11-21 11:00")
    close_days(shop)
    return shop


def post(
    host: Host, message: object, token: str | None = MANAGE, headers: dict[str, str] | None = None
) -> TestResponse:
    """Post what may be a message."""
    body = message if isinstance(message, bytes) else msgspec.json.encode(message)
    sent = {"Content-Type": "application/json", **(headers or {})}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return host.client().post("/_et/mcp", data=body, headers=sent)


def ask(host: Host, method: str, token: str = MANAGE, **params: t.Any) -> t.Any:
    """Return the answer to a request of the current revision."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": META}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    answer = post(host, message, token, headers).json
    assert answer is not None
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer.get("result") or answer["error"]


def call(host: Host, tool: str, token: str = MANAGE, **arguments: t.Any) -> t.Any:
    """Return what a tool answers."""
    result = ask(host, "tools/call", token, name=tool, arguments=arguments)
    assert result["isError"] is False, result
    assert msgspec.json.decode(result["content"][-1]["text"]) == result["structuredContent"]
    return result["structuredContent"]


def refuse(host: Host, tool: str, token: str = MANAGE, **arguments: t.Any) -> str:
    """Return the sentence with which a tool refuses its arguments."""
    result = ask(host, "tools/call", token, name=tool, arguments=arguments)
    assert result["isError"] is True
    [content] = result["content"]
    return str(content["text"])


def read_page(host: Host, path: str) -> t.Any:
    """Return what a page's URL for programs answers."""
    answer = host.client().get(f"/_et/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json
