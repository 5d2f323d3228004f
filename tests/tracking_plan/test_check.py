"""``flask eventtrack catalogue check``: what has changed since the file was committed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import types
import typing as t
import uuid

import pydantic
import pytest
from msgspec import Meta

from flask_eventtrack import EventTrack
from flask_eventtrack.catalogue.definitions import Definition
from flask_eventtrack.catalogue.params import normalise
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.tracking_plan.compare import Change, compare
from flask_eventtrack.tracking_plan.snapshot import describe_own

from ..hosts import START
from .conftest import EVENTS, Project


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class More(enum.Enum):
    SMALL = "s"
    LARGE = "l"
    HUGE = "h"


@dataclasses.dataclass
class Line:
    sku: str


@dataclasses.dataclass
class LongLine:
    sku: str
    quantity: int


@dataclasses.dataclass
class OpenLine:
    sku: str
    quantity: int = 1


def changes_of(old: type | None, new: type | None, **options: t.Any) -> list[Change]:
    """Return the changes between two definitions of one action; options are the new one's."""
    before, now = EventTrack(), EventTrack()
    for events, schema, more in ((before, old, {}), (now, new, options)):
        definition = events.define("a.b", **more)
        if schema is not None:
            definition(schema)
    return compare(describe_own(before.catalogue), describe_own(now.catalogue))


def field_of(kind: t.Any, **default: t.Any) -> type:
    """Return a class with one field."""
    return dataclasses.make_dataclass("Schema", [("x", kind, dataclasses.field(**default))])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (int, str, "was integer, and is string"),
        (float, int, "was number, and is integer"),
        (int, float, ""),
        (str, int | str, ""),
        (int | str, str, "was integer, and is string"),
        (str | None, str, "was null, and is string"),
        (t.Literal["a", "b"], t.Literal["a"], "no longer takes 'b'"),
        (t.Literal["a"], t.Literal["a", "b"], ""),
        (str, t.Literal["a"], "takes 'a' only"),
        (t.Literal["a"], str, ""),
        (t.Literal["a"], int, "was one of 'a', and is integer"),
        (More, Size, "no longer takes 'h'"),
        (Size, More, ""),
        (int, t.Annotated[int, Meta(ge=1)], "minimum was not set, and is 1"),
        (t.Annotated[int, Meta(ge=1)], t.Annotated[int, Meta(ge=2)], "minimum was 1, and is 2"),
        (t.Annotated[int, Meta(ge=2)], t.Annotated[int, Meta(ge=1)], ""),
        (t.Annotated[str, Meta(max_length=9)], t.Annotated[str, Meta(max_length=8)], "maxLength"),
        (t.Annotated[str, Meta(max_length=8)], str, ""),
        (str, t.Annotated[str, Meta(pattern="^a")], "pattern was not set, and is ^a"),
        (str, dt.date, "format was not set, and is date"),
        (list[int], list[str], "an item was integer, and is string"),
        (list[int], list[float], ""),
        (list[t.Any], list[int], "an item was anything, and is integer"),
        (dict[str, str], dict[str, int], "a value was string, and is integer"),
        (tuple[int, str], tuple[int, int], "an item was string, and is integer"),
        (dict[str, int], t.Annotated[dict[str, int], Meta(min_length=2)], "minProperties"),
        (Line, LongLine, "quantity in it is required now"),
        (Line, OpenLine, ""),
        (LongLine, Line, ""),
        (list[OpenLine], list[LongLine], "an item quantity in it is required now"),
        (t.Any, int, "was anything, and is integer"),
        (int, t.Any, ""),
    ],
)
def test_a_parameter_that_takes_less_breaks(old: t.Any, new: t.Any, problem: str) -> None:
    """And one that takes more does not."""
    found = changes_of(field_of(old), field_of(new))
    assert [each.is_breaking for each in found] == [bool(problem)]
    assert found[0].param == "x"
    assert problem in found[0].sentence


def test_what_is_required_now_breaks() -> None:
    """Whether the parameter is new or was optional."""
    nothing = dataclasses.make_dataclass("Schema", [])
    required, optional = field_of(int), field_of(int, default=1)
    cases = [(nothing, required), (optional, required), (nothing, optional), (required, optional)]
    found = [changes_of(old, new) for old, new in cases]
    assert [(each.sentence, each.is_breaking) for [each] in found] == [
        ("is new and required", True),
        ("is required now", True),
        ("is new", False),
        ("is optional now", False),
    ]


