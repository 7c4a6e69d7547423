"""How a request is spelled for an endpoint, and how its reply is read: OpenAI's and Anthropic's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.chat_endpoint import ChatEndpoint, Dialect
from llmops_cli.runtime.chat_request import ChatRequest, Fields
from llmops_cli.runtime.messages_words import (
    ANSWER_TOKENS,
    INPUT_COUNTS,
    STOP_REASONS,
    NotInMessages,
    call_of,
    schema_in,
    system_of,
    tool_of,
    trim_marks,
    turns_of,
)

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
        try:
            return self._body(model, request)
        except NotInMessages as error:
            raise UsageError(str(error)) from None

    def _body(self, model: str, request: ChatRequest) -> dict[str, object]:
        """Raises: NotInMessages; UsageError."""
        tools = [tool_of(tool) for tool in request.tools]
        fields: dict[str, object] = {
            "model": model,
            "system": system_of(request.messages),
            "messages": turns_of(request.messages),
            "max_tokens": request.max_tokens or ANSWER_TOKENS,
            "temperature": request.temperature,
            "stop_sequences": list(request.stop) or None,
            "tools": tools or None,
        }
        if request.response_format is not None:
            schema = _schema(request.response_format)
            fields["tools"] = [*tools, {"name": FORMAT_TOOL, "input_schema": schema}]
            fields["tool_choice"] = {"type": "tool", "name": FORMAT_TOOL}
        body = _given(fields)
        trim_marks(body)
        return body

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
                calls.append(call_of(part))
        usage = reply.get("usage")
        stopped = str(reply.get("stop_reason") or "")
        return ChatReply(
            text="".join(texts),
            tool_calls=tuple(calls),
            input_tokens=sum(counted(usage, name) for name in INPUT_COUNTS),
            output_tokens=counted(usage, "output_tokens"),
            finish_reason=STOP_REASONS.get(stopped, stopped),
        )


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


def _text_of(content: Any) -> str:  # Any: a text, a list of parts, or nothing
    if not isinstance(content, list):
        return str(content or "")
    return "".join(str(part.get("text") or "") for part in content)


def _schema(response_format: Fields) -> Any:  # Any: a JSON schema
    try:
        return schema_in(response_format)
    except NotInMessages:
        raise UsageError(
            f"Anthropic's dialect has no response_format '{response_format.get('type')}'",
            hint="json_schema, or ask for JSON in the prompt",
        ) from None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
