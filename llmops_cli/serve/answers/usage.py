"""Answers on their way back: tokens counted, and the guard's say over what they contain, whole or
streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.serve.context import Usage
from llmops_cli.serve.endpoints import COMPLETIONS, Endpoint
from llmops_cli.serve.upstreams.errors import MalformedAnswer, UpstreamError

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard, OutputStream


EVENT_MOST = 8 << 20
TAIL = 64 << 10


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Response(msgspec.Struct):
    usage: _Counts | None = None


class _Whole(msgspec.Struct):
    usage: _Counts | None = None
    response: _Response | None = None


_whole = msgspec.json.Decoder(_Whole)


class Answer:
    """One answer of the upstream. Without a guard its bytes are not touched.

    `hide_usage`: the count was asked for by us, not by the client, who does not get to see it.
    `keep`: what was shown is kept for the cache.
    """

    def __init__(
        self,
        guard: Guard | None,
        endpoint: Endpoint,
        *,
        streamed: bool,
        hide_usage: bool = False,
        keep: bool = False,
    ) -> None:
        self.usage = Usage()
        self.action = ""
        self.rule = ""
        self.kept: list[bytes] | None = [] if keep else None
        self._guard = guard if streamed else None
        self._hide = hide_usage
        self._streams: dict[tuple[int, str], OutputStream] = {}
        self._held = b""
        self._tail = b""
        self._last = b""
        self._events = 0
        self._endpoint = endpoint
        self._ours = endpoint.choices
        self._ended = False
        self._done = False

    def read(self, raw: bytes) -> None:
        """A whole body."""
        self._count(raw)

    def _count(self, raw: bytes) -> None:
        try:
            found = _whole.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        counts = found.usage or (found.response.usage if found.response else None)
        if counts is not None:
            self.usage = Usage(
                counts.prompt_tokens or counts.input_tokens or 0,
                counts.completion_tokens or counts.output_tokens or 0,
            )

    def feed(self, piece: bytes) -> bytes:
        """What of a stream may go on now: whole events. Raises: UpstreamError for one that is
        malformed.
        """
        if self._ended:
            return b""
        if not self._ours:
            self._tail = (self._tail + piece)[-TAIL:]
            self._events += piece.count(b"data:")
            return piece
        if self._held:
            piece = self._held + piece
            self._held = b""
        if b"\r" in piece:
            piece = piece.replace(b"\r", b"")  # text holds none, and a line may end with it
        if not piece.endswith(b"\n\n"):
            piece, cut, self._held = piece.rpartition(b"\n\n")
            piece += cut
            if len(self._held) > EVENT_MOST:
                raise MalformedAnswer("an event does not end")
        count = piece.count(b"\n\n")
        self._events += count
        plain = count == 1 and piece.startswith(b"data: {") and piece.endswith(b"}\n\n")
        if (
            plain
            and self._guard is None
            and b'"usage":{' not in piece
            and b'"usage": {' not in piece
        ):
            shown = piece
            self._last = piece
        else:
            shown = b"".join([self._event(event) for event in piece.split(b"\n\n")[:-1]])
        if self.kept is not None:
            self.kept.append(shown if self._guard is not None else piece)
        return shown

    def _event(self, event: bytes) -> bytes:
        """One event as it may go on: without its count, or with its text as the guard wants it.

        Raises: UpstreamError for one that is no JSON.
        """
        if self._ended or not event:
            return b""
        data = event.rpartition(b"data:")[2].strip() if b"data:" in event else b""
        if data == b"[DONE]":
            self._done = True
            return self._held_back() + event + b"\n\n"
        if not data:
            return event + b"\n\n"  # a comment that keeps the connection open
        self._last = event
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise MalformedAnswer("an event is no JSON") from None
        if not isinstance(chunk, dict):
            raise MalformedAnswer("an event is no object")
        choices = chunk.get("choices")
        if chunk.get("usage"):
            self._count(data)
            if self._hide and not choices:
                return b""
        if self._guard is None or not isinstance(choices, list):
            return event + b"\n\n"
        try:
            for choice in choices:
                self._choice(choice)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise MalformedAnswer("choices of another form") from None
        out = b"data: " + msgspec.json.encode(chunk) + b"\n\n"
        return out + b"data: [DONE]\n\n" if self._ended else out

    def estimate(self) -> None:
        """An upstream that did not count: its events stand for tokens."""
        if not self.usage.output_tokens:
            self.usage.output_tokens = max(0, self._events - 2)

    def _choice(self, choice: dict[str, Any]) -> None:  # Any: OpenAI's fields
        """Every field of a piece that carries words, each a stream of its own."""
        index = int(choice.get("index") or 0)
        finished = choice.get("finish_reason") is not None
        for place, holder, name in _worded(choice):
            holder[name] = self._stream_of(index, place).feed(holder[name])
        if finished:
            self._close(index, choice)
        if any(stream.redacted for stream in self._streams.values()):
            self.action = "redact"
        blocked = next(
            (
                s.decision
                for (i, _), s in self._streams.items()
                if i == index and s.decision is not None
            ),
            None,
        )
        if blocked is not None:
            choice["finish_reason"], self.action, self._ended = "content_filter", "block", True
            self.rule = blocked.findings[0].rule
            part = choice.get("delta", choice)
            for _, holder, name in _worded(choice):
                holder[name] = ""
            part["content" if "delta" in choice else "text"] = blocked.message or ""

    def _stream_of(self, index: int, place: str) -> OutputStream:
        assert self._guard is not None
        if (index, place) not in self._streams:
            self._streams[index, place] = self._guard.output_stream(route=self._endpoint.path)
        return self._streams[index, place]

    def _close(self, index: int, choice: dict[str, Any]) -> None:  # Any: OpenAI's fields
        """What was held back goes into the last piece."""
        part = choice.get("delta", choice)
        for (number, place), stream in list(self._streams.items()):
            if number == index and (rest := stream.finish()):
                name = {"content": "content" if "delta" in choice else "text"}.get(place, place)
                if place.startswith("tool "):
                    call = {"index": int(place.split()[1]), "function": {"arguments": rest}}
                    part.setdefault("tool_calls", []).append(call)
                else:
                    part[name] = str(part.get(name) or "") + rest

    def _held_back(self) -> bytes:
        """What no last piece brought out, as an event of its own."""
        out = []
        for index in dict.fromkeys(number for number, _ in self._streams):
            choice: dict[str, Any] = {"index": index, "delta": {}, "finish_reason": None}
            if self._endpoint is COMPLETIONS:
                choice = {"index": index, "finish_reason": None}
            self._close(index, choice)
            if choice.get("delta") or choice.get("text"):
                out.append(b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n")
        self._streams.clear()
        return b"".join(out)

    def finish(self) -> bytes:
        """What was held back at the stream's end. Raises: UpstreamError if this was not its end."""
        if not self._ours:
            for line in self._tail.split(b"\n"):
                if line.startswith(b"data:") and b'"usage"' in line:
                    self._count(line[5:].strip())
        self.estimate()
        if self._ended or not self._ours:
            return b""
        rest = self.feed(b"\n\n") if self._held.strip() else b""
        if not self._done and b'"finish_reason":"' not in self._last.replace(b": ", b":"):
            raise UpstreamError("the stream ended early")
        return rest + self._held_back()


