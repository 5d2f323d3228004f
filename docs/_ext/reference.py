"""The parts of ``docs/reference`` that come from the source: settings and public Python names.

A page has ``<!-- source: NAME -->`` and ``<!-- end -->`` where an entry belongs, and
``make reference`` (``python docs/_ext/reference.py``) writes what lies between. So the pages can be
read in a checkout as well as in the built manual. As an extension of Sphinx this file makes the
headings of entries the targets of roles: ``{confval}``, ``{meth}``, ``{exc}`` and so on.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses
import datetime as dt
import inspect
import pathlib
import re
import sys
import textwrap
import types
import typing as t

from blinker import NamedSignal

import flask_eventtrack
from flask_eventtrack import config, errors, signals

if t.TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

PAGES = pathlib.Path(__file__).parent.parent / "reference"
WIDTH = 88
_BLOCK = re.compile(r"(<!-- source: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Field(t.NamedTuple):
    """A field of a class: its annotation as written, and the docstring below it."""

    name: str
    annotation: str
    text: str


def parse(object_: object) -> t.Any:
    """Return the syntax tree of a class or function."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(t.cast("t.Any", object_)))).body
    return node


def iter_fields(class_: type) -> cabc.Iterator[Field]:
    """Yield the annotated fields of a class, in order."""
    body = parse(class_).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            value = after.value if isinstance(after, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) else ""
            yield Field(
                ast.unparse(node.target), ast.unparse(node.annotation), inspect.cleandoc(str(text))
            )


# Settings.

_TYPES = {
    "ChannelRules": "dict of `str` to `str`",
    "KeySources": "`str`, `bytes` or path, dict of `str` to these, or list of these",
    "HostTokens": "`str`, list of `str`, or dict of scope to these",
    "ReportTokens": "`str`, list of `str`, or dict of scope to these",
    "Keeps": "`timedelta`, a number of seconds, or dict of `str` to these",
    "MaskRules": "list of compiled patterns and callables",
    "PageVisitFilter": "callable (no arguments, returns `bool`)",
    "Permission": 'callable (no arguments, returns `bool`, `"numbers"`, `"view"`, `"manage"` or a '
    "set of `str`)",
    "VisitorFilter": "callable (no arguments, returns `bool`)",
    "RateLimit": "two numbers",
    "SitePatterns": "list of `str`, or dict of `str` to list of `str`",
    "dt.tzinfo": "name of a time zone, or `ZoneInfo`",
    "dt.timedelta": "`timedelta`, or a number of seconds",
    "tuple[str, ...]": "list of `str`",
}
_UNITS = {"days": 86400, "hours": 3600, "minutes": 60}


def read_settings() -> dict[str, Field]:
    """Return every setting by its full name."""
    return {config.PREFIX + field.name.upper(): field for field in iter_fields(config.Config)}


def write_setting(name: str) -> str:
    """Return the entry of a setting."""
    field = read_settings()[name]
    default = write_value(getattr(config.Config(), field.name))
    type_ = write_type(field.annotation)
    return f"### {name}\n\nType: {type_}. Default: `{default}`.\n\n{write_markdown(field.text)}"


def write_type(annotation: str) -> str:
    """Return the annotation of a setting as people say it."""
    parts = ast.parse(annotation, mode="eval").body
    *rest, last = _iter_types(parts)
    return f"{', '.join(rest)} or {last}" if rest else last


def _iter_types(node: ast.expr) -> cabc.Iterator[str]:
    if isinstance(node, ast.BinOp):
        yield from _iter_types(node.left)
        yield from _iter_types(node.right)
        return
    name = ast.unparse(node)
    value = _resolve(name, vars(config))
    if t.get_origin(value) is t.Literal:
        yield from (f"`{write_value(item)}`" for item in t.get_args(value))
    elif name in _TYPES:
        yield _TYPES[name]
    elif name in {"None", "bool", "int", "str"}:
        yield f"`{name}`"
    else:
        raise LookupError(f"{name!r} is a type that docs/_ext/reference.py has no words for.")


