"""Pages of the browser tests' site that say in attributes what is to be tracked."""

from __future__ import annotations

import dataclasses
import pathlib

from flask import Flask, render_template_string
from markupsafe import Markup

from flask_eventtrack import EventTrack

HOWTO = pathlib.Path(__file__).parents[2] / "docs" / "howto"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ name }}</title>
<link rel="icon" href="data:,">{{ eventtrack_snippet() }}{{ head }}</head>
<body{{ attributes }}>{{ body }}</body></html>"""

#: name → head
HEADS = {
    "article": """
<link rel="canonical" href="/articles/7">
<meta name="author" content="Not this one">
<meta property="og:title" content="Seven">
<meta property="og:image" content="/one.png"><meta property="og:image" content="/two.png">
<meta property="article:section" content="Not this one">
<script type="application/ld+json">{broken</script>
<script type="application/ld+json">{"@context": "https://schema.org", "@graph": [
  {"@type": "WebSite", "name": "The Daily"},
  {"@type": "Organization", "@id": "#us", "name": "The Daily Ltd"},
  {"@type": "WebPage", "@id": "#page", "name": "Page of seven"},
  {"@type": ["NewsArticle", "Article"], "headline": "Seven",
   "identifier": {"@type": "PropertyValue", "name": "number", "value": 7},
   "author": [{"@type": "Person", "name": "Ada"}, {"@type": "Person", "name": "Bob"}],
   "publisher": {"@id": "#us"}, "articleSection": ["Numbers", "Odd"]}]}</script>
<script type="application/ld+json">[{"@type": "BreadcrumbList"}, null, 3, "x"]</script>""",
    "product": """
<meta property="og:type" content="product"><meta property="og:site_name" content="The Shelf">
<meta property="product:retailer_part_no" content="K-02">
<meta property="product:category" content="Kitchen"><meta property="product:category" content="Tea">
<meta property="product:price:amount" content="1,000.00">
<meta name="author" content="Ada"><meta name="section" content="Teapots">
<meta name="twitter:card" content="summary"><meta name="viewport" content="width=device-width">""",
    "plain": "",
    "huge": '<meta name="author" content="{}">'.format("a" * 5000)
    + '<meta name="section" content="\U0001f600{}">'.format("ü" * 5000)
    + "".join(f'<meta property="og:p{n}" content="{"v" * 300}">' for n in range(300))
    + '<meta property="og:{}" content="x">'.format("n" * 100)
    + '<meta property="og:image" content="a">' * 20
    + '<script type="application/ld+json">{"@type": {"name": {"name": {}}}, "name": null}</script>'
    + '<script type="application/ld+json">{}</script>'.format("[" * 20_000 + "]" * 20_000),
}

#: name → attributes of the body, and what is in it
BODIES = {
    "clicks": (
        "",
        """
<button id="buy" data-eventtrack="note.add" data-eventtrack-plan="pro" data-eventtrack-count="12"
  data-eventtrack-share="1.5" data-eventtrack-is-new="true" data-eventtrack-code="007"
  data-eventtrack-huge="12345678901234567890" data-eventtrack-none="" data-eventtrack-loss="-3"
  data-eventtrack-label="Bought"><b>Buy <i id="inner">now</i></b></button>
<button id="plain" data-eventtrack> A
  plain   button </button>
<input id="send" type="submit" value="Send it" data-eventtrack="button.click">
<a id="link" data-eventtrack href="/other?a=1#b"><span>Other</span></a>
<a id="dead" data-eventtrack href="#here">Here</a>
<svg width="40" height="40" data-eventtrack="note.add" data-eventtrack-from="svg">
  <circle id="circle" cx="20" cy="20" r="20"/></svg>
<svg width="40" height="40"><a id="svg-link" href="/other" data-eventtrack>
  <text y="20">Go</text></a></svg>
<div id="host"></div>
<div data-eventtrack="note.add" data-eventtrack-from="label">
  <label id="label"><input id="box" type="checkbox"> Tick</label></div>
<div data-eventtrack-skip><button id="skipped" data-eventtrack="note.add">No</button></div>
<button id="hostile" data-eventtrack="note.add" data-eventtrack-from="hostile"
  onclick="event.stopPropagation()">Stops</button>
<button id="untagged">Nothing</button>
<script>
  document.getElementById("host").attachShadow({ mode: "open" }).innerHTML =
    '<button data-eventtrack="note.add" data-eventtrack-from="shadow"><b>In a shadow</b></button>';
  document.getElementById("dead").addEventListener("click", (event) => event.preventDefault());
</script>""",
    ),
    "links": (
        " data-eventtrack-outbound data-eventtrack-downloads",
        """
<a id="inside" href="/other">Inside</a>
<a id="outside" href="http://elsewhere.test/page?q=1">Out <b id="bold">side</b></a>
<a id="mail" href="mailto:ada@example.com">Mail</a>
<a id="file" href="/files/List.PDF?v=2">A list</a>
<a id="download" href="/other" download>A file</a>
<a id="tagged" href="http://elsewhere.test/tagged" data-eventtrack="note.add">Tagged</a>
<div data-eventtrack="note.add"><a id="within" href="http://elsewhere.test/within">Within</a></div>
<p data-eventtrack-skip><a id="skipped" href="http://elsewhere.test/skipped">Skipped</a></p>
<script>
  addEventListener("click", (event) => event.preventDefault());
</script>""",
    ),
    "form": (
        "",
        """
<form id="order" data-eventtrack="form.submit" data-eventtrack-kind="test" action="/other">
  <input name="id" value="clobbers" data-eventtrack-field>
  <input name="elements" value="too" data-eventtrack-field="clobber">
  <input name="action"><input name="getAttribute"><input name="tagName"><input name="parentNode">
  <input name="email" value="ada@example.com">
  <input name="amount" type="number" value="3" data-eventtrack-field>
  <input name="zip" value="00123" data-eventtrack-field>
  <input name="secret" type="password" value="hush" data-eventtrack-field>
  <input name="card" autocomplete="cc-number" value="4111111111111111" data-eventtrack-field>
  <input name="old" autocomplete="current-password" value="hush" data-eventtrack-field>
  <input name="photo" type="file" data-eventtrack-field>
  <input name="untagged" type="hidden" value="hush">
  <input name="ref" type="hidden" value="mail" data-eventtrack-field>
  <input name="off" value="hush" disabled data-eventtrack-field>
  <input name="terms" type="checkbox" value="y" checked data-eventtrack-field>
  <input name="news" type="checkbox" data-eventtrack-field>
  <input name="topic" type="checkbox" value="tea" data-eventtrack-field>
  <input name="topic" type="checkbox" value="mugs" checked data-eventtrack-field>
  <input name="size" type="radio" value="s" data-eventtrack-field>
  <input name="size" type="radio" value="m" checked data-eventtrack-field>
  <input name="size" type="radio" value="l" data-eventtrack-field>
  <select name="colour" data-eventtrack-field><option>red<option selected>green</select>
  <select name="days" multiple data-eventtrack-field>
    <option>Mo<option selected>Tu<option selected>We</select>
  <textarea name="words" data-eventtrack-field>{}</textarea>
  <button name="submit" id="go"><b>Go</b></button>
</form>
<input name="late" form="order" value="outside" data-eventtrack-field>
<form id="required" data-eventtrack><input id="needed" name="needed" required data-eventtrack-field>
  <button id="try">Try</button></form>
<form id="free" data-eventtrack novalidate><input name="needed" required data-eventtrack-field>
  <button id="try-free">Try</button></form>
<form data-eventtrack-skip data-eventtrack><button id="skipped">No</button></form>
<form><button id="untagged">No</button></form>
<script>
  addEventListener("submit", (event) => event.preventDefault());
</script>""".format("w" * 600),
    ),
    "begin": (
        "",
        """
<form id="order" data-eventtrack="form.submit">
  <input name="form" type="hidden" value="clobbers"><input name="id" type="hidden" value="too">
  <input id="first" name="first"><input id="last">
  <select id="topic" name="topic"><option>mugs<option>tea</select>
  <input id="password" type="password" name="a"><input id="shown" type="password" name="b">
  <input id="card" name="c" autocomplete="cc-number"><input id="pin" name="new_pin">
  <div data-eventtrack-skip><input id="skipped" name="skipped"></div>
  <button id="go">Go</button></form>
<input id="outside" name="late" form="order">
<form id="elsewhere"><input id="other" name="other"></form>
<form id="own-action" data-eventtrack="note.add"><input id="own" name="own"></form>
<script>
  addEventListener("submit", (event) => event.preventDefault());
</script>""",
    ),
    "views": (
        "",
        """
<style>div { height: 200px } .gap { height: 1500px } #tall { height: 4000px }</style>
<div id="top" data-eventtrack-view data-eventtrack-label="Saw the top">Top</div>
<div id="quick" data-eventtrack-view="note.add" data-eventtrack-view-time="100"
  data-eventtrack-kind="quick">Quick</div>
<div data-eventtrack-skip><div id="skipped" data-eventtrack-view>Skipped</div></div>
<div class="gap"></div>
<div id="whole" data-eventtrack-view data-eventtrack-view-threshold="1">Whole</div>
<div id="half" data-eventtrack-view>Half</div>
<div class="gap"></div>
<div id="tall" data-eventtrack-view>Tall</div>""",
    ),
    "hovers": (
        "",
        """
<style>body > * { display: block; width: 300px; height: 100px; margin: 20px 0 }</style>
<aside id="banner" data-eventtrack-hover="banner.hover" data-eventtrack-dwell="300"
  data-eventtrack-id="spring"><b id="one">One</b> <b id="two">Two</b></aside>
<aside id="slow" data-eventtrack-hover>Slow</aside>
<aside id="skipped" data-eventtrack-hover data-eventtrack-dwell="0" data-eventtrack-skip>No</aside>
<p id="away">Away</p>""",
    ),
    "shadow": (
        "",
        """
<div id="host"></div>
<script>
  addEventListener("submit", (event) => event.preventDefault());
  const root = document.getElementById("host").attachShadow({ mode: "open" });
  root.addEventListener("submit", (event) => event.preventDefault());
  root.innerHTML = `<span id="inner"></span>
    <button id="add" data-eventtrack="note.add"><b>Add <i id="deep">it</i></b></button>
    <form id="order" data-eventtrack="form.submit">
      <input id="topic" name="topic" value="tea" data-eventtrack-field>
      <button id="go"><b>Go</b></button></form>`;
  root.getElementById("inner").attachShadow({ mode: "open" }).innerHTML =
    '<button id="nested" data-eventtrack="note.add" data-eventtrack-from="nested">Nested</button>';
</script>""",
    ),
    "values": (
        "",
        """
<button data-eventtrack="stock.count" data-eventtrack-sku="10432" data-eventtrack-name="true"
  data-eventtrack-size="1.10" data-eventtrack-code="007" data-eventtrack-amount="007"
  data-eventtrack-price="1.10" data-eventtrack-sold="true" data-eventtrack-left="12">
  Count</button>""",
    ),
    "patient": ("", '<p id="patient" data-eventtrack-view data-eventtrack-view-time="4000">x</p>'),
    "long": ("", '<p id="top">Top</p><div style="height: 2844px"></div><p>Bottom</p>'),
    "many": (
        "<style>p { height: 20px } body { padding-top: 3000px }</style>",
        "".join(
            f'<p id="click{n}" data-eventtrack="note.add" data-eventtrack-n="{n}">x</p>'
            f'<p id="view{n}" data-eventtrack-view>x</p>'
            for n in range(5000)
        ),
    ),
    "empty": ("", ""),
    "fields": (
        "",
        """
<input id="password" type="password" value="hush" data-eventtrack="button.click">
<input id="search" value="hush" data-eventtrack="button.click">
<textarea id="words" data-eventtrack="button.click">hush</textarea>
<select id="colour" data-eventtrack="button.click"><option>hush</select>
<p id="note" contenteditable data-eventtrack="button.click">hush</p>
<input id="send" type="submit" value="Send it" data-eventtrack="button.click">""",
    ),
    "guest": (
        "",
        """
<form id="order" data-eventtrack onsubmit="return false">
  <input name="topic" value="tea" data-eventtrack-field><button id="go">Go</button></form>
<div data-eventtrack-skip>
  <input form="order" name="guest" value="x" data-eventtrack-field></div>""",
    ),
}


@dataclasses.dataclass
class StockCount:
    """Parameters of each type that an attribute may have to become."""

    sku: str
    name: str
    size: str
    code: str
    amount: int
    price: float
    sold: bool
    left: int


def add_tagged_pages(app: Flask, events: EventTrack) -> None:
    """Add ``/about/<name>`` for the heads, ``/tagged/<name>`` for the bodies, and ``/howto/<name>``
    for the first example of a how-to guide, ``/howto/<name>/<number>`` for any other."""
    events.define("banner.hover", anonymous=True)
    events.define("stock.count", anonymous=True)(StockCount)

    @app.get("/about/<name>")
    def about(name: str) -> str:
        return render_template_string(PAGE, name=name, head=Markup(HEADS[name]))

    @app.get("/tagged/<name>")
    def tagged(name: str) -> str:
        attributes, body = (Markup(part) for part in BODIES[name])
        return render_template_string(PAGE, name=name, attributes=attributes, body=body)

    @app.get("/howto/<name>")
    @app.get("/howto/<name>/<int:number>")
    def example(name: str, number: int = 1) -> str:
        text = (HOWTO / f"{name}.md").read_text()
        block = text.split("```html\n")[number].partition("```")[0]
        return render_template_string(PAGE, name=name, body=Markup(block))
