"""The pages of the manual as tests read them: their blocks, entries and codes."""

from __future__ import annotations

import ast
import collections.abc as cabc
import pathlib
import re
import typing as t

import flask_eventtrack

ROOT = pathlib.Path(__file__).parent.parent

PACKAGE = pathlib.Path(flask_eventtrack.__file__).parent

_FENCE = re.compile(r"^(`{3,})([^\n]*)\n(.*?)^\1`*$", re.DOTALL | re.MULTILINE)
_CAPTION = re.compile(r":caption: (.+)\n\n?")


class Block(t.NamedTuple):
    """A fenced block: its language, the file that its caption names, and its text."""

    language: str
    caption: str
    text: str


def read(name: str) -> str:
    return (ROOT / name).read_text()


def iter_blocks(text: str) -> cabc.Iterator[Block]:
    for _, info, body in _FENCE.findall(text):
        language = info.removeprefix("{code-block}").strip()
        caption = _CAPTION.match(body)
        yield Block(language, caption[1] if caption else "", _CAPTION.sub("", body, count=1))


def find_entries(name: str) -> set[str]:
    """Return what stands as code at the head of the rows of a page's tables."""
    rows = re.findall(r"^\| (`[^|]*?) \|", read(f"docs/reference/{name}.md"), re.MULTILINE)
    return {entry for row in rows for entry in re.findall(r"`([^`]+)`", row)}


def find_unused(codes: cabc.Iterable[str]) -> set[str]:
    """Return the codes that no module names, apart from the one that lists them."""
    modules = (path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "errors.py")
    nodes = (node for module in modules for node in ast.walk(ast.parse(module)))
    return set(codes) - {node.value for node in nodes if isinstance(node, ast.Constant)}


def run_blocks(name: str, names: dict[str, t.Any], blocks: slice = slice(None)) -> dict[str, t.Any]:
    """Execute a page's Python blocks one after the other, in one namespace."""
    names.setdefault("__name__", __name__)
    for block in [block for block in iter_blocks(read(name)) if block.language == "python"][blocks]:
        exec(compile(block.text, name, "exec", dont_inherit=True), names)
    return names
