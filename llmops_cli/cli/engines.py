"""`llmops engines`."""

from __future__ import annotations

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
    from llmops_cli.engines import engine_names, load_engine
    from llmops_cli.engines.options import COMMON
    from llmops_cli.show.tables import matrix_table

    facts = {name: load_engine(name).facts for name in engine_names()}
    rows = {name: _row(each) for name, each in facts.items()}
    if as_json:
        print_json(rows)
        return
    table = [
        ("formats", [", ".join(each.formats) or "any" for each in facts.values()]),
        ("environment", [each.environment or "none" for each in facts.values()]),
    ]
    for option in COMMON:
        cells = ["yes" if option in each.options else "-" for each in facts.values()]
        table.append((f"--{option.replace('_', '-')}", cells))
    table.append(("--set", [", ".join(_own(each)) or "-" for each in facts.values()]))
    print_table(matrix_table("option", list(facts), table))


def _row(facts: EngineFacts) -> dict[str, object]:
    own = _own(facts)
    return {
        "formats": list(facts.formats),
        "environment": facts.environment,
        "options": [option for option in facts.options if option not in own],
        "own_options": own,
    }


def _own(facts: EngineFacts) -> list[str]:
    """What only this engine has."""
    from llmops_cli.engines.options import COMMON

    return [option for option in facts.options if option not in COMMON]
