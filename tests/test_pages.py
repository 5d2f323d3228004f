from __future__ import annotations

import base64
import collections
import collections.abc as cabc
import gzip
import hashlib
import re
import typing as t
from urllib.parse import quote, urljoin

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    make_response,
    render_template_string,
    request,
    stream_with_context,
)
from flask.views import MethodView

from flask_eventtrack import EventTrack, current_visitor, identify, track

from .conftest import MakeHost
from .hosts import NAVIGATION, SAME_ORIGIN, Host

Headers = dict[str, str]
PAGE = "<title>A page</title>{{ eventtrack_snippet() }}"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def add_odd_pages(app: Flask, events: EventTrack) -> None:  # noqa: C901 - a list of views
    """Add views whose answers are pages, or only look like it."""

    @app.get("/streamed")
    def streamed() -> Response:
        def body() -> cabc.Iterator[str]:
            yield "<title>Streamed</title>"
            yield request.path

        return Response(stream_with_context(body()), mimetype="text/html")

    @app.get("/feed.xml")
    def feed() -> Response:
        return Response("<rss/>", mimetype="application/rss+xml")

    @app.get("/unchanged")
    def unchanged() -> Response:
        response = make_response("<title>Old</title>")
        response.set_etag("v1")
        response.make_conditional(request)
        return response

    @app.get("/public")
    def public() -> Response:
        response = make_response(render_template_string(PAGE))
        response.headers["Cache-Control"] = "public, max-age=60"
        return response

    @app.get("/broken")
    def broken() -> str:
        abort(500)

    @app.get("/gone")
    def gone() -> tuple[str, int]:
        return render_template_string(PAGE), 410

    @app.post("/form")
    def form() -> str:
        return render_template_string(PAGE)

    @app.get("/partial")
    def partial() -> str:
        return "<li>a fragment</li>"

    @app.get("/quiet")
    @events.exempt
    def quiet() -> str:
        return render_template_string(PAGE)

    @events.exempt
    class Quieter(MethodView):
        def get(self) -> str:
            return PAGE

    app.add_url_rule("/quieter", view_func=Quieter.as_view("quieter"))
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    nested = Blueprint("nested", __name__, url_prefix="/nested")
    nested.add_url_rule("/", view_func=lambda: PAGE, endpoint="index")
    admin.register_blueprint(nested)
    app.register_blueprint(events.exempt(admin))

    @app.get("/assets/<path:name>")
    def assets(name: str) -> Response:
        return Response("body{}", mimetype="text/css")

    @app.errorhandler(404)
    def not_found(error: Exception) -> tuple[str, int]:
        return render_template_string(PAGE), 404


@pytest.fixture
def odd(make: MakeHost) -> Host:
    host = make(create=False)
    add_odd_pages(host.app, host.events)
    with host.app.app_context():
        host.db.create_all()
    return host


@pytest.mark.parametrize(
    ("path", "headers", "status", "visits"),
    [
        ("/", NAVIGATION, 200, 1),
        ("/", {}, 200, 1),
        ("/products/mug", NAVIGATION, 200, 1),
        ("/streamed", NAVIGATION, 200, 1),
        ("/unchanged", {"If-None-Match": '"v1"'}, 304, 1),
        ("/data.json", NAVIGATION, 200, 0),
        ("/feed.xml", NAVIGATION, 200, 0),
        ("/away", NAVIGATION, 302, 0),
        ("/missing", NAVIGATION, 404, 0),
        ("/gone", NAVIGATION, 410, 0),
        ("/assets/shop.css", NAVIGATION, 200, 0),
        ("/static/nothing.css", NAVIGATION, 404, 0),
        ("/quiet", NAVIGATION, 200, 0),
        ("/quieter", NAVIGATION, 200, 0),
        ("/admin/nested/", NAVIGATION, 200, 0),
        ("/_et/nothing", NAVIGATION, 404, 0),
        ("/", {"Sec-Fetch-Dest": "empty"}, 200, 0),
        ("/", {"Sec-Fetch-Dest": "iframe"}, 200, 0),
        ("/", {"Sec-Purpose": "prefetch"}, 200, 0),
        ("/", {"Sec-Purpose": "prefetch;prerender"}, 200, 0),
        ("/", {"Purpose": "prefetch"}, 200, 0),
        ("/partial", {"HX-Request": "true"}, 200, 0),
        ("/", {"HX-Request": "true", "HX-Boosted": "true"}, 200, 0),
        ("/partial", {"Turbo-Frame": "basket"}, 200, 0),
        ("/partial", {"X-Requested-With": "XMLHttpRequest"}, 200, 0),
        ("/", {"User-Agent": GOOGLEBOT}, 200, 0),
    ],
)
def test_what_is_a_visit(odd: Host, path: str, headers: Headers, status: int, visits: int) -> None:
    """Every HTML document answered to a person counts once, and nothing else does."""
    response = odd.client().get(path, headers=headers)
    assert response.status_code == status
    assert odd.actions()["page.visit"] == visits
    assert ("Set-Cookie" in response.headers) == (visits > 0)


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/"), ("POST", "/form"), ("OPTIONS", "/")])
def test_only_get_is_a_visit(odd: Host, method: str, path: str) -> None:
    """A HEAD, a form's answer and a preflight show nobody a page."""
    odd.client().open(path, method=method, headers=NAVIGATION)
    assert odd.actions() == {}


