"""Tokens as an upstream tells them, in OpenAI's two ways, and what they are where it tells none."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.sse import END, data_of
from llmops_cli.serve.answers.event_sample import BYTES_PER_TOKEN, EventSample
from llmops_cli.serve.context import Usage
from llmops_cli.serve.endpoints import Endpoint, no_places
from llmops_cli.serve.token_estimate import estimated_tokens
from llmops_cli.serve.upstreams.errors import ErrorInStream
from llmops_cli.serve.upstreams.first_words import failure_in
from llmops_cli.serve.upstreams.whole import LARGE_BYTES

COUNT_MOST = 1_000_000_000
"""Of one answer: nobody has computed more. A larger number is no count."""
EVENT_MOST = 1 << 20
TAIL_BYTES = 64 << 10
"""Of an event that is larger: the count stands at its end, behind the answer's text."""
MARK = b'"usage"'
FAILED = re.compile(rb'"type": ?"(?:response\.failed|error)"')
"""Of an event that may tell a failure. In a text these quotes would be escaped."""
FAILURES = frozenset({"error", "response.failed"})
AnyCount = Any  # Any: whatever an upstream has there


class _Typed(msgspec.Struct):
    type: AnyCount = None


def tells_failure(data: bytes) -> bool:
    """By its own type: what a client has sent along, such as metadata, is repeated inside."""
    if FAILED.search(data) is None:
        return False
    try:
        return msgspec.json.decode(data, type=_Typed).type in FAILURES
    except (*UNREADABLE, TypeError):
        return True


class _Details(msgspec.Struct):
    """`cache_write_tokens` as OpenRouter, `cache_creation_tokens` as LiteLLM has it."""

    cached_tokens: AnyCount = None
    cache_write_tokens: AnyCount = None
    cache_creation_tokens: AnyCount = None
    reasoning_tokens: AnyCount = None
    audio_tokens: AnyCount = None


NO_DETAILS = _Details()


class _Counts(msgspec.Struct):
    prompt_tokens: AnyCount = None
    completion_tokens: AnyCount = None
    input_tokens: AnyCount = None
    output_tokens: AnyCount = None
    total_tokens: AnyCount = None
    prompt_cache_hit_tokens: AnyCount = None
    cache_creation_input_tokens: AnyCount = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_token_details: _Details | None = None

    @property
    def has_no_parts(self) -> bool:
        """Whether it is two numbers and their sum, as from most engines."""
        return (
            self.of_input is NO_DETAILS
            and self.of_output is NO_DETAILS
            and self.prompt_cache_hit_tokens is None
            and self.cache_creation_input_tokens is None
        )

    @property
    def of_input(self) -> _Details:
        """As chats, as responses, and as transcriptions have them."""
        told = self.prompt_tokens_details or self.input_tokens_details or self.input_token_details
        return told or NO_DETAILS

    @property
    def of_output(self) -> _Details:
        told = self.completion_tokens_details or self.output_tokens_details
        return told or self.output_token_details or NO_DETAILS


DETAILS = (
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "input_token_details",
    "output_token_details",
)


class _Response(msgspec.Struct):
    usage: _Counts | None = None


class _UsageAnswer(msgspec.Struct):
    usage: _Counts | None = None
    response: _Response | None = None


_decode = msgspec.json.Decoder(_UsageAnswer).decode


def usage_in(raw: bytes) -> Usage | None:
    """Of an answer, or an event; None if it tells nothing."""
    try:
        found = _decode(raw)
    except msgspec.ValidationError:
        return _usage_beside_oddities(raw)
    except UNREADABLE:
        return None
    counts = found.usage
    if counts is None and found.response is not None:
        counts = found.response.usage
    return None if counts is None else _usage_of(counts)


def _usage_beside_oddities(raw: bytes) -> Usage | None:
    """Of an answer whose fields have other types than OpenAI's; what has a known form counts.

    Servers in PHP write `[]` for details that are empty.
    """
    try:
        told = msgspec.json.decode(raw)
    except UNREADABLE:
        return None
    if not isinstance(told, dict):
        return None
    counts = told.get("usage")
    response = told.get("response")
    if counts is None and isinstance(response, dict):
        counts = response.get("usage")
    return _usage_of(_counts_of(counts)) if isinstance(counts, dict) else None


def _counts_of(told: dict[str, AnyCount]) -> _Counts:
    """Details of another form tell nothing."""
    known = {
        name: value
        for name, value in told.items()
        if name not in DETAILS or isinstance(value, dict)
    }
    return msgspec.convert(known, _Counts)


def _usage_of(counts: _Counts) -> Usage | None:
    prompt = _first(counts.prompt_tokens, counts.input_tokens)
    answer = _first(counts.completion_tokens, counts.output_tokens)
    total = _count(counts.total_tokens)
    if total is not None:
        if prompt is None:
            prompt = max(0, total - (answer or 0))
        # Some leave what a model thought out of its answer's count, and not out of the total.
        answer = max(answer or 0, total - prompt)
    if prompt is None and answer is None:
        return None
    read = prompt or 0
    said = answer or 0
    if counts.has_no_parts:
        return Usage(
            input_tokens=read,
            output_tokens=said,
            tells_input=prompt is not None,
            tells_output=answer is not None,
        )
    of_input = counts.of_input
    of_output = counts.of_output
    cached = min(_cached(counts, of_input), read)
    written = min(_written(counts, of_input), read - cached)
    thought = min(_count(of_output.reasoning_tokens) or 0, said)
    heard = min(_count(of_input.audio_tokens) or 0, read - cached - written)
    spoken = min(_count(of_output.audio_tokens) or 0, said - thought)
    return Usage(
        input_tokens=read,
        output_tokens=said,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=thought,
        audio_input_tokens=heard,
        audio_output_tokens=spoken,
        tells_input=prompt is not None,
        tells_output=answer is not None,
    )


