"""The folder of prompts that a gateway's file names: what is wrong with one is told by its line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.prompts import prompts_of
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.prompt_file.read import place_of
from llmops_cli.serve.field_tables import CHAT_FIELDS
from llmops_cli.serve.fields import Carries

OF_THE_REQUEST = ("messages", "model", "prompt", "stream", "stream_options", "user")
"""What a prompt says elsewhere, or a client alone can say."""


def read_prompts(config: GatewayConfig, beside: Path | None) -> list[Prompt]:
    """What the files say now, in the order of names. Raises: UsageError."""
    library = prompts_of(config, beside or Path())
    for prompt in library.values():
        _require_parameters(prompt)
    return [msgspec.structs.replace(prompt, path=None) for prompt in library.values()]


def _require_parameters(prompt: Prompt) -> None:
    for name in prompt.parameters:
        known = CHAT_FIELDS.get(name)
        if name in OF_THE_REQUEST:
            raise _no_parameter(prompt, name, "is no parameter of a prompt", "leave it out")
        if known is None:
            hint = nearest_name(name, CHAT_FIELDS) if len(name) < 64 else None
            raise _no_parameter(prompt, name, "is no parameter of a chat", hint)
        if known.carries is Carries.REFUSED:
            raise _no_parameter(prompt, name, f"is not taken: {known.reason}", "leave it out")
        if name == "response_format" and prompt.schema is not None:
            raise _no_parameter(prompt, name, "stands beside a schema", "keep one of them")


def _no_parameter(prompt: Prompt, name: str, why: str, hint: str | None) -> UsageError:
    return UsageError(f"{place_of(prompt, name)}: '{name}' {why}", hint=hint)
