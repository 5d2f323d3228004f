"""`events.digest()` and `flask eventtrack digest`: the last whole period as a mail, once."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import email
import email.policy
import html.parser
import re
import shutil
import subprocess
import typing as t

import pytest

from flask_eventtrack import Digest
from flask_eventtrack.digest import Every
from flask_eventtrack.errors import ReportError, ReportUnavailable

from .commands import run
from .conftest import MakeHost
from .dashboard.pages import add_hours, add_sessions, open_dashboard
from .dashboard.test_hostile import FIELDS, HOSTILE, LIMITS
from .hosts import FakeClock, Host
from .manual import iter_blocks, read
from .reports.visits import Visitor, close_days, go_to, moment, open_shop


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, database_url: str) -> Host:
    """A shop on each database that had a buyer in the week from 16 November, and before."""
    config = {"EVENTTRACK_DASHBOARD_NAME": "Shop"}
    shop = open_shop(make, clock, url=database_url, config=config)
    Visitor(shop).see("/", "2026-10-31 23:00")
    Visitor(shop).see("/", "2026-11-09 10:00").do("/order/1/10.00")
    ada = Visitor(shop).see("/?utm_source=news", "2026-11-16 00:00").see("/products/mug")
    ada.do("/cart/A1/9.5").do("/order/2/12.30")
    Visitor(shop).see("/", "2026-11-22 23:59")
    Visitor(shop).see("/", "2026-11-23 00:00")
    go_to(clock, "2026-11-23 06:00")
    close_days(shop)
    return shop


def make_digest(host: Host, every: Every = "week") -> Digest:
    with host.app.app_context():
        made = host.events.digest(every)
    assert made is not None
    return made


def claim(host: Host, every: Every = "week") -> Digest | None:
    with host.app.app_context():
        return host.events.digest(every, once=True)


def test_a_week_is_told(shop: Host) -> None:
    """From Monday to Sunday: a sentence, numbers with their changes, and top rows."""
    made = make_digest(shop)
    assert made.subject == "Shop: 2 visitors in the week of 16 November 2026 (+100%)"
    assert (
        made.text
        == """\
16 \u2013 22 November 2026 (UTC)

2 people visited, 100% more than in the 7 days before.

Visitors: 2 (+100%, before: 1)
New visitors: 2 (+100%, before: 1)
Sessions: 2 (+100%, before: 1)
Page visits: 3 (+200%, before: 1)
Pages a session: 1.50 (+50%, before: 1.00)
Bounce rate: 50.0% (+50.0 pts, before: 0%)
Visible time: 0s (\u00b10%, before: 0s)
Duration: 0s (\u00b10%, before: 0s)
Orders: 1 (\u00b10%, before: 1)
Revenue: EUR 12.30 (+23%, before: EUR 10.00)

Sources
- Direct: 1 (50.0%)
- news: 1 (50.0%)

Pages
- /: 2 (66.7%)
- /products/<slug>: 1 (33.3%)

