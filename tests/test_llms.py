"""``llms.txt`` lists the pages of the manual, each with what it says first."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from .manual import ROOT

CONF = """
import sys

sys.path.insert(0, {extensions!r})
project = "Shop"
extensions = ["myst_parser", "llms"]
"""
PAGES = {
    "index.md": """# Manual

Everything about the shop. And more.

```{toctree}
buy
guides/give
```

```{toctree}
:caption: Look up
table
none
```
""",
    "buy.md": "# Buy\n\n```shell\nbuy it\n```\n\nSee {doc}`guides/give` first! Then *buy*.\n",
    "guides/give.md": "# Give\n\n```{note}\nNo sentence of it.\n```\n\nAsk: what does one\ngive?\n",
    "table.md": "# Sizes\n\n| A |\n|---|\n| a cell. |\n\n- An item.\n\nAll sizes are here.\n",
    "none.md": "# Nothing\n\n- Only an item.\n",
}
EXPECTED = """# Manual

> Everything about the shop.

## Start

- [Buy](buy.html): See Give first!
- [Give](guides/give.html): Ask: what does one give?

## Look up

- [Sizes](table.html): All sizes are here.
- [Nothing](none.html)
"""


def test_each_page_is_listed(tmp_path: pathlib.Path) -> None:
    """By the trees of the first page, with relative links; the build is as the manual's."""
    extensions = str(ROOT / "docs" / "_ext")
    for name, text in {"conf.py": CONF.format(extensions=extensions), **PAGES}.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "-q", "source", "built"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "built" / "llms.txt").read_text() == EXPECTED


def test_the_manual_has_it() -> None:
    """And each of its pages is in a tree: the build fails otherwise."""
    assert '"llms"' in (ROOT / "docs" / "conf.py").read_text()
