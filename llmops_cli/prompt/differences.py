"""Two prompts, line by line: what a model is told, and how it is asked."""

from __future__ import annotations

import difflib

import msgspec

from llmops_cli.prompt_file.prompt import Prompt


def difference(old: Prompt, new: Prompt) -> str:
    """A unified diff of all that decides what a model is asked; empty for the same version."""
    if old.digest == new.digest:
        return ""
    lines = difflib.unified_diff(
        written(old).split("\n"),
        written(new).split("\n"),
        fromfile=f"{old.name}@{old.version}",
        tofile=f"{new.name}@{new.version}",
        lineterm="",
    )
    return "\n".join(lines) + "\n"


def written(prompt: Prompt) -> str:
    """A prompt in one form, however its file is laid out."""
    head = []
    if prompt.model:
        head.append(f"model: {prompt.model}")
    head += _settings("parameters", prompt.parameters)
    head += _settings("variables", prompt.variables)
    if prompt.schema is not None:
        head += ["schema:", *_json_lines(prompt.schema)]
    blocks = [f"{message.role}:\n{message.content}" for message in prompt.messages]
    if head:
        blocks.insert(0, "\n".join(head))
    return "\n\n".join(blocks)


def _settings(title: str, values: dict[str, object] | dict[str, str]) -> list[str]:
    lines = []
    for name in sorted(values):
        value = msgspec.json.encode(values[name]).decode()
        lines.append(f"{title}.{name}: {value}")
    return lines


def _json_lines(value: object) -> list[str]:
    compact = msgspec.json.encode(value)
    return msgspec.json.format(compact, indent=2).decode().split("\n")
