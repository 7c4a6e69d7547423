"""The address of an upstream, as the gateway's file has it."""

from __future__ import annotations

from urllib.parse import urlsplit

from llmops_cli.core.urls import shown_url

MODEL_PLACE = "{model}"
"""Where an address has the upstream's name of the model, as Azure's deployments do."""


def bad_url(url: str) -> str | None:
    """What is wrong with an address, if anything, without a password that stands in it."""
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"{shown} is no URL: {error}" if shown == url else f"{shown} is no URL"
    if parts.scheme not in ("http", "https"):
        return f"{shown} is no URL"
    if not parts.hostname:
        return f"{shown} is no URL"
    if parts.username or parts.password:
        return "a URL holds no password here; name a variable in key_env"
    if parts.query or parts.fragment:
        return (
            "a URL is a server's address, without a query, which stands in query:; "
            "name a key's variable in key_env"
        )
    if not is_visible_ascii(url):
        return f"{shown!r} is no URL"
    rest = parts.netloc + parts.path.replace(MODEL_PLACE, "")
    if "{" in rest or "}" in rest:
        return f"{shown} is no URL: only its path may have {MODEL_PLACE} in it"
    return None


def is_visible_ascii(text: str) -> bool:
    return all(33 <= ord(char) <= 126 for char in text)
