"""YAML by the fast parser where there is one."""

from __future__ import annotations

from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: bytes | str) -> Any:  # Any: whatever the text holds
    """Plain values only. Raises: yaml.YAMLError."""
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - both loaders are safe ones
