"""The command that prints a funnel."""

from __future__ import annotations

import typing as t

import click
from flask.cli import with_appcontext

from ..dashboard.dimensions import name_field
from ..dashboard.explore.composing import name_page
from ..dashboard.explore.funnel_words import (
    DrawnStep,
    draw_rows,
    draw_steps,
    list_lines,
    write_lead,
)
from ..dashboard.explore.funnels import list_pairs
from ..dashboard.explore.saving import read_saved
from ..dashboard.figures import quantify, write_count, write_percent
from ..dashboard.query import Query
from ..errors import ReportError
from ..reports.explore.plan import Per, Plan
from ..reports.explore.rows import Funnel
from ..state import State, get_state
from ..text import escape
from .asking import format_option, question_options, read_question
from .printing import WIDTH, print_csv, print_json, print_notices, print_question, print_table


@click.command("funnel")
@click.argument("steps", metavar="STEP...", nargs=-1)
@click.option("--where", multiple=True, help="A condition on a step, such as 1:is:sku:mug.")
@click.option("--without", "not", multiple=True, help="An event or page that ends an attempt.")
@click.option("--within", metavar="TIME", help="How long an attempt may take.  [default: 7d]")
@click.option(
    "--per", type=click.Choice(t.get_args(Per)), help="What is counted.  [default: person]"
)
@click.option("--same", metavar="PARAMETER", help="Has one value in all events of an attempt.")
@click.option("--by", metavar="DIMENSION", help="A row for each value, such as source.")
@click.option("--saved", metavar="NAME", help="A funnel saved on the page, in place of steps.")
@question_options
@format_option
@with_appcontext
def funnel(*, steps: tuple[str, ...], saved: str | None, form: str, **asked: t.Any) -> None:
    """Print how many went from one STEP to the next, and where the others stopped.

    A STEP is an event such as product.view, or a page such as page:/checkout.
    """
    state = get_state()
    if steps and saved is not None:
        raise click.UsageError("Give steps or --saved, not both.")
    own = {name: asked.pop(name) for name in ("where", "not", "within", "per", "same", "by")}
    query = read_question(state, **asked)
    pairs = [("step", name_page(each)) for each in steps]
    if saved is not None:
        pairs += _find_saved(state, saved)
    for name, given in own.items():
        values = given if isinstance(given, tuple) else filter(None, [given])
        pairs += [(name, name_page(each) if name == "not" else each) for each in values]
    plan, by = Plan.parse(pairs), dict(pairs).get("by")
    found = state.reports.funnel_of(plan, query.period, query.filter, by=by, sites=query.sites)
    if form == "json":
        print_json(found)
    elif form == "csv":
        print_csv(list_lines(plan, found))
    else:
        _print(query, plan, found)


def _find_saved(state: State, name: str) -> list[tuple[str, str]]:
    saved = {row.name: row for row in read_saved(state, "funnel")}
    if name not in saved:
        names = ", ".join(map(repr, sorted(saved))) or "none"
        raise ReportError(f"There is no saved funnel {name!r}. There are: {names}.")
    return list(list_pairs(saved[name]))


def _print(query: Query, plan: Plan, found: Funnel) -> None:
    print_question(query)
    click.echo(click.wrap_text(escape(write_lead(plan, found)), WIDTH))
    print_notices(found.cut)
    click.echo()
    counted = "People" if plan.per == "person" else "Sessions"
    steps = draw_steps(query, plan, found, has_people=False)
    print_table(
        ("Step", counted, "Of first", "Of previous", "Lost", "Median"),
        [_list_cells(place, step) for place, step in enumerate(steps, 1)],
    )
    if found.by is not None:
        click.echo()
        _print_rows(query, found.by, found)


def _list_cells(place: int, step: DrawnStep) -> tuple[str, ...]:
    name = f"{place}. {step.name}{f' ({step.where})' if step.where else ''}"
    since = ("", "") if place == 1 else (step.of_before, step.median)
    return (
        name,
        write_count(step.number),
        step.share,
        since[0],
        step.lost.partition(" ")[0],
        since[1],
    )


def _print_rows(query: Query, by: str, found: Funnel) -> None:
    numbers = (f"{place}." for place in range(1, len(found.steps) + 1))
    rows = [
        (row.label, *map(write_count, row.counts), write_percent(row.share))
        for row in draw_rows(query, found)
    ]
    print_table((name_field(by), *numbers, "Reached the end"), rows)
    click.echo(f"{len(rows):,} of {quantify(found.rows_in_all, 'row')}.")
