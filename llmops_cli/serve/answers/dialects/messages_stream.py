"""A chat completion's stream as Anthropic's events."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from llmops_cli.serve.answers.dialects.messages_answer import (
    empty_message,
    error_body,
    stop_reason,
    text_of,
    thought_of,
    tool_block,
    usage_of,
)
from llmops_cli.serve.answers.dialects.sse import END, data_of, named_event

Json = dict[str, Any]  # Any: either API's fields


class BlockKey(NamedTuple):
    """Which content block a piece belongs to. `call`: the tool call's index."""

    kind: str
    call: int = 0


class MessagesStream:
    """Of one answer."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._held = b""
        self._begun = False
        self._ended = False
        self._open: BlockKey | None = None
        self._blocks = 0
        self._calls_tools = False
        self._stop = "end_turn"
        self._usage: Json = usage_of({})

    def feed(self, events: bytes) -> bytes:
        *whole, self._held = (self._held + events).split(END)
        return b"".join([self._event(event) for event in whole])

    def finish(self) -> bytes:
        """The last events; nothing if they were sent, or the stream ended with an error."""
        if self._ended:
            return b""
        out = self._start()
        self._ended = True
        out += self._close_block()
        out += _named(
            "message_delta",
            delta={"stop_reason": self._stop, "stop_sequence": None},
            usage=self._usage,
        )
        return out + _named("message_stop")

    def _event(self, event: bytes) -> bytes:
        data = data_of(event)
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
            return self._fail(chunk["error"])
        return self._chunk(chunk)

    def _fail(self, error: Json) -> bytes:
        self._ended = True
        return b"event: error\ndata: " + error_body(500, str(error.get("message"))) + END

    def _chunk(self, chunk: Json) -> bytes:
        out = self._start()
        if chunk.get("usage"):
            self._usage = usage_of(chunk["usage"])
        choices = chunk.get("choices")
        if not choices:
            return out
        choice = choices[0]
        out += self._delta(choice.get("delta") or {})
        if choice.get("finish_reason"):
            self._stop = stop_reason(choice["finish_reason"], calls_tools=self._calls_tools)
        return out

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message = {**empty_message(self._id, self._model), "usage": self._usage}
        return _named("message_start", message=message)

    def _delta(self, delta: Json) -> bytes:
        out = b""
        thought = thought_of(delta)
        if thought:
            block = {
                "type": "thinking",
                "thinking": "",
                "signature": "",
            }
            out += self._open_block(BlockKey("thinking"), block)
            out += self._piece({"type": "thinking_delta", "thinking": thought})
        text = text_of(delta)
        if text:
            out += self._open_block(BlockKey("text"), {"type": "text", "text": ""})
            out += self._piece({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            out += self._call(call)
        return out

    def _call(self, call: Json) -> bytes:
        """A piece of a tool call: the first brings its name, the rest its arguments."""
        self._calls_tools = True
        block = tool_block(call, given={})
        block["name"] = block["name"] or ""
        out = self._open_block(BlockKey("tool", int(call.get("index") or 0)), block)
        arguments = (call.get("function") or {}).get("arguments")
        if arguments:
            out += self._piece({"type": "input_json_delta", "partial_json": arguments})
        return out

    def _open_block(self, key: BlockKey, block: Json) -> bytes:
        """Nothing if it is open."""
        if self._open == key:
            return b""
        out = self._close_block()
        self._open = key
        self._blocks += 1
        return out + _named("content_block_start", index=self._blocks - 1, content_block=block)

    def _close_block(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _named("content_block_stop", index=self._blocks - 1)

    def _piece(self, delta: Json) -> bytes:
        return _named("content_block_delta", index=self._blocks - 1, delta=delta)


def _named(kind: str, **fields: object) -> bytes:
    return named_event(kind, {"type": kind, **fields})
