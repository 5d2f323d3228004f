"""Imports the modules that define a host's events."""

from __future__ import annotations

import collections.abc as cabc
import importlib

from ..errors import ConfigError


def load_definitions(names: cabc.Iterable[str]) -> None:
    """Import modules; those that are imported already stay as they are.

    :raises ConfigError: there is no such module. What a module itself raises is raised.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):  # one that the module imports
                raise
            raise _no_module(name) from error
        except TypeError as error:
            if not name.startswith("."):
                raise
            raise _no_module(name) from error


def _no_module(name: str) -> ConfigError:
    return ConfigError(f"EVENTTRACK_DEFINITIONS names {name!r}, and there is no such module.")
