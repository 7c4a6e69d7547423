"""Answers on their way back: tokens counted, and the guard's say over what they contain, whole or streamed."""

from __future__ import annotations

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
        self._streams: dict[int, OutputStream] = {}
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
        if not data or data == b"[DONE]":
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
        assert self._guard is not None
        index = int(choice.get("index") or 0)
        if index not in self._streams:
            self._streams[index] = self._guard.output_stream(route=self._route)
        stream = self._streams[index]
        holder, name = (choice["delta"], "content") if "delta" in choice else (choice, "text")
        said = holder.get(name)
        finished = choice.get("finish_reason") is not None
        if not isinstance(said, str) and not finished:
            return
        shown = stream.feed(said) if isinstance(said, str) else ""
        if finished:
            shown += stream.finish()
        if stream.decision is not None:
            shown, choice["finish_reason"] = stream.decision.message or "", "content_filter"
            self.action, self._ended = "block", True
        elif shown != (said or ""):
            self.action = self.action or "redact"
        if isinstance(said, str) or shown:
            holder[name] = shown

    def finish(self) -> bytes:
        """What was held back at the stream's end."""
        if not self.usage.output_tokens:
            self.usage.output_tokens = max(0, self._events - 2)
        return b"" if self._ended else self._held


def guarded_body(guard: Guard, raw: bytes, route: str, talk: Any) -> bytes:  # Any: the request under way
    """A whole answer with what the policy says: redacted, or replaced."""
    try:
        answer = msgspec.json.decode(raw)
        choices = answer["choices"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return raw
    changed = False
    for choice in choices:
        holder, name = (choice["message"], "content") if "message" in choice else (choice, "text")
        said = holder.get(name)
        if not isinstance(said, str):
            continue
        decision = guard.check_output(said, route=route)
        if decision.action in ("redact", "block"):
            holder[name] = decision.text if decision.action == "redact" else decision.message
            if decision.action == "block":
                choice["finish_reason"] = "content_filter"
            talk.guard, changed = f"output {decision.action}: {decision.findings[0].rule}", True
    return msgspec.json.encode(answer) if changed else raw
