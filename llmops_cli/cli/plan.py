"""`llmops plan serve|compare|check|fit|train`."""

from __future__ import annotations

import math
from pathlib import Path

import typer

from llmops_cli.cli.options import Given, in_groups, recipe_command
from llmops_cli.cli.settings import RECIPE
from llmops_cli.cli.values import CommandLine
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.train.recipe import TrainRecipe

group = CommandLine(
    help="Memory, speed and cost of a model before any is spent, with error bands.",
)
ANY_DATA = "demo"
"""What training needs depends on the lengths of rows and not on what they say."""
JSON = typer.Option(False, "--json", help="Print the figures on stdout and nothing else.")


def register(app: typer.Typer) -> None:
    group.command("serve")(recipe_command(serve, PlanRecipe))
    group.command("train", cls=in_groups(TrainRecipe))(recipe_command(train, TrainRecipe))
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


def train(given: Given, *, recipe: Path = RECIPE, as_json: bool = JSON) -> None:
    """What training needs under each strategy, and which one is chosen: train --dry-run."""
    from llmops_cli.cli.settings import resolved
    from llmops_cli.cli.train import tell_needs

    if recipe is None:
        given.setdefault("data", ANY_DATA)
    asked = resolved(TrainRecipe, given, command="train", file=recipe)
    tell_needs(asked, None, as_json=as_json)


@group.command()
def compare(
    model: str = typer.Argument(help="A folder, a config.json, a .gguf file, or a public name."),
    gpu: str = typer.Option(help="Cards, with commas: h100,l40s,a100-40."),
    quant: str = typer.Option(None, help="Formats, with commas: BF16,FP8,AWQ-INT4."),
    engine: str = typer.Option(None, help="Engines, with commas: vllm,llamacpp."),
    context: int = typer.Option(4096, min=1, help="Tokens of a request, prompt and answer."),
    concurrency: int = typer.Option(16, min=1, help="Clients with one request at a time."),
    output: Path = typer.Option(None, "-o", "--output", help="An HTML page with plots."),
    as_json: bool = JSON,
) -> None:
    """Cards, formats and engines for one model, the cheapest first."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.plan.compare import COLUMNS, compare_plans

    recipe = PlanRecipe(model=model, context=context, concurrency=concurrency)
    details = compare_plans(
        recipe,
        gpus=_parts(gpu),
        quants=_parts(quant) or [None],
        engines=_parts(engine) or [None],
    )
    if output is not None:
        from llmops_cli.plan.page import plan_page
        from llmops_cli.runtime.files import write_atomic

        write_atomic(output, plan_page(details).encode())
    if as_json:
        print_json([{"title": each.title, **each.plan.figures()} for each in details])
        return
    from llmops_cli.plan.show import plans_table

    print_table(plans_table(details, COLUMNS))


def _parts(text: str | None) -> list[str]:
    return [] if text is None else [each.strip() for each in text.split(",") if each.strip()]


@group.command()
def fit(
    results: list[Path] = typer.Argument(help="Folders of bench runs, or their report.json."),
    output: Path = typer.Option("plan-fit.json", "-o", "--output", help="What is written."),
    model: str = typer.Option(None, help="The model, where the runs' name is not readable here."),
    quant: str = typer.Option(None, help="Its format, likewise."),
    gpu: str = typer.Option(None, help="The card, where the runs do not name it."),
    as_json: bool = JSON,
) -> None:
    """Learn what this machine reaches from bench runs; `plan serve --fitted FILE` uses it."""
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.plan.fit import fit_results
    from llmops_cli.plan.fitted import write_fit

    found = fit_results(results, model=model, gpu=gpu, quant=quant)
    write_fit(output, found)
    if as_json:
        print_json(found)
        return
    for each in found.groups:
        say(
            f"{each.engine} on {each.machine}, {each.quantity}: {math.exp(each.shift):.2f} of what "
            f"arithmetic says, within {each.spread:.0%}, from {each.count} levels"
        )
    say(f"written: {output}")


@group.command()
def check(
    references: Path = typer.Argument(help="A JSON list of published values."),
    fit_on: str = typer.Option(
        None, "--fit", help="Calibrate on rows of these sources only (parts of their names)."
    ),
    as_json: bool = JSON,
) -> None:
    """Predict published values, and count how often the bands hold them."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.plan.check import check_references

    sources = None if fit_on is None else _parts(fit_on)
    report = check_references(references, fit_sources=sources)
    if as_json:
        print_json(report)
        return
    from llmops_cli.plan.show import check_table

    print_table(check_table(report.by_quantity))
    for row in report.rows:
        if row.missing is not None:
            say(f"- {row.quantity}: {row.missing}")
