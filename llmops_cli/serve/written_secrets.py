"""Secrets that stand in a gateway's file or in its prompts, where all readers have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmops_cli.core.visible import visible_line
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.machine import prompts_at
from llmops_cli.guard.secret_lines import secret_lines
from llmops_cli.prompt_file.library import read_library
from llmops_cli.runtime.rows import read_text

IN_FILE = "key_env: NAME, or ${NAME} where it stands"
IN_PROMPT = "whoever asks may be told it: leave it out"


def written_secrets(config: GatewayConfig, file: Path) -> Iterator[str]:
    """As warnings, with their lines and without the secrets. Raises: UsageError."""
    yield from _in_text(file, IN_FILE)
    if config.prompts is None:
        return
    prompts = read_library(prompts_at(config.prompts, file.parent)).values()
    paths = {prompt.path for prompt in prompts if prompt.path is not None}
    for path in sorted(paths):
        yield from _in_text(path, IN_PROMPT)


def _in_text(path: Path, hint: str) -> Iterator[str]:
    for found in secret_lines(read_text(path)):
        yield visible_line(f"{path}:{found.line}: {found.what} stands here; {hint}")
