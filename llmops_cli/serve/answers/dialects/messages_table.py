"""The rules of Anthropic's Messages as docs/CLIENTS.md shows them.

`python -m llmops_cli.serve.answers.dialects.messages_table` prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from llmops_cli.serve.answers.dialects.messages_rules import (
    BLOCKS,
    DOCUMENT_SOURCE,
    IMAGE_SOURCE,
    MESSAGE,
    METADATA,
    OUTPUT_CONFIG,
    OUTPUT_FORMAT,
    REQUEST,
    THINKING,
    TOOL,
    TOOL_CHOICE,
    How,
    Rules,
)

OBJECTS: dict[str, Rules] = {
    "": REQUEST,
    "messages[]": MESSAGE,
    "tools[]": TOOL,
    "tool_choice": TOOL_CHOICE,
    "thinking": THINKING,
    "output_config": OUTPUT_CONFIG,
    "output_config.format": OUTPUT_FORMAT,
    "metadata": METADATA,
    "image.source": IMAGE_SOURCE,
    "document.source": DOCUMENT_SOURCE,
}


def table() -> str:
    rows = ["| field | | |", "|---|---|---|"]
    for label, rules in OBJECTS.items():
        rows += _rows(label, rules)
    rows += ["", "| content block | | |", "|---|---|---|"]
    for kind, block in BLOCKS.items():
        rows.append(f"| `{kind}` | {block.how} | {block.says} |")
        if block.how is How.SENT:
            rows += _rows(kind, block.fields)
    return "\n".join(rows) + "\n"


def _rows(label: str, rules: Rules) -> Iterator[str]:
    for name, rule in rules.items():
        shown = f"{label}.{name}" if label else name
        yield f"| `{shown}` | {rule.how} | {rule.says} |"


if __name__ == "__main__":
    sys.stdout.write(table())
