"""`llmops engines`, and `llmops engines start`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.options import Given, recipe_command, with_subcommands
from llmops_cli.engines.options import EngineOptions
from llmops_cli.serving.recipe import EngineRecipe

if TYPE_CHECKING:
    from rich.table import Table

    from llmops_cli.engines import EngineFacts
    from llmops_cli.serving.standalone import Standing
    from llmops_cli.show.tables import ByWidth


def register(app: typer.Typer) -> None:
    command = recipe_command(start, EngineRecipe, engine=EngineOptions)
    app.command("engines", cls=with_subcommands(start=command))(engines)


def engines(
    as_json: bool = typer.Option(
        False, "--json", help="Print the matrix on stdout and nothing else."
    ),
) -> None:
    """Which engine serves which formats and has which options."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.engines import load_engines

    loaded, broken = load_engines()
    for reason in broken.values():
        sys.stderr.write(f"warning: {reason}\n")
    facts = {name: engine.facts for name, engine in loaded.items()}
    if as_json:
        rows = {name: _row(each) for name, each in facts.items()}
        print_json(rows)
        return
    print_table(engines_table(facts))


def start(
    given: Given,
    *,
    as_json: bool = typer.Option(
        False, "--json", help="Print url, model, engine, log and versions on stdout as JSON."
    ),
) -> None:
    """Start an engine by itself, without a gateway; Ctrl-C stops it, and nothing is left."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.runtime import log_lines
    from llmops_cli.serving.standalone import run_engine

    recipe = resolved(EngineRecipe, given, command="engines-start", old_names=False).recipe
    if recipe.log_format is not None:
        log_lines.choose(recipe.log_format)
    log_lines.begin()

    def tell(standing: Standing) -> None:
        if as_json:
            print_json(standing)
        else:
            _print_standing(standing)
        say("Ctrl-C stops it")

    with TerminalProgress() as progress:
        run_engine(recipe, progress=progress, tell=tell)
    say("stopped")


def _print_standing(standing: Standing) -> None:
    lines = {
        "url": standing.url,
        "model": standing.model,
        "engine": standing.engine,
        "log": standing.log,
    }
    for name, value in lines.items():
        sys.stdout.write(f"{name:8}{value}\n")
    sys.stdout.flush()


def engines_table(facts: dict[str, EngineFacts]) -> ByWidth:
    """A column an engine where there is room, else a block an engine."""
    from llmops_cli.show.tables import ByWidth, matrix_table

    columns = [_column(each) for each in facts.values()]
    titles = list(columns[0])
    table = []
    for title in titles:
        cells = [column[title] for column in columns]
        table.append((title, cells))
    matrix = matrix_table("option", list(facts), table)
    return ByWidth(matrix, _narrow(facts), is_wrapping=True)


def _narrow(facts: dict[str, EngineFacts]) -> Table:
    """A block an engine, with what it has; for a terminal that is too narrow for the matrix."""
    from llmops_cli.show.tables import blocks_table

    blocks = []
    for name, each in facts.items():
        cells = _column(each)
        has = [title for title, value in cells.items() if value == "yes"]
        block = {
            "engine": name,
            "formats": cells["formats"],
            "environment": cells["environment"],
            "options": " ".join(has) or "-",
            "--set": cells["--set"],
        }
        blocks.append(block)
    return blocks_table(blocks)


def _column(facts: EngineFacts) -> dict[str, str]:
    """An engine in the matrix: line -> its cell."""
    from llmops_cli.engines.options import COMMON

    cells = {
        "formats": ", ".join(facts.formats) or "any",
        "environment": facts.environment or "none",
    }
    for option in COMMON:
        flag = option.replace("_", "-")
        has_it = option in facts.options
        cells[f"--{flag}"] = "yes" if has_it else "-"
    own = ", ".join(_own(facts))
    cells["--set"] = own or "-"
    return cells


def _row(facts: EngineFacts) -> dict[str, object]:
    own = _own(facts)
    shared = [option for option in facts.options if option not in own]
    return {
        "formats": list(facts.formats),
        "environment": facts.environment,
        "options": shared,
        "own_options": own,
    }


def _own(facts: EngineFacts) -> list[str]:
    """What only this engine has."""
    from llmops_cli.engines.options import COMMON

    return [option for option in facts.options if option not in COMMON]
