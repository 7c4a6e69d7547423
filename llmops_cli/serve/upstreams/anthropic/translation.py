"""One answer of Anthropic's Messages as a chat's: whole, or event by event as it comes."""

from __future__ import annotations

import time

import msgspec

from llmops_cli.runtime.messages_words import SIGNED_THOUGHTS, THOUGHTS, Json
from llmops_cli.serve.answers.dialects.choices import OddAnswer
from llmops_cli.serve.answers.dialects.sse import DONE, END, EventSplitter, data_of, event
from llmops_cli.serve.upstreams.anthropic.answer import (
    Paragraphs,
    completion_of,
    count_in,
    ending_of,
    error_in_stream,
    error_of,
    text_in,
    usage_of,
)
from llmops_cli.serve.upstreams.anthropic.thoughts import SignedThoughts
from llmops_cli.serve.upstreams.errors import EndedEarly, MalformedAnswer

EVENT_MOST = 8 << 20
OK = 200
NO_INPUT = "{}"
"""Of a tool that is called with nothing: no part of it is told."""


class MessagesAnswer:
    """Of one request. Nothing is told of a stream before its first block: until then it may fail.

    Kinds of events, blocks and deltas that are not known say nothing in a chat.
    """

    def __init__(self) -> None:
        self._created = int(time.time())
        self._events = EventSplitter()
        self._head: Json = {}
        self._ending: Json = {}
        self._usage: Json = {}
        self._paragraphs = Paragraphs()
        self._thoughts = Paragraphs()
        self._signed = SignedThoughts()
        self._calls: dict[int, ToolInput] = {}
        self._called = 0
        self._has_begun = False
        self._has_ended = False

    # Whole.

    def whole(self, status: int, body: bytes) -> bytes:
        """What is neither a message nor an error stays as it is, for who checks answers."""
        try:
            told = msgspec.json.decode(body)
            error = error_of(told, has_status=status != OK)
            if error is not None:
                return msgspec.json.encode({"error": error})
            if status != OK:
                return body
            return msgspec.json.encode(completion_of(told, created=self._created))
        except OddAnswer:
            return body

    # Streamed.

    def feed(self, events: bytes) -> bytes:
        """Raises: ErrorInStream; MalformedAnswer."""
        whole = self._events.feed(events)
        if self._events.size > EVENT_MOST:
            raise MalformedAnswer("an event does not end")
        return b"".join([self._event(each) for each in whole])

    def finish(self) -> bytes:
        """At the end of what came. Raises: ErrorInStream; MalformedAnswer; EndedEarly."""
        rest = self.feed(END) if self._events.size else b""
        if not self._has_ended:
            raise EndedEarly
        return rest

    def so_far(self) -> bytes:
        """The prompt's tokens are told at the beginning, before a chat can be told of them."""
        usage = usage_of(self._usage or None)
        return b"" if usage is None else msgspec.json.encode({"usage": usage})

    def _event(self, raw: bytes) -> bytes:
        data = data_of(raw)
        if not data or self._has_ended:
            return b""
        try:
            told = msgspec.json.decode(data)
            kind = told["type"]
            if kind == "error":
                raise error_in_stream(told)
            return self._told(kind, told)
        except OddAnswer:
            raise MalformedAnswer("an event of another form") from None

    def _told(self, kind: str, told: Json) -> bytes:
        """Raises: one of OddAnswer."""
        if kind == "content_block_delta":
            return self._delta(told["index"], told["delta"])
        if kind == "content_block_start":
            return self._block(told["index"], told["content_block"])
        if kind == "content_block_stop":
            return self._block_ended(told["index"])
        if kind == "message_start":
            self._start(told["message"])
        elif kind == "message_delta":
            self._ending |= told["delta"] or {}
            self._count(told.get("usage"))
        elif kind == "message_stop":
            return self._stop()
        return b""

    def _start(self, message: Json) -> None:
        self._head = {
            "id": message.get("id"),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": message.get("model"),
        }
        begun = dict(message.get("usage") or {})
        begun.pop("output_tokens", None)  # of what was not yet said: the end tells it
        self._count(begun)

    def _count(self, usage: Json | None) -> None:
        """Events tell all that was used by then, or nothing of it: some say 0 then."""
        given = usage or {}
        for name, value in given.items():
            before = count_in(self._usage, name)
            now = count_in(given, name)
            is_less = before is not None and (now is None or now < before)
            if value is not None and not is_less:
                self._usage[name] = value

    def _block(self, index: int, block: Json) -> bytes:
        out = self._begin()
        kind = block["type"]
        if kind == "text":
            return out + self._text(block.get("text") or "")
        self._paragraphs.interrupt()
        if kind in THOUGHTS:
            self._signed.begin(index, block)
        if kind == "thinking":
            self._thoughts.interrupt()
            return out + self._thought(block.get("thinking") or "")
        if kind == "tool_use":
            call = ToolInput(self._called, block.get("input"))
            self._called += 1
            self._calls[index] = call
            function = {"name": text_in(block["name"]), "arguments": ""}
            named = {"index": call.number, "id": text_in(block["id"]), "type": "function"}
            return out + self._piece({"tool_calls": [{**named, "function": function}]})
        return out

    def _delta(self, index: int, delta: Json) -> bytes:
        kind = delta["type"]
        if kind == "text_delta":
            return self._begin() + self._text(delta["text"])
        if kind == "thinking_delta":
            self._signed.add(index, text_in(delta["thinking"]))
            return self._begin() + self._thought(delta["thinking"])
        if kind == "signature_delta":
            self._signed.sign(index, delta.get("signature"))
        if kind == "input_json_delta" and index in self._calls:
            return self._arguments(self._calls[index], text_in(delta["partial_json"]))
        return b""

    def _block_ended(self, index: int) -> bytes:
        call = self._calls.get(index)
        return b"" if call is None else self._arguments(call, call.rest())

    def _text(self, text: str) -> bytes:
        more = self._paragraphs.add(text_in(text))
        return self._piece({"content": more}) if more else b""

    def _thought(self, thought: str) -> bytes:
        more = self._thoughts.add(text_in(thought))
        return self._piece({"reasoning_content": more}) if more else b""

    def _arguments(self, call: ToolInput, arguments: str) -> bytes:
        if not arguments:
            return b""
        call.is_told = True
        piece = {"index": call.number, "function": {"arguments": arguments}}
        return self._piece({"tool_calls": [piece]})

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        return self._piece({"role": "assistant", "content": ""})

    def _stop(self) -> bytes:
        out = self._begin()
        out += b"".join([self._block_ended(index) for index in self._calls])
        signed = self._signed.blocks() if self._calls else []
        if signed:
            out += self._piece({SIGNED_THOUGHTS: signed})
        self._has_ended = True
        out += self._piece({}, **ending_of(self._ending))
        usage = usage_of(self._usage or None)
        if usage is not None:
            out += event({**self._head, "choices": [], "usage": usage})
        return out + DONE

    def _piece(self, delta: Json, **ending: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None, **ending}
        return event({**self._head, "choices": [choice]})


class ToolInput:
    """What a tool is called with. `number`: its place among the calls. `given`: with its name."""

    def __init__(self, number: int, given: object) -> None:
        self.number = number
        self.is_told = False
        self._given = given

    def rest(self) -> str:
        """At its end: all of it, where no part of it was told."""
        if self.is_told:
            return ""
        return msgspec.json.encode(self._given).decode() if self._given else NO_INPUT
