"""``flask eventtrack catalogue export``: proven with the compilers that read what it writes."""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
import enum
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import typing as t

import pydantic
import pytest

from ..commands import run
from ..conftest import MakeHost
from ..manual import ROOT
from ..servers import skip_absent
from .conftest import EVENTS, Project

DECLARATIONS = ROOT / "flask_eventtrack/browser/eventtrack.d.ts"
GOOD = """\
import datetime, decimal
import flask_eventtrack
from flask_eventtrack import EventTrack, Money, current_visitor, errors, signals, track
from flask_eventtrack.records import Event
from mugs.shop_events import Line, MugView, Size

track("mug.view", {"sku": "A", "name": "Mug"})
track("mug.view", {"sku": "A", "name": "Mug", "size": Size.LARGE, "colour": "blue", "url": "/mug"})
track("mug.view", {"sku": "A", "name": "Mug", "lines": [Line("A"), {"sku": "B"}]}, label="Again")
track("mug.view", {"sku": "A", "name": "Mug", "price": decimal.Decimal("9.90"), "stars": 5})
track("mug.view", {"sku": "A", "name": "Mug", "cost": Money("9.90", "EUR")})
track("mug.view", {"sku": "A", "name": "Mug", "cost": {"amount": "9.90", "currency": "EUR"}})
track("mug.view", {"sku": "A", "name": "Mug", "seen_at": datetime.datetime.now()}, customer=42)
track(MugView(sku="A", name="Mug"), in_transaction=True)
track("mug.close")
track("product.addToCart", {"sku": "A", "quantity": 2})
track("order.place", {"number": 1})
current_visitor.feed()
errors.UndefinedEvent.__mro__
flask_eventtrack.errors.InvalidEvent.__mro__
signals.events_written.connect(print)
"""
# Each line is wrong.
BAD = """\
track("mug.veiw", {"sku": "A", "name": "Mug"})
track("mug.view", {"sku": "A"})
track("mug.view", {"sku": 5, "name": "Mug"})
track("mug.view", {"sku": "A", "name": "Mug", "colour": "green"})
track("mug.view", {"sku": "A", "name": "Mug", "nmae": "Mug"})
track("mug.view", {"sku": "A", "name": "Mug", "cost": "9.90"})
track("mug.view", {"sku": "A", "name": "Mug", "cost": {"amount": "9.90"}})
track("mug.view", {"sku": "A", "name": "Mug", "cost": Money(9.9, "EUR")})
track("mug.view", {"sku": "A", "name": "Mug", "lines": [{"quantity": 1}]})
track("mug.view")
track("order.place", {"number": "1"})
track("transaction.charge", {})
track(MugView(sku="A"))
track(5)
"""
GOOD_SCRIPT = """\
declare const et: EventTrack.Api;
type Views = EventTrack.ElementAttributes<"mug.view">;
type Closes = EventTrack.ElementAttributes<"mug.close">;
et.track("mug.view", { sku: "A", name: "Mug", stars: 4n, seen_at: new Date() }, "Again");
et.track("mug.view", { sku: "A", name: "Mug", lines: [{ sku: "B" }], content_id: "7" });
et.track("mug.view", { sku: "A", name: "Mug", cost: { amount: "9.90", currency: "EUR" } });
et.track("mug.close");
et.track("mug.close", {}, "Closed");
et.track("mug.close", { content_id: "7" });
et.track("product.addToCart", { sku: "A", quantity: 2 });
const a: Views = {
  "data-eventtrack": "mug.view", "data-eventtrack-sku": "A", "data-eventtrack-stars": "5",
  "data-eventtrack-cost": "9.90 EUR", "data-eventtrack-is-gift": "true",
  "data-eventtrack-label": "Saw it" };
const b: EventTrack.ElementAttributes = { "data-eventtrack-view": "mug.close" };
"""
BAD_SCRIPT = """\
et.track("mug.veiw", { sku: "A", name: "Mug" });
et.track("mug.view", { sku: "A" });
et.track("mug.view");
et.track("mug.view", { sku: 5, name: "Mug" });
et.track("mug.view", { sku: "A", name: "Mug", colour: "green" });
et.track("mug.view", { sku: "A", name: "Mug", nmae: "x" });
et.track("mug.view", { sku: "A", name: "Mug", cost: { amount: "9.90" } });
et.track("mug.view", { sku: "A", name: "Mug", cost: { amount: 9.9, currency: "EUR" } });
et.track("mug.close", { a: 1 });
et.track("order.place", { number: 1 });
et.track("page.visit", { url: "/" });
const a: Views = { "data-eventtrack": "mug.veiw" };
const b: Closes = { "data-eventtrack": "mug.close", "data-eventtrack-a": "1" };
const c: Views = { "data-eventtrack": "mug.view", "data-eventtrack-stars": "many" };
"""


