"""Writes ``flask_eventtrack/clients/crawlers.py``: ``python -m tests.clients.make_crawlers``.

The names come from crawler-user-agents (https://github.com/monperrus/crawler-user-agents, MIT
licence), a maintained list of patterns with examples. Names that the rules of ``agents.py`` find
are left out, and so are those of people's browsers and apps.
"""

from __future__ import annotations

import collections.abc as cabc
import importlib.metadata
import json
import pathlib
import re
import typing as t

import crawleruseragents

from flask_eventtrack.clients import agents

FILE = pathlib.Path(agents.__file__).with_name("crawlers.py")
#: Tools that site owners test with, apps in which people open pages, and a build of Android.
PEOPLES = re.compile(
    r"^(?:ap3a|bluesky|code/|coccoc|coc_coc|cypress|hotjar|nextcloud|paypal|playwright)"
)
_SHORTEST = 4
HEAD = '''"""The names of crawlers and monitors that no rule of :mod:`.agents` finds, in lower case.

From crawler-user-agents {version} (MIT licence, https://github.com/monperrus/crawler-user-agents):
``make crawlers`` writes this file.
"""

from __future__ import annotations

NAMES: tuple[str, ...] = (
{names}
)
'''


def read_list() -> list[dict[str, t.Any]]:
    """Return the entries of the list: ``pattern``, ``instances``, ``tags``."""
    path = pathlib.Path(crawleruseragents.__file__).with_name("crawler-user-agents.json")
    return t.cast("list[dict[str, t.Any]]", json.loads(path.read_text("utf-8")))


def iter_names(entries: cabc.Iterable[dict[str, t.Any]]) -> cabc.Iterator[str]:
    """Yield the names that are missed without this file."""
    for entry in entries:
        pattern = re.sub(r"\[(\w)\w\]", r"\1", entry["pattern"])  # [aA]
        name = re.sub(r"\\(.)", r"\1", pattern.strip("^$")).lower()
        is_plain = not re.search(r"(?<!\\)[][()|*?+{}]", pattern)
        is_missed = any(not _has_sign(agent) for agent in entry["instances"])
        is_automation = "browser-automation" in entry.get("tags", ())
        if is_missed and is_plain and not is_automation and not PEOPLES.match(name):
            name = name.strip()
            if len(name) >= _SHORTEST:
                yield name


def _has_sign(agent: str) -> bool:
    return agents._BOT.search(agent.lower()) is not None


def write_file() -> str:
    """Return what the file should contain."""
    found = sorted(set(iter_names(read_list())))
    # One that begins with another adds nothing.
    names = [name for name in found if not any(name.startswith(o) for o in found if o != name)]
    version = importlib.metadata.version("crawler-user-agents")
    lines = "\n".join(f"    {json.dumps(name)}," for name in names)
    return HEAD.format(version=version, names=lines)


if __name__ == "__main__":
    FILE.write_text(write_file(), "utf-8")
