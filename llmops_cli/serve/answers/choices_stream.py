"""A stream of choices on its way to a client: events made whole, tokens counted, texts guarded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.choices import ChoiceFormat, OddAnswer, assembled
from llmops_cli.serve.answers.dialects.sse import (
    COMMENT,
    DONE,
    END,
    HEAVY_BYTES,
    count_of_objects,
    data_of,
    list_of_objects,
)
from llmops_cli.serve.answers.endings import Endings
from llmops_cli.serve.answers.event_sample import EventSample, words_of
from llmops_cli.serve.answers.stream_guard import StreamGuard
from llmops_cli.serve.answers.usage import UsageEvents, usage_in
from llmops_cli.serve.context import GuardVerdict, Usage
from llmops_cli.serve.upstreams.errors import EndedEarly, ErrorInStream, MalformedAnswer
from llmops_cli.serve.upstreams.first_words import error_in

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

NAMED_ERROR = re.compile(rb"^event: ?error$", re.MULTILINE)
EVENT_MOST = 8 << 20
KEPT_MOST = 8 << 20
"""Of the events of an answer that may be given again: forty thousand tokens, mostly."""

TELLING = (b'"error"', b"data: [DONE]", b'"choices":[]', b'"choices": []')
COUNT = re.compile(rb'"usage"(?!: ?null)')


class _Object(msgspec.Struct, gc=False):
    """Whatever it has."""


_decode_objects = msgspec.json.Decoder(list[_Object]).decode


class ChoicesStream:
    """Without a guard its bytes are not touched. `count`: of the choices that were asked for."""

    def __init__(
        self,
        route: str,
        form: ChoiceFormat,
        guard: Guard | None,
        *,
        count: int = 1,
        hides_usage: bool = False,
        keeps: bool = False,
    ) -> None:
        self.usage = Usage()
        self._endings = Endings(count)
        self._form = form
        self._guard = None if guard is None else StreamGuard(guard, route, form)
        self._hides_usage = hides_usage
        self._kept: list[bytes] | None = [] if keeps else None
        self.kept_bytes = 0
        self._held = b""
        self._last = b""
        self._sample = EventSample()
        self._events = 0
        self._counted_at = 0
        self._bytes = 0
        self._unseen = UsageEvents()
        self._blocked = False
        self._done = False

    @property
    def has_ended(self) -> bool:
        return self._done

    @property
    def failure(self) -> ErrorInStream | None:
        """Never one: an error among choices is raised."""
        return None

    @property
    def verdict(self) -> GuardVerdict | None:
        return None if self._guard is None else self._guard.verdict

    def is_heavy(self, piece: bytes) -> bool:
        return len(self._held) + len(piece) > HEAVY_BYTES

    def feed(self, piece: bytes) -> bytes:
        """Whole events. Raises: UpstreamError for one that is malformed."""
        if self._blocked:
            self._unseen.feed(piece)
            return b""
        if self._held:
            piece = self._held + piece
            self._held = b""
        if not piece.endswith(END):
            piece = self._hold_back(piece)
        self._endings.feed(piece)
        is_only_counted = self._guard is None and not self._done
        plain = self._plain_end(piece) if is_only_counted else 0
        if plain == len(piece):
            shown = piece
        else:
            events = piece[plain:].split(END)[:-1]
            shown = b"".join([piece[:plain], *map(self._event, events)])
        if self._kept is not None:
            self._keep(piece if self._guard is None else shown)
        return shown

    def _plain_end(self, piece: bytes) -> int:
        """Where the events end that are only counted: nearly all, one for each token.

        Of one that comes alone nothing is decoded; several are by one call of C.
        """
        end = _first_told(piece)
        events = piece if end == len(piece) else piece[:end]
        count = count_of_objects(events)
        if not count or (count > 1 and not _are_objects(events, count)):
            return 0
        last = _begin_of_event(events, end - len(END))
        self._last = events[last : -len(END)]
        self._bytes += end - count * len(END)
        self._events += count
        if self._events >= self._sample.due:
            self._sample.take(self._events - count, events.split(END)[:count])
        return end

    def _keep(self, events: bytes) -> None:
        if self._kept is None:
            return
        self._kept.append(events)
        self.kept_bytes += len(events)
        if self.kept_bytes > KEPT_MOST:
            self._kept = None
            self.kept_bytes = 0

    def _hold_back(self, piece: bytes) -> bytes:
        """The events that are whole; what follows them waits. Raises: UpstreamError."""
        whole, end, self._held = piece.rpartition(END)
        if len(self._held) > EVENT_MOST:
            raise MalformedAnswer("an event does not end")
        return whole + end

    def _event(self, event: bytes) -> bytes:
        """One event as it may go on: without its count, or with its text as the guard wants it.

        Raises: UpstreamError for one that is no JSON.
        """
        if self._blocked or not event:
            return b""
        data = data_of(event)
        if self._done:
            self._hear_late(data)
            return b""
        if not data:
            # A comment that keeps the connection open; what it says nobody judges.
            return event + END if self._guard is None else COMMENT
        if data == b"[DONE]":
            if not self._events:
                raise MalformedAnswer("there are no choices in it")
            self._done = True
            return self._rest() + event + END
        chunk = _decoded(data)
        if _tells_error(event, chunk):
            raise error_in(data) or ErrorInStream(500, data)
        choices = chunk.get("choices")
        counts = chunk.get("usage")
        if choices:
            self._last = event
            self._events += 1
            if self._events >= self._sample.due:
                self._sample.take(self._events - 1, [event])
            if not counts:  # a count says no words, however long it is
                self._bytes += len(event)
        if counts:
            self.hear(data)
        hides = bool(counts) and self._hides_usage and not choices
        if self._guard is None:
            return b"" if hides else event + END
        shown = self._guarded(self._guard, chunk)
        return self._hidden(shown) if hides else shown

    def hear(self, data: bytes) -> None:
        """What an event, or its upstream besides, tells of the tokens so far."""
        found = usage_in(data)
        if found is not None:
            self.usage = self.usage.heard(found)
            self._counted_at = self._events

    def _hear_late(self, data: bytes) -> None:
        """Behind its end a stream says nothing more; some tell their tokens there."""
        if b'"usage"' in data:
            self.hear(data)

    def _hidden(self, count: bytes) -> bytes:
        """Nothing for who did not ask for it; who is given the answer again may have."""
        if self._blocked:
            return count
        self._keep(count)
        return b""

    def _guarded(self, guard: StreamGuard, chunk: dict[str, Any]) -> bytes:  # Any: OpenAI's fields
        try:
            for choice in chunk.get("choices") or ():
                guard.rewrite(choice)
            guard.rewrite_rest(chunk)
        except OddAnswer:
            raise MalformedAnswer("choices of another form") from None
        shown = b"data: " + msgspec.json.encode(chunk) + END
        if guard.has_blocked:
            self._blocked = True
            return shown + DONE
        return shown

    def _rest(self) -> bytes:
        return b"" if self._guard is None else self._guard.rest()

    def finish(self) -> bytes:
        """What was held back at the stream's end. Raises: UpstreamError if this was not its end."""
        if self._blocked:
            self._unseen.finish()
            self.estimate()
            return b""
        rest = self.feed(END) if self._held.strip() else b""
        self.estimate()
        if not self._done and not self._has_ended():
            raise EndedEarly
        return rest + self._rest()

    def _has_ended(self) -> bool:
        """Some servers end without saying so; a reason to finish is an end too."""
        return self._endings.are_all(self._last)

    def estimate(self) -> None:
        """An upstream that did not count: what it said stands for tokens."""
        self.usage = self.usage.heard(self._unseen.usage)
        if not self.usage.output_tokens and self._events > self._counted_at + 1:
            self.usage = self.usage.without_zeros()  # told before there was a word
        if not self.usage.tells_output:
            self._unseen.estimate()
            self.usage.output_tokens = self._said_tokens() + self._unseen.usage.output_tokens

    def _said_tokens(self) -> int:
        """The last may have a reason to end, and no words."""
        if words_of(self._last):
            return self._sample.tokens(self._events, self._bytes)
        events = max(0, self._events - 1)
        return self._sample.tokens(events, self._bytes - len(self._last))

    def whole(self) -> bytes | None:
        if self._kept is None or (self.verdict is not None and self.verdict.action == "block"):
            return None
        found = assembled(b"".join(self._kept), self._form)
        return None if found is None else msgspec.json.encode(found)


