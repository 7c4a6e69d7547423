"""`llmops train`."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    data: str = typer.Option(
        None, "--data", help='demo, or a JSONL file of {"messages": [...]}.  [default: demo]'
    ),
    steps: int = typer.Option(None, help="Optimizer steps.  [default: 800]"),
    batch_size: int = typer.Option(None, help="Chats per step.  [default: 32]"),
    learning_rate: float = typer.Option(
        None, help="Peak rate of Muon; AdamW gets a quarter.  [default: 0.02]"
    ),
    seed: int = typer.Option(
        None, help="The same seed gives the same digest on one machine.  [default: 0]"
    ),
    recipe: Path = typer.Option(None, help="A YAML recipe, or a saved report to repeat."),
    output: Path = typer.Option(None, "-o", "--output", help="Also copy the model to this folder."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Train a small chat model from scratch; the built-in `demo` model by default."""
    from llmops_cli.cli.screen import Progress, print_json, say
    from llmops_cli.cli.settings import resolve_flags
    from llmops_cli.runtime.store import copy_model
    from llmops_cli.train.recipe import TrainRecipe
    from llmops_cli.train.run import train as run

    flags: dict[str, object] = {
        "data": data,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    resolved, origins = resolve_flags(TrainRecipe, flags, file=recipe, key="train")
    with Progress() as progress:
        report = run(resolved, origins, progress=progress)
    if output:
        copy_model(Path(report.path), output)
    if as_json:
        print_json(report)
    else:
        say(
            f"{'kept' if report.reused else 'trained'} {report.path}\n"
            f"{report.parameters:,} parameters, {report.steps} steps, loss {report.loss:.4f}, "
            f"{report.tokens_per_s:,.0f} tokens/s, {report.cpu_s:.0f} CPU s, digest {report.digest[:19]}"
        )
