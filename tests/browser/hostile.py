"""Pages of the browser tests' site whose content somebody else has written: markup, no script."""

from __future__ import annotations

import pathlib
import re

from flask import Flask, render_template_string
from markupsafe import Markup

import flask_eventtrack.browser

SOURCES = pathlib.Path(flask_eventtrack.browser.__file__).with_name("src")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Named</title>
<link rel="icon" href="data:,"><meta name="author" content="Ada">
<link rel="canonical" href="/here">{{ head }}
<style>.host { position: fixed; left: 0; width: 200px; height: 40px; margin: 0;
  background: white }
.guest, .guest * { visibility: hidden; position: absolute; width: 1px; height: 1px;
  overflow: hidden }
</style><script>addEventListener("submit", (event) => event.preventDefault())</script></head><body>
<p class="host" style="top: 0" data-eventtrack="note.add">Add</p>
<form class="host" style="top: 50px" data-eventtrack data-eventtrack-view>
  <input type="hidden" name="topic" value="tea" data-eventtrack-field>
  <button style="width: 200px; height: 40px">Go</button>{{ fields }}</form>
<div class="guest">{{ content }}</div>{{ foot }}</body></html>"""

#: kind → an element that is called like something
KINDS = {
    "nothing": "",
    "img": '<img name="{0}" id="{0}">',
    "two imgs": '<img name="{0}"><img name="{0}">',
    "form": '<form name="{0}" id="{0}"><input name="track"><input name="call"></form>',
    "a": '<a id="{0}" name="{0}" href="//evil.test/a/b">x</a>',
    "iframe": '<iframe name="{0}" id="{0}"></iframe>',
    "object": '<object name="{0}" id="{0}"></object>',
    "embed": '<embed name="{0}" id="{0}">',
    "field": '<input type="hidden" name="{0}" id="{0}">',
}
CONTENTS = {
    "script": '<img name="currentScript" src="//evil.test/a/b">',
    "base": '<base href="//evil.test/x/">',
    "second tag": '<form id="eventtrack"><input name="track"></form>',
    "frame": '<iframe name="eventtrack" src="http://evil.test/"></iframe>',
    "metadata": """<meta name="author" content="Mallory"><meta property="og:type" content="evil">
        <link rel="canonical" href="//evil.test/"><title>Evil</title>
        <p type="application/ld+json">{"@type": "Evil", "@id": "evil"}</p>""",
}


def words() -> set[str]:
    """Return every word of the script's sources: whatever they look up is one of them."""
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.js"))
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
    code = re.sub(r"(?m)(^|\s)//.*$", "", code)
    return set(re.findall(r"[A-Za-z_$][\w$]*", code))


def looked_up() -> set[str]:
    """Return those words that are asked of the document or the window."""
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.js"))
    return set(re.findall(r"(?:\bask\(\W*|window\.|document\.)(\w+)", code))


def add_hostile_pages(app: Flask) -> None:
    """Add ``/named/<kind>``, where every word names an element, and ``/written/<name>``."""

    @app.get("/named/<kind>")
    def named(kind: str) -> str:
        # Hundreds of frames take a minute.
        found = looked_up() if kind == "iframe" else words()
        elements = Markup("".join(KINDS[kind].format(word) for word in sorted(found)))
        place = "fields" if kind == "field" else "content"
        tag = render_template_string("{{ eventtrack_snippet() }}")
        foot = Markup(tag.replace("<script ", '<script data-spa="path" ', 1))
        return render_template_string(PAGE, foot=foot, **{place: elements})

    @app.get("/written/<name>")
    def written(name: str) -> str:
        head = Markup(render_template_string("{{ eventtrack_snippet() }}"))
        return render_template_string(PAGE, head=head, content=Markup(CONTENTS[name]))
