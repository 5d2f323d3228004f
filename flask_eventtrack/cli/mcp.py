"""The command that answers an assistant on this machine."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import sys
import typing as t

import click
from flask.cli import with_appcontext

from ..assistants.protocol import Answer, answer, refuse_length
from ..assistants.toolbox import Toolbox
from ..config import MAX_POST_BYTES
from ..request.access import OPERATOR
from ..state import get_state

_STDOUT = 1


@click.command("mcp")
@with_appcontext
def mcp() -> None:
    """Answer an assistant that has started this command.

    It reads messages of the Model Context Protocol from standard input, one on each line, and
    prints each answer on a line, until the input ends.
    """
    if sys.stdin is None:
        raise click.ClickException("Standard input is closed: there is nothing to answer.")
    tools = Toolbox(get_state(), OPERATOR)
    with _claim_output() as output:
        for line in _iter_lines(sys.stdin.buffer):
            said = refuse_length(MAX_POST_BYTES) if line is None else answer(line, tools)
            _write(output, said)


def _write(output: t.BinaryIO, said: Answer | None) -> None:
    if said is not None:
        output.write(said.body + b"\n")
        output.flush()


@contextlib.contextmanager
def _claim_output() -> cabc.Iterator[t.BinaryIO]:
    """Keep standard output for answers: all else that the app prints goes to standard error."""
    sys.stdout.flush()
    with os.fdopen(os.dup(_STDOUT), "wb") as output:
        os.dup2(sys.stderr.fileno(), _STDOUT)
        try:
            yield output
        finally:
            sys.stdout.flush()
            os.dup2(output.fileno(), _STDOUT)


def _iter_lines(lines: t.BinaryIO) -> cabc.Iterator[bytes | None]:
    """Yield the lines that are not empty; None stands for one that is too long."""
    while line := lines.readline(MAX_POST_BYTES + 1):
        is_whole = line.endswith(b"\n") or len(line) <= MAX_POST_BYTES
        while not line.endswith(b"\n") and (rest := lines.readline(MAX_POST_BYTES)):
            line = rest
        if not is_whole:
            yield None
        elif line.strip():
            yield line
