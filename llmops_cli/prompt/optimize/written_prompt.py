"""A prompt as a file in `prompt_file`'s form, where that form can say it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt_file.read import FENCE, prompt_of
from llmops_cli.prompt_file.sections import HEADING

Fields = Mapping[str, Any]  # Any: JSON
MOST_NAME_CHARS = 80


def prompt_text(
    label: str,
    messages: Sequence[Fields],
    *,
    front: Fields,
) -> str | None:
    """Sections where they mean the same when they are read again, else messages in YAML; or None.

    `front`: what else stands in the front matter.
    """
    named = {"name": _name(label), **front}
    for text in (_sections(named, messages), _front_matter({**named, "messages": messages})):
        if _reads_as(text, messages):
            return text
    return None


def _name(label: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", label)
    return plain.strip("-._")[:MOST_NAME_CHARS] or "prompt"


def _front_matter(fields: Fields) -> str:
    held = yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True)
    return f"{FENCE}\n{held}{FENCE}\n"


def _sections(front: Fields, messages: Sequence[Fields]) -> str:
    parts = [f"{each['role']}:\n{_escaped(each['content'])}\n" for each in messages]
    return _front_matter(front) + "\n".join(parts)


def _escaped(text: str) -> str:
    return "\n".join(f"\\{line}" if HEADING.fullmatch(line) else line for line in text.split("\n"))


def _reads_as(text: str, messages: Sequence[Fields]) -> bool:
    try:
        found = prompt_of(text, name="prompt", where="prompt.md")
    except UsageError:
        return False
    return [each.as_dict() for each in found.messages] == [dict(each) for each in messages]
