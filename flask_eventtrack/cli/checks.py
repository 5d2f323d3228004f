"""Commands that say how things are, and change nothing."""

from __future__ import annotations

import sys

import click
import msgspec
from flask.cli import with_appcontext

from ..doctor import examine
from ..pipeline.health import examine as examine_health
from ..privacy.report import SOURCES, compare
from ..state import get_state, this_app
from ..text import escape
from ..tracking_plan.limits import read_limits


@click.command("definitions")
@with_appcontext
def definitions() -> None:
    """List the events that are defined, with their parameters."""
    for definition in get_state().catalogue:
        sender = "anyone" if definition.anonymous else "customers"
        marks = "server only" if definition.server_only else sender
        marks += ", built in" if definition.builtin else ""
        click.echo(f"{click.style(definition.action, bold=True)}  ({marks})")
        if definition.label:
            click.echo(f"    {escape(definition.label)}")
        limits = read_limits(definition)
        for name, kind in definition.types.items():
            limit = f", {limits[name]}" if name in limits else ""
            click.echo(f"    {escape(name)}: {escape(kind + limit)}")


@click.command("privacy-report")
@with_appcontext
def privacy_report() -> None:
    """Compare the settings with what exemptions for audience measurement ask.

    These are exemptions from asking for consent, in France and in Britain.
    """
    state = get_state()
    own = [definition.action for definition in state.catalogue if not definition.builtin]
    criteria = compare(state.config, state.catalogue.keeps(), own)
    click.echo(f"EVENTTRACK_PRIVACY: {state.config.privacy or 'not set'}\n")
    colours = {"met": "green", "not met": "red", "not seen": "yellow"}
    for each in criteria:
        result = click.style(f"{each.result:<8}", fg=colours[each.result])
        click.echo(f"{result}  {each.title} ({', '.join(each.sources)})")
        click.echo(f"          {each.detail}")
    click.echo("\nSources:")
    for name, (title, *urls) in SOURCES.items():
        click.echo("\n".join([f"{name}  {title}", *(f"    {url}" for url in urls)]))
    click.echo(
        "\nThis compares settings, and is no legal advice. It does not see your pages, your "
        "privacy policy,\nwhat your own events record, or what is done with the data. Other "
        "countries have other rules."
    )


@click.command("doctor")
@with_appcontext
def doctor() -> None:
    """Report what is misconfigured; the exit status is 1 if there is an error."""
    findings = examine(this_app(), get_state())
    for finding in findings:
        colour = {"error": "red", "warning": "yellow", "note": "green"}[finding.level]
        click.echo(
            f"{click.style(finding.id, fg=colour)} {finding.level}: {escape(finding.sentence)}"
        )
        click.echo(f"      {escape(finding.hint)}")
    if all(finding.level == "note" for finding in findings):
        click.echo("Everything is in order.")
    sys.exit(any(finding.level == "error" for finding in findings))


@click.command("health")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_appcontext
def health(*, as_json: bool) -> None:
    """Report how writing events goes; the exit status is 1 if they wait for too long.

    It reads the journals of all processes on this machine, and asks no database.
    """
    state = get_state()
    journal = state.journal if state.pipeline.has_journal else None
    found = examine_health(state.pipeline, journal, state.config.flush_interval)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        oldest = "nothing waits" if found.oldest is None else f"{found.oldest:.0f} s"
        click.echo("Events are written." if found.is_well else "Events wait for too long.")
        click.echo(f"Bytes that wait:    {found.bytes}")
        click.echo(f"Oldest record:      {oldest}")
        click.echo(f"Last commit:        {found.last_commit or 'unknown'}")
        click.echo(f"Orphaned journals:  {found.orphans}")
    sys.exit(not found.is_well)
