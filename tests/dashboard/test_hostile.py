"""What visitors choose themselves runs nowhere, and computes nothing in a spreadsheet."""

from __future__ import annotations

import csv
import html.parser
import io

import pytest

from flask_eventtrack.dashboard.plain import disarm

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .pages import add_hours, add_sessions, look, open_dashboard, read_headline, read_rows

HOSTILE = (
    '"><img src=x onerror=1>',
    "javascript:alert(1)",
    "{{7*7}}",
    "</script><script>alert(1)</script>",
    "\u202egnp.exe",
    "' onmouseover='alert(1)",
    "%s%n%00\x07",
    "=1+1",
    "x" * 255,
    "<!-- --><style>*{display:none}</style>",
)
FIELDS = (
    *("source", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
    *("entry_rule", "exit_rule", "browser", "os", "language", "site"),
)
LIMITS = {"browser": 64, "os": 64, "language": 35, "utm_source": 255}
OWN_TAGS = {"script", "style", "img", "iframe", "object", "base"}


class Reader(html.parser.HTMLParser):
    """Collects what could run: tags, attributes and links."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.handlers.append(name)
            if name in {"href", "src", "action"}:
                self.targets.append(value or "")


def check(page: str) -> None:
    """Assert that a page has nothing but our own script, and links to our own pages."""
    reader = Reader()
    reader.feed(page)
    assert [tag for tag in reader.tags if tag in OWN_TAGS] == ["script"]
    assert reader.handlers == []
    assert [
        target
        for target in reader.targets
        if not target.startswith(("/_et/", "#", "/")) and target != "data:,"
    ] == []
    assert "\u202e" not in page
    assert "\x07" not in page
    assert ">49<" not in page


def open_hostile(make: MakeHost, clock: FakeClock) -> Host:
    host = open_dashboard(make, clock, EVENTTRACK_DASHBOARD_NAME='<b>"Shop"</b>')
    add_sessions(
        host, *({field: text[: LIMITS.get(field, 255)] for field in FIELDS} for text in HOSTILE)
    )
    add_hours(host, *(("page.visit", text, 5) for text in HOSTILE))
    add_hours(host, *((text[:32], "", 5) for text in HOSTILE))
    return host


TABS = (
    "",
    "&sources=utm_campaign&pages=entry_rule&locations=language&devices=os",
    "&sources=utm_term&pages=exit_rule",
)


def test_nothing_runs_on_the_overview(make: MakeHost, clock: FakeClock) -> None:
    """Every panel shows every hostile text as it is, without what cannot be seen."""
    host = open_hostile(make, clock)
    for tabs in TABS:
        page = look(host, f"/?period=7d{tabs}")
        check(page)
        assert len(read_rows(page, "sources")) == 10
    page = look(host, "/?period=7d")
    assert ('"><img src=x onerror=1>', "1", "10.0%") in read_rows(page, "sources")
    assert ("\ufffdgnp.exe", "1", "10.0%") in read_rows(page, "sources")
    assert "<bdi>&lt;b&gt;&#34;Shop&#34;&lt;/b&gt;</bdi>" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_in_a_headline_and_a_filter(
    make: MakeHost, clock: FakeClock, text: str
) -> None:
    """The sentence names the source; its chip and its search do as well."""
    host = open_dashboard(make, clock)
    add_sessions(host, {"source": text})
    page = look(host, "/?period=7d")
    check(page)
    assert read_headline(page).startswith("1 person visited, and nobody did")
    for path in ("/", "/details/source", "/revenue"):
        query = {"period": "7d", "f": f"is:source:{text}", "q": text, "route": text, "by": text}
        answer = host.client().get(f"/_et{path}", query_string=query)
        assert answer.status_code == (400 if path == "/revenue" else 200)
        check(answer.text)


@pytest.mark.parametrize(
    "argument", ["period", "from", "compare", "measure", "bucket", "f", "site"]
)
def test_a_refusal_quotes_safely(make: MakeHost, clock: FakeClock, argument: str) -> None:
    """The sentence about a wrong argument shows it as text, in the page and in JSON."""
    host = open_dashboard(make, clock, {"a.test"})
    query = {argument: HOSTILE[3]}
    answer = host.client().get("/_et/", query_string=query)
    assert answer.status_code == 400
    check(answer.text)
    answer = host.client().get("/_et/overview.json", query_string=query)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


def test_nothing_runs_in_details(make: MakeHost, clock: FakeClock) -> None:
    """Every dimension's table and file take every hostile text."""
    host = open_hostile(make, clock)
    for dimension in ("source", "page", "action", "language", "site", "exit_rule"):
        check(look(host, f"/details/{dimension}?period=7d"))
    data = host.client().get("/_et/details/source.csv?period=7d").data.decode("utf-8-sig")
    values = {row[0] for row in csv.reader(io.StringIO(data))}
    assert {"'=1+1", "{{7*7}}", '"><img src=x onerror=1>'} <= values


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '"=1', "\n=1"),
        *("\uff1d1", "\uff0b1", "\uff0d1", "\uff201"),
    ],
)
def test_a_spreadsheet_computes_nothing(cell: str) -> None:
    """Cells that a spreadsheet would compute begin with an apostrophe."""
    assert disarm(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["google", "a=b", "", "/", "1-2"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    """Nothing else is changed; numbers stay numbers."""
    assert disarm(cell) == cell
    assert disarm(-1.5) == -1.5
    assert disarm(None) == ""
