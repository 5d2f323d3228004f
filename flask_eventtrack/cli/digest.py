"""The command that prints a digest, for a mail program or to look at."""

from __future__ import annotations

import email.message
import typing as t

import click
from flask.cli import with_appcontext

from ..digest import Every
from ..digest.making import Digest, digest


@click.command("digest")
@click.option(
    "--period",
    type=click.Choice(["day", "week", "month"]),
    default="week",
    help="The last whole one is meant.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "html", "mail"]),
    default="text",
    help="A mail has both, and the subject.",
)
@click.option("--once", is_flag=True, help="Print nothing if it was asked for with --once before.")
@with_appcontext
def digest_command(*, period: Every, form: t.Literal["text", "html", "mail"], once: bool) -> None:
    """Print the last whole day, week or month as a mail: its numbers and its top rows."""
    made = digest(period, once=once)
    if made is None:
        click.echo(f"The digest of this {period} was made before.", err=True)
        return
    if form == "mail":
        click.echo(_write_mail(made), nl=False)
    else:
        click.echo(made.text if form == "text" else made.html)


def _write_mail(made: Digest) -> bytes:
    message = email.message.EmailMessage()
    message["Subject"] = made.subject
    message.set_content(made.text)
    message.add_alternative(made.html, subtype="html")
    return message.as_bytes()
