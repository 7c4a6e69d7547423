"""Lists of chat messages in files that we did not write."""

from __future__ import annotations

from llmops_cli.bench.lines import Json
from llmops_cli.core.errors import UsageError


def request_of(messages: list[Json], where: str) -> list[Json]:
    """Without a reference answer at the end, which is not part of the request."""
    are_messages = all(_is_message(item) for item in messages)
    if not messages or not are_messages:
        raise UsageError(f"{where}: 'messages' must be a list of {{role, content}}")
    while messages and messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    if not messages:
        raise UsageError(f"{where}: no user message")
    return messages


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and "role" in item
