r"""`{{name}}` in a text, and nothing else: no code, no loops, so no way out of a template.

`\{{` stands for two braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmops_cli.core.errors import UsageError

OPENING = "{{"
ESCAPED = "\\{{"
HOLE = re.compile(r"(?P<escaped>\\\{\{)|\{\{\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*\}\}|\{\{")


def holes_in(text: str) -> list[str]:
    """Names in the order in which they stand there, each as often as it does."""
    return [match["name"] for match in HOLE.finditer(text) if match["name"]]


def require_template(text: str, where: str) -> None:
    """Raises: UsageError, beginning with `where` and the line, for braces that are no variable."""
    for match in HOLE.finditer(text):
        if match["name"] or match["escaped"]:
            continue
        line = text.count("\n", 0, match.start()) + 1
        written = text[match.start() :].split("\n", 1)[0][:40]
        raise UsageError(
            f"{where}, line {line} of it: '{written}' is no variable",
            hint="{{name}}, or \\{{ for two braces",
        )


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its holes filled, in one pass. Raises: KeyError for one without a value."""

    def value_of(match: re.Match[str]) -> str:
        if match["escaped"]:
            return OPENING
        name = match["name"]
        return values[name] if name else match[0]

    return HOLE.sub(value_of, text)
