"""What a tool is: a name, a line for the model, and text in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

MOST_OBSERVED_CHARS = 2000
"""Of what a tool gives back, so that one page does not fill a context."""


class ToolFailed(Exception):
    """What a model is told instead of a result; it may try otherwise."""


class ToolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What tools may reach: files below one folder, hosts of a list, answers of a size."""

    files: Path | None = None
    hosts: Sequence[str] = ()
    timeout_s: float = 10.0
    most_bytes: int = 1_000_000


class Tool(Protocol):
    """`description` tells a model when to use it and what to write between the brackets."""

    description: str

    async def use(self, text: str) -> str:
        """Raises: ToolFailed with a line for the model."""
        ...


class MakesTool(Protocol):
    """What a table or an entry point of `llmops.tools` names.

    Raises: UsageError where the settings lack what it needs.
    """

    def __call__(self, settings: ToolSettings) -> Tool: ...


def shortened(text: str, most_chars: int = MOST_OBSERVED_CHARS) -> str:
    """With a word on what is left out."""
    if len(text) <= most_chars:
        return text
    return f"{text[:most_chars]} ... ({len(text) - most_chars:,} more characters)"
