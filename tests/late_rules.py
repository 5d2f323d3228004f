"""Has Werkzeug compile what builds the URL of a rule when the first one is built.

That is a third of what an app takes to make. Thousands of tests make one, and build few URLs.
"""

from __future__ import annotations

import functools
import typing as t

from werkzeug.routing import Rule

Build = t.Callable[..., tuple[str, str]]


def install() -> None:
    """Do so in this process, with the releases of Werkzeug that compile it in ``bind()``."""
    compile_now: t.Callable[..., Build] | None = getattr(Rule, "_compile_builder", None)
    if compile_now is None:
        return

    def compile_late(rule: Rule, append_unknown: bool = True) -> Build:
        find = functools.cache(lambda: compile_now(rule, append_unknown))
        return lambda self, **values: find()(self, **values)

    setattr(Rule, "_compile_builder", compile_late)  # noqa: B010
