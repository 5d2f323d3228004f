"""The snippet: on which pages it counts, and what its tag says."""

from __future__ import annotations

import base64
import hashlib
import re
import typing as t
from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest
from flask import Response, render_template_string

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from .odd_pages import PAGE


@pytest.mark.parametrize(
    ("path", "method", "is_on"),
    [
        ("/", "GET", True),
        ("/form", "POST", False),
        ("/quiet", "GET", False),
        ("/missing", "GET", False),
    ],
)
def test_snippet_counts_where_the_server_counts(
    odd: Host, path: str, method: str, is_on: bool
) -> None:
    """The tag names the visit on pages that are visits, and switches it off elsewhere."""
    page = odd.client().open(path, method=method, headers=NAVIGATION).text
    assert ("data-visit=" in page, 'data-page="off"' in page) == (is_on, not is_on)


def test_snippet_takes_a_nonce_and_escapes_it(make: MakeHost) -> None:
    """The tag carries a nonce for a strict policy, and no inline code."""
    host = make()
    host.app.add_url_rule(
        "/x", view_func=lambda: render_template_string("{{ eventtrack_snippet(nonce='a\"b') }}")
    )
    tag = host.client().get("/x").text
    assert 'nonce="a&#34;b"' in tag
    assert re.match('<script async="" src="/_et/[0-9a-f]{16}/et.js" ', tag)
    assert tag.endswith("></script>")


XHTML = """<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head>
<title>Strict</title>{{ eventtrack_snippet(nonce="a&b", data_cfasync="false", defer=True) }}</head>
<body/></html>"""


@pytest.mark.parametrize("path", ["/strict", "/missing"])
@pytest.mark.parametrize("is_debug", [True, False])
def test_snippet_is_well_formed_xml(make: MakeHost, path: str, *, is_debug: bool) -> None:
    """A page of XHTML with an attribute without a value is not shown at all."""
    host = make(
        {"EVENTTRACK_DEBUG_JS": is_debug, "EVENTTRACK_SPA": True, "EVENTTRACK_GPC": "ignore"}
    )

    @host.app.errorhandler(404)
    @host.app.get("/strict")
    def strict(_: object = None) -> Response:
        return Response(render_template_string(XHTML), mimetype="application/xhtml+xml")

    page = ElementTree.fromstring(host.client().get(path, headers=NAVIGATION).data)
    [tag] = page.iter("{http://www.w3.org/1999/xhtml}script")
    assert (tag.get("async"), tag.get("nonce"), tag.get("defer")) == ("", "a&b", "")
    assert (tag.get("data-debug"), tag.get("data-visit") is not None) == (
        "" if is_debug else None,
        path == "/strict",
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("data_cfasync='false'", 'data-cfasync="false"'),
        ("data_cookieconsent='statistics', type='text/plain'", 'type="text/plain"'),
        ("id='et', class_='no-optimize'", 'id="et" class="no-optimize"'),
        ("defer=true, data_off=false, data_none=none", 'defer=""></script>'),
        ("data_x='a\"b<c'", 'data-x="a&#34;b&lt;c"'),
        ("**{'data-no-defer': 1}", 'data-no-defer="1"'),
    ],
)
def test_snippet_takes_attributes(make: MakeHost, call: str, expected: str) -> None:
    """Optimizers and banners ask for attributes of their own."""
    host = make()
    text = "{{ eventtrack_snippet(" + call + ") }}"
    host.app.add_url_rule("/x", view_func=lambda: render_template_string(text))
    assert expected in host.client().get("/x", headers=NAVIGATION).text


@pytest.mark.parametrize("name", ["src", "async_", "data_visit", "Integrity", "x y", "a>", ""])
def test_snippet_refuses_attributes_of_its_own(make: MakeHost, name: str) -> None:
    """It is raised in tests and debug; in production the tag goes out without it."""
    for is_testing in (True, False):
        host = make({"TESTING": is_testing})
        host.app.add_url_rule(
            "/x",
            view_func=lambda: render_template_string("{{ eventtrack_snippet(**{n: 1}) }}", n=name),
        )
        if is_testing:
            with pytest.raises(ValueError, match="takes no attribute"):
                host.client().get("/x", headers=NAVIGATION)
        else:
            text = host.client().get("/x", headers=NAVIGATION).text
            assert "data-visit=" in text
            assert text.endswith('"></script>')


@pytest.mark.parametrize(
    ("tag", "is_told"),
    [
        ('<script async src="{src}"></script>', True),
        ("<SCRIPT src='{src}?v=1' data-cfasync=false></SCRIPT>", True),
        ('<script src="{src}" data-page="off"></script>', False),
        ("{{ eventtrack_snippet() }}", False),
        ('<script src="/static/et.js"></script>', False),
    ],
)
@pytest.mark.parametrize("is_debug", [True, False])
def test_tag_without_a_visit_is_told_in_debug(
    make: MakeHost, caplog: pytest.LogCaptureFixture, tag: str, *, is_told: bool, is_debug: bool
) -> None:
    """Such a tag reports a visit that the server has counted: once in the log for each page."""
    host = make({"DEBUG": is_debug})
    text = tag.replace("{src}", f"/_et{host.state.scripts.path('et.js')}")
    host.app.add_url_rule("/x", view_func=lambda: render_template_string(text))
    for _ in range(2):
        host.client().get("/x", headers=NAVIGATION)
    told = [record.message for record in caplog.records if "counts twice" in record.message]
    assert len(told) == (is_told and is_debug)
    if told:
        assert told[0].startswith("The page /x has the script's tag without the id of its visit")


SCRIPTS = ("et.js", "more.js", "tagged.js")


