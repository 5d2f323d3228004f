"""The limits of parameters, in the words of the plan and of ``flask eventtrack definitions``."""

from __future__ import annotations

import dataclasses
import decimal
import typing as t

import pydantic
import pytest
from msgspec import Meta

from flask_eventtrack import EventTrack
from flask_eventtrack.tracking_plan.limits import read_limits
from flask_eventtrack.tracking_plan.markdown import write_markdown


def limits_of(schema: type) -> dict[str, str]:
    events = EventTrack()
    events.define("a.b")(schema)
    return read_limits(events.catalogue.get("a.b"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (t.Annotated[int, Meta(ge=1, le=28)], "1 to 28"),
        (t.Annotated[int, Meta(ge=1)] | None, "at least 1"),
        (t.Annotated[float, Meta(le=0.5)], "at most 0.5"),
        (t.Annotated[float, Meta(gt=0, lt=2)], "more than 0, less than 2"),
        (t.Annotated[str, Meta(min_length=1)], "at least 1 character"),
        (t.Annotated[str, Meta(min_length=3, max_length=3)], "3 characters"),
        (
            t.Annotated[str, Meta(max_length=9, pattern="^a|b")],
            "at most 9 characters, matching ^a|b",
        ),
        (t.Annotated[list[int], Meta(min_length=1, max_length=3)], "1 to 3 items"),
    ],
)
def test_limits_of_a_dataclass_are_words(kind: t.Any, text: str) -> None:
    """As ``Annotated`` sets them."""
    assert limits_of(dataclasses.make_dataclass("Schema", [("x", kind)])) == {"x": text}


class Model(pydantic.BaseModel):
    stars: int = pydantic.Field(ge=1, le=5)
    price: decimal.Decimal = pydantic.Field(gt=0)
    total: decimal.Decimal
    code: str | None = pydantic.Field(None, max_length=9)


def test_limits_of_a_model_are_words() -> None:
    """As pydantic's ``Field`` sets them."""
    assert limits_of(Model) == {
        "stars": "1 to 5",
        "price": "more than 0",
        "code": "at most 9 characters",
    }


def test_an_event_without_parameters_has_no_limits() -> None:
    """Nor has one without a JSON Schema."""
    events = EventTrack()
    events.define("a.b")
    assert read_limits(events.catalogue.get("a.b")) == {}
    assert limits_of(dataclasses.make_dataclass("Schema", [("x", t.Any, object())])) == {}


def test_a_pattern_does_not_break_the_plans_table() -> None:
    """A bar would end the cell."""
    kind = t.Annotated[str, Meta(pattern="^a|b")]
    events = EventTrack()
    events.define("a.b")(dataclasses.make_dataclass("Schema", [("x", kind)]))
    text = write_markdown([events.catalogue.get("a.b")])
    assert r"| `x` | text, matching ^a\|b | yes |" in text