def test_an_exception_in_a_view_is_no_visit(make: MakeHost) -> None:
    """A 500 is answered and counted nowhere."""
    host = make({"TESTING": False})
    add_odd_pages(host.app, host.events)
    assert host.client().get("/broken", headers=NAVIGATION).status_code == 500
    assert host.actions() == {}


def test_reload_and_back_count_again(host: Host) -> None:
    """Each request for a page is a visit of its own, in the same session."""
    client = host.client()
    for path in ("/", "/products/mug", "/", "/"):
        client.get(path, headers=NAVIGATION)
    assert host.actions() == {"page.visit": 4, "session.start": 1}
    [session] = host.rows("session")
    assert (session["pages"], session["entry"], session["exit"]) == (4, "/", "/")


def test_two_visitors_are_two_devices(host: Host) -> None:
    """Browsers do not share a device, a profile or a session."""
    for client in (host.client(), host.client()):
        client.get("/", headers=NAVIGATION)
        client.get("/products/mug", headers=NAVIGATION)
    assert [row["pages"] for row in host.rows("session")] == [2, 2]
    assert len({row["uuid"] for row in host.rows("event")}) == 2


def test_every_parameter_of_a_visit(make: MakeHost) -> None:
    """What the server knows of a visit is in its row, and secrets are not."""
    host = make({"EVENTTRACK_COUNTRY_HEADER": "CF-IPCountry"})
    headers = NAVIGATION | {
        "Referer": "https://user:pw@search.example/find?q=mug&token=1#top",
        "Accept-Language": "de-AT,de;q=0.9,en;q=0.8",
        "CF-IPCountry": "at",
    }
    query = "utm_source=news&utm_medium=mail&utm_campaign=spring&Password=x&colour=red"
    host.client().get(
        f"/products/blue mug?{query}", headers=headers, base_url="https://Shop.example:8443"
    )
    [visit] = host.events_of("page.visit")
    [session] = host.rows("session")
    assert visit["params"].pop("duration_ms") == 0.0
    assert visit["params"] == {
        "url": "https://shop.example:8443/products/blue%20mug"
        "?utm_source=news&utm_medium=mail&utm_campaign=spring&colour=red",
        "path": "/products/blue mug",
        "endpoint": "product",
        "url_rule": "/products/<slug>",
        "referrer": "https://search.example/find?q=mug",
        "title": "Blue Mug",
        "status": 200,
        "utm_source": "news",
        "utm_medium": "mail",
        "utm_campaign": "spring",
    }
    assert (visit["label"], visit["site"], visit["url_rule"], visit["source"]) == (
        "Visited page Blue Mug",
        "shop.example",
        "/products/<slug>",
        "server",
    )
    assert visit["time"] == visit["received_at"] == host.clock.moment
    assert {name: session[name] for name in ("browser", "os", "device_type", "language")} == {
        "browser": "Chrome",
        "os": "Linux",
        "device_type": "desktop",
        "language": "de-AT",
    }
    assert (session["country"], session["referrer"], session["source"]) == (
        "AT",
        "https://search.example/find?q=mug",
        "news",
    )
    assert (session["utm_campaign"], session["entry"]) == ("spring", "/products/blue mug")


