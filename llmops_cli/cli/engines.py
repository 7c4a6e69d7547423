"""`llmops engines`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from llmops_cli.engines import EngineFacts


def register(app: typer.Typer) -> None:
    app.command()(engines)


def engines(
    as_json: bool = typer.Option(
        False, "--json", help="Print the matrix on stdout and nothing else."
    ),
) -> None:
    """Which engine serves which formats and has which options."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.engines import load_engines
    from llmops_cli.show.tables import Narrowed, matrix_table

    loaded, broken = load_engines()
    for reason in broken.values():
        sys.stderr.write(f"warning: {reason}\n")
    facts = {name: engine.facts for name, engine in loaded.items()}
    if as_json:
        rows = {name: _row(each) for name, each in facts.items()}
        print_json(rows)
        return
    columns = [_column(each) for each in facts.values()]
    titles = list(columns[0])
    table = []
    for title in titles:
        cells = [column[title] for column in columns]
        table.append((title, cells))
    matrix = matrix_table("option", list(facts), table)
    print_table(Narrowed(matrix, wraps=True))


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
