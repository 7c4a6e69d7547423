"""A model folder's config.json, as far as the toolkit reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in


def read_config(folder: Path) -> dict[str, Any]:  # Any: each architecture has fields of its own
    """Raises: UsageError for one that is not there, or no JSON object."""
    path = folder / "config.json"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"{folder} has no config.json", hint="pass a model folder or a .gguf file"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="pass a model folder or a .gguf file"
        ) from None
    try:
        return object_in(raw)
    except UNREADABLE:
        reason = wrong_in(raw, dict[str, Any])
        raise UsageError(
            f"{path} is not JSON of a model: {reason}", hint="correct it, or download it again"
        ) from None


def text_config(folder: Path) -> dict[str, Any]:
    """The same, with the fields of a multi-modal model's text part in their usual place."""
    config = read_config(folder)
    part = config.get("text_config")
    return {**config, **part} if isinstance(part, dict) else config


def architectures_of(config: Mapping[str, object]) -> list[str]:
    """As config.json names them; none where it holds something else than a list of texts."""
    named = config.get("architectures")
    if not isinstance(named, list):
        return []
    return [each for each in named if isinstance(each, str)]


def context_of(folder: Path) -> int | None:
    """Tokens that the model was made for; None if its config does not tell."""
    found = text_config(folder).get("max_position_embeddings")
    return found if isinstance(found, int) else None