@pytest.mark.parametrize(
    ("referrer", "source"),
    [
        ("", "direct"),
        ("http://localhost/other", "direct"),
        ("https://news.example/", "news.example"),
    ],
)
def test_source_of_a_session(host: Host, referrer: str, source: str) -> None:
    """Without a campaign a visit comes from another site, or directly."""
    host.client().get("/", headers=NAVIGATION | {"Referer": referrer})
    assert host.rows("session")[0]["source"] == source


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HTTP_HOST": "Shop.example:8000"}, "http://shop.example:8000/größe/products/a"),
        ({"HTTP_HOST": "shop.example:80"}, "http://shop.example/größe/products/a"),
        ({"HTTP_HOST": None, "SERVER_NAME": "inside"}, "http://inside/größe/products/a"),
        ({"HTTP_HOST": "a b"}, "/größe/products/a"),
    ],
)
def test_address_of_a_mounted_app(host: Host, environ: dict[str, str | None], url: str) -> None:
    """It is the one that the browser shows; only the path where the host is no name."""
    made = host.client().get(
        "/products/a",
        base_url="http://localhost/größe",
        headers=NAVIGATION,
        environ_overrides=environ,
    )
    assert made.status_code == 200
    [event] = host.events_of("page.visit")
    assert (event["params"]["url"], event["params"]["path"]) == (
        quote(url, ":/"),
        "/größe/products/a",
    )


def test_duration_is_the_views(make: MakeHost) -> None:
    """``duration_ms`` runs from the request's arrival, which is also the visit's time."""
    host = make()

    @host.app.get("/slow")
    def slow() -> str:
        host.clock.advance(milliseconds=250)
        return "<p>at last"

    arrival = host.clock.moment
    host.client().get("/slow")
    [visit] = host.events_of("page.visit")
    assert (visit["params"]["duration_ms"], visit["time"]) == (250.0, arrival)


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("<title>Caf&eacute; &lt;3</title>", "Café <3"),
        ("<TITLE lang=en>\n  Two\n  lines </TITLE>", "Two lines"),
        ("<!-- <title>No</title> --><title>Yes</title>", "Yes"),
        ("<script>'<title>No</title>'</script><title>Yes</title>", "Yes"),
        ("<head></head><body><svg><title>Icon</title></svg>", None),
        ("<svg><title>Icon</title></svg><title>Yes</title>", "Yes"),
        ("<p>no head, no body, no title", None),
        ("<title>" + "x" * 300 + "</title>", "x" * 255),
        ("<title>cut\0off</title>", "cut\ufffdoff"),
        ("<title>never closed", None),
        ("", None),
    ],
)
def test_title_of_a_response(make: MakeHost, body: str, title: str | None) -> None:
    """The document's own title is read, wherever it stands, and no other's."""
    host = make()
    host.app.add_url_rule("/x", view_func=lambda: Response(body, mimetype="text/html"))
    assert host.client().get("/x").get_data(as_text=True) == body
    [visit] = host.events_of("page.visit")
    assert visit["params"].get("title") == title
    assert visit["label"].startswith(f"Visited page {title or '/x'}"[:254])


def test_streamed_body_is_not_read(odd: Host) -> None:
    """A streamed page counts under its path, and still streams."""
    response = odd.client().get("/streamed", headers=NAVIGATION, buffered=False)
    assert response.get_data(as_text=True) == "<title>Streamed</title>/streamed"
    [visit] = odd.events_of("page.visit")
    assert ("title" in visit["params"], visit["label"]) == (False, "Visited page /streamed")


def test_compressed_body_is_not_parsed(make: MakeHost) -> None:
    """A body that a hook has compressed goes out as it is; the browser will tell the title."""
    host = make()
    packed = gzip.compress(b"<title>Hidden</title>")

    @host.app.get("/packed")
    def packed_page() -> Response:
        return Response(packed, mimetype="text/html", headers={"Content-Encoding": "gzip"})

    assert host.client().get("/packed").data == packed
    assert "title" not in host.events_of("page.visit")[0]["params"]


