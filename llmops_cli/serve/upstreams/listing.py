"""What an upstream's list of models tells beside their names."""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]  # Any: servers differ in what an entry has
DIGEST = re.compile(r"[0-9a-f]{12}")
CONTEXT_FIELDS = (
    "max_model_len",
    "context_length",
    "max_context_length",
    "context_window",
)
"""vLLM's and SGLang's; OpenRouter's and Together's; Mistral's; Groq's."""


def digests_in(entries: list[Json]) -> dict[str, str]:
    """Of each model's files, of engines of ours that were told it."""
    found = {}
    for entry in entries:
        digest = entry.get("digest")
        if isinstance(digest, str) and DIGEST.fullmatch(digest):
            found[str(entry["id"])] = digest
    return found


def contexts_in(entries: list[Json]) -> dict[str, int]:
    """How many tokens fit into each model, of those that tell."""
    found = {}
    for entry in entries:
        tokens = _context(entry)
        if tokens is not None:
            found[str(entry["id"])] = tokens
    return found


def _context(entry: Json) -> int | None:
    for field in CONTEXT_FIELDS:
        tokens = entry.get(field)
        if type(tokens) is int and tokens > 0:
            return int(tokens)
    return None
