"""Events whose parameters are a pydantic model."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import typing as t

import jsonschema_rs
import pydantic
import pydantic.v1
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from flask_eventtrack import EventTrack
from flask_eventtrack.errors import InvalidDefinition, InvalidEvent

from ..catalogue.events import send
from ..collector.posts import error_of, post_one
from ..conftest import MakeHost
from ..hosts import Host


class Size(enum.Enum):
    SMALL = "s"


class Line(BaseModel):
    sku: str
    count: int = Field(1, ge=1)


class ProductView(BaseModel):
    """The shop's model, which it uses for other things too."""

    sku: str
    name: str = Field(max_length=10)
    price: decimal.Decimal | None = None
    size: Size = Size.SMALL
    lines: list[Line] = []
    at: dt.datetime | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def count(self) -> int:
        return sum(line.count for line in self.lines)

    @pydantic.field_validator("sku")
    @classmethod
    def check_sku(cls, sku: str) -> str:
        if not sku.strip():
            raise ValueError("a sku is not blank")
        return sku.strip()

    @pydantic.model_validator(mode="after")
    def check_all(self) -> t.Self:
        if self.sku == self.name:
            raise ValueError("the sku is no name")
        return self


@pytest.fixture
def shop(host: Host) -> Host:
    host.events.define("product.view", label="Viewed {name}", anonymous=True)(ProductView)
    return host


def test_model_is_still_a_model() -> None:
    """``define()`` returns the class as it was, with its validation, methods and equality."""
    before = dict(vars(ProductView))
    assert EventTrack().define("a.b")(ProductView) is ProductView
    assert dict(vars(ProductView)) == before
    made = ProductView(sku=" A1 ", name="Mug")
    assert (made.sku, made.model_dump()["name"]) == ("A1", "Mug")
    assert made == ProductView(sku="A1", name="Mug")
    with pytest.raises(pydantic.ValidationError):
        ProductView(sku="A1", name="x" * 11)


