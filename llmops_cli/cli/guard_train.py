"""`llmops guard train`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.settings import JSON


def train(
    data: Path = typer.Argument(
        ...,
        help='Lines of {"text", "label": attack or benign, "family", "source"}, or of {"text", '
        '"categories"}: names of OpenAI\'s moderation.',
    ),
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder for the model.  [default: results/...]"
    ),
    false_alarms: float = typer.Option(
        None,
        "--false-alarms",
        help="Share of honest texts that may be flagged; of a category, of all texts without it."
        "  [default: 0.005]",
    ),
    seed: int = typer.Option(None, help="Of the intervals.  [default: 0]"),
    as_json: bool = JSON,
) -> None:
    """Fit a learnt stage to labelled texts, and say whether it beats the rules elsewhere.

    Each source is judged by a stage that never saw it. Use: guard check --detector FOLDER.
    Texts with categories make a moderation model: each is judged by one that never saw it.
    """
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept
    from llmops_cli.guard.learnt.report import recipe_of
    from llmops_cli.guard.learnt.train import PAGE, train_stage
    from llmops_cli.guard.moderation.rows import has_categories
    from llmops_cli.guard.moderation.train import train_moderation
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import table_of

    recipe = recipe_of(data, false_alarms=false_alarms, seed=seed)
    folder = RunFolder("guard-train", data.stem, chosen=output)
    folder.require_unused()
    is_moderation = has_categories(data)
    with TerminalProgress() as progress:
        if is_moderation:
            moderation = train_moderation(recipe, folder, progress=progress)
            table = table_of(moderation)
        else:
            stage = train_stage(recipe, folder, progress=progress)
            table = table_of(stage)
    if as_json:
        print_json(moderation if is_moderation else stage)
        return
    kind = "model" if is_moderation else "stage"
    print_kept(table, f"{kind}: {folder.path}    page: {folder.path / PAGE}")
