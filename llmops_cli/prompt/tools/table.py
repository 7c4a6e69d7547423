"""Tools by name; other packages add theirs as entry points of `llmops.tools`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from llmops_cli.core.names import load_named
from llmops_cli.prompt.tools.tool import MakesTool, Tool, ToolSettings

TOOLS = {
    "calculator": "llmops_cli.prompt.tools.calculator:Calculator",
    "search": "llmops_cli.prompt.tools.files:Search",
    "lookup": "llmops_cli.prompt.tools.files:Lookup",
    "get": "llmops_cli.prompt.tools.web:Get",
}
"""Name -> "module:object" that makes a tool."""
GROUP = "llmops.tools"


def tools_of(names: Sequence[str], settings: ToolSettings) -> dict[str, Tool]:
    """By name. Raises: UsageError for a name that nobody provides, or a lack in the settings."""
    found = {}
    for name in names:
        make = cast(MakesTool, load_named("tool", name, TOOLS, GROUP))
        found[name] = make(settings)
    return found
