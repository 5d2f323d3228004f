"""What a definition says of itself, where it stands, and the modules that hold definitions."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import pathlib
import sys
import typing as t

import pydantic
import pytest
from msgspec import Meta

from flask_eventtrack import EventTrack, track
from flask_eventtrack.catalogue.descriptions import describe_fields
from flask_eventtrack.catalogue.modules import load_definitions
from flask_eventtrack.errors import ConfigError, InvalidDefinition, InvalidEvent

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, Host

HERE = r"tests[/\\]catalogue[/\\]test_definition_words\.py, line \d+: "


class Doc:
    """As ``Doc`` of typing_extensions."""

    def __init__(self, documentation: str) -> None:
        self.documentation = documentation


@dataclasses.dataclass
class Base:
    shop: str
    """Where it was."""


@dataclasses.dataclass
class Written(Base):
    """It was seen,
    by somebody.

    And more of it.

    :param named: in the docstring
        of the class
    :param int typed: with its type
    :ivar below: not this
    """

    named: str
    typed: int
    below: str
    """What stands
    below."""
    told: t.Annotated[str, "plain text"]
    meta: t.Annotated[int, Meta(ge=1, description="of Meta")] | None = None
    doc: t.Annotated[str, Doc("of Doc")] = ""
    bare: str = ""


class Model(pydantic.BaseModel):
    """A model."""

    sku: str = pydantic.Field(description="of Field")
    name: str = ""
    """Below."""


def test_fields_are_described_where_people_describe_them() -> None:
    """The nearest description counts."""
    assert describe_fields(Written) == {
        "shop": "Where it was.",
        "named": "in the docstring of the class",
        "typed": "with its type",
        "below": "What stands below.",
        "told": "plain text",
        "meta": "of Meta",
        "doc": "of Doc",
    }
    assert describe_fields(Model) == {"sku": "of Field", "name": "Below."}


def test_a_class_without_source_has_no_descriptions() -> None:
    """As one that is made by a call."""
    assert describe_fields(dataclasses.make_dataclass("Made", [("a", int)])) == {}


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        (Written, "", "It was seen, by somebody."),
        (Written, "Given.", "Given."),
        (Model, "", "A model."),
        (Base, "", ""),
        (None, "Given.", "Given."),
    ],
)
def test_an_event_is_described_by_its_class(schema: type | None, given: str, expected: str) -> None:
    """But not by the docstring that @dataclass makes."""
    events = EventTrack()
    definition = events.define("a.b", description=given)
    if schema is not None:
        definition(schema)
    assert events.catalogue.get("a.b").description == expected


def test_words_are_no_contradiction() -> None:
    """A factory may define an event again, with another owner."""
    events = EventTrack()
    events.define("a.b", owner="One", description="One.")
    events.define("a.b", owner="Two", description="Two.")
    with pytest.raises(InvalidDefinition, match="with other options"):
        events.define("a.b", status="deprecated")


def test_errors_begin_with_file_and_line() -> None:
    """And name the place of the other definition, where there are two."""
    events = EventTrack()
    first = f"{pathlib.Path(__file__).relative_to(pathlib.Path.cwd())}, line "
    events.define("a.b")
    wrong: list[dict[str, t.Any]] = [
        {"action": "nodot"},
        {"action": "a.b", "anonymous": True},
        {"action": "page.visit"},
        {"action": "a.c", "label": "{a.b}"},
        {"action": "a.c", "keep": -1},
        {"action": "a.c", "unmasked": ["password"]},
        {"action": "a.c", "status": "gone"},
    ]
    for options in wrong:
        with pytest.raises((InvalidDefinition, InvalidEvent), match=f"^{HERE}"):
            events.define(**options)
    with pytest.raises(InvalidDefinition, match=f"'a.b' is defined already in {first}[0-9]+, with"):
        events.define("a.b", anonymous=True)
    with pytest.raises(InvalidDefinition, match=f"^{HERE}'a.d': int cannot be|^{HERE}'a.d': int "):
        events.define("a.d")(int)


# Deprecated


def test_a_deprecated_event_is_recorded_and_that_is_said_once(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """From the server and from a browser."""
    host = make()
    host.events.define("a.b", status="deprecated", owner="Team Shop", anonymous=True)
    with caplog.at_level(logging.WARNING, "flask_eventtrack"), host.app.test_request_context():
        assert track("a.b") is not None
        assert track("a.b") is not None
    answer = host.client().post("/_et/in", json={"action": "a.b"}, headers=SAME_ORIGIN)
    assert answer.get_json()["results"][0]["status"] == "accepted"
    assert caplog.messages == [
        "'a.b' is deprecated, and still sent. It is recorded. Ask its owner: Team Shop."
    ]


# Modules


@pytest.fixture
def package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[pathlib.Path]:
    folder = tmp_path / "wares"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from flask_eventtrack import EventTrack\nevents = EventTrack()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "wares"]:
        del sys.modules[name]


def test_modules_with_definitions_are_imported(make: MakeHost, package: pathlib.Path) -> None:
    """By init_app; once, however many apps there are."""
    for name in ("mugs", "teas"):
        (package / f"{name}.py").write_text(f"from . import events\nevents.define('{name}.view')\n")
    events = importlib.import_module("wares").events
    for _ in range(2):
        make({"EVENTTRACK_DEFINITIONS": ["wares.mugs", "wares.teas"]}, events=events)
    own = [each.action for each in events.catalogue if not each.builtin]
    assert own == ["mugs.view", "teas.view"]


@pytest.mark.parametrize("name", ["wares.cups", "cups", "wares.cups.blue", ".cups", "a b"])
def test_a_module_that_is_not_there_is_named(
    make: MakeHost, package: pathlib.Path, name: str
) -> None:
    """With the setting."""
    with pytest.raises(
        ConfigError, match=r"EVENTTRACK_DEFINITIONS names .*there is no such module"
    ):
        make({"EVENTTRACK_DEFINITIONS": [name]})


def test_a_wrong_definition_in_a_module_stops_the_app(
    make: MakeHost, package: pathlib.Path
) -> None:
    """With its own error, file and line."""
    (package / "mugs.py").write_text("from . import events\n\nevents.define('nodot')\n")
    with pytest.raises(InvalidEvent, match=r"mugs\.py, line 3: "):
        make({"EVENTTRACK_DEFINITIONS": ["wares.mugs"]})


def test_a_module_that_fails_raises_its_own_error(host: Host, package: pathlib.Path) -> None:
    """An import inside of it is not taken for the module itself."""
    (package / "mugs.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_definitions(["wares.mugs"])


def test_a_package_that_fails_raises_its_own_error(package: pathlib.Path) -> None:
    """A dependency of it that is missing is no missing module of definitions."""
    (package / "__init__.py").write_text("import nowhere_at_all\n")
    (package / "mugs.py").write_text("")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_definitions(["wares.mugs"])


def test_a_docstring_of_another_type_describes_nothing() -> None:
    """Such as a lazy translation."""

    class Lazy:
        name: str

    Lazy.__doc__ = t.cast("str", object())
    events = EventTrack()
    events.define("a.b")(Lazy)
    assert events.catalogue.get("a.b").description == ""


def test_a_field_list_without_its_colon_describes_nothing() -> None:
    """Nor does the line below it."""

    @dataclasses.dataclass
    class Loose:
        """A class.

        :param sku the stock number
        note: not a field
        """

        sku: str
        note: str

    assert describe_fields(Loose) == {}


def test_classes_inside_of_others_are_described() -> None:
    """Also in functions."""

    class Outer:
        @dataclasses.dataclass
        class Inner:
            sku: str
            """The stock number."""

    assert describe_fields(Outer.Inner) == {"sku": "The stock number."}