def test_a_parameter_of_the_label_that_is_gone_breaks() -> None:
    """Feeds would say less. Any other parameter is stored without its definition."""
    both = dataclasses.make_dataclass("Schema", [("x", str), ("y", str)])
    before, now = EventTrack(), EventTrack()
    before.define("a.b", label="Saw {x}")(both)
    now.define("a.b", label="Saw it")(dataclasses.make_dataclass("Schema", []))
    found = compare(describe_own(before.catalogue), describe_own(now.catalogue))
    assert [(each.param, each.is_breaking) for each in found] == [
        (None, False),
        ("x", False),
        ("y", False),
        ("x", True),
    ]


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ({"x": int}, {"duration": int | None}, ", perhaps renamed to duration"),
        ({"x": t.Literal["a"]}, {"duration": str}, ", perhaps renamed to duration"),
        ({"x": int}, {"duration": int, "y": str}, ", perhaps renamed to duration"),
        ({"x": int}, {"duration": str}, ""),
        ({"x": str}, {"duration": dt.date}, ""),
        ({"x": int}, {"duration": int, "y": int}, ""),
        ({"x": int, "y": int}, {"duration": int}, ""),
        ({"x": int, "duration": int}, {"duration": int}, ""),
    ],
)
def test_a_parameter_may_have_been_renamed(
    old: dict[str, t.Any], new: dict[str, t.Any], hint: str
) -> None:
    """If a single one of its type is new, and no other one is gone."""
    schemas = (dataclasses.make_dataclass("Schema", each.items()) for each in (old, new))
    sentences = {each.param: each.sentence for each in changes_of(*schemas)}
    assert sentences["x"] == f"is gone{hint}"


class Open(pydantic.BaseModel):
    x: int


class Closed(Open, extra="forbid"):
    pass


def test_a_model_that_forbids_other_parameters_breaks() -> None:
    """Also inside of another."""
    assert [each.is_breaking for each in changes_of(Open, Closed)] == [True]
    assert [each.is_breaking for each in changes_of(Closed, Open)] == [False]
    models = [pydantic.create_model("Outer", inner=(inner, ...)) for inner in (Open, Closed)]
    [change] = changes_of(*models)
    assert (change.param, change.is_breaking) == ("inner", True)


@pytest.mark.parametrize(
    ("options", "is_breaking"),
    [
        ({"anonymous": True}, False),
        ({"server_only": True}, True),
        ({"status": "deprecated"}, False),
        ({"label": "Done"}, False),
        ({"owner": "Team"}, False),
        ({"description": "Something."}, False),
    ],
)
def test_who_may_send_it_no_longer_breaks(options: dict[str, t.Any], is_breaking: bool) -> None:
    """What it says of itself does not."""
    assert [each.is_breaking for each in changes_of(None, None, **options)] == [is_breaking]


#: Types of a parameter, each with values that it takes.
KINDS: dict[t.Any, list[t.Any]] = {
    int: [-5, 0, 7],
    float: [-5.5, 0, 7],
    str: ["a", "s", "", "2026-11-21", "1.5"],
    bool: [True, False],
    decimal.Decimal: [decimal.Decimal("-1.10"), decimal.Decimal("0.1"), decimal.Decimal(3), "1.10"],
    dt.date: [dt.date(2026, 11, 21), "2026-11-21"],
    dt.datetime: [START],
    dt.time: [dt.time(12, 30)],
    dt.timedelta: [dt.timedelta(seconds=7)],
    uuid.UUID: [uuid.UUID(int=7)],
    Size: [*Size, "s"],
    More: [*More, "h"],
    t.Literal["a", "b"]: ["a", "b"],
    t.Literal["a", 1]: ["a", 1],
    t.Annotated[int, Meta(ge=0)]: [0, 7],
    t.Annotated[int, Meta(ge=-5, le=3)]: [-5, 0, 3],
    t.Annotated[str, Meta(max_length=1)]: ["a", ""],
    t.Annotated[str, Meta(pattern="^[as]$")]: ["a", "s"],
    t.Any: [1, "a", [1], {"sku": "a"}],
    Line: [Line("a"), {"sku": "a"}],
    LongLine: [LongLine("a", 1)],
    OpenLine: [OpenLine("a"), {"sku": "a"}],
    int | str: [-5, 7, "a"],
    dict[str, int]: [{}, {"sku": 1}],
}
KINDS |= {
    **{types.GenericAlias(list, kind): [[], each, each[:1]] for kind, each in KINDS.items()},
    **{kind | None: [None, *each] for kind, each in KINDS.items() if kind is not t.Any},
}


