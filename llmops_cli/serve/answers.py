"""Answers on their way back: tokens counted, and the guard's say over what they contain, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard, OutputStream


class Usage(msgspec.Struct):
    """Tokens as the upstream counts them; for a stream without a count, its pieces."""

    input_tokens: int = 0
    output_tokens: int = 0


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

    `hide_usage`: the count was asked for by us, not by the client, who does not get to see it. `keep`: what was shown
    is kept for the cache.
    """

    def __init__(
        self, guard: Guard | None, route: str, *, streamed: bool, hide_usage: bool = False, keep: bool = False
    ) -> None:
        self.usage, self.action, self.rule = Usage(), "", ""
        self.kept: list[bytes] | None = [] if keep else None
        self._guard, self._hide = guard if streamed else None, hide_usage
        self._streams: dict[tuple[int, str], OutputStream] = {}
        self._held, self._events, self._route, self._ended = b"", 0, route, False
        self.whole = False

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
            self.usage = Usage(counts.prompt_tokens or counts.input_tokens or 0,
                               counts.completion_tokens or counts.output_tokens or 0)  # fmt: skip

    def feed(self, piece: bytes) -> bytes:
        """What of a stream may go on now."""
        if self._ended:
            return b""
        self._events += piece.count(b"data:")
        shown = self._guarded(piece) if self._guard is not None else self._passed(piece)
        if self.kept is not None:
            self.kept.append(piece if self._hide and self._guard is None else shown)
        return shown

    def _passed(self, piece: bytes) -> bytes:
        counted = b'"usage":{' in piece or b'"usage": {' in piece
        if not self._hide:
            if counted or self._held:  # an event that arrives in two pieces is counted whole
                self._last_usage(self._held + piece)
            self._held = b"" if piece.endswith(b"\n") else (self._held + piece).rpartition(b"\n")[2][-4096:]
            return piece
        if self._held:
            piece, self._held = self._held + piece, b""
        if b"\r" in piece:
            piece = piece.replace(b"\r", b"")
        if not piece.endswith(b"\n\n"):
            piece, cut, self._held = piece.rpartition(b"\n\n")
            piece += cut
        if b'"usage":{' not in piece and b'"usage": {' not in piece:
            return piece
        return b"".join(event + b"\n\n" for event in piece.split(b"\n\n")[:-1] if not self._is_count(event))

    def _is_count(self, event: bytes) -> bool:
        """Whether an event tells the usage and nothing else."""
        self._last_usage(event)
        if b'"usage"' not in event:
            return False
        try:
            return bool(msgspec.json.decode(event.partition(b"data:")[2].strip())["choices"] == [])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return False

    def _last_usage(self, piece: bytes) -> None:
        for line in piece.split(b"\n"):
            if line.startswith(b"data:") and b'"usage"' in line:
                self._count(line[5:].strip())

    def _guarded(self, piece: bytes) -> bytes:
        self._held += piece.replace(b"\r", b"")
        *events, self._held = self._held.split(b"\n\n")
        return b"".join(self._event(event) for event in events)

    def estimate(self) -> None:
        """An upstream that did not count: its events stand for tokens."""
        if not self.usage.output_tokens:
            self.usage.output_tokens = max(0, self._events - 2)

    def _event(self, event: bytes) -> bytes:
        """An event with its text replaced by what the guard lets through; nothing after a block."""
        if self._ended:
            return b""
        data = event.partition(b"data:")[2].strip()
        if data == b"[DONE]":
            return self._held_back() + event + b"\n\n"
        try:
            chunk = msgspec.json.decode(data)
            choices = chunk["choices"]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return event + b"\n\n"
        if chunk.get("usage"):
            self._count(data)
            if self._hide and not choices:
                return b""
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
            holder[name] = self._stream_of(index, place).feed(holder[name])
        if finished:
            self._close(index, choice)
        if any(stream.redacted for stream in self._streams.values()):
            self.action = "redact"
        blocked = next(
            (s.decision for (i, _), s in self._streams.items() if i == index and s.decision is not None), None
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
        self.estimate()
        self.whole = True
        if self._ended:
            return b""
        if self._guard is None and not self._hide:
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


def guarded_body(guard: Guard, raw: bytes, route: str) -> tuple[bytes, str, str]:
    """(a whole answer with what the policy says: redacted, or replaced; the action; the rule behind it)."""
    try:
        answer = msgspec.json.decode(raw)
        places = _places(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return raw, "", ""
    action, rule = "", ""
    for choice, place, holder, name in places:
        decision = guard.check_output(holder[name], route=route)
        if decision.action in ("redact", "block"):
            blocked = decision.action == "block"
            holder[name] = decision.text if not blocked else decision.message if place == "content" else ""
            if blocked and "finish_reason" in choice:
                choice["finish_reason"] = "content_filter"
            action, rule = ("block" if blocked or action == "block" else "redact"), decision.findings[0].rule
    return (msgspec.json.encode(answer) if action else raw), action, rule


def _places(answer: Any) -> list[tuple[dict[str, Any], str, dict[str, Any], str]]:  # Any: OpenAI's fields
    """(choice, place, holder, field) of every text of an answer: a completion's, or a response's."""
    if "choices" in answer:
        return [(choice, *found) for choice in answer["choices"] for found in list(_worded(choice))]
    parts = [part for item in answer["output"] for part in item.get("content") or ()]
    return [(part, "content", part, "text") for part in parts if isinstance(part.get("text"), str)]