def test_public_page_never_carries_our_cookies(odd: Host) -> None:
    """A shared cache would hand one visitor's device to all."""
    client = odd.client()
    assert "Set-Cookie" not in client.get("/public", headers=NAVIGATION).headers
    assert odd.actions() == {}
    client.get("/", headers=NAVIGATION)
    odd.clock.advance(hours=1)
    assert "Set-Cookie" not in client.get("/public", headers=NAVIGATION).headers
    assert odd.actions()["page.visit"] == 2


def test_hook_of_the_host_that_makes_a_page_public_is_seen(make: MakeHost) -> None:
    """Our last word comes after hooks that were registered before us."""
    app = Flask("host")

    @app.after_request
    def cache(response: Response) -> Response:
        response.headers["Cache-Control"] = "s-maxage=60"
        return response

    host = make()
    host.app.after_request(cache)
    assert "Set-Cookie" not in host.client().get("/", headers=NAVIGATION).headers


def test_filter_refuses_one_more(make: MakeHost) -> None:
    """``EVENTTRACK_PAGE_VISIT_FILTER`` is asked inside the request, and its no is final."""
    host = make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: request.path != "/"})
    client = host.client()
    assert 'data-page="off"' in client.get("/", headers=NAVIGATION).text
    client.get("/products/mug", headers=NAVIGATION)
    assert [row["params"]["path"] for row in host.events_of("page.visit")] == ["/products/mug"]


def test_denied_visits_leave_the_rest(make: MakeHost) -> None:
    """A site may deny page visits and keep its other events."""
    host = make({"EVENTTRACK_DENY": {"localhost": ["page.*"]}})
    client = host.client()
    client.get("/", headers=NAVIGATION)
    client.get("/", headers=NAVIGATION, base_url="http://other.example")
    assert [row["site"] for row in host.events_of("page.visit")] == ["other.example"]


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
    assert re.match('<script async src="/_et/[0-9a-f]{16}/et.js" ', tag)
    assert tag.endswith("></script>")


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


def test_hooks_survive_an_earlier_hook_that_answers(make: MakeHost) -> None:
    """A host's ``before_request`` may answer: the page it shows is counted once."""
    host = make()
    host.app.before_request_funcs.setdefault(None, []).insert(0, lambda: "<title>Closed</title>")
    assert host.client().get("/", headers=NAVIGATION).text == "<title>Closed</title>"
    assert [row["label"] for row in host.events_of("page.visit")] == ["Visited page Closed"]


