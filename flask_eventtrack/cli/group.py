"""The group of all commands, each of which is imported when it is run or listed."""

from __future__ import annotations

import importlib
import typing as t

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import OperationalError, ProgrammingError

from ..errors import InvalidEvent, ReportError, ReportUnavailable
from ..state import find_state
from ..store.schema import explain
from ..text import escape

# By its name: the room or module, and what a command is called in it.
_COMMANDS = {
    "archive": "cli.archive:archive",
    "catalogue": "tracking_plan.command:catalogue_cli",
    "clear-names": "cli.upkeep:clear_undefined",
    "copy": "cli.copy:copy",
    "definitions": "cli.checks:definitions",
    "demo-data": "demo.command:demo_data",
    "digest": "cli.digest:digest_command",
    "doctor": "cli.checks:doctor",
    "export": "cli.people:export",
    "export-events": "cli.export_events:export_events",
    "feed": "cli.feed:feed",
    "forget": "cli.people:forget",
    "funnel": "cli.funnel:funnel",
    "health": "cli.checks:health",
    "init-db": "cli.upkeep:init_db",
    "mcp": "cli.mcp:mcp",
    "opt-in": "cli.people:opt_in",
    "opt-out": "cli.people:opt_out",
    "privacy-report": "cli.checks:privacy_report",
    "prune": "cli.upkeep:prune",
    "quality": "cli.numbers:quality",
    "rebuild-reports": "cli.upkeep:rebuild_reports",
    "stats": "cli.numbers:stats",
    "stream": "cli.stream:stream",
    "sweep": "cli.upkeep:sweep",
    "tail": "cli.tail:tail",
    "top": "cli.numbers:top",
    "unmerge": "cli.people:unmerge",
    "upgrade": "cli.upkeep:upgrade_command",
    "worker": "cli.stream:worker",
}


class _WrongQuestion(click.ClickException):
    """A report was asked for something that does not exist."""

    exit_code = 2


class _Group(AppGroup):
    """Reports a wrong argument or a problem with the database in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = importlib.import_module(f"flask_eventtrack.{module}")
        command: click.Command = getattr(found, name)
        return command

    def invoke(self, ctx: click.Context) -> t.Any:
        try:
            return super().invoke(ctx)
        except InvalidEvent as error:
            raise click.BadParameter(escape(error), ctx) from None
        except ReportError as error:
            raise _WrongQuestion(escape(error)) from None
        except ReportUnavailable as error:
            raise click.ClickException(escape(error)) from None
        except (OperationalError, ProgrammingError) as error:
            raise click.ClickException(escape(_explain(ctx, error))) from None


def _explain(ctx: click.Context, error: OperationalError | ProgrammingError) -> str:
    state = find_state(ctx.ensure_object(ScriptInfo).load_app())
    found = state and explain(state.pipeline.database, error, state.pipeline.writer.now)
    return found or f"{error.orig}"


eventtrack_cli: AppGroup = _Group(
    "eventtrack", help="Look after the events of this app.", context_settings={"show_default": True}
)
