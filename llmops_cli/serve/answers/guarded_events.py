"""A stream of typed events on its way to a client, judged as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.choices import OddAnswer
from llmops_cli.serve.answers.dialects.sse import (
    COMMENT,
    DONE,
    END,
    HEAVY_BYTES,
    EventSplitter,
    data_of,
    event,
    named_event,
)
from llmops_cli.serve.answers.event_guard import EventGuard
from llmops_cli.serve.answers.usage import UsageEvents
from llmops_cli.serve.context import GuardVerdict, Usage
from llmops_cli.serve.upstreams.errors import ErrorInStream, MalformedAnswer, UpstreamError

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

Json = dict[str, Any]  # Any: OpenAI's fields
EVENT_MOST = 64 << 20
"""The last one has the whole answer in it once more."""
LAST = frozenset(
    (
        "error",
        "image_edit.completed",
        "image_generation.completed",
        "response.completed",
        "response.failed",
        "response.incomplete",
        "speech.audio.done",
        "transcript.text.done",
    )
)


class GuardedEvents:
    """No byte of the upstream's own passes: events are written anew from what was judged."""

    kept_bytes = 0

    def __init__(self, guard: Guard, route: str) -> None:
        self._counted = UsageEvents()
        self._guard = EventGuard(guard, route)
        self._splitter = EventSplitter()
        self._sent = 0
        self._numbers = False
        self._response: Json | None = None
        self._blocked = False
        self._done = False

    @property
    def usage(self) -> Usage:
        return self._counted.usage

    @property
    def has_ended(self) -> bool:
        return self._done

    @property
    def failure(self) -> ErrorInStream | None:
        return None if self._blocked else self._counted.failure

    @property
    def verdict(self) -> GuardVerdict | None:
        return self._guard.verdict

    def is_heavy(self, piece: bytes) -> bool:
        return self._splitter.size + len(piece) > HEAVY_BYTES

    def feed(self, piece: bytes) -> bytes:
        """Raises: UpstreamError for an event that is malformed."""
        self._counted.feed(piece)
        if self._blocked:
            return b""
        events = self._splitter.feed(piece)
        if self._splitter.size > EVENT_MOST:
            raise MalformedAnswer("an event does not end")
        return b"".join([self._event(each) for each in events])

    def _event(self, raw: bytes) -> bytes:
        data = data_of(raw)
        if self._blocked or not raw.strip():
            return b""
        if not data:
            return COMMENT  # a comment that keeps the connection open
        if data == b"[DONE]":
            self._done = True
            return self._written(self._guard.rest(), names=False) + DONE
        chunk = _decoded(data)
        self._numbers = self._numbers or "sequence_number" in chunk
        if chunk.get("type") in LAST:
            self._done = True
        names = raw.startswith(b"event:") or b"\nevent:" in raw
        shown = self._written(self._rewritten(chunk), names=names)
        if isinstance(chunk.get("response"), dict):
            self._response = chunk["response"]
        if self._guard.decision is None:
            return shown
        self._blocked = True
        return shown + self._withheld()

    def _rewritten(self, chunk: Json) -> list[Json]:
        try:
            return self._guard.rewrite(chunk)
        except OddAnswer:
            raise MalformedAnswer("events of another form") from None

    def _written(self, chunks: list[Json], *, names: bool) -> bytes:
        found = []
        for chunk in chunks:
            if self._numbers:
                chunk["sequence_number"] = self._sent
                self._sent += 1
            found.append(named_event(str(chunk.get("type")), chunk) if names else event(chunk))
        return b"".join(found)

    def _withheld(self) -> bytes:
        """The end of a stream that was cut off: why, and of a response that it is not whole."""
        decision = self._guard.decision
        message = decision.message if decision is not None else None
        failure = {
            "type": "error",
            "code": "content_filter",
            "message": message or "the answer was withheld",
            "param": None,
        }
        ends: list[Json] = [failure]
        if self._response is not None:
            ends.append(_cut_off(self._response))
        return self._written(ends, names=True)

    def finish(self) -> bytes:
        """Raises: UpstreamError if this was not its end."""
        rest = self.feed(END)
        self._counted.finish()
        if not self._done and not self._blocked:
            raise UpstreamError("the stream ended early")
        return rest

    def estimate(self) -> None:
        """An upstream that did not count: what it said stands for tokens."""
        self._counted.estimate()

    def hear(self, data: bytes) -> None:
        """What its upstream has told of its tokens besides."""
        self._counted.hear(data)

    def whole(self) -> bytes | None:
        return None


def _cut_off(response: Json) -> Json:
    ended = {
        **response,
        "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        "output": [],
    }
    return {"type": "response.incomplete", "response": ended}


def _decoded(data: bytes) -> Json:
    try:
        chunk = msgspec.json.decode(data)
    except UNREADABLE:
        raise MalformedAnswer("an event is no JSON") from None
    if not isinstance(chunk, dict):
        raise MalformedAnswer("an event is no object")
    return chunk