def write_value(value: object) -> str:
    """Return a default as one writes it into ``app.config``."""
    match value:
        case str():
            return f'"{value}"'
        case int() if not isinstance(value, bool):
            is_mebi = value >= 2**20 and not value % 2**20
            return f"{value // 2**20} * 1024 * 1024" if is_mebi else f"{value:_}"
        case dt.timedelta():
            seconds = value.total_seconds()
            fits = [unit for unit, length in _UNITS.items() if not seconds % length]
            unit = fits[0] if fits else "seconds"
            return f"timedelta({unit}={seconds / _UNITS.get(unit, 1):g})"
        case dt.timezone():
            return f'"{value}"'
        case tuple() if all(isinstance(item, str) for item in value):
            return f"[{', '.join(write_value(item) for item in value)}]"
        case _:
            return repr(value)


# The Python API.


class Entry(t.NamedTuple):
    """A public name: what it is, and its full name in the package."""

    kind: str
    path: str
    object: object


def iter_entries() -> cabc.Iterator[tuple[str, Entry]]:
    """Yield each public name and member, with the title of its heading."""
    for name in flask_eventtrack.__all__:
        yield from _iter_public(name, getattr(flask_eventtrack, name))
    for name, object_ in vars(errors).items():
        if isinstance(object_, type) and issubclass(object_, Exception):
            yield name, Entry("exception", f"flask_eventtrack.errors.{name}", object_)
    for name, object_ in vars(signals).items():
        if isinstance(object_, NamedSignal):
            yield name, Entry("data", f"flask_eventtrack.signals.{name}", object_)


def _iter_public(name: str, object_: object) -> cabc.Iterator[tuple[str, Entry]]:
    path = f"flask_eventtrack.{name}"
    if isinstance(object_, type):
        yield name, Entry("class", path, object_)
        yield from _iter_members(name, object_)
    elif inspect.isfunction(object_):
        yield f"{name}()", Entry("function", path, object_)
    else:
        kind = "module" if isinstance(object_, types.ModuleType) else "data"
        yield name, Entry(kind, path, object_)


def _iter_members(owner: str, class_: type) -> cabc.Iterator[tuple[str, Entry]]:
    for name, member in vars(class_).items():
        path = f"flask_eventtrack.{owner}.{name}"
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"{owner}.{name}", Entry("property", path, member)
        elif isinstance(member, types.FunctionType | staticmethod):
            yield f"{owner}.{name}()", Entry("method", path, getattr(class_, name))


def write_name(path: str) -> str:
    """Return the entry of a class, with those of its members, or of a function."""
    [(title, entry)] = [item for item in ENTRIES.items() if item[1].path == path]
    if not isinstance(entry.object, type):
        return f"### {title}\n\n{_write_function(entry.object)}\n"
    members = {k: v for k, v in ENTRIES.items() if v.path.startswith(f"{path}.")}
    parts = [f"### {title}\n", _write_class(entry.object), _write_rows(entry.object, members)]
    for name, member in members.items():
        if inspect.isfunction(member.object):
            parts.append(f"#### {name}\n\n{_write_member(member.object)}")
    return "\n".join(part for part in parts if part)


def _write_class(class_: type) -> str:
    doc = class_.__doc__ or ""
    bases = ", ".join(base.__name__ for base in class_.__bases__ if base is not object)
    head = f"class {class_.__name__}({bases}):" if issubclass(class_, Exception) else ""
    made = ""
    if ":param" in doc:
        made = _write_signature(t.cast("t.Any", class_).__init__)
        head = head or f"class {class_.__name__}:"
    code = f"{head}\n{textwrap.indent(made, '    ')}" if made else f"{head} ..."
    text = write_markdown(inspect.cleandoc(doc)) + "\n"
    return f"```python\n{code}\n```\n\n{text}" if head else text


