"""The name that a client may have meant, where it is found in a moment."""

from __future__ import annotations

from collections.abc import Collection

from llmops_cli.core.errors import nearest_name

WORK_MOST = 300_000
"""Characters of a name times those of all that it is compared with: ten milliseconds at most."""


def near_name(name: str, known: Collection[str]) -> str | None:
    """A hint; None: there is nothing to compare with, or too much."""
    if not known or len(name) * sum(map(len, known)) > WORK_MOST:
        return None
    return nearest_name(name, known)
