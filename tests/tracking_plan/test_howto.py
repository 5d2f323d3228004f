"""The guide "Keep the catalogue true", as its reader follows it."""

from __future__ import annotations

import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

from ..commands import run
from ..conftest import MakeHost
from ..manual import ROOT, iter_blocks, read
from .test_exports import find_wrong_lines, node_tool

PAGE = "docs/howto/keep-the-catalogue-true.md"
BLOCKS = list(iter_blocks(read(PAGE)))


def find_block(language: str, beginning: str) -> str:
    [text] = [b.text for b in BLOCKS if b.language == language and b.text.startswith(beginning)]
    return text


def test_the_guide_works(
    make: MakeHost, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of it: definitions in a module, exports that are checked, and what breaks."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").write_text("")
    (shop / "extensions.py").write_text(
        "from flask_eventtrack import EventTrack\nevents = EventTrack()\n"
    )
    module = find_block("python", "from dataclasses")
    (shop / "tracking.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    events = importlib.import_module("shop.extensions").events
    host = make({"EVENTTRACK_DEFINITIONS": ["shop.tracking"]}, events=events)
    exports = "\n".join(b.text for b in BLOCKS if b.language == "shell")
    for command in re.findall(
        r"^flask eventtrack (catalogue (?:export|check).*)$", exports, re.MULTILINE
    ):
        answer = run(host, *command.split())
        assert answer.exit_code == 0, answer.output

    head = "from flask_eventtrack import track\nfrom shop.tracking import MugView\n"
    calls = find_block("python", "track(")
    (tmp_path / "calls.py").write_text(head + calls)
    wrong = {3 + n for n, line in enumerate(calls.splitlines()) if "# error" in line}
    command = [sys.executable, "-m", "mypy", "--no-incremental", "calls.py"]
    assert find_wrong_lines(command, "calls.py") == wrong
    assert len(wrong) == 2

    blocks = [find_block("typescript", beginning) for beginning in ("(window", "const button")]
    (tmp_path / "web/button.ts").write_text("".join(blocks))
    copy = find_block("shell", "cp ")
    environ = {
        **os.environ,
        "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(copy, shell=True, check=True, env=environ)
    (tmp_path / "tsconfig.json").write_text(find_block("json", "{"))
    done = subprocess.run([node_tool("tsc"), "-p", "."], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert copy in find_block("shell", "flask eventtrack catalogue check\nflask")
    assert "### `mug.view`" in (tmp_path / "docs/tracking-plan.md").read_text()

    changed = module.replace("    name: str\n", '    maker: str\n    name: str = ""\n')
    (shop / "tracking.py").write_text(changed.replace("stars: int | None", "stars: bool | None"))
    for name in ("shop.tracking", "shop.extensions"):
        del sys.modules[name]
    events = importlib.import_module("shop.extensions").events
    host = make({"EVENTTRACK_DEFINITIONS": ["shop.tracking"]}, events=events)
    answer = run(host, "catalogue", "check")
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]
    assert answer.exit_code == 1
    assert answer.output == (
        "breaks   mug.view, maker: is new and required.\n"
        "breaks   mug.view, stars: no longer takes integer.\n"
        "changes  mug.view, name: is optional now.\n"
        "2 changes break senders. Undo them, or accept them with --update.\n"
    )
