"""The catalogue as a page that reads as the team's tracking plan."""

from __future__ import annotations

import collections.abc as cabc
import re

from ..catalogue.definitions import Definition
from .limits import read_limits
from .shapes import Again, Choice, Either, Items, Names, Object, Scalar, Shape, read_params

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def write_markdown(definitions: cabc.Iterable[Definition]) -> str:
    """Return a page with a chapter for each context, and a section for each event."""
    lines = ["# Tracking plan", ""]
    context = ""
    for each in sorted(definitions, key=lambda definition: definition.action):
        first = each.action.partition(".")[0]
        if first != context:
            context = first
            lines += [f"## {_escape(context)}", ""]
        lines += _write_event(each)
    return "\n".join(lines)


def _write_event(definition: Definition) -> list[str]:
    lines = [f"### `{definition.action}`", ""]
    if definition.status == "deprecated":
        lines += ["**Deprecated.** It is still recorded, and should no longer be sent.", ""]
    if definition.description:
        lines += [_escape(definition.description), ""]
    lines.append(f"- Sent by: {name_senders(definition)}")
    if definition.owner:
        lines.append(f"- Owner: {_escape(definition.owner)}")
    if definition.label:
        lines.append(f"- In a feed: {_escape(definition.label)}")
    lines.append("")
    parts = read_params(definition)
    if not parts:
        return [*lines, "It has no parameters.", ""]
    lines += ["| Parameter | Type | Required | Meaning |", "|---|---|---|---|"]
    limits = read_limits(definition)
    for part in parts:
        required = "yes" if part.is_required else ""
        kind = ", ".join(filter(None, (write_type(part.shape), limits.get(part.name))))
        cells = (f"`{part.name}`", _escape(kind), required)
        lines.append(f"| {' | '.join(cells)} | {_escape(part.description)} |")
    return [*lines, ""]


def name_senders(definition: Definition) -> str:
    """Return in words who may send an event."""
    if definition.server_only:
        return "the server"
    if definition.anonymous:
        return "the server, and the browser or app of any visitor"
    return "the server, and the browser or app of a customer"


def write_type(shape: Shape) -> str:
    """Return a shape in words that people who do not program understand."""
    match shape:
        case Scalar(kind):
            return {"moment": "date and time", "null": "nothing", "any": "anything"}.get(kind, kind)
        case Choice(values):
            return "one of " + ", ".join(map(str, values))
        case Items(of):
            return f"list of {write_type(of)}"
        case Names(of):
            return f"any names, each with {write_type(of)}"
        case Either(options):
            own = [option for option in options if option != Scalar("null")]
            return " or ".join(dict.fromkeys(map(write_type, own)))
        case Object(schema, parts):
            return f"{schema.__name__} ({', '.join(part.name for part in parts)})"
        case Again(schema):
            return schema.__name__


def _escape(text: str) -> str:
    return " ".join(_SPECIAL.sub(r"\\\1", text).split())
