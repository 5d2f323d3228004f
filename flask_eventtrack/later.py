"""Functions whose modules are imported when they are first called."""

from __future__ import annotations

import collections.abc as cabc
import functools
import importlib
import typing as t


def imported_later(path: str) -> cabc.Callable[..., t.Any]:
    """Return a function that calls another, and has its name.

    :param path: the other's module in this package and its name, such as ``store.engine.open``.
    """
    module, _, name = path.rpartition(".")
    module = f"{__package__}.{module}"

    def call(*args: t.Any, **options: t.Any) -> t.Any:
        return _find(module, name)(*args, **options)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call


@functools.cache
def _find(module: str, name: str) -> cabc.Callable[..., t.Any]:
    function: cabc.Callable[..., t.Any] = getattr(importlib.import_module(module), name)
    return function
