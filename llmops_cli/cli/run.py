"""`llmops run`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import typer


def register(app: typer.Typer) -> None:
    app.command()(run)


def run(
    file: Path = typer.Argument(help="A YAML recipe, such as recipes/quickstart.yaml."),
    model: str = typer.Option(None, help="Use this model instead of the recipe's."),
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder for the run.  [default: results/...]"
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Run a recipe of steps (train, quantize, bench, evaluate); finished steps are kept."""
    from llmops_cli.cli.screen import Progress, print_json, say, show_table
    from llmops_cli.core.errors import EnvironmentMissing, GateFailed
    from llmops_cli.core.problem import summary
    from llmops_cli.pipeline.plot import plot_pipeline
    from llmops_cli.pipeline.report import problems_of
    from llmops_cli.pipeline.run import Pipeline, load_recipe
    from llmops_cli.pipeline.show import pipeline_table
    from llmops_cli.runtime.store import make_run_dir

    recipe = load_recipe(file)
    if model is not None:
        recipe = msgspec.structs.replace(recipe, model=model)
    folder = output or make_run_dir("run", file.stem)
    with Progress() as progress:
        pipeline = Pipeline(recipe, folder=folder, progress=progress)
        report = pipeline.run()
    try:
        plot_pipeline(report, folder / "comparison.png")
        say(f"plot: {folder / 'comparison.png'}")
    except EnvironmentMissing as missing:
        say(f"no plot: {missing.message} ({missing.hint})")
    if as_json:
        print_json(report)
    else:
        show_table(pipeline_table(report))
        say(f"report: {folder / 'report.json'}")
    problems = problems_of(report)
    if problems and not pipeline.allows_invalid:
        raise GateFailed(
            f"INVALID: {summary(problems)}",
            hint="run again to measure that anew, or set bench.allow_invalid in the recipe",
        )
