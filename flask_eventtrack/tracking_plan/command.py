"""The commands of ``flask eventtrack catalogue``."""

from __future__ import annotations

from flask.cli import AppGroup

from .usage_command import draft_command, usage

catalogue_cli: AppGroup = AppGroup(
    "catalogue",
    help="Look after the definitions of this app's events.",
    context_settings={"show_default": True},
)
catalogue_cli.add_command(usage)
catalogue_cli.add_command(draft_command)