def test_what_does_not_break_takes_all_that_was_taken() -> None:
    """By the definitions themselves: each type to each, required and optional."""
    definitions: dict[tuple[t.Any, bool], tuple[Definition, dict[str, t.Any], list[t.Any]]] = {}
    for kind, values in KINDS.items():
        for default in ({}, {"default": None}):
            events = EventTrack()
            events.define("a.b")(field_of(kind, **default))
            taken = [normalise({"x": each}, keeps_decimals=True) for each in values]
            definitions[kind, bool(default)] = (
                events.catalogue.get("a.b"),
                describe_own(events.catalogue),
                [*taken, *([{}] if default else [])],
            )
    harmless = 0
    for old, (definition, before, taken) in definitions.items():
        for new, (other, now, _) in definitions.items():
            if any(each.is_breaking for each in compare(before, now)):
                continue
            harmless += 1
            for params in taken:
                definition.check(params)
                try:
                    other.check(params)
                except InvalidEvent as error:
                    pytest.fail(f"{old} to {new}: {params}: {error}")
    assert harmless > 300


# The command


def test_the_file_is_written_and_compared(project: Project) -> None:
    """A change that breaks has the exit status 1, until the file is written anew."""
    answer = project.run("check", exit_code=2)
    assert answer == "Error: There is no eventtrack.catalogue.json: write it with --update.\n"
    assert project.run("check", "--update").endswith(
        "eventtrack.catalogue.json is written: 3 definitions.\n"
    )
    assert project.run("check") == "Nothing has changed.\n"
    path = project.folder / "eventtrack.catalogue.json"
    document = json.loads(path.read_text())
    assert list(document["definitions"]) == ["mug.close", "mug.view", "order.place"]
    document["definitions"]["mug.see"] = document["definitions"].pop("mug.view")
    path.write_text(json.dumps(document))
    assert project.run("check", exit_code=1) == (
        "breaks   mug.see: is gone.\n"
        "changes  mug.view: is new.\n"
        "1 change breaks senders. Undo it, or accept it with --update.\n"
    )
    assert json.loads(project.run("check", "--json", exit_code=1)) == {
        "changes": [
            {"action": "mug.see", "param": None, "sentence": "is gone", "is_breaking": True},
            {"action": "mug.view", "param": None, "sentence": "is new", "is_breaking": False},
        ]
    }
    project.run("check", "--update")
    assert project.run("check") == "Nothing has changed.\n"


def test_what_breaks_is_to_be_undone_or_accepted(project: Project) -> None:
    """The command says how."""
    project.host.events.define("cup.view")
    project.host.events.define("jug.view")
    project.run("check", "--update")
    path = project.folder / "eventtrack.catalogue.json"
    path.write_text(path.read_text().replace("cup.view", "cup.see").replace("jug.view", "jug.see"))
    assert project.run("check", exit_code=1).endswith(
        "\n2 changes break senders. Undo them, or accept them with --update.\n"
    )


def test_what_does_not_break_is_to_be_committed(project: Project) -> None:
    """The command says how."""
    project.run("check", "--update")
    project.host.events.define("mug.wish")
    assert project.run("check") == (
        "changes  mug.wish: is new.\nNothing breaks. Commit the changes with --update.\n"
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 9, "definitions": {}}', "\udcff"])
def test_a_file_of_another_kind_is_refused(project: Project, text: str) -> None:
    """With what to do."""
    path = project.folder / "plan.json"
    path.write_text(text, errors="surrogateescape")
    answer = project.run("check", "--file", "plan.json", exit_code=2)
    assert answer == (
        "Error: plan.json is no catalogue of this release: write it anew with "
        "'flask eventtrack catalogue check --update'.\n"
    )


def test_the_file_is_the_same_in_each_process(project: Project) -> None:
    """Its diff is what has changed."""
    project.run("check", "--update")
    path = project.folder / "eventtrack.catalogue.json"
    first = path.read_text()
    project.run("check", "--update")
    assert path.read_text() == first
    assert EVENTS.count("@events.define") + 1 == len(json.loads(first)["definitions"])


def test_a_broken_file_is_written_anew(project: Project) -> None:
    """Such as one with the marks of a merge, or of which a name was removed."""
    path = project.folder / "eventtrack.catalogue.json"
    path.write_text("<<<<<<< HEAD\n")
    project.run("check", exit_code=2)
    project.run("check", "--update")
    assert project.run("check") == "Nothing has changed.\n"
    document = json.loads(path.read_text())
    del document["definitions"]["mug.view"]["anonymous"]
    path.write_text(json.dumps(document))
    assert "is no catalogue of this release" in project.run("check", exit_code=2)