def find_wrong_lines(command: list[str], name: str) -> set[int]:
    """Run a compiler, and return the lines of a file that it refuses."""
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "MYPYPATH": f"typings{os.pathsep}{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environ)
    assert done.returncode in {0, 1, 2}, done.stderr
    found = re.findall(rf"{re.escape(name)}[:(](\d+)\D.*error", done.stdout)
    assert (done.returncode == 0) is (found == []), done.stdout + done.stderr
    return set(map(int, found))


def node_tool(name: str) -> str:
    tool = ROOT / "node_modules/.bin" / name
    if not tool.exists():
        skip_absent("node_modules", f"no {name}")
    return str(tool)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_know_actions_and_parameters(project: Project, checker: str) -> None:
    """By the stub, in the folder where pyright looks by itself."""
    project.run("export", "--format", "python", "-o", "typings/flask_eventtrack/__init__.pyi")
    head = GOOD[: GOOD.index("\n\n")].count("\n") + 1
    imports = "\n".join(GOOD.splitlines()[:head])
    (project.folder / "good.py").write_text(GOOD)
    (project.folder / "bad.py").write_text(f"{imports}\n{BAD}")
    if checker == "mypy":
        command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental"]
    else:
        command = [node_tool("pyright"), "--pythonpath", sys.executable]
    wrong = set(range(head + 1, head + 1 + len(BAD.splitlines())))
    assert find_wrong_lines([*command, "good.py"], "good.py") == set()
    assert find_wrong_lines([*command, "bad.py"], "bad.py") == wrong


def test_typescript_knows_actions_parameters_and_attributes(project: Project) -> None:
    """With the declarations of the script beside it."""
    project.run("export", "--format", "typescript", "-o", "web/catalogue.d.ts")
    (project.folder / "good.ts").write_text(GOOD_SCRIPT)
    (project.folder / "bad.ts").write_text("\n".join([*GOOD_SCRIPT.splitlines()[:3], BAD_SCRIPT]))
    command = [node_tool("tsc"), "--noEmit", "--strict", "--target", "es2022"]
    command += ["--lib", "es2022,dom", "--types", "", str(DECLARATIONS), "web/catalogue.d.ts"]
    wrong = set(range(4, 4 + len(BAD_SCRIPT.splitlines())))
    assert find_wrong_lines([*command, "good.ts"], "good.ts") == set()
    assert find_wrong_lines([*command, "bad.ts"], "bad.ts") == wrong


def test_without_an_export_typescript_takes_any_event(project: Project) -> None:
    """As before."""
    (project.folder / "any.ts").write_text(
        'declare const et: EventTrack.Api;\net.track("a.b", { c: 1 }, "d");\net.track("a.c");\n'
    )
    command = [node_tool("tsc"), "--noEmit", "--strict", "--types", "", "--lib", "es2022,dom"]
    assert find_wrong_lines([*command, str(DECLARATIONS), "any.ts"], "any.ts") == set()