def test_instance_and_mapping_are_the_same_event(shop: Host) -> None:
    """Defaults and computed fields are parameters as well."""
    made = ProductView(
        sku="A1",
        name="Mug",
        price=decimal.Decimal("1.5"),
        lines=[Line(sku="B", count=2)],
        at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    )
    by_instance = send(shop, made)
    by_mapping = send(
        shop,
        "product.view",
        {
            "sku": " A1",
            "name": "Mug",
            "price": decimal.Decimal("1.5"),
            "lines": [{"sku": "B", "count": 2}],
            "at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        },
    )
    assert by_instance["params"] == {
        "sku": "A1",
        "name": "Mug",
        "price": 1.5,
        "size": "s",
        "lines": [{"sku": "B", "count": 2}],
        "count": 2,
        "at": "2026-01-02T00:00:00Z",
    }
    assert by_mapping["params"] == by_instance["params"]
    assert by_mapping["label"] == by_instance["label"] == "Viewed Mug"
    assert by_mapping["undefined"] is by_instance["undefined"] is None


@pytest.mark.parametrize(
    ("wrong", "param", "message"),
    [
        ({"name": "x" * 11}, "name", r"parameter 'name': string should have at most 10 characters"),
        ({"sku": " "}, "sku", r"parameter 'sku': a sku is not blank: ' '\.$"),
        ({"price": "dear"}, "price", r"parameter 'price': .*: 'dear'\.$"),
        ({"size": "x"}, "size", r"parameter 'size': input should be 's': 'x'\.$"),
        (
            {"lines": [{"sku": "B", "count": 0}]},
            "lines",
            r"parameter 'lines.0.count': input should be greater than or equal to 1: 0\.$",
        ),
        ({"lines": [{}]}, "lines", r"parameter 'lines.0.sku': field required: {}\.$"),
        ({"name": None}, "name", r"parameter 'name': input should be a valid string: None\.$"),
        ({"sku": "Mug"}, None, r"^'product.view': the sku is no name\.$"),
    ],
    ids=str,
)
def test_parameter_that_does_not_fit_is_named(
    shop: Host, wrong: dict[str, t.Any], param: str | None, message: str
) -> None:
    """In code and in the collector, with what was expected and what was given."""
    params = {"sku": "A1", "name": "Mug", **wrong}
    with pytest.raises(InvalidEvent, match=message) as caught:
        send(shop, "product.view", params)
    assert caught.value.code == ("invalid_param" if param else "invalid_params")
    assert caught.value.param == param
    posted = error_of(post_one(shop.client(), {"action": "product.view", "params": params}))
    assert posted == {
        "code": caught.value.code,
        "message": caught.value.message,
        "param": param,
    }


def test_parameter_that_is_missing_is_named(shop: Host) -> None:
    """In the same words as for a dataclass."""
    message = r"^'product.view', parameter 'name': it is required \(str\) and was not given\.$"
    with pytest.raises(InvalidEvent, match=message):
        send(shop, "product.view", {"sku": "A1"})


def test_parameter_that_is_not_defined_is_stored_and_marked(shop: Host) -> None:
    row = send(shop, "product.view", {"sku": "A1", "name": "Mug", "colour": "red", "url": "/"})
    assert (row["params"]["colour"], row["params"]["url"]) == ("red", "/")
    assert row["undefined"] == ["colour"]


def test_posted_numbers_and_text_are_read_as_the_field_s_type(host: Host) -> None:
    """As for dataclasses: an attribute of a page is typed by its looks. A strict model too."""

    class Given(BaseModel):
        model_config = ConfigDict(strict=True)
        sku: str
        count: int
        sizes: list[str] = []
        size: t.Literal["38"] | None = None
        gift: bool = False
        at: dt.datetime | None = None
        tags: set[int] = set()

    host.events.define("a.b", anonymous=True)(Given)
    params = {
        "sku": 10432,
        "count": "007",
        "sizes": [38],
        "size": 38,
        "gift": "1",
        "at": "2026-01-02T00:00:00Z",
        "tags": [1],
    }
    assert post_one(host.client(), {"action": "a.b", "params": params}).status_code == 202
    [row] = host.events_of("a.b")
    assert row["params"] == {
        "sku": "10432",
        "count": 7,
        "sizes": ["38"],
        "size": "38",
        "gift": True,
        "at": "2026-01-02T00:00:00Z",
        "tags": [1],
    }
    with pytest.raises(InvalidEvent, match="parameter 'count': input should be a valid integer"):
        send(host, "a.b", {"sku": "A1", "count": "7"})


@pytest.mark.parametrize(
    "params",
    [
        {"productId": 1, "display": "Mug"},
        {"product_id": 1, "title": "Mug"},
        {"productId": 1, "name": "Mug"},
        {"productId": 1, "meta": {"name": "Mug"}},
    ],
    ids=str,
)
def test_field_may_be_given_by_its_alias_or_its_name(host: Host, params: dict[str, t.Any]) -> None:
    """It is stored by its name, so that a feed or a query knows one name only."""

    class Given(BaseModel):
        product_id: int = Field(alias="productId", serialization_alias="id")
        title: str = Field(
            validation_alias=AliasChoices("display", "name", AliasPath("meta", "name"))
        )

    host.events.define("a.b", label="Saw {title} {product_id}")(Given)
    row = send(host, "a.b", params)
    assert {**row["params"], "meta": None} == {"product_id": 1, "title": "Mug", "meta": None}
    assert row["label"] == "Saw Mug 1"


def test_generated_aliases_and_names_are_the_same_event(host: Host) -> None:
    class Given(BaseModel):
        model_config = ConfigDict(alias_generator=to_camel, serialize_by_alias=True)
        product_id: int
        unit_price: float = 1.0

    host.events.define("a.b")(Given)
    stored = {"product_id": 1, "unit_price": 2.0}
    assert send(host, Given.model_validate({"productId": 1, "unitPrice": 2}))["params"] == stored
    assert send(host, "a.b", {"productId": 1, "unit_price": 2})["params"] == stored
    message = r"parameter 'product_id': it is required \(int\) and was not given"
    with pytest.raises(InvalidEvent, match=message):
        send(host, "a.b", {})


def test_model_may_forbid_what_it_does_not_define(host: Host) -> None:
    """But not what the snippet adds to each event."""

    class Given(BaseModel):
        model_config = ConfigDict(extra="forbid")
        sku: str

    host.events.define("a.b", anonymous=True)(Given)
    assert send(host, "a.b", {"sku": "A1", "title": "Mug"})["params"]["title"] == "Mug"
    with pytest.raises(InvalidEvent, match="parameter 'colour': extra inputs are not permitted"):
        send(host, "a.b", {"sku": "A1", "colour": "red"})


def test_model_may_allow_what_it_does_not_define(host: Host) -> None:
    class Given(BaseModel):
        model_config = ConfigDict(extra="allow")
        sku: str

    host.events.define("a.b")(Given)
    further = {"colour": "red"}
    for row in (
        send(host, Given(sku="A1", **further)),
        send(host, "a.b", {"sku": "A1", **further}),
    ):
        assert row["params"] == {"sku": "A1", "colour": "red"}
        assert row["undefined"] == ["colour"]


def test_secret_and_excluded_fields_stay_out(host: Host) -> None:
    """A secret is written as pydantic shows it."""

    class Given(BaseModel):
        pin: pydantic.SecretStr
        note: str = Field(exclude=True)

    host.events.define("a.b")(Given)
    given = {"pin": "1234", "note": "mine"}
    for row in (send(host, Given.model_validate(given)), send(host, "a.b", given)):
        assert row["params"] == {"pin": "**********"}


def test_pydantic_dataclass_is_validated_by_pydantic(host: Host) -> None:
    @pydantic.dataclasses.dataclass
    class Given:
        count: t.Annotated[int, Field(ge=1)]
        name: str = "Mug"

    host.events.define("a.b")(Given)
    assert send(host, Given(count=2))["params"] == {"count": 2, "name": "Mug"}
    assert send(host, "a.b", {"count": 2})["params"] == {"count": 2, "name": "Mug"}
    with pytest.raises(InvalidEvent, match="parameter 'count': input should be greater than"):
        send(host, "a.b", {"count": 0})


def test_model_inside_a_dataclass_or_mapping_is_written_as_an_object(host: Host) -> None:
    host.events.define("a.b")
    line = Line(sku="B", count=1)
    assert send(host, "a.b", {"line": line, "lines": [line]})["params"] == {
        "line": {"sku": "B", "count": 1},
        "lines": [{"sku": "B", "count": 1}],
    }
    assert send(host, "a.b", t.cast("t.Any", line))["params"] == {"sku": "B", "count": 1}


def test_class_that_pydantic_cannot_read_by_name_is_refused() -> None:
    """A root model has no names, an incomplete one no validation, version 1 neither."""

    class Root(RootModel[list[int]]):
        pass

    class Later(BaseModel):
        line: Nowhere  # type: ignore[name-defined]  # noqa: F821

    class Old(pydantic.v1.BaseModel):
        sku: str

    for schema, problem in (
        (Root, "is a RootModel, whose value has no name"),
        (Later, "has types that are defined later"),
        (Old, "is a model of pydantic version 1"),
    ):
        before = dict(vars(schema))
        with pytest.raises(
            InvalidDefinition, match=f", line [0-9]+: 'a.b': {schema.__name__} {problem}"
        ):
            EventTrack().define("a.b")(schema)
        assert dict(vars(schema)) == before


def test_failure_inside_a_model_is_the_event_s(host: Host) -> None:
    """Nothing of it reaches a request in production."""

    class Given(BaseModel):
        of: int

        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def share(self) -> float:
            return 1 / self.of

    host.events.define("a.b")(Given)
    for event in (("a.b", {"of": 0}), (Given(of=0), None)):
        with pytest.raises(InvalidEvent, match=r"'a.b': its class raised \w+Error\.$"):
            send(host, *event)


def test_catalogue_has_the_schema_of_a_model(make: MakeHost) -> None:
    """What the JSON Schema admits is taken, by aliases too; and the command lists the types."""

    class Given(BaseModel):
        product_id: int = Field(alias="productId", ge=1)

    host = make({"EVENTTRACK_DASHBOARD_PERMISSION": lambda: True})
    host.events.define("a.b")(Given)
    host.events.define("product.view")(ProductView)
    document = host.client().get("/_et/catalogue.json").get_json()
    schema = jsonschema_rs.validator_for(document["a.b"]["params"])
    for params in ({"productId": 1}, {"productId": 0}, {}, {"productId": "x"}):
        try:
            is_taken = send(host, "a.b", params) is not None
        except InvalidEvent:
            is_taken = False
        assert (params, schema.is_valid(params)) == (params, is_taken)
    assert set(document["product.view"]["params"]["properties"]) >= {"sku", "name", "lines"}
    listed = host.app.test_cli_runner().invoke(args=["eventtrack", "definitions"]).output
    assert "    product_id: int\n" in listed
    assert "    count: int\n" in listed
