"""The ``setting`` directive: an entry of the reference, read off the settings' own source.

Name, type, default and sentence come from :mod:`flask_eventtrack.config`; the directive's content
follows them. ``{confval}`` refers to an entry.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing as t

from sphinx.domains.std import ConfigurationValue

from flask_eventtrack import config

if t.TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class Setting(t.NamedTuple):
    """A field of ``Config``: the type and default as written, and the docstring below it."""

    name: str
    type: str
    default: str
    text: str


def read_settings() -> dict[str, Setting]:
    """Return every setting by its full name, in the order of the source."""
    [class_] = ast.parse(textwrap.dedent(inspect.getsource(config.Config))).body
    assert isinstance(class_, ast.ClassDef)  # noqa: S101 - for the type checker
    found = {}
    for field, text in zip(class_.body, class_.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            name = config.PREFIX + ast.unparse(field.target).upper()
            found[name] = Setting(
                name,
                _write_type(ast.unparse(field.annotation)),
                _write_default(t.cast("ast.Call", field.value).args[0]),
                inspect.cleandoc(ast.literal_eval(text.value)),
            )
    return found


_TYPES = {
    "KeySources": "str, bytes or path, dict of str to these, or list of these",
    "MaskRules": "list of compiled patterns and callables",
    "PageVisitFilter": "a callable without arguments that returns bool",
    "RateLimit": "two numbers",
    "SitePatterns": "list of str, or dict of str to list of str",
    "dt.timedelta": "timedelta, or a number of seconds",
    "tuple[str, ...]": "list of str",
}


def _write_type(annotation: str) -> str:
    parts = annotation.replace("t.Literal[", "").replace("]", "") if "Literal" in annotation else ""
    names = (parts.replace(",", " |") if parts else annotation).split(" | ")
    return " or ".join(_TYPES.get(name.strip(), name.strip()) for name in names).replace("'", '"')


def _write_default(value: ast.expr) -> str:
    text = ast.unparse(value)
    if text.isupper():
        return repr(list(getattr(config, text)))
    return text.replace("dt.", "").replace("'", '"')


class SettingDirective(ConfigurationValue):
    """``{setting} EVENTTRACK_NAME``."""

    def run(self) -> list[nodes.Node]:
        self.name = "std:confval"  # Sphinx's own kind of entry, with its role and its index
        setting = read_settings()[self.arguments[0]]
        for line in reversed(["", *setting.text.splitlines(), ""]):
            self.content.insert(0, line, "flask_eventtrack/config.py", 0)
        self.options["type"] = f"`{setting.type}`"
        self.options["default"] = f"`{setting.default}`"
        return super().run()


def setup(app: Sphinx) -> dict[str, t.Any]:
    """Register the directive."""
    app.add_directive("setting", SettingDirective)
    return {"version": "1", "parallel_read_safe": True}