def test_where_undefined_events_are_stored_the_stub_takes_any(make: MakeHost) -> None:
    """A checker then takes a wrong event for one that is not defined."""
    strict, open_ = make(), make({"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    texts = [
        run(host, "catalogue", "export", "--format", "python").output for host in (strict, open_)
    ]
    assert ["    event: str,\n" in text for text in texts] == [False, True]


class Odd(enum.Enum):
    TEXT = "s"
    HALF = 0.5
    DAY = dt.date(2026, 11, 21)


class OddValues(pydantic.BaseModel):
    odd: Odd
    member: t.Literal[Odd.TEXT]
    either: list[int] | dict[str, int]


def test_odd_types_are_written(
    make: MakeHost, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And compile: what JSON does not have may be anything."""
    monkeypatch.chdir(tmp_path)  # tsc looks for its settings there
    host = make()
    host.events.define("odd.see", anonymous=True, description='Ends */ here "quoted".\nAnd on.')(
        OddValues
    )
    texts = {
        kind: run(host, "catalogue", "export", "--format", kind).output
        for kind in ("typescript", "python")
    }
    assert (
        "either: Array<number | bigint> | { [name: string]: number | bigint };"
        in (texts["typescript"])
    )
    assert '      odd: "s" | 0.5 | unknown;' in texts["typescript"]
    assert '      member: "s";' in texts["typescript"]
    assert "either: Sequence[int] | Mapping[str, int]" in texts["python"]
    assert "typing.Literal['s'] | float | object" in texts["python"]
    compile(texts["python"], "stub", "exec")
    (tmp_path / "odd.d.ts").write_text(texts["typescript"])
    command = [node_tool("tsc"), "--noEmit", "--strict", "--types", "", "--lib", "es2022,dom"]
    files = [str(DECLARATIONS), str(tmp_path / "odd.d.ts")]
    assert find_wrong_lines([*command, *files], "odd.d.ts") == set()


def test_a_class_of_a_module_that_cannot_be_imported_by_name_is_left_out(make: MakeHost) -> None:
    """As that of an app in ``my-shop.py``."""
    host = make()
    module = types.ModuleType("my-shop")
    schema = dataclasses.make_dataclass("Wish", [("sku", str)])
    schema.__module__, schema.__qualname__ = "my-shop", "Wish"
    vars(module)["Wish"] = schema
    sys.modules["my-shop"] = module
    host.events.define("wish.make")(schema)
    text = run(host, "catalogue", "export", "--format", "python").output
    del sys.modules["my-shop"]
    compile(text, "stub", "exec")
    assert "my-shop" not in text


def test_a_file_of_definitions_is_parsed_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many classes are in it, and however often they are exported."""
    parsed: list[str] = []
    parse = ast.parse

    def note(source: t.Any, *given: t.Any, **named: t.Any) -> t.Any:
        parsed.append(source)
        return parse(source, *given, **named)

    monkeypatch.setattr(ast, "parse", note)
    for kind in ("markdown", "jsonschema"):
        assert "the stock number" in project.run("export", "--format", kind)
    assert [text for text in parsed if "class MugView" in text] == [EVENTS]


def test_markdown_reads_as_a_plan(project: Project) -> None:
    """Own events only, by context."""
    text = project.run("export", "--format", "markdown")
    assert text == MARKDOWN


def test_json_has_the_schema_of_each_event(project: Project) -> None:
    """With the descriptions of the class and its fields."""
    document = json.loads(project.run("export", "--format", "jsonschema"))
    mug = document["mug.view"]
    assert (mug["description"], mug["owner"], mug["status"]) == (
        "A mug's page was opened.",
        "Team Shop",
        "active",
    )
    fields = mug["params"]["$defs"]["MugView"]["properties"]
    described = {name: field.get("description") for name, field in fields.items()}
    assert described["sku"] == "the stock number"
    assert described["name"] == "as the shop shows it"
    assert described["stars"] == "1 to 5"
    assert described["colour"] is None
    assert "page.visit" in document


def test_a_file_that_cannot_be_written_is_said(project: Project) -> None:
    """In one line."""
    (project.folder / "plain").write_text("")
    answer = project.run("export", "--format", "markdown", "-o", "plain/plan.md", exit_code=1)
    assert answer.startswith("Error: The file cannot be written: ")


MARKDOWN = """\
# Tracking plan

## mug

### `mug.close`

**Deprecated.** It is still recorded, and should no longer be sent.

Not sent any more.

- Sent by: the server, and the browser or app of any visitor

It has no parameters.

### `mug.view`

A mug's page was opened.

- Sent by: the server, and the browser or app of any visitor
- Owner: Team Shop
- In a feed: Viewed {name}

| Parameter | Type | Required | Meaning |
|---|---|---|---|
| `sku` | text | yes | the stock number |
| `name` | text | yes | as the shop shows it |
| `price` | decimal |  |  |
| `size` | one of s, l |  |  |
| `colour` | one of red, blue |  |  |
| `stars` | integer, 1 to 5 |  | 1 to 5 |
| `cost` | Money (amount, currency) |  |  |
| `lines` | list of Line (sku, quantity) |  |  |
| `seen_at` | date and time |  |  |
| `is_gift` | boolean |  |  |

## order

### `order.place`

- Sent by: the server

| Parameter | Type | Required | Meaning |
|---|---|---|---|
| `number` | integer | yes |  |
"""
