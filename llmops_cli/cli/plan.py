"""`llmops plan serve|layouts|compare|cost|gpus|models|check|fit|train`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import typer

from llmops_cli.cli.late import add_late
from llmops_cli.cli.options import Function, Given, in_groups, recipe_command
from llmops_cli.cli.settings import RECIPE
from llmops_cli.cli.values import CommandLine
from llmops_cli.core.counted import counted
from llmops_cli.core.fields import Flag
from llmops_cli.plan.recipe import PlanRecipe

group = CommandLine(
    help="Memory, speed and cost of a model before any is spent, with error bands.",
)
ANY_DATA = "demo"
"""What training needs depends on the lengths of rows and not on what they say."""
COMPARED = {
    "gpu": Flag(help="Cards, with commas: h100,l40s,a100-40 (llmops plan gpus)."),
    "quant": Flag(help="Formats, with commas: BF16,FP8,AWQ-INT4.", default="as the model"),
    "engine": Flag(
        help="Engines, with commas: vllm,llamacpp.", default="llamacpp for GGUF, else vllm"
    ),
    "concurrency": Flag(help="Clients, each with one request at a time.", default="16"),
}
"""Flags that a comparison takes otherwise."""
LISTED = ("gpu", "quant", "engine")
"""Of them, those with several values."""
JSON = typer.Option(False, "--json", help="Print the figures on stdout and nothing else.")


def register(app: typer.Typer) -> None:
    for function in (serve, layouts, cost):
        _add(function)
    _add(compare, instead=COMPARED)
    add_late(group, train, _make_train)
    app.add_typer(group, name="plan")


def _add(function: Function, *, instead: Mapping[str, Flag] | None = None) -> None:
    def make(app: CommandLine) -> None:
        command = recipe_command(function, PlanRecipe, instead=instead)
        app.command(function.__name__)(command)

    add_late(group, function, make)


def _make_train(app: CommandLine) -> None:
    from llmops_cli.train.recipe import TrainRecipe

    app.command("train", cls=in_groups(TrainRecipe))(recipe_command(train, TrainRecipe))


def serve(
    given: Given,
    *,
    recipe: Path = RECIPE,
    explain: bool = typer.Option(
        False, "--explain", help="Say the formula and the source of each figure."
    ),
    output: Path = typer.Option(None, "-o", "--output", help="An HTML page with plots."),
    save: Path = typer.Option(
        None, help="A folder to keep it in, for llmops report show, html and compare."
    ),
    values: Path = typer.Option(
        None, help="A folder for gateway.yaml, bench.yaml and plan.json of what was planned."
    ),
    as_json: bool = JSON,
) -> None:
    """What a model on these cards needs, how fast it is and what it costs."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.plan.run import plan_serve

    found = resolved(PlanRecipe, given, command="plan", file=recipe)
    detail = plan_serve(found.recipe)
    if save is not None:
        from llmops_cli.plan.saved import keep
        from llmops_cli.runtime.manifest import RunClock
        from llmops_cli.show.runs import leave_page

        place = keep(save, found.recipe, found.origins, detail, RunClock())
        say(f"report: {place}    page: {leave_page(save)}")
    if values is not None:
        from llmops_cli.plan.values import write_values

        written = write_values(values, found.recipe, detail.plan)
        for place in written.paths:
            say(f"written: {place}")
        for note in written.notes:
            say(f"- {note}")
    if output is not None:
        from llmops_cli.plan.page import plan_page
        from llmops_cli.runtime.files import write_atomic

        write_atomic(output, plan_page([detail]).encode())
    if as_json:
        print_json(detail.plan)
    else:
        from llmops_cli.plan.show import PLAN_FOLDS, plan_table
        from llmops_cli.show.tables import Narrowed

        table = plan_table(detail, explains=explain)
        print_table(Narrowed(table, wraps=explain, folds=() if explain else PLAN_FOLDS))
    advice = () if as_json and detail.keeps_slo is None else detail.advice
    for line in (*advice, *detail.notes):
        say(f"- {line}")


