"""`--prompt P`: a prompt's file, its name in the folder of prompts, or its text."""

from __future__ import annotations

import json
from pathlib import Path

from llmops_cli.prompt.case_file.sources import label_of, prompts_of_file
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt_file.library import find_prompt
from llmops_cli.prompt_file.prompt import Prompt

CHATS = (".json", ".yaml", ".yml", ".jsonl", ".csv", ".j2")
SETTINGS = ("temperature", "max_tokens", "stop")


def named_prompts(names: list[str]) -> list[PromptSource]:
    """All of them. Raises: UsageError for one that is not there."""
    found: list[PromptSource] = []
    for name in names:
        found += _named(name)
    return found


def _named(name: str) -> list[PromptSource]:
    is_text = "{{" in name or "\n" in name
    if is_text:
        return [PromptSource(label=label_of(name), text=name, where="--prompt")]
    path = Path(name)
    if path.suffix in CHATS:
        return prompts_of_file(path)
    return [source_of(find_prompt(name))]


def source_of(prompt: Prompt) -> PromptSource:
    """Of a prompt file, with its own settings."""
    messages = [message.as_dict() for message in prompt.messages]
    response_format = None
    if prompt.schema is not None:
        named = {"name": "answer", "schema": prompt.schema}
        response_format = {"type": "json_schema", "json_schema": named}
    settings = {key: prompt.parameters[key] for key in SETTINGS if key in prompt.parameters}
    if response_format is not None:
        settings["response_format"] = response_format
    return PromptSource(
        label=prompt.name,
        text=json.dumps(messages, ensure_ascii=False),
        where=str(prompt.path or prompt.name),
        version=prompt.version,
        defaults=dict(prompt.variables),
        settings=settings,
    )
