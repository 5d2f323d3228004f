"""What several commands have."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

import click

from ..store.erasure import Erased
from ..store.retention import Pruned
from ..text import quantify

#: Adds an option to a command.
Decorator = cabc.Callable[[t.Any], t.Any]

dry_run_option: Decorator = click.option(
    "--dry-run", is_flag=True, help="Change nothing; print the numbers only."
)


def describe_rows(rows: Erased | Pruned, *nouns: str) -> str:
    """Return the first numbers of a record with their nouns: "3 events and 1 session"."""
    *first, last = map(quantify, dataclasses.astuple(rows), nouns)
    return f"{', '.join(first)} and {last}"
