"""What all pages share: headers, assets, compression, and what they say in times of trouble."""

from __future__ import annotations

import gzip
import pathlib
import re
import typing as t

import jinja2
import pytest
import sqlalchemy as sa

import flask_eventtrack.dashboard
from flask_eventtrack.dashboard.colours import contrast, fit_accent
from flask_eventtrack.dashboard.host_chart import eventtrack_chart
from flask_eventtrack.dashboard.render import make_environment
from flask_eventtrack.errors import TooBusy

from ..conftest import MakeHost
from ..hosts import FakeClock
from .pages import add_sessions, find_links, look, open_dashboard, read_headline

GZIP = {"Accept-Encoding": "gzip"}
ROOM = pathlib.Path(flask_eventtrack.dashboard.__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def test_a_page_has_the_headers_of_a_private_page(make: MakeHost, clock: FakeClock) -> None:
    """No cache keeps it, no frame shows it, and no script but ours runs."""
    headers = open_dashboard(make, clock).client().get("/_et/").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Robots-Tag"] == "noindex"
    assert "Set-Cookie" not in headers


def test_the_overview_is_light(make: MakeHost, clock: FakeClock) -> None:
    """The overview, its styles and its script are at most 30 KB together, as they are sent."""
    host = open_dashboard(make, clock)
    add_sessions(host, *({"source": f"s{n}", "country": "DE", "os": f"o{n}"} for n in range(12)))
    client = host.client()
    answer = client.get("/_et/?period=90d", headers=GZIP)
    assert answer.headers["Content-Encoding"] == "gzip"
    page = gzip.decompress(answer.data).decode()
    assets = re.findall(r'(?:href|src)="(/_et/dashboard/[^"]+)"', page)
    sizes = [len(client.get(path, headers=GZIP).data) for path in assets]
    assert len(sizes) == 2
    assert len(answer.data) + sum(sizes) < 30_000


def test_assets_are_kept_for_a_year(make: MakeHost, clock: FakeClock) -> None:
    """Their URLs change with what they hold, so browsers need not ask again."""
    page = look(open_dashboard(make, clock))
    path = re.findall(r'href="(/_et/dashboard/[^"]+\.css)"', page)[0]
    host = open_dashboard(make, clock)
    answer = host.client().get(path)
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Vary"] == "Accept-Encoding, Cookie"
    assert answer.mimetype == "text/css"
    assert host.client().get(re.sub(r"/[0-9a-f]{12}/", "/000000000000/", path)).status_code == 404
    assert host.client().get(path.replace("dashboard.css", "../render.py")).status_code == 404


def test_the_hosts_own_name_logo_and_accent(make: MakeHost, clock: FakeClock) -> None:
    """Settings make the pages the host's own; a new accent has a new URL."""
    plain = look(open_dashboard(make, clock))
    host = open_dashboard(
        make,
        clock,
        EVENTTRACK_DASHBOARD_NAME="The Wobbly Shelf",
        EVENTTRACK_DASHBOARD_LOGO="/static/logo.svg",
        EVENTTRACK_DASHBOARD_ACCENT="#ffcc00",
    )
    page = look(host)
    assert "<bdi>The Wobbly Shelf</bdi>" in page
    assert '<img src="/static/logo.svg" alt=""' in page
    path, old = (re.findall(r'"(/_et/dashboard/[^"]+\.css)"', text)[0] for text in (page, plain))
    assert path != old
    assert ":root{--accent:#8c7000}" in host.client().get(path).text


@pytest.mark.parametrize("accent", ["#ffcc00", "#000000", "#ffffff", "#4f46e5", "#7fd3ff"])
def test_any_accent_can_be_read(accent: str) -> None:
    """The accent is darkened or lightened until text in it can be read on both schemes' cards."""
    light, dark = re.findall(r"--accent:#([0-9a-f]{6})", fit_accent(accent))

    def colour(text: str) -> tuple[int, int, int]:
        return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)

    assert contrast(colour(light), (255, 255, 255)) >= 4.5
    assert contrast(colour(dark), (27, 27, 32)) >= 4.5


