"""Imports the modules that define a host's events."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import importlib.util

from ..errors import ConfigError


def load_definitions(names: cabc.Iterable[str]) -> None:
    """Import modules; those that are imported already stay as they are.

    :raises ConfigError: there is no such module. What a module itself raises is raised.
    """
    for name in names:
        try:
            is_there = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):  # a package above it is missing, or is no package
            is_there = False
        if not is_there:
            raise ConfigError(
                f"EVENTTRACK_DEFINITIONS names {name!r}, and there is no such module."
            )
        importlib.import_module(name)
