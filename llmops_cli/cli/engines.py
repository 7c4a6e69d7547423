"""`llmops engines`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    app.command()(engines)


def engines(
    as_json: bool = typer.Option(
        False, "--json", help="Print the matrix on stdout and nothing else."
    ),
) -> None:
    """Which engine serves which formats and has which options."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.core.options import COMMON
    from llmops_cli.engines import engine_names, load_engine
    from llmops_cli.show.tables import matrix_table

    found = {name: load_engine(name) for name in engine_names()}
    rows = {
        name: {
            "formats": list(engine.formats),
            "environment": engine.environment,
            "options": [option for option in COMMON if option in engine.options],
            "own_options": [option for option in engine.options if option not in COMMON],
        }
        for name, engine in found.items()
    }
    if as_json:
        print_json(rows)
        return
    table: list[tuple[str, list[str]]] = [
        ("formats", [", ".join(engine.formats) or "any" for engine in found.values()]),
        ("environment", [engine.environment or "none" for engine in found.values()]),
    ]
    table += [
        (
            f"--{option.replace('_', '-')}",
            ["yes" if option in engine.options else "-" for engine in found.values()],
        )
        for option in COMMON
    ]
    own = [
        ", ".join(option for option in engine.options if option not in COMMON) or "-"
        for engine in found.values()
    ]
    print_table(matrix_table("option", list(found), [*table, ("--set", own)]))
