"""Answers on their way back: tokens counted, and the guard's say over what they contain, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from llmops_cli.guard.check import Guard, OutputStream


class Usage(msgspec.Struct):
    """Tokens as the upstream counts them; for a stream without a count, its pieces."""

    input_tokens: int = 0
    output_tokens: int = 0


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Whole(msgspec.Struct):
    usage: _Counts | None = None


_whole = msgspec.json.Decoder(_Whole)


class Answer:
    """One answer of the upstream. Without a guard its bytes are not touched."""

    def __init__(self, guard: Guard | None, route: str, *, streamed: bool) -> None:
        self.usage, self.action = Usage(), ""
        self._guard = guard if streamed else None
        self._streams: dict[tuple[int, str], OutputStream] = {}
        self._held, self._events, self._route, self._ended = b"", 0, route, False

    def read(self, raw: bytes) -> None:
        """A whole body."""
        self._count(raw)

    def _count(self, raw: bytes) -> None:
        try:
            found = _whole.decode(raw).usage
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if found is not None:
            self.usage = Usage(found.prompt_tokens or 0, found.completion_tokens or 0)

    def feed(self, piece: bytes) -> bytes:
        """What of a stream may go on now."""
        if self._ended:
            return b""
        self._events += piece.count(b"data:")
        if self._guard is None:
            if b'"usage":{' in piece or b'"usage": {' in piece:
                self._last_usage(piece)
            return piece
        self._held += piece
        *events, self._held = self._held.split(b"\n\n")
        return b"".join(self._event(event) for event in events)

    def _last_usage(self, piece: bytes) -> None:
        for line in piece.split(b"\n"):
            if line.startswith(b"data:") and b'"usage"' in line:
                self._count(line[5:].strip())

    def _event(self, event: bytes) -> bytes:
        """An event with its text replaced by what the guard lets through; nothing after a block."""
        if self._ended:
            return b""
        data = event.partition(b"data:")[2].strip()
        if data == b"[DONE]":
            return self._held_back() + event + b"\n\n"
        if not data:
            return event + b"\n\n"
        try:
            chunk = msgspec.json.decode(data)
            choices = chunk["choices"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return event + b"\n\n"
        if chunk.get("usage"):
            self._count(data)
        for choice in choices:
            self._choice(choice)
        out = b"data: " + msgspec.json.encode(chunk) + b"\n\n"
        if self._ended:
            return out + b"data: [DONE]\n\n"
        return out

    def _choice(self, choice: dict[str, Any]) -> None:  # Any: OpenAI's fields
        """Every field of a piece that carries words, each a stream of its own."""
        index, finished = int(choice.get("index") or 0), choice.get("finish_reason") is not None
        for place, holder, name in _worded(choice):
            said = holder[name]
            shown = self._stream_of(index, place).feed(said)
            holder[name] = shown
            if shown != said:
                self.action = self.action or "redact"
        if finished:
            self._close(index, choice)
        blocked = next(
            (s.decision for (i, _), s in self._streams.items() if i == index and s.decision is not None), None
        )
        if blocked is not None:
            choice["finish_reason"], self.action, self._ended = "content_filter", "block", True
            part = choice.get("delta", choice)
            for _, holder, name in _worded(choice):
                holder[name] = ""
            part["content" if "delta" in choice else "text"] = blocked.message or ""

    def _stream_of(self, index: int, place: str) -> OutputStream:
        assert self._guard is not None
        if (index, place) not in self._streams:
            self._streams[index, place] = self._guard.output_stream(route=self._route)
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
            if self._route.endswith("/completions") and "chat" not in self._route:
                choice = {"index": index, "finish_reason": None}
            self._close(index, choice)
            if choice.get("delta") or choice.get("text"):
                out.append(b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n")
        self._streams.clear()
        return b"".join(out)

    def finish(self) -> bytes:
        """What was held back at the stream's end."""
        if not self.usage.output_tokens:
            self.usage.output_tokens = max(0, self._events - 2)
        if self._ended:
            return b""
        return (self._event(self._held) if self._held.strip() and self._guard is not None else self._held) + (
            self._held_back() if self._guard is not None else b""
        )


def _worded(choice: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:  # Any: OpenAI's fields
    """(place, holder, field) of everything that a model says: answer, reasoning, refusal, a tool's arguments."""
    part = choice.get("delta") or choice.get("message") or choice
    for name in ("content", "text", "reasoning_content", "reasoning", "refusal"):
        if isinstance(part.get(name), str):
            yield ("content" if name == "text" else name), part, name
    for number, call in enumerate(part.get("tool_calls") or ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            yield f"tool {call.get('index', number)}", function, "arguments"


def guarded_body(guard: Guard, raw: bytes, route: str, talk: Any) -> bytes:  # Any: the request under way
    """A whole answer with what the policy says: redacted, or replaced."""
    try:
        answer = msgspec.json.decode(raw)
        choices = answer["choices"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return raw
    changed = False
    for choice in choices:
        for place, holder, name in list(_worded(choice)):
            decision = guard.check_output(holder[name], route=route)
            if decision.action in ("redact", "block"):
                blocked = decision.action == "block"
                holder[name] = decision.text if not blocked else decision.message if place == "content" else ""
                if blocked:
                    choice["finish_reason"] = "content_filter"
                talk.guard, changed = f"output {decision.action}: {decision.findings[0].rule}", True
    return msgspec.json.encode(answer) if changed else raw
