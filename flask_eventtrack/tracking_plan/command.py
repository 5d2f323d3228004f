"""The commands of ``flask eventtrack catalogue``."""

from __future__ import annotations

import collections.abc as cabc
import json
import pathlib
import sys
import typing as t

import click
from flask.cli import AppGroup

from ..catalogue.schema import describe_catalogue
from ..errors import ConfigError
from ..state import State, get_state
from ..text import escape, quantify
from .compare import Change, compare
from .markdown import write_markdown
from .python_stub import write_python
from .snapshot import FILE, describe_own, read_snapshot, write_snapshot
from .typescript import write_typescript
from .usage_command import draft_command, usage

catalogue_cli: AppGroup = AppGroup(
    "catalogue",
    help="Look after the definitions of this app's events.",
    context_settings={"show_default": True},
)
catalogue_cli.add_command(usage)
catalogue_cli.add_command(draft_command)


def _write_json(state: State) -> str:
    return json.dumps(describe_catalogue(state.catalogue), indent=2, ensure_ascii=False) + "\n"


def _write_python(state: State) -> str:
    return write_python(state.catalogue, takes_any=state.config.undefined_events == "store")


_FORMATS: dict[str, cabc.Callable[[State], str]] = {
    "typescript": lambda state: write_typescript(state.catalogue),
    "jsonschema": _write_json,
    "python": _write_python,
    "markdown": lambda state: write_markdown(each for each in state.catalogue if not each.builtin),
}


@catalogue_cli.command()
@click.option("--format", "kind", type=click.Choice(list(_FORMATS)), required=True, help="As what.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="The file to write to.  [default: -]",
)
def export(*, kind: str, output: pathlib.Path | None) -> None:
    """Write the definitions for other tools: compilers, editors, and the team."""
    text = _FORMATS[kind](get_state())
    if output is None or output == pathlib.Path("-"):
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"The file cannot be written: {error}.") from None
    click.echo(f"{output} is written.", err=True)


class _FileProblem(click.ClickException):
    """The committed file is missing, or cannot be read or written."""

    exit_code = 2


@catalogue_cli.command()
@click.option(
    "--file",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    default=FILE,
    help="The committed catalogue.",
)
@click.option("--update", is_flag=True, help="Write the file anew, whatever has changed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(*, file: pathlib.Path, update: bool, as_json: bool) -> None:
    """Compare the definitions with the committed file; the exit status is 1 if a change breaks.

    It is 2 if the file is missing, or cannot be read or written.

    A change breaks if events that were taken before may be refused now. Run it in CI, and commit
    the file together with the definitions.
    """
    now = describe_own(get_state().catalogue)
    try:
        changes = compare(_read_committed(file, update=update), now)
        if update:
            write_snapshot(file, now)
    except FileNotFoundError:
        raise _FileProblem(f"There is no {file}: write it with --update.") from None
    except (OSError, ConfigError) as error:
        raise _FileProblem(f"{error}") from None
    breaking = [each for each in changes if each.is_breaking]
    if as_json:
        click.echo(json.dumps({"changes": [each._asdict() for each in changes]}))
    else:
        _show(changes)
        if update:
            click.echo(f"{file} is written: {quantify(len(now), 'definition')}.")
        elif changes:
            click.echo(_say_what_to_do(len(breaking)))
    sys.exit(bool(breaking) and not update)


def _read_committed(file: pathlib.Path, *, update: bool) -> dict[str, dict[str, t.Any]]:
    """Return the committed definitions; none if the file is written anew and has none."""
    try:
        return read_snapshot(file)
    except (FileNotFoundError, ConfigError):
        if update:
            return {}
        raise


def _say_what_to_do(breaking: int) -> str:
    if not breaking:
        return "Nothing breaks. Commit the changes with --update."
    verb, them = ("breaks", "it") if breaking == 1 else ("break", "them")
    count = quantify(breaking, "change")
    return f"{count} {verb} senders. Undo {them}, or accept {them} with --update."


def _show(changes: list[Change]) -> None:
    if not changes:
        click.echo("Nothing has changed.")
    for each in sorted(changes, key=lambda change: not change.is_breaking):
        mark = click.style("breaks ", fg="red") if each.is_breaking else "changes"
        where = each.action if each.param is None else f"{each.action}, {each.param}"
        click.echo(f"{mark}  {escape(where)}: {escape(each.sentence)}.")