def test_the_tokens_can_be_read() -> None:
    """Every colour of text has the contrast of WCAG AA on each of its grounds, in both schemes."""
    text = (ROOM / "static" / "dashboard.css").read_text()
    light, dark = text.partition("@media (prefers-color-scheme:dark)")[::2]
    for scheme in (light, dark.partition("}}")[0]):
        tokens = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})\b", scheme))
        colours = {name: parse(value) for name, value in tokens.items()}
        for name in ("ink", "soft", "faint", "accent", "good", "bad", "warn"):
            for ground in ("paper", "card", "wash"):
                if (name, ground) not in {("accent", "wash"), ("good", "wash"), ("warn", "wash")}:
                    assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def parse(text: str) -> tuple[int, int, int]:
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def test_a_wrong_argument_is_said(make: MakeHost, clock: FakeClock) -> None:
    """The page says in a sentence what is wrong, and leads back."""
    host = open_dashboard(make, clock)
    answer = host.client().get("/_et/?period=fortnight")
    assert answer.status_code == 400
    assert "There is no period &#39;fortnight&#39;." in answer.text
    assert find_links(answer.text, "To the overview") == ["/_et/"]
    found = host.client().get("/_et/details/source.json?offset=-1").get_json()
    assert (found["code"], found["detail"]) == (
        "invalid_report",
        "'offset' is a number from 0 to 1000000, not '-1'.",
    )


@pytest.mark.parametrize(
    "path",
    [
        f"details/source?offset={'0' * 5000}",
        "?f=is:country:%00",
        "people?event=%00",
        "?period=custom&from=0001-01-01&to=0001-01-02&compare=none",
        "?period=custom&from=2026-11-21&to=9999-12-31&compare=none",
        "?period=custom&from=1000-01-01&to=2026-11-21&compare=none&f=is:hour:12",
    ],
)
def test_an_argument_beyond_all_reason_is_refused(
    make: MakeHost, clock: FakeClock, path: str
) -> None:
    """At once: a report of two thousand years would take minutes."""
    answer = open_dashboard(make, clock).client().get(f"/_et/{path}")
    assert answer.status_code == 400
    assert "There is no such report" in answer.text