def _cached(counts: _Counts, of_input: _Details) -> int:
    return _first(of_input.cached_tokens, counts.prompt_cache_hit_tokens) or 0


def _written(counts: _Counts, of_input: _Details) -> int:
    """To a cache that is paid for, as Anthropic's."""
    told = _first(of_input.cache_write_tokens, of_input.cache_creation_tokens)
    return _first(told, counts.cache_creation_input_tokens) or 0


def _first(*values: AnyCount) -> int | None:
    """The first that is a count."""
    for value in values:
        found = _count(value)
        if found is not None:
            return found
    return None


def _count(value: AnyCount) -> int | None:
    """None for what is no number of tokens."""
    if type(value) is int:
        return value if 0 <= value <= COUNT_MOST else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= COUNT_MOST:
        return None
    return int(value)


# -- where nobody counted


def usage_of_whole(raw: bytes, endpoint: Endpoint) -> Usage:
    """Of an answer; what it does not tell of its own tokens is guessed."""
    found = _usage_of_large(raw)
    if found is None and len(raw) > LARGE_BYTES:
        found = _usage_at_begin(raw[:TAIL_BYTES])
    if found is None and MARK in raw:  # rare, of a large one, and nearer to the truth than a guess
        found = usage_in(raw)
    found = found or Usage()
    if not found.tells_output:
        found.output_tokens = guessed_tokens(raw, endpoint)
    return found


def _usage_of_large(raw: bytes) -> Usage | None:
    """Where it is told behind vectors, or an image, which need not be read for it."""
    if len(raw) <= EVENT_MOST:
        return None
    return _usage_at_end(raw[-TAIL_BYTES:], is_whole=True)


def _usage_at_begin(data: bytes) -> Usage | None:
    """Where it is told before all else that is nested."""
    before, mark, rest = data.partition(MARK)
    is_nested = before.count(b"{") != 1 or b"[" in before
    if not mark or is_nested:
        return None
    counts = _value_at(rest)
    return None if counts is None else _usage_of(_counts_of(counts.told))


def guessed_tokens(raw: bytes, endpoint: Endpoint) -> int:
    """Of a whole answer, by the length of what it says."""
    if endpoint.places is no_places:
        return 0
    try:
        places = endpoint.places(msgspec.json.decode(raw))
        texts = [place.text for place in places]
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return len(raw) // BYTES_PER_TOKEN if endpoint.bound else 0
    return sum(map(estimated_tokens, texts))


# -- of streams whose events are not read otherwise


class UsageEvents:
    """What a stream's events tell of its tokens, each read whole however large it is."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.failure: ErrorInStream | None = None
        self._held = bytearray()
        self._is_cut = False
        self._events = 0
        self._deltas = 0
        self._delta_bytes = 0
        self._sample = EventSample()

    @property
    def is_amid_event(self) -> bool:
        return bool(self._held)

    def feed(self, piece: bytes) -> None:
        held = self._held
        seen = max(0, len(held) - len(END))
        held += piece
        cut = held.rfind(END, seen)
        if cut >= 0:
            whole = bytes(held[:cut])
            del held[: cut + len(END)]
            for event in whole.split(END):
                self._event(event)
        if len(held) > EVENT_MOST:
            del held[:-TAIL_BYTES]
            self._is_cut = True

    def _event(self, event: bytes) -> None:
        data = event if self._is_cut else data_of(event)
        self._is_cut = False
        if not data:
            return
        self._events += 1
        if b'.delta"' in data:
            self._deltas += 1
            self._delta_bytes += len(event)
            if self._deltas >= self._sample.due:
                self._sample.take(self._deltas - 1, [event])
        if tells_failure(data):
            self.failure = failure_in(data)
        if MARK in data:
            self.usage = self.usage.heard(usage_in(data) or _usage_at_end(data))

    def hear(self, data: bytes) -> None:
        """What was told besides, as in an event."""
        self.usage = self.usage.heard(usage_in(data))

    def finish(self) -> None:
        if self._held:
            self._event(bytes(self._held))
            self._held.clear()
        self.estimate()

    def estimate(self) -> None:
        """An upstream that did not count: what it said stands for tokens."""
        if self._deltas and not self.usage.output_tokens:
            self.usage = self.usage.without_zeros()  # told before there was a word
        if self.usage.tells_output:
            return
        self.usage.output_tokens = self._events
        if self._deltas:
            self.usage.output_tokens = self._sample.tokens(self._deltas, self._delta_bytes)


def _usage_at_end(data: bytes, *, is_whole: bool = False) -> Usage | None:
    """Of an event whose beginning was too large to keep.

    `is_whole`: only a count of the answer itself, and none of a part of it.
    """
    _, mark, rest = data.rpartition(MARK)
    counts = _value_at(rest)
    if not mark or counts is None:
        return None
    if is_whole and not _ends_one_object(counts.rest):
        return None
    return _usage_of(_counts_of(counts.told))


def _ends_one_object(rest: str) -> bool:
    """Whether these are the last fields of an object: what stands before them is its own."""
    try:
        return isinstance(msgspec.json.decode('{"":0' + rest), dict)
    except UNREADABLE:
        return False


class _Counted(NamedTuple):
    """An object, and the text behind it."""

    told: dict[str, AnyCount]
    rest: str


def _value_at(rest: bytes) -> _Counted | None:
    """Of a field whose name stands before it."""
    text = rest.lstrip(b": \n").decode("utf-8", "replace")
    try:
        counts, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return _Counted(counts, text[end:]) if isinstance(counts, dict) else None
