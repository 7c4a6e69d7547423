"""Messages of a conversation with tools, in the forms that chat templates take."""

import json
from typing import Any

from _shared.tools.layouts import HERMES

# Any: a message holds what the model's template wants of it, beside its role and content.
Message = dict[str, Any]

ASK = """You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a JSON object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
"""For templates that know no tools: the words of Qwen's own template, which many models know."""


def with_arguments_as_objects(message: Message) -> Message:
    """OpenAI has a call's arguments as a text of JSON; templates write them as JSON themselves."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [with_object(call) for call in calls]}


def with_parameters(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool without parameters may leave them out; templates look for their properties."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    parameters = {"type": "object", "properties": {}, **(function.get("parameters") or {})}
    return {**tool, "function": {**function, "parameters": parameters}}


def with_object(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": arguments}}


def without_tools(messages: list[Message], tools: list[dict[str, Any]]) -> list[Message]:
    """The same conversation for a template that knows no tools: they stand in its texts."""
    told = [as_text(message) for message in messages]
    if not tools:
        return told
    functions = [json.dumps(tool, ensure_ascii=False) for tool in tools]
    listing = chr(10).join(functions)
    ask = ASK.format(tools=listing)
    if told and told[0].get("role") == "system":
        first = told[0]
        return [{**first, "content": f"{first.get('content') or ''}\n\n{ask}"}, *told[1:]]
    return [{"role": "system", "content": ask}, *told]


def as_text(message: Message) -> Message:
    if message.get("role") == "tool":
        content = message.get("content") or ""
        return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return message
    texts = [call_text(call) for call in calls]
    content = message.get("content")
    parts = [content, *texts] if content else texts
    return {"role": "assistant", "content": chr(10).join(parts)}


def call_text(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        function = {}
    said = {"name": function.get("name"), "arguments": function.get("arguments", {})}
    body = json.dumps(said, ensure_ascii=False)
    return f"{HERMES.opening}\n{body}\n{HERMES.closing}"
