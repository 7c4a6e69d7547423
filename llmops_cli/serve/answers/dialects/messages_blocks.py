"""Content blocks of a stream, one after the other, however an upstream mixes their pieces.

Anthropic's clients take one open block at a time. The first that is not complete is told as it
comes; what belongs to others waits behind it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from llmops_cli.serve.answers.dialects.messages_answer import thinking_block, tool_block, unique
from llmops_cli.serve.answers.dialects.messages_thoughts import signature
from llmops_cli.serve.answers.dialects.sse import named_event
from llmops_cli.serve.answers.dialects.tool_calls import ToolCall, ToolCalls, index_of

Json = dict[str, Any]  # Any: Anthropic's fields


class StreamedBlock(Protocol):
    """`can_start`: all that its first event tells is known. `is_complete`: no more will come."""

    @property
    def can_start(self) -> bool: ...

    def is_complete(self, *, is_last: bool) -> bool: ...

    def start(self) -> Json:
        """Raises: ValueError if it is none."""

    def deltas(self) -> list[Json]:
        """What can be told now, and was not."""

    def ending(self) -> list[Json]:
        """What is told at its end."""


class TextBlock:
    """Of `text`, or of `thinking`, whose words may be left out."""

    can_start = True

    def __init__(self, field: str | None, *, is_shown: bool = True) -> None:
        """`field`: the upstream's, of reasoning; None: it is text."""
        self.field = field
        self._is_shown = is_shown
        self._pending = ""

    def add(self, text: str) -> None:
        if self._is_shown:
            self._pending += text

    def is_complete(self, *, is_last: bool) -> bool:
        return not is_last

    def start(self) -> Json:
        if self.field is None:
            return {"type": "text", "text": ""}
        return thinking_block("", "")

    def deltas(self) -> list[Json]:
        if not self._pending:
            return []
        text = self._pending
        self._pending = ""
        if self.field is None:
            return [{"type": "text_delta", "text": text}]
        return [{"type": "thinking_delta", "thinking": text}]

    def ending(self) -> list[Json]:
        if self.field is None:
            return []
        return [{"type": "signature_delta", "signature": signature(self.field)}]


class ToolBlock:
    def __init__(self, call: ToolCall, ids: set[str]) -> None:
        """`ids`: of the answer's calls that were told before."""
        self.call = call
        self._ids = ids

    @property
    def can_start(self) -> bool:
        return self.call.is_named

    def is_complete(self, *, is_last: bool) -> bool:
        del is_last
        return self.call.is_whole

    def start(self) -> Json:
        if not self.call.name:
            raise ValueError("a tool call has no name")
        return tool_block(self.call.name, unique(self.call.id, self._ids), {})

    def deltas(self) -> list[Json]:
        return _input_delta(self.call.tell())

    def ending(self) -> list[Json]:
        return _input_delta(self.call.rest())


def _input_delta(text: str) -> list[Json]:
    return [{"type": "input_json_delta", "partial_json": text}] if text else []


class BlockQueue:
    """Events of all blocks of one answer. Raises: ValueError, TypeError for odd pieces."""

    def __init__(self, *, thoughts: bool) -> None:
        self._thoughts = thoughts
        self._waiting = deque[StreamedBlock]()
        self._calls = ToolCalls()
        self._tools: dict[int, ToolBlock] = {}
        self._ids = set[str]()
        self._count = 0
        self._is_open = False

    @property
    def calls_tools(self) -> bool:
        return bool(self._tools)

    def think(self, field: str, thought: str) -> bytes:
        return self._say(thought, field)

    def say(self, text: str) -> bytes:
        return self._say(text, None)

    def _say(self, text: str, field: str | None) -> bytes:
        last = self._waiting[-1] if self._waiting else None
        if not isinstance(last, TextBlock) or last.field != field:
            last = TextBlock(field, is_shown=field is None or self._thoughts)
            self._waiting.append(last)
        last.add(text)
        return self._advance()

    def call(self, pieces: list[Json]) -> bytes:
        """Pieces of tool calls."""
        for position, piece in enumerate(pieces):
            index = index_of(piece, position, several=len(pieces) > 1)
            call = self._calls.of(piece, index=index)
            if call.number not in self._tools:
                block = ToolBlock(call, self._ids)
                self._tools[call.number] = block
                self._waiting.append(block)
            call.add(piece)
        return self._advance()

    def finish(self) -> bytes:
        return self._advance(at_end=True)

    def _advance(self, *, at_end: bool = False) -> bytes:
        out = b""
        while self._waiting:
            block = self._waiting[0]
            is_over = at_end or block.is_complete(is_last=len(self._waiting) == 1)
            if not self._is_open:
                if not (block.can_start or at_end):
                    return out
                out += self._event("content_block_start", content_block=block.start())
                self._is_open = True
            deltas = block.deltas()
            if is_over:
                deltas += block.ending()
            for delta in deltas:
                out += self._event("content_block_delta", delta=delta)
            if not is_over:
                return out
            out += self._event("content_block_stop")
            self._is_open = False
            self._count += 1
            self._waiting.popleft()
        return out

    def _event(self, kind: str, **fields: object) -> bytes:
        return named_event(kind, {"type": kind, "index": self._count, **fields})
