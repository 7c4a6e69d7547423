"""A request in Anthropic's form as the chat completion that it means."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.refusal import Refusal

Json = dict[str, Any]  # Any: either API's fields
ROLES = ("user", "assistant", "system")
UNTOLD = ("thinking", "redacted_thinking")
"""Blocks that are a model's own, and are not told again."""
TOOL_CHOICES = {
    "auto": "auto",
    "any": "required",
    "none": "none",
}


class MessagesRequest(msgspec.Struct):
    """As far as it is translated."""

    model: str
    messages: list[Json]
    max_tokens: int
    system: str | list[Json] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    tools: list[Json] | None = None
    tool_choice: Json | None = None
    metadata: Json | None = None


_decode = msgspec.json.Decoder(MessagesRequest).decode


def chat_of(body: bytes) -> bytes:
    """The chat completion that a Messages request means.

    Raises: msgspec.DecodeError; Refusal for what has no counterpart.
    """
    asked = _decode(body)
    chat: Json = {
        "model": asked.model,
        "messages": _messages(asked),
        "max_tokens": asked.max_tokens,
    }
    chat |= _settings(asked)
    if asked.tools:
        chat["tools"] = [_tool(tool) for tool in asked.tools]
    if asked.tool_choice:
        chat["tool_choice"] = _tool_choice(asked.tool_choice)
    return msgspec.json.encode(chat)


def _messages(asked: MessagesRequest) -> list[Json]:
    found: list[Json] = []
    if asked.system:
        found.append({"role": "system", "content": _plain(asked.system)})
    for message in asked.messages:
        found += _turn(message)
    return found


def _settings(asked: MessagesRequest) -> Json:
    given = {
        "stop": asked.stop_sequences,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stream": asked.stream,
        "user": (asked.metadata or {}).get("user_id"),
    }
    return {name: value for name, value in given.items() if value is not None}


def _tool(tool: Json) -> Json:
    if tool.get("type") not in (None, "custom"):
        raise Refusal(
            400,
            f"tools of type {tool['type']!r} run at Anthropic; there are none here",
            code="unsupported",
        )
    return {
        "type": "function",
        "function": {
            "name": tool.get("name"),
            "description": tool.get("description", ""),
            "parameters": tool.get("input_schema") or {"type": "object"},
        },
    }


def _tool_choice(choice: Json) -> str | Json:
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return TOOL_CHOICES.get(str(kind), "auto")


def _turn(message: Json) -> list[Json]:
    """One message of theirs is one of ours, or several: results of tools stand by themselves."""
    role = message.get("role")
    content = message.get("content")
    if role not in ROLES:
        said = f"messages have the role user or assistant, not {role!r}"
        raise Refusal(400, said, code="invalid_body")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not isinstance(content, list):
        raise Refusal(400, "a message needs content", code="invalid_body")
    results: list[Json] = []
    parts: list[Json] = []
    calls: list[Json] = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            parts.append({"type": "text", "text": _text(block)})
        elif kind == "image":
            parts.append(_image(block))
        elif kind == "tool_use":
            calls.append(_tool_call(block))
        elif kind == "tool_result":
            results.append(_tool_result(block))
        elif kind not in UNTOLD:
            raise Refusal(400, f"content of type {kind!r} is not taken", code="unsupported")
    if not parts and not calls:
        return results
    turn: Json = {"role": role, "content": _joined(parts) or None}
    if calls:
        turn["tool_calls"] = calls
    return [*results, turn]


def _text(block: Json) -> str:
    text = block.get("text", "")
    if not isinstance(text, str):
        raise Refusal(400, "a block of type 'text' has a text", code="invalid_body")
    return text


def _joined(parts: list[Json]) -> str | list[Json]:
    """Text alone is a string, as every server takes it."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _image(block: Json) -> Json:
    source = block.get("source")
    url = _image_url(source) if isinstance(source, dict) else None
    if not url:
        raise Refusal(400, "an image needs a source with data or a url", code="invalid_body")
    return {"type": "image_url", "image_url": {"url": url}}


def _image_url(source: Json) -> str | None:
    if source.get("type") != "base64":
        return source.get("url")
    kind = source.get("media_type")
    data = source.get("data")
    if not kind or not data:
        return None
    return f"data:{kind};base64,{data}"


def _tool_call(block: Json) -> Json:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }


def _tool_result(block: Json) -> Json:
    return {
        "role": "tool",
        "tool_call_id": block.get("tool_use_id"),
        "content": _plain(block.get("content")),
    }


def _plain(content: object) -> str:
    """Text of a string or of blocks."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refusal(400, "content is a text or a list of blocks", code="invalid_body")
    return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