def test_a_long_period_ends_when_its_time_is_over(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is nothing to read, so that no database stops a statement."""
    monkeypatch.setattr("flask_eventtrack.reports.counting.SCAN_SECONDS", 0.05)
    client = open_dashboard(make, clock).client()
    days = "period=custom&from=1970-01-01&to=2026-11-21&compare=none"
    found = client.get(f"/_et/overview.json?{days}&f=is:country:DE").get_json()
    assert found["cut"] is not None


def test_a_busy_process_asks_to_wait(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While two reports run, the page says so and tries again by itself."""
    host = open_dashboard(make, clock)

    def fail(*args: object, **options: object) -> t.NoReturn:
        raise TooBusy

    monkeypatch.setattr(host.state.reports, "overview", fail)
    answer = host.client().get("/_et/?period=7d")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    assert read_headline(answer.text) == "Please wait"
    assert 'data-again="3"' in answer.text
    assert find_links(answer.text, "Try again") == ["http://localhost/_et/?period=7d"]
    found = host.client().get("/_et/overview.json?period=7d")
    assert (found.status_code, found.get_json()["code"]) == (503, "unavailable")


def test_a_database_that_is_away_is_said(
    make: MakeHost, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its tables, the page says what to do; the reason is in the log alone."""
    host = open_dashboard(make, clock)
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.text("DROP TABLE eventtrack_session"))
        connection.execute(sa.text("DROP TABLE eventtrack_daily"))
    answer = host.client().get("/_et/?period=7d")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "15")
    assert read_headline(answer.text) == "The database does not answer"
    assert "no such table" not in answer.text
    assert "could not answer a report" in caplog.text


def test_every_template_is_rendered(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each template file is executed by one of these requests, without an undefined name."""
    seen: set[str] = set()
    load = jinja2.BaseLoader.load

    def note(loader: jinja2.BaseLoader, environment: t.Any, name: str, *args: t.Any) -> t.Any:
        seen.add(name)
        return load(loader, environment, name, *args)

    monkeypatch.setattr(jinja2.BaseLoader, "load", note)
    make_environment.cache_clear()
    host = open_dashboard(make, clock)
    host.events.goal("order", "transaction.charge")
    look(host)
    host.client().get("/")
    for path in PAGES:
        host.flush()
        assert host.client().get(f"/_et{path}").status_code in {200, 400}, path
    with host.app.test_request_context():
        eventtrack_chart()
    make_environment.cache_clear()
    assert seen | OF_PEOPLE >= {path.name for path in (ROOM / "templates").iterdir()}


#: What renders each template; add the page of a new one.
PAGES = (
    *("/", "/?period=wrong", "/details/source", "/revenue", "/agents"),
    *("/parameters?event=cart.put", "/retention", "/paths", "/elements"),
    *("/catalogue", "/catalogue/page.visit", "/quality", "/routes"),
    *("/goals", "/goals/order", "/funnels"),
    *("/notes", "/filters"),
    "/funnels/lost?step=page.visit&step=cart.put&after=1",
)
#: Those that test_people.py looks at.
OF_PEOPLE = {
    *("_feed.html", "audit.html", "erasure.html", "host_feed.html", "live.html"),
    "links.html",
    *("people.html", "person.html", "rights.html"),
}


def test_a_new_site_is_told_what_to_do(make: MakeHost, clock: FakeClock) -> None:
    """Before the first visit the page waits, and says how to get one."""
    host = open_dashboard(make, clock)
    page = look(host)
    assert read_headline(page) == "Waiting for the first visit"
    assert 'data-again="3"' in page
    assert "{{ eventtrack_snippet() }}" in page
    assert find_links(page, "Look now") == ["/_et/"]
    host.client().get("/products/lamp")
    page = look(host)
    assert read_headline(page) == "1 person visited; all sessions came directly."
    assert "no browser has reported yet" in page


def test_a_browsers_half_ends_the_notice(make: MakeHost, clock: FakeClock) -> None:
    """Once a browser has reported, the page asks for nothing any more."""
    host = open_dashboard(make, clock)
    host.client().get("/products/lamp")
    host.flush()
    event = host.state.pipeline.database.tables.event
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.update(event).values(claimed_by=event.c.id))
    assert "no browser has reported yet" not in look(host)


def test_a_bots_visit_does_not_count_as_the_first(make: MakeHost, clock: FakeClock) -> None:
    """Where events come but no session, the page says why that may be."""
    host = open_dashboard(make, clock, EVENTTRACK_BOTS="tag")
    host.client("Googlebot/2.1 (+http://www.google.com/bot.html)").get("/")
    assert read_headline(look(host)) == "Waiting for the first session"


def test_an_older_site_opens_on_thirty_days(make: MakeHost, clock: FakeClock) -> None:
    """From the second day on, the overview is of the last 30 days."""
    host = open_dashboard(make, clock)
    host.client().get("/products/lamp")
    host.flush()
    clock.advance(days=1)
    assert read_headline(look(host)).startswith("1 person visited, and nobody did in the 30 days")


def test_what_could_not_be_counted_is_not_nobody(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The headline agrees with the notice below it."""
    host = open_dashboard(make, clock)
    host.client().get("/products/lamp")
    host.flush()
    monkeypatch.setattr("flask_eventtrack.reports.counting.SCAN_SECONDS", -1.0)
    page = look(host, "/?f=is:device_type:desktop&period=7d")
    assert read_headline(page) == "No visitors in the part that was counted."
    assert "These numbers are of the last 0 of 7 days" in page
