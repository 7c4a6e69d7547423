"""Anthropic's messages as a chat's: one of theirs is one of ours, or several."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from llmops_cli.serve.answers.dialects.messages_content import (
    BETWEEN,
    READABLE,
    ContentBlock,
    blocks_of,
    parts_of,
    plain_text,
    text_part,
)
from llmops_cli.serve.answers.dialects.messages_rules import (
    MESSAGE,
    RawFields,
    invalid,
    kept,
    missing,
    typed,
)
from llmops_cli.serve.answers.dialects.messages_thoughts import FIELDS as THOUGHT_FIELDS
from llmops_cli.serve.answers.dialects.messages_thoughts import field_of
from llmops_cli.serve.answers.dialects.unsent import Unsent
from llmops_cli.serve.refusal import Refusal

Json = dict[str, Any]  # Any: OpenAI's fields
ROLES = ("user", "assistant", "system")
JOINED = ("user", "assistant")
ERROR = "Error: "
"""Before the text of a tool's result that is one: a chat has no field for it."""


def chat_messages(
    raw: msgspec.Raw,
    system: msgspec.Raw | None,
    unsent: Unsent,
) -> list[Json]:
    """Raises: Refusal."""
    found: list[Json] = []
    if system is not None:
        said = plain_text(blocks_of(system, "system", unsent))
        if said:
            found.append({"role": "system", "content": said})
    messages = typed(raw, list[msgspec.Raw], "messages")
    if not messages:
        raise invalid("messages: at least one message is required")
    passing: list[Json] = []
    cleared: set[int] = set()
    for index, message in enumerate(messages):
        is_last = index == len(messages) - 1
        turn = _turn(message, f"messages.{index}", unsent, is_last=is_last)
        if turn.role == "user":
            cleared.update(map(id, passing))
            passing = []
        found += turn.messages
        if turn.passes:
            passing += turn.messages
    found = _joined([each for each in found if id(each) not in cleared])
    if not found:
        raise invalid("messages: none of them has content")
    if found[-1]["role"] == "assistant":
        unsent.add("prefill")
    return found


def _joined(messages: list[Json]) -> list[Json]:
    """Turns of one role that follow each other are one, as Anthropic has it."""
    found: list[Json] = []
    for role, group in groupby(messages, key=_role_of):
        turns = list(group)
        if len(turns) == 1 or role not in JOINED:
            found += turns
        elif role == "user":
            parts = [part for turn in turns for part in _parts(turn["content"])]
            found.append({"role": role, "content": parts})
        else:
            found.append(_one_assistant(turns))
    return found


def _role_of(message: Json) -> str:
    return str(message["role"])


def _one_assistant(turns: list[Json]) -> Json:
    said = BETWEEN.join(turn["content"] for turn in turns if turn["content"])
    calls = [call for turn in turns for call in turn.get("tool_calls", ())]
    turn: Json = {"role": "assistant", "content": said}
    if calls:
        turn["content"] = said or None
        turn["tool_calls"] = calls
    for field in THOUGHT_FIELDS:
        thoughts = [each[field] for each in turns if field in each]
        if thoughts:
            turn[field] = BETWEEN.join(thoughts)
    return turn


def _parts(content: str | list[Json]) -> list[Json]:
    return [text_part(content)] if isinstance(content, str) else content


class Turn(NamedTuple):
    """One message of theirs. `passes`: the next of the user's clears it."""

    role: str
    messages: list[Json]
    passes: bool = False


def _turn(
    raw: msgspec.Raw,
    where: str,
    unsent: Unsent,
    *,
    is_last: bool,
) -> Turn:
    given = typed(raw, RawFields, where)
    fields = kept(given, MESSAGE, label="messages.", unsent=unsent)
    role = _role(fields, where)
    if role == "system":
        has_only_settings = "content" not in fields and "output_config" in given
        return Turn(role, []) if has_only_settings else _system(fields, where, unsent)
    if "content" not in fields:
        raise missing(f"{where}.content")
    content = blocks_of(fields["content"], f"{where}.content", unsent)
    may_be_empty = is_last and role == "assistant"
    if not content and not may_be_empty:
        raise _empty(where)
    if isinstance(content, str):
        return Turn(role, [{"role": role, "content": content}])
    return Turn(role, [_assistant(content)] if role == "assistant" else _user(content))


