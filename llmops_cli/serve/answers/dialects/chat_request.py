"""A chat whose body has the form of OpenAI's Responses, as Cursor sends it to the chat's path.

Source: forum.cursor.com, topics 153019 and 159298: the body has `input` and flat tools, the answer
is to be a chat completion's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.answers.dialects.unsent import Unsent
from llmops_cli.serve.refusal import Refusal

Json = dict[str, Any]  # Any: OpenAI's fields
UNSENT = ("include", "truncation", "background")
TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
BETWEEN = "\n"


class ChatShape(msgspec.Struct):
    """What tells the two forms apart."""

    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_shape_of = msgspec.json.Decoder(ChatShape).decode


def chat_of(body: bytes) -> tuple[bytes, bytes]:
    """The chat, and the names of what is not in it. One that has its own form stays as it is.

    Raises: msgspec.DecodeError; Refusal for what has no counterpart.
    """
    if b'"input"' not in body:
        return body, b""
    shape = _shape_of(body)
    if shape.input is msgspec.UNSET or shape.messages is not msgspec.UNSET:
        return body, b""
    fields: Json = msgspec.json.decode(body)
    if fields.pop("previous_response_id", None) is not None:
        raise _refusal("previous_response_id names what an upstream keeps; send its messages")
    unsent = Unsent()
    for name in UNSENT:
        if fields.pop(name, None) is not None:
            unsent.add(name)
    try:
        chat = _chat(fields, unsent)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _refusal("the body's input, tools or text have another form") from None
    return msgspec.json.encode(chat), unsent.header()


def _chat(fields: Json, unsent: Unsent) -> Json:
    """Raises: KeyError and the like for another form."""
    messages = _messages(fields.pop("input"), unsent)
    instructions = fields.pop("instructions", None)
    if instructions:
        messages.insert(0, {"role": "system", "content": instructions})
    chat: Json = {"messages": messages}
    tools = fields.pop("tools", None) or []
    if tools:
        chat["tools"] = [_tool(tool) for tool in tools]
    choice = fields.pop("tool_choice", None)
    if choice is not None and tools:
        chat["tool_choice"] = _nested(choice) if isinstance(choice, dict) else choice
    chat |= _reasoning(fields.pop("reasoning", None) or {}, unsent)
    chat |= _text(fields.pop("text", None) or {})
    most = fields.pop("max_output_tokens", None)
    if most is not None:
        chat["max_tokens"] = most
    return {**fields, **chat}


def _reasoning(reasoning: Json, unsent: Unsent) -> Json:
    for name in reasoning:
        if name != "effort":
            unsent.add(f"reasoning.{name}")
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _text(text: Json) -> Json:
    found: Json = {}
    form = text.get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form["type"] != "text":
        found["response_format"] = form
    if text.get("verbosity") is not None:
        found["verbosity"] = text["verbosity"]
    return found


def _tool(tool: Json) -> Json:
    """Flat there, nested in a chat."""
    if tool["type"] not in ("function", "custom"):
        raise _refusal(f"tools of type {str(tool['type'])[:64]!r} run at OpenAI")
    return _nested(tool)


def _nested(tool: Json) -> Json:
    kind = tool["type"]
    if kind in tool:
        return tool
    return {"type": kind, kind: {name: value for name, value in tool.items() if name != "type"}}


def _messages(given: str | list[Json], unsent: Unsent) -> list[Json]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    found: list[Json] = []
    for item in given:
        kind = item.get("type", "message")
        if kind == "message":
            found.append({"role": item["role"], "content": _content(item["content"])})
        elif kind in ("function_call", "custom_tool_call"):
            _add_call(found, item)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            found.append(_result(item))
        elif kind == "reasoning":
            unsent.add("reasoning")
        else:
            raise _refusal(f"input of type {str(kind)[:64]!r} is not taken")
    return found


def _add_call(found: list[Json], item: Json) -> None:
    """Calls that follow each other are one message's."""
    if item["type"] == "function_call":
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
    else:
        custom = {"name": item["name"], "input": item["input"]}
        call = {"id": item["call_id"], "type": "custom", "custom": custom}
    last = found[-1] if found else {}
    if last.get("role") != "assistant":
        last = {"role": "assistant", "content": None}
        found.append(last)
    last.setdefault("tool_calls", []).append(call)


def _result(item: Json) -> Json:
    content = _content(item["output"])
    if isinstance(content, list):
        if any(part["type"] != "text" for part in content):
            raise _refusal("a tool's result that is no text is not taken")
        content = BETWEEN.join(part["text"] for part in content)
    return {"role": "tool", "tool_call_id": item["call_id"], "content": content}


def _content(content: str | list[Json]) -> str | list[Json]:
    if isinstance(content, str):
        return content
    parts = [_part(part) for part in content]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _part(part: Json) -> Json:
    kind = part["type"]
    if kind in TEXTS:
        return {"type": "text", "text": part["text"]}
    if kind == "refusal":
        return {"type": "text", "text": part["refusal"]}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        image = {"url": part["image_url"]}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file" and part.get("file_data") is not None:
        file = {name: part[name] for name in ("filename", "file_data") if name in part}
        return {"type": "file", "file": file}
    raise _refusal(f"content of type {str(kind)[:64]!r} is not taken")


def _refusal(message: str) -> Refusal:
    return Refusal(400, message, code="unsupported")
