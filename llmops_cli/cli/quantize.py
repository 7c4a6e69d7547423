"""`llmops quantize`, and below it `inspect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from llmops_cli.cli.options import Given, recipe_command, with_subcommands
from llmops_cli.cli.settings import JSON, RECIPE
from llmops_cli.quantize.recipe import QuantizeRecipe

if TYPE_CHECKING:
    from llmops_cli.quantize.report import QuantizeReport


def register(app: typer.Typer) -> None:
    below = with_subcommands(inspect=inspect)
    command = recipe_command(quantize, QuantizeRecipe)
    app.command("quantize", cls=below)(command)


def quantize(
    given: Given,
    *,
    recipe: Path = RECIPE,
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder for the models.  [default: the cache]"
    ),
    as_json: bool = JSON,
) -> None:
    """Make a model smaller, and measure what that cost.

    `llmops quantize inspect PATH` tells what a model is.
    """
    from llmops_cli.cli.screen import TerminalProgress
    from llmops_cli.cli.settings import resolved
    from llmops_cli.evaluate.evaluators import evaluators_of
    from llmops_cli.models.convert import quantized_dir
    from llmops_cli.models.prepare import find_original
    from llmops_cli.quantize.choice import best_file_that_fits, best_that_fits
    from llmops_cli.quantize.first_file import takes_file
    from llmops_cli.quantize.imatrix import own_matrix
    from llmops_cli.quantize.run import quantize as run
    from llmops_cli.quantize.texts import check_texts
    from llmops_cli.quantize.variants import variants_of
    from llmops_cli.quantize.verdict import failure_of
    from llmops_cli.runtime.env import ensure_env
    from llmops_cli.runtime.files import require_folder
    from llmops_cli.runtime.runs import RunFolder

    require_folder(output)
    found = resolved(QuantizeRecipe, given, command="quantize", file=recipe)
    wish = found.recipe
    variants = variants_of(wish, found.origins)  # a typo should not cost a training run
    evaluators_of(wish.eval, model=wish.model)
    own_matrix(wish.imatrix)
    check_texts(wish)
    RunFolder("quantize", "").require_unused()
    environments = [variant.spec.environment for variant in variants]
    environments += [variant.spec.judge for variant in variants]
    with TerminalProgress() as progress:
        for environment in dict.fromkeys(environments):
            ensure_env(environment, progress=progress)
        source = find_original(wish.model, progress=progress, keeps_file=takes_file(wish, variants))
        report = run(
            wish,
            found.origins,
            source,
            folder=output or quantized_dir(source),
            progress=progress,
            evaluators=evaluators_of(wish.eval, model=wish.model, source=source),
        )
    if wish.fit_bytes is not None:
        fits = best_file_that_fits if wish.mix else best_that_fits
        best = fits(report.artifacts, wish.fit_bytes)
        report = msgspec.structs.replace(report, recommended=best)
    _tell(report, as_json=as_json)
    failure = failure_of(report, max_increase=wish.max_perplexity_increase)
    if failure is not None:
        raise failure


def _tell(report: QuantizeReport, *, as_json: bool) -> None:
    """Keeps the report and shows it."""
    from llmops_cli.cli.screen import print_json, print_kept
    from llmops_cli.quantize.plot import PLOT, save_quantize_plot
    from llmops_cli.runtime.paths import end_of
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page, table_of

    recipe = report.manifest.recipe
    kind = "sweep" if recipe["sweep"] else recipe["method"]
    model = end_of(str(recipe["model"]))
    folder = RunFolder("quantize", f"{model}-{kind}")
    saved = folder.write_report(report)
    plot = None
    if len(report.artifacts) > 1:
        plot = save_quantize_plot(report, folder.path / PLOT)
    places = f"report: {saved}    page: {leave_page(folder.path)}"
    if plot:
        places += f"    plot: {plot}"
    if as_json:
        print_json(report)
        return
    told = [f"{name} was not made: {reason}" for name, reason in report.failures.items()]
    if report.recommended:
        told.append(report.recommended)
    print_kept(table_of(report), "\n".join([*told, places]))


def inspect(
    path: Path = typer.Argument(
        help="A model folder, a .gguf file, a hub name, demo or smollm2 (`llmops models list`)."
    ),
    as_json: bool = JSON,
) -> None:
    """What a model is: its format, how its weights are kept, and which engines load it."""
    from llmops_cli.cli.screen import TerminalProgress, print_table
    from llmops_cli.models.find import find_model
    from llmops_cli.quantize.inspect import inspect as look
    from llmops_cli.quantize.show import inspection_table
    from llmops_cli.runtime.files import to_json

    if not path.exists():  # demo, or a hub model that is here
        with TerminalProgress() as progress:
            model = find_model(str(path), progress=progress)
        path = Path(model.path or path)
    found = look(path)
    if as_json:
        text = to_json(found).decode()
        sys.stdout.write(text)
    else:
        print_table(inspection_table(found))
