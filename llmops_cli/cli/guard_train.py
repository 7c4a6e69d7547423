"""`llmops guard train`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.settings import JSON


def train(
    data: Path = typer.Argument(
        ..., help='Lines of {"text", "label": attack or benign, "family", "source"}.'
    ),
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder for the stage.  [default: results/...]"
    ),
    false_alarms: float = typer.Option(
        None,
        "--false-alarms",
        help="Share of honest texts that may be flagged, rules and stage.  [default: 0.005]",
    ),
    seed: int = typer.Option(None, help="Of the intervals.  [default: 0]"),
    as_json: bool = JSON,
) -> None:
    """Fit a second stage to labelled texts, and say whether it beats the rules elsewhere.

    Each source is judged by a stage that never saw it. Use: guard check --detector FOLDER.
    """
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_table, say
    from llmops_cli.guard.learnt.report import recipe_of
    from llmops_cli.guard.learnt.show import train_table
    from llmops_cli.guard.learnt.train import PAGE, train_stage
    from llmops_cli.runtime.runs import RunFolder

    recipe = recipe_of(data, false_alarms=false_alarms, seed=seed)
    folder = RunFolder("guard-train", data.stem, chosen=output)
    folder.require_unused()
    with TerminalProgress() as progress:
        report = train_stage(recipe, folder, progress=progress)
    if as_json:
        print_json(report)
        return
    print_table(train_table(report))
    say(f"stage: {folder.path}    page: {folder.path / PAGE}")