def attributes_of(host: Host) -> dict[str, str]:
    """Return the attributes of the home page's tag."""
    tag = host.client().get("/", headers=NAVIGATION).text.partition("<script ")[2].partition(">")[0]
    return dict(re.findall(r'([\w-]+)(?:="([^"]*)")?', tag))


def test_snippet_names_the_first_script_and_its_hash(host: Host) -> None:
    """The hash is that of what is served (Subresource Integrity); the others are beside it."""
    attributes = attributes_of(host)
    assert list(attributes) == [
        "async",
        "src",
        "integrity",
        "crossorigin",
        "data-visit",
    ]
    script = host.client().get(attributes["src"])
    digest = base64.b64encode(hashlib.sha384(script.data).digest()).decode()
    assert attributes["integrity"] == f"sha384-{digest}"
    for name in ("more.js", "tagged.js"):
        other = host.client().get(urljoin(attributes["src"], name))
        assert (other.status_code, other.mimetype) == (200, "text/javascript")
        assert other.headers["Cache-Control"] == script.headers["Cache-Control"]
    for name in ("less.js", "et", "et.js.br", "../browser/src/index.js"):
        assert host.client().get(urljoin(attributes["src"], name)).status_code == 404


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"EVENTTRACK_SPA": True}, {"data-spa": "path"}),
        ({"EVENTTRACK_SPA": "hash"}, {"data-spa": "hash"}),
        ({"EVENTTRACK_DEBUG_JS": True}, {"data-debug": ""}),
        ({"EVENTTRACK_GPC": "ignore"}, {"data-gpc": "ignore"}),
        (
            {"EVENTTRACK_SPA": True, "EVENTTRACK_DEBUG_JS": True},
            {"data-spa": "path", "data-debug": ""},
        ),
        ({"EVENTTRACK_SPA": False, "EVENTTRACK_DEBUG_JS": False, "DEBUG": True}, {}),
    ],
)
def test_snippet_passes_settings_on(
    make: MakeHost, settings: dict[str, t.Any], expected: dict[str, str]
) -> None:
    """What the script is to do beyond its usual work, and nothing else."""
    attributes = attributes_of(make(settings))
    names = ("data-spa", "data-debug", "data-gpc")
    assert {name: attributes[name] for name in names if name in attributes} == expected


def test_scripts_may_be_loaded_by_other_subdomains_and_isolated_pages(host: Host) -> None:
    """They hold nothing of anybody's; a proxy must not change what is hashed."""
    attributes = attributes_of(host)
    for name in SCRIPTS:
        path = urljoin(attributes["src"], name)
        headers = host.client().get(path, headers={"Origin": "https://b.example"}).headers
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert headers["Vary"] == "Accept-Encoding"
        assert "no-transform" in headers["Cache-Control"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br", "br"),
        ("*", "br"),
        ("br;q=0, gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("", None),
    ],
)
def test_scripts_are_served_as_brotli_where_it_is_accepted(
    host: Host, accepted: str, encoding: str | None
) -> None:
    """They come compressed with the package; each form is smaller than the next."""
    scripts = host.state.scripts
    assert sorted(scripts) == sorted(SCRIPTS)
    for name, script in scripts.items():
        assert script.brotli is not None
        path = f"/_et{scripts.path(name)}"
        response = host.client().get(path, headers={"Accept-Encoding": accepted})
        assert response.headers.get("Content-Encoding") == encoding
        forms = {"br": script.brotli, "gzip": script.gzip, None: script.source}
        assert response.data == forms[encoding]
        assert len(script.brotli) < len(script.gzip) < len(script.source)


#: name → bytes, with gzip -9
LARGEST = {"et.js": 2850, "more.js": 3400, "tagged.js": 3400}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_small(host: Host, name: str) -> None:
    """Each page loads the first, and most of them the second."""
    assert len(host.state.scripts[name].gzip) <= LARGEST[name]


def test_each_script_has_the_digest_of_the_one_that_it_loads(host: Host) -> None:
    """As the tag has that of the first: all are checked (Subresource Integrity)."""
    scripts = host.state.scripts
    for name, other in (("et.js", "more.js"), ("more.js", "tagged.js")):
        digest = base64.b64encode(hashlib.sha256(scripts[other].source).digest())
        assert b'"sha256-' + digest + b'"' in scripts[name].source


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_have_no_import_statements(host: Host, name: str) -> None:
    """A statement's file is checked by no digest."""
    source = host.state.scripts[name].source.decode()
    assert re.findall(r"\bimport\b(?!\()|\bfrom *[\"'`]", source) == []


def test_snippet_outside_a_request_is_nothing(host: Host) -> None:
    """A template that is rendered for an e-mail carries no tag."""
    with host.app.app_context():
        assert render_template_string(PAGE) == "<title>A page</title>"


def test_snippet_address_is_below_the_mount_point(host: Host) -> None:
    """An app that is mounted below a path finds its script there."""
    page = host.client().get("/", environ_overrides={"SCRIPT_NAME": "/shop"}).text
    assert re.search('src="/shop/_et/[0-9a-f]{16}/et.js"', page)
    assert host.events_of("page.visit")[0]["params"]["path"] == "/shop/"


def test_url_defaults_of_the_host_do_not_change_the_script(make: MakeHost) -> None:
    """The script's address is not the host's ``url_for`` to change."""
    host = make()
    host.app.url_defaults(lambda endpoint, values: values.update(v="1"))
    page = host.client().get("/", headers=NAVIGATION).text
    src = page.partition('src="')[2].partition('"')[0]
    assert host.client().get(src).status_code == 200