def test_filter_that_fails_reaches_no_visitor(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """In production an error of ours is logged once and the page goes out untouched."""
    host = make({"TESTING": False, "EVENTTRACK_PAGE_VISIT_FILTER": lambda: 1 / 0})
    client = host.client()
    for _ in range(3):
        assert client.get("/products/mug", headers=NAVIGATION).status_code == 200
    assert [record.message for record in caplog.records] == [
        "EventTrack failed while reading a title; the request goes on.",
    ]
    assert sum(host.state.failures.values()) == 3


def test_filter_that_fails_is_raised_in_tests(make: MakeHost) -> None:
    """In debug and testing an error of ours is raised where it happens."""
    host = make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        host.client().get("/products/mug", headers=NAVIGATION)


def test_headers_replaced_by_a_dict_do_not_break_the_page(make: MakeHost) -> None:
    """A host may swap ``response.headers`` for a plain dict; its page still goes out."""
    host = make({"TESTING": False})

    @host.app.get("/dict")
    def replaced() -> Response:
        response = make_response("<p>hello")
        response.headers = t.cast("t.Any", dict(response.headers))
        return response

    with host.app.test_request_context("/dict", headers=NAVIGATION):
        assert host.app.full_dispatch_request().get_data() == b"<p>hello"


def test_bot_is_seen_and_recorded_nowhere(make: MakeHost) -> None:
    """A bot's views run, its ``track()`` returns None, and nothing is stored."""
    host = make()
    host.events.define("a.b")
    seen: list[t.Any] = []

    @host.app.get("/seen")
    def see() -> str:
        seen.extend([track("a.b"), current_visitor.is_bot])
        return "<p>"

    host.client(GOOGLEBOT).get("/seen")
    assert seen == [None, True]
    assert host.actions() == {}


def test_tagged_bot_is_recorded_as_nobodys(make: MakeHost) -> None:
    """``EVENTTRACK_BOTS = "tag"``: with the reason, without a session or cookies, in no total."""
    host = make({"EVENTTRACK_BOTS": "tag"})
    host.events.define("a.b")

    @host.app.get("/seen")
    def see() -> str:
        track("a.b", {"bot": "its own"} if "own" in request.args else {})
        track("a.b", in_transaction=True)
        host.db.session.commit()
        profile = identify("7")
        assert (profile is None) is current_visitor.is_bot
        return render_template_string(PAGE)

    client = host.client()
    client.get("/seen", headers=NAVIGATION)
    device = client.get_cookie("eventtrack_device")
    people = host.rows("event")
    totals = {row["action"]: row["count"] for row in host.rows("hourly")}
    assert totals["page.visit"] == 1
    as_bot = {"User-Agent": GOOGLEBOT}
    for path in ("/seen", "/seen?own"):
        page = client.get(path, headers={**NAVIGATION, **as_bot})
        assert "Set-Cookie" not in page.headers
    posted = client.post(
        "/_et/in", json={"action": "button.click"}, headers={**SAME_ORIGIN, **as_bot}
    )
    assert posted.json is not None
    assert posted.json["results"][0]["error"]["code"] == "bot"
    assert client.get_cookie("eventtrack_device") == device

    bots = [row for row in host.rows("event") if row not in people]
    assert collections.Counter(row["action"] for row in bots) == {"a.b": 4, "page.visit": 2}
    assert {(row["source"], row["session_id"]) for row in bots} == {("bot", None)}
    reasons = collections.Counter(row["params"]["bot"] for row in bots)
    assert reasons == {"names 'googlebot'": 5, "its own": 1}
    [(profile, _), *others] = collections.Counter(row["uuid"] for row in bots).most_common()
    assert [count for _, count in others] == [1, 1]  # in a transaction of the host's
    assert len(host.rows("session")) == 1
    with host.app.app_context():
        assert host.events.forget(profile).events == 4
    assert {row["action"]: row["count"] for row in host.rows("hourly")} == totals


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        ({"EVENTTRACK_DEFAULT_POLICY": "anonymous"}, {"page.visit": 1}),
        ({"EVENTTRACK_DEFAULT_POLICY": "none"}, {}),
    ],
)
def test_tag_adds_nothing_to_what_the_policy_allows(
    make: MakeHost, settings: dict[str, str], recorded: dict[str, int]
) -> None:
    host = make({"EVENTTRACK_BOTS": "tag", **settings})
    host.events.define("a.b")

    @host.app.get("/seen")
    def see() -> str:
        assert track("a.b") is None
        return "<p>"

    host.client(GOOGLEBOT).get("/seen", headers=NAVIGATION)
    assert host.actions() == recorded
    assert not host.rows("hourly")


def test_nameless_program_is_a_bot_outside_of_tests(make: MakeHost) -> None:
    """A request without a user agent is no person's, except a test's own."""
    for is_testing in (False, True):
        host = make({"TESTING": is_testing})
        host.client("").get("/", headers=NAVIGATION)
        assert host.actions()["page.visit"] == is_testing


def test_requests_inside_one_app_context_are_told_apart(host: Host) -> None:
    """A test that keeps an app context open shares ``g`` between its requests."""
    with host.app.app_context():
        for client in (host.client(), host.client()):
            client.get("/", headers=NAVIGATION)
            client.get("/products/mug", headers=NAVIGATION)
    assert [row["pages"] for row in host.rows("session")] == [2, 2]
    paths = [row["params"]["path"] for row in host.events_of("page.visit")]
    assert sorted(paths) == ["/", "/", "/products/mug", "/products/mug"]


def test_redirect_after_login_counts_the_page_it_leads_to(host: Host) -> None:
    """A redirect is no visit; the page behind it is."""
    response = host.client().get("/away", headers=NAVIGATION, follow_redirects=True)
    assert response.request.path == "/"
    assert host.actions()["page.visit"] == 1


def test_fetch_of_a_page_by_a_script_is_none(host: Host) -> None:
    """A browser marks what a script fetches, whatever the view answers."""
    host.client().get("/", headers=SAME_ORIGIN | {"Sec-Fetch-Dest": "empty"})
    assert host.actions() == {}
