"""The file with which the catalogue is compared: the app's own definitions, for its repository."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ..catalogue.definitions import Catalogue
from ..catalogue.schema import describe_definition
from ..errors import ConfigError

#: The name of the file, in the folder from which the command is called.
FILE: t.Final = "eventtrack.catalogue.json"
_VERSION = 1


def describe_own(catalogue: Catalogue) -> dict[str, dict[str, t.Any]]:
    """Return the app's own definitions by action. Built-in ones change with this package only."""
    return {d.action: describe_definition(d) for d in catalogue if not d.builtin}


def write_snapshot(path: pathlib.Path, definitions: dict[str, dict[str, t.Any]]) -> None:
    """Write a file of definitions, with sorted names, so that a diff of it is short."""
    document = {"version": _VERSION, "definitions": definitions}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def read_snapshot(path: pathlib.Path) -> dict[str, dict[str, t.Any]]:
    """Return the definitions in a file.

    :raises ConfigError: it is none of ours.
    :raises OSError: it cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version, definitions = document["version"], document["definitions"]
        is_ours = version == _VERSION and all("params" in each for each in definitions.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        is_ours = False
    if not is_ours:
        raise ConfigError(
            f"{path} is no catalogue of this release: write it anew with "
            "'flask eventtrack catalogue check --update'."
        )
    found: dict[str, dict[str, t.Any]] = definitions
    return found
