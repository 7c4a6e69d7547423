"""Single HTTP calls to a server: never through a proxy that nobody asked for."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import msgspec

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get_text(url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> str | None:
    """The body of a 200 answer, or None."""
    try:
        with _OPENER.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=timeout_s) as answer:
            return str(answer.read().decode(errors="replace"))
    except (OSError, ValueError):
        return None


def status_of(url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> int | None:
    """None if nothing answers."""
    try:
        with _OPENER.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=timeout_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return None


def post_json(
    url: str, body: Mapping[str, object], *, timeout_s: float, headers: Mapping[str, str] | None = None
) -> dict[str, Any] | None:  # Any: the server's own fields
    """The JSON object of a 200 answer, or None."""
    request = urllib.request.Request(
        url, data=msgspec.json.encode(body), headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            loaded = msgspec.json.decode(answer.read())
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    return loaded if isinstance(loaded, dict) else None
