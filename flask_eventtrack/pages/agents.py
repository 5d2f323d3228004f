"""What agents read: an answer to one is counted, and nothing of it is a visit.

Counted are the answers to ``GET`` and ``HEAD`` with any status, also of what is no page, such as
``robots.txt``, ``llms.txt`` and feeds. Not counted are our own routes, static files, and views that
are exempt. An address that no URL rule matches is counted without a route.
"""

from __future__ import annotations

from ..clients.known_agents import find_agent, find_signed_agent
from ..records import AgentRead, from_ns
from ..request.context import USER_AGENT_MAX_LENGTH, Current
from ..request.navigation import has_page
from ..store.local_days import day_of
from ..text import clean_text

_METHODS = frozenset({"GET", "HEAD"})
_RULE_MAX_LENGTH = 255
_MOST_STATUS = 999


def count_read(current: Current, status: int) -> None:
    """Count an answer to an agent; a person's passes.

    An agent that looks like a person's browser and only has a ``Signature-Agent`` header counts
    here, and is a visitor as before.
    """
    environ = current.request.environ
    user_agent = environ.get("HTTP_USER_AGENT", "")[:USER_AGENT_MAX_LENGTH]
    signature = environ.get("HTTP_SIGNATURE_AGENT")
    if signature is None:
        agent = find_agent(user_agent)
    else:
        agent = find_signed_agent(user_agent, signature)
    if agent is None or not _is_read(current):
        return
    state, rule = current.state, current.request.url_rule
    read = AgentRead(
        day_of(from_ns(current.arrival), state.config.timezone),
        state.sites.find_known(environ.get("HTTP_HOST", "")),
        agent.name,
        agent.kind,
        agent.claim,
        clean_text(rule.rule)[:_RULE_MAX_LENGTH] if rule else "",
        status if status <= _MOST_STATUS else 0,
    )
    state.pipeline.count_read(read)


def _is_read(current: Current) -> bool:
    request = current.request
    if request.method not in _METHODS or current.admits_bots:
        return False
    return request.url_rule is None or has_page(current)
