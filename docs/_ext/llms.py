"""Writes ``llms.txt``, which lists the pages of the built manual for assistants.

The format is that of llmstxt.org: a title, a summary, and lists of links, each with the first
sentence of its page.
"""

from __future__ import annotations

import pathlib
import re
import typing as t

from docutils import nodes

if t.TYPE_CHECKING:
    from sphinx.application import Sphinx

_END = re.compile(r"(?<=[.!?])\s+|(?<=[.!?]\u201d)\s+")
#: The first sentence of a page is in none of these.
_OTHERS = (nodes.table, nodes.list_item, nodes.Admonition, nodes.figure)


def write_llms(app: Sphinx) -> str:
    """Return the text of the file. Its links are relative to it."""
    first = app.config.root_doc
    lines = [f"# {app.env.titles[first].astext()}", "", f"> {_find_sentence(app, first)}"]
    for tree in app.env.get_doctree(first).findall(_is_tree):
        lines += ["", f"## {tree['caption'] or 'Start'}", ""]
        lines += [_write_link(app, page) for _, page in tree["entries"]]
    return "\n".join(lines) + "\n"


def _is_tree(node: nodes.Node) -> bool:
    return type(node).__name__ == "toctree"


def _write_link(app: Sphinx, page: str) -> str:
    link = f"[{app.env.titles[page].astext()}]({app.builder.get_target_uri(page)})"
    return f"- {link}: {_find_sentence(app, page)}".removesuffix(": ")


def _find_sentence(app: Sphinx, page: str) -> str:
    """Return the first sentence of a page; "" if it has none."""
    doctree = app.env.get_and_resolve_doctree(page, app.builder, tags=app.tags)
    for paragraph in doctree.findall(nodes.paragraph):
        if not any(isinstance(each, _OTHERS) for each in _iter_parents(paragraph)):
            return _END.split(" ".join(paragraph.astext().split()))[0]
    return ""


def _iter_parents(node: nodes.Node) -> t.Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        (pathlib.Path(app.outdir) / "llms.txt").write_text(write_llms(app), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, t.Any]:
    """Write the file when the pages are written."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
