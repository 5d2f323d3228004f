"""Which classes ``define()`` takes; any other stays as the host wrote it."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import ipaddress
import pathlib
import typing as t

import attrs
import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from flask_eventtrack import EventTrack, track
from flask_eventtrack.errors import InvalidDefinition, InvalidEvent

from ..hosts import Host
from .events import send

T = t.TypeVar("T")


class Named(t.NamedTuple):
    sku: str


class Typed(t.TypedDict):
    sku: str


class Colour(enum.Enum):
    RED = "r"


class Struct(msgspec.Struct):
    sku: str


class Abstract(abc.ABC):
    sku: str

    @abc.abstractmethod
    def price(self) -> int: ...


class Concrete(abc.ABC):
    sku: str


class Protocol(t.Protocol):
    sku: str


class Base(orm.DeclarativeBase):
    pass


class Model(Base):
    __tablename__ = "model"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)


class DataBase(orm.MappedAsDataclass, orm.DeclarativeBase):
    pass


class DataModel(DataBase):
    __tablename__ = "model"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)


class Plain:
    id: int


orm.registry().map_imperatively(
    Plain, sa.Table("plain", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
)


class Pairs(dict[str, str]):
    sku: str


class Failure(Exception):
    sku: str


class Made:
    def __init__(self, sku: str) -> None:
        self.sku = sku


class Heir(Made):
    size: int


class Single:
    sku: str

    def __new__(cls) -> Single:
        return super().__new__(cls)


class Meta(type):
    pass


class Registered(metaclass=Meta):
    sku: str


@dataclasses.dataclass(frozen=True)
class Frozen:
    sku: str


class Thawed(Frozen):
    size: int = 1


class Shared:
    tags: list[str] = []  # noqa: RUF012 - the mistake that people make


class Disordered:
    size: int = 1
    sku: str


class Vague:
    sku: Nowhere  # type: ignore[name-defined]  # noqa: F821


REFUSED: dict[type, str] = {
    Named: "is a NamedTuple",
    collections.namedtuple("Pair", "a b"): "is a NamedTuple",
    t.cast("type", Typed): "is a TypedDict",
    Colour: "is an enumeration",
    Struct: r"is a msgspec\.Struct",
    Abstract: "is abstract, so it has no instances",
    Concrete: r"has the metaclass ABCMeta: write @dataclass below @events\.define",
    Protocol: "is abstract, so it has no instances",
    Model: "is a SQLAlchemy model",
    DataModel: "is a SQLAlchemy model",
    Plain: "is a SQLAlchemy model",
    Pairs: r"has its own way to make instances \(__new__\)",
    Failure: r"has its own way to make instances \(__new__\)",
    Single: r"has its own way to make instances \(__new__\)",
    Made: "has an __init__ and no annotations that name its parameters",
    Heir: "inherits the __init__ of Made, which a dataclass would override",
    Registered: "has the metaclass Meta",
    Thawed: "cannot be read as parameters: cannot inherit non-frozen dataclass",
    Shared: "cannot be read as parameters: mutable default",
    Disordered: "cannot be read as parameters: non-default argument 'sku' follows",
    Vague: "cannot be read as parameters: name 'Nowhere' is not defined",
}


@pytest.mark.parametrize("schema", REFUSED, ids=lambda schema: schema.__name__)
def test_class_of_another_kind_is_refused_and_not_touched(schema: type) -> None:
    """The error says which kind it is."""
    before = dict(vars(schema))
    events = EventTrack()
    with pytest.raises(
        InvalidDefinition, match=f", line [0-9]+: 'a.b': {schema.__name__} {REFUSED[schema]}"
    ):
        events.define("a.b")(schema)
    assert dict(vars(schema)) == before
    assert events.catalogue.find_schema(schema) is None


@pytest.mark.parametrize(
    "given",
    [print, send, 42, None, "a.b", list[int]],
    ids=["builtin", "function", "int", "None", "text", "alias"],
)
def test_what_is_no_class_is_refused(given: t.Any) -> None:
    """Such as a view, above which the decorator stands by mistake."""
    with pytest.raises(
        InvalidDefinition, match=r"is not a class, but of type .* takes a dataclass"
    ):
        EventTrack().define("a.b")(given)
    assert not hasattr(given, "__dataclass_params__")


@pytest.mark.parametrize("problem", ["other parameters", "its own", "is not a parameter"])
def test_plain_class_is_not_touched_by_a_definition_that_fails(problem: str) -> None:
    """Whatever refuses it, it is no dataclass afterwards."""

    class First:
        sku: str

    class Second:
        size: int

    events = EventTrack()
    events.define("a.b")(First)
    before = dict(vars(Second))
    definitions = {
        "other parameters": ("a.b", None, Second),
        "its own": ("a.c", None, First),
        "is not a parameter": ("a.c", "Saw {sku}", Second),
    }
    action, label, schema = definitions[problem]
    with pytest.raises(InvalidDefinition, match=problem):
        events.define(action, label=label)(schema)
    assert dict(vars(Second)) == before
    assert not dataclasses.is_dataclass(Second)


def test_attrs_class_is_refused() -> None:
    class Given:
        sku: str

    schema = attrs.define(Given)
    with pytest.raises(InvalidDefinition, match="Given is an attrs class"):
        EventTrack().define("a.b")(schema)
    assert not dataclasses.is_dataclass(schema)


def test_classes_that_are_taken(host: Host) -> None:
    """A dataclass of any kind, and a class that is no more than its annotations."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Slotted:
        sku: str

    class Generic(t.Generic[T]):
        sku: T

    @dataclasses.dataclass
    class WithBase(abc.ABC):
        sku: str

    class Own:
        sku: str

        def __init__(self, sku: str) -> None:
            self.sku = sku.upper()

    for number, schema in enumerate((Slotted, Generic, WithBase, Own)):
        host.events.define(f"a.b{number}")(schema)
        make = t.cast("t.Any", schema)
        assert send(host, make(sku="A1"))["params"] == {"sku": "A1"}
    assert Own("a1").sku == "A1"