def _write_rows(class_: type, members: cabc.Mapping[str, Entry]) -> str:
    """Return a table of the properties of a class, or of the fields of a record."""
    rows = [
        (
            member.path.rpartition(".")[2],
            _hint(getter, parse(getter).returns),
            inspect.getdoc(getter) or "",
        )
        for member in members.values()
        if isinstance(member.object, property) and (getter := member.object.fget)
    ]
    has_fields = hasattr(class_, "__struct_fields__") or dataclasses.is_dataclass(class_)
    if has_fields or issubclass(class_, tuple):
        space = vars(sys.modules[class_.__module__])
        nodes_ = [
            (field, ast.parse(field.annotation, mode="eval")) for field in iter_fields(class_)
        ]
        rows += [(field.name, _unparse(node.body, space), field.text) for field, node in nodes_]
    has_text = any(text for _, _, text in rows)
    lines = ["| Attribute | Type | Meaning |" if has_text else "| Attribute | Type |"]
    lines += ["|---|---|---|" if has_text else "|---|---|"]
    for name, hint, text in rows:
        cells = [f"`{name}`", f"`{hint}`", write_markdown(text)]
        escaped = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(escaped[: 3 if has_text else 2])} |")
    return "\n".join([*lines, ""]) if rows else ""


def _write_member(function: object) -> str:
    for title, entry in ENTRIES.items():
        if entry.kind == "function" and entry.object is function:
            return f"The same as {write_link(title)}.\n"
    return _write_function(function) + "\n"


def _write_function(function: t.Any) -> str:
    signature = _write_signature(function)
    return f"```python\n{signature}\n```\n\n{write_markdown(inspect.getdoc(function) or '')}"


def _write_signature(function: t.Any) -> str:
    """Return the ``def`` of a function without its body; long ones with a line an argument."""
    node = parse(function)
    if "self" in inspect.signature(function).parameters and node.name != "__init__":
        del (node.args.posonlyargs or node.args.args)[0]
    for arg in ast.walk(node.args):
        if isinstance(arg, ast.arg) and arg.annotation:
            arg.annotation = ast.Name(_hint(function, arg.annotation))
    parts = [
        re.sub(r"^(\w+: .*?)=", r"\1 = ", part).replace("dt.timedelta", "timedelta")
        for part in re.split(r", (?![^\[]*\])(?![^(]*\))", ast.unparse(node.args))
    ]
    end = f") -> {_hint(function, node.returns)}: ..."
    line = f"def {node.name}({', '.join(parts)}{end}"
    if len(line) > WIDTH:
        line = f"def {node.name}(\n" + "".join(f"    {part},\n" for part in parts) + end
    return line.replace("'", '"')


def _hint(function: t.Any, node: ast.expr) -> str:
    return _unparse(node, function.__globals__)


def _unparse(node: ast.expr, space: cabc.Mapping[str, t.Any]) -> str:
    """Return an annotation, with the package's own names for unions written out."""

    def spell(match: re.Match[str]) -> str:
        if hasattr(errors, match[0]):  # the codes, which the page of the HTTP API lists
            return match[0]
        value = _resolve(match[0], space)
        is_alias = t.get_origin(value) in {t.Literal, t.Union, types.UnionType}
        return repr(value) if is_alias else match[0]

    text = re.sub(r"(?<![\w.'])[A-Z_]\w*(?![\w'])", spell, ast.unparse(node))
    text = re.sub(r"\b(t|typing|cabc|dt|datetime|uuid|uuidlib|reports)\.(?=[A-Za-z])", "", text)
    return re.sub(r"\b_([A-Z])\b", r"\1", text).replace("'", '"')


def _resolve(name: str, space: cabc.Mapping[str, t.Any]) -> t.Any:
    try:
        return eval(name, dict(space))  # noqa: S307 - an annotation of our own source
    except NameError:  # imported for type checkers only
        return None


