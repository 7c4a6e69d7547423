"""`llmops bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import typer

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.cli.settings import JSON, OUTPUT, RECIPE
from llmops_cli.engines.options import EngineOptions


def register(app: typer.Typer) -> None:
    command = recipe_command(bench, BenchRecipe, engine=EngineOptions)
    app.command("bench")(command)


def bench(
    given: Given,
    *,
    recipe: Path = RECIPE,
    output: Path = OUTPUT,
    as_json: bool = JSON,
) -> None:
    """Load a server and report TTFT, TPOT, ITL, E2E, throughput, goodput and memory."""
    from llmops_cli.bench.idle import check_idle
    from llmops_cli.bench.page import save_page
    from llmops_cli.bench.report import problems_of
    from llmops_cli.bench.run import bench as run
    from llmops_cli.bench.run import check_wish, target_of
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept, say, width_of
    from llmops_cli.cli.settings import refuse_invalid, resolved
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.serving.target import check_target, prepare_target
    from llmops_cli.show.runs import table_of

    found = resolved(BenchRecipe, given, command="bench", file=recipe)
    check_idle(found.recipe, found.origins)
    wish = target_of(found.recipe, found.origins)
    check_target(wish)
    check_wish(found.recipe)
    folder = RunFolder("bench", _place(found.recipe), chosen=output)
    folder.require_unused()
    with TerminalProgress() as progress:
        target = prepare_target(wish, progress=progress)
        try:
            report = run(
                found.recipe,
                found.origins,
                folder=folder.path,
                progress=progress,
                target=target,
            )
        finally:
            folder.forget_if_empty()
        page = save_page(folder.path, report)
    if as_json:
        say(f"report: {folder.path / 'report.json'}")
        print_json(report)
    else:
        table = table_of(report, width=width_of(sys.stdout))
        print_kept(table, f"report: {folder.path / 'report.json'}    plots: {page}")
    if not found.recipe.allow_invalid:
        accept = f"the report is in {folder.path}; --allow-invalid accepts it"
        refuse_invalid(problems_of(report), hint=accept)


def _place(recipe: BenchRecipe) -> str:
    """What the run's folder is called after."""
    if recipe.url:
        place = urlsplit(recipe.url).netloc
        _, _, host = place.rpartition("@")
        return host
    from llmops_cli.runtime.paths import end_of

    model = end_of(recipe.model)
    return f"{recipe.backend}-{model}"
