"""Files of prompts, brought along to where the gateway reads them: beside its own file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.knob import Manifest
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.machine import prompts_at
from llmops_cli.gateway_file.prompts import prompts_of
from llmops_cli.runtime.rows import read_text

FOLDER = "prompts"
MOST_BYTES = 900_000
"""A ConfigMap takes 1 MiB, and the gateway's file is in it too."""


KEY_CHARS = 253


def prompt_files(config: GatewayConfig, beside: Path) -> dict[str, str]:
    """Path below the folder of prompts -> text. Raises: UsageError for what is no prompt."""
    if config.prompts is None:
        return {}
    root = prompts_at(config.prompts, beside)
    found = {}
    for prompt in prompts_of(config, beside).values():
        assert prompt.path is not None
        found[prompt.path.relative_to(root).as_posix()] = read_text(prompt.path)
    return dict(sorted(found.items()))


def beside_config(files: Mapping[str, str]) -> dict[str, str]:
    """Path beside the gateway's file -> text."""
    return {f"{FOLDER}/{path}": text for path, text in files.items()}


def map_keys(files: Mapping[str, str]) -> dict[str, str]:
    """Path below the folder -> its key in a ConfigMap, which has no slash and no blank.

    Raises: UsageError for two that are alike then, and for more than a ConfigMap takes.
    """
    size_bytes = sum(len(text.encode()) for text in files.values())
    if size_bytes > MOST_BYTES:
        raise UsageError(
            f"prompts of {size_bytes:,} bytes do not fit into a ConfigMap",
            hint=f"{MOST_BYTES:,} at most: a folder with those that this gateway serves",
        )
    keys: dict[str, str] = {}
    taken: dict[str, str] = {}
    for path in files:
        key = f"{FOLDER}..{re.sub(r'[^A-Za-z0-9._-]', '-', path.replace('/', '..'))}"
        if len(key) > KEY_CHARS:
            raise UsageError(
                f"prompt {path} has too long a path for a key of a ConfigMap",
                hint=f"{KEY_CHARS} characters at most, with {FOLDER}.. before it",
            )
        if key in taken:
            raise UsageError(
                f"prompts {taken[key]} and {path} are alike as keys of a ConfigMap",
                hint="give one of the files another name",
            )
        taken[key] = path
        keys[path] = key
    return keys


def map_items(names: list[str], files: Mapping[str, str]) -> list[Manifest]:
    """What a volume of the ConfigMap mounts where; `names` are mounted by their own."""
    own: list[Manifest] = [{"key": name, "path": name} for name in names]
    keys = map_keys(files)
    return own + [{"key": key, "path": f"{FOLDER}/{path}"} for path, key in keys.items()]
