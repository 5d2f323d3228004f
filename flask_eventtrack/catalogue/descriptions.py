"""What people have written about an event's class and its fields, for exports."""

from __future__ import annotations

import ast
import collections.abc as cabc
import functools
import inspect
import itertools
import linecache
import re
import typing as t

import msgspec

_FIELD = re.compile(r":(?:param|ivar|var)[ \t]+(?:[^:\s]+[ \t]+)*(\w+)[ \t]*:")
# The next field, or the end of the paragraph.
_END = re.compile(r"\n\s*(?=:\w)|\n\s*\n")


def describe_class(schema: type) -> str:
    """Return the first paragraph of a class's docstring as one line, or ""."""
    return first_paragraph(_docstring_of(schema))


def first_paragraph(text: str) -> str:
    """Return the first paragraph of a docstring as one line, or "" if fields come first."""
    first = re.split(r"\n\s*\n|\n\s*(?=:\w)", text, maxsplit=1)[0]
    return "" if first.startswith(":") else _one_line(first)


def describe_fields(schema: type) -> dict[str, str]:
    """Return the descriptions of a class's fields.

    A description is one of these, and the first that there is: ``description`` of ``Meta`` or of
    pydantic's ``Field``, ``Doc`` or plain text in ``Annotated``, the text below the field, and
    ``:param name:`` in the docstring of the class.
    """
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__[:-1]):
        if base.__module__.partition(".")[0] == "pydantic":
            continue
        found |= _read_docstring(_docstring_of(base)) | _read_source(base)
    return found | _read_pydantic(schema) | _read_annotations(schema)


def _docstring_of(schema: type) -> str:
    text = vars(schema).get("__doc__")
    # @dataclass writes the signature where there is no docstring.
    if not isinstance(text, str) or text.startswith(f"{schema.__name__}("):
        return ""
    return inspect.cleandoc(text)


def _read_docstring(text: str) -> dict[str, str]:
    found = {}
    for match in _FIELD.finditer(text):
        found[match[1]] = _one_line(_END.split(text[match.end() :], maxsplit=1)[0])
    return found


def _read_source(schema: type) -> dict[str, str]:
    """Return the texts that stand below the fields of a class, where its source can be read."""
    try:
        file = inspect.getsourcefile(schema)
    except TypeError:
        return {}
    return {} if file is None else _read_file(file).get(schema.__qualname__, {})


@functools.lru_cache(maxsize=256)
def _read_file(file: str) -> dict[str, dict[str, str]]:
    """Return the texts below the fields of all classes in a file, by their qualified names."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, dict[str, str]] = {}
    todo: list[tuple[str, ast.AST]] = [("", tree)]
    while todo:
        place, node = todo.pop()
        for child in ast.iter_child_nodes(node):
            inner = place
            if isinstance(child, ast.ClassDef):
                found[place + child.name] = _read_body(child.body)
                inner = f"{place}{child.name}."
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = f"{place}{child.name}.<locals>."
            todo.append((inner, child))
    return found


def _read_body(body: list[ast.stmt]) -> dict[str, str]:
    found = {}
    for field, text in itertools.pairwise(body):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if is_field and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            name, value = t.cast("ast.Name", t.cast("ast.AnnAssign", field).target), text.value
            if isinstance(value.value, str):
                found[name.id] = _one_line(value.value)
    return found


def _read_pydantic(schema: t.Any) -> dict[str, str]:
    fields = getattr(schema, "__pydantic_fields__", None) or {}
    described = {n: getattr(field, "description", None) for n, field in fields.items()}
    return {name: _one_line(text) for name, text in described.items() if text}


def _read_annotations(schema: type) -> dict[str, str]:
    try:
        hints = t.get_type_hints(schema, include_extras=True)
    except (NameError, TypeError):
        return {}
    found = {}
    for name, hint in hints.items():
        texts = (_text_of(each) for each in _extras_of(hint))
        if text := next(filter(None, texts), ""):
            found[name] = _one_line(text)
    return found


def _extras_of(hint: t.Any) -> cabc.Iterator[t.Any]:
    """Yield what ``Annotated`` adds to a type, or to a choice of it."""
    yield from getattr(hint, "__metadata__", ())
    for each in t.get_args(hint):
        yield from getattr(each, "__metadata__", ())


def _text_of(extra: object) -> str:
    if isinstance(extra, str):
        return extra
    if isinstance(extra, msgspec.Meta):
        return extra.description or ""
    text = getattr(extra, "documentation", "")  # Doc of typing_extensions
    return text if isinstance(text, str) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
