"""Has Werkzeug compile what builds the URL of a rule when the first one is built.

That is a third of what an app takes to make. Thousands of tests make one, and build few URLs.
"""

from __future__ import annotations

import typing as t

from werkzeug.routing import Rule

Build = t.Callable[..., tuple[str, str]]


def install() -> None:
    """Do so in this process, with the releases of Werkzeug that compile it in ``bind()``."""
    compile_now: t.Callable[..., Build] | None = getattr(Rule, "_compile_builder", None)
    if compile_now is None:
        return

    def compile_late(rule: Rule, append_unknown: bool = True) -> Build:
        made: list[Build] = []

        def build(self: Rule, **values: t.Any) -> tuple[str, str]:
            if not made:
                made.append(compile_now(rule, append_unknown))
            return made[0](self, **values)

        return build

    setattr(Rule, "_compile_builder", compile_late)  # noqa: B010
