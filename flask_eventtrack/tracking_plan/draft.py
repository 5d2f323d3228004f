"""A definition inferred from events, as Python source to paste.

Names and values come from clients. The source has the names that can be a field's, and no values,
except choices that several people have sent often.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc as cabc
import datetime as dt
import json
import keyword
import re
import typing as t

import msgspec

from ..catalogue.definitions import CONTEXT_PARAMETERS
from ..money import Money
from ..privacy.masking import Masker
from ..privacy.secret_names import is_secret_name
from ..text import action_label, quantify
from .samples import Sample

# The person whose event has a value, and the value.
_Owned = tuple[str, t.Any]

_MODULES = {"dt": "import datetime as dt", "t": "import typing as t"}
# A field of such a name and with a default would hide what the types of other fields are made of.
# And dataclass would take the method `mro` of each class for a default.
_MISLEADING = frozenset({"t", "dt", "bool", "int", "float", "str", "list", "dict", "Money", "mro"})
# The server adds these to any event; the script adds all of CONTEXT_PARAMETERS.
_OF_SERVER = frozenset({"visit", "original_time"})
_CLIENTS = frozenset({"browser", "app"})
# A float holds larger integers only in part.
_EXACT = 2**53
_TIMES: dict[str, t.Any] = {"dt.datetime": dt.datetime, "dt.date": dt.date}

# A dict is a dataclass if it has few names, and each of them is in many of its kind.
_MOST_NAMES = 32
_LEAST_SHARE = 1 / 3

# When texts are choices.
_CHOICE = re.compile(r"[A-Za-z][A-Za-z_-]{0,23}")
_CHOICES = range(2, 7)
_LEAST_TEXTS, _LEAST_OF_EACH, _LEAST_PEOPLE = 20, 5, 3

# Which parameter tells events of an action apart best, by the last word of its name.
_LABELLING = ("title", "sku", "query", "number", "id")
_MOST_LISTED = 20


def draft(
    action: str,
    stored: cabc.Sequence[Sample],
    refused: cabc.Sequence[Sample] = (),
    masker: Masker | None = None,
) -> str:
    """Return the source of a definition that accepts all events it is inferred from.

    :param action: well-formed, and free to be defined.
    :param stored: events, at least one here or in ``refused``, which the database refused.
    :param masker: an app's own rules of what is personal.
    """
    return _Draft(action, [*stored, *refused], masker or Masker()).write(len(stored), len(refused))


class _Draft:
    def __init__(self, action: str, samples: list[Sample], masker: Masker) -> None:
        self._action, self._samples, self._masker = action, samples, masker
        self._classes: list[str] = []
        self._types: list[str] = []
        # A class of the name of a field would be hidden by the field's default.
        self._taken = {name for sample in samples for name in _iter_names(sample.params)}
        self._taken |= {*dir(builtins), "EventTrack", "Money"}

    def write(self, stored: int, refused: int) -> str:
        """Return the whole source."""
        names = self._choose_names()
        body = self._write_definition(names)
        comments = [self._say_basis(stored, refused), *self._say_left_out(names)]
        return "\n".join([*comments, *self._write_imports(), body])

    def _write_imports(self) -> list[str]:
        if not self._types:
            return []
        types = " ".join(self._types)
        used = set(re.findall(r"\b(dt|t)\.", types))
        modules = [line for name, line in _MODULES.items() if name in used]
        money = ["", "from flask_eventtrack import Money"] if re.search(r"\bMoney\b", types) else []
        return [*modules, "from dataclasses import dataclass", *money, "", ""]

    def _write_definition(self, names: list[str]) -> str:
        options = [json.dumps(self._action)]
        is_of_client = any(sample.source in _CLIENTS for sample in self._samples)
        anonymous = ["anonymous=True"] if is_of_client else []
        if not names:
            options += [f"label={json.dumps(action_label(self._action))}", *anonymous]
            return f"events.define({', '.join(options)})\n"
        owned = [(sample.person, sample.params) for sample in self._samples]
        class_name = self._name_class(_camel(self._action))
        lines = self._write_fields(owned, names, class_name)
        options += [f"label={_propose_label(self._action, lines)}", *anonymous]
        head = f"@events.define({', '.join(options)})\n@dataclass\nclass {class_name}:\n"
        return "\n\n".join([*self._classes, head + _indent(lines)])

    def _choose_names(self) -> list[str]:
        return [name for name in self._names() if self._can_be_field(name)]

    def _names(self) -> list[str]:
        added = _OF_SERVER
        if any(sample.source in _CLIENTS for sample in self._samples):
            added |= CONTEXT_PARAMETERS
        every = {name for sample in self._samples for name in sample.params}
        return sorted(name for name in every - added if not is_secret_name(name))

    def _can_be_field(self, name: str) -> bool:
        # msgspec may not find a field of a dataclass by a name that is not ASCII.
        return (
            name.isascii()
            and name.isidentifier()
            and not keyword.iskeyword(name)
            and not name.startswith("_")
            and name not in _MISLEADING
            and self._masker.mask_text(name) == name
        )

    def _say_basis(self, stored: int, refused: int) -> str:
        times = [sample.time for sample in self._samples]
        based = [quantify(stored, "event")] if stored or not refused else []
        if refused:
            based.append(f"{quantify(refused, 'event')} that the database refused")
        return (
            f"# Drafted from {' and '.join(based)}, {min(times):%Y-%m-%d} to {max(times):%Y-%m-%d}."
            "\n# It accepts what arrived, and may refuse what comes next. Read it before you paste "
            "it."
        )

    def _say_left_out(self, names: list[str]) -> list[str]:
        """Return comments on the parameters that are no fields."""
        every = {name for sample in self._samples for name in sample.params}
        secret = sorted(filter(is_secret_name, every))
        odd = [name for name in self._names() if name not in names]
        return [
            *self._list_names("These parameters cannot be fields, and stay undefined:", odd),
            *self._list_names(
                "These look like secrets. Fields for them could end the masking of their values:",
                secret,
            ),
        ]

    def _list_names(self, sentence: str, names: list[str]) -> list[str]:
        # A repr has no line break and no character that is not printable.
        lines = [f"#     {self._masker.mask_text(name)!r}" for name in names[:_MOST_LISTED]]
        more = len(names) - len(lines)
        if more:
            lines.append(f"#     and {more} more")
        return [f"# {sentence}", *lines] if names else []

    def _name_class(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}{number}", number + 1
        self._taken.add(name)
        return name

    def _write_fields(self, owned: list[_Owned], names: list[str], class_name: str) -> list[str]:
        """Return the lines of a class's fields, those without a default first.

        :param owned: dicts.
        """
        required, optional = list[str](), list[str]()
        for name in names:
            given = [(who, values[name]) for who, values in owned if values.get(name) is not None]
            kind = self._write_type(given, class_name + _camel(name))
            self._types.append(kind)
            if len(given) == len(owned):
                required.append(f"{name}: {kind}")
            else:
                default = "= None" if kind == "t.Any" else "| None = None"
                optional.append(f"{name}: {kind} {default}  # in {len(given)} of {len(owned)}")
        return required + optional

    def _write_type(self, owned: list[_Owned], class_name: str) -> str:
        """Return the type of values that are not None.

        :param class_name: what a class of them would be called.
        """
        by_kind = collections.defaultdict[type, list[_Owned]](list)
        for who, value in owned:
            by_kind[_kind_of(value)].append((who, value))
        parts = list[str]()
        if bool in by_kind:
            parts.append("bool")
        parts += _write_numbers(by_kind)
        if str in by_kind:
            parts.append(self._write_texts(by_kind[str], is_alone=len(by_kind) == 1))
        if list in by_kind:
            items = [(who, item) for who, values in by_kind[list] for item in values]
            parts.append(f"list[{self._write_item(items, class_name)}]")
        if dict in by_kind:
            parts.append(self._write_dicts(by_kind[dict], class_name))
        return " | ".join(parts) or "t.Any"

    def _write_item(self, owned: list[_Owned], class_name: str) -> str:
        given = [(who, value) for who, value in owned if value is not None]
        kind = self._write_type(given, class_name)
        return kind if len(given) == len(owned) or kind == "t.Any" else f"{kind} | None"

    def _write_texts(self, owned: list[_Owned], *, is_alone: bool) -> str:
        if not is_alone:
            return "str"
        for written, kind in _TIMES.items():
            if all(_fits(text, kind) for _, text in owned):
                return written
        choices = self._find_choices(owned)
        return f"t.Literal[{', '.join(map(json.dumps, choices))}]" if choices else "str"

    def _find_choices(self, owned: list[_Owned]) -> list[str]:
        """Return the texts, if they are a few words that several people have sent often."""
        people = collections.defaultdict[str, set[str]](set)
        counts = collections.Counter(text for _, text in owned)
        for who, text in owned:
            people[text].add(who)
        is_choice = (
            len(owned) >= _LEAST_TEXTS
            and len(counts) in _CHOICES
            and min(counts.values()) >= _LEAST_OF_EACH
            and all(len(senders) >= _LEAST_PEOPLE for senders in people.values())
            and all(_CHOICE.fullmatch(text) for text in counts)
            and all(self._masker.mask_text(text) == text for text in counts)
        )
        return sorted(counts) if is_choice else []

    def _write_dicts(self, owned: list[_Owned], class_name: str) -> str:
        if all(_fits(values, Money) for _, values in owned):
            return "Money"
        counts = collections.Counter(key for _, values in owned for key in values)
        is_record = (
            0 < len(counts) <= _MOST_NAMES
            and min(counts.values()) >= len(owned) * _LEAST_SHARE
            and all(map(self._can_be_field, counts))
        )
        if not is_record:
            items = [(who, item) for who, values in owned for item in values.values()]
            return f"dict[str, {self._write_item(items, class_name)}]"
        class_name = self._name_class(class_name)
        lines = self._write_fields(owned, sorted(counts), class_name)
        note = "    # Names that are no fields here are not stored.\n"
        self._classes.append(f"@dataclass\nclass {class_name}:\n{note}{_indent(lines)}")
        return class_name


def _iter_names(value: t.Any) -> cabc.Iterator[str]:
    """Yield the names of all dicts in a value."""
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _iter_names(item)


def _kind_of(value: object) -> type:
    """Return the type of a JSON value. PostgreSQL writes a large float as an integer."""
    is_large = type(value) is int and not -(2**63) <= value < 2**63
    return float if is_large else type(value)


def _write_numbers(by_kind: cabc.Mapping[type, list[_Owned]]) -> list[str]:
    if int in by_kind and float in by_kind:
        is_exact = all(abs(number) <= _EXACT for _, number in by_kind[int])
        return ["float"] if is_exact else ["int", "float"]
    return [kind.__name__ for kind in (int, float) if kind in by_kind]


def _fits(value: t.Any, kind: type) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _camel(text: str) -> str:
    """Return a text as the name of a class: "OrderPlaced" for "order.placed"."""
    words = re.split(r"[._-]+", text)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        name = f"Event{name}"
    return name


def _propose_label(action: str, lines: list[str]) -> str:
    """Return a label with the parameter that best tells events apart, if each event has one."""
    fields = [line.partition(": ") for line in lines]
    found = [name for name, _, kind in fields if kind in {"str", "int"}]
    for word in _LABELLING:
        for name in found:
            if re.split(r"[_\d]+|(?<=[a-z])(?=[A-Z])", name)[-1].lower() == word:
                return json.dumps(f"{action_label(action)} {{{name}}}")
    return json.dumps(action_label(action))


def _indent(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)
