"""YAML by the fast parser where there is one, and what any of them raises."""

from __future__ import annotations

from typing import Any

import yaml

UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)
"""A parser raises ValueError for a date that no calendar has, RecursionError for depth."""
REASON_CHARS = 160
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: bytes | str) -> Any:  # Any: whatever the text holds
    """Plain values only. Raises: one of UNREADABLE."""
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - both loaders are safe ones


def reason_of(error: Exception) -> str:
    """What an error of UNREADABLE says, in one line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    words = str(error).split()
    return " ".join(words)[:REASON_CHARS]