def _first_told(piece: bytes) -> int:
    """Where the first event begins that has no choices, or tells a count, an error or the end."""
    end = len(piece)
    for sign in TELLING:
        place = piece.find(sign, 0, end)
        if place >= 0:
            end = _begin_of_event(piece, place)
    if b'"usage"' in piece:
        count = COUNT.search(piece, 0, end)
        if count is not None:
            end = _begin_of_event(piece, count.start())
    return end


def _begin_of_event(piece: bytes, place: int) -> int:
    before = piece.rfind(END, 0, place)
    return 0 if before < 0 else before + len(END)


def _are_objects(events: bytes, count: int) -> bool:
    """Whether each of these, of which each is one line, is a JSON object."""
    try:
        return len(_decode_objects(list_of_objects(events))) == count
    except UNREADABLE:
        return False


def _tells_error(event: bytes, chunk: dict[str, Any]) -> bool:  # Any: OpenAI's fields
    """By OpenAI's field, as older servers do it (`object`), or by the event's name."""
    if chunk.get("error") or chunk.get("object") == "error":
        return True
    return NAMED_ERROR.search(event) is not None and not chunk.get("choices")


def _decoded(data: bytes) -> dict[str, Any]:  # Any: OpenAI's fields
    try:
        chunk = msgspec.json.decode(data)
    except UNREADABLE:
        raise MalformedAnswer("an event is no JSON") from None
    if not isinstance(chunk, dict):
        raise MalformedAnswer("an event is no object")
    return chunk
