"""A chat completion's stream as Anthropic's events."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.answers.dialects.choices import OddAnswer
from llmops_cli.serve.answers.dialects.messages_answer import (
    ERRORS,
    Shown,
    Stop,
    empty_message,
    error_body,
    texts_of,
    thought_of,
    usage_of,
)
from llmops_cli.serve.answers.dialects.messages_blocks import BlockQueue
from llmops_cli.serve.answers.dialects.sse import END, data_of, named_event
from llmops_cli.serve.answers.dialects.sse import event as event_of
from llmops_cli.serve.upstreams.errors import MalformedAnswer

Json = dict[str, Any]  # Any: either API's fields
PING = named_event("ping", {"type": "ping"})


class MessagesStream:
    """Of one answer."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._held = b""
        self._begun = False
        self._ended = False
        self._blocks = BlockQueue(thoughts=shown.thoughts)
        self._stop = Stop(shown.stop_sequences)
        self._usage: Json = usage_of(None)

    def feed(self, events: bytes) -> bytes:
        """Raises: MalformedAnswer for a chunk of another form."""
        *whole, self._held = (self._held + events).split(END)
        return b"".join([self._event(event) for event in whole])

    def finish(self) -> bytes:
        """The last events; nothing if they were sent, or the stream ended with an error.

        Raises: MalformedAnswer.
        """
        if self._ended:
            return b""
        out = self._start()
        try:
            out += self._blocks.finish()
        except OddAnswer as error:
            raise MalformedAnswer(str(error)) from None
        self._ended = True
        self._stop.calls_tools = self._blocks.calls_tools
        if self._shown.nothing:
            self._stop.reason = "max_tokens"
        out += _named("message_delta", delta=self._stop.fields(), usage=self._usage)
        return out + _named("message_stop")

    def _event(self, event: bytes) -> bytes:
        data = data_of(event)
        if self._ended:
            return b""
        if not data:
            return PING if event.startswith(b":") else b""
        if data == b"[DONE]":
            return self.finish()
        try:
            chunk = msgspec.json.decode(data)
            if chunk.get("error"):
                return self._fail(chunk["error"])
            return self._chunk(chunk)
        except OddAnswer:
            raise MalformedAnswer("a chunk of another form") from None

    def _fail(self, error: object) -> bytes:
        """The upstream's own words; what it began is left as it is."""
        self._ended = True
        code = error.get("code") if isinstance(error, dict) else None
        said = error.get("message") if isinstance(error, dict) else error
        status = code if code in ERRORS else 500
        return b"event: error\ndata: " + error_body(status, str(said)) + END

    def _chunk(self, chunk: Json) -> bytes:
        """Raises: one of OddAnswer."""
        out = self._start()
        if chunk.get("usage"):
            self._usage = usage_of(chunk["usage"])
        choices = chunk.get("choices")
        if not choices:
            return out
        choice = choices[0]
        self._stop.note(choice)
        if self._shown.nothing:
            return out
        return out + self._delta(choice.get("delta") or {})

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        head = empty_message(self._shown.message_id, self._shown.model)
        return _named("message_start", message={**head, "usage": self._usage})

    def _delta(self, delta: Json) -> bytes:
        """Raises: one of OddAnswer."""
        out = b""
        thought = thought_of(delta)
        if thought is not None:
            out += self._blocks.think(*thought)
        for text in texts_of(delta):
            out += self._blocks.say(text)
        if delta.get("refusal"):
            self._stop.refuses = True
        calls = list(delta.get("tool_calls") or ())
        if delta.get("function_call"):
            calls.append({"index": 0, "function": delta["function_call"]})
        if calls:
            out += self._blocks.call(calls)
        return out


def whole_as_event(body: bytes) -> bytes:
    """A whole chat completion as the only chunk of a stream. Raises: one of OddAnswer."""
    answer = msgspec.json.decode(body)
    choice = answer["choices"][0]
    chunk = {"choices": [{**choice, "delta": choice["message"]}], "usage": answer.get("usage")}
    return event_of(chunk)


def _named(kind: str, **fields: object) -> bytes:
    return named_event(kind, {"type": kind, **fields})
