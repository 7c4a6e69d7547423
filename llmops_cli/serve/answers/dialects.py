"""How a client speaks: OpenAI's way, which is ours, or Anthropic's Messages, translated there and
back.

Source: Anthropic's Messages API (version 2023-06-01). `thinking` and `cache_control` have no
counterpart and are left out; what would change the answer's meaning (documents, server tools) is
refused.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from llmops_cli.serve.refusal import Refusal

Json = dict[str, Any]  # Any: either API's fields
STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
CHOICES: dict[str, Any] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
}  # Any: OpenAI's tool_choice


class Dialect:
    """OpenAI's: bytes as they are."""

    is_plain = True
    wants_usage = False
    model = ""

    def request(self, body: bytes) -> bytes:
        """In OpenAI's form."""
        return body

    def whole(self, body: bytes, *, status: int = 200) -> bytes:
        del status
        return body

    def feed(self, events: bytes) -> bytes:
        return events

    def finish(self) -> bytes:
        return b""

    def refusal(self, refusal: Refusal, request: str) -> bytes:
        del request
        return refusal.body()


class Messages(Dialect):
    """Anthropic's, of one answer."""

    is_plain = False
    wants_usage = True

    def __init__(self) -> None:
        self._held = b""
        self._id = f"msg_{secrets.token_hex(12)}"
        self._begun = self._ended = self._tools = False
        self._open: tuple[str, int] | None = (
            None  # (kind, the tool call's index) of the block under way
        )
        self._blocks = 0
        self._stop = "end_turn"
        self._counts = {"input_tokens": 0, "output_tokens": 0}

    # -- whole
    # -----------------------------------------------------------------------------------------

    def request(self, body: bytes) -> bytes:
        return chat_of(body)

    def whole(self, body: bytes, *, status: int = 200) -> bytes:
        try:
            said = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return error(502, "the upstream's answer is not JSON")
        if status != 200:
            detail = said.get("error") if isinstance(said, dict) else None
            text = detail.get("message") if isinstance(detail, dict) else detail
            return error(status, str(text or f"the upstream answered {status}"))
        try:
            choice = said["choices"][0]
            message = choice["message"]
            return msgspec.json.encode(
                {
                    "id": self._id,
                    "type": "message",
                    "role": "assistant",
                    "model": self.model,
                    "content": _blocks(message),
                    "stop_sequence": None,
                    "stop_reason": _stop(
                        choice.get("finish_reason"), tools=bool(message.get("tool_calls"))
                    ),
                    "usage": _usage(said.get("usage") or {}),
                }
            )
        except (KeyError, IndexError, TypeError):
            return error(502, "the upstream's answer is no chat completion")

    def refusal(self, refusal: Refusal, request: str) -> bytes:
        return error(refusal.status, refusal.message, request=request)

    # -- streamed
    # --------------------------------------------------------------------------------------

    def feed(self, events: bytes) -> bytes:
        *whole, self._held = (self._held + events).split(b"\n\n")
        return b"".join(self._event(event) for event in whole)

    def _event(self, event: bytes) -> bytes:
        data = event.partition(b"data:")[2].strip()
        if not data or self._ended:
            return b""
        if data == b"[DONE]":
            return self.finish()
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return b""
        if not isinstance(chunk, dict):
            return b""
        if isinstance(chunk.get("error"), dict):
            self._ended = True
            return (
                b"event: error\ndata: " + error(500, str(chunk["error"].get("message"))) + b"\n\n"
            )
        out = b"" if self._begun else self._start()
        if chunk.get("usage"):
            self._counts = _usage(chunk["usage"])
        for choice in (chunk.get("choices") or ())[:1]:
            out += self._delta(choice.get("delta") or {})
            if choice.get("finish_reason"):
                self._stop = _stop(choice["finish_reason"], tools=self._tools)
        return out

    def _start(self) -> bytes:
        self._begun = True
        message: Json = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._counts,
        }
        return _sse("message_start", message=message)

    def _delta(self, delta: Json) -> bytes:
        out = b""
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            out += self._block("thinking", 0, {"type": "thinking", "thinking": "", "signature": ""})
            out += self._piece({"type": "thinking_delta", "thinking": thought})
        if text := delta.get("content") or delta.get("refusal"):
            out += self._block("text", 0, {"type": "text", "text": ""})
            out += self._piece({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            index = int(call.get("index") or 0)
            self._tools = True
            block: Json = {
                "type": "tool_use",
                "id": call.get("id") or f"toolu_{secrets.token_hex(8)}",
                "name": function.get("name") or "",
                "input": {},
            }
            out += self._block("tool", index, block)
            if function.get("arguments"):
                out += self._piece(
                    {"type": "input_json_delta", "partial_json": function["arguments"]}
                )
        return out

    def _block(self, kind: str, index: int, block: Json) -> bytes:
        """Opens a block of this kind, unless it is open."""
        if self._open == (kind, index):
            return b""
        out = self._close()
        self._open = (kind, index)
        self._blocks += 1
        return out + _sse("content_block_start", index=self._blocks - 1, content_block=block)

    def _piece(self, delta: Json) -> bytes:
        return _sse("content_block_delta", index=self._blocks - 1, delta=delta)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _sse("content_block_stop", index=self._blocks - 1)

    def finish(self) -> bytes:
        """The last events; nothing if they were sent, or the stream ended with an error."""
        if self._ended:
            return b""
        out = b"" if self._begun else self._start()
        self._ended = True
        out += self._close()
        out += _sse(
            "message_delta",
            delta={"stop_reason": self._stop, "stop_sequence": None},
            usage=self._counts,
        )
        return out + _sse("message_stop")


def _sse(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        msgspec.json.encode({"type": kind, **fields}),
    )


def error(status: int, message: str, *, request: str = "") -> bytes:
    kind = ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    whole: Json = {"type": "error", "error": {"type": kind, "message": message}}
    return msgspec.json.encode({**whole, "request_id": request} if request else whole)


def _stop(reason: str | None, *, tools: bool) -> str:
    """Some servers say `stop` where a tool is called."""
    found = STOPS.get(reason or "stop", "end_turn")
    return "tool_use" if tools and found == "end_turn" else found


def _usage(counts: Json) -> Json:
    return {
        "input_tokens": counts.get("prompt_tokens") or 0,
        "output_tokens": counts.get("completion_tokens") or 0,
    }


def _blocks(message: Json) -> list[Json]:
    found: list[Json] = []
    if thought := message.get("reasoning_content") or message.get("reasoning"):
        found.append({"type": "thinking", "thinking": thought, "signature": ""})
    if text := message.get("content") or message.get("refusal"):
        found.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        function = call["function"]
        try:
            given = msgspec.json.decode(function.get("arguments") or "{}")
        except msgspec.DecodeError:
            given = {"arguments": function.get("arguments")}
        found.append(
            {
                "type": "tool_use",
                "id": call.get("id") or f"toolu_{secrets.token_hex(8)}",
                "name": function.get("name"),
                "input": given,
            }
        )
    return found


# -- requests
# ------------------------------------------------------------------------------------------


class MessagesRequest(msgspec.Struct):
    """A request of Anthropic's form, as far as it is translated."""

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


_asked = msgspec.json.Decoder(MessagesRequest).decode


def chat_of(body: bytes) -> bytes:
    """The chat completion that a Messages request means.

    Raises: msgspec.DecodeError; Refusal for what has no counterpart.
    """
    asked = _asked(body)
    messages = [{"role": "system", "content": _plain(asked.system)}] if asked.system else []
    for message in asked.messages:
        messages += _turn(message)
    chat: Json = {"model": asked.model, "messages": messages, "max_tokens": asked.max_tokens}
    given = {
        "stop": asked.stop_sequences,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stream": asked.stream,
        "user": (asked.metadata or {}).get("user_id"),
    }
    chat |= {name: value for name, value in given.items() if value is not None}
    if asked.tools:
        chat["tools"] = [_tool(tool) for tool in asked.tools]
    if asked.tool_choice:
        kind = asked.tool_choice.get("type")
        named = {"type": "function", "function": {"name": asked.tool_choice.get("name")}}
        chat["tool_choice"] = named if kind == "tool" else CHOICES.get(str(kind), "auto")
    return msgspec.json.encode(chat)


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


def _turn(message: Json) -> list[Json]:
    """One message of theirs is one of ours, or several: results of tools stand by themselves."""
    role = message.get("role")
    content = message.get("content")
    if role not in ("user", "assistant", "system"):
        raise Refusal(
            400, f"messages have the role user or assistant, not {role!r}", code="invalid_body"
        )
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not isinstance(content, list):
        raise Refusal(400, "a message needs content", code="invalid_body")
    out: list[Json] = []
    parts: list[Json] = []
    calls: list[Json] = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            parts.append({"type": "text", "text": block.get("text", "")})
        elif kind == "image":
            parts.append(
                {"type": "image_url", "image_url": {"url": _image(block.get("source") or {})}}
            )
        elif kind == "tool_use":
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            calls.append(
                {
                    "id": block.get("id"),
                    "type": "function",
                    "function": {"name": block.get("name"), "arguments": arguments},
                }
            )
        elif kind == "tool_result":
            out.append(
                {
                    "role": "tool",
                    "tool_call_id": block.get("tool_use_id"),
                    "content": _plain(block.get("content")),
                }
            )
        elif kind not in ("thinking", "redacted_thinking"):
            raise Refusal(400, f"content of type {kind!r} is not taken", code="unsupported")
    if parts or calls:
        only_text = all(part["type"] == "text" for part in parts)
        said: Any = "".join(part["text"] for part in parts) if only_text else parts
        out.append(
            {"role": role, "content": said or None, **({"tool_calls": calls} if calls else {})}
        )
    return out


def _image(source: Json) -> str:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return str(source.get("url") or "")


def _plain(content: str | list[Json] | None) -> str:
    """Text of a string or of blocks."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
