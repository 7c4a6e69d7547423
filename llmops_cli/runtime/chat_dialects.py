"""How a request is spelled for an endpoint, and how its reply is read: OpenAI's and Anthropic's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.chat_endpoint import ChatEndpoint, Dialect, Message
from llmops_cli.runtime.chat_request import ChatRequest, Fields

ANSWER_TOKENS = 4096
"""For Anthropic's dialect, in which a limit has to be named."""
STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
"""Anthropic's, in OpenAI's words."""
FORMAT_TOOL = "answer"
"""Of an answer with a schema: Anthropic's dialect has those for tools."""


class ChatReply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Counts are 0 where the server gave none."""

    text: str
    tool_calls: tuple[Any, ...] = ()  # Any: OpenAI's form of a call
    input_tokens: int = 0
    output_tokens: int = 0
    finish_reason: str = ""


class Spelling(Protocol):
    """One dialect."""

    path: str

    def body(self, model: str, request: ChatRequest) -> dict[str, object]: ...

    def read(self, reply: Any) -> ChatReply:  # Any: JSON of a server
        """Raises: KeyError and its like for a reply of another form."""
        ...


class OpenAi:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"

    def body(self, model: str, request: ChatRequest) -> dict[str, object]:
        fields: dict[str, object] = {
            "model": model,
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stop": list(request.stop) or None,
            "response_format": request.response_format,
            "tools": list(request.tools) or None,
        }
        return _given(fields)

    def read(self, reply: Any) -> ChatReply:  # Any: JSON of a server
        choice = reply["choices"][0]
        said = choice["message"]
        usage = reply.get("usage")
        return ChatReply(
            text=_text_of(said.get("content")),
            tool_calls=tuple(said.get("tool_calls") or ()),
            input_tokens=counted(usage, "prompt_tokens"),
            output_tokens=counted(usage, "completion_tokens"),
            finish_reason=str(choice.get("finish_reason") or ""),
        )


class Anthropic:
    """POST /v1/messages. It knows no seed."""

    path = "/v1/messages"

    def body(self, model: str, request: ChatRequest) -> dict[str, object]:
        """Raises: UsageError for what the dialect cannot say."""
        system = [_text_of(each["content"]) for each in request.messages if _is_system(each)]
        tools = [_tool(tool) for tool in request.tools]
        fields: dict[str, object] = {
            "model": model,
            "system": "\n\n".join(system) or None,
            "messages": _turns(request.messages),
            "max_tokens": request.max_tokens or ANSWER_TOKENS,
            "temperature": request.temperature,
            "stop_sequences": list(request.stop) or None,
            "tools": tools or None,
        }
        if request.response_format is not None:
            schema = _schema(request.response_format)
            fields["tools"] = [*tools, {"name": FORMAT_TOOL, "input_schema": schema}]
            fields["tool_choice"] = {"type": "tool", "name": FORMAT_TOOL}
        return _given(fields)

    def read(self, reply: Any) -> ChatReply:  # Any: JSON of a server
        texts = []
        calls = []
        for part in reply["content"]:
            kind = part["type"]
            if kind == "text":
                texts.append(part["text"])
            elif kind == "tool_use" and part["name"] == FORMAT_TOOL:
                texts.append(_json(part["input"]))
            elif kind == "tool_use":
                calls.append(_call(part))
        usage = reply.get("usage")
        stopped = str(reply.get("stop_reason") or "")
        return ChatReply(
            text="".join(texts),
            tool_calls=tuple(calls),
            input_tokens=sum(counted(usage, name) for name in INPUT_COUNTS),
            output_tokens=counted(usage, "output_tokens"),
            finish_reason=STOP_REASONS.get(stopped, stopped),
        )


INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""Anthropic counts what its cache took or gave apart."""
SPELLINGS: Mapping[Dialect, Spelling] = {"openai": OpenAi(), "anthropic": Anthropic()}


def spelling_of(endpoint: ChatEndpoint) -> Spelling:
    """The one that the endpoint understands."""
    return SPELLINGS[endpoint.dialect]


def one_of(choices: Iterable[str]) -> dict[str, object]:
    """The format of an answer that is {"choice": one of these}."""
    schema = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(choices)}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    named = {"name": "choice", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


def counted(usage: Any, name: str) -> int:  # Any: the server's own field
    """The server's count; 0 where it is none."""
    if not isinstance(usage, dict):
        return 0
    count = usage.get(name)
    if not isinstance(count, int) or count < 0:
        return 0
    return count


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_system(each: Message) -> bool:
    return each["role"] in ("system", "developer")


def _text_of(content: Any) -> str:  # Any: a text, a list of parts, or nothing
    if not isinstance(content, list):
        return str(content or "")
    return "".join(str(part.get("text") or "") for part in content)


def _turns(messages: Iterable[Message]) -> list[Message]:
    """Without the system's; a tool's results are the user's, beside what the user says next."""
    turns: list[Message] = []
    for each in messages:
        if _is_system(each):
            continue
        turn = _turn(each)
        last = turns[-1] if turns else None
        if last is not None and last["role"] == turn["role"]:
            last["content"] = [*_as_parts(last["content"]), *_as_parts(turn["content"])]
        else:
            turns.append(turn)
    return turns


def _turn(each: Message) -> Message:
    content = each.get("content")
    if each["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": each["tool_call_id"], "content": content}
        return {"role": "user", "content": [result]}
    calls = each.get("tool_calls")
    if not calls:
        return {"role": each["role"], "content": content}
    said = _as_parts(content) if content else []
    return {"role": each["role"], "content": [*said, *map(_use, calls)]}


def _as_parts(content: Any) -> list[Any]:  # Any: a text, or parts
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _use(call: Any) -> dict[str, object]:  # Any: OpenAI's form of a call
    function = call["function"]
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": function["name"],
        "input": msgspec.json.decode(function["arguments"] or "{}"),
    }


def _call(part: Any) -> dict[str, object]:  # Any: Anthropic's form of a call
    function = {"name": part["name"], "arguments": _json(part["input"])}
    return {"id": part["id"], "type": "function", "function": function}


def _tool(tool: Fields) -> dict[str, object]:
    function = tool["function"]
    fields = {
        "name": function["name"],
        "description": function.get("description"),
        "input_schema": function.get("parameters") or {"type": "object"},
    }
    return _given(fields)


def _schema(response_format: Fields) -> Any:  # Any: a JSON schema
    if response_format.get("type") != "json_schema":
        raise UsageError(
            f"Anthropic's dialect has no response_format '{response_format.get('type')}'",
            hint="json_schema, or ask for JSON in the prompt",
        )
    return response_format["json_schema"]["schema"]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
