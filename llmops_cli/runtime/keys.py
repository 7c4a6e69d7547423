"""API keys: they come from environment variables, and recipes hold the variables' names."""

from __future__ import annotations

import os
from collections.abc import Mapping

from llmops_cli.core.errors import EnvironmentMissing, UsageError

DEFAULT_KEY = "LLMOPS_API_KEY"
"""Used where it is set; any other variable that a user names has to be."""


def api_key(
    variable: str | None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """The key in that variable; empty if none is named, or the default one is not set.

    Raises: EnvironmentMissing for a variable that was named and is not set; UsageError for a
    value that cannot stand in a header.
    """
    if not variable:
        return ""
    variables = os.environ if environ is None else environ
    found = variables.get(variable, "").strip()
    if not found and variable != DEFAULT_KEY:
        raise EnvironmentMissing(
            f"the environment variable {variable} is not set",
            hint=f"export {variable}=...",
        )
    require_header_value(found, variable=variable)
    return found


def target_key(variable: str, url: str | None) -> str:
    """The key of a server at `url`; none for an engine of ours.

    Raises: as `api_key`, in any case: a variable that was named is looked at.
    """
    key = api_key(variable)
    return key if url else ""


def require_header_value(value: str, *, variable: str) -> None:
    """Raises: UsageError, without the value, for one that cannot stand in a header."""
    if all(map(_is_header_char, value)):
        return
    raise UsageError(
        f"the value of {variable} cannot stand in a header",
        hint="it has a line break or a character that is not ASCII",
    )


def _is_header_char(char: str) -> bool:
    return char == "\t" or " " <= char <= "~"


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key; nothing without one."""
    if not key:
        return {}
    return {"Authorization": f"Bearer {key}"}
