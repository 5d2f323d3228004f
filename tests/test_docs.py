"""The manual cannot go stale: what the code has is in it, and what it claims is run."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import typing as t
import uuid
from types import SimpleNamespace

import click
import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import make_server

from flask_eventtrack import config, doctor, errors, records
from flask_eventtrack.catalogue.builtin import builtin_catalogue
from flask_eventtrack.catalogue.definitions import CONTEXT_PARAMETERS
from flask_eventtrack.cli.group import eventtrack_cli
from flask_eventtrack.request import cookies

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, START, Host
from .manual import PACKAGE, ROOT, find_entries, find_unused, iter_blocks, read, run_blocks

DOCS = ROOT / "docs"

PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def test_security_names_tests_that_exist() -> None:
    """What the threat model says is shown by a test is shown by one."""
    named = set(re.findall(r"`(test_\w+)`", read("docs/explanation/security.md")))
    folder = PACKAGE.parent / "tests"
    found = {
        name
        for path in folder.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named - found == set()
    assert named


@pytest.mark.parametrize("name", NAMES)
def test_a_call_that_a_page_shows_works_where_the_script_is_blocked(name: str) -> None:
    """There is no ``eventtrack`` then: a bare ``eventtrack.track()`` breaks the host's code."""
    scripts = [b.text for b in iter_blocks(read(name)) if b.language.startswith(("html", "j"))]
    text = "".join(scripts).replace("(window.eventtrack = window.eventtrack || []).push", "")
    assert not re.search(r"(?<!')\beventtrack\s*[.\[(]", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_that_a_page_names_exists(name: str) -> None:
    """No page speaks of a setting that is not there (the tests' own variables aside)."""
    known = {config.PREFIX + field.name.upper() for field in dataclasses.fields(config.Config)}
    named = set(re.findall(r"EVENTTRACK_[A-Z_]+[A-Z]", read(name)))
    own = {n for n in named if n.startswith("EVENTTRACK_TEST_") or n == "EVENTTRACK_REQUIRE"}
    assert named - own <= known


def test_every_cookie_has_an_entry() -> None:
    """Each cookie that is set is in the table of cookies, and no other."""
    names = {value for name, value in vars(cookies).items() if name.endswith("_COOKIE")}
    assert {e for e in find_entries("cookies") if e.startswith("eventtrack_")} == names


def test_every_command_and_option_has_an_entry() -> None:
    """Each command has a section, each option a row."""
    text = read("docs/reference/cli.md")
    context = click.Context(eventtrack_cli)
    names = eventtrack_cli.list_commands(context)
    commands = {name: eventtrack_cli.get_command(context, name) for name in names}
    assert set(re.findall(r"^## (.+)$", text, re.MULTILINE)) == set(commands)
    groups = [each for each in commands.values() if isinstance(each, click.Group)]
    assert len(groups) == 2
    for group in groups:
        found = re.findall(rf"^### {group.name} (.+)$", text, re.MULTILINE)
        assert set(found) == set(group.commands)
    own = [command for group in groups for command in group.commands.values()]
    all_commands = list(filter(None, [*commands.values(), *own]))
    options = {o for command in all_commands for p in command.params for o in p.opts}
    assert options <= find_entries("cli")


def test_every_finding_has_an_entry() -> None:
    """Each id that the doctor knows is in its table, with its level."""
    source = inspect.getsource(doctor)
    found = re.findall(r'_(error|warning|note)\(\s*"(ET\d+)"', source)
    rows = re.findall(r"^\| `(ET\d+)` \| (\w+) \|", read("docs/reference/cli.md"), re.MULTILINE)
    assert sorted(rows) == sorted((code, level) for level, code in found)
    assert len(found) == len(set(re.findall(r"ET\d{3}", source)))


def test_every_rejection_code_has_an_entry() -> None:
    """Each code of an invalid event is used, and is on the page of the HTTP API."""
    codes = t.get_args(errors.EventCode)
    assert find_unused(codes) == set()
    assert set(codes) <= find_entries("http-api")


def test_every_problem_code_has_an_entry() -> None:
    """Each problem document's status and code are on the page of the HTTP API."""
    rooms = (PACKAGE / "collector", PACKAGE / "dashboard")
    source = "".join(path.read_text() for room in rooms for path in room.glob("*.py"))
    problems = set(re.findall(r'problem\(\s*(\d+), "(\w+)"', source))
    codes = {code for _, code in problems}
    assert codes == set(t.get_args(errors.ProblemCode)) - set(t.get_args(errors.TokenCode))
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", read("docs/reference/http-api.md"), re.MULTILINE)
    assert set(rows) == problems


def test_every_built_in_event_has_an_entry() -> None:
    """Each action's row names its parameters and its label."""
    text = read("docs/reference/events.md")
    for definition in builtin_catalogue():
        row = re.search(rf"^\| `{re.escape(definition.action)}` \|.*$", text, re.MULTILINE)
        assert row is not None, definition.action
        assert row[0].endswith(f"| {definition.label} |")
        where = text if definition.action == records.PAGE_VISIT else row[0]
        assert [name for name in definition.types if f"`{name}`" not in where] == []
    assert [name for name in CONTEXT_PARAMETERS if f"`{name}`" not in text] == []


def test_every_column_has_an_entry(make: MakeHost) -> None:
    """Each table has a section that lists its columns in order, also those that are optional."""
    host = make({"EVENTTRACK_COMMIT_LOG": True, "EVENTTRACK_STREAM_URL": "redis://unused"})
    text = read("docs/reference/tables.md")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    tables = host.state.pipeline.database.tables.all()
    assert set(sections) == {table.name for table in tables}
    for table in tables:
        listed = re.findall(r"^\| `(\w+)` \|", sections[table.name], re.MULTILINE)
        assert listed == [column.name for column in table.columns]


def test_every_browser_call_has_an_entry() -> None:
    """What the script offers is what the page describes."""
    source = (PACKAGE / "browser/eventtrack.d.ts").read_text()
    api = source.partition("interface Api {")[2].partition("\n  }")[0]
    calls = re.findall(r"^    (\w+)[<(]", api, re.MULTILINE)
    found = re.findall(
        r"^`eventtrack\.(\w+)\(", read("docs/reference/browser-api.md"), re.MULTILINE
    )
    assert len(calls) > 5
    assert set(found) == set(calls)


def test_every_code_of_the_browser_has_an_entry() -> None:
    """What the script itself calls a failure is on the page of the browser API."""
    text = read("docs/reference/browser-api.md")
    sources = [path.read_text() for path in (PACKAGE / "browser/src").rglob("*.js")]
    codes = set(re.findall(r'(?:\bcode = |\bproblem\()["`](\w+)', "".join(sources)))
    assert len(codes) > 3
    assert [code for code in codes if f"`{code}`" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_python_block_compiles(name: str) -> None:
    """No example has a syntax error."""
    for block in iter_blocks(read(name)):
        assert block.language != "py", "a block of another name would not be run"
        if block.language == "python":
            compile(block.text, name, "exec")


@pytest.mark.parametrize("name", NAMES)
def test_internal_links_resolve(name: str) -> None:
    """Each file that a page points to is there."""
    page, text = ROOT / name, read(name)
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    documents = re.findall(r"\{doc\}`([^`]+)`", text)
    documents += re.findall(r"^((?:tutorial|changes|contributing|\w+/[\w-]+))$", text, re.MULTILINE)
    for document in documents:
        start = DOCS if document.startswith("/") else page.parent
        targets.append(os.path.relpath(start / f"{document.lstrip('/')}.md", page.parent))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_module_has_its_place() -> None:
    """The architecture says of each module in which room it is, and names no other."""
    text = (
        read("docs/explanation/architecture.md").partition("## Where to look")[2].split("\n## ")[0]
    )
    named = set[str]()
    for table in re.split(r"\n\n(?=\|)", text):
        head, *rows = [line for line in table.splitlines() if line.startswith("|")] or [""]
        room = re.match(r"\| `((?:\w+/)+)` ", head)
        names = re.findall(r"`(\w+)(?:\.py)?`", " ".join(row.split("|")[1] for row in rows))
        named |= {f"{room[1] if room else ''}{name}.py" for name in names}
    diagram = read("docs/explanation/architecture.md").split("```")[1]
    named |= set(re.findall(r"\b\w+\.py\b", diagram))
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert named == {module for module in modules if not module.endswith("__init__.py")}


def test_every_page_is_in_the_contents() -> None:
    """The front page leads to each page."""
    contents = read("docs/index.md")
    pages = [str(p.relative_to(DOCS).with_suffix("")) for p in PAGES[1:] if p.name != "index.md"]
    assert [page for page in pages if f"\n{page}\n" not in contents] == []


def run_python(code: str, folder: pathlib.Path) -> list[str]:
    """Run code in a folder with the package at hand; return the lines that it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def run_flask(folder: pathlib.Path, *arguments: str) -> str:
    """Run a ``flask`` command as a reader does."""
    code = f"import sys; from flask.cli import main; sys.argv = ['flask', *{arguments!r}]; main()"
    return "\n".join(run_python(code, folder))


_BROWSE = f"""
import re
from app import app
client = app.test_client()
client.environ_base["HTTP_USER_AGENT"] = {CHROME!r}
def show(path="/"):
    print(*re.findall(r"<li>(?:[0-9:]+ )?(.*?)</li>", client.get(path).text), sep="; ")
"""


def test_the_readmes_start_works(tmp_path: pathlib.Path) -> None:
    """The app of the README runs as pasted, and shows what the README says."""
    [start] = [block for block in iter_blocks(read("README.md")) if block.language == "python"]
    (tmp_path / "app.py").write_text(start.text)
    order = 'client.get("/"); client.post("/", data={"drink": "tea"}); show()'
    assert run_python(_BROWSE + order, tmp_path) == [
        "Ordered tea; Visited page Café; Started session"
    ]
    assert "Ordered tea" in run_flask(tmp_path, "eventtrack", "tail")


def write_files(page: str, folder: pathlib.Path, last: str) -> None:
    """Write the files that a page shows, up to the block that contains ``last``."""
    for block in iter_blocks(read(page)):
        name, at_the_end, _ = block.caption.partition(", at the end")
        if name:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            before = path.read_text() if at_the_end else ""
            path.write_text(before + "\n\n" * bool(before) + block.text)
        if name and last in block.text:
            return
    raise AssertionError(f"{page} has no block with {last!r}")


def write_tutorial(folder: pathlib.Path, last: str) -> None:
    write_files("docs/tutorial.md", folder, last)


def test_the_tutorial_begins_as_it_says(tmp_path: pathlib.Path) -> None:
    """The first page is recorded, and ``tail`` prints it."""
    write_tutorial(tmp_path, '{% extends "layout.html" %}')
    assert "All 25 tables exist." in run_flask(tmp_path, "eventtrack", "init-db")
    run_python(_BROWSE + 'client.get("/")', tmp_path)
    printed = run_flask(tmp_path, "eventtrack", "tail")
    claimed = next(b.text for b in iter_blocks(read("docs/tutorial.md")) if b.language == "text")
    assert sorted(_without_who(printed)) == sorted(_without_who(claimed))


def _without_who(lines: str) -> list[str]:
    return [line[29:].strip() for line in lines.strip().splitlines()]


def test_the_tutorial_ends_as_it_says(tmp_path: pathlib.Path) -> None:
    """The finished café shows an order, a click, a log-in; after the log-out it knows nobody."""
    write_tutorial(tmp_path, 'action="/logout"')
    run_flask(tmp_path, "eventtrack", "init-db")
    visit = """
client.get("/")
client.post("/order", data={"drink": "espresso"})
answer = client.post(
    "/_et/in",
    json={"action": "recipe.show", "params": {"drink": "tea"}},
    headers={"Sec-Fetch-Site": "same-origin"},
)
print(answer.status_code)
show("/about-you")
client.post("/login", data={"name": "ada"})
print("You are ada." in client.get("/about-you").text)
show("/about-you")
client.post("/logout")
show("/about-you")
"""
    status, before, is_ada, after, nobody = run_python(_BROWSE + visit, tmp_path)
    history = "Looked up the recipe of tea; Ordered espresso; Visited page Menu; Started session"
    assert (status, is_ada) == ("202", "True")
    assert before == history
    assert after == f"Visited page About you; Logged in; Visited page About you; {history}"
    assert nobody == ""


def test_the_tutorials_doctor_says_what_it_says(tmp_path: pathlib.Path) -> None:
    """At the end of the tutorial there are two findings."""
    write_tutorial(tmp_path, 'action="/logout"')
    run_flask(tmp_path, "eventtrack", "init-db")
    assert re.findall(r"^ET\d+", run_flask(tmp_path, "eventtrack", "doctor"), re.MULTILINE) == [
        "ET008",
        "ET034",
    ]


@pytest.mark.parametrize(
    ("page", "last"),
    [("test-your-app", "set_start_method"), ("testing-kit", "class PaymentTest")],
    ids=["database", "kit"],
)
def test_the_tests_of_the_guide_pass(tmp_path: pathlib.Path, page: str, last: str) -> None:
    """Each test that a guide shows passes, in the files that it tells hosts to write."""
    page = f"docs/howto/{page}.md"
    write_files(page, tmp_path, last)
    [start] = [block for block in iter_blocks(read("README.md")) if block.language == "python"]
    (tmp_path / "app.py").write_text(start.text)
    # Python 3.13 warns of the in-memory database that Flask-SQLAlchemy leaves to the collector.
    ignored = "ignore::pytest.PytestUnraisableExceptionWarning"
    options = ["-q", "-p", "no:cacheprovider", "-W", ignored, "--live-server-wait=30"]
    code = f"import pytest, sys; sys.exit(pytest.main({options!r}))"
    *_, outcome = run_python(code, tmp_path)
    assert outcome.startswith(f"{read(page).count('def test_')} passed")


def test_the_definitions_of_the_guide_work(make: MakeHost) -> None:
    """The guide's events are defined and recorded as it says."""
    names = run_blocks("docs/howto/define-events.md", {}, slice(1))
    host = make(events=names["events"])
    with host.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        run_blocks("docs/howto/define-events.md", names, slice(1, None))
    labels = [row["label"] for row in host.events_of("product.view")]
    assert sorted(labels) == ["Came back for the mug", "Viewed Mug", "Viewed Mug"]


def test_the_jobs_of_the_guide_belong_to_the_visit(host: Host) -> None:
    """Each way of working outside the request records for its visitor."""
    events = host.events
    for action in ("order.ship", "export.finish", "report.finish", "order.place"):
        events.define(action)
    host.app.config["CELERY_BROKER"] = "memory://"
    names = run_blocks("docs/howto/track-in-jobs.md", {"app": host.app, "events": events})
    names["celery"].conf.task_always_eager = True
    order, queued = SimpleNamespace(id=1), list[t.Any]()

    class Order(host.db.Model):  # type: ignore[name-defined,misc]
        id = host.db.Column(host.db.Integer, primary_key=True)

    names["follow_orders"](Order)

    @host.app.get("/work")
    def work() -> str:
        names["begin"](order)
        names["start_report"](SimpleNamespace(enqueue=lambda *call: queued.append(call)))
        names["start_thread"]().join()
        host.db.session.add(Order(id=1))
        host.db.session.commit()
        names["start_export"]()
        return "<title>Working</title>"

    with host.app.app_context():
        host.db.create_all()
    host.client().get("/work", headers=NAVIGATION)
    [(job, token)] = queued
    names["finish"](host.app, events, order)
    job(token)
    with events.as_visitor(token):
        names["work_in_a_thread"](lambda: names["finish"](host.app, events, order)).join()
    with host.app.app_context():
        names["ship_all"]([order])
    [page] = host.events_of("page.visit")
    rows = [row for row in host.rows("event") if row["params"].get("visit") == str(page["id"])]
    assert {row["session_id"] for row in rows} == {page["session_id"]}
    assert collections.Counter(row["action"] for row in rows) == {
        "order.ship": 3,
        "report.finish": 2,
        "order.place": 1,
        "export.finish": 1,
    }


def test_the_calls_of_the_shops_guide_are_recorded(host: Host) -> None:
    """With the prices as it says."""
    with host.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        run_blocks("docs/howto/track-a-shop.md", {})
    prices = {r["action"]: r["params"].get("final_unit_price") for r in host.rows("event")}
    assert (prices["product.addToCart"], prices["product.view"]) == ("12.35", "12.30")


def test_the_queries_of_the_guide_answer(host: Host) -> None:
    """Each query of the guide runs, and says what its name says."""
    host.client().get("/products/mug", headers=NAVIGATION)
    [visit] = host.events_of("page.visit")
    names = run_blocks("docs/howto/query-the-tables.md", {})

    class User(host.db.Model):  # type: ignore[name-defined,misc]
        id = host.db.Column(host.db.Integer, primary_key=True)

    with host.app.app_context():
        host.db.create_all()
        db, events = host.db, host.events
        assert names["count_visits"](db, events, START) == [("/products/<slug>", 1)]
        assert names["visits_of"](db, events, visit["uuid"]) == 1
        assert [row[1] for row in names["people_by_day"](db, events, START)] == [1]
        assert names["visits_by_hour"](db, events) == [(START, 1)]
        assert names["bounce_rate"](db, events) == 1
        assert names["last_seen"](db, events, User) == []
        assert names["best_sellers"](db, events) == []


def test_revenue_by_source_is_the_same_from_both_tables(db_host: Host) -> None:
    """The guide's joins, over orders of two sessions and of nobody, in currencies of their own."""
    page, db, events = "docs/howto/revenue-by-source.md", db_host.db, db_host.events
    names = run_blocks(page, {"db": db, "app": db_host.app})
    order = names["Order"]
    amounts = {"EUR": (1230, 30), "PLN": (10**9, 1), "JPY": (7, 7)}

    @db_host.app.post("/orders/all")
    def place_orders() -> str:
        for currency, (total, returned) in amounts.items():
            db.session.add(order(currency=currency, total=total, returned=returned))
        db.session.commit()
        return ""

    with db_host.app.app_context():
        db.create_all()
    for path, signal in (("/?utm_source=news", "0"), ("/", "0"), ("/", "1")):
        client = db_host.client()
        client.get(path, headers={**NAVIGATION, "Sec-GPC": signal})
        assert client.post("/orders", headers={"Sec-GPC": signal}).status_code == 200
        client.post("/orders/all", headers={"Sec-GPC": signal})
    db_host.flush()
    with db_host.app.app_context():
        charge_all(db, events.tables.transaction, order)
        found = by_source(names["revenue_of_orders"](db, events, order))
        sums = {"EUR": 2430, "PLN": 10**9 - 1, "JPY": 0}
        sources = (None, "direct", "news")
        expected = [(source, *each) for source in sources for each in sums.items()]
        assert found == by_source(expected)
        assert by_source(names["revenue_of_charges"](db, events)) == found
        touched = by_source(names["revenue_by_last_source"](db, events, order))
        assert touched == by_source(("fair", c, 3 * total) for c, total in sums.items())
        found = names["revenue_by_campaign"](db, events, START)
        assert by_source(row[1:] for row in found) == by_source(
            ("fair", None, c, 3 * total) for c, total in sums.items()
        )


def test_the_calls_of_the_orders_guide_are_recorded(db_host: Host) -> None:
    """In a view and at the payment, cancelled, and imported."""
    names = run_blocks("docs/howto/track-orders.md", {})
    db, events = db_host.db, db_host.events

    class Order(db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)
        total = db.Column(db.Numeric(12, 2), default="12.30")
        shipping = db.Column(db.Numeric(12, 2))
        coupon = db.Column(db.String(9))
        user_id = db.Column(db.Integer)
        visitor_token = db.Column(db.Text)
        placed_at = db.Column(db.DateTime, default=START.replace(tzinfo=None))
        lines: t.ClassVar = [SimpleNamespace(sku="A1", name="Mug", quantity=1, price="12.30")]

    with db_host.app.app_context():
        db.create_all()
    with db_host.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        names["check_out"](db, Order(id=1))
        names["place_order"](db, Order(id=2))
        db.session.add(later := Order(id=3, user_id=42))
        names["begin_payment"](later)
        db.session.commit()
    with db_host.app.app_context():
        names["confirm_payment"](db.session.get(Order, 3))
        names["take_back"](db.session.get(Order, 1), SimpleNamespace(id=7))
        names["pay_back"](db.session.get(Order, 3), SimpleNamespace(id=8))
        names["refund"](db.session.get(Order, 2), None)
        db.session.add(Order(id=4, user_id=42))
        db.session.commit()
        names["import_orders"](db, events, Order)
    rows = db_host.rows("transaction")
    sums = collections.Counter[str]()
    for row in rows:
        sums[row["order_id"]] += row["amount"]
    assert sums == {"1": 0, "2": 0, "3": 730, "4": 1230}
    visitors = {row["order_id"]: row["uuid"] for row in rows}
    assert visitors["1"] == visitors["2"] == visitors["3"] != visitors["4"]


def by_source(rows: cabc.Iterable[t.Any]) -> list[t.Any]:
    return sorted(map(tuple, rows), key=str)


def charge_all(db: t.Any, charge: sa.Table, order: t.Any) -> None:
    """Write the rows of the orders' transactions, with what is cancelled as rows of its own."""
    for row in db.session.scalars(sa.select(order)).all():
        shared = {"time": START, "stored_at": START, "site": "", "currency": row.currency}
        shared |= {"last_source": "fair"}
        new = {"id": uuid.uuid4(), "order_id": str(row.id), "amount": row.total}
        new |= {"session_id": row.eventtrack_session_id, "cancelled": row.returned}
        db.session.execute(charge.insert().values(**shared, **new))
        back = {"id": uuid.uuid4(), "charge_id": new["id"], "amount": -row.returned}
        db.session.execute(charge.insert().values(**shared, **back))
    db.session.commit()


@pytest.mark.parametrize(
    "name",
    [
        "abuse-limits",
        "allow-and-deny",
        "apps-and-back-ends",
        "behind-a-proxy",
        "customer-tokens",
        "databases-and-migrations",
        "filter-visits",
        "funnels-and-goals",
        "front-end-elsewhere",
        "identify-customers",
        "mask-personal-data",
        "measure-an-audience",
        "open-the-dashboard",
        "rotate-the-secret-key",
    ],
)
def test_the_settings_of_a_guide_are_accepted(name: str) -> None:
    """A guide's blocks run, and the settings that they make are possible ones."""
    names = run_blocks(f"docs/howto/{name}.md", {})
    config.load_config(names["app"].config)


@contextlib.contextmanager
def serve(app: Flask) -> cabc.Iterator[str]:
    """Serve an app on a free port, and give the collector's URL."""
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/_et"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def api(make: MakeHost) -> Host:
    """A host that takes customers' tokens, where a request takes a second."""
    host = make({"EVENTTRACK_JWT_KEYS": "for development only, 32 bytes or more"})
    host.app.teardown_request(lambda _: host.clock.advance(seconds=1))
    return host


def token_of(host: Host, customer_id: str) -> str:
    with host.app.app_context():
        return host.events.issue_token(customer_id)


def journey_of(host: Host) -> list[tuple[str, str | None]]:
    """Return what an app did, in order, and as which customer."""
    customers = {row["uuid"]: row["customer_id"] for row in host.rows("profile")}
    [anonymous] = {row["anonymous_uuid"] for row in host.rows("alias")}
    rows = host.rows("event", "time", "action")
    assert {row["source"] for row in rows if row["action"] == "screen.view"} == {"app"}
    return [
        (row["params"].get("name") or row["action"], customers.get(row["uuid"]))
        for row in rows
        if not row["action"].startswith("session.")
        and (row["uuid"] in customers or row["uuid"] == anonymous)
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
def test_the_walk_through_with_curl_works(api: Host, tmp_path: pathlib.Path) -> None:
    """Each command of the guide, one after the other: a device, its customer, their log-out."""
    blocks = iter_blocks(read("docs/howto/apps-and-back-ends.md"))
    commands = [block.text for block in blocks if block.language == "shell"]
    with serve(api.app) as url:
        script = "\necho\n".join(commands).replace("http://127.0.0.1:5000/_et", url)
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=tmp_path,
            env={**os.environ, "TOKEN": token_of(api, "7")},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count('"status":"accepted"') == len(commands) - 1 == 3
    assert journey_of(api) == [
        ("Settings", None),
        ("Profile", None),
        ("customer.login", "7"),
        ("Orders", "7"),
        ("customer.logout", "7"),
    ]


def test_the_walk_through_in_python_works(api: Host) -> None:
    """The guide's class, against a server."""
    names = run_blocks("docs/howto/apps-and-back-ends.md", {}, slice(1))
    with serve(api.app) as url:
        app = names["Tracker"](url)
        assert app.track("screen.view", name="Settings")["status"] == "accepted"
        app.log_in(token_of(api, "7"))
        app.track("screen.view", name="Orders")
        app.log_out()
        app.track("screen.view", name="Start")
    assert len({row["device_id"] for row in api.rows("session")}) == 1
    assert journey_of(api) == [
        ("Settings", None),
        ("customer.login", "7"),
        ("Orders", "7"),
        ("customer.logout", "7"),
    ]
    [last] = [row for row in api.events_of("screen.view") if row["params"]["name"] == "Start"]
    assert last["uuid"] not in {row["uuid"] for row in api.rows("profile")}
