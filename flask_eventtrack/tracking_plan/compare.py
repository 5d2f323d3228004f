"""What has changed in the catalogue since it was committed, and what of it breaks senders.

A change breaks if an event that the committed definition takes may now be refused, or if the feed's
sentence has lost a parameter. Pure: two documents in, changes out.
"""

from __future__ import annotations

import collections.abc as cabc
import string
import typing as t

from ..text import shorten

Json = dict[str, t.Any]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_DEEPEST = 20


class Change(t.NamedTuple):
    """A change of one event; ``param`` is the parameter that it is about, or None."""

    action: str
    param: str | None
    sentence: str
    is_breaking: bool


def compare(before: cabc.Mapping[str, Json], now: cabc.Mapping[str, Json]) -> list[Change]:
    """Return the changes between two catalogues, by action.

    :param before: definitions by action, as ``describe_definition`` writes them.
    """
    found = []
    for action in sorted(before.keys() | now.keys()):
        if action not in now:
            found.append(Change(action, None, "is gone", is_breaking=True))
        elif action not in before:
            found.append(Change(action, None, "is new", is_breaking=False))
        else:
            found += _compare_definitions(action, before[action], now[action])
    return found


def _compare_definitions(action: str, before: Json, now: Json) -> cabc.Iterator[Change]:
    for name in ("anonymous", "server_only"):
        if before[name] != now[name]:
            is_breaking = now[name] is (name == "server_only")
            sentence = f"{name} was {before[name]}, and is {now[name]}"
            yield Change(action, None, sentence, is_breaking)
    for name in ("status", "label", "description", "owner"):
        if before.get(name) != now.get(name):
            was, is_ = (shorten(each.get(name) or "") for each in (before, now))
            yield Change(action, None, f"{name} was {was}, and is {is_}", is_breaking=False)
    old, new = _Side(before["params"]), _Side(now["params"])
    yield from _compare_params(action, old, new)
    for name in _names_in(before["label"]) & old.properties.keys() - new.properties.keys():
        yield Change(action, name, "was in the label, and is gone", is_breaking=True)


class _Side:
    """The JSON Schema of one side: its parameters, and what its references stand for."""

    def __init__(self, schema: Json) -> None:
        self._definitions: Json = schema.get("$defs", {})
        whole = self.resolve(schema)
        self.properties: dict[str, Json] = whole.get("properties", {})
        self.required: frozenset[str] = frozenset(whole.get("required", ()))
        self.is_closed: bool = whole.get("additionalProperties") is False

    def resolve(self, schema: Json) -> Json:
        while "$ref" in schema:
            schema = self._definitions.get(schema["$ref"].rpartition("/")[2], {})
        return schema

    def expand(self, value: t.Any, depth: int = 0) -> t.Any:
        """Return a schema with what its references stand for, for comparing."""
        if depth > _DEEPEST:
            return None
        if isinstance(value, list):
            return [self.expand(each, depth + 1) for each in value]
        if isinstance(value, dict):
            return {n: self.expand(each, depth + 1) for n, each in self.resolve(value).items()}
        return value

    def kinds(self, name: str) -> set[tuple[t.Any, t.Any]]:
        """Return the types of a parameter, each with its format; null is none."""
        options = self.options(self.properties[name])
        kinds = {(kind, each.get("format")) for each in options for kind in _kinds_of(each)}
        return kinds - {("null", None)}

    def options(self, schema: Json) -> list[Json]:
        """Return the schemas of which a value has to fit one."""
        schema = self.resolve(schema)
        several = schema.get("anyOf") or schema.get("oneOf")
        if several:
            return [option for each in several for option in self.options(each)]
        if schema.get("format") == "decimal":  # numbers are decimals as well
            return [schema, {"type": "number"}]
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return [{**schema, "type": kind} for kind in kinds]
        return [schema]


def _compare_params(action: str, old: _Side, new: _Side) -> cabc.Iterator[Change]:
    for name in new.properties:
        if name in old.properties:
            yield from _compare_param(action, name, old, new)
        else:
            is_required = name in new.required
            what = "is new and required" if is_required else "is new"
            yield Change(action, name, what, is_required)
    if new.is_closed is not old.is_closed:
        verb = "no longer takes" if new.is_closed else "takes"
        sentence = f"{verb} parameters that it does not define"
        yield Change(action, None, sentence, new.is_closed)
    for name in sorted(old.properties.keys() - new.properties.keys()):
        # Without a definition it is stored all the same, unless the class forbids that.
        renamed = _find_renamed(name, old, new)
        hint = f", perhaps renamed to {renamed}" if renamed else ""
        yield Change(action, name, f"is gone{hint}", new.is_closed)


def _find_renamed(name: str, old: _Side, new: _Side) -> str:
    """Return the only new parameter of the type of one that is gone; "" if that is not certain."""
    kinds = old.kinds(name)
    gone = [each for each in old.properties if each not in new.properties]
    added = [each for each in new.properties if each not in old.properties]
    same = [each for each in gone if old.kinds(each) == kinds]
    candidates = [each for each in added if new.kinds(each) == kinds]
    return candidates[0] if len(same) == len(candidates) == 1 else ""