Events
- cart.put: 1 (11.1%)
- transaction.charge: 1 (11.1%)
"""
    )
    for line in re.split(r"[:\n]| \(|\)|, before| - ", made.text):
        assert line.strip("- ").replace("<slug>", "&lt;slug&gt;") in made.html


@pytest.mark.parametrize(
    ("every", "subject", "headline"),
    [
        (
            "day",
            "Shop: 1 visitor on Sun 22 November 2026",
            "1 person visited, and nobody did on the day before; all sessions came directly.",
        ),
        (
            "month",
            "Shop: 1 visitor in October 2026",
            "1 person visited, and nobody did in September 2026; all sessions came directly.",
        ),
    ],
)
def test_a_day_and_a_month_are_told(shop: Host, every: Every, subject: str, headline: str) -> None:
    """The last whole one of each."""
    made = make_digest(shop, every)
    assert (made.subject, made.text.splitlines()[2]) == (subject, headline)


def test_the_numbers_are_those_of_the_overview(shop: Host) -> None:
    """Of the same period."""
    made = make_digest(shop)
    with shop.app.app_context():
        found = shop.events.reports.overview(made.period)
    assert f"Sessions: {found.numbers.sessions} (" in made.text
    assert (made.period.first, made.period.last) == (dt.date(2026, 11, 16), dt.date(2026, 11, 22))


def test_a_week_is_one_of_the_apps_zone(make: MakeHost, clock: FakeClock) -> None:
    """It begins on Monday at midnight there."""
    host = open_shop(make, clock, config={"EVENTTRACK_TIMEZONE": "Asia/Tokyo"})
    Visitor(host).see("/", "2026-11-15 14:59")
    Visitor(host).see("/", "2026-11-15 15:00")
    go_to(clock, "2026-11-22 14:59")
    host.flush()
    assert make_digest(host).period.first == dt.date(2026, 11, 9)
    go_to(clock, "2026-11-22 15:00")
    assert make_digest(host).subject.startswith("1 visitor in the week of 16 November 2026")


def test_the_first_call_alone_gets_a_period(shop: Host) -> None:
    """With ``once``; each day, week and month for itself, and the next week anew."""
    assert [claim(shop) is None for _ in range(3)] == [False, True, True]
    assert claim(shop, "day") is not None
    assert claim(shop, "month") is not None
    assert make_digest(shop).subject.startswith("Shop: 2 visitors")
    shop.clock.advance(days=7)
    assert [claim(shop) is None for _ in range(2)] == [False, True]


def test_one_of_many_processes_gets_it(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """All ask at the same moment, each with connections of its own."""
    hosts = [make(url=database_url), *(make(url=database_url, create=False) for _ in range(3))]
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        found = list(pool.map(claim, hosts * 4))
    assert sum(each is not None for each in found) == 1


def test_a_report_that_fails_claims_nothing(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call gets the digest."""

    def fail(*_: object, **__: object) -> t.NoReturn:
        raise ReportUnavailable("The database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr("flask_eventtrack.reports.library.Reports.overview", fail)
        with pytest.raises(ReportUnavailable):
            claim(shop)
    assert claim(shop) is not None


def test_a_claim_is_no_event(shop: Host) -> None:
    """What counts how events arrived does not count it."""
    before = run(shop, "quality", "--period", "all").output
    assert claim(shop)
    assert run(shop, "quality", "--period", "all").output == before


def test_no_other_period_has_a_digest(host: Host) -> None:
    """The error says which have one."""
    with pytest.raises(ReportError, match="of each day, week or month, not 'year'"):
        make_digest(host, t.cast("Every", "year"))


class Reader(html.parser.HTMLParser):
    """Collects the tags and attributes of a mail."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


TAGS = {
    *("html", "head", "meta", "title", "style", "body", "table", "tr", "td", "th", "div", "span"),
    *("p", "h1", "h2", "bdi"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "class", "style", "role", "width", "cellpadding"),
    *("cellspacing", "border", "align", "valign", "colspan", "scope"),
}


def check(made: Digest) -> None:
    """Assert that a mail holds nothing but tables and text, and loads nothing."""
    reader = Reader()
    reader.feed(made.html)
    assert reader.tags <= TAGS
    assert reader.attributes <= ATTRIBUTES
    assert made.html.count("<style>") == 1
    assert not re.search(r"https?:|//|url\(|@import", re.sub(r"<bdi>.*?</bdi>", "", made.html))
    assert len(made.html) < 100_000  # mail programs cut longer ones
    for text in (made.subject, *made.text.splitlines(), *made.html.splitlines()):
        assert text.isprintable()


def test_a_mail_loads_nothing(shop: Host) -> None:
    """It has no script, no image and no link; and says so in light and dark."""
    made = make_digest(shop)
    check(made)
    assert "prefers-color-scheme: dark" in made.html


def test_what_visitors_choose_is_text(make: MakeHost, clock: FakeClock) -> None:
    """Nothing of it runs, hides or moves the rest, in HTML, in text and in the subject."""
    name = "<b>Shop</b>\r\nBcc: eve@evil.test"
    host = open_dashboard(make, clock, EVENTTRACK_DASHBOARD_NAME=name)
    for start in range(0, len(HOSTILE), 5):
        host.clock.now = int(moment("2026-11-21 12:00").timestamp()) * 10**9
        host.clock.advance(days=7 * (start // 5))
        texts = HOSTILE[start : start + 5]
        at = host.clock.moment - dt.timedelta(days=10)
        rows = ({field: text[: LIMITS.get(field, 255)] for field in FIELDS} for text in texts)
        add_sessions(host, *rows, at=at)
        add_hours(host, *(("page.visit", text, 5) for text in texts), at=at)
        add_hours(host, *((text[:32], "", 5) for text in texts), at=at)
        made = make_digest(host)
        check(made)
        assert made.text.count("\n- ") == 15
        answer = run(host, "digest", "--format", "mail")
        mail = email.message_from_bytes(answer.stdout_bytes, policy=email.policy.default)
        assert mail.keys() == ["Subject", "MIME-Version", "Content-Type"]
        assert mail["Subject"] == made.subject
    assert "&lt;!-- --&gt;&lt;style&gt;" in made.html


def test_of_an_empty_week_it_says_so(host: Host) -> None:
    """And lists nothing."""
    made = make_digest(host)
    assert made.subject == "0 visitors in the week of 9 November 2026 (\u00b10%)"
    assert made.text.splitlines()[2] == "Nobody visited."
    assert "Sources" not in made.text + made.html
    check(made)


def test_the_command_prints_it(shop: Host) -> None:
    """As text, as HTML, or as a whole mail."""
    made = make_digest(shop)
    assert run(shop, "digest").stdout == made.text + "\n"
    assert run(shop, "digest", "--format", "html").stdout == made.html + "\n"
    printed = run(shop, "digest", "--period", "week", "--format", "mail").stdout_bytes
    mail = email.message_from_bytes(printed, policy=email.policy.default)
    assert mail["Subject"] == made.subject
    plain, rich = mail.iter_parts()
    assert (plain.get_content_type(), plain.get_content()) == ("text/plain", made.text)
    assert (rich.get_content_type(), rich.get_content()) == ("text/html", made.html + "\n")


def test_the_command_prints_it_once(shop: Host) -> None:
    """Together with ``events.digest()``; the exit status is 0 all the same."""
    assert run(shop, "digest", "--once").stdout.startswith("16 \u2013 22 November 2026")
    answer = run(shop, "digest", "--once")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert answer.stderr == "The digest of this week was made before.\n"
    assert claim(shop) is None
    assert run(shop, "digest").stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is absent")
@pytest.mark.parametrize("printed", ["Subject: a\n\nb", ""])
def test_the_guides_script_sends_it_once(tmp_path: t.Any, printed: str) -> None:
    """To the mail program; nothing if nothing is printed."""
    blocks = iter_blocks(read("docs/howto/send-a-digest.md"))
    [script] = [block.text for block in blocks if "sendmail" in block.text]
    for name, code in (("flask", f"printf '{printed}'"), ("sendmail", 'cat > "sent-$1"')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{code}\n")
        (tmp_path / name).chmod(0o700)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=environ, check=True)
    sent = {path.name: path.read_text() for path in tmp_path.glob("sent-*")}
    assert sent == ({"sent-team@example.com": f"{printed}\n"} if printed else {})


def test_without_tables_it_says_what_to_do(make: MakeHost) -> None:
    """In one line, with the exit status 1."""
    answer = run(make(create=False), "digest", "--once")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("Error: The tables of this release are missing")