def _system(fields: RawFields, where: str, unsent: Unsent) -> Turn:
    """One that stands between others."""
    if "content" not in fields:
        raise missing(f"{where}.content")
    said = plain_text(blocks_of(fields["content"], f"{where}.content", unsent))
    if not said:
        raise _empty(where)
    clear_at = ""
    if "clear_at" in fields:
        clear_at = typed(fields["clear_at"], str, f"{where}.clear_at")
    message = {"role": "system", "content": said}
    return Turn("system", [message], passes=clear_at == "next_user_message")


def _empty(where: str) -> Refusal:
    return invalid(f"{where}: all messages must have non-empty content")


def _role(fields: RawFields, where: str) -> str:
    if "role" not in fields:
        raise missing(f"{where}.role")
    role = typed(fields["role"], str, f"{where}.role")
    if role not in ROLES:
        raise invalid(f"{where}.role: it is user or assistant, not {role[:64]!r}")
    return role


def _assistant(blocks: list[ContentBlock]) -> Json:
    texts: list[str] = []
    calls: list[Json] = []
    thoughts: dict[str, list[str]] = {}
    for block in blocks:
        if block.kind == "text":
            texts.append(block.text("text"))
        elif block.kind == "tool_use":
            calls.append(_call(block))
        elif block.kind == "thinking":
            _think(block, thoughts)
        elif block.kind in (*READABLE, "tool_result"):
            said = f"content of type {block.kind!r} cannot stand in an assistant's message"
            raise invalid(f"{block.where}: {said}")
    said = BETWEEN.join(texts)
    turn: Json = {"role": "assistant", "content": said}
    if calls:
        turn["content"] = said or None
        turn["tool_calls"] = calls
    return turn | {field: BETWEEN.join(found) for field, found in thoughts.items()}


def _think(block: ContentBlock, thoughts: dict[str, list[str]]) -> None:
    """Reasoning goes back to the field of the upstream's that it came from."""
    thought = block.text("thinking")
    field = field_of(block.optional_text("signature"))
    if field is None:
        block.unsent.add("thinking")
    else:
        thoughts.setdefault(field, []).append(thought)


def _call(block: ContentBlock) -> Json:
    given = block.raw("input")
    typed(given, RawFields, f"{block.where}.input")
    return {
        "id": block.text("id"),
        "type": "function",
        "function": {"name": block.text("name"), "arguments": bytes(given).decode()},
    }


def _user(blocks: list[ContentBlock]) -> list[Json]:
    """Results of tools stand by themselves; what of them is no text is shown after them all."""
    results: list[Json] = []
    parts: list[Json] = []
    shown: list[Json] = []
    for block in blocks:
        if block.kind == "tool_result":
            results.append(_result(block, shown))
        else:
            parts += parts_of(block)
    parts = shown + parts
    if not parts:
        return results
    return [*results, {"role": "user", "content": _one_or_parts(parts)}]


def _one_or_parts(parts: list[Json]) -> str | list[Json]:
    """One text alone is a string, as every server takes it."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _result(block: ContentBlock, shown: list[Json]) -> Json:
    """A tool's message, which is text. Images and files of it go to `shown`, each announced."""
    call = block.text("tool_use_id")
    texts: list[str] = []
    raw = block.fields.get("content")
    content = "" if raw is None else blocks_of(raw, f"{block.where}.content", block.unsent)
    if isinstance(content, str):
        texts.append(content)
        content = []
    for inner in content:
        for part in parts_of(inner):
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                texts.append(f"({inner.kind}: shown below)")
                shown += [text_part(f"The {inner.kind} of tool result {call}:"), part]
    said = "\n".join(texts)
    failed = block.fields.get("is_error")
    if failed is not None and typed(failed, bool, f"{block.where}.is_error"):
        said = ERROR + said
    return {"role": "tool", "tool_call_id": call, "content": said}
