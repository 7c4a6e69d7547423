"""From a file to a Prompt: YAML between two lines of `---`, then the messages.

What is wrong with it is told with its line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.core.misfit import misfit_of
from llmops_cli.prompt_file.prompt import Prompt, PromptMessage
from llmops_cli.prompt_file.sections import sections_of
from llmops_cli.prompt_file.template import require_template
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import decoded
from llmops_cli.runtime.yaml_text import UNREADABLE, fault_of, load_yaml

FENCE = "---"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_BYTES = 4 * 2**20
EXAMPLE = "---\\nname: support\\n---\\nsystem:\\n..."


class FrontMatter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand between the fences."""

    name: str | None = None
    description: str = ""
    model: str | None = None
    parameters: dict[str, Any] = {}  # Any: JSON
    schema: dict[str, Any] | None = None  # Any: a JSON schema
    variables: dict[str, str | int | float | bool] = {}
    messages: list[PromptMessage] | None = None


class _Parts(NamedTuple):
    """`body_line`: where the body begins in the file, from 0."""

    front: str
    body: str
    body_line: int


def read_prompt(path: Path) -> Prompt:
    """The prompt in a file. Raises: UsageError for what is none, with its line."""
    try:
        raw = path.read_bytes()
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", hint="name a prompt's file") from None
    except OSError as error:
        hint = near_path(path) or None
        raise UsageError(f"no prompt at {path}: {error.strerror}", hint=hint) from error
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{path} has {len(raw):,} bytes, a prompt at most {MOST_BYTES:,}")
    text = decoded(raw, str(path)).replace("\r\n", "\n")
    prompt = prompt_of(text, name=path.stem, where=str(path))
    return msgspec.structs.replace(prompt, path=path)


def prompt_of(text: str, *, name: str, where: str) -> Prompt:
    """The prompt in a text; `name` unless it says its own. Raises: UsageError."""
    parts = _split(text, where)
    front = _front_matter(parts.front, where)
    name = front.name or name
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{where}: '{name}' is no name of a prompt",
            hint="letters, digits, dots, dashes: name: support-v3",
        )
    messages = _messages(front, parts, where)
    variables = {key: _as_text(value) for key, value in front.variables.items()}
    prompt = Prompt(
        name=name,
        description=front.description,
        model=front.model,
        parameters=front.parameters,
        schema=front.schema,
        variables=variables,
        messages=tuple(messages),
    )
    _require_used(prompt, where)
    return msgspec.structs.replace(prompt, digest=digest_of(prompt))


def digest_of(prompt: Prompt) -> str:
    """Of all that decides what a model is asked."""
    decides = {
        "model": prompt.model,
        "parameters": prompt.parameters,
        "schema": prompt.schema,
        "variables": prompt.variables,
        "messages": [message.as_dict() for message in prompt.messages],
    }
    return digest_value(decides)


def _split(text: str, where: str) -> _Parts:
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return _Parts("", text, 0)
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == FENCE:
            front = "\n".join(lines[1:number])
            body = "\n".join(lines[number + 1 :])
            return _Parts(front, body, number + 1)
    raise UsageError(f"{where}:1: its front matter does not end", hint="a second line of ---")


def _front_matter(text: str, where: str) -> FrontMatter:
    try:
        values = load_yaml(text)
    except UNREADABLE as error:
        raise _no_yaml(error, where) from error
    if values is None:
        return FrontMatter()
    if not isinstance(values, dict):
        raise UsageError(f"{where}:2: its front matter is no mapping", hint=EXAMPLE)
    known = FrontMatter.__struct_fields__
    for key in values:
        if key not in known:
            line = _line_of(str(key), text)
            raise UsageError(
                f"{where}:{line}: unknown key '{key}'", hint=nearest_name(str(key), known)
            )
    misfit = misfit_of(values, FrontMatter)
    if misfit is not None:
        line = _line_of(str(misfit.place[0]), text) if misfit.place else 2
        raise UsageError(f"{where}:{line}: {misfit.told}", hint=misfit.hint)
    return msgspec.convert(values, FrontMatter)


def _no_yaml(error: Exception, where: str) -> UsageError:
    """Its text begins on the file's second line."""
    fault = fault_of(error)
    line = 1 + (fault.line or 1)
    return UsageError(f"{where}:{line}: {fault.text}", hint="front matter is YAML")


def _line_of(key: str, text: str) -> int:
    for number, line in enumerate(text.split("\n"), 2):
        if line.startswith(key):
            return number
    return 2


def place_of(prompt: Prompt, key: str) -> str:
    """A file's path, and the line on which a key of its front matter stands, for a message."""
    if prompt.path is None:
        return prompt.name
    text = decoded(prompt.path.read_bytes(), str(prompt.path)).replace("\r\n", "\n")
    front = _split(text, str(prompt.path)).front
    written = re.compile(rf"""(?:^|[\s{{,])["']?{re.escape(key)}["']?\s*:""")
    for number, line in enumerate(front.split("\n"), 2):
        if written.search(line):
            return f"{prompt.path}:{number}"
    return str(prompt.path)


def _messages(front: FrontMatter, parts: _Parts, where: str) -> list[PromptMessage]:
    has_body = bool(parts.body.strip())
    if front.messages is not None:
        if has_body:
            line = parts.body_line + 1
            raise UsageError(
                f"{where}:{line}: messages stand in its front matter already",
                hint="keep one of them",
            )
        messages = front.messages
    else:
        messages = _of_body(parts) if has_body else []
    if not messages:
        raise UsageError(f"{where} holds no prompt", hint="text, or sections: system: and user:")
    for number, message in enumerate(messages, 1):
        if not message.content.strip():
            raise UsageError(f"{where}: message {number}, {message.role}, is empty")
        require_template(message.content, f"{where}: message {number}, {message.role}")
    return messages


def _of_body(parts: _Parts) -> list[PromptMessage]:
    messages = [
        {"role": section.role, "content": section.text} for section in sections_of(parts.body)
    ]
    return msgspec.convert(messages, list[PromptMessage])


def _require_used(prompt: Prompt, where: str) -> None:
    for name in prompt.variables:
        if name not in prompt.holes:
            raise UsageError(
                f"{where}: variable '{name}' stands in no message",
                hint=nearest_name(name, prompt.holes) if prompt.holes else "leave it out",
            )


def _as_text(value: str | float | bool) -> str:  # noqa: FBT001 - one of YAML's scalars
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
