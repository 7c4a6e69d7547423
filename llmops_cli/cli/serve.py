"""`llmops serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.serve.recipe import ServeRecipe

if TYPE_CHECKING:
    from llmops_cli.gateway_file.config import GatewayConfig


def register(app: typer.Typer) -> None:
    app.command("serve")(recipe_command(serve, ServeRecipe))


def serve(
    given: Given,
    *,
    as_json: bool = typer.Option(
        False, "--json", help="With --check: what was found as JSON on stdout."
    ),
) -> None:
    """A gateway in front of an endpoint or an engine: keys, limits, guard, metrics, audit."""
    from llmops_cli.cli.screen import TerminalProgress
    from llmops_cli.cli.settings import resolved
    from llmops_cli.pipeline.gateway import run_gateway
    from llmops_cli.runtime import log_lines
    from llmops_cli.runtime.recipes import gateway_path
    from llmops_cli.serve.flags import gateway_config
    from llmops_cli.serve.recipe import ServeRecipe
    from llmops_cli.serve.versions import FileStamp, stamp_of

    found = resolved(ServeRecipe, given, command="serve", old_names=False)
    recipe = found.recipe
    if recipe.log_format is not None:
        log_lines.choose(recipe.log_format)
    log_lines.begin()
    if recipe.config:
        recipe = msgspec.structs.replace(recipe, config=str(gateway_path(Path(recipe.config))))
    file = Path(recipe.config) if recipe.config else None
    stamp = stamp_of(file) if file else FileStamp()
    config = gateway_config(recipe, found.origins)
    if recipe.check:
        _tell(recipe.config or "", config, as_json)
        return
    if as_json:
        raise UsageError("--json goes with --check")
    with TerminalProgress() as progress:
        run_gateway(
            config,
            file=file,
            stamp=stamp,
            host=recipe.host,
            port=recipe.port,
            workers=recipe.workers,
            tls=recipe.tls,
            progress=progress,
        )


def _tell(
    path: str,
    config: GatewayConfig,
    as_json: bool,
) -> None:
    """That a file can be used, and what it means for private prompts."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.serve.checked import checked, privacy_table, require_libraries
    from llmops_cli.serve.priced import refuse_unpriced
    from llmops_cli.serve.warnings import keys_here, warnings_of

    refuse_unpriced(Path(path), keys_here())
    require_libraries(config)
    found = checked(path, config, warnings=warnings_of(config, Path(path)))
    for warning in found.warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json(found)
        return
    print_table(privacy_table(found.models))
    models = counted(len(config.models), "model") if config.models else "all their models"
    say(f"{path} is fine: {counted(len(config.upstreams), 'upstream')}, {models}")
