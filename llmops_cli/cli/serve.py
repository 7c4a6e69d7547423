"""`llmops serve`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.serve.recipe import ServeRecipe


def register(app: typer.Typer) -> None:
    app.command("serve")(recipe_command(serve, ServeRecipe))


def serve(given: Given) -> None:
    """A gateway in front of an endpoint or an engine: keys, limits, guard, metrics, audit."""
    from llmops_cli.cli.screen import Progress, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.pipeline.gateway import run_gateway
    from llmops_cli.serve.flags import gateway_config
    from llmops_cli.serve.recipe import ServeRecipe

    found = resolved(ServeRecipe, given, command="serve", old_names=False)
    recipe = found.recipe
    config = gateway_config(recipe, found.origins)
    if recipe.check:
        models = len(config.models) or "all their"
        say(f"{recipe.config} is fine: {len(config.upstreams)} upstreams, {models} models")
        return
    file = Path(recipe.config) if recipe.config else None
    with Progress() as progress:
        run_gateway(
            config,
            file=file,
            host=recipe.host,
            port=recipe.port,
            workers=recipe.workers,
            tls=recipe.tls,
            progress=progress,
        )
