"""A config.json on a web server: one JSON object of bounded size, from the host that was named."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from llmops_cli.core.errors import UsageError
from llmops_cli.core.python_json import object_in
from llmops_cli.core.urls import refuse_secrets, shown_url
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.runtime.ranges import RangeError, RangeReader

MOST_BYTES = 1 << 20
"""The longest that models publish have some 100 kB."""


def is_config_url(url: str) -> bool:
    return urlsplit(url).path.endswith(".json")


def read_remote_config(url: str) -> dict[str, Any]:  # Any: each architecture has fields of its own
    """Raises: UsageError for what cannot be had, is too long, or is no JSON object."""
    refuse_secrets(url, field="model")
    try:
        with RangeReader(url) as reader:
            text = reader.read_whole(MOST_BYTES)
    except RangeError as error:
        raise UsageError(f"{shown_url(url)} cannot be read: {error}", hint=error.hint) from None
    try:
        return object_in(text)
    except UNREADABLE:
        reason = wrong_in(text, dict[str, Any])
        raise UsageError(
            f"{shown_url(url)} is not JSON of a model: {reason}",
            hint="the URL of the file itself, not of its page",
        ) from None