def layouts(given: Given, *, recipe: Path = RECIPE, as_json: bool = JSON) -> None:
    """Every way to spread the model over the cards, the one to take first."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.plan.layouts import choose, layout_rows
    from llmops_cli.plan.report import LayoutReport

    found = resolved(PlanRecipe, given, command="plan", file=recipe)
    choice = choose(found.recipe)
    report = LayoutReport(reason=choice.reason, layouts=layout_rows(choice))
    if as_json:
        print_json(report)
        return
    from llmops_cli.plan.show import LAYOUTS_DROPPABLE, layouts_table
    from llmops_cli.show.tables import Narrowed

    print_table(Narrowed(layouts_table(report.layouts), droppable=LAYOUTS_DROPPABLE))
    say(f"- {report.reason}")


def cost(
    given: Given,
    *,
    recipe: Path = RECIPE,
    traffic: Path = typer.Option(
        None, help="Requests an hour as a YAML or JSON list, or a trace (.csv, .jsonl)."
    ),
    requests_per_day: float = typer.Option(None, help="The same in each hour."),
    lost_share: float = typer.Option(
        0.05, min=0, max=0.9, help="Of spot hours, what interruptions cost."
    ),
    reserved_price: float = typer.Option(
        None, min=0, max=1e4, help="US dollars for a reserved card and hour."
    ),
    api: list[str] = typer.Option(
        None,
        help="PROVIDER/MODEL to compare with; may be repeated.  "
        "[default: the cheapest that list the model]",
    ),
    as_json: bool = JSON,
) -> None:
    """A month of a traffic profile: own cards on demand, spot, reserved, and APIs."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.plan.money import plan_month

    found = resolved(PlanRecipe, given, command="plan", file=recipe)
    report = plan_month(
        found.recipe,
        traffic=traffic,
        requests_per_day=requests_per_day,
        lost_share=lost_share,
        reserved_usd=reserved_price,
        apis=tuple(api or ()),
    )
    if as_json:
        print_json(report)
        return
    from llmops_cli.plan.show import COST_DROPPABLE, cost_table
    from llmops_cli.show.tables import Narrowed

    print_table(Narrowed(cost_table(report), droppable=COST_DROPPABLE, folds=("way",)))
    for line in report.notes:
        say(f"- {line}")


def train(given: Given, *, recipe: Path = RECIPE, as_json: bool = JSON) -> None:
    """What training needs under each strategy, and which one is chosen: train --dry-run."""
    from llmops_cli.cli.settings import resolved
    from llmops_cli.cli.train import tell_needs
    from llmops_cli.train.recipe import TrainRecipe

    if recipe is None:
        given.setdefault("data", ANY_DATA)
    asked = resolved(TrainRecipe, given, command="train", file=recipe)
    tell_needs(asked, None, as_json=as_json)


def compare(
    given: Given,
    *,
    recipe: Path = RECIPE,
    output: Path = typer.Option(None, "-o", "--output", help="An HTML page with plots."),
    as_json: bool = JSON,
) -> None:
    """Cards, formats and engines for one model: those within --slo first, then the cheapest."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.plan.compare import compare_plans, compared_rows

    lists = {name: _parts(str(given.pop(name, ""))) for name in LISTED}
    found = resolved(PlanRecipe, given, command="plan", file=recipe)
    details = compare_plans(
        found.recipe,
        gpus=lists["gpu"],
        quants=lists["quant"],
        engines=lists["engine"],
    )
    if output is not None:
        from llmops_cli.plan.page import plan_page
        from llmops_cli.runtime.files import write_atomic

        write_atomic(output, plan_page(details).encode())
    if as_json:
        print_json(compared_rows(details))
        return
    from llmops_cli.plan.show import PLANS_DROPPABLE, plans_table
    from llmops_cli.show.tables import Narrowed

    table = plans_table(details)
    print_table(Narrowed(table, droppable=PLANS_DROPPABLE, folds=("plan",)))
    for note in dict.fromkeys(note for detail in details for note in detail.notes):
        say(f"- {note}")


@group.command()
def gpus(
    gpu_file: Path = typer.Option(None, help="A YAML file with cards and prices of your own."),
    as_json: bool = JSON,
) -> None:
    """Every card that a plan knows by name, and where its figures are from."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.plan.cards import card_rows

    rows = card_rows(gpu_file)
    if as_json:
        print_json(rows)
        return
    from llmops_cli.plan.show import CARDS_DROPPABLE, cards_table
    from llmops_cli.show.tables import Narrowed

    print_table(Narrowed(cards_table(rows), droppable=CARDS_DROPPABLE))


@group.command()
def models(as_json: bool = JSON) -> None:
    """Every model that a plan knows by name, and what it has."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.plan.known_models import model_rows

    rows = model_rows()
    if as_json:
        print_json(rows)
        return
    from llmops_cli.plan.show import MODELS_DROPPABLE, models_table
    from llmops_cli.show.tables import Narrowed

    print_table(Narrowed(models_table(rows), droppable=MODELS_DROPPABLE))


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
            f"arithmetic says, within {each.spread:.0%}, from {counted(each.count, 'level')}"
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
    from llmops_cli.plan.show import CHECK_DROPPABLE, check_table
    from llmops_cli.show.tables import Narrowed

    print_table(Narrowed(check_table(report.by_quantity), droppable=CHECK_DROPPABLE))
    for row in report.rows:
        if row.missing is not None:
            say(f"- {row.quantity}: {row.missing}")