def _worded(
    choice: dict[str, Any],
) -> Iterator[tuple[str, dict[str, Any], str]]:  # Any: OpenAI's fields
    """(place, holder, field) of everything that a model says: answer, reasoning, refusal, a tool's
    arguments.
    """
    part = choice.get("delta") or choice.get("message") or choice
    for name in ("content", "text", "reasoning_content", "reasoning", "refusal"):
        if isinstance(part.get(name), str):
            yield ("content" if name == "text" else name), part, name
    for number, call in enumerate(part.get("tool_calls") or ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            yield f"tool {call.get('index', number)}", function, "arguments"


def guarded_body(guard: Guard, raw: bytes, route: str) -> tuple[bytes, str, str]:
    """(a whole answer with what the policy says: redacted, or replaced; the action; the rule behind
    it).
    """
    try:
        answer = msgspec.json.decode(raw)
        places = _places(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return raw, "", ""
    action = ""
    rule = ""
    for choice, place, holder, name in places:
        decision = guard.check_output(holder[name], route=route)
        if decision.action in ("redact", "block"):
            blocked = decision.action == "block"
            holder[name] = (
                decision.text if not blocked else decision.message if place == "content" else ""
            )
            if blocked and "finish_reason" in choice:
                choice["finish_reason"] = "content_filter"
            action = "block" if blocked or action == "block" else "redact"
            rule = decision.findings[0].rule
    return (msgspec.json.encode(answer) if action else raw), action, rule


def _places(
    answer: Any,
) -> list[tuple[dict[str, Any], str, dict[str, Any], str]]:  # Any: OpenAI's fields
    """(choice, place, holder, field) of every text of an answer: a completion's, or a
    response's.
    """
    if "choices" in answer:
        return [(choice, *found) for choice in answer["choices"] for found in list(_worded(choice))]
    parts = [part for item in answer["output"] for part in item.get("content") or ()]
    return [(part, "content", part, "text") for part in parts if isinstance(part.get("text"), str)]