def test_subclass_with_further_fields_has_them(host: Host) -> None:
    """A plain subclass of a dataclass: its own annotations are fields too."""

    @dataclasses.dataclass
    class Basic:
        sku: str

    @host.events.define("a.b")
    class Further(Basic):
        size: int = 1

    made: t.Any = Further
    assert send(host, made("A1", 2))["params"] == {"sku": "A1", "size": 2}


def test_field_may_have_a_type_that_is_written_as_text(host: Host) -> None:
    """The class gets its type back, in code and from a client."""

    @host.events.define("file.get", anonymous=True)
    @dataclasses.dataclass
    class FileGet:
        path: pathlib.PurePosixPath
        by: ipaddress.IPv4Address

        def __post_init__(self) -> None:
            assert isinstance(self.path, pathlib.PurePosixPath)
            assert isinstance(self.by, ipaddress.IPv4Address)

    row = send(host, FileGet(pathlib.PurePosixPath("/a"), ipaddress.IPv4Address("10.0.0.1")))
    assert row["params"] == {"path": "/a", "by": "10.0.0.1"}
    with pytest.raises(InvalidEvent, match="parameter 'by'"):
        send(host, "file.get", {"path": "/a", "by": "10.0.0"})


# The first argument of track()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Frozen, r"^Frozen is a class: give track\(\) an instance of it, such as Frozen\(...\)\.$"),
        (Named, "^Named does not define an event: decorate the class with @events.define"),
        (Named("A1"), "^Named does not define an event: decorate the class with @events.define"),
        (
            None,
            "^NoneType does not define an event: give track.. an action, such as 'product.view'",
        ),
        (5, "^int does not define an event: give track.. an action"),
        (b"order.ship", "^bytes does not define an event: give track.. an action"),
        ({"action": "a.b"}, "^dict does not define an event: give track.. an action"),
    ],
    ids=str,
)
def test_what_is_no_event_is_named(host: Host, given: t.Any, message: str) -> None:
    """A class in place of an instance is the likeliest mistake."""
    host.events.define("a.b")(Frozen)
    with pytest.raises(InvalidEvent, match=message):
        send(host, given)


def test_token_that_is_no_text_is_named(host: Host) -> None:
    host.events.define("a.b")
    with (
        host.app.app_context(),
        pytest.raises(InvalidEvent, match="A visitor's token is a str, not int"),
    ):
        track("a.b", visitor=t.cast("t.Any", 5))
