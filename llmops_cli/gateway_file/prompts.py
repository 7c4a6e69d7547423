"""The folder of prompts that a gateway's file names: each prompt, for a model that there is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.machine import prompts_at
from llmops_cli.gateway_file.served import names_for_clients
from llmops_cli.prompt_file.library import read_library
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.prompt_file.read import place_of


def prompts_of(config: GatewayConfig, beside: Path) -> Mapping[str, Prompt]:
    """By name; none where the file names no folder. `beside`: the file's folder.

    Raises: UsageError for an empty folder, a file that is no prompt, or an unknown model.
    """
    if config.prompts is None:
        return {}
    library = read_library(prompts_at(config.prompts, beside))
    if not library:
        raise UsageError(
            f"no prompt in the folder {config.prompts}",
            hint="files that end in .md, .txt or .prompt",
        )
    for prompt in library.values():
        _require_known_model(prompt, config)
    return library


def _require_known_model(prompt: Prompt, config: GatewayConfig) -> None:
    known = names_for_clients(config)
    if prompt.model is None or known is None or prompt.model in known:
        return
    wrong = unknown_name("model", prompt.model, known)
    raise UsageError(f"{place_of(prompt, 'model')}: {wrong.message}", hint=wrong.hint)