# reStructuredText of docstrings, as far as they use it, becomes Markdown.


def write_markdown(text: str) -> str:
    """Return a docstring as Markdown: literal blocks, fields, roles and links to entries."""
    text = re.sub(r"^::\n\n((?: {4}.*\n|\n)+?)(?=\S|\Z)", _write_code, text + "\n", flags=re.M)
    body, *fields = re.split(r"^:(?=param |returns?:|raises )", text, flags=re.MULTILINE)
    items = "\n".join(_write_field(field) for field in fields)
    text = re.sub(r":\w+:`~?([\w.]+)`", r"``\1``", f"{body.strip()}\n\n{items}".strip())
    return re.sub(
        r"(?<!`)``(?!`)(.+?)``(?!`)", lambda match: write_link(match[1]), text, flags=re.DOTALL
    )


def _write_code(match: re.Match[str]) -> str:
    code = re.sub(r" {2,}#", "  #", textwrap.dedent(match[1]).strip())  # as ruff formats pages
    return f"```python\n{code}\n```\n\n"


def _write_field(field: str) -> str:
    head, _, text = field.partition(":")
    kind, _, name = head.partition(" ")
    text = "\n".join(["", *(f"  {line.strip()}" for line in text.strip().splitlines())]).strip()
    label = {"param": f"`{name}`: ", "raises": f"Raises ``{name}``: "}.get(kind, "Returns ")
    return f"- {label}{text}"


def write_link(name: str) -> str:
    """Return a name as code, and as a link where it has an entry."""
    name = " ".join(name.split())
    found = [k for k in LINKS if name in {k, k.removesuffix("()")}]
    found += [k for k, entry in ENTRIES.items() if entry.path == name]
    found += [k for k in LINKS if k.endswith(f".{name}")]
    found += [k for k in LINKS if k == name.rpartition(".")[0] and k in ENTRIES]
    return (
        f"[`{name.removeprefix('flask_eventtrack.')}`]({LINKS[found[0]]})" if found else f"`{name}`"
    )


def _slug(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _page_of(entry: Entry) -> str:
    module = entry.path.split(".")[1]
    return module if module in {"errors", "signals"} else "python-api"


SETTINGS = read_settings()
ENTRIES = dict(iter_entries())
LINKS = {name: f"settings.md#{_slug(name)}" for name in SETTINGS}
LINKS |= {
    title: f"{_page_of(entry)}.md#{_slug(title)}"
    for title, entry in ENTRIES.items()
    if entry.kind not in {"module", "property"}
}


def write_page(page: pathlib.Path) -> str:
    """Return the text of a page with its entries as the source has them now."""

    def write(match: re.Match[str]) -> str:
        name = match[2]
        entry = write_setting(name) if name in SETTINGS else write_name(name)
        entry = entry.rstrip().replace(f"]({page.name}#", "](#")
        return f"{match[1]}\n{entry}\n\n{match[3]}"

    return _BLOCK.sub(write, page.read_text())


def main() -> None:
    """Write the pages."""
    for page in PAGES.glob("*.md"):
        page.write_text(write_page(page))


def setup(app: Sphinx) -> dict[str, t.Any]:
    """Have headings note themselves as targets."""
    app.connect("doctree-read", _note_entries)
    return {"version": "1", "parallel_read_safe": True}


def _note_entries(app: Sphinx, doctree: nodes.document) -> None:
    from docutils import nodes

    page = app.env.docname.removeprefix("reference/")
    domains = app.env.domains
    for section in doctree.findall(nodes.section):
        title, id_ = section[0].astext(), section["ids"][0]
        if LINKS.get(title, "").partition(".md#")[0] != page:
            continue
        if title in SETTINGS:
            domains.standard_domain.note_object("confval", title, id_, location=section)
        else:
            kind, path, _ = ENTRIES[title]
            domains.python_domain.note_object(path, kind, id_, location=section)


if __name__ == "__main__":
    main()
