"""A prompt as the base and what was changed: an instruction at a place, examples in an order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.chats import Messages, read_chat
from llmops_cli.prompt.templates import MARKS

USER = "user"
SYSTEM = "system"


class Place(StrEnum):
    """Where an instruction stands."""

    SYSTEM = "system"
    BEFORE = "before"
    AFTER = "after"


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """A wording by its name, and where it stands."""

    wording: str
    place: Place

    def __str__(self) -> str:
        return f"'{self.wording}' {self.place}"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """`examples`: numbers of training cases, in the order in which they are shown.

    `system`: what stands in the place of the base's system message.
    """

    instruction: Instruction | None = None
    examples: tuple[int, ...] = ()
    system: str | None = None

    @property
    def changes(self) -> list[str]:
        """Against the base, for people."""
        found = []
        if self.system is not None:
            found.append("a system message of the proposer's")
        if self.instruction is not None:
            found.append(f"instruction {self.instruction}")
        if self.examples:
            found.append(counted(len(self.examples), "example"))
        return found


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A training case as a turn of a conversation: what is asked, and a right answer."""

    question: str
    answer: str


BASE = Candidate()


def base_messages(source: PromptSource) -> Messages:
    """Of a prompt whose parts can be changed. Raises: UsageError for another."""
    chat = read_chat(source.text)
    if chat is None and "{%" in source.text and source.text.lstrip()[:1] in "[{-":
        raise UsageError(
            f"prompt '{source.label}' is a chat that a template writes",
            hint="write its messages out, so that there are parts to change",
        )
    messages = chat or [{"role": USER, "content": source.text}]
    last = _last_user(messages)
    if last is None or not isinstance(messages[last].get("content"), str):
        raise UsageError(
            f"prompt '{source.label}' has no user message that is text",
            hint="its last user message is where examples and instructions go",
        )
    return messages


def composed(
    source: PromptSource,
    candidate: Candidate,
    *,
    wordings: Mapping[str, str],
    examples: Mapping[int, Example],
) -> PromptSource:
    """The prompt that a candidate is, with holes as the base has them; the base is itself."""
    if candidate == BASE:
        return source
    messages = [dict(message) for message in base_messages(source)]
    if candidate.system is not None:
        messages = _with_other_system(messages, candidate.system)
    messages = _with_examples(messages, [examples[number] for number in candidate.examples])
    if candidate.instruction is not None:
        text = wordings[candidate.instruction.wording]
        messages = _with_instruction(messages, text, candidate.instruction.place)
    text = json.dumps(messages, ensure_ascii=False)
    return msgspec.structs.replace(source, text=text)


def is_plain(text: str) -> bool:
    """Whether it means itself inside a template."""
    return not any(mark in text for mark in MARKS)


def last_user_text(messages: Messages) -> str:
    """What the user says last; a text, by `base_messages`."""
    last = _last_user(messages)
    return "" if last is None else str(messages[last]["content"])


def _last_user(messages: Sequence[Mapping[str, Any]]) -> int | None:  # Any: OpenAI's form
    places = [number for number, each in enumerate(messages) if each["role"] == USER]
    return places[-1] if places else None


def _with_examples(messages: Messages, examples: Sequence[Example]) -> Messages:
    """As turns before the last question."""
    last = _last_user(messages) or 0
    turns: Messages = []
    for example in examples:
        turns.append({"role": USER, "content": example.question})
        turns.append({"role": "assistant", "content": example.answer})
    return [*messages[:last], *turns, *messages[last:]]


def _with_instruction(messages: Messages, text: str, place: Place) -> Messages:
    if place is Place.SYSTEM:
        return _with_system(messages, text)
    last = _last_user(messages) or 0
    content = str(messages[last]["content"])
    parts = [text, content] if place is Place.BEFORE else [content, text]
    changed = {**messages[last], "content": "\n\n".join(parts)}
    return [*messages[:last], changed, *messages[last + 1 :]]


def system_text(messages: Messages) -> str:
    """Of a prompt; empty where it has none."""
    first = messages[0]
    has_one = first["role"] == SYSTEM and isinstance(first.get("content"), str)
    return str(first["content"]) if has_one else ""


def _with_other_system(messages: Messages, text: str) -> Messages:
    rest = messages[1:] if system_text(messages) else messages
    return [{"role": SYSTEM, "content": text}, *rest]


def _with_system(messages: Messages, text: str) -> Messages:
    """Below what its system message says already."""
    first = messages[0]
    if first["role"] == SYSTEM and isinstance(first.get("content"), str):
        content = f"{first['content']}\n\n{text}"
        return [{**first, "content": content}, *messages[1:]]
    return [{"role": SYSTEM, "content": text}, *messages]
