"""`llmops plan serve|compare|check|fit|train`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.cli.settings import RECIPE
from llmops_cli.cli.values import CommandLine
from llmops_cli.plan.recipe import PlanRecipe

group = CommandLine(
    help="Memory, speed and cost of a model before any is spent, with error bands.",
    no_args_is_help=True,
)
JSON = typer.Option(False, "--json", help="Print the figures on stdout and nothing else.")


def register(app: typer.Typer) -> None:
    group.command("serve")(recipe_command(serve, PlanRecipe))
    app.add_typer(group, name="plan")


def serve(
    given: Given,
    *,
    recipe: Path = RECIPE,
    explain: bool = typer.Option(
        False, "--explain", help="Say the formula and the source of each figure."
    ),
    output: Path = typer.Option(None, "-o", "--output", help="An HTML page with plots."),
    as_json: bool = JSON,
) -> None:
    """What a model on these cards needs, how fast it is and what it costs."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.plan.run import plan_serve

    found = resolved(PlanRecipe, given, command="plan", file=recipe)
    detail = plan_serve(found.recipe)
    if output is not None:
        from llmops_cli.plan.page import plan_page
        from llmops_cli.runtime.files import write_atomic

        write_atomic(output, plan_page([detail]).encode())
    if as_json:
        print_json(detail.plan)
        return
    from llmops_cli.plan.show import plan_table

    print_table(plan_table(detail, explains=explain))
    for line in (*detail.advice, *detail.notes):
        say(f"- {line}")


@group.command()
def check(
    references: Path = typer.Argument(help="A JSON list of published values."),
    fit: str = typer.Option(
        None, "--fit", help="Calibrate on rows of these sources only (parts of their names)."
    ),
    as_json: bool = JSON,
) -> None:
    """Predict published values, and count how often the bands hold them."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.plan.check import check_references

    sources = None if fit is None else [each.strip() for each in fit.split(",") if each.strip()]
    report = check_references(references, fit_sources=sources)
    if as_json:
        print_json(report)
        return
    from llmops_cli.plan.show import check_table

    print_table(check_table(report.by_quantity))
    for row in report.rows:
        if row.missing is not None:
            say(f"- {row.quantity}: {row.missing}")
