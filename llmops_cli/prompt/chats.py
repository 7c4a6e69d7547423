"""A prompt and a case as the messages that a model gets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import Case, PromptSource
from llmops_cli.prompt.templates import names_in, render, settle_variables
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml

WRITES_JSON = re.compile(r"\{%|\|\s*(?:dump|tojson)\b")
"""Signs that a template writes parts of a chat itself: its logic, or a value with its quotes."""
Messages = list[dict[str, Any]]  # Any: a text, or parts of several kinds


def chat_of(source: PromptSource, case: Case) -> Messages:
    """Raises: UsageError with the case's line for a template that cannot be filled."""
    variables = settle_variables({**source.defaults, **case.variables})
    text = f"{case.options.prefix}{source.text}{case.options.suffix}"
    try:
        return _filled(text, variables)
    except UsageError as error:
        raise UsageError(f"{case.where}: {source.label}: {error.message}") from error


def _filled(text: str, variables: Mapping[str, Any]) -> Messages:  # Any: a case's values
    """A chat is read before it is filled, so that no value can add a message to it."""
    chat = read_chat(text)
    if chat is not None:
        return [_deep(message, variables) for message in chat]
    rendered = render(text, variables)
    if WRITES_JSON.search(text) and text.lstrip()[:1] in "[{-":
        chat = read_chat(rendered)
        if chat is not None:
            return chat
    return [{"role": "user", "content": rendered}]


def _deep(value: Any, variables: Mapping[str, Any]) -> Any:  # Any: JSON
    if isinstance(value, str):
        return render(value, variables)
    if isinstance(value, dict):
        return {name: _deep(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_deep(each, variables) for each in value]
    return value


@lru_cache(maxsize=512)
def read_chat(text: str) -> Messages | None:
    """The messages that a text of JSON or YAML is; None for a plain prompt."""
    start = text.lstrip()
    try:
        if start.startswith(("[", "{")):
            found = json.loads(start)
        elif start.startswith("- role:"):
            found = load_yaml(text)
        else:
            return None
    except (*UNREADABLE, ValueError):
        return None
    if isinstance(found, dict):
        found = found.get("messages")
    is_chat = isinstance(found, list) and found and all(map(_is_message, found))
    return found if is_chat else None


def _is_message(part: Any) -> bool:  # Any: JSON
    if not isinstance(part, dict) or not isinstance(part.get("role"), str):
        return False
    return "content" in part or "tool_calls" in part


def question_of(messages: Messages) -> str:
    """What the user said last, which judges are told of."""
    for message in reversed(messages):
        content = message.get("content")
        if message["role"] == "user":
            return content if isinstance(content, str) else json.dumps(content)
    return ""


def missing_names(source: PromptSource, cases: list[Case]) -> list[str]:
    """Variables that a prompt asks for and no case has. Raises: UsageError for a broken prompt."""
    try:
        wanted = names_in(source.text)
    except UsageError as error:
        raise UsageError(f"{source.where or source.label}: {error.message}") from error
    known = set(source.defaults)
    for case in cases:
        known |= case.variables.keys()
    return sorted(wanted - known)