def _compare_param(action: str, name: str, old: _Side, new: _Side) -> cabc.Iterator[Change]:
    was, now = old.properties[name], new.properties[name]
    is_required = name in new.required
    problem = find_narrowing(old, was, new, now)
    if is_required and name not in old.required:
        yield Change(action, name, "is required now", is_breaking=True)
    if problem:
        yield Change(action, name, problem, is_breaking=True)
    elif not is_required and name in old.required:
        yield Change(action, name, "is optional now", is_breaking=False)
    elif find_narrowing(new, now, old, was):
        yield Change(action, name, "takes more than before", is_breaking=False)
    elif is_required is (name in old.required) and old.expand(was) != new.expand(now):
        yield Change(action, name, "has changed, and takes what it took", is_breaking=False)


def find_narrowing(old: _Side, was: Json, new: _Side, now: Json, depth: int = 0) -> str:
    """Return why a value that one schema takes may be refused by another; "" if none is."""
    if depth > _DEEPEST:
        return ""
    options = new.options(now)
    for each in old.options(was):
        problems = [_find_problem(old, each, new, option, depth) for option in options]
        if "" not in problems:
            return problems[0] if len(problems) == 1 else f"no longer takes {_name(each)}"
    return ""


def _find_problem(old: _Side, was: Json, new: _Side, now: Json, depth: int) -> str:
    values = _values_of(was)
    allowed = _values_of(now)
    if values is not None and allowed is not None:
        gone = [each for each in values if each not in allowed]
        return f"no longer takes {', '.join(map(shorten, gone))}" if gone else ""
    if allowed is not None:
        return f"takes {', '.join(map(shorten, allowed))} only"
    wanted = now.get("type")
    if wanted is not None and not all(
        kind == wanted or (kind, wanted) == ("integer", "number") for kind in _kinds_of(was)
    ):
        return f"was {_name(was)}, and is {_name(now)}"
    if values is not None:
        return _find_limit(_limits_of(values), now)
    return _find_limit(was, now) or _find_inside(old, was, new, now, depth)


def _find_limit(was: Json, now: Json) -> str:
    for names, is_tighter in ((_LOWER, _is_above), (_UPPER, _is_below)):
        for name in names:
            if name in now and is_tighter(now[name], was.get(name)):
                return f"{name} was {was.get(name, 'not set')}, and is {now[name]}"
    for name in ("pattern", "format", "multipleOf"):
        if name in now and now[name] != was.get(name):
            return f"{name} was {was.get(name, 'not set')}, and is {now[name]}"
    return ""


def _limits_of(values: list[t.Any]) -> Json:
    """Return the limits that some values have in common."""
    sizes = [len(each) for each in values if isinstance(each, str)]
    numbers = [each for each in values if not isinstance(each, str | None)]
    found: Json = {"minLength": min(sizes), "maxLength": max(sizes)} if sizes else {}
    return found | ({"minimum": min(numbers), "maximum": max(numbers)} if numbers else {})


def _is_above(new: float, old: float | None) -> bool:
    return old is None or new > old


def _is_below(new: float, old: float | None) -> bool:
    return old is None or new < old


def _find_inside(old: _Side, was: Json, new: _Side, now: Json, depth: int) -> str:
    """Compare the items of lists, and the names of objects."""
    is_closed = [each.get("additionalProperties") is False for each in (was, now)]
    if is_closed == [False, True]:
        return "no longer takes other names in it"
    for name in sorted(set(now.get("required", ())) - set(was.get("required", ()))):
        return f"{name} in it is required now"
    for what, outer, inner in _iter_inside(was, now):
        problem = find_narrowing(old, outer, new, inner, depth + 1)
        if problem:
            return f"{what} {problem}"
    return ""


def _iter_inside(was: Json, now: Json) -> cabc.Iterator[tuple[str, Json, Json]]:
    """Yield the parts of two schemas: what they are, the old one and the new one."""
    for key, what in (("items", "an item"), ("additionalProperties", "a value")):
        if isinstance(now.get(key), dict):
            outer = was.get(key)
            yield what, outer if isinstance(outer, dict) else {}, now[key]
    places = zip(was.get("prefixItems", ()), now.get("prefixItems", ()), strict=False)
    yield from (("an item", outer, inner) for outer, inner in places)
    before = was.get("properties", {})
    for name, inner in now.get("properties", {}).items():
        if name in before:
            yield f"{name} in it", before[name], inner


def _values_of(schema: Json) -> list[t.Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[t.Any] | None = schema.get("enum")
    return values


def _kinds_of(schema: Json) -> set[t.Any]:
    values = _values_of(schema)
    return {schema.get("type")} if values is None else set(map(_kind_of, values))


def _kind_of(value: t.Any) -> str:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return kinds.get(type(value), "object")


def _name(schema: Json) -> str:
    values = _values_of(schema)
    if values is not None:
        return f"one of {', '.join(map(shorten, values))}"
    return str(schema.get("title") or schema.get("type") or "anything")


def _names_in(label: str | None) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(label or "") if name}
